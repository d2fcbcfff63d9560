"""Sweeps: the graph of tasks, the grid, its file, what is shared, what fails, and the command."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import socket
import sys
import textwrap
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import said
from test_report import Page
from winsome.cli import main
from winsome.cli.sweep_display import SweepDisplay
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.methods import aws, imp, learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.search import Search
from winsome.study.arms import ARMS, Claim
from winsome.study.design import SearchSpec, Study
from winsome.study.run import run
from winsome.study.searches import run_searches
from winsome.sweep.file import read_grid
from winsome.sweep.grid import grid, studies_of
from winsome.sweep.run import Ended, run_sweep
from winsome.sweep.steps import refuse_unpicklable, sweep_steps
from winsome.tasks.graph import Event, OnFraction, Report, Runner, Task, Work, run_graph
from winsome.tasks.processes import processes, this_process
from winsome.training.from_scratch import train_from_scratch
from winsome.training.settings import SGD, Constant, Training

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tiny(**changes: Any) -> Study:
    """Two search seeds, two levels, one epoch."""
    study = Study(
        name="tiny",
        title="A tiny study",
        data=DataSpec("digits", train_images=260, test_images=100),
        network=NetworkSpec("residual_mlp", (("blocks", 2), ("width", 16))),
        searches=(("lrr", learning_rate_rewinding(2, 0.5)), ("aws", aws(2, 0.5))),
        search_training=Training(1, 64, SGD(0.1), Constant()),
        warmup_epochs=1,
        training=Training(2, 64, SGD(0.1)),
        arms=(ARMS["dense"], ARMS["planted_aws"], ARMS["network_lrr"]),
        levels=(2,),
        search_seeds=(0, 1),
    )
    return dataclasses.replace(study, **changes)


def results_in(folder: Path) -> dict[str, Any]:
    """Every result below a folder by its path: bytes, or JSON without the seconds that it took."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.suffix in (".safetensors", ".ticket"):
            found[place] = path.read_bytes()
        elif path.suffix == ".json" and ("/arms/" in f"/{place}" or "level-" in place):
            content = json.loads(path.read_text())
            found[place] = {key: value for key, value in content.items() if key != "seconds"}
    return found


def swept(studies: Sequence[Study], folder: Path, **options: Any) -> Ended:
    """A sweep in this process."""
    return run_sweep(sweep_steps(studies, folder, command="test"), folder, nullcontext(this_process()), **options)


# The graph


def later_runner(order: Sequence[int], at_once: int | None = None) -> tuple[Runner, list[int]]:
    """A runner whose tasks end one by one, at each poll the first in `order`; and the log of what it was given."""
    given_out: dict[int, tuple[Future[float], Work]] = {}
    log: list[int] = []

    def submit(number: int, work: Work, _report: Report) -> Future[float]:
        future: Future[float] = Future()
        given_out[number] = (future, work)
        log.append(number)
        return future

    def poll(report: Report) -> None:
        if given_out:
            number = min(given_out, key=order.index)
            future, work = given_out.pop(number)
            try:
                future.set_result(work(lambda fraction: report(number, fraction)))
            except Exception as error:
                future.set_exception(error)

    return Runner(submit, poll, at_once), log


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[frozenset[int], frozenset[int]]], set[int], set[int], list[int]]:
    """Needs and afters of up to ten tasks, which of them fail, which were done before, and in what order they end."""
    n = draw(st.integers(1, 10))
    edges = []
    for number in range(n):
        earlier = st.frozensets(st.integers(0, number - 1), max_size=3) if number else st.just(frozenset[int]())
        edges.append((draw(earlier), draw(earlier)))
    numbers = st.sets(st.integers(0, n - 1))
    return edges, draw(numbers), draw(numbers), draw(st.permutations(range(n)))


