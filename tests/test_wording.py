"""Numbers, times and lists in words: against decimal arithmetic, and by hand."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winsome.wording import (
    counted,
    duration,
    fixed,
    listed,
    mean_and_spread,
    percent,
    points,
    ranges,
    rough_duration,
    time_left,
)


@given(st.integers(-(10**7), 10**7), st.integers(0, 3))
def test_what_is_decimal_is_rounded_as_by_hand(thousandths: int, digits: int) -> None:
    exact = (Decimal(thousandths) / 1000).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    assert Decimal(fixed(thousandths / 1000, digits)) == exact


def test_ties_do_not_hang_on_the_last_bits_of_a_mean() -> None:
    accuracy = 0.9705  # 97.05 %: above or below a tie by rounding alone
    assert {fixed(100 * value) for value in (accuracy, 0.97049999999999, 0.97050000000001, (0.97 + 0.971) / 2)} == {"97.1"}
    assert fixed(97.0499) == "97.0"


def test_signs() -> None:
    assert [fixed(x, sign=True, minus="−") for x in (2.54, -0.46, 0.04, -0.04)] == ["+2.5", "−0.5", "0.0", "0.0"]
    assert [points(x) for x in (0.0254, -0.0046, 0.0)] == ["+2.5", "−0.5", "0.0"]
    assert (fixed(float("nan")), fixed(1234.5, 0)) == ("nan", "1235")


def test_shares() -> None:
    assert (percent(0.05631), percent(1.0), percent(0.0004)) == ("5.63\u00a0%", "100\u00a0%", "0.04\u00a0%")
    assert (mean_and_spread(0.9144, 0.0151), mean_and_spread(0.9144, None)) == ("91.4 ± 1.5", "91.4")
    assert mean_and_spread(0.87, 0.1, 2, scale=1) == "0.87 ± 0.10"


def test_lists_and_counts() -> None:
    assert [counted(1, "seed"), counted(1297, "image")] == ["1 seed", "1,297 images"]
    assert counted(2, "study", "studies") == "2 studies"
    assert [ranges(n) for n in ([0], [0, 1], [2, 5, 6, 7], [])] == ["0", "0, 1", "2, 5–7", ""]
    assert [listed(list(text)) for text in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_times() -> None:
    measured = (1.04, 9.97, 59.4, 100.1, 3600, 7500)
    assert [duration(s) for s in measured] == ["1.0 s", "10 s", "59 s", "1 min 40 s", "1 h", "2 h 5 min"]
    assert time_left(1, 10, 0.5) == "5 seconds left"
    assert time_left(1, 100, 60) == "100 minutes left"
    assert (time_left(0, 100, 1), time_left(1, 2, 9)) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 seconds"), (119, "119 seconds"), (600, "10 minutes"), (9000, "2 hours"), (2e6, "23 days")]
)
def test_durations_to_plan_with(seconds: float, words: str) -> None:
    assert rough_duration(seconds) == words
