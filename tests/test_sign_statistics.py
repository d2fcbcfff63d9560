"""Sign statistics: against loops over made-up histories, searches whose flips are known, and files read back."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from winsome import find_tickets, methods
from winsome.analysis.sign_files import write_agreement, write_levels, write_weights
from winsome.analysis.sign_history import SignHistory, common_level, search_runs, sign_history
from winsome.analysis.signs import COUNTS, agreements, dynamics, flips, level_signs, settled_level
from winsome.errors import WinsomeError
from winsome.files import read_state
from winsome.level import Level
from winsome.method import Method
from winsome.signed_mask import SignedMask

Weight = tuple[int, ...]  # the sign of one weight at every moment; 0 from where it is pruned on


def history(layers: dict[str, list[Weight]], method: str = "imp", seed: int = 0) -> SignHistory:
    """The history in which each weight has these signs."""
    moments = len(next(iter(layers.values()))[0])
    masks = (
        SignedMask(
            {name: torch.tensor([weight[k] for weight in weights], dtype=torch.int8) for name, weights in layers.items()}
        )
        for k in range(moments)
    )
    return SignHistory(method, seed, tuple(masks))


@st.composite
def made_up(draw: st.DrawFn) -> dict[str, list[Weight]]:
    """Layers of weights with random signs, each alive from the start to a random moment."""
    levels = draw(st.integers(1, 6))
    signs = st.lists(st.sampled_from((-1, 1)), min_size=levels + 1, max_size=levels + 1)
    weight = st.builds(
        lambda sign, life: tuple(s if k < life else 0 for k, s in enumerate(sign)), signs, st.integers(1, levels + 1)
    )
    return {name: draw(st.lists(weight, min_size=1, max_size=8)) for name in ("first", "second")}


def alive(weights: list[Weight]) -> list[Weight]:
    return [weight for weight in weights if weight[-1] != 0]


def count_flips(weight: Weight) -> int:
    count = 0
    for before, after in itertools.pairwise(weight):
        if before != after:
            count += 1
    return count


def last_flip(weight: Weight) -> int:
    """From the end: the sign settles where all that follows equals the last."""
    moment = len(weight) - 1
    while moment > 0 and weight[moment - 1] == weight[-1]:
        moment -= 1
    return moment


@given(made_up())
def test_flips_and_settling_against_loops(layers: dict[str, list[Weight]]) -> None:
    made = history(layers)
    for name, weights in layers.items():
        assert flips(made)[name].tolist() == [count_flips(weight) for weight in alive(weights)]
        assert settled_level(made)[name].tolist() == [last_flip(weight) for weight in alive(weights)]


@given(made_up())
def test_level_counts_against_loops(layers: dict[str, list[Weight]]) -> None:
    for part in level_signs(history(layers)):
        moment = part.level + 1  # moment k is the end of level k - 1
        living = [weight for weight in layers[part.layer] if weight[moment] != 0]
        assert part.total == len(layers[part.layer])
        assert part.kept == len(living)
        assert part.positive == sum(weight[moment] == 1 for weight in living)
        assert part.flipped == sum(weight[moment] != weight[moment - 1] for weight in living)
        assert part.flipped_since_start == sum(weight[moment] != weight[0] for weight in living)


@given(made_up())
def test_dynamics_against_loops(layers: dict[str, list[Weight]]) -> None:
    found = dynamics(history(layers))
    living = [weight for weights in layers.values() for weight in alive(weights)]
    counts, moments = [count_flips(weight) for weight in living], [last_flip(weight) for weight in living]
    size = len(layers["first"][0])
    assert found.flip_counts() == tuple(counts.count(n) for n in range(size))
    assert found.settled_counts() == tuple(moments.count(k) for k in range(size))
    assert found.level == size - 2
    whole = found.at(found.level)
    assert whole.kept == len(living) == found.at(found.level, "first").kept + found.at(found.level, "second").kept
    expected: tuple[tuple[float, list[int]], ...] = (
        (found.mean_flips(), counts),
        (found.mean_settled(), moments),
        (found.mean_settled_of_flipped(), [moment for moment in moments if moment]),
        (found.flipped_at_all(), [int(count > 0) for count in counts]),
    )
    for value, values in expected:
        assert math.isnan(value) if not values else value == pytest.approx(fmean(values))


def test_a_weight_by_hand() -> None:
    # Initial +, level 0 turns it, level 1 leaves it, level 2 turns it back; the other lives through level 0 only.
    made = history({"w": [(1, -1, -1, 1), (1, 1, 0, 0)]})
    assert flips(made)["w"].tolist() == [2]
    assert settled_level(made)["w"].tolist() == [3]  # moment 3, the end of level 2
    assert [(part.kept, part.flipped, part.flipped_since_start) for part in level_signs(made)] == [
        (2, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
    ]


def test_what_is_no_history_is_refused() -> None:
    one = SignedMask({"w": torch.tensor([1, 0, -1], dtype=torch.int8)})
    other = SignedMask({"w": torch.tensor([1, 1, 0], dtype=torch.int8)})
    with pytest.raises(WinsomeError, match="at least one level"):
        SignHistory("imp", 0, (one,))
    with pytest.raises(WinsomeError, match="imp, seed 3: level 0 keeps weights of w that were pruned before"):
        SignHistory("imp", 3, (one, other))
    with pytest.raises(WinsomeError, match=r"of different networks: .* in the end of level 0"):
        SignHistory("imp", 0, (one, SignedMask({"w": torch.ones(2, dtype=torch.int8)})))


# Searches whose flips are known: "training" turns every sign. A rewound weight goes back and is turned to the same sign
# again; a kept one turns at every level.


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 10, bias=False), nn.ReLU(), nn.Linear(10, 8, bias=False), nn.ReLU(), nn.Linear(8, 2))


@torch.no_grad()
def turn_signs(model: nn.Module, level: Level) -> None:
    for _ in level.steps(1):
        for parameter in model.parameters():
            parameter.neg_()


@torch.no_grad()
def jitter(model: nn.Module, level: Level) -> None:
    for _ in level.steps(1):
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))


def search(folder: Path, method: Method, train: Callable[[nn.Module, Level], None] = turn_signs, seed: int = 0) -> Path:
    for _ in find_tickets(small_network(seed), method, train, save_to=folder, seed=seed):
        pass
    return folder


@pytest.mark.parametrize(
    ("method", "turns", "moment"),
    [(methods.imp(4), 1, 1), (methods.learning_rate_rewinding(4), 5, 5), (methods.imp(0), 1, 1)],
)
def test_a_search_that_turns_every_sign(method: Method, turns: int, moment: int, tmp_path: Path) -> None:
    found = dynamics(sign_history(search(tmp_path / "run", method)))
    kept = found.at(found.level).kept
    assert kept == round(method.densities[-1] * 200)
    assert found.flip_counts()[turns] == found.settled_counts()[moment] == kept
    for level in range(found.level + 1):
        signs = found.at(level)
        turned = level == 0 or turns > 1
        assert signs.flipped == (signs.kept if turned else 0)
        assert signs.flipped_since_start == (signs.kept if turns == 1 or level % 2 == 0 else 0)


def test_the_history_is_that_of_the_weights_on_disk(tmp_path: Path) -> None:
    folder = search(tmp_path / "run", methods.learning_rate_rewinding(3), jitter)
    made = sign_history(folder, level=2)
    assert (made.method, made.seed, made.level) == ("learning_rate_rewinding", 0, 2)
    states = [read_state(folder / f"{name}.safetensors")[0] for name in ("initial", "level-00", "level-01", "level-02")]
    found = flips(made)
    assert sum(int(value.sum()) for value in found.values()) > 0
    for name, counts in found.items():
        living = states[-1][name] != 0  # jittered weights are not 0 by chance
        signs = [state[name][living].sign() for state in states]
        expected = sum((after != before).int() for before, after in itertools.pairwise(signs))
        assert torch.equal(counts, torch.as_tensor(expected).long())


def study(folder: Path) -> Path:
    """Searches of two methods by three seeds, where a study would put them."""
    for seed in range(3):
        for name, method in (("lrr", methods.learning_rate_rewinding(3)), ("imp", methods.imp(3))):
            search(folder / "searches" / name / f"seed-{seed:02d}", method, jitter, seed)
    return folder


def test_methods_part_only_where_they_differ(tmp_path: Path) -> None:
    # Two methods that start from one network and train alike in level 0 are the same until level 1 restarts.
    runs = search_runs([study(tmp_path)])
    assert [(run.method, run.seed) for run in runs] == [
        *(("imp", seed) for seed in range(3)),
        *(("learning_rate_rewinding", seed) for seed in range(3)),
    ]
    found = [dynamics(sign_history(run)) for run in runs]
    for one, other in zip(found[:3], found[3:], strict=True):
        assert one.at(0) == other.at(0)
        assert one.at(3) != other.at(3)
    pairs = {level: agreements(level, {(run.method, run.seed): run.ticket(level).mask for run in runs}) for level in (0, 1, 3)}
    assert [(pair.methods, pair.seeds) for pair in pairs[0]] == [
        *((("imp", "learning_rate_rewinding"), (seed, seed)) for seed in range(3)),
        *((("imp", "imp"), seeds) for seeds in ((0, 1), (1, 2), (2, 0))),
        *((("learning_rate_rewinding",) * 2, seeds) for seeds in ((0, 1), (1, 2), (2, 0))),
    ]
    for level in (0, 1):  # level 1 is pruned by the weights of level 0: its mask is common, its signs are not
        assert all(pair.overlap.jaccard == 1 for pair in pairs[level][:3])
    assert all(pair.overlap.sign_agreement == 1 for pair in pairs[0][:3])
    assert all(pair.overlap.sign_agreement < 1 for pair in pairs[1][:3])
    assert all(pair.overlap.jaccard < 1 for pair in pairs[3])


def test_two_seeds_are_one_pair() -> None:
    mask = SignedMask({"w": torch.ones(4, dtype=torch.int8)})
    assert [pair.seeds for pair in agreements(0, {("imp", 4): mask, ("imp", 7): mask})] == [(4, 7)]
    assert agreements(0, {("imp", 4): mask}) == []


@settings(max_examples=20, deadline=None)
@given(layers=made_up())
def test_files_hold_every_count(layers: dict[str, list[Weight]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("csv")
    found = [dynamics(history(layers, method, seed)) for method in ("imp", "lrr, mine") for seed in (0, 1)]
    write_levels(folder / "levels.csv", found)
    write_weights(folder / "weights.csv", found)
    with (folder / "levels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(one.levels) for one in found)
    for row, (one, part) in zip(rows, [(search, part) for search in found for part in search.levels], strict=True):
        assert (row["method"], int(row["seed"]), int(row["level"]), row["layer"]) == (
            one.method,
            one.seed,
            part.level,
            part.layer,
        )
        assert all(int(row[count]) == getattr(part, count) for count in COUNTS)
    with (folder / "weights.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for one in found:
        own = [row for row in rows if row["method"] == one.method and int(row["seed"]) == one.seed]
        for layer, counts in one.flips.items():
            assert tuple(int(row["flipped_k_times"]) for row in own if row["layer"] == layer) == counts
        for layer, counts in one.settled.items():
            assert tuple(int(row["settled_at_k"]) for row in own if row["layer"] == layer) == counts


def test_agreement_in_a_file(tmp_path: Path) -> None:
    a = SignedMask({"w": torch.tensor([1, -1, 0, 0], dtype=torch.int8)})
    b = SignedMask({"w": torch.tensor([1, 1, 1, 0], dtype=torch.int8)})
    empty = SignedMask({"w": torch.zeros(4, dtype=torch.int8)})
    write_agreement(
        tmp_path / "a.csv", [*agreements(2, {("imp", 0): a, ("lrr", 0): b}), *agreements(3, {("x", 0): a, ("y", 0): empty})]
    )
    with (tmp_path / "a.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["level"], first["first_method"], first["second_method"]) == ("2", "imp", "lrr")
    assert (first["both"], first["both_by_chance"], first["jaccard"], first["same_sign"]) == ("2", "1.5", str(2 / 3), "0.5")
    assert (second["both"], second["same_sign"]) == ("0", "")


def test_folders_that_do_not_compare(tmp_path: Path) -> None:
    first = search(tmp_path / "a", methods.imp(2))
    search(tmp_path / "b", methods.imp(2))
    with pytest.raises(WinsomeError, match="two searches are of imp, seed 0"):
        search_runs([tmp_path])
    assert len(search_runs([first, first])) == 1
    slow = search(tmp_path / "slow", methods.learning_rate_rewinding(2, 0.1))
    with pytest.raises(WinsomeError, match=r"level 1 has density 0\.8 in imp, seed 0 .* but 0\.9 in"):
        common_level(search_runs([first, slow]))
    assert common_level(search_runs([first, slow]), 0) == 0
    model = nn.Sequential(nn.Linear(12, 9, bias=False), nn.ReLU(), nn.Linear(9, 2))
    other = tmp_path / "other"
    list(find_tickets(model, methods.aws(2), turn_signs, save_to=other, seed=5))
    with pytest.raises(WinsomeError, match="different networks"):
        search_runs([first, other])
    with pytest.raises(WinsomeError, match="levels go from 0 to 2"):
        sign_history(first, level=3)
    with pytest.raises(WinsomeError, match="is not a folder"):
        search_runs([tmp_path / "nowhere"])
    (first / "initial.safetensors").unlink()
    with pytest.raises(WinsomeError, match="lacks the search's initial weights"):
        sign_history(first)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (methods.weight_rewinding(1, step=1), "weight_rewinding"),
        (methods.lrr_with_norm_rewinding(1, step=1), "lrr_with_norm_rewinding"),
        (methods.lrr_with_frozen_norms(1), "lrr_with_frozen_norms"),
        (Method((1.0, 0.5), score=lambda weights, *_: dict(weights)), "RewindTo(step=0)"),
    ],
)
def test_methods_without_a_name_in_their_folder(method: Method, name: str, tmp_path: Path) -> None:
    def train(model: nn.Module, level: Level) -> None:
        del model
        assert len(list(level.steps(2))) > 0

    (run,) = search_runs([search(tmp_path / "run", method, train)])
    assert run.method == name
