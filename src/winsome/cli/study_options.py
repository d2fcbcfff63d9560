"""The options of a study: how many searches and how deep, and how its networks train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from winsome.cli import choices
from winsome.cli.options import Unset
from winsome.cli.schedule_options import refuse_no_warm_up
from winsome.cli.study_schedules import AS_THE_STUDY, StudySchedules
from winsome.densities import geometric
from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from winsome.method import Method
    from winsome.optimizer_state import OptimizerState
    from winsome.study.arms import Arm
    from winsome.study.design import SearchSpec, Study
    from winsome.training.settings import SGD, Adam, Training
    from winsome.user_code import UserFile


@dataclass(frozen=True)
class ExtentOptions:
    """How many searches, how deep, judged where.

    Attributes:
        levels: Prune-train rounds after the dense level 0.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        at_levels: Levels at which tickets are planted; by default the preset's, or the middle and the last one.
        seeds: Search seeds: independent searches, the unit of every interval.
        starts: Fresh starts for every ticket.
        densities: With --methods: the density of every level instead of --levels and --rate.
        rewind_step: With --methods: training step that rewinding methods go back to.
    """

    levels: Annotated[int | None, Unset] = None
    rate: Annotated[float | None, Unset] = None
    at_levels: Annotated[tuple[int, ...], Unset] = ()
    seeds: Annotated[int | None, Unset] = None
    starts: Annotated[int | None, Unset] = None
    densities: Annotated[tuple[float, ...], Unset] = ()
    rewind_step: int = 0

    def methods(self, base: Study, names: Sequence[str]) -> dict[str, Method]:
        """The methods of these names, each as deep as the study's searches, or of the densities asked for.

        Raises:
            WinsomeError: two of the methods have one name.
        """
        known = base.all_densities
        options = {"levels": len(known) - 1, "rate": 1 - known[1] if len(known) > 1 else 0.2} | self.searches
        if self.densities:
            options["levels"] = len(self.densities) - 1
        levels = geometric(int(options["levels"]), options["rate"])
        options |= {"density": (self.densities or levels)[-1], "step": self.rewind_step}
        made = {choices.search_name(name): choices.method(name, **options) for name in names}
        if len(made) < len(set(names)):
            raise WinsomeError("two of the methods have one name, which is their folder's too; call one of them something else")

        def at_all(name: str, method: Method) -> Method:
            # What prunes at initialisation has one density: here it is judged at all those of the others, each from the start.
            if method.scoring.before_training:
                return replace(method, densities=self.densities or levels)
            # What takes a density has phases of its own, of which that is the last one's.
            own = not self.densities or choices.takes(name, "density")
            return method if own else replace(method, densities=self.densities)

        return {choices.search_name(name): at_all(name, made[choices.search_name(name)]) for name in names}

    def refuse_without_methods(self) -> None:
        """Refuse what is of methods that are compared.

        Raises:
            WinsomeError: names the option.
        """
        for option, given in (("--densities are", self.densities), ("--rewind-step is", self.rewind_step)):
            if given:
                raise WinsomeError(f"{option} of the methods that are compared: name these with --methods lrr aws")

    @property
    def searches(self) -> dict[str, Any]:
        """What a preset is asked for."""
        given = {"levels": self.levels, "rate": self.rate}
        return {name: value for name, value in given.items() if value is not None}

    def _judged(self, base: Study) -> tuple[int, ...]:
        """The levels at which arms are judged: the study's own, as far as there are such levels, or the last."""
        deepest = len(base.all_densities) - 1
        return tuple(level for level in base.levels if level <= deepest) or (deepest,)

    def over(self, base: Study) -> dict[str, Any]:
        """Fields of a study."""
        return {
            "levels": tuple(sorted(set(self.at_levels or self._judged(base)))),
            "search_seeds": base.search_seeds if self.seeds is None else tuple(range(self.seeds)),
            "starts": base.starts if self.starts is None else tuple(range(self.starts)),
        }


