"""Densities: closed forms, and errors that say what was meant."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winsome import WinsomeError, at_initialisation, cubic, geometric, one_shot
from winsome.densities import check_densities, check_density

# Rounded to three digits, as the papers' tables have them.
TABLE = [1, 0.8, 0.64, 0.512, 0.41, 0.328, 0.262, 0.21, 0.168, 0.134, 0.107, 0.0859, 0.0687, 0.055, 0.044, 0.0352]


def test_fifteen_levels_are_the_papers() -> None:
    assert [float(f"{density:.3g}") for density in geometric(15)] == pytest.approx(TABLE, rel=1e-2)


@given(st.integers(0, 30), st.floats(0.01, 0.99))
def test_every_level_removes_the_same_fraction(levels: int, rate: float) -> None:
    densities = geometric(levels, rate)
    assert len(densities) == levels + 1
    assert densities[0] == 1
    for level, density in enumerate(densities):
        assert density == pytest.approx(math.exp(level * math.log1p(-rate)), rel=1e-9)
    assert check_densities(densities) == densities


def test_one_shot_and_at_initialisation() -> None:
    assert one_shot(0.1) == (1.0, 0.1)
    assert at_initialisation(0.1) == (0.1,)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_density_is_in_range_or_refused(density: float) -> None:
    if 0 < density <= 1:
        assert check_density(density) == density
    else:
        for refuse in (check_density, one_shot, at_initialisation):
            with pytest.raises(WinsomeError, match=r"density must be in \(0, 1\], got "):
                refuse(density)


def test_a_percentage_is_recognised() -> None:
    with pytest.raises(WinsomeError, match=r"got 90; 90 % kept is density 0\.9, 90 % sparsity is density 0\.1$"):
        check_density(90)
    with pytest.raises(WinsomeError, match=r"got 20; 20 % kept is density 0\.2$"):
        check_density(20)
    with pytest.raises(WinsomeError, match=r"got 0$"):
        check_density(0)
    with pytest.raises(WinsomeError, match="density must be in"):
        check_density(True)


def test_densities_never_grow_and_there_is_one() -> None:
    assert check_densities([1, 0.5, 0.5, 0.1]) == (1.0, 0.5, 0.5, 0.1)
    with pytest.raises(WinsomeError, match=r"must not grow from level to level, got 0\.5 then 0\.6"):
        check_densities([1, 0.5, 0.6])
    with pytest.raises(WinsomeError, match="at least one density"):
        check_densities([])


def test_cubic_removes_most_at_first_and_ends_exactly() -> None:
    assert cubic(4, 0.2) == pytest.approx([1, 0.2 + 0.8 * 27 / 64, 0.2 + 0.8 / 8, 0.2 + 0.8 / 64, 0.2])
    assert cubic(30, 0.032)[-1] == 0.032
    assert check_densities(cubic(30, 0.032)) == cubic(30, 0.032)
    with pytest.raises(WinsomeError, match="levels must be 1 or more, got 0"):
        cubic(0, 0.2)
    with pytest.raises(WinsomeError, match=r"got 20; 20 % kept is density 0\.2"):
        cubic(3, 20)
