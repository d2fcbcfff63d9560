"""One contract for every recipe, from its studies to its page; and what a recipe's cost is estimated from."""

from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from winsome import report
from winsome.data.spec import DataSpec
from winsome.densities import geometric
from winsome.errors import WinsomeError
from winsome.evidence.results import Status
from winsome.models.spec import NetworkSpec
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.recipe import Evidence, Recipe
from winsome.recipes.run import run_recipe
from winsome.recipes.set_ups import set_ups
from winsome.rewinding import RewindAndRestart
from winsome.study.arms import CLAIMS, FoundNetwork, kind_of
from winsome.study.design import SearchSpec, Study
from winsome.study.jobs import ArmJob, Job, SearchJob
from winsome.study.reuse import Places
from winsome.study.run import Watch
from winsome.study.work import run_job
from winsome.training.conditions import Conditions
from winsome.training.settings import Training

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@contextmanager
def unwatched(_study: Study, _folder: Path, _conditions: Conditions) -> Iterator[Watch]:
    yield lambda _: None


def shrunk(study: Study) -> Study:
    """The same study of seconds: two seeds, two levels, one epoch, few images, a narrow network."""

    def training(one: Training) -> Training:
        return replace(one, epochs=1, batch_size=64, warmup_epochs=min(one.warmup_epochs, 1))

    def plan(one: SearchSpec) -> SearchSpec:
        rewind = replace(one.method.rewind, step=min(one.method.rewind.step, 1))  # type: ignore[type-var]
        once = (1, 2) if one.method.prune_at else ()
        method = replace(one.method, densities=geometric(2, 0.5), rewind=rewind, prune_at=once)
        epochs = (1, 1, 1) if one.epochs else ()
        return SearchSpec(method, one.masks_of, one.borrow, training(one.training) if one.training else None, epochs)

    own = dict(study.network.options) if study.network.name == "residual_mlp" else {}
    network = NetworkSpec("residual_mlp", tuple({**own, "blocks": 1, "width": 16}.items()))
    return replace(
        study,
        data=DataSpec("digits", train_images=260, test_images=100),
        network=network,
        searches=tuple((name, plan(one)) for name, one in study.search_specs.items()),
        search_training=training(study.search_training),
        training=training(study.training),
        warmup_epochs=0,
        levels=(1, 2) if len(study.levels) > 1 else (2,),
        search_seeds=(0, 1),
        starts=study.starts[:1],
        curve_at=(),
    )


def shrunken(recipe: Recipe, *, studies: int = 1, arms: Collection[str] = ()) -> Recipe:
    """The first of its studies, made small; with these arms only, where it has dozens."""
    first = list(recipe.studies.items())[:studies]
    made = {label: shrunk(study) for label, study in first}
    if arms:
        made = {label: replace(one, arms=tuple(arm for arm in one.arms if arm.name in arms)) for label, one in made.items()}
    return replace(recipe, studies=made)


