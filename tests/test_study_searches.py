"""What a study's searches may share and change (masks, trainings, a pruned classifier), and which networks are kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from test_study import rows_of, tiny
from winsome.errors import WinsomeError
from winsome.files import read_json, read_state
from winsome.mask_swap import permuted_masks, random_masks_of_the_same_counts
from winsome.methods import imp, learning_rate_rewinding, weight_rewinding
from winsome.state import State
from winsome.study.arms import ARMS, FoundNetwork, Planted
from winsome.study.conditions import conditions_of, fresh_network
from winsome.study.design import SearchSpec, Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import SearchJob, jobs_of, needs
from winsome.study.run import run
from winsome.training.evaluation import judge
from winsome.training.settings import SGD, Constant, Training


def swapping(**changes: object) -> Study:
    """IMP in LRR's masks, LRR in IMP's, and two ways of randomising LRR's masks."""
    methods = (
        ("imp_in_lrr", SearchSpec(imp(2, 0.5), "lrr")),  # named before its source: order must not matter
        ("lrr", learning_rate_rewinding(2, 0.5)),
        ("imp", imp(2, 0.5)),
        ("lrr_in_imp", SearchSpec(learning_rate_rewinding(2, 0.5), "imp")),
        ("permuted", SearchSpec(learning_rate_rewinding(2, 0.5), "lrr", permuted_masks)),
        ("random", SearchSpec(learning_rate_rewinding(2, 0.5), "lrr", random_masks_of_the_same_counts)),
        ("again", SearchSpec(learning_rate_rewinding(2, 0.5), "permuted")),
    )
    arms = tuple(FoundNetwork(name, name, f"The {name} network.", name) for name, _ in methods)
    settings: dict[str, object] = {"searches": methods, "arms": arms, "prune_classifier": True, "starts": (0,), "curve_at": ()}
    return dataclasses.replace(tiny(), **{**settings, **changes})  # type: ignore[arg-type]


def kept(folder: Path, search: str, seed: int, level: int) -> State:
    mask = StudyFolder(folder).found(search, seed, level).ticket.mask
    return {name: mask.kept(name) for name in mask}


def equal(a: State, b: State) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swapped")
    run(swapping(), folder, workers=1)
    return folder


@pytest.mark.parametrize(("borrower", "lender"), [("imp_in_lrr", "lrr"), ("lrr_in_imp", "imp"), ("again", "permuted")])
def test_a_swaps_masks_are_the_other_runs(swapped: Path, borrower: str, lender: str) -> None:
    for seed in (0, 1):
        for level in (0, 1, 2):
            assert equal(kept(swapped, borrower, seed, level), kept(swapped, lender, seed, level))
    assert not equal(kept(swapped, "imp", 0, 2), kept(swapped, "lrr", 0, 2)), "by themselves they differ"


@pytest.mark.parametrize("name", ["permuted", "random"])
def test_randomised_masks_keep_the_layer_counts(swapped: Path, name: str) -> None:
    for seed in (0, 1):
        for level in (1, 2):
            mine, other = kept(swapped, name, seed, level), kept(swapped, "lrr", seed, level)
            assert {n: int(k.sum()) for n, k in mine.items()} == {n: int(k.sum()) for n, k in other.items()}
            assert not equal(mine, other)
    assert not equal(kept(swapped, name, 0, 1), kept(swapped, name, 1, 1)), "a seed's masks are its own"


def test_the_classifier_is_pruned_where_a_study_says_so(swapped: Path, tmp_path: Path) -> None:
    study = swapping()
    names = list(kept(swapped, "lrr", 0, 2))
    network = fresh_network(study, conditions_of(study), seed=0)
    assert names == [name for name, p in network.named_parameters() if p.ndim == 2]
    unpruned = dataclasses.replace(study, prune_classifier=False, arms=study.arms[1:2])
    run(unpruned, tmp_path, workers=1)
    assert list(kept(tmp_path, "lrr", 0, 2)) == names[:-1]
    with pytest.raises(WinsomeError, match="prune_classifier was false, is now true"):
        run(dataclasses.replace(study, arms=study.arms[1:2]), tmp_path, workers=1)


def test_borrowers_wait_for_lenders_however_many_run_at_once(swapped: Path, tmp_path: Path) -> None:
    study = swapping()
    jobs = jobs_of(study, at_once=1)
    for place, job in enumerate(jobs):
        if isinstance(job, SearchJob):
            lenders = [other.search for other in needs(job, jobs, study) if isinstance(other, SearchJob)]
            assert lenders == ([study.search_specs[job.search].masks_of] if study.search_specs[job.search].masks_of else [])
            assert all(jobs.index(other) < place for other in needs(job, jobs, study))
    run(study, tmp_path, workers=2)
    assert rows_of(study, tmp_path) == rows_of(study, swapped)


def test_only_what_arms_need_is_searched_lenders_included() -> None:
    study = swapping(arms=(FoundNetwork("again", "again", "", "again"),))
    assert set(study.needed_searches()) == {"again", "permuted", "lrr"}