@given(graphs(), st.sampled_from([None, 1, 2]))
def test_tasks_run_after_what_they_need_and_a_failure_stops_only_what_needs_it(
    graph: tuple[list[tuple[frozenset[int], frozenset[int]]], set[int], set[int], list[int]], at_once: int | None
) -> None:
    edges, failing, done_before, order = graph
    ended: list[int] = []
    events: list[Event] = []

    def work(number: int, on_fraction: OnFraction) -> float:
        needs, after = edges[number]
        assert needs <= {n for n in ended if n not in failing}
        assert after <= {*ended, *(event.number for event in events if event.state in ("skipped", "failed"))}
        on_fraction(0.5)
        ended.append(number)
        if number in failing:
            raise RuntimeError(f"task {number}")
        return 1.0

    def was_done(number: int) -> bool:
        if number in done_before and number not in ended:
            ended.append(number)
        return number in done_before

    tasks = [
        Task(lambda on_fraction, n=n: work(n, on_fraction), n + 1.0, lambda n=n: was_done(n), needs, after)  # type: ignore[misc]
        for n, (needs, after) in enumerate(edges)
    ]
    # By brute force: what cannot be done, in the order of numbers, which is an order of needs.
    lost: set[int] = set()
    failed: set[int] = set()
    for number, (needs, _) in enumerate(edges):
        if needs & (lost | failed):
            lost.add(number)
        elif number in failing - done_before:
            failed.add(number)
    failing -= done_before

    runner, log = later_runner(order, at_once)
    outcome = run_graph(tasks, runner, watch=events.append, keep_going=True)
    assert set(outcome.failures) == failed
    assert set(outcome.skipped) == lost
    assert sorted(log) == sorted({*range(len(edges))} - lost - done_before)
    assert set(outcome.skipped.values()) <= failed
    assert {str(error) for error in outcome.failures.values()} == {f"task {number}" for number in failed}
    assert outcome.seconds == len(log) - len(failed)
    assert [event for event in events if event.state != "moved"][-1].done == pytest.approx(events[-1].total)
    assert sorted(event.number for event in events if event.state != "moved") == list(range(len(edges)))


def test_a_runner_of_one_gets_one_task_at_a_time() -> None:
    running: set[int] = set()
    runner, _ = later_runner([2, 1, 0], at_once=1)

    def submit(number: int, work: Work, report: Report) -> Future[float]:
        assert not running
        running.add(number)

        def ending(on_fraction: OnFraction) -> float:
            running.clear()
            return work(on_fraction)

        return runner.submit(number, ending, report)

    run_graph([Task(lambda _: 0.0) for _ in range(3)], dataclasses.replace(runner, submit=submit))


def test_without_keep_going_the_first_error_is_raised() -> None:
    def fails(_: OnFraction) -> float:
        raise WinsomeError("no")

    with pytest.raises(WinsomeError, match="no"):
        run_graph([Task(fails), Task(lambda _: 0.0)], this_process())


