"""A training loop around an Accelerator of Hugging Face's accelerate, as that of a search."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.level import Level, Metrics
from winsome.trainers.counted import Counted, advance, begin_epoch, number_of, put_in_training

log = logging.getLogger("winsome")


def with_accelerate(
    make_parts: Callable[[nn.Module, Level], Sequence[Any]],
    loss: Callable[[nn.Module, Any], Tensor],
    *,
    epochs: int,
    make_accelerator: Callable[[Level], Any] | None = None,
    clip: float | None = None,
    evaluate: Callable[[nn.Module], Mapping[str, Any]] | None = None,
    save_every: int = 500,
) -> Callable[[nn.Module, Level], Metrics]:
    """Train the levels of a search in a plain loop around an `accelerate.Accelerator`: devices, mixed precision, accumulation.

    Steps of the optimizer are the level's: `RewindTo(k)` restarts at step k, its scheduler and its place in an epoch too.
    With a folder (`find_tickets(..., save_to=...)`) every level goes on bit for bit after a kill, from the last checkpoint
    inside it, if the data set and its transformations draw nothing random in this process.

    Args:
        make_parts: called with the network and the level; gives an optimizer, a loader for training and, if there is one, a
            scheduler that is stepped after every step of the optimizer. They are prepared for you.
        loss: called with the network and a batch.
        epochs: of a full level.
        make_accelerator: called with the level, for a fresh `Accelerator`; None for `Accelerator()`.
        clip: the largest norm of the gradients; None for any.
        evaluate: called with the trained network, in evaluation mode; its metrics are the level's.
        save_every: training steps between two checkpoints inside a level; 0 for none.

    Returns:
        The `train` of `find_tickets`.

    Raises:
        WinsomeError: when it trains: accelerate is not installed, or a loader has no length.

    Example:
        >>> import torch, winsome
        >>> data = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.tensor([0, 1] * 4))
        >>> def make_parts(model, level):
        ...     loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
        ...     return torch.optim.SGD(model.parameters(), lr=0.1), loader
        >>> def loss(model, batch):
        ...     return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
        >>> train = winsome.with_accelerate(make_parts, loss, epochs=2)
        >>> for level in winsome.find_tickets(model, winsome.aws(15), train, save_to="runs/mine"):  # doctest: +SKIP
        ...     print(level.ticket)
    """

    def train(model: nn.Module, level: Level) -> Metrics:
        put_in_training(model)
        accelerator = _accelerate().Accelerator() if make_accelerator is None else make_accelerator(level)
        given = make_parts(model, level)
        prepared = accelerator.prepare(model, *given)
        _train(accelerator, prepared, given, level, loss=loss, epochs=epochs, clip=clip, save_every=save_every)
        accelerator.free_memory()
        if evaluate is None:
            return {}
        model.eval()
        return {name: number_of(value, name) for name, value in evaluate(model).items()}

    return train


def _accelerate() -> Any:
    try:
        return importlib.import_module("accelerate")
    except ModuleNotFoundError as error:
        raise WinsomeError("accelerate is not installed: pip install accelerate") from error


def _train(
    accelerator: Any,
    prepared: Sequence[Any],
    given: Sequence[Any],
    level: Level,
    *,
    loss: Callable[[nn.Module, Any], Tensor],
    epochs: int,
    clip: float | None,
    save_every: int,
) -> None:
    """The loop, from the step at which the level starts."""
    model, optimizer, loader, *schedulers = prepared
    if not hasattr(loader, "__len__"):
        raise WinsomeError("data without a length have no epochs to count: give a loader that has one")
    each = accelerator.gradient_accumulation_steps
    an_epoch = math.ceil(len(loader) / each)
    also = {f"scheduler {number}": scheduler for number, scheduler in enumerate(given[2:])}
    if accelerator.scaler is not None:
        also["scaler"] = accelerator.scaler
    counted = Counted(level)
    step = level.next_step
    first, skipped = divmod(step, an_epoch)
    optimizer.zero_grad()
    for epoch in range(first, epochs):
        begin_epoch(level, epoch, [given[1]])
        loader.set_epoch(epoch)
        batches = _accelerate().skip_first_batches(loader, skipped * each) if epoch == first and skipped else loader
        for batch in batches:
            if not counted.total:  # the batch is drawn, as it was when the checkpoint was written
                restored = counted.begin(an_epoch * epochs, [given[0]], save_every=save_every, also=also)
                for scheduler in () if restored else given[2:]:
                    advance(scheduler, step)
            counted.reach(step)
            with accelerator.accumulate(model):
                accelerator.backward(loss(model, batch))
                if clip is not None and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                for scheduler in schedulers:
                    scheduler.step()
                optimizer.zero_grad()
            step += accelerator.sync_gradients
    counted.end(step)
