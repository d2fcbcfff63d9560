"""find_tickets(): train, prune, restart, level by level; a killed search goes on where it was, bit for bit."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winsome import distributed
from winsome.about import about
from winsome.checks import checked_kept, checked_restart, checked_scores, taken_by
from winsome.divergence import not_finite
from winsome.errors import Diverged, WinsomeError
from winsome.files import as_json
from winsome.identity import identity, name_of
from winsome.level import Level, Metrics
from winsome.looked_at import in_mode
from winsome.methods import Method
from winsome.norms import norm_state_names
from winsome.prunable import prunable as default_prunable
from winsome.prunable import refuse_unmade, refuse_wrapped
from winsome.ranking import Kept
from winsome.rewinding import Restart
from winsome.runs.lock import only_process
from winsome.runs.search_folder import SearchFolder
from winsome.scores import Probe, Scores
from winsome.seeding import generator, seeded, stream_seed
from winsome.signed_mask import SignedMask, zero_pruned
from winsome.state import State, first_difference, full_state, load_state, state_digest
from winsome.ticket import ticket_of

log = logging.getLogger("winsome")

_SAME_WEIGHTS = "all ranks must train the same weights: call DistributedDataParallel(model) in your loop, not the model itself"


class Search:
    """A search under way on one model: opens level after level, and closes each once it is trained.

    `find_tickets` drives one; several can be driven side by side where their networks train as one stack.
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        *,
        probe: Probe | None = None,
        save_to: str | Path | None = None,
        seed: int = 0,
        prunable: Sequence[str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        _refuse_other_kinds(method, prunable)
        distributed.refuse_sharded(model)
        refuse_wrapped(model)
        refuse_unmade(model)
        _refuse_without_probe(method, probe)
        self.model, self.method, self.seed, self.probe = model, method, seed, probe
        self.names = taken_by(method.allocate, tuple(prunable) if prunable is not None else default_prunable(model), model)
        made_with = {"method": method.record(), "seed": seed, "citations": list(method.cited)}
        if probe is not None and looks_at_probe(method):
            made_with["probe"] = probe.record(method.score)
        self.provenance = {**made_with, **(config or {}), **distributed.record()}
        parameters = dict(model.named_parameters())
        if unknown := [name for name in self.names if name not in parameters]:
            raise WinsomeError(f"the model has no parameter {', '.join(unknown)}; see winsome.plan(model) for its names")
        weights = {name: parameters[name] for name in self.names}
        for name, weight in weights.items():
            if weight.is_complex():
                raise WinsomeError(
                    f"the parameter {name!r} holds complex numbers, which have no sign: leave it out of `prunable`"
                )
            if not bool(torch.isfinite(weight).all()):
                raise WinsomeError(f"the parameter {name!r} of the model holds NaN or infinite values")
        self._kept = {name: torch.ones(weight.shape, dtype=torch.bool, device="cpu") for name, weight in weights.items()}
        shapes = {name: list(weight.shape) for name, weight in weights.items()}
        self._folder = None
        if save_to is not None:
            self._folder = SearchFolder.take(Path(save_to).expanduser(), {**self.provenance, "weights": shapes})
        self._initial = self._first_network()
        self._odd = not_finite(parameters)  # a mask of -inf, say, that is a parameter: nothing that diverged
        self._start: State = self._initial
        self._early: State = self._initial if method.rewind.step == 0 else {}
        self._trained: State = self._initial
        self._parent: str | None = None  # digest of the last level's signed mask

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes out of the run's folder, if it has one, while levels are opened and closed."""
        return nullcontext() if self._folder is None else only_process(self._folder.path)

    def _first_network(self) -> State:
        """The network as given; a folder that was begun remembers it, so that a fresh process need not make it again."""
        stored = self._folder.read_named("initial") if self._folder is not None else None
        if stored is None:
            stored = distributed.from_main(lambda: full_state(self.model))
            if self._folder is not None:
                self._folder.write_named("initial", stored)
        elif other := first_difference(self.model, stored):
            log.warning("the folder's own initial network is taken: %s of the model given differs from it", other)
        return stored

    def open(self, number: int) -> Level:
        """Level `number`: read back if it is finished, else pruned, restarted and ready to train on the model."""
        density = self.method.densities[number]
        level_seed = stream_seed(self.seed, "level", number)
        if self._folder is not None and not self._early:
            self._early = self._folder.read_named("early") or {}
        done = self._folder.read_level(number) if self._folder is not None else None
        if done is not None:
            state, ticket, record = done
            self._kept = {name: ticket.mask.kept(name) for name in self.names}
            start, _ = self._restart(number) if number else (self._initial, 0)
            mask = SignedMask.of({name: start[name] for name in self.names}, self._kept)
            self._trained = state
            level = Level(number, density, mask, record["first_step"], level_seed, self.method, self.model, self._folder)
            level.finish(ticket, state, record["metrics"], record["seconds"])
            self._parent = ticket.mask.digest()
            return level
        load_state(self.model, self._initial if self.method.scoring.before_training else self._trained)
        self._prune(number, density)
        state, first_step = self._restart(number) if number else (self._initial, 0)
        load_state(self.model, state)
        parameters = dict(self.model.named_parameters())
        mask = SignedMask.of({name: parameters[name] for name in self.names}, self._kept)
        distributed.agree(f"level {number}: the signed mask", mask.digest, _SAME_WEIGHTS)
        level = Level(number, density, mask, first_step, level_seed, self.method, self.model, self._folder)
        level.early, self._start = self._early, state
        return level

    def _refuse_diverged(self, level: Level) -> None:
        parameters = dict(self.model.named_parameters())
        statistics = {
            n: b for n, b in self.model.named_buffers() if n in norm_state_names(self.model) and b.is_floating_point()
        }
        watched = {name: parameter for name, parameter in parameters.items() if name not in self._odd}
        if bad := not_finite({**watched, **statistics}):
            raise Diverged(
                f"level {level.number}: {bad[0]!r} became NaN or infinite in training; "
                "try a lower learning rate, warm-up or gradient clipping"
            )

    def _restart(self, number: int) -> tuple[State, int]:
        """Where a level after the first starts from: a state, and the step of the schedule."""
        if not self._early:
            raise WinsomeError(
                f"{self.method.rewind} needs the network of training step {self.method.rewind.step}, "
                "which level 0 never reached: iterate over level.steps(total) in your training loop"
            )
        restart = Restart(norm_state_names(self.model), self._kept, generator(self.seed, "rewind", number))
        return checked_restart(
            self.method.rewind(self._early, self._trained, restart), self._trained, self.method.rewind, early=self._early
        )

    def _prune(self, number: int, density: float) -> None:
        if number == 0 and density == 1:
            return
        parameters = dict(self.model.named_parameters())
        weights = {name: parameters[name] for name in self.names}
        method, drawn = self.method, generator(self.seed, "score", number)

        def choose(density: float, kept: Kept) -> Kept:
            if method.scoring.rounds > 1:
                zero_pruned(weights, kept)  # the state that the level starts from is loaded next
            scores = method.score(weights, self.model, self.probe, drawn)

            def allocated() -> Kept:
                checked: Scores = checked_scores(scores, weights, kept, method.score)
                return checked_kept(method.allocate(checked, density, kept), density, kept, method.allocate)

            return distributed.from_main(allocated)  # scores on a GPU may differ between ranks in their last bits

        mode = self.probe.mode(method.score) if self.probe is not None else None
        with in_mode(self.model, mode), seeded(self.seed, "streams that a score draws from", number):
            self._kept = method.scoring(choose, density, self._kept)
        for name, keep in self._kept.items():
            if keep.numel() and not bool(keep.any()):
                log.warning(
                    "level %d: %s has lost all its weights by %r at density %g; more rounds of scoring (Rounds), another "
                    "allocation or a higher density may keep some",
                    *(number, name, name_of(method.score), density),
                )

    def close(self, level: Level, metrics: Metrics, seconds: float) -> Level:
        """The trained model becomes the level's ticket and state, on disk too; metrics are those of rank 0."""
        distributed.share_buffers(self.model)
        state = self._trained = full_state(self.model)
        distributed.agree(f"level {level.number}: the trained network", lambda: state_digest(state), _SAME_WEIGHTS)
        self._refuse_diverged(level)
        if not first_difference(self.model, self._start, self._kept):
            log.warning("level %d: the training loop changed no parameter", level.number)
        metrics = distributed.from_main(lambda: as_json(metrics))
        provenance = {**self.provenance, "level": level.number, "density": level.density, "metrics": metrics}
        provenance |= {"versions": _versions(), "parent": self._parent}
        values = self._initial if self.method.scoring.before_training else None
        ticket = ticket_of(self.model, self.names, self._kept, values, **provenance)
        self._early = self._early or level.early
        if self._folder is not None:
            record: dict[str, Any] = {"number": level.number, "density": level.density, "first_step": level.first_step}
            self._folder.write_level(level.number, state, ticket, {**record, "metrics": metrics, "seconds": seconds})
        level.finish(ticket, state, metrics, seconds)
        self._parent = ticket.mask.digest()
        return level


def find_tickets(
    model: nn.Module,
    method: Method,
    train: Callable[[nn.Module, Level], Metrics | None],
    probe: Probe | None = None,
    *,
    save_to: str | Path | None = None,
    seed: int = 0,
    prunable: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Iterator[Level]:
    """Search for tickets: train, prune, restart, and hand out every finished level.

    Your own loop trains: it gets the model, whose pruned weights stay exactly zero whatever optimizer steps it, and the
    level, over whose `steps(total)` it iterates. The global random streams of torch, numpy and Python are seeded for every
    level and given back after it, so that the same seed gives the same bits.

    Args:
        model: your network, trained in place; any `nn.Module`. It stays as it is: no layer is replaced.
        method: for example `winsome.aws(levels=15)`.
        train: called as `train(model, level)` for every level; returns metrics (JSON values) or None.
        probe: batches and a loss, for scores that look at data.
        save_to: a folder for the run; finished levels are read back from it when the search is called again, with more levels
            too.
        seed: of everything random in the search.
        prunable: names of the parameters to prune; all convolutions and linear layers but the classifier if None.
        config: JSON values that identify the run: a folder made with others is refused.

    Yields:
        Every level, in order, finished: `level.ticket`, `level.state`, `level.metrics`; the model holds what the level trained.

    Raises:
        WinsomeError: nothing is prunable, a score that looks at data has no probe, a part returns what cannot be used, a folder
            of another configuration or one in which another process is at work, a full disk.
        Diverged: weights became NaN or infinite in training.
    """
    search = Search(model, method, probe=probe, save_to=save_to, seed=seed, prunable=prunable, config=config)
    with search.held():
        for number in range(len(method.densities)):
            level = search.open(number)
            if not level.finished:
                start = time.perf_counter()
                with level.training():
                    metrics = train(model, level)
                search.close(level, {} if metrics is None else metrics, time.perf_counter() - start)
            load_state(model, level.state)  # that of a level read back too: the caller may look at the model
            yield level
    load_state(model, level.state)


def _refuse_other_kinds(method: object, prunable: object) -> None:
    if not isinstance(method, Method):
        what = f"the text {method!r}" if isinstance(method, str) else f"{getattr(method, '__name__', type(method).__name__)!r}"
        raise WinsomeError(
            f"a search takes a method, for example winsome.aws(levels=15); {what} is none (call it, if it makes one)"
        )
    if isinstance(prunable, str) or (prunable is not None and not prunable):
        wrong = f"the text {prunable!r}" if isinstance(prunable, str) else "no name at all"
        raise WinsomeError(f"`prunable` is a list of parameter names, or None for the usual ones; got {wrong}")


def _refuse_without_probe(method: Method, probe: Probe | None) -> None:
    for kind, part in method.parts.items():
        if probe is None and "probe" in about(part).needs:
            raise WinsomeError(
                f"{name_of(part)!r} ({kind}) looks at data: give the search a probe, "
                "find_tickets(..., probe=winsome.Probe(inputs, labels))"
            )


def looks_at_probe(method: Method) -> bool:
    """Whether results may follow from the probe; code that is not Winsome's may look at it without saying so."""
    return "probe" in method.needs or isinstance(identity(method.score), dict)


def _versions() -> dict[str, str]:
    """What a ticket was made with."""
    return {
        "winsome": importlib.metadata.version("winsome"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
