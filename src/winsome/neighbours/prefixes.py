"""The prefix that a wrapper put before every name of a network: Lightning's `model.`, or any other attribute that held it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from winsome.errors import WinsomeError

HOLDERS = ("model", "net", "network", "module", "backbone")  # what an attribute that holds a whole network is called


def prefix_of(names: Collection[str], wanted: Collection[str] | None = None, *, matrices: Collection[str] = ()) -> str:
    """The prefix to take off, ending in a dot; nothing where there is none.

    Args:
        names: the names in a checkpoint.
        wanted: the network's own names, if it is known: the prefix is then the one below which most of them are found.
            Without it, the first part of all names, where they have it in common; a number is a place in a list, and stays.
        matrices: those of the names that are of matrices: what is no part of them below `model.` and the like is a metric's
            count or the weights of a loss.

    Raises:
        WinsomeError: the network is found as often below several prefixes.
    """
    if wanted is not None:
        return _fitting(names, wanted)
    held = _common(matrices) if len(matrices) > 1 else ""
    return _common(names) or (held if held.removesuffix(".") in HOLDERS else "")


def _common(names: Iterable[str]) -> str:
    firsts = {name.partition(".")[0] for name in names}
    (first,) = firsts if len(firsts) == 1 else ("",)
    below_is_a_layer = any("." in name.partition(".")[2] for name in names)
    return f"{first}." if first and not first.isdigit() and below_is_a_layer else ""


def _fitting(names: Collection[str], wanted: Collection[str]) -> str:
    if not any("." in name for name in wanted):  # a single layer is found below any
        return ""
    prefixes = {""} | {name.removesuffix(one) for name in names for one in wanted if name.endswith(f".{one}")}
    there = set(names)
    scores = {prefix: sum(f"{prefix}{one}" in there for one in wanted) for prefix in sorted(prefixes)}
    best = max(scores.values())
    if 2 * best <= len(wanted):  # another network: that is said elsewhere, by name
        return ""
    found = [prefix for prefix, score in scores.items() if score == best]
    if len(found) > 1 and "" not in found:
        raise WinsomeError(
            f"it holds the network several times, below {' and '.join(map(repr, found))}; save the one that is meant"
        )
    return "" if "" in found else found[0]