@dataclass(frozen=True)
class TrainingOptions:
    """How searches and planted networks train.

    Attributes:
        level_epochs: Epochs per level of a search.
        warmup_epochs: Epochs before level 0's own.
        epochs: Epochs from scratch.
        search_learning_rate: Peak learning rate of the searches.
        learning_rate: Peak learning rate from scratch.
        optimizer: sgd (momentum 0.9) or adam for all trainings, at the learning rates asked for or usual for it.
        weight_decay: Weight decay of all trainings.
        batch_size: Images per step.
        curve_at: Epochs from scratch at which a learning curve is taken.
        optimizer_state: What becomes of the optimizer's momentum where a level of a search starts: fresh, kept from the last
            level, or rewound to the step that the method rewinds to. By default what each method says: fresh.
        schedules: How the learning rates change.
    """

    level_epochs: Annotated[int | None, Unset] = None
    warmup_epochs: Annotated[int | None, Unset] = None
    epochs: Annotated[int | None, Unset] = None
    search_learning_rate: Annotated[float | None, Unset] = None
    learning_rate: Annotated[float | None, Unset] = None
    optimizer: Annotated[Literal["sgd", "adam"] | None, Unset] = None
    weight_decay: Annotated[float | None, Unset] = None
    batch_size: Annotated[int | None, Unset] = None
    curve_at: Annotated[tuple[int, ...] | None, arg(help_behavior_hint="", metavar="[INT [INT ...]]")] = None
    optimizer_state: Annotated[Literal["fresh", "kept", "rewound"] | None, Unset] = None
    schedules: Annotated[StudySchedules, arg(name="")] = AS_THE_STUDY

    def over(self, base: Study, *, sync_batch_norm: bool) -> dict[str, Any]:
        """Fields of a study."""
        own = self.schedules
        searched = own.of_searches(self._changed(base.search_training, self.level_epochs, self.search_learning_rate))
        trained = own.from_scratch(self._changed(base.training, self.epochs, self.learning_rate))
        before = base.warmup_epochs if self.warmup_epochs is None else self.warmup_epochs
        warm_ups = (searched.warmup_epochs, trained.warmup_epochs, before if base.warmup_ramp else 0)
        refuse_no_warm_up(own.lr_warmup_by, ramp=own.warmup_ramp, before=before, epochs=warm_ups)
        return {
            "warmup_epochs": before,
            "warmup_ramp": base.warmup_ramp or own.warmup_ramp,
            "search_training": replace(searched, sync_batch_norm=sync_batch_norm or searched.sync_batch_norm),
            "training": replace(trained, sync_batch_norm=sync_batch_norm or trained.sync_batch_norm),
            "curve_at": base.curve_at if self.curve_at is None else self.curve_at,
            "searches": base.searches if self.optimizer_state is None else self._carrying(base, self.optimizer_state),
        }

    def _carrying(self, base: Study, state: OptimizerState) -> tuple[tuple[str, SearchSpec], ...]:
        """The searches, with that becoming of their optimizer's state."""
        return tuple(
            (name, replace(spec, method=replace(spec.method, optimizer_state=state)))
            for name, spec in base.search_specs.items()
        )

    def _changed(self, base: Training, epochs: int | None, learning_rate: float | None) -> Training:
        from winsome.training.settings import SGD, Adam

        kinds: dict[str, SGD | Adam] = {"sgd": SGD(), "adam": Adam()}
        same = self.optimizer is None or isinstance(base.optimizer, type(kinds[self.optimizer]))
        optimizer = base.optimizer if same else kinds[str(self.optimizer)]
        if learning_rate is not None:
            optimizer = replace(optimizer, learning_rate=learning_rate)
        if self.weight_decay is not None:
            optimizer = replace(optimizer, weight_decay=self.weight_decay)
        batch_size = base.batch_size if self.batch_size is None else self.batch_size
        return replace(base, optimizer=optimizer, epochs=base.epochs if epochs is None else epochs, batch_size=batch_size)


@dataclass(frozen=True)
class ComparedOptions:
    """Which methods and arms are compared.

    Attributes:
        methods: Compare these methods instead, every two of them paired by search seed: names as of
            `winsome find --method`, yours too.
        arms: Arms to run instead of the default ones; an unknown name lists them all.
        more_arms: Arms to run beside these; a finished study takes them up in its folder, as it does seeds and starts.
        while_training: What holds while dense and planted networks train from scratch: plain, interpolated_norms, frozen_norms,
            fixed_signs, or one of your own (FILE.py:NAME).
    """

    methods: Annotated[tuple[str, ...], Unset] = ()
    arms: Annotated[tuple[str, ...], Unset] = ()
    more_arms: Annotated[tuple[str, ...], Unset] = ()
    while_training: Annotated[str | None, Unset] = None

    @property
    def files(self) -> tuple[UserFile | None, ...]:
        """The files of the user's that workers have to load."""
        part = () if self.while_training is None else (choices.while_training(self.while_training).file,)
        return (*choices.files_of(self.methods), *part)

    def arms_over(self, base: Study, known: Mapping[str, Arm]) -> tuple[Arm, ...]:
        """The arms asked for, each once: of those that are known, the study's own by default.

        Raises:
            WinsomeError: there is no such arm, or none that trains under what is asked for.
        """
        from winsome.study.arms import FoundNetwork  # its networks are not trained again

        own = choices.arms(self.arms, known) if self.arms else base.arms
        chosen = tuple(dict.fromkeys((*own, *choices.arms(self.more_arms, known))))
        if self.while_training is None:
            return chosen
        if all(isinstance(arm, FoundNetwork) for arm in chosen):
            raise WinsomeError("--while-training is for arms that train from scratch, and there is none; name one with --arms")
        part = choices.while_training(self.while_training).value
        return tuple(arm if isinstance(arm, FoundNetwork) else replace(arm, while_training=part) for arm in chosen)


AS_PRESET, AS_TRAINED, USUAL_ARMS = ExtentOptions(), TrainingOptions(), ComparedOptions()
