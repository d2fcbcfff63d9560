"""`winsome reproduce`, and what `winsome find` offers beside its methods, as a user meets them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from test_recipes import shrunken
from winsome import ticket_file
from winsome.cli import main
from winsome.cli.recipe_display import print_table
from winsome.evidence.pairs import pairs_of
from winsome.files import read_json, write_json
from winsome.models.spec import NetworkSpec
from winsome.recipes import catalogue
from winsome.recipes.recipe import MakeRecipe, Recipe, Scale
from winsome.recipes.step_time import StepTime
from winsome.study.jobs import Job, SearchJob
from winsome.study.work import run_job
from winsome.training.settings import Training

PAIRS = pairs_of({"searches": ["lrr", "aws"]})

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FIND = [
    "find",
    "digits",
    "--levels",
    "2",
    "--rate",
    "0.5",
    "--level-epochs",
    "2",
    "--warmup-epochs",
    "0",
    "--train-images",
    "260",
]
FIND += [
    "--train-images",
    "260",
    "--test-images",
    "100",
    "--batch-size",
    "64",
    "--network-option",
    "width=16",
    "--network-option",
    "blocks=1",
]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of seconds among the real ones."""

    def tiny_swap(scale: Scale) -> Recipe:
        """IMP in LRR's masks, in seconds."""
        return shrunken(catalogue.RECIPES["lrr_mask_swap"](scale))

    monkeypatch.setitem(catalogue.RECIPES, "tiny_swap", tiny_swap)


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["reproduce"], ["reproduce", "list"]):
        main(arguments)
        printed = words(capsys)
        assert all(name in printed for name in catalogue.RECIPES)


@pytest.mark.usefixtures("tiny")
def test_a_recipe_ends_in_a_table_verdicts_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["reproduce", "tiny_swap", "--save-to", str(tmp_path), "--workers", "1"])
    printed = words(capsys)
    assert "LRR's masks improve IMP." in printed
    assert "density 0.25" in printed
    assert (tmp_path / "report.html").is_file()
    assert read_json(tmp_path / "tiny_swap" / "recipe.json")["scale"] == "small"
    main(["reproduce", "tiny_swap", "--save-to", str(tmp_path), "--workers", "1"])  # nothing is trained, the page is there
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "tiny_swap", "--seeds", "1", "--save-to", str(tmp_path), "--workers", "1"])
    assert stopped.value.code == 2
    assert "search_seeds was [0, 1], is now [0]" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_an_estimate_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["reproduce", "tiny_swap", "--estimate-only", "--save-to", str(tmp_path / "never")])
    printed = words(capsys)
    assert "ms a step here in stacks of 2: about" in printed
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("step", "network", "said"),
    [
        (3.0, "small_conv", "--seeds 2; more seeds asked for later go on from there"),
        (5.0, "small_conv", "--seeds 1 (a single one judges no claim); more seeds"),
        (5.0, "residual_mlp", "--seeds 1 (a single one judges no claim)"),
        (0.5, "small_conv", ""),
    ],
)
def test_an_estimate_proposes_the_seeds_of_three_quarters_of_an_hour(
    step: float, network: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winsome.recipes.training_kinds.step_time", lambda *_, **__: StepTime(step, 1e6, 128, 128))
    monkeypatch.setattr("winsome.recipes.estimate.level_time", lambda _: 0.0)
    recipe = catalogue.RECIPES["lrr_mask_swap"]("small")
    study = next(iter(recipe.studies.values()))
    small = replace(
        study, network=NetworkSpec(network), search_seeds=tuple(range(8)), search_training=Training(1), warmup_epochs=0
    )
    made = replace(recipe, studies={"one": small})
    monkeypatch.setitem(catalogue.RECIPES, "lrr_mask_swap", always(made))
    main(["reproduce", "lrr_mask_swap", "--estimate-only", "--workers", "1"])
    printed = words(capsys)
    assert (said in printed) if said else ("45 minutes" not in printed)
    assert ("go on from there" in printed) == ("more seeds" in said)


def always(recipe: Recipe) -> MakeRecipe:
    """The same recipe at every scale."""

    def make(_scale: Scale) -> Recipe:
        return recipe

    return make


@pytest.mark.slow  # `test_what_studies_and_recipes_share_is_done_once` is run every time
def test_a_later_call_takes_what_an_earlier_one_has_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lrr_mask_swap", "imp_mask_swap"):  # they share the searches of LRR and of IMP
        monkeypatch.setitem(catalogue.RECIPES, name, always(shrunken(catalogue.RECIPES[name]("small"))))
    ran: list[Job] = []

    def counted(job: Job, *rest: Any) -> float:
        ran.append(job)
        return run_job(job, *rest)

    monkeypatch.setattr("winsome.study.run.run_job", counted)

    def epochs_left() -> int:
        main(["reproduce", "imp_mask_swap", "--estimate-only", "--save-to", str(tmp_path / "shared")])
        said = words(capsys).replace(",", "")
        return 0 if "epochs are there already" in said else int(said.partition(" epochs of")[0].split()[-1])

    def searched(name: str, folder: str) -> list[str]:
        ran.clear()
        main(["reproduce", name, "--save-to", str(tmp_path / folder), "--workers", "1"])
        capsys.readouterr()
        return [job.search for job in ran if isinstance(job, SearchJob)]

    assert epochs_left() == round(3 * 2 * 3 + 0.3 * 3 * 2 * 2), "methods, seeds, levels; judging arms, levels, seeds"
    assert searched("lrr_mask_swap", "shared") == ["lrr", "imp", "imp_in_lrr"]
    assert epochs_left() == round(1 * 2 * 3 + 0.3 * 1 * 2 * 2), "two of three methods, searched and judged"
    assert searched("imp_mask_swap", "shared") == ["lrr_in_imp"]
    assert epochs_left() == 0, "all are there already"
    assert searched("imp_mask_swap", "alone") == ["lrr", "imp", "lrr_in_imp"]

    def rows(folder: str) -> list[dict[str, Any]]:
        (path,) = (tmp_path / folder / "imp_mask_swap").glob("*/results.json")
        return [{key: value for key, value in row.items() if key != "seconds"} for row in read_json(path)["rows"]]

    assert rows("shared") == rows("alone")

    # What was made with other settings is not taken, nor what is damaged.
    (config,) = (tmp_path / "shared" / "lrr_mask_swap").glob("*/config.json")
    write_json(config, {**read_json(config), "statistics_images": 999})
    shutil.rmtree(tmp_path / "shared" / "imp_mask_swap")
    assert searched("imp_mask_swap", "shared") == ["lrr", "imp", "lrr_in_imp"]
    config.write_text("{")
    shutil.rmtree(tmp_path / "shared" / "imp_mask_swap")
    assert searched("imp_mask_swap", "shared") == ["lrr", "imp", "lrr_in_imp"]


def test_an_unknown_recipe_is_refused_with_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "lrr_mask_swop"])
    assert stopped.value.code == 2
    assert "lrr_mask_swap" in capsys.readouterr().err


