"""find_tickets(): train, prune, restart, level by level; a killed search goes on where it was, bit for bit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winsome import distributed
from winsome.between_levels import Start, pruned, restarted
from winsome.divergence import not_finite, refuse_diverged, refuse_not_finite
from winsome.level import Level, Metrics
from winsome.method import Method
from winsome.psi import Which
from winsome.runs.checkpoint import CarriedOptimizer
from winsome.runs.search_folder import SearchFolder, identifying
from winsome.scores import Probe
from winsome.searchable import looks_at_probe, refuse_no_loop, searched, tell_changed_parts, whole_seed
from winsome.state import State, first_difference, full_state, in_order_of, load_state, state_digest
from winsome.ticket import origin, ticket_of

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
        classifier: str | Sequence[str] | None = None,
        norms: Which = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        seed = whole_seed(seed)
        scope = searched(model, method, probe, prunable=prunable, classifier=classifier, norms=norms)
        method, weights, self._norm_names = scope.method, scope.weights, scope.norms
        refuse_not_finite(model, {*weights, *scope.norms})
        self.model, self.method, self.seed, self.probe = model, method, seed, probe
        self.names = tuple(weights)
        made_with = {"method": method.record(), "seed": seed, "citations": list(method.cited)}
        if probe is not None and looks_at_probe(method):
            made_with["probe"] = probe.record(method.score)
        self.provenance = {**made_with, **identifying(config or {}), **distributed.record()}
        self._kept = {name: torch.ones(weight.shape, dtype=torch.bool, device="cpu") for name, weight in weights.items()}
        shapes = {name: list(weight.shape) for name, weight in weights.items()}
        self._folder = None
        if save_to is not None:
            self._folder = SearchFolder.take(
                Path(save_to).expanduser(), {**self.provenance, **(config or {}), "weights": shapes}
            )
        self._carried = CarriedOptimizer(method.optimizer_state, rewind_step=method.rewind.step, folder=self._folder)
        self._modes = [(module, module.training) for module in model.modules()]
        self._initial = self._first_network()
        # A mask of -inf, say, that is a parameter: nothing that diverged.
        self._odd = not_finite(dict(model.named_parameters()))
        self._start: State = self._initial
        self._early: State = self._initial if method.rewind.step == 0 else {}
        self._trained: State = self._initial
        self._parent: str | None = None  # digest of the last level's signed mask
        self._changed = self._folder is None  # whether a part that changes itself was told, where a search can be resumed

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes out of the run's folder, if it has one, while levels are opened and closed."""
        return nullcontext() if self._folder is None else self._folder.held()

    def _first_network(self) -> State:
        """The network as given; a folder that was begun remembers it, so that a fresh process need not make it again."""
        stored = self._folder.read_named("initial") if self._folder is not None else None
        if stored is None:
            stored = distributed.from_main(lambda: full_state(self.model))
            if self._folder is not None:
                self._folder.write_named("initial", stored)
        elif other := first_difference(self.model, stored):
            given, there = (str(one[other].dtype).removeprefix("torch.") for one in (self.model.state_dict(), stored))
            formats = f" ({given} here, {there} there)" if given != there else ""
            log.warning("the folder's own initial network is taken: %s of the model given differs from it%s", other, formats)
        return in_order_of(self.model, stored)

    def open(self, number: int) -> Level:
        """Level `number`: read back if it is finished, else pruned, restarted and ready to train on the model."""
        density = self.method.densities[number]
        if self._folder is not None and not self._early:
            self._early = in_order_of(self.model, self._folder.read_named("early") or {})
        done = self._folder.read_level(number) if self._folder is not None else None
        if done is not None:
            state, ticket, record = in_order_of(self.model, done[0]), *done[1:]
            self._kept = {name: ticket.mask.kept(name) for name in self.names}
            start = self._start_of(number)
            self._trained = state
            level = Level(number, density, start.mask, record["first_step"], start.seed, self.method, self.model, self._folder)
            level.finish(ticket, state, record["metrics"], record["seconds"])
            self._parent = ticket.mask.digest()
            return level
        load_state(self.model, self._initial if self.method.scoring.before_training else self._trained)
        self._kept = pruned(
            self.model, self.method, self._kept, density=density, number=number, seed=self.seed, probe=self.probe
        )
        start = self._start_of(number)
        load_state(self.model, start.state)
        for module, training in self._modes:  # a loop may have ended in evaluation
            module.training = training
        distributed.agree(f"level {number}: the signed mask", start.mask.digest, _SAME_WEIGHTS)
        level = Level(number, density, start.mask, start.first_step, start.seed, self.method, self.model, self._folder)
        level.early, level.begun, level.carried, self._start = self._early, self._initial, self._carried, start.state
        return level

    def _start_of(self, number: int) -> Start:
        trained = self._trained if number else self._initial
        return restarted(self.method, self._early, trained, self._kept, norms=self._norm_names, number=number, seed=self.seed)

    def close(self, level: Level, metrics: Metrics, seconds: float) -> Level:
        """The trained model becomes the level's ticket and state, on disk too; metrics are those of rank 0."""
        distributed.share_buffers(self.model)
        state = self._trained = full_state(self.model)
        distributed.agree(f"level {level.number}: the trained network", lambda: state_digest(state), _SAME_WEIGHTS)
        refuse_diverged(self.model, level.number, odd=self._odd, norms=self._norm_names)
        if not first_difference(self.model, self._start, self._kept):
            log.warning("level %d: the training loop changed no parameter", level.number)
        made = origin(level.number, level.density, metrics, parent=self._parent)
        metrics = made["metrics"]
        values = self._initial if self.method.scoring.before_training else None
        ticket = ticket_of(self.model, self.names, self._kept, values, **{**self.provenance, **made})
        self._early = self._early or level.early
        if self._folder is not None:
            record: dict[str, Any] = {"number": level.number, "density": level.density, "first_step": level.first_step}
            record["label"] = self.method.label  # for figures: no part of what identifies the search
            self._folder.write_level(level.number, state, ticket, {**record, "metrics": metrics, "seconds": seconds})
            self._carried.finished(level.number)
        self._changed = self._changed or tell_changed_parts(self.method, self.provenance["method"])
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
    classifier: str | Sequence[str] | None = None,
    norms: Which = None,
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
        prunable: names of the parameters to prune; if None all weights but embeddings' and classifiers' (`winsome.plan`).
        classifier: module names of the output layers, which stay dense, where they are not what is found.
        norms: which parameters the method's parts take for psi, by name, glob (`"*.rms"`) or predicate; if None those of all
            norms that are found.
        config: JSON values that identify the run: a folder made with others is refused.

    Yields:
        Every level, in order, finished: `level.ticket`, `level.state`, `level.metrics`; the model holds what the level trained.

    Raises:
        WinsomeError: nothing is prunable, a score that looks at data has no probe, a part returns what cannot be used, a folder
            of another configuration or one in which another process is at work, a full disk.
        Diverged: weights became NaN or infinite in training.

    Example:
        >>> import torch, winsome
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 2))
        >>> def train(model, level):
        ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        ...     for step in level.steps(total=3):
        ...         optimizer.zero_grad()
        ...         model(torch.ones(4, 8)).square().sum().backward()
        ...         optimizer.step()
        >>> [level.ticket.mask.n_kept for level in winsome.find_tickets(model, winsome.imp(2, rate=0.5), train)]
        [64, 32, 16]
    """
    refuse_no_loop(train)
    named: dict[str, Any] = {"prunable": prunable, "classifier": classifier, "norms": norms}
    search = Search(model, method, probe=probe, save_to=save_to, seed=seed, config=config, **named)
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