FEW = {
    "search_budget": ("dense", "mask_only", *(f"planted_aws{plan}" for plan in ("", "_one_shot", "_cubic", "_dense_9"))),
    "search_budget_lrr": ("dense", "mask_only_lrr", "planted_lrr", "planted_lrr_quarter"),
    "search_budget_frozen": ("dense", "mask_only_frozen", "planted_frozen", "planted_aws", "planted_frozen_quarter"),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", ["small", "medium", "paper"])
def test_every_recipe_is_whole_at_every_scale(name: str, scale: Any) -> None:
    recipe = RECIPES[name](scale)
    assert recipe.title
    assert recipe.claim.endswith(".")
    assert "arXiv:" in recipe.source
    assert (inspect.getdoc(RECIPES[name]) or "").partition("\n")[0].endswith((".", "?"))
    for label, study in recipe.studies.items():
        assert label == label.lower().replace("_", "-"), "it names a folder"
        assert study.name
        for claim in study.claims:
            known = {arm.name for arm in study.arms}
            assert set(claim.contrast) <= known or claim in CLAIMS, claim.text  # the paper's: judged where their arms are
    small = scale == "small"
    assert all((study.data.name == "digits") == small for study in recipe.studies.values())


# Of a kind with others that are run every time; `uv run pytest -m slow` runs these, too.
ALIKE = (
    "lrr_mask_swap",
    "imp_mask_swap",
    "mask_randomisation",
    "random_masks",
    "sign_perturbation",
    "sign_transplants",
    "absorbed_signs",
    "norm_free",
    "frozen_norms",
    "sign_in",
    "norm_rewinding",
    "imagenet_table",
    "at_initialisation",
    "n_of_m",
    "search_budget",
    "search_budget_lrr",
    "search_budget_frozen",
    "equal_epochs",
    "level_length",
    "low_sparsity",
    "single_neuron",
)


def test_the_price_of_a_search_is_read_where_only_some_kinds_were_searched(tmp_path: Path) -> None:
    recipe = shrunken(RECIPES["search_budget"]("medium"))
    record = run_recipe("x", recipe, tmp_path, scale="medium", command="winsome test", watching=unwatched, workers=1)
    (table,) = (one for one in record["tables"] if one["name"] == "budget")
    assert [row[2] for row in table["rows"]] == ["usual", "quarter", "one shot", "dense 28"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in RECIPES])
def test_every_recipe_runs_to_its_page(name: str, tmp_path: Path) -> None:
    recipe = shrunken(RECIPES[name]("small"), studies=2 if name == "frozen_norms" else 1, arms=FEW.get(name, ()))
    record = run_recipe(name, recipe, tmp_path / name, scale="small", command="winsome test", watching=unwatched, workers=1)
    assert json.loads((tmp_path / name / "recipe.json").read_text()) == json.loads(json.dumps(record))
    assert record["tables"]
    assert record["figures"]
    for figure in record["figures"]:
        assert set(figure) == {"name", "caption"}, "a record holds no drawings"
        for kind in ("svg", "pdf"):
            assert (tmp_path / name / f"{figure['name']}.{kind}").stat().st_size > 1000
    for table in record["tables"]:
        with (tmp_path / name / f"{table['name']}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == table["columns"]
        assert rows[1:] == [["" if value is None else str(value) for value in row] for row in table["rows"]]
        assert rows[1:], "a table of nothing"
    for verdict in record["verdicts"]:
        assert verdict["status"] in get_args(Status)
    page = report.write(tmp_path).read_text()
    assert recipe.title.split("(")[0] in page.replace("&#39;", "'")
    assert page.count("<svg") == 2 * len(record["figures"])
    for label in recipe.studies:
        assert (tmp_path / name / label / "report.html").is_file()
        assert f'href="{name}/{label}/report.html"' in page


def test_a_second_process_in_a_recipe_is_refused(tmp_path: Path) -> None:
    program = "import sys, winsome.runs.lock, pathlib\nwith winsome.runs.lock.only_process(pathlib.Path(sys.argv[1])):\n"
    program += "    print('held', flush=True)\n    sys.stdin.read()"
    held = [sys.executable, "-c", program, str(tmp_path / "one")]
    recipe = shrunken(RECIPES["lrr_mask_swap"]("small"))
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WinsomeError, match=r"another process is at work in .*one"):
            run_recipe("one", recipe, tmp_path / "one", scale="small", command="winsome test", watching=unwatched)
        assert not list((tmp_path / "one").glob("*.json")), "nothing was written"
        other.communicate()


def test_a_finished_recipe_is_not_run_again_and_another_scale_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shrunken(RECIPES["lrr_mask_swap"]("small"))
    settings: dict[str, Any] = {"command": "x", "watching": unwatched, "workers": 1}
    first = run_recipe("lrr_mask_swap", recipe, tmp_path, scale="small", **settings)

    def never(*_: object) -> float:
        raise AssertionError("a finished study was run again")

    monkeypatch.setattr("winsome.study.run.run_job", never)
    again = run_recipe("lrr_mask_swap", recipe, tmp_path, scale="small", **settings)
    assert again["tables"] == first["tables"]
    with pytest.raises(WinsomeError, match='scale was "small", is now "paper"'):
        run_recipe("lrr_mask_swap", recipe, tmp_path, scale="paper", **settings)


