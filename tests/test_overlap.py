"""Overlap of masks: against counting by hand, the hypergeometric distribution, and shuffled masks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from winsome.analysis.overlap import Overlap, overlap, summed
from winsome.errors import WinsomeError
from winsome.signed_mask import SignedMask
from winsome.transfer import shuffled


def mask(*signs: int) -> SignedMask:
    return SignedMask({"w": torch.tensor(signs, dtype=torch.int8)})


def test_counts_by_hand() -> None:
    layer = overlap(mask(1, 1, -1, 0, 0, -1, 1, 0), mask(1, -1, -1, 1, 0, 0, 1, 0))["w"]
    assert (layer.total, layer.kept_a, layer.kept_b, layer.both, layer.agreeing) == (8, 5, 5, 4, 3)
    assert layer.jaccard == 4 / 6
    assert layer.shared == 4 / 5
    assert layer.expected_both == 25 / 8
    assert layer.sign_agreement == 3 / 4
    # Among the four shared: + + - + against + - - +, so 3 * 2 pairs of pluses and 1 * 2 of minuses out of 4 * 4.
    assert layer.chance_sign_agreement == (3 / 4) * (2 / 4) + (1 / 4) * (2 / 4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), max_size=30))
def test_counts_against_a_loop(pairs: list[tuple[int, int]]) -> None:
    a, b = mask(*(pair[0] for pair in pairs)), mask(*(pair[1] for pair in pairs))
    layer = overlap(a, b)["w"]
    assert layer.both == sum(x != 0 and y != 0 for x, y in pairs)
    assert layer.agreeing == sum(x * y > 0 for x, y in pairs)
    mean, variance = stats.hypergeom.stats(len(pairs), layer.kept_a, layer.kept_b, moments="mv")
    if pairs:
        assert layer.expected_both == pytest.approx(float(mean))
    if len(pairs) > 1:
        assert layer.variance_both == pytest.approx(float(variance))
    reverse = overlap(b, a)["w"]
    assert (reverse.both, reverse.agreeing, reverse.expected_agreeing) == (layer.both, layer.agreeing, layer.expected_agreeing)


def test_a_mask_with_itself_and_inside_itself() -> None:
    same = overlap(mask(1, 0, -1, 1), mask(1, 0, -1, 1))["w"]
    assert same.jaccard == same.shared == same.sign_agreement == 1
    inside = overlap(mask(1, 0, -1, 1), mask(0, 0, -1, 0))["w"]
    assert inside.shared == 1
    assert inside.jaccard == 1 / 3


def test_nothing_kept_has_no_ratios() -> None:
    layer = overlap(mask(0, 0), mask(0, 1))["w"]
    assert math.isnan(layer.sign_agreement)
    assert math.isnan(layer.standard_score)
    assert layer.jaccard == 0
    assert math.isnan(overlap(mask(), mask())["w"].jaccard)


def test_shuffled_masks_overlap_as_chance_says() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(3, 2000, generator=generator)
    a = SignedMask({f"l{i}": (draws[i] < 0.1 * (i + 1)).to(torch.int8) for i in range(3)})
    scores = [summed(overlap(a, shuffled(a, generator)).values()).standard_score for _ in range(400)]
    values = torch.tensor(scores)
    assert abs(float(values.mean())) < 4 / 20  # 4 standard errors
    assert 0.85 < float(values.std()) < 1.15


def test_totals_add_up_layer_by_layer() -> None:
    # Two layers of very different density: chance within layers, not over the whole network.
    a = SignedMask({"dense": torch.ones(100, dtype=torch.int8), "empty": torch.zeros(100, dtype=torch.int8)})
    total = summed(overlap(a, a).values())
    assert total.both == total.expected_both == 100
    assert total.variance_both == 0
    assert math.isnan(total.standard_score)
    assert summed([]) == Overlap(0, 0, 0, 0, 0, 0.0, 0.0, 0.0)


def test_different_networks_are_refused_with_every_difference() -> None:
    a = SignedMask({"x": torch.ones(2), "y": torch.ones(3)})
    b = SignedMask({"x": torch.ones(3), "z": torch.ones(3)})
    with pytest.raises(WinsomeError, match=r"the second lacks y; the first lacks z; x is \(2,\) in the first, \(3,\)"):
        overlap(a, b)