class Unreadable(Exception):
    """Pickles, but does not unpickle: it is made of two words, and keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


class Unwritable(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.lock = threading.Lock()


def unreadable(_: OnFraction) -> float:
    raise Unreadable("node 7", "is full")


def unwritable(_: OnFraction) -> float:
    raise Unwritable("node 8 is full")


def leaves(_: OnFraction) -> float:
    sys.exit("node 9 is full")


def is_fine(_: OnFraction) -> float:
    return 1.0


@pytest.mark.parametrize("runner", [lambda: nullcontext(this_process()), lambda: processes(1)])
def test_an_error_of_any_kind_is_told_and_ends_no_other_task(runner: Any) -> None:
    tasks = [Task(unreadable), Task(unwritable), Task(leaves), Task(is_fine)]
    with runner() as opened:
        outcome = run_graph(tasks, opened, keep_going=True)
    assert outcome.seconds == 1.0
    assert sorted(outcome.failures) == [0, 1, 2]
    for number, (name, words) in enumerate(
        [("Unreadable", "node 7 is full"), ("Unwritable", "node 8 is full"), ("SystemExit", "node 9 is full")]
    ):
        error = outcome.failures[number]
        said_by = f"{type(error).__name__}: {error}"
        assert name in said_by
        assert words in said_by


def test_a_circle_is_an_error_and_no_endless_wait() -> None:
    done: list[int] = []

    def work(_: OnFraction) -> float:
        done.append(1)
        return 0.0

    tasks = [Task(work, needs=frozenset({1})), Task(work, after=frozenset({0})), Task(work)]
    with pytest.raises(ValueError, match=r"\[0, 1\] wait for each other"):
        run_graph(tasks, this_process())
    assert not done, "it is refused before any work"


# The grid

_counts = st.integers(1, 3)


@given(methods=_counts, networks=_counts, data=_counts, seeds=_counts, levels=_counts, variants=_counts)
def test_a_grid_is_the_product_under_names_of_their_own(
    methods: int, networks: int, data: int, seeds: int, levels: int, variants: int
) -> None:
    made = grid(
        tiny(),
        methods={f"imp{n}": imp(3, 0.1 * (n + 1)) for n in range(methods)},
        networks=[NetworkSpec("residual_mlp", (("width", 8 * (n + 1)),)) for n in range(networks)],
        data=[DataSpec("digits", train_images=100 * (n + 1)) for n in range(data)],
        seeds=[(n, n + 1) for n in range(seeds)],
        levels=[n + 1 for n in range(levels)],
        variants={f"v{n}": {"training": Training(n + 1)} for n in range(variants)},
    )
    assert len(made) == methods * networks * data * seeds * levels * variants
    assert len({study.name for study in made}) == len(made)
    varied = {
        (study.searches, study.network, study.data, study.search_seeds, study.levels, study.training.epochs) for study in made
    }
    assert len(varied) == len(made)
    for study in made:
        assert re.fullmatch(r"[\w.+-]+", study.name)
        assert [arm.search for arm in study.arms] == [None, *[study.searches[0][0]] * 3]


def test_what_is_not_given_stays_and_names_say_what_varies() -> None:
    first, second = grid(tiny(), levels=[1, (1, 2)])
    assert (first.name, second.name) == ("tiny_level-1", "tiny_levels-1-2")
    assert dataclasses.replace(second, name="tiny", title="A tiny study", levels=(2,)) == tiny()
    assert grid(tiny()) == (tiny(),)
    (only,) = grid(tiny(), seeds=[range(8)], data=["/somewhere/my set"], networks=["small_conv"])
    assert only.name == "tiny_small_conv_my-set_seeds-0-to-7"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: grid(tiny(), levels=[]), "an axis of the grid has no values"),
        (lambda: grid(tiny(), networks=["mlp", "mlp"]), "networks: two values are called 'mlp'"),
        (lambda: grid(tiny(), levels=[1, 7]), "tiny_level-7 is no study: level 7 is not searched"),
        (lambda: grid(tiny(), variants={"x": {"epochz": 3}}), "is no study: .*epochz"),
        (lambda: studies_of([]), "no studies"),
        (lambda: studies_of([tiny(), tiny()]), "two studies of the sweep are called 'tiny'"),
        (lambda: studies_of([tiny(), "tiny"]), "number 1 of the sweep is a str"),
        (lambda: studies_of([tiny(arms=())]), "the study 'tiny' has no arms"),
        (lambda: studies_of([tiny(name="../up")]), "cannot be a folder's"),
        (lambda: studies_of([tiny(name="report.html")]), "cannot be a folder's"),
    ],
)
def test_impossible_grids(make: Any, sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        make()


# The file

PREAMBLE = "from test_sweep import tiny\n"


def grid_file(folder: Path, text: str) -> Path:
    """A grid file with this text, beside which this module can be imported."""
    path = folder / "grid.py"
    here = str(Path(__file__).parent)
    path.write_text(f"import sys; sys.path.append({here!r})\n{PREAMBLE}{textwrap.dedent(text)}")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "studies = [tiny(name='a'), tiny(name='b')]",
        "def sweep():\n    yield tiny(name='a')\n    yield tiny(name='b')",
    ],
)
def test_a_grid_file_names_its_studies(tmp_path: Path, text: str) -> None:
    _, studies = read_grid(grid_file(tmp_path, text))
    assert [study.name for study in studies] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1", r"grid\.py: it defines neither `studies` nor `sweep`"),
        ("studies = [tiny()]\ndef sweep(): return studies", "defines both"),
        ("sweep = [tiny()]", "its `sweep` is no function"),
        ("studies = tiny()", r"gives a Study; studies are wanted, in a list"),
        ("studies = [tiny(), tiny()]", "two studies of the sweep are called 'tiny'"),
        ("studies = []", "the sweep has no studies"),
        ("studies = [tiny(levels=(9,))]", r"grid\.py, line 3: level 9 is not searched"),
        ("def sweep():\n    return [oops]", r"grid\.py, line 4: NameError: name 'oops'"),
        ("studies = [", r"grid\.py, line 3: .*never closed"),
    ],
)
def test_what_is_wrong_with_a_grid_file_is_said_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        read_grid(grid_file(tmp_path, text))


def test_functions_that_a_pool_cannot_send_are_refused_before_work(tmp_path: Path) -> None:
    borrowed = dataclasses.replace(aws(2, 0.5), score=lambda *_: {})
    study = tiny(searches=(("lrr", learning_rate_rewinding(2, 0.5)), ("aws", borrowed)))
    with pytest.raises(WinsomeError, match=r"'tiny' cannot be sent to other processes .* define its functions by name"):
        refuse_unpicklable(sweep_steps([study], tmp_path, command="test"))


# What is shared


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Counts the networks trained from scratch and the levels searched, in this process."""
    counts = {"from scratch": 0, "levels": 0}
    train, close = train_from_scratch, Search.close

    def counting_train(networks: Any, *arguments: Any, **options: Any) -> Any:
        counts["from scratch"] += len(networks)
        return train(networks, *arguments, **options)

    def counting_close(*arguments: Any) -> Any:
        counts["levels"] += 1
        return close(*arguments)

    monkeypatch.setattr("winsome.study.arm_runs.train_from_scratch", counting_train)
    monkeypatch.setattr(Search, "close", counting_close)
    return counts


