"""A finished study may grow in its folder: more arms, levels, seeds and starts, and nothing is trained twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from test_study import rows_of, tiny
from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.gather import collect
from winsome.files import read_json
from winsome.methods import imp, learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.study.arms import ARMS, FoundNetwork, Planted
from winsome.study.design import SearchSpec
from winsome.study.folder import StudyFolder
from winsome.study.jobs import Job
from winsome.study.run import StudyProgress, run
from winsome.study.transplants import plant_mask


def test_a_grown_study_equals_one_that_was_made_so(tmp_path: Path) -> None:
    whole = dataclasses.replace(tiny(), arms=tuple(ARMS[name] for name in ("dense", "planted_aws", "planted_lrr", "mask_only")))
    part = dataclasses.replace(whole, arms=(ARMS["dense"], ARMS["planted_aws"]), levels=(1,), starts=(0,))
    run(part, tmp_path / "grown", workers=1)
    done: list[Job] = []
    run(whole, tmp_path / "grown", workers=1, watch=lambda p: done.append(p.job) if p.finished and p.job else None)
    run(whole, tmp_path / "whole", workers=1)
    assert read_json(tmp_path / "grown" / "config.json") == read_json(tmp_path / "whole" / "config.json")
    recorded = read_json_of(whole)
    assert {key: value for key, value in read_json(tmp_path / "grown" / "config.json").items() if key in recorded} == recorded
    assert rows_of(whole, tmp_path / "grown") == rows_of(whole, tmp_path / "whole")
    kept = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.safetensors")}
    assert {path.relative_to(tmp_path / "grown") for path in (tmp_path / "grown").rglob("*.safetensors")} == kept
    for path in kept:
        assert (tmp_path / "grown" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_one_seed_becomes_several_where_networks_train_one_by_one_anyway(tmp_path: Path) -> None:
    apart = dataclasses.replace(
        tiny(),
        network=NetworkSpec("small_conv", (("width", 4),)),
        arms=(ARMS["planted_lrr"],),
        levels=(1,),
        starts=(0,),
        curve_at=(),
    )
    for study, may in ((apart, True), (dataclasses.replace(tiny(), arms=(ARMS["dense"],), starts=(0,)), False)):
        folder, one = tmp_path / study.network.name, dataclasses.replace(study, search_seeds=(0,))
        run(one, folder / "grown", workers=1)
        several = dataclasses.replace(study, search_seeds=(0, 1))
        if not may:
            with pytest.raises(WinsomeError, match=r"search_seeds was \[0\], is now \[0, 1\]"):
                run(several, folder / "grown", workers=1)
            continue
        before = rows_of(one, folder / "grown")
        run(several, folder / "grown", workers=1)
        run(several, folder / "whole", workers=1)
        assert rows_of(several, folder / "grown") == rows_of(several, folder / "whole")
        assert rows_of(one, folder / "grown") == before


def read_json_of(study: object) -> dict[str, object]:
    import json

    record: dict[str, object] = json.loads(json.dumps(study.record()))  # type: ignore[attr-defined]
    return record


def test_a_study_does_not_shrink_or_change(tmp_path: Path) -> None:
    study = dataclasses.replace(tiny(), arms=(ARMS["dense"],), levels=(1, 2))
    run(study, tmp_path, workers=1)
    for changed, sentence in (
        (dataclasses.replace(study, search_seeds=(0,)), r"search_seeds was \[0, 1\], is now \[0\]"),
        (dataclasses.replace(study, levels=(2,)), r"levels was \[1, 2\], is now \[2\]"),
        (dataclasses.replace(study, search_seeds=(0, 1, 2), statistics_images=500), "statistics_images was 1000, is now 500"),
    ):
        before = (tmp_path / "config.json").read_bytes()
        with pytest.raises(WinsomeError, match=sentence):
            run(changed, tmp_path, workers=1)
        assert (tmp_path / "config.json").read_bytes() == before


def test_an_arm_does_not_become_another_of_its_name(tmp_path: Path) -> None:
    study = dataclasses.replace(tiny(), arms=(Planted("mine", "mine", "", "lrr"),), levels=(1,), starts=(0,), curve_at=())
    run(study, tmp_path, workers=1)
    for changed, sentence in (
        (Planted("mine", "mine", "", "aws"), r"arm_settings\.mine\.search was \"lrr\", is now \"aws\""),
        (Planted("mine", "mine", "", "lrr", plant_mask), r"transplant was \"plant_signs\", is now \"plant_mask\""),
        (Planted("mine", "mine", "", "lrr", order=1), r"order was 0, is now 1"),
        (FoundNetwork("mine", "mine", "", "lrr"), r"arm_settings\.mine\.transplant was"),
    ):
        with pytest.raises(WinsomeError, match=sentence):
            run(dataclasses.replace(study, arms=(changed,), searches=tiny().searches), tmp_path, workers=1)
    run(dataclasses.replace(study, arms=(*study.arms, Planted("more", "more", "", "lrr", plant_mask))), tmp_path, workers=1)


def test_a_study_does_not_go_on_with_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = dataclasses.replace(tiny(), arms=(ARMS["dense"],), levels=(1,), curve_at=())
    run(study, tmp_path, workers=1)
    load = DataSpec.load

    def one_label_more(plan: DataSpec) -> ImageData:
        images = load(plan)
        labels = images.train.labels.clone()
        labels[0] = (labels[0] + 1) % 10
        return dataclasses.replace(images, train=dataclasses.replace(images.train, labels=labels))

    with monkeypatch.context() as changed:
        changed.setattr(DataSpec, "load", one_label_more)
        with pytest.raises(WinsomeError, match="the images are others"):
            run(dataclasses.replace(study, search_seeds=(0, 1, 2)), tmp_path, workers=1)
    run(dataclasses.replace(study, search_seeds=(0, 1, 2)), tmp_path, workers=1)  # with its own it goes on


def test_a_study_with_borrowed_masks_grows_by_arms_but_not_by_levels(tmp_path: Path) -> None:
    methods = (("lrr", learning_rate_rewinding(2, 0.5)), ("imp", SearchSpec(imp(2, 0.5), "lrr")))
    arms = (FoundNetwork("imp", "imp", "", "imp"), FoundNetwork("lrr", "lrr", "", "lrr"))
    study = dataclasses.replace(tiny(), searches=methods, arms=arms[:1], levels=(1,), starts=(0,), curve_at=())
    run(study, tmp_path, workers=1)
    run(dataclasses.replace(study, arms=arms), tmp_path, workers=1)
    with pytest.raises(WinsomeError, match=r"levels was \[1\], is now \[1, 2\]"):
        run(dataclasses.replace(study, arms=arms, levels=(1, 2)), tmp_path, workers=1)


def test_a_single_network_does_not_become_one_of_several(tmp_path: Path) -> None:
    """It was not trained as a stack: its bits would not be those of the larger study."""
    study = dataclasses.replace(tiny(), arms=(ARMS["dense"],), search_seeds=(0,), starts=(0,))
    run(study, tmp_path, workers=1)
    with pytest.raises(WinsomeError, match=r"search_seeds was \[0\], is now \[0, 1\]"):
        run(dataclasses.replace(study, search_seeds=(0, 1)), tmp_path, workers=1)
    run(dataclasses.replace(study, arms=(ARMS["dense"], ARMS["planted_lrr"])), tmp_path, workers=1)
    assert (tmp_path / "arms" / "planted_lrr" / "level-02" / "seed-00-start-0.json").exists()


def test_the_time_of_a_study_adds_up_over_the_stretches_in_which_it_ran(tmp_path: Path) -> None:
    study = dataclasses.replace(tiny(), arms=(ARMS["network_lrr"], ARMS["planted_lrr"]), levels=(1,), starts=(0,))

    def stop(progress: StudyProgress) -> None:
        if progress.finished:
            raise KeyboardInterrupt

    assert StudyFolder(tmp_path).seconds() == 0
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path, workers=1, watch=stop)
    first = StudyFolder(tmp_path).seconds()
    assert first > 0
    run(study, tmp_path, workers=1)
    total = StudyFolder(tmp_path).seconds()
    seconds = collect(study, tmp_path, command="test")["seconds"]
    assert seconds["total"] == total > first
    assert set(seconds) == {"total", "jobs", "searches", "network", "planted"}
    assert seconds["jobs"] == pytest.approx(seconds["searches"] + seconds["network"] + seconds["planted"])
    assert 0 < seconds["jobs"] < total, "in one process, what is no job takes time too"
    run(study, tmp_path, workers=1)
    assert StudyFolder(tmp_path).seconds() == total, "nothing was left to do"
