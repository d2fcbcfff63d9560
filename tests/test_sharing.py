"""What two studies may share: for every field of a study, which results follow from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from test_sweep import tiny
from winsome.data.spec import DataSpec
from winsome.mask_swap import permuted_masks
from winsome.methods import aws, learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.scores import random
from winsome.study.arms import ARMS, Arm, Planted, kind_of
from winsome.study.conditions import conditions_of
from winsome.study.design import SearchSpec, Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, SearchJob, jobs_of
from winsome.study.reuse import _files, adopt, results_of
from winsome.study.transplants import plant_mask
from winsome.training.probe import ProbeSpec
from winsome.training.settings import SGD, Adam, Constant, Training

KINDS = ("aws", "lrr", "dense", "planted", "network")
LRR = ("lrr", learning_rate_rewinding(2, 0.5))
DATA = DataSpec("digits", train_images=260, test_images=100)
NETWORK = NetworkSpec("residual_mlp", (("blocks", 2), ("width", 16)))
PLANTED = ARMS["planted_aws"]
assert isinstance(PLANTED, Planted)


def arms_with(planted: Planted) -> tuple[Arm, ...]:
    return ARMS["dense"], planted, ARMS["network_lrr"]


# field, its new value, and the results that do not follow from it: they alone may be shared.
CHANGES: list[tuple[str, Any, tuple[str, ...]]] = [
    ("name", "other", KINDS),
    ("title", "Another", KINDS),
    ("claims", (), KINDS),
    ("reference", None, KINDS),
    ("each_other", ("planted_aws", "planted_lrr"), KINDS),
    ("data", dataclasses.replace(DATA, train_images=261), ()),
    ("data", dataclasses.replace(DATA, test_images=99), ()),
    ("data", dataclasses.replace(DATA, validation=True), ()),
    ("network", NetworkSpec("residual_mlp", (("blocks", 2), ("width", 8))), ()),
    ("searches", (("lrr", learning_rate_rewinding(2, 0.4)), ("aws", aws(2, 0.4))), ("dense",)),
    ("searches", (LRR, ("aws", dataclasses.replace(aws(2, 0.5), score=random))), ("lrr", "dense", "network")),
    ("searches", (LRR, ("aws", learning_rate_rewinding(2, 0.5))), ("lrr", "dense", "network")),
    ("searches", (LRR, ("aws", SearchSpec(aws(2, 0.5), masks_of="lrr"))), ("lrr", "dense", "network")),
    ("searches", (LRR, ("aws", SearchSpec(aws(2, 0.5), "lrr", permuted_masks))), ("lrr", "dense", "network")),
    ("searches", (LRR, ("aws", SearchSpec(aws(2, 0.5), training=Training(2, 64)))), ("lrr", "dense", "network")),
    ("probe", ProbeSpec(64, 64), KINDS),  # no search looks at it
    ("search_training", Training(2, 64, SGD(0.1), Constant()), ("dense",)),
    ("search_training", Training(1, 65, SGD(0.1), Constant()), ("dense",)),
    ("search_training", Training(1, 64, SGD(0.2), Constant()), ("dense",)),
    ("search_training", Training(1, 64, Adam(0.1), Constant()), ("dense",)),
    ("search_training", Training(1, 64, SGD(0.1)), ("dense",)),
    ("warmup_epochs", 2, ("dense",)),
    ("warmup_ramp", True, ("dense",)),
    ("training", Training(3, 64, SGD(0.1)), ("aws", "lrr")),
    ("training", Training(2, 64, SGD(0.1), warmup_epochs=1), ("aws", "lrr")),
    (
        "arms",
        (ARMS["dense"], dataclasses.replace(PLANTED, transplant=plant_mask), ARMS["network_lrr"]),
        (*KINDS[:3], "network"),
    ),
    ("arms", (ARMS["dense"], dataclasses.replace(PLANTED, order=1), ARMS["network_lrr"]), (*KINDS[:3], "network")),
    ("arms", (*tiny().arms, ARMS["mask_only"]), KINDS),
    ("levels", (1,), ("aws", "lrr", "dense")),
    ("search_seeds", (0, 1, 2), KINDS),
    ("search_seeds", (0,), ()),  # a single network trains as no stack, and rounds otherwise
    ("starts", (0, 1), KINDS),
    ("curve_at", (1,), ("aws", "lrr")),
    ("statistics_images", 200, ()),
    ("statistics_augmented", False, ()),
    ("fast", False, ()),
    ("compiled", True, ()),
    ("prune_classifier", True, ()),
]


def identities(study: Study) -> dict[str, set[Any]]:
    """The identities of what seed 0 (and start 0) give, by kind of result."""
    found: dict[str, set[Any]] = {kind: set() for kind in KINDS}
    stacked = conditions_of(study).stacked
    for job in jobs_of(study, at_once=1):
        kind = job.search if isinstance(job, SearchJob) else kind_of(job.arm)
        if isinstance(job, ArmJob) and (job.arm.name == "mask_only" or job.level not in (0, study.deepest)):
            continue
        found[kind] |= {
            identity
            for identity in results_of(job, study, StudyFolder(Path()), stacked=stacked)
            if _seed(identity) in (0, (0, 0))
        }
    return found


def _seed(identity: Any) -> Any:
    return identity[-1]


@pytest.mark.parametrize(("field", "value", "shared"), CHANGES)
def test_results_are_one_where_all_that_they_follow_from_is_equal(field: str, value: Any, shared: tuple[str, ...]) -> None:
    study = tiny(data=DATA, network=NETWORK)
    assert getattr(study, field) != value
    before, after = identities(study), identities(dataclasses.replace(study, **{field: value}))
    assert all(before.values())
    for kind in KINDS:
        assert after[kind]
        may = kind in shared or (kind == "network" and {"lrr", "planted"} <= set(shared))
        assert bool(before[kind] & after[kind]) == may, kind


def test_every_field_of_a_study_is_decided_on() -> None:
    assert {field for field, _, _ in CHANGES} == {field.name for field in dataclasses.fields(Study)}


def test_masks_that_are_borrowed_belong_to_what_is_found_in_them() -> None:
    """A search in borrowed masks follows from the lender's settings, and knows as many masks as the study is deep."""
    borrowed = (LRR, ("aws", SearchSpec(aws(2, 0.5), masks_of="lrr")))
    other_lender = (("lrr", dataclasses.replace(LRR[1], score=random)), borrowed[1])
    study = tiny(searches=borrowed)
    for change in ({"searches": other_lender}, {"levels": (1,)}):
        changed = dataclasses.replace(study, **change)
        for kind in ("aws", "planted"):
            assert not identities(study)[kind] & identities(changed)[kind]


def test_records_are_linked_last(tmp_path: Path) -> None:
    """A level is finished if and only if its record is there: a kill between links must not leave it without weights."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    names = [f"level-{n:02d}.{kind}" for n in range(2) for kind in ("json", "safetensors", "ticket")]
    for name in (*names, "initial.safetensors", ".level-02.json.7.part"):
        (source / name).write_text(name)
    adopt({"search": target}, [{"search": source}])
    assert sorted(path.name for path in target.iterdir()) == sorted([*names, "initial.safetensors"])
    order = [path.suffix == ".json" for path in _files(source)]
    assert order == sorted(order)
