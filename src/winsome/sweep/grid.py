"""The studies of a sweep: the product of what varies, each study under a name of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from winsome.data.named import short_name
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.method import Method
from winsome.models.spec import NetworkSpec
from winsome.study.arms import Arm, Claim, Dense, FoundNetwork, Planted
from winsome.study.design import SearchSpec, Study
from winsome.study.transplants import plant_mask

_NAME = re.compile(r"[^\W_][\w.+-]*")
_RESERVED = {"sweep.json", "report.html"}

Change = Mapping[str, Any]  # fields of a Study and their new values


def grid(
    base: Study,
    *,
    methods: Mapping[str, Method | SearchSpec] | None = None,
    networks: Sequence[str | NetworkSpec] | None = None,
    data: Sequence[str | DataSpec] | None = None,
    seeds: Sequence[int | Sequence[int]] | None = None,
    levels: Sequence[int | Sequence[int]] | None = None,
    variants: Mapping[str, Change] | None = None,
) -> tuple[Study, ...]:
    """Every combination of what is given, each a study named after it: `digits_aws_residual_mlp-width-16_seeds-0-1_level-2`.

    What is not given stays as in `base`. Whatever is given is part of the names, even a single value: a grid that grows
    keeps the folders that it has.

    Args:
        base: what every study starts from.
        methods: searches by name. Each study compares one: the dense network, the search's own network, its signed mask
            and its mask alone, planted.
        networks: names that `winsome.models` knows, timm:NAME or your own FILE.py:NAME, or with options.
        data: data sets by name, your own FILE.py:NAME too, or by folder, or parts of them.
        seeds: the search seeds of a study: one, or several.
        levels: the levels of the searches at which a study judges its arms: one, or several.
        variants: anything else, by a name: `{"slow": {"training": Training(80)}}`.

    Raises:
        WinsomeError: an axis without values, two studies of one name, or a combination that is no study.
    """
    axes: list[dict[str, Change]] = []
    if methods is not None:
        axes.append({name: _one_search(name, method) for name, method in methods.items()})
    if networks is not None:
        specs = [NetworkSpec.named(network) if isinstance(network, str) else network for network in networks]
        axes.append(_named("networks", [(_network_name(spec), {"network": spec}) for spec in specs]))
    if data is not None:
        parts = [DataSpec.named(part) if isinstance(part, str) else part for part in data]
        axes.append(_named("data", [(_data_name(part), {"data": part}) for part in parts]))
    if seeds is not None:
        axes.append(_named("seeds", [(_numbers("seed", some), {"search_seeds": _several(some)}) for some in seeds]))
    if levels is not None:
        axes.append(_named("levels", [(_numbers("level", some), {"levels": _several(some)}) for some in levels]))
    if variants is not None:
        axes.append(dict(variants))
    if not all(axes):
        raise WinsomeError("an axis of the grid has no values; leave it out, or give it one")
    made = []
    for combination in itertools.product(*(axis.items() for axis in axes)):
        changes = {field: value for _, change in combination for field, value in change.items()}
        labels = [label for label, _ in combination]
        name, title = "_".join([base.name, *labels]), ", ".join([base.title, *(label.replace("-", " ") for label in labels)])
        try:
            made.append(replace(base, **{"name": name, "title": title, **changes}))
        except (WinsomeError, TypeError) as error:
            raise WinsomeError(f"the combination {name} is no study: {error}") from error
    return studies_of(made)


def arms_of(method: str) -> tuple[Arm, ...]:
    """The arms that judge one search: dense, its network, its signed mask and its mask alone on fresh starts.

    They have the same names whatever the search: the studies of a grid stand below each other in one table.
    """
    return (
        Dense(),
        FoundNetwork("network", "network", "The sparse network at the end of the search.", method),
        Planted("planted", "|θ₀|·s (signed mask)", "The search's signed mask on a fresh start, trained from scratch.", method),
        Planted("mask_only", "θ₀·m (mask only)", "The search's mask with the fresh start's own signs.", method, plant_mask),
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "The signs carry it: the signed mask trains better than its mask alone.",
        "arXiv:2504.05357",
        {"planted": 1, "mask_only": -1},
        "signed mask minus mask only",
    ),
    Claim(
        "The signed mask comes close to the dense network: it closes more than half of the gap that the mask alone leaves.",
        "arXiv:2504.05357",
        {"planted": 1, "mask_only": -0.5, "dense": -0.5},
        "signed mask minus the middle between mask only and dense",
    ),
)


def _one_search(name: str, method: Method | SearchSpec) -> Change:
    return {"searches": ((name, method),), "arms": arms_of(name), "claims": CLAIMS, "reference": "planted"}


def studies_of(studies: Iterable[Any]) -> tuple[Study, ...]:
    """The studies of a sweep, checked: each a study, each with a name of its own that can be a folder's.

    Raises:
        WinsomeError: there is none, one is no study, or two have one name.
    """
    checked: dict[str, Study] = {}
    for place, study in enumerate(studies):
        if not isinstance(study, Study):
            raise WinsomeError(f"number {place} of the sweep is a {type(study).__name__}, not a winsome Study")
        if not _NAME.fullmatch(study.name) or study.name in _RESERVED:
            raise WinsomeError(
                f"the study's name {study.name!r} cannot be a folder's: use letters, digits and . _ + -, and not first"
            )
        if study.name in checked:
            raise WinsomeError(f"two studies of the sweep are called {study.name!r}; every name is a folder: give each its own")
        if not study.arms:
            raise WinsomeError(f"the study {study.name!r} has no arms: nothing would be done")
        checked[study.name] = study
    if not checked:
        raise WinsomeError("the sweep has no studies")
    return tuple(checked.values())


def _named(axis: str, entries: Sequence[tuple[str, Change]]) -> dict[str, Change]:
    found = dict(entries)
    if len(found) < len(entries):
        names = [name for name, _ in entries]
        twice = next(name for name in names if names.count(name) > 1)
        raise WinsomeError(f"{axis}: two values are called {twice!r}; name them yourself with variants={{...}}")
    return found


def _several(numbers: int | Sequence[int]) -> tuple[int, ...]:
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)


def _numbers(word: str, numbers: int | Sequence[int]) -> str:
    several = _several(numbers)
    if len(several) > 3 and several == tuple(range(several[0], several[-1] + 1)):
        return f"{word}s-{several[0]}-to-{several[-1]}"
    return "-".join([word if len(several) == 1 else f"{word}s", *map(str, several)])


def _network_name(spec: NetworkSpec) -> str:
    return "-".join([_plain(spec.short_name), *(_plain(f"{key}-{value}") for key, value in spec.options)])


def _data_name(spec: DataSpec) -> str:
    part = f"-{spec.train_images}" if spec.train_images is not None else ""
    return _plain(short_name(spec.name)) + part


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text).strip("-")
