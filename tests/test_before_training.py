"""Pruning at initialisation in studies and on the command line, beside methods that train, alone and as stacks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import winsome
from test_study import tiny
from winsome.cli import main
from winsome.evidence.description import design_of
from winsome.files import read_json
from winsome.seeding import stream_seed
from winsome.study.arms import Planted
from winsome.study.conditions import conditions_of, fresh_network
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, SearchJob, jobs_of, needs
from winsome.study.reuse import results_of
from winsome.study.run import run
from winsome.study.transplants import Found, plant_found_signs
from winsome.training.settings import SGD, Training

FOUND = Planted("found", "found signs", "", "snip", plant_found_signs, signs_of=("lrr", 0))


def beside(*, seeds: int = 2, arms: tuple[Planted, ...] = (FOUND,)) -> Study:
    lrr = winsome.learning_rate_rewinding(2, 0.5)
    snip = dataclasses.replace(winsome.snip(), densities=lrr.densities)
    return dataclasses.replace(
        tiny(),
        searches=(("lrr", lrr), ("snip", snip)),
        arms=(Planted("planted_snip", "SNIP", "", "snip"), *arms),
        levels=(1, 2),
        search_seeds=tuple(range(seeds)),
        starts=(0,),
        curve_at=(),
        training=Training(1, 64, SGD(0.1)),
    )


@pytest.mark.parametrize("seeds", [1, 2], ids=["alone", "as a stack"])
def test_snip_beside_lrr_in_a_study_with_its_own_signs_and_with_found_ones(seeds: int, tmp_path: Path) -> None:
    study = beside(seeds=seeds)
    conditions = conditions_of(study)
    assert conditions.stacked == (seeds > 1)
    run(study, tmp_path, workers=1)
    folder = StudyFolder(tmp_path)
    assert read_json(tmp_path / "config.json")["probe"]["training"] == {"lrr": True, "snip": False}
    start = fresh_network(study, conditions, seed=stream_seed(0, "search network")).state_dict()
    for level in (1, 2):
        found = folder.found("snip", 0, level)
        assert found.ticket.density == pytest.approx(0.5**level, abs=1e-3)
        for name, sign in found.ticket.mask.items():
            kept = sign != 0
            assert torch.equal(sign[kept] < 0, start[name][kept] < 0), "the signs of the start"
    dense = folder.found("lrr", 0, 0).state
    assert any(bool(((dense[name] < 0) != (start[name] < 0)).any()) for name in found.ticket.mask), "training flips signs"
    network = fresh_network(study, conditions, seed=5)
    mask = plant_found_signs(Found(found.ticket, found.state, dense), network, torch.Generator())
    for name, sign in mask.items():
        kept = found.ticket.mask.kept(name)
        assert torch.equal(sign != 0, kept)
        assert torch.equal(sign[kept] < 0, dense[name][kept] < 0), "the signs of the trained dense network"
        assert torch.equal(network.get_parameter(name).detach()[kept] < 0, dense[name][kept] < 0)


def test_an_arm_waits_for_both_its_searches_and_is_another_with_other_signs() -> None:
    study = beside()
    jobs = jobs_of(study, at_once=2)
    arm = next(job for job in jobs if isinstance(job, ArmJob) and job.arm.name == "found")
    assert {job.search for job in needs(arm, jobs, study) if isinstance(job, SearchJob)} == {"lrr", "snip"}
    alone = dataclasses.replace(study, arms=(FOUND,))
    assert set(alone.needed_searches()) == {"lrr", "snip"}
    assert alone.record()["arm_settings"]["found"]["signs_of"] == ["lrr", 0]
    other = dataclasses.replace(study, searches=(("lrr", winsome.aws(2, 0.5)), study.searches[1]))
    places = [set(results_of(arm, one, StudyFolder(Path()), stacked=True)) for one in (study, other)]
    assert not places[0] & places[1], "what signs follow from is part of an arm's identity"
    with pytest.raises(winsome.WinsomeError, match="the arm 'found' needs a search 'aws'; the study has lrr, snip"):
        beside(arms=(dataclasses.replace(FOUND, signs_of=("aws", 0)),))
    with pytest.raises(winsome.WinsomeError, match="the arm 'found' takes signs of level 3; the search 'lrr' ends at level 2"):
        beside(arms=(dataclasses.replace(FOUND, signs_of=("lrr", 3)),))
    with pytest.raises(winsome.WinsomeError, match=r"say which search and level it is of, Planted\(\.\.\., signs_of="):
        plant_found_signs(Found(None, {}), torch.nn.Linear(2, 2), torch.Generator())  # type: ignore[arg-type]


QUICK = ("--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256", "--test-images", "100")


def test_the_command_line_prunes_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    command = ["find", "digits", "--method", "snip", "--densities", "0.2", "--score-rounds", "2", "--probe-images", "64"]
    main([*command, "--probe-mode", "training", *QUICK, "--save-to", str(folder)])
    made = winsome.read(folder / "level-00.ticket").provenance
    assert made["method"]["score"] == "snip"
    assert made["method"]["scoring"] == "Rounds(rounds=2, before_training=True)"
    assert (made["probe"]["examples"], made["probe"]["training"]) == (64, True)
    with pytest.raises(SystemExit):
        main(["find", "digits", "--method", "snip", "--levels", "3"])
    assert "snip has no levels: leave --levels out; the density of every level is --densities" in capsys.readouterr().err


def test_a_study_of_the_command_line_takes_methods_before_training_at_the_densities_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--levels", "2", "--rate", "0.5", "--seeds", "1", "--epochs", "1", "--workers", "1")
    main(["study", "digits", "--methods", "snip", "lrr", *sizes, *QUICK, "--plan-only"])
    assert "search snip" in capsys.readouterr().out
    arms = ("--arms", "planted_snip", "mask_only_snip")
    main(["study", "digits", "--methods", "snip", "lrr", *sizes, *QUICK, *arms, "--save-to", str(tmp_path)])
    densities = json.loads((tmp_path / "config.json").read_text())["searches"]["snip"]["densities"]
    assert densities == [1.0, 0.5, 0.25]


def test_a_study_says_in_how_many_rounds_and_when_weights_are_scored() -> None:
    study = beside()
    assert [search["score"] for search in design_of(study)["searches"]] == ["magnitude", "snip, before training"]
    snip = study.search_specs["snip"].method
    in_rounds = dataclasses.replace(snip, scoring=dataclasses.replace(snip.scoring, rounds=10))
    changed = dataclasses.replace(study, searches=(study.searches[0], ("snip", in_rounds)))
    assert design_of(changed)["searches"][1]["score"] == "snip, in 10 rounds, before training"