def test_what_studies_share_is_done_once_and_is_what_each_would_have_done(tmp_path: Path, trained: dict[str, int]) -> None:
    arms = (ARMS["dense"], ARMS["planted_aws"], ARMS["network_lrr"])
    studies = [
        tiny(name="shallow", levels=(1,)),  # comes first, but the deeper one searches for it
        tiny(name="deep", levels=(2,)),
        tiny(name="seeds", search_seeds=(1, 2), levels=(2,)),  # shares seed 1
        tiny(name="longer", training=Training(3, 64, SGD(0.1))),  # shares the searches alone
        tiny(name="mask", arms=(*arms, ARMS["mask_only"])),
        tiny(name="other", network=NetworkSpec("residual_mlp", (("blocks", 2), ("width", 8)))),  # shares nothing
    ]
    ended = swept(studies, tmp_path / "together")
    assert not ended.failures
    assert not ended.skipped
    # Levels 0-2 of two methods: seeds 0, 1 and 2 once; and seeds 0 and 1 of the other network.
    assert trained["levels"] == 3 * 2 * (3 + 2)
    # Dense and planted at level 2 of seeds 0, 1 and 2; planted at level 1 of two; longer: both of two; mask: two; other: four.
    assert trained["from scratch"] == 2 * 3 + 2 + 4 + 2 + 4

    for study in (studies[0], studies[2], studies[3]):
        run(study, tmp_path / "alone" / study.name, workers=1)
        alone, together = results_in(tmp_path / "alone" / study.name), results_in(tmp_path / "together" / study.name)
        for place, content in alone.items():
            if not place.endswith("checkpoint.safetensors"):
                assert together[place] == content, f"{study.name}/{place}"
    one, other = (tmp_path / "together" / name / "searches/aws/seed-00/level-02.ticket" for name in ("deep", "longer"))
    assert one.samefile(other), "linked, not copied"

    trained.update({"from scratch": 0, "levels": 0})
    swept(studies, tmp_path / "together")
    assert trained == {"from scratch": 0, "levels": 0}, "a finished sweep trains nothing"
    more = [*studies, tiny(name="later", search_seeds=(0, 2), arms=(ARMS["planted_aws"],))]
    swept(more, tmp_path / "together")
    assert trained == {"from scratch": 0, "levels": 0}, "a study added later takes what is there"


