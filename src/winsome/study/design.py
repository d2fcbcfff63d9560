"""A study as data: what is compared, on which data and network, at which levels, over which seeds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

from winsome.about import about
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.identity import identity, name_of
from winsome.mask_swap import Borrow, same_masks
from winsome.method import Method
from winsome.models.spec import NetworkSpec
from winsome.study.arms import CLAIMS, Arm, Claim, Dense, FoundNetwork, Planted, is_reported
from winsome.study.odd_names import refuse_odd_names, refuse_odd_numbers
from winsome.training.probe import ProbeSpec
from winsome.training.settings import Training


@dataclass(frozen=True)
class SearchSpec:
    """A search of a study where more than its method is to be said.

    Attributes:
        method: how it searches.
        masks_of: name of the study's search whose masks it borrows, seed by seed, level by level; None for its own.
        borrow: what becomes of the borrowed masks, one of `mask_swap.BORROWS`.
        training: of every level, where it is not the study's `search_training`.
        epochs: of every level, where levels differ in length; level 0 then has no warm-up epochs beside its own.

    Raises:
        WinsomeError: epochs that are not one for each level, or of a method that prunes within one training.
    """

    method: Method
    masks_of: str | None = None
    borrow: Borrow = same_masks
    training: Training | None = None
    epochs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs and (self.method.prune_at or len(self.epochs) != len(self.method.densities)):
            raise WinsomeError(
                f"epochs are one number for each of {len(self.method.densities)} levels, and none for a method that prunes "
                f"within one training; got {len(self.epochs)}"
            )

    def record(self) -> dict[str, Any]:
        """The spec as JSON values; a plain method's is the method's own."""
        record: dict[str, Any] = self.method.record()
        if self.masks_of is not None:
            record["masks"] = {"of": self.masks_of, "borrow": name_of(self.borrow)}
        if self.epochs:
            record["epochs"] = list(self.epochs)
        return record | ({"training": self.training.record()} if self.training is not None else {})

    def level_of(self, density: float) -> int | None:
        """The last level of this density; None where there is none."""
        there = [level for level, one in enumerate(self.method.densities) if math.isclose(one, density, rel_tol=1e-9)]
        return there[-1] if there else None


@dataclass(frozen=True)
class Study:
    """A comparison of arms.

    Attributes:
        searches: what is searched that arms come from, by name. They need not have the same densities, but each those at which
            arms are judged.
        search_training: of every level of a search, where its spec does not say otherwise.
        warmup_epochs: trained before level 0's own epochs, at the same constant rate.
        warmup_ramp: whether the rate grows to its peak in these, and level 0 then has its whole schedule like every level.
        training: of dense and planted networks, from scratch.
        levels: at which levels of the first search the arms are judged; those of another are its last ones of these densities.
        search_seeds: independent searches, the unit of every statistic.
        starts: fresh starts for each search seed.
        curve_at: epochs from scratch after which a learning curve is taken.
        statistics_images: training images from which BatchNorm statistics are re-estimated.
        statistics_augmented: whether these are augmented as in training.
        prune_classifier: whether the classifier is pruned too, as in arXiv:2402.19262.
        probe: the training images that searches show to scores which look at data.
        claims: what is judged on the finished study; not part of what identifies it.
        reference: the arm with which the others are compared one by one; None for none.
        each_other: names of arms that are compared pair by pair, each with each.

    Raises:
        WinsomeError: searches, arms, levels, seeds or starts that do not make a study; names what is wrong.
    """

    name: str
    title: str
    data: DataSpec
    network: NetworkSpec
    searches: tuple[tuple[str, Method | SearchSpec], ...]
    search_training: Training
    warmup_epochs: int
    training: Training
    arms: tuple[Arm, ...]
    levels: tuple[int, ...]
    search_seeds: tuple[int, ...]
    starts: tuple[int, ...] = (0,)
    curve_at: tuple[int, ...] = ()
    statistics_images: int = 1000
    statistics_augmented: bool = True
    fast: bool = True  # bf16 and channels_last where the machine gains from them
    compiled: bool = False  # trainings by torch.compile
    prune_classifier: bool = False
    probe: ProbeSpec = ProbeSpec()
    warmup_ramp: bool = False
    claims: tuple[Claim, ...] = CLAIMS
    reference: str | None = "planted_aws"
    each_other: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for axis in ("searches", "arms", "levels", "search_seeds", "starts", "curve_at", "claims", "each_other"):
            object.__setattr__(
                self, axis, tuple(getattr(self, axis))
            )  # by its value a study is known again: lists have no hash
        refuse_odd_names("search", [name for name, _ in self.searches])
        refuse_odd_names("arm", [arm.name for arm in self.arms])
        for kind in ("levels", "search_seeds", "starts", "curve_at"):
            refuse_odd_numbers(kind, getattr(self, kind))
        if self.statistics_images < 1:
            raise WinsomeError(f"BatchNorm statistics need 1 image or more, got statistics_images={self.statistics_images}")
        searches = dict(self.searches)
        if not self.search_seeds or not self.starts:
            raise WinsomeError("a study needs at least one search seed and one start")
        for arm in self.arms:
            for search in arm.needed if isinstance(arm, Planted) else filter(None, (arm.search,)):
                if search not in searches:
                    raise WinsomeError(f"the arm {arm.name!r} needs a search {search!r}; the study has {', '.join(searches)}")
        for name, spec in self.search_specs.items():
            if spec.masks_of is not None and (spec.masks_of not in searches or spec.masks_of == name):
                raise WinsomeError(f"{name!r} borrows the masks of {spec.masks_of!r}; the study has {', '.join(searches)}")
        for name in self.search_specs:
            self.sources(name)
        if self.warmup_epochs < 0:
            raise WinsomeError(f"warm-up epochs must be 0 or more, got {self.warmup_epochs}")
        deepest = len(self.all_densities) - 1
        if not self.levels:
            raise WinsomeError(f"a study needs at least one level at which arms are judged, from 0 to {deepest}")
        for level in self.levels:
            if not 0 <= level <= deepest:
                raise WinsomeError(f"level {level} is not searched: levels go from 0 to {deepest}")
        self._refuse_other_densities()
        for arm in self.arms:
            lender, level = (isinstance(arm, Planted) and arm.signs_of) or ("", 0)
            if lender and not 0 <= level <= self.depth(lender):
                last = self.depth(lender)
                raise WinsomeError(
                    f"the arm {arm.name!r} takes signs of level {level}; the search {lender!r} ends at level {last}"
                )

    def _refuse_other_densities(self) -> None:
        """Raise WinsomeError where a search has no level of a density at which arms are judged, or lends other masks."""
        for name, spec in self.search_specs.items():
            if spec.masks_of is not None and spec.method.densities != self.search_specs[spec.masks_of].method.densities:
                raise WinsomeError(f"{name!r} borrows the masks of {spec.masks_of!r}, which must have the same densities")
        for name, spec in self.needed_searches().items():
            for density in () if spec.method.densities == self.all_densities else self.densities:
                if spec.level_of(density) is None:
                    there = ", ".join(f"{one:.4g}" for one in spec.method.densities)
                    raise WinsomeError(
                        f"arms are judged at density {density:.4g}, which the search {name!r} has not (it has {there}): the "
                        "searches of a study must have the densities at which arms are judged (levels)"
                    )

    @property
    def all_densities(self) -> tuple[float, ...]:
        """The densities of all levels of the first search."""
        return next(iter(self.search_specs.values())).method.densities if self.searches else (1.0,)

    @property
    def densities(self) -> tuple[float, ...]:
        """The densities at which arms are judged."""
        return tuple(self.all_densities[level] for level in self.levels)

    @property
    def deepest(self) -> int:
        """The last level that any arm needs, of the first search."""
        return max(self.levels)

    def level_of(self, search: str, level: int) -> int:
        """The level of a search at which arms are judged that stand at a level of the first one: the last of that density."""
        spec = self.search_specs[search]
        if spec.method.densities == self.all_densities:
            return level
        found = spec.level_of(self.all_densities[level])
        return level if found is None else found

    def depth(self, search: str) -> int:
        """The last level that any arm needs of a search."""
        return max(self.level_of(search, level) for level in self.levels)

    def search_epochs(self, search: str, levels: int) -> int:
        """How many epochs the first so many levels of a search train; one training of several levels counts once."""
        once = self.search_specs[search].method.prune_at
        return sum(self.level_training(search, number).all_epochs for number in range(min(levels, 1) if once else levels))

    @property
    def search_specs(self) -> dict[str, SearchSpec]:
        """The searches by name."""
        return {name: spec if isinstance(spec, SearchSpec) else SearchSpec(spec) for name, spec in self.searches}

    def sources(self, name: str) -> tuple[str, ...]:
        """The searches whose masks a search needs, nearest first: its source, that one's source, and so on.

        Raises:
            WinsomeError: searches borrow from each other in a circle.
        """
        chain: list[str] = []
        source = self.search_specs[name].masks_of
        while source is not None:
            if source in (name, *chain):
                raise WinsomeError(f"the searches {', '.join([name, *chain])} borrow each other's masks in a circle")
            chain.append(source)
            source = self.search_specs[source].masks_of
        return tuple(chain)

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """The pairs of arms whose paired differences are shown: the reference and every other, and those of `each_other`."""
        names = [arm.name for arm in self.arms if is_reported(arm)]
        others = [name for name in names if name != self.reference] if self.reference in names else []
        pairs = [(str(self.reference), other) for other in others]
        return tuple(dict.fromkeys((*pairs, *itertools.combinations([n for n in self.each_other if n in names], 2))))

    def level_training(self, search: str, number: int) -> Training:
        """The training of a search's level: level 0 has the warm-up epochs before its own.

        Levels that are stretches of one training have all of it.
        """
        spec = self.search_specs[search]
        training = spec.training or self.search_training
        if spec.epochs:
            return replace(training, epochs=spec.epochs[number])
        extra = self.warmup_epochs if number == 0 or spec.method.prune_at else 0
        if self.warmup_ramp:
            return replace(training, ramp_epochs=training.ramp_epochs + extra)
        return replace(training, epochs=training.epochs + extra)

    def search_record(self, training: Training) -> dict[str, Any]:
        """How levels train, as JSON values, with the warm-up before level 0."""
        before = {"warmup_epochs_before_level_0": self.warmup_epochs, "warmup_ramp": self.warmup_ramp}
        return training.record() | before

    def needed_searches(self) -> dict[str, SearchSpec]:
        """The searches that the study's arms need, and those whose masks these borrow."""
        wanted = {arm.search for arm in self.arms if isinstance(arm, FoundNetwork)}
        wanted |= {search for arm in self.arms if isinstance(arm, Planted) for search in arm.needed}
        wanted |= {source for name in wanted for source in self.sources(name)}
        return {name: spec for name, spec in self.search_specs.items() if name in wanted}

    def record(self) -> dict[str, Any]:
        """Everything that identifies the study, as JSON values."""
        return {
            "name": self.name,
            "data": self.data.record(),
            "network": self.network.record(),
            "searches": {name: spec.record() for name, spec in self.needed_searches().items()},
            "search_training": self.search_record(self.search_training),
            "training": self.training.record(),
            "arms": [arm.name for arm in self.arms],
            "arm_settings": {arm.name: _settings(arm) for arm in self.arms},
            "levels": list(self.levels),
            "search_seeds": list(self.search_seeds),
            "starts": list(self.starts),
            "curve_at": list(self.curve_at),
            "statistics_images": self.statistics_images,
            "statistics_augmented": self.statistics_augmented,
            "fast": self.fast,
            "compiled": self.compiled,
            "prune_classifier": self.prune_classifier,
            "probe": self.probe.record({n: about(spec.method.score).training for n, spec in self.needed_searches().items()}),
        }


def _settings(arm: Arm) -> dict[str, Any]:
    """What an arm's results follow from beside its name, as JSON values."""
    match arm:
        case FoundNetwork():
            return {"search": arm.search, "reset_norms": arm.reset_norms}
        case Planted():
            transplant, context = identity(arm.transplant), identity(arm.while_training)
            where = {"search": arm.search, "transplant": transplant, "order": arm.order, "repeat": arm.repeat}
            signs = {} if arm.signs_of is None else {"signs_of": list(arm.signs_of)}
            return {**where, "while_training": context, **signs}
        case Dense():
            return {"while_training": identity(arm.while_training)}
