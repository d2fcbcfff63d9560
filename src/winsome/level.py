"""One round of a search: handed to the loop that trains it, and handed out with its ticket when it is trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.divergence import LOOK_EVERY, Finite
from winsome.errors import WinsomeError, check_whole
from winsome.method import Method
from winsome.own_names import OwnNames, holding
from winsome.runs import checkpoint
from winsome.runs.search_folder import SearchFolder
from winsome.seeding import seeded, stream_seed
from winsome.signed_mask import SignedMask
from winsome.state import State, full_state
from winsome.ticket import Ticket
from winsome.while_training import Progress, on_level, starting_from

log = logging.getLogger("winsome")

Metrics = Mapping[str, Any]  # JSON values


@dataclass(eq=False)
class Level:
    """One train-prune round: handed to `train`, and handed out when it is finished.

    Attributes:
        number: 0 for the first.
        density: fraction of prunable weights kept while this level trains, in (0, 1].
        mask: which weights are kept, with the signs that they start the level with.
        first_step: the step of the schedule at which training starts; above 0 where a method rewinds to a later step.
        own_seed: of 63 bits, what this package's own random streams of the level follow from.
        method: how the search prunes and restarts.
        state: the trained network's state_dict on the CPU; empty while it trains.
        metrics: what `train` returned; empty while it trains.
        seconds: how long training took; 0 while it trains.
        finished: whether the level is trained, and so has a ticket.
        early: the network that later levels rewind to, once training has reached it.
        begun: the network that the search began with.
        carried: what of the optimizer's state goes from level to level.

    Example:
        >>> import torch, winsome
        >>> from torch import nn
        >>> def train(model, level):
        ...     for step in level.steps(total=2):
        ...         pass  # a step of your own
        ...     return {"steps": 2}
        >>> model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 2))
        >>> for level in winsome.find_tickets(model, winsome.imp(1, rate=0.25), train):
        ...     print(level.number, level.ticket.mask.n_kept, dict(level.metrics))
        0 16 {'steps': 2}
        1 12 {'steps': 2}
    """

    number: int
    density: float
    mask: SignedMask
    first_step: int
    own_seed: int
    method: Method
    _model: nn.Module = field(repr=False)
    _folder: SearchFolder | None = field(repr=False)
    state: State = field(default_factory=dict, repr=False)
    metrics: Metrics = field(default_factory=dict)
    seconds: float = 0.0
    finished: bool = False
    early: State = field(default_factory=dict, repr=False)
    begun: State = field(default_factory=dict, repr=False)
    _ticket: Ticket | None = field(default=None, repr=False)
    _progress: Progress = field(default_factory=dict, repr=False)
    _own: OwnNames | None = field(default=None, repr=False)
    carried: checkpoint.CarriedOptimizer = field(default_factory=checkpoint.CarriedOptimizer, repr=False)
    _optimizer: Optimizer | None = field(default=None, repr=False)

    @property
    def seed(self) -> int:
        """The seed of this level's training, from which data order and augmentation should follow.

        It is below 2**32, as other libraries ask for.
        """
        return self.own_seed & 0xFFFF_FFFF

    @property
    def ticket(self) -> Ticket:
        """What the level found.

        Raises:
            WinsomeError: it is training still.
        """
        if self._ticket is None:
            raise WinsomeError(
                f"level {self.number} has no ticket while it trains, only the mask that it started with (level.mask); "
                "a level that find_tickets hands out has one"
            )
        return self._ticket

    @property
    def has_folder(self) -> bool:
        """Whether the search has a folder, in which checkpoints inside the level can be kept."""
        return self._folder is not None

    @property
    def next_step(self) -> int:
        """The step at which `steps` begins: `first_step`, or that of the checkpoint which a killed process left behind."""
        saved = self._folder.read_checkpoint(self.number) if self._folder is not None else None
        return self.first_step if saved is None else int(saved[1]["step"])

    def finish(self, ticket: Ticket, state: State, metrics: Metrics, seconds: float) -> None:
        """The level is trained, now or in an earlier process."""
        self._ticket, self.state, self.metrics, self.seconds, self.finished = ticket, state, metrics, seconds, True

    def steps(
        self,
        total: int,
        *,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        save_every: int = 0,
        also: Mapping[str, checkpoint.Stateful] | None = None,
    ) -> Iterator[int]:
        """The training steps of this level: `for step in level.steps(2000): ...` with one optimizer step in each.

        Hand over the optimizer and the level goes on inside itself after a kill: its state, the network's and the random
        streams' are kept every `save_every` steps. Without it, a killed level starts over. What else counts steps as it goes
        is handed over as well: `also={"scheduler": scheduler, "ema": ema, "scaler": scaler}`.
        A method that keeps or rewinds the optimizer's state puts it into this optimizer before the first step, and needs it
        for that.

        Args:
            total: steps of a full level; a method that rewinds to step k starts at k. Of a method that prunes within a training
                (`prune_at`) those of the whole training, of which every level is a stretch.
            optimizer: what steps the network; a list of several.
            save_every: steps between two checkpoints; 0 for none.
            also: whatever has `state_dict` and `load_state_dict`, by names of your choice; the state of rank 0 is kept.

        Raises:
            WinsomeError: no step is left to train, or none after the last pruning within it; the method's optimizer or a
                scheduler is not handed over; what is handed over cannot be kept, or is not what the checkpoint was kept of.
            Diverged: a parameter became NaN or infinite.
        """
        check_whole("total", total)
        check_whole("save_every", save_every)
        if save_every < 0:
            raise WinsomeError(f"save_every must be 0 or more, got {save_every}")
        end = self.method.end_of(self.number, total)
        if end <= self.first_step:
            raise WinsomeError(f"a level of {total} steps that starts at step {self.first_step} trains nothing")
        optimizers, beside = checkpoint.all_of(optimizer), checkpoint.named(also)
        if optimizers and not checkpoint.step_some_of(optimizers, self._model):
            kinds = " and ".join(type(one).__name__ for one in optimizers)
            log.warning("level %d: %s holds no parameter of the model: hand over what steps it", self.number, kinds)
        if save_every and (not optimizers or self._folder is None):
            lacking = "find_tickets(..., save_to=...)" if optimizers else "optimizer=..."
            log.warning("save_every=%d keeps nothing without %s", save_every, lacking)
        folder = self._folder if optimizers else None
        first, extra = self.first_step, self._progress
        self._start_optimizer(optimizers)
        if folder is not None:
            if save_every:
                checkpoint.refuse_unkept(optimizers, beside)
            saved = folder.read_checkpoint(self.number)
            first = checkpoint.restore(saved, self._model, optimizers, extra, default=first, also=beside)
            if first > self.first_step:
                log.info("level %d goes on at step %d", self.number, first)
        if self._own is not None:
            self._own.follow()  # a loop may have changed layers, and may compile next
        finite = Finite(self._model, self.number, first)
        for step in range(first, end):
            if self.number == 0 and step == self.method.rewind.step and not self.early:
                distributed.share_buffers(self._model)
                if self._optimizer is not None:
                    self.carried.keep_early(self._optimizer)
                self.keep_early(self._own.state() if self._own is not None else full_state(self._model))
            if folder is not None and save_every and step > first and step % save_every == 0:
                finite.look(step)  # nothing goes on from what diverged
                checkpoint.refuse_unkept(optimizers, beside)  # a scheduler may have been made since
                kept = checkpoint.take(self._model, optimizers, extra, step=step, level=self.number, also=beside)
                folder.write_checkpoint(*kept)
            yield step
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == end:
                finite.look(step + 1)

    def _start_optimizer(self, optimizers: Sequence[Optimizer]) -> None:
        if not self.carried.wanted:
            return
        if len(optimizers) != 1:
            given = f"; it carries one, not {' and '.join(type(one).__name__ for one in optimizers)}" if optimizers else ""
            raise WinsomeError(
                f'a method with optimizer_state="{self.method.optimizer_state}" takes the optimizer of every level: '
                f"level.steps(total, optimizer=optimizer){given}"
            )
        (self._optimizer,) = optimizers
        self.carried.start(self.number, self._optimizer)

    def _keep_optimizer(self) -> None:
        if self.carried.wanted:
            if self._optimizer is None:
                raise WinsomeError(
                    f"level {self.number}: the training loop handed over no optimizer, which optimizer_state="
                    f'"{self.method.optimizer_state}" asks for: iterate over level.steps(total, optimizer=optimizer)'
                )
            self.carried.keep_end(self.number, self._optimizer)

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
            stack.enter_context(seeded(self.own_seed, distributed.by_rank("training")))
            stack.enter_context(self.mask.enforced_on(self._model))
            part = starting_from(on_level(self.method.while_training, self.number), self.begun)
            seed = stream_seed(self.own_seed, "interpolation")
            self._own, self._progress = stack.enter_context(holding(part, self._model, seed, self.mask))
            yield
            self._keep_optimizer()