def test_a_search_in_borrowed_masks_has_them(tmp_path: Path) -> None:
    main([*FIND, "--method", "lrr", "--save-to", str(tmp_path / "lrr")])
    for borrow, same in (("same", True), ("permuted", False), ("random", False)):
        folder = tmp_path / borrow
        main([*FIND, "--method", "imp", "--masks-of", str(tmp_path / "lrr"), "--borrow", borrow, "--save-to", str(folder)])
        for level in (1, 2):
            mine, other = (ticket_file.read(place / f"level-{level:02d}.ticket").mask for place in (folder, tmp_path / "lrr"))
            assert {n: c.kept for n, c in mine.layers().items()} == {n: c.kept for n, c in other.layers().items()}
            assert all(torch.equal(mine.kept(name), other.kept(name)) for name in mine) == same


def test_signs_stay_fixed_or_flip_and_the_classifier_is_pruned(tmp_path: Path) -> None:
    fixed = ["--fixed-signs", "--prune-classifier", "--lr-warmup-epochs", "1"]
    main([*FIND, "--method", "lrr", *fixed, "--save-to", str(tmp_path / "fixed")])
    first = ticket_file.read(tmp_path / "fixed" / "level-00.ticket").mask
    last = ticket_file.read(tmp_path / "fixed" / "level-02.ticket").mask
    assert len(first) == 3, "stem, block, classifier"
    assert all(torch.equal(last[name], first[name] * last.kept(name)) for name in last)
    assert read_json(tmp_path / "fixed" / "config.json")["training"]["warmup_epochs"] == 1
    main(
        [
            *FIND,
            "--method",
            "aws",
            "--flip-signs",
            "0.5",
            "--flip-every",
            "1",
            "--flip-levels",
            "1",
            "2",
            "--save-to",
            str(tmp_path / "flips"),
        ]
    )
    method = read_json(tmp_path / "flips" / "config.json")["method"]
    assert "interpolated_norms" in method["while_training"]
    assert "OnLevels(levels=(1, 2), part=SignFlips(probability=0.5, at=(0, 4))" in method["while_training"]
    main([*FIND, "--method", "lrr", "--rewind-norms", "--save-to", str(tmp_path / "norms")])
    assert read_json(tmp_path / "norms" / "config.json")["method"]["rewind"] == "KeepWeightsRewindNorms(step=0)"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--flip-signs", "30", "--flip-every", "1"], r"must be in [0, 1], got 30"),
        (["--flip-signs", "0.3"], "signs flip every 30 epochs, but a level trains 2"),
        (["--masks-of", "nowhere"], "nowhere"),
        (["--borrow", "stolen", "--masks-of", "nowhere"], "unknown way to borrow masks"),
    ],
)
def test_variations_out_of_range_are_refused_before_anything_is_written(
    more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*FIND, "--method", "lrr", *more, "--save-to", str(tmp_path / "x")])
    assert stopped.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_a_table_in_80_columns_cuts_no_word_of_a_label(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["study", "pair", "above", "barrier", "low", "high", "seeds", "first", "last"]
    rows = [["only", pair.label, "straight", 34.7123, 29.71, 39.81, 16, 8.123, 7.5] for pair in PAIRS]
    print_table(Console(width=80), {"caption": "Error barriers.", "columns": columns, "rows": rows})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    printed = " ".join(" ".join(lines).split())
    for pair in PAIRS:
        assert pair.label.partition(" to ")[0] in printed
    for value in ("straight", "34.71", "29.71", "39.81", "16", "8.123", "7.5"):
        assert printed.split().count(value) == len(PAIRS), value