@pytest.mark.slow
def test_what_studies_and_recipes_share_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = shrunken(RECIPES["frozen_norms"]("small"), studies=2)
    first, second = recipe.studies
    longer = replace(recipe.studies[second], training=replace(recipe.studies[second].training, epochs=2))
    recipe = replace(recipe, studies={**recipe.studies, second: longer})
    ran: list[Job] = []

    def counted(job: Job, *rest: Any) -> float:
        ran.append(job)
        return run_job(job, *rest)

    monkeypatch.setattr("winsome.study.run.run_job", counted)
    settings: dict[str, Any] = {"scale": "small", "command": "x", "watching": unwatched, "workers": 1}
    done: list[Places] = []
    run_recipe("frozen_norms", recipe, tmp_path / "shared", done=done, **settings)
    searches = [job for job in ran if isinstance(job, SearchJob)]
    assert len(searches) == len(set(searches)) == len(recipe.studies[first].needed_searches()), "once for both studies"
    n_arms = sum(isinstance(job, ArmJob) and not isinstance(job.arm, FoundNetwork) for job in ran)
    assert n_arms == sum(kind_of(arm) != "network" for study in recipe.studies.values() for arm in study.arms), "each its own"
    ran.clear()
    run_recipe("other", recipe, tmp_path / "other", done=done, **settings)
    assert not ran, "all of it was done by the recipe before"
    alone = replace(recipe, studies={second: recipe.studies[second]}, analyse=lambda _: Evidence((), (), ()))
    run_recipe("alone", alone, tmp_path / "alone", **settings)
    assert any(isinstance(job, SearchJob) for job in ran)

    def rows(place: str) -> list[dict[str, Any]]:
        found = json.loads((tmp_path / place / second / "results.json").read_text())["rows"]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in found]

    assert rows("shared") == rows("other") == rows("alone")


def test_differences_are_the_paired_means_by_hand(tmp_path: Path) -> None:
    recipe = shrunken(RECIPES["imp_mask_swap"]("small"))
    record = run_recipe("x", recipe, tmp_path, scale="small", command="x", watching=unwatched, workers=1)
    label = next(iter(recipe.studies))
    rows = json.loads((tmp_path / label / "results.json").read_text())["rows"]
    accuracy = {(row["arm"], round(row["density"], 6), row["search_seed"]): row["accuracy"] for row in rows}
    table = next(table for table in record["tables"] if table["name"] == "differences")
    first = [row for row in table["rows"] if row[1] == "LRR in IMP's masks minus IMP"]
    assert len(first) == 2, "one for each density"
    for row in first:
        density = round(row[2], 6)
        by_hand = [accuracy["lrr_in_imp", density, seed] - accuracy["imp", density, seed] for seed in (0, 1)]
        assert row[3] == pytest.approx(sum(by_hand) / 2)
        assert row[6:] == [2, sum(value > 0 for value in by_hand)]


def test_the_papers_set_ups_are_the_papers() -> None:
    cifar10, cifar100 = set_ups("paper")
    assert (cifar10.network.name, cifar100.network.name) == ("resnet20", "resnet18")
    for set_up, decay in ((cifar10, 1e-4), (cifar100, 1e-3)):
        training = set_up.training
        assert (training.epochs, training.batch_size, training.warmup_epochs) == (150, 256, 10)
        assert (training.optimizer.learning_rate, training.optimizer.weight_decay) == (0.1, decay)
        rates = [training.rate(step, 196) for step in (196 * 10 - 1, 196 * 70 - 1, 196 * 70, 196 * 130 - 1, 196 * 130)]
        assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
        assert set_up.warmup_steps == 1960
    plans = RECIPES["lrr_mask_swap"]("paper").studies["resnet20-cifar10"].search_specs
    assert plans["imp"].method.rewind == RewindAndRestart(1960)
    assert plans["imp"].method.densities == pytest.approx([0.8**k for k in range(16)])