def test_a_search_may_train_as_only_it_does(tmp_path: Path) -> None:
    own = Training(2, 64, SGD(0.05), Constant(), warmup_epochs=1)
    methods = (("lrr", learning_rate_rewinding(1, 0.5)), ("warm", SearchSpec(learning_rate_rewinding(1, 0.5), training=own)))
    arms = tuple(FoundNetwork(name, name, "", name) for name in ("lrr", "warm"))
    study = dataclasses.replace(tiny(), searches=methods, arms=arms, levels=(1,), starts=(0,), curve_at=())
    assert [study.level_training("warm", k).epochs for k in (0, 1)] == [3, 2]
    assert study.level_training("lrr", 1) == study.search_training
    run(study, tmp_path, workers=1)
    config = read_json(tmp_path / "searches" / "warm" / "seed-00" / "config.json")
    assert config["training"] == {**own.record(), "warmup_epochs_before_level_0": 1}
    assert not equal(StudyFolder(tmp_path).found("lrr", 0, 1).state, StudyFolder(tmp_path).found("warm", 0, 1).state)


def test_searches_that_rewind_to_a_later_step_train_as_a_stack_too(tmp_path: Path) -> None:
    """Level 1 starts from each member's own network of step 3, and trains the rest of the schedule from there."""
    study = dataclasses.replace(
        tiny(), searches=(("wr", weight_rewinding(1, 0.5, step=3)),), arms=(FoundNetwork("wr", "wr", "", "wr"),), levels=(1,)
    )
    assert conditions_of(study).stacked
    run(study, tmp_path, workers=1)
    early = [read_state(tmp_path / "searches" / "wr" / f"seed-{seed:02d}" / "early.safetensors")[0] for seed in (0, 1)]
    assert not equal(*early)
    frozen = dataclasses.replace(study.search_training, optimizer=SGD(1e-30, 0.0, 0.0))
    still = dataclasses.replace(study, search_training=frozen, warmup_epochs=0)
    run(still, tmp_path / "still", workers=1)  # nothing moves but statistics: the early network is the first one
    for seed in (0, 1):
        place = tmp_path / "still" / "searches" / "wr" / f"seed-{seed:02d}"
        initial, kept_early = read_state(place / "initial.safetensors")[0], read_state(place / "early.safetensors")[0]
        assert all(
            torch.allclose(initial[n], kept_early[n], rtol=0, atol=1e-20)
            for n in initial
            if "running" not in n and "tracked" not in n
        )
        assert int(kept_early["2.num_batches_tracked"]) == 3
        assert (
            int(StudyFolder(tmp_path / "still").found("wr", seed, 1).state["2.num_batches_tracked"]) == 4
        )  # step 3, the last of an epoch
        assert read_json(place / "level-01.json")["first_step"] == 3


def test_circles_and_unknown_lenders_are_refused() -> None:
    plan = learning_rate_rewinding(2, 0.5)
    with pytest.raises(WinsomeError, match=r"'a' borrows the masks of 'c'; the study has a, b"):
        swapping(searches=(("a", SearchSpec(plan, "c")), ("b", plan)), arms=(ARMS["dense"],))
    with pytest.raises(WinsomeError, match="borrow each other's masks in a circle"):
        swapping(searches=(("a", SearchSpec(plan, "b")), ("b", SearchSpec(plan, "a"))), arms=(ARMS["dense"],))


def test_trained_networks_are_kept_and_a_repeat_differs_in_data_order_only(tmp_path: Path) -> None:
    names = ("dense", "planted_aws", "planted_aws_reordered", "mask_only")
    study = dataclasses.replace(tiny(), arms=tuple(ARMS[name] for name in names))
    run(study, tmp_path, workers=1)
    conditions = conditions_of(study)
    states = {}
    for arm, place in [("dense", "dense"), *((name, "level-02") for name in names[1:])]:
        stem = tmp_path / "arms" / arm / place / "seed-01-start-1"
        states[arm], _ = read_state(stem.with_suffix(".safetensors"))
        network = fresh_network(study, conditions, seed=0)
        network.load_state_dict(states[arm])
        # Its accuracy, computed anew from the file, is the one that was written down (a single network rounds otherwise).
        judged = judge(network, conditions)[0]["accuracy"]
        assert judged == pytest.approx(read_json(stem.with_suffix(".json"))["accuracy"], abs=0.011)
    mask = StudyFolder(tmp_path).found("aws", 1, 2).ticket.mask
    for name in mask:
        assert not bool(states["planted_aws_reordered"][name][~mask.kept(name)].any())
        assert not torch.equal(states["planted_aws"][name], states["planted_aws_reordered"][name])
    assert not (tmp_path / "arms" / "planted_aws_reordered" / "level-01").exists(), "repeats run at the deepest level only"
    # With the order that the arm it repeats has, a repeat is that arm: everything else is the same.
    as_before = ARMS["planted_aws_reordered"]
    assert isinstance(as_before, Planted)
    as_before = dataclasses.replace(as_before, order=0)
    again = dataclasses.replace(study, arms=(as_before,))
    run(again, tmp_path / "again", workers=1)
    file = "arms/planted_aws_reordered/level-02/seed-01-start-1.safetensors"
    assert equal(read_state(tmp_path / "again" / file)[0], states["planted_aws"])
