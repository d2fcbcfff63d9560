"""Numbers and lists as people say them: one rounding, one duration, one percentage for terminal, page and docs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


def fixed(number: float, digits: int = 1, *, sign: bool = False, minus: str = "-") -> str:
    """A number with so many digits behind the point; ties go away from zero, and no sign stands on what rounds to zero.

    Args:
        number: any; what is not finite or beyond 1e15, where a float has no digits behind the point, is left as it is.
        digits: behind the point.
        sign: whether a positive number has a plus.
        minus: the sign of a negative number: "−" where people read, "-" where programs do.
    """
    if not abs(number) < 1e15:
        return str(number)
    # Nine digits first: 97.04999999999999 is 97.05 but for the last bits of a mean, and must not read otherwise than it.
    rounded = Decimal(repr(round(float(number), 9))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    plus = "+" if sign and rounded > 0 else ""
    return f"{minus if rounded < 0 else plus}{abs(rounded):.{digits}f}"


def points(difference: float, digits: int = 1, *, minus: str = "−") -> str:
    """A difference of two fractions in percentage points, with its sign: `+2.5`, `−0.3`, `0.0`."""
    return fixed(100 * difference, digits, sign=True, minus=minus)


def mean_and_spread(mean: float, std: float | None, digits: int = 1, *, scale: float = 100) -> str:
    """`91.4 ± 1.5`, fractions in percent by default; without the deviation where there is none."""
    spread = "" if std is None else f" ± {fixed(scale * std, digits)}"
    return f"{fixed(scale * mean, digits, minus='−')}{spread}"


def percent(density: float) -> str:
    """A density as readers say it: `5.63 %`, `100 %`, never broken over two lines."""
    return f"{100 * density:.3g}\u00a0%"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 search seed`, `1,297 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers with runs of three or more drawn together: `0–15`, `0, 1`, `2, 5–9`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [[f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(number) for number in run] for run in runs]
    return ", ".join(part for several in parts for part in several)


def duration(seconds: float) -> str:
    """A time that was measured: `9.4 s`, `1 min 40 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{fixed(seconds)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def rough_duration(seconds: float) -> str:
    """A time to plan with: about two figures, in the unit that suits."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def time_left(gained: float, spent: float, left: float) -> str:
    """How long what is left takes, from what the seconds spent have gained; empty where that says too little."""
    if spent < 3 or gained <= 0 or left * spent / gained < 1:
        return ""
    return f"{rough_duration(left * spent / gained)} left"
