"""A study whose searches go different ways to one density: with other levels, other epochs, within one training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from test_study import tiny
from winsome import KeepWeights, Method, WinsomeError, ac_dc, gradual, learning_rate_rewinding, sculpt
from winsome.seeding import generator
from winsome.state import State
from winsome.study import presets
from winsome.study.arms import Arm, Dense, FoundNetwork, Planted
from winsome.study.compare import compare
from winsome.study.conditions import conditions_of, fresh_network
from winsome.study.design import SearchSpec, Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import SearchJob, cost, jobs_of
from winsome.study.reuse import all_results_of
from winsome.study.run import run
from winsome.study.transplants import Found, plant_found_signs, plant_largest
from winsome.training.settings import SGD, Constant, Training

AT = (5, 9)  # of 12 steps: 3 epochs of 4


def ways(*, seeds: int = 2) -> Study:
    searches: dict[str, Method | SearchSpec] = {
        "lrr": learning_rate_rewinding(2, 0.5),
        "once": SearchSpec(Method((1.0, 0.25), KeepWeights()), epochs=(2, 1)),
        "gmp": SearchSpec(gradual(density=0.25, prune_at=AT), training=Training(2, 64, SGD(0.1), Constant())),
        "ac_dc": ac_dc(3, 0.25),
        "sculpt": sculpt(2, 0.25),
    }
    arms: list[Arm] = [FoundNetwork(f"network_{name}", name, "", name) for name in searches]
    arms += [Planted("largest", "largest", "", "once", plant_largest, signs_of=("once", 0))]
    return replace(
        tiny(),
        searches=tuple(searches.items()),
        arms=tuple(arms),
        levels=(2,),
        search_seeds=tuple(range(seeds)),
        starts=(0,),
        curve_at=(),
        training=Training(1, 64, SGD(0.1)),
    )


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "as a stack"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, StudyFolder]:
    study = ways(seeds=request.param)
    folder = tmp_path_factory.mktemp("ways")
    assert conditions_of(study).stacked == (request.param > 1)
    run(study, folder, workers=1)
    return study, StudyFolder(folder)


def test_every_search_ends_at_the_density_that_is_judged_by_its_own_way(ran: tuple[Study, StudyFolder]) -> None:
    study, folder = ran
    ends = {"lrr": 2, "once": 1, "gmp": 2, "ac_dc": 3, "sculpt": 2}
    kept = {folder.found(name, 0, level).ticket.mask.n_kept for name, level in ends.items()}
    assert kept == {folder.found("lrr", 0, 2).ticket.mask.n_kept}
    assert {name: study.depth(name) for name in ends} == ends
    assert [folder.search("gmp", 0).read_record(level)["first_step"] for level in range(3)] == [0, *AT]
    densities = [folder.found("ac_dc", 0, level).ticket.density for level in range(4)]
    assert densities == pytest.approx([1, 0.25, 1, 0.25], abs=1e-3)
    results = folder.results(
        [run for job in jobs_of(study, at_once=1) if not isinstance(job, SearchJob) for run in job.arm_runs]
    )
    assert {result["density"] for result in results} == {0.25}
    assert len(results) == len(study.arms) * len(study.search_seeds)


def test_one_training_in_stretches_counts_once() -> None:
    study = ways()
    assert {name: study.search_epochs(name, 3) for name in ("lrr", "gmp")} == {"lrr": 4, "gmp": 3}
    assert study.search_epochs("once", 2) == 3
    costs = {job.search: cost(job, study) for job in jobs_of(study, at_once=16) if isinstance(job, SearchJob)}
    assert costs == {"lrr": 8, "once": 6, "gmp": 6, "ac_dc": 10, "sculpt": 8}


def test_the_largest_weights_of_another_network_by_sorting(ran: tuple[Study, StudyFolder]) -> None:
    study, folder = ran
    conditions = conditions_of(study)
    trained: State = folder.found("once", 0, 0).state
    found = replace(folder.found("once", 0, 1), signs_of=trained)
    network = fresh_network(study, conditions, seed=7)
    mask = plant_largest(found, network, generator(0, "transplant"))
    flat = torch.cat([trained[name].abs().flatten() for name in mask]).sort(descending=True).values
    threshold = flat[found.ticket.mask.n_kept - 1]
    for name, sign in mask.items():
        assert torch.equal(sign, torch.sign(trained[name]).to(torch.int8) * (trained[name].abs() >= threshold))
        assert torch.equal(torch.sign(network.get_parameter(name)).to(torch.int8), sign)
    for transplant in (plant_largest, plant_found_signs):
        with pytest.raises(WinsomeError, match=f"{transplant.__name__} takes the signs of another trained network"):
            transplant(Found(found.ticket, trained), network, generator(0, "transplant"))


def test_an_arm_is_known_by_the_level_of_its_own_search(tmp_path: Path) -> None:
    both = replace(ways(), arms=(Planted("planted", "planted", "", "once"),))
    alone = replace(both, searches=both.searches[1:2], levels=(1,))
    mine, theirs = (
        all_results_of(study, StudyFolder(tmp_path / place), stacked=True) for study, place in ((both, "a"), (alone, "b"))
    )
    assert mine.keys() == theirs.keys(), "it is done once for both studies"


def test_a_density_that_a_search_has_not_is_refused() -> None:
    study = ways()
    with pytest.raises(WinsomeError, match=r"judged at density 0\.5, which the search 'once' has not \(it has 1, 0\.25\)"):
        replace(study, levels=(1,))
    with pytest.raises(WinsomeError, match="takes signs of level 2; the search 'once' ends at level 1"):
        replace(study, arms=(Planted("x", "x", "", "once", plant_largest, signs_of=("once", 2)),))
    again = ("again", SearchSpec(Method((1.0, 0.25)), masks_of="lrr"))
    with pytest.raises(WinsomeError, match="'again' borrows the masks of 'lrr', which must have the same densities"):
        replace(study, searches=(*study.searches, again), arms=(FoundNetwork("again", "again", "", "again"),))
    for method in (learning_rate_rewinding(2), gradual(density=0.25, prune_at=AT)):
        with pytest.raises(WinsomeError, match="epochs are one number for each of 3 levels"):
            SearchSpec(method, epochs=(1, 2) if not method.prune_at else (1, 2, 3))
    short = SearchSpec(gradual(density=0.25, prune_at=AT), training=Training(1, 64, SGD(0.1), Constant()))
    ends_early = replace(study, searches=(("lrr", study.searches[0][1]), ("gmp", short)), arms=(Dense(),))
    with pytest.raises(WinsomeError, match=r"prunes at step 9 \(prune_at\), but the training has 8 steps"):
        conditions_of(ends_early)


def test_methods_are_compared_where_all_have_the_density() -> None:
    base, last = presets.digits(), 0.75**12
    methods = {"lrr": learning_rate_rewinding(12, 0.25), "gmp": gradual(12, last), "ac_dc": ac_dc(12, last)}
    assert compare(base, methods).levels == (12,)
    assert compare(base, {"lrr": methods["lrr"]}).levels == base.levels
    assert compare(base, methods, levels=(0,)).densities == (1.0,)