def test_searches_in_borrowed_masks_are_shared_with_those_they_borrow_from(tmp_path: Path, trained: dict[str, int]) -> None:
    methods = (("lrr", learning_rate_rewinding(2, 0.5)), ("aws", SearchSpec(aws(2, 0.5), masks_of="lrr")))
    arms = (ARMS["planted_aws"],)
    plain = (("lrr", learning_rate_rewinding(2, 0.5)), ("aws", aws(2, 0.5)))
    studies = [
        tiny(name="borrowed", searches=methods, arms=arms),
        tiny(name="again", searches=methods, arms=arms, training=Training(1, 64, SGD(0.1))),
        tiny(name="own", searches=plain, arms=(ARMS["planted_aws"], ARMS["network_lrr"])),
        tiny(name="shallower", searches=methods, arms=arms, levels=(1,)),  # knows fewer masks: a search of its own
    ]
    ended = swept(studies, tmp_path)
    assert ended.failures == ()
    assert trained["levels"] == 2 * (3 + 3 + 3 + 2)


@pytest.mark.parametrize("linked", [True, False])
def test_copies_stand_in_where_links_cannot_be_made(tmp_path: Path, linked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linked:

        def no_links(*_: object) -> None:
            raise OSError("no links here")

        monkeypatch.setattr("os.link", no_links)
    studies = [tiny(name="one", arms=(ARMS["dense"],)), tiny(name="two", arms=(ARMS["dense"],))]
    swept(studies, tmp_path)
    files = [tmp_path / name / "arms/dense/dense/seed-00-start-0.safetensors" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].samefile(files[1]) == linked


def test_a_study_that_grew_or_claims_something_else_is_gathered_anew(tmp_path: Path) -> None:
    gathered: list[str] = []

    def results(study: Study) -> dict[str, Any]:
        steps = sweep_steps([study], tmp_path, command="test")
        events: list[Event] = []
        assert not run_sweep(steps, tmp_path, nullcontext(this_process()), watch=events.append).failures
        gathered.extend(event.state for event in events if steps[event.number].label == "results" and event.state != "moved")
        found: dict[str, Any] = json.loads((tmp_path / "tiny" / "results.json").read_text())
        return found

    study = tiny(arms=(ARMS["dense"],), reference=None)
    grown = dataclasses.replace(study, search_seeds=(0, 1, 2))
    claim = Claim("Half of dense is above zero.", "made up", {"dense": 0.5}, "half of dense")
    assert len(results(study)["rows"]) == 2
    assert len(results(grown)["rows"]) == 3
    assert results(dataclasses.replace(grown, title="Another"))["study"]["title"] == "Another"
    assert [one["claim"] for one in results(dataclasses.replace(grown, claims=(claim,)))["verdicts"]] == [claim.text]
    assert gathered == ["finished"] * 4
    results(dataclasses.replace(grown, claims=(claim,)))
    assert gathered == [*["finished"] * 4, "found"], "nothing is new"


# What fails


def test_a_failed_study_stops_no_other_and_is_tried_again(tmp_path: Path, trained: dict[str, int]) -> None:
    diverging = tiny(name="diverging", search_training=Training(1, 64, SGD(1e30), Constant()))
    ended = swept([diverging, tiny(name="fine")], tmp_path)
    assert [(failure.study, failure.job) for failure in ended.failures] == [
        ("diverging", "search lrr, seeds 0-1"),
        ("diverging", "search aws, seeds 0-1"),
    ]
    assert all("the loss became" in failure.error and not failure.trace for failure in ended.failures)
    assert {study for study, _ in ended.skipped} == {"diverging"}
    assert {job for _, job in ended.skipped} == {
        "planted_aws at level 2, seeds 0-1", "network_lrr at level 2, seeds 0-1", "results",
    }  # fmt: skip
    assert (tmp_path / "fine" / "results.json").is_file()
    assert (tmp_path / "diverging" / "arms" / "dense").is_dir(), "what does not need it was done"
    assert not (tmp_path / "diverging" / "results.json").exists()

    trained.update({"from scratch": 0, "levels": 0})
    events: list[Event] = []
    again = swept([diverging, tiny(name="fine")], tmp_path, watch=events.append)
    assert [failure.job for failure in again.failures] == [failure.job for failure in ended.failures]
    assert trained["from scratch"] == 0
    assert not [event for event in events if event.state == "finished"]


def test_what_failed_for_another_is_tried_by_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing is no dependence: a study that could share with one that failed does its own."""
    search = run_searches

    def fails_once(name: str, seeds: Any, study: Study, *arguments: Any) -> None:
        if study.name == "first":
            raise RuntimeError("a bug of this study's own")
        search(name, seeds, study, *arguments)

    monkeypatch.setattr("winsome.study.work.run_searches", fails_once)
    arms = (ARMS["planted_aws"],)
    ended = swept([tiny(name="first", arms=arms), tiny(name="second", arms=arms)], tmp_path)
    assert [(failure.study, failure.error) for failure in ended.failures] == [
        ("first", "RuntimeError: a bug of this study's own")
    ]
    assert "fails_once" in ended.failures[0].trace
    assert (tmp_path / "second" / "results.json").is_file()


def test_a_refused_sweep_leaves_every_folder_as_it_was(tmp_path: Path) -> None:
    """A study that had grown could not go back: seeds are never taken away."""
    first, second = (tiny(name=name, arms=(ARMS["dense"],)) for name in ("first", "second"))
    swept([first, second], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    grown = dataclasses.replace(first, search_seeds=(0, 1, 2))
    with pytest.raises(WinsomeError, match=r"second was made with another configuration: training\.epochs was 2, is now 3"):
        swept([grown, tiny(name="third"), dataclasses.replace(second, training=Training(3, 64, SGD(0.1)))], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_what_failed_is_told_and_written_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep that is stopped before its end has said why."""
    diverging = tiny(name="diverging", search_training=Training(1, 64, SGD(1e30), Constant()))
    steps = sweep_steps([diverging, tiny(name="fine")], tmp_path, command="test")
    display = SweepDisplay(steps)

    def watch(event: Event) -> None:
        display.watch(event)
        if steps[event.number].study.name == "fine":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(steps, tmp_path, nullcontext(this_process()), watch=watch)
    failures = json.loads((tmp_path / "sweep.json").read_text())["failures"]
    assert [(one["study"], one["job"]) for one in failures][:1] == [("diverging", "search lrr, seeds 0-1")]
    assert "the loss became" in failures[0]["error"]
    words = " ".join(capsys.readouterr().out.split())
    assert "diverging: search lrr, seeds 0-1, failed: " in words
    assert "the loss became" in words


def test_a_study_whose_folder_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    arms = (ARMS["dense"],)
    studies = [tiny(name=name, arms=arms) for name in ("one", "two", "three")]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "arms").write_text("in the way")  # where the shared results would be linked
    ended = swept(studies, tmp_path)
    assert [failure.study for failure in ended.failures] == ["two"]
    assert "cannot write" in ended.failures[0].error
    assert {study for study, _ in ended.skipped} == {"two"}
    assert (tmp_path / "three" / "results.json").is_file()


