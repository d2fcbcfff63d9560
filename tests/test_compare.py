"""Studies of any methods, one's own among them: by name, from a file, with parts from the lists, and lines between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import winsome
from commands import said
from winsome.cli import choices, main
from winsome.evidence.pairs import pairs_of
from winsome.method import Method
from winsome.methods import METHODS
from winsome.study import presets
from winsome.study.arms import ARMS, arms_of_search
from winsome.study.compare import arms_named, arms_of, compare

OWN = """
import torch
from dataclasses import replace
from winsome import KeepWeights, Method, geometric
from winsome.about import described
from winsome.study import presets

@described("SNIP", "Weights that move the loss are kept.", needs=("probe", "gradient"))
def snip(weights, model, probe, random):
    loss = probe.loss(model(probe.inputs), probe.labels)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: (g * w).abs().detach() for (name, w), g in zip(weights.items(), gradients)}

def mine(levels=1, rate=0.5):
    return Method(geometric(levels, rate), KeepWeights(), score=snip, label="Mine")

def tiny(levels=1):
    base = presets.digits(levels, 0.5)
    quick = replace(base.search_training, epochs=1)
    small = replace(base, search_training=quick, training=quick, warmup_epochs=0, curve_at=(), statistics_images=200)
    return replace(small, search_seeds=(0,))
"""
QUICK = ("--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256", "--test-images", "100")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_a_study_compares_any_methods_each_with_each(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "study"
    sizes = ("--levels", "1", "--rate", "0.5", "--seeds", "2", "--epochs", "1", "--workers", "1")
    main(["study", "digits", "--methods", "imp", "aws", f"{own}:mine", *sizes, *QUICK, "--save-to", str(folder)])
    results = json.loads((folder / "results.json").read_text())
    assert [search["label"] for search in results["study"]["searches"]] == ["IMP", "AWS", "Mine"]
    signed = ["planted_imp", "planted_aws", "planted_mine"]
    pairs = {(entry["first"], entry["second"]) for entry in results["comparisons"]}
    assert pairs == {(signed[0], signed[1]), (signed[0], signed[2]), (signed[1], signed[2])}
    capsys.readouterr()
    main(["barrier", str(folder), "--points", "3"])
    out = capsys.readouterr().out
    assert "|θ₀|·s_IMP to IMP network" in out
    assert "|θ₀|·s_mine to mine network" in out
    own.write_text(OWN.replace("(g * w).abs()", "(g * w).square()"), encoding="utf-8")
    again = ["study", "digits", "--methods", "imp", "aws", f"{own}:mine", *sizes, *QUICK, "--save-to", str(folder)]
    assert "snip" in said(again, capsys), "the function that changed is named"


def test_a_study_of_ones_own_runs_by_name(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    main(
        ["study", f"{own}:tiny", "--levels", "1", "--arms", "dense", "planted_aws", "--save-to", str(folder), "--workers", "1"]
    )
    config = json.loads((folder / "config.json").read_text())
    assert config["arms"] == ["dense", "planted_aws"]
    assert config["search_training"]["epochs"] == 1


def test_what_is_no_study_is_refused_by_name(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gives a Method; a winsome Study or images are wanted" in said(["study", f"{own}:mine"], capsys)
    assert "absent" in said(["study", f"{own}:absent"], capsys)
    assert "--densities are of the methods" in said(["study", "digits", "--densities", "0.5"], capsys)
    assert "--rewind-step is of the methods" in said(["study", "digits", "--rewind-step", "5"], capsys)
    assert "unknown method 'nonesuch'" in said(["study", "digits", "--methods", "nonesuch"], capsys)


def test_parts_of_a_method_come_from_the_lists_or_from_a_file(own: Path, tmp_path: Path) -> None:
    parts = ("--score", f"{own}:snip", "--allocate", "uniformly", "--rewind", "RewindTo", "--rewind-step", "1")
    main(
        ["find", "digits", "--method", "lrr", *parts, *QUICK, "--densities", "0.5", "0.25", "--save-to", str(tmp_path / "run")]
    )
    method = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert method["score"]["name"] == "snip"
    assert (method["allocate"], method["rewind"], method["densities"]) == ("uniformly", "RewindTo(step=1)", [0.5, 0.25])


@pytest.mark.parametrize("name", choices.method_names())
def test_every_method_is_made_from_the_options_that_it_takes(name: str) -> None:
    made = choices.method(name, levels=2, rate=0.5, step=3)
    if not choices.takes(name, "levels"):  # before training: one density, from the start
        assert made.densities == (0.1,)
    elif choices.takes(name, "rate"):
        assert made.densities == (1.0, 0.5, 0.25)
    else:
        assert len(made.densities) == 3, "steps, phases or cycles of its own"
        assert made.densities[-1] == 0.1
    assert made.label
    assert set(METHODS) <= set(choices.method_names())


def test_a_searchs_own_arms_are_those_of_the_papers_where_these_have_them() -> None:
    for search in ("aws", "lrr"):
        arms = arms_named(search, search.upper())
        for name in set(arms) & set(ARMS):
            assert arms[name] is ARMS[name]
            assert arms_of_search(search, search.upper())[name].search == search


def test_claims_stay_where_all_their_arms_do() -> None:
    methods: dict[str, Method] = {"aws": choices.method("aws", levels=2), "lrr": choices.method("lrr", levels=2)}
    study = compare(presets.digits(levels=2), methods)
    names = {arm.name for arm in study.arms}
    assert study.claims
    assert all(names.issuperset(claim.contrast) for claim in study.claims)
    assert study.comparisons == (("planted_aws", "planted_lrr"),)


def test_a_method_of_ones_own_is_not_taken_for_another_of_its_name_or_label() -> None:
    lrr, aws = choices.method("lrr", levels=2), choices.method("aws", levels=2)
    own = replace(lrr, score=winsome.random, label="")
    called_lrr = compare(presets.digits(levels=2), {"aws": aws, "lrr": own})
    assert called_lrr.claims == compare(presets.digits(levels=2), {"aws": aws}).claims, "the papers claim nothing of it"
    labels = {arm.label for arm in called_lrr.arms if arm.search == "lrr"}
    assert labels == {"lrr network", "|θ₀|·s_lrr", "θ₀·m_lrr (mask only)"}
    alike = compare(presets.digits(levels=2), {"lrr": lrr, "mine": replace(own, label=lrr.label)})
    shown = [arm.label for arm in alike.arms]
    assert len(set(shown)) == len(shown)
    assert {"|θ₀|·s_LRR", "|θ₀|·s_LRR (mine)"} <= set(shown)
    assert arms_of(alike)["planted_mine"] == next(arm for arm in alike.arms if arm.name == "planted_mine")


def test_lines_join_whatever_plants_a_searchs_signs() -> None:
    settings = {
        "mine": {"search": "x", "transplant": "plant_signs", "order": 0, "while_training": "plain"},
        "mine_again": {"search": "x", "transplant": "plant_signs", "order": 1, "while_training": "plain"},
        "other": {"search": "x", "transplant": "plant_mask", "order": 0, "while_training": "plain"},
    }
    pairs = {pair.name: pair for pair in pairs_of({"searches": ["x"], "arm_settings": settings})}
    assert (pairs["x_planted"].first.arm, pairs["x_noise"].second.arm) == ("mine", "mine_again")
    assert pairs["x_norms_kept"].first.arm == "planted_x_phi", "what it would be called"
