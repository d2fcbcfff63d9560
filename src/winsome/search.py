"""find_tickets(): train, prune, restart, level by level; a killed search goes on where it was, bit for bit."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import Diverged, WinsomeError
from winsome.files import as_json
from winsome.methods import Method
from winsome.norms import norm_state_names
from winsome.prunable import prunable as default_prunable
from winsome.prunable import refuse_wrapped
from winsome.rewinding import Restart
from winsome.runs import checkpoint
from winsome.runs.search_folder import RunFolder
from winsome.scores import Probe
from winsome.seeding import generator, seeded, stream_seed
from winsome.signed_mask import SignedMask
from winsome.state import State, full_state, state_digest
from winsome.ticket import Ticket, ticket_of
from winsome.while_training import Progress, on_level

log = logging.getLogger("winsome")

Metrics = Mapping[str, Any]  # JSON values
_SAME_WEIGHTS = "all ranks must train the same weights: call DistributedDataParallel(model) in your loop, not the model itself"


@dataclass(eq=False)
class Level:
    """One train-prune round: handed to `train`, and handed out when it is finished.

    Attributes:
        number: 0 for the first.
        density: fraction of prunable weights kept while this level trains, in (0, 1].
        mask: which weights are kept, with the signs that they start the level with.
        first_step: the step of the schedule at which training starts; above 0 where a method rewinds to a later step.
        seed: of this level's training; data order and augmentation should follow from it.
        ticket: what the level found; None while it trains.
        state: the trained network's state_dict on the CPU; empty while it trains.
        metrics: what `train` returned.
        seconds: how long training took.
    """

    number: int
    density: float
    mask: SignedMask
    first_step: int
    seed: int
    method: Method
    _model: nn.Module = field(repr=False)
    _folder: RunFolder | None = field(repr=False)
    ticket: Ticket = field(default_factory=lambda: Ticket(SignedMask({})))
    state: State = field(default_factory=dict, repr=False)
    metrics: Metrics = field(default_factory=dict)
    seconds: float = 0.0
    finished: bool = False
    early: State = field(default_factory=dict, repr=False)
    progress: Progress = field(default_factory=dict, repr=False)

    def steps(self, total: int, *, optimizer: Optimizer | None = None, save_every: int = 0) -> Iterator[int]:
        """The training steps of this level: `for step in level.steps(2000): ...` with one optimizer step in each.

        Hand over the optimizer and the level goes on inside itself after a kill: its state, the network's and the random
        streams' are kept every `save_every` steps. Without it, a killed level starts over. A learning-rate schedule must
        follow from `step`: a scheduler object's own count is not kept.

        Args:
            total: steps of a full level; a method that rewinds to step k starts at k.
            optimizer: what steps the network.
            save_every: steps between two checkpoints; 0 for none.

        Raises:
            WinsomeError: no step is left to train.
        """
        if total <= self.first_step:
            raise WinsomeError(f"a level of {total} steps that starts at step {self.first_step} trains nothing")
        first, extra = self.first_step, self.progress
        if optimizer is not None and self._folder is not None:
            first = checkpoint.restore(self._folder.read_checkpoint(self.number), self._model, optimizer, extra, default=first)
            if first > self.first_step:
                log.info("level %d goes on at step %d", self.number, first)
        for step in range(first, total):
            if self.number == 0 and step == self.method.rewind.step:
                distributed.share_buffers(self._model)
                self.keep_early(full_state(self._model))
            if optimizer is not None and self._folder is not None and save_every and step > first and step % save_every == 0:
                self._folder.write_checkpoint(*checkpoint.take(self._model, optimizer, extra, step=step, level=self.number))
            yield step

    def keep_early(self, state: State) -> None:
        """Keep the network that later levels rewind to."""
        if not self.early:
            self.early = state
            if self._folder is not None and self.method.rewind.step:
                self._folder.write_named("early", state)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Everything that holds while this level trains: pruned weights stay zero, random streams are the level's own."""
        with ExitStack() as stack:
            stack.enter_context(seeded(self.seed, distributed.by_rank("training")))
            stack.enter_context(self.mask.enforced_on(self._model))
            context = on_level(self.method.while_training, self.number)
            self.progress = stack.enter_context(context(self._model, stream_seed(self.seed, "interpolation"), self.mask))
            yield


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
        distributed.refuse_sharded(model)
        refuse_wrapped(model)
        self.model, self.method, self.seed, self.probe = model, method, seed, probe
        self.names = tuple(prunable) if prunable is not None else default_prunable(model)
        made_with = {"method": method.record(), "seed": seed, "citations": list(method.citations)}
        self.provenance = {**made_with, **(config or {}), **distributed.record()}
        parameters = dict(model.named_parameters())
        if unknown := [name for name in self.names if name not in parameters]:
            raise WinsomeError(f"the model has no parameter {', '.join(unknown)}; see winsome.plan(model) for its names")
        weights = {name: parameters[name] for name in self.names}
        for name, weight in weights.items():
            if not bool(torch.isfinite(weight).all()):
                raise WinsomeError(f"the parameter {name!r} of the model holds NaN or infinite values")
        self._kept = {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
        shapes = {name: list(weight.shape) for name, weight in weights.items()}
        self._folder = None
        if save_to is not None:
            self._folder = RunFolder(Path(save_to), {**self.provenance, "weights": shapes})
        self._initial = self._first_network()
        self._early: State = self._initial if method.rewind.step == 0 else {}
        self._trained: State = self._initial
        self._parent: str | None = None  # digest of the last level's signed mask

    def _first_network(self) -> State:
        """The network as given; a folder that was begun remembers it, so that a fresh process need not make it again."""
        stored = self._folder.read_named("initial") if self._folder is not None else None
        if stored is None:
            stored = distributed.from_main(lambda: full_state(self.model))
            if self._folder is not None:
                self._folder.write_named("initial", stored)
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
            level.ticket, level.state, level.metrics = ticket, state, record["metrics"]
            level.seconds, level.finished = record["seconds"], True
            self._parent = ticket.mask.digest()
            return level
        self.model.load_state_dict(self._trained)
        self._prune(number, density)
        state, first_step = self._restart(number) if number else (self._initial, 0)
        self.model.load_state_dict(state)
        parameters = dict(self.model.named_parameters())
        mask = SignedMask.of({name: parameters[name] for name in self.names}, self._kept)
        distributed.agree(f"level {number}: the signed mask", mask.digest, _SAME_WEIGHTS)
        level = Level(number, density, mask, first_step, level_seed, self.method, self.model, self._folder)
        level.early = self._early
        return level

    def _restart(self, number: int) -> tuple[State, int]:
        """Where a level after the first starts from: a state, and the step of the schedule."""
        if not self._early:
            raise WinsomeError(
                f"{self.method.rewind} needs the network of training step {self.method.rewind.step}, "
                "which level 0 never reached: iterate over level.steps(total) in your training loop"
            )
        restart = Restart(norm_state_names(self.model), self._kept, generator(self.seed, "rewind", number))
        return self.method.rewind(self._early, self._trained, restart)

    def _prune(self, number: int, density: float) -> None:
        if number == 0 and density == 1:
            return
        parameters = dict(self.model.named_parameters())
        weights = {name: parameters[name] for name in self.names}
        scores = self.method.score(weights, self.model, self.probe, generator(self.seed, "score", number))
        kept = self.method.allocate(scores, density, self._kept)
        self._kept = distributed.from_main(lambda: kept)  # scores on a GPU may differ between ranks in their last bits

    def close(self, level: Level, metrics: Metrics, seconds: float) -> Level:
        """The trained model becomes the level's ticket and state, on disk too; metrics are those of rank 0."""
        distributed.share_buffers(self.model)
        level.state = self._trained = full_state(self.model)
        distributed.agree(f"level {level.number}: the trained network", lambda: state_digest(level.state), _SAME_WEIGHTS)
        parameters = dict(self.model.named_parameters())
        for name in self.names:
            if not bool(torch.isfinite(parameters[name]).all()):
                raise Diverged(
                    f"level {level.number}: the weights of {name!r} became NaN or infinite in training; "
                    "try a lower learning rate, warm-up or gradient clipping"
                )
        metrics = distributed.from_main(lambda: as_json(metrics))
        level.metrics, level.seconds = metrics, seconds
        provenance = {**self.provenance, "level": level.number, "density": level.density, "metrics": metrics}
        provenance |= {"versions": _versions(), "parent": self._parent}
        level.ticket = ticket_of(self.model, self.names, self._kept, **provenance)
        self._early = self._early or level.early
        for name in level.ticket.mask.empty_layers():
            log.warning("level %d: %s has lost all its weights", level.number, name)
        if self._folder is not None:
            record: dict[str, Any] = {"number": level.number, "density": level.density, "first_step": level.first_step}
            self._folder.write_level(
                level.number, level.state, level.ticket, {**record, "metrics": metrics, "seconds": seconds}
            )
        self._parent, level.finished = level.ticket.mask.digest(), True
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
        probe: one batch and a loss, for scores that look at data.
        save_to: a folder for the run; finished levels are read back from it when the search is called again, with more levels
            too.
        seed: of everything random in the search.
        prunable: names of the parameters to prune; all convolutions and linear layers but the classifier if None.
        config: JSON values that identify the run: a folder made with others is refused.

    Yields:
        Every level, in order, finished: `level.ticket`, `level.state`, `level.metrics`; the model holds what the level trained.

    Raises:
        WinsomeError: nothing is prunable, a folder of another configuration, a full disk.
        Diverged: weights became NaN or infinite in training.
    """
    search = Search(model, method, probe=probe, save_to=save_to, seed=seed, prunable=prunable, config=config)
    for number in range(len(method.densities)):
        level = search.open(number)
        if not level.finished:
            start = time.perf_counter()
            with level.training():
                metrics = train(model, level)
            search.close(level, {} if metrics is None else metrics, time.perf_counter() - start)
        model.load_state_dict(level.state)  # that of a level read back too: the caller may look at the model
        yield level
    model.load_state_dict(level.state)


def _versions() -> dict[str, str]:
    """What a ticket was made with."""
    return {
        "winsome": importlib.metadata.version("winsome"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