def test_studies_that_cannot_run_are_all_named_before_anything_is_written(tmp_path: Path) -> None:
    studies = [tiny(name="a", network=NetworkSpec("resnet21")), tiny(name="b"), tiny(name="c", data=DataSpec("digit"))]
    with pytest.raises(WinsomeError, match=r"a: unknown network 'resnet21'.*; c: unknown data set 'digit'"):
        swept(studies, tmp_path)
    assert not list(tmp_path.iterdir())


# On Ray

ON_RAY = """
import os, pathlib, signal
from dataclasses import replace
from winsome.scores import magnitude
from winsome.methods import aws, imp

MARKER = pathlib.Path({marker!r})

def deadly_magnitude(weights, model, probe, random):
    # The first process that prunes a second time dies on the spot, as if the kernel had killed it.
    count = sum(bool((weight == 0).sum() > 0.4 * weight.numel()) for weight in weights.values())
    if count and not MARKER.exists():
        MARKER.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return magnitude(weights, model, probe, random)

def sweep():
    from winsome.sweep import grid
    arms = tiny().arms
    return grid(tiny(), methods={{"deadly": replace(aws(2, 0.5), score=deadly_magnitude), "imp": imp(2, 0.5)}})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills a process as Linux does")
def test_a_killed_ray_worker_loses_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    marker = tmp_path / "killed"
    path = grid_file(tmp_path, ON_RAY.format(marker=str(marker)))
    main(["sweep", str(path), "--workers", "2", "--save-to", str(tmp_path / "ray")])
    assert int(marker.read_text()) != os.getpid(), "a worker was killed"
    assert not Path(f"/proc/{marker.read_text()}").exists()
    said_by_ray = capfd.readouterr().out
    assert "2/2 studies" in said_by_ray
    assert "failed:" not in said_by_ray

    main(["sweep", str(path), "--no-ray", "--workers", "1", "--save-to", str(tmp_path / "here")])
    on_ray, here = results_in(tmp_path / "ray"), results_in(tmp_path / "here")
    assert len([place for place in here if place.endswith(".ticket")]) == 2 * 2 * 3
    assert on_ray == here


@pytest.mark.slow
def test_ray_hands_on_errors_and_refuses_what_has_no_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    path = grid_file(
        tmp_path,
        """
        from dataclasses import replace
        from winsome.methods import aws, learning_rate_rewinding

        def broken(weights, model, probe, random):
            raise KeyError("a bug of the user's")

        score = replace(aws(2, 0.5), score=broken)
        studies = [tiny(name="broken", searches=(("lrr", learning_rate_rewinding(2, 0.5)), ("aws", score))), tiny(name="fine")]
        """,
    )
    command = ["sweep", str(path), "--workers", "1", "--save-to", str(tmp_path / "run")]
    words = said([*command, "--gpus-per-run", "64"], capsys)
    assert "no node of the cluster has 1 cores and 64 GPUs for one run" in words
    words = said(command, capsys, code=1)
    assert 'failed: broken: search aws, seeds 0-1: KeyError: "a bug of the user\'s"' in words
    assert "1/2 studies" in words
    record = json.loads((tmp_path / "run" / "sweep.json").read_text())
    assert "in broken" in record["failures"][0]["trace"], "the worker's own traceback"
    assert (tmp_path / "run" / "fine" / "report.html").is_file()


WHERE = """
import json, os, pathlib, time
from dataclasses import replace
from winsome.methods import aws

FOLDER = pathlib.Path({folder!r})

def noting(weights, model, probe, random):
    # Where a worker works and when: how many there are at a time.
    start = time.time()
    time.sleep(1)
    (FOLDER / f"{{os.getpid()}}-{{start}}.json").write_text(json.dumps([start, time.time(), os.getcwd()]))
    from winsome.scores import magnitude
    return magnitude(weights, model, probe, random)

class Locked:
    def __init__(self):
        self.lock = __import__("threading").Lock()
    def __call__(self, *rest):
        return noting(*rest)

def study(name, score):
    arms = (tiny().arms[1],)
    return tiny(name=name, searches=(("aws", replace(aws(1, 0.5), score=score)),), arms=arms, levels=(1,), warmup_epochs=0)

studies = [
    study("locked", Locked()),
    *(replace(study(f"one-{{n}}", noting), search_seeds=(2 * n, 2 * n + 1)) for n in range(2)),
]
"""


@pytest.mark.slow
def test_ray_workers_keep_to_the_number_and_folder_they_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    (tmp_path / "noted").mkdir()
    monkeypatch.chdir(tmp_path)
    path = grid_file(tmp_path, WHERE.format(folder=str(tmp_path / "noted")))
    command = ["sweep", str(path), "--workers", "1", "--save-to", "with space ü"]
    assert "cannot go beyond 0.0001" in said([*command, "--cpus-per-run", "0.00001"], capsys)
    words = said([*command, "--cpus-per-run", "0.5"], capsys, code=1)
    assert "failed: locked: search aws, seeds 0-1: it cannot be sent to other processes (cannot pickle" in words
    assert "2/3 studies" in words, "the others go on"
    noted = sorted(json.loads(file.read_text()) for file in (tmp_path / "noted").iterdir())
    assert len(noted) == 4, "two searches in each of two studies"
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(noted)), "one at a time"
    assert {folder for _, _, folder in noted} == {str(tmp_path)}
    assert (tmp_path / "with space ü" / "one-1" / "report.html").is_file()


# The command


def test_without_ray_the_command_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = grid_file(tmp_path, "studies = [tiny(arms=(tiny().arms[0],))]")
    words = said(["sweep", str(path), "--save-to", str(tmp_path / "run")], capsys)
    assert "pip install ray; or run on this machine alone with --no-ray" in words
    assert not (tmp_path / "run").exists()


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    path = grid_file(tmp_path, "studies = [tiny(arms=(tiny().arms[0],))]")
    with socket.socket() as unheard:  # bound, but nobody listens
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        words = said(["sweep", str(path), "--address", address, "--save-to", str(tmp_path / "run")], capsys)
    assert f"no Ray cluster at '{address}' " in words
    assert "start one with `ray start --head`" in words
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.py"], "no file absent.py; give a Python file that defines"),
        (["empty.py"], "empty.py: it defines neither"),
        (["empty.py", "--cpus-per-run", "0"], "--cpus-per-run must be above 0"),
        (["empty.py", "--cpus-per-run", "nan"], "--cpus-per-run must be above 0"),
        (["empty.py", "--workers", "-1"], "--workers 0 or more"),
        (["empty.py", "--retries", "-2"], "--retries 0 or more or -1 for ever"),
    ],
)
def test_bad_input_gets_a_sentence_and_no_folder(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert sentence in said(["sweep", *arguments], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.py"], "a refusal comes before any folder is written"


def test_the_command_runs_a_grid_and_reports_on_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
        from winsome.methods import aws
        from winsome.sweep import grid
        from winsome.training.settings import SGD, Constant, Training
        slow, fast = Training(1, 64, SGD(0.1), Constant()), Training(1, 64, SGD(1e30), Constant())
        studies = grid(tiny(), methods={"aws": aws(2, 0.5)}, variants={
            "fine": {"search_training": slow}, "diverging": {"search_training": fast}})
        """
    command = ["sweep", str(grid_file(tmp_path, text)), "--no-ray", "--workers", "1", "--save-to", str(tmp_path / "run")]
    main([*command, "--plan-only"])
    assert "tiny_aws_diverging: dense, seeds 0-1 (shared)" in capsys.readouterr().out
    words = said(command, capsys, code=1)
    assert "failed: tiny_aws_diverging: search aws, seeds 0-1: " in words
    assert "skipped: 4 jobs that need what failed, of tiny_aws_diverging" in words
    assert f"report: {tmp_path / 'run' / 'report.html'}" in words

    page = (tmp_path / "run" / "report.html").read_text()
    assert '<a href="tiny_aws_fine/report.html">' in page
    assert (tmp_path / "run" / "tiny_aws_fine" / "report.html").is_file()
    assert "1 of 2 are finished" in page
    assert "1 failed" in page
    results = json.loads((tmp_path / "run" / "tiny_aws_fine" / "results.json").read_text())
    cells = [f"{100 * entry['mean']:.1f} ± {100 * entry['std']:.1f}" for entry in results["table"]]
    assert len(cells) == 4
    assert all(f"<td>{cell}</td>" in page for cell in cells)
    assert results["comparisons"], "compared with the planted signed mask"

    rows = Page(page).tables[0]  # well-formed, too
    assert rows[1][0].startswith("tiny_aws_fine")
    assert rows[1][1] == "25\u00a0%"
    assert rows[2][0].startswith("tiny_aws_diverging")
    assert rows[2][1:] == ["not finished", *["—"] * 4]

    before = page
    main(["report", str(tmp_path / "run")])
    assert (tmp_path / "run" / "report.html").read_text() == before


# The example in the documentation


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The grid file of docs/sweeps.md."""
    text = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(code) == 1
    path = tmp_path / "widths.py"
    path.write_text(code[0])
    return path


def test_the_example_is_six_studies_that_share_their_dense_runs(example: Path) -> None:
    _, studies = read_grid(example)
    assert len(studies) == 6
    assert "digits_aws_residual_mlp-width-32" in {study.name for study in studies}
    steps = sweep_steps(studies, example.parent / "run", command="test")
    assert {step.label for step in steps if step.task.after} == {"dense, seeds 0-3"}
    assert sum(bool(step.task.after) for step in steps) == 4


@pytest.mark.slow
def test_the_example_runs(example: Path) -> None:
    folder = example.parent / "run"
    main(["sweep", str(example), "--no-ray", "--save-to", str(folder)])
    assert len(list(folder.glob("*/report.html"))) == 6
    assert "All are finished: 96 results" in (folder / "report.html").read_text()
