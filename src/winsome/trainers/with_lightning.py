"""Lightning's trainer as the training loop of a search."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils._pytree import tree_leaves

from winsome.errors import WinsomeError
from winsome.level import Level, Metrics
from winsome.trainers.counted import Counted, advance, begin_epoch, number_of, put_in_training

log = logging.getLogger("winsome")


def with_lightning(
    make_trainer: Callable[[Level], Any],
    data: Any = None,
    validation: Any = None,
    *,
    module: Callable[[nn.Module], Any] | None = None,
    save_every: int = 1,
) -> Callable[[nn.Module, Level], Metrics]:
    """Train the levels of a search with Lightning's trainer, of the package `lightning` or `pytorch_lightning`.

    The trainer's optimizer steps are the level's: `RewindTo(k)` restarts at step k, learning-rate schedules and the trainer's
    counts of epochs and steps with it. With a folder (`find_tickets(..., save_to=...)`) every level goes on bit for bit after a
    kill, from the last epoch that was finished: network, optimizer, schedulers, gradient scaler, callbacks and random streams
    are kept, and the random streams of every epoch follow from the level's seed, also those that shuffle the data. Of a
    LightningModule one `training_step` is one forward pass, with one alpha in AWS, as it is in data-parallel training.

    Args:
        make_trainer: called with the level, for a fresh `Trainer` of every level.
        data: what `trainer.fit` takes: loaders for training or a LightningDataModule; None where the module has its own.
        validation: loaders for validation.
        module: makes the LightningModule around the network that is searched; None where that is one itself.
        save_every: epochs between two checkpoints inside a level; 0 for none.

    Returns:
        The `train` of `find_tickets`. The metrics of a level are what the module logged, those of validation at its end.

    Raises:
        WinsomeError: when it trains: Lightning is not installed, `module` is missing, the trainer has no end, or the module
            steps its optimizers itself.

    Example:
        >>> import torch, winsome
        >>> def make_trainer(level):
        ...     return lightning.Trainer(max_epochs=10, gradient_clip_val=1.0)
        >>> data = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.tensor([0, 1] * 4))
        >>> loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
        >>> train = winsome.with_lightning(make_trainer, loader)
        >>> for level in winsome.find_tickets(model, winsome.aws(15), train, save_to="runs/mine"):  # doctest: +SKIP
        ...     print(level.ticket.density, level.metrics)
    """

    def train(model: nn.Module, level: Level) -> Metrics:
        put_in_training(model)
        trainer = make_trainer(level)
        library = _library(trainer)
        training = module(model) if module is not None else model
        if not isinstance(training, library.LightningModule):
            raise WinsomeError(
                f"Lightning trains LightningModules, and {type(training).__name__} is none: give the class around your "
                "network, with_lightning(make_trainer, data, module=MyModule)"
            )
        if not training.automatic_optimization:
            raise WinsomeError(
                f"{type(training).__name__} steps its optimizers itself (automatic_optimization = False): its steps cannot be "
                "counted; write train(model, level) around level.steps(...)"
            )
        follower = _Follower(Counted(level), save_every, model)
        trainer.callbacks.insert(0, follower.callback(library))
        with _one_pass_a_step(training) if training is model else nullcontext():
            of_module = hasattr(data, "train_dataloader")
            given = {"datamodule": data} if of_module else {"train_dataloaders": data}
            trainer.fit(training, val_dataloaders=validation, **given)
        if trainer.interrupted:
            raise KeyboardInterrupt
        metrics = dict(trainer.callback_metrics)
        if follower.validated is not None and follower.validated < trainer.global_step:
            given = {"datamodule": data} if of_module else {"dataloaders": validation}
            trainer.validate(training, verbose=False, **given)
            metrics |= trainer.callback_metrics
        return {name: number_of(value, name) for name, value in metrics.items()}

    return train


def _library(trainer: Any) -> Any:
    """The package that a trainer is from: Lightning has two names, whose classes are not each other's."""
    package = type(trainer).__mro__[-2].__module__.partition(".")[0]
    if package not in ("lightning", "pytorch_lightning"):
        raise WinsomeError(
            f"make_trainer gave a {type(trainer).__name__}, no Trainer of Lightning's; install it with pip install lightning"
        )
    return importlib.import_module("lightning.pytorch" if package == "lightning" else package)


class _Follower:
    """What the trainer's hooks call: the level follows the trainer's steps, and the trainer starts where the level does."""

    def __init__(self, counted: Counted, save_every: int, model: nn.Module) -> None:
        self.counted, self.save_every, self.model = counted, save_every, model
        self.validated: int | None = None  # after how many steps the trainer has validated last
        self._shortened: tuple[Any, Any] | None = None

    def callback(self, library: Any) -> Any:
        """A callback of the trainer's package with these hooks."""
        callback = library.Callback()
        callback.on_train_start = self.start
        callback.on_train_epoch_start = self.start_epoch
        callback.on_train_batch_start = lambda trainer, *_: self.counted.reach(trainer.global_step)
        callback.on_train_epoch_end = self.end_epoch
        callback.on_validation_end = self.validate
        callback.on_train_end = lambda trainer, _module: self.counted.end(trainer.global_step)
        return callback

    def start(self, trainer: Any, _module: Any) -> None:
        """Put the trainer to the step at which the level starts, and what was kept back in place."""
        total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
        if not 0 < total < math.inf:
            raise WinsomeError("the trainer has no end: give it max_steps, or max_epochs of data that have a length")
        an_epoch = 0 if math.isinf(batches) else math.ceil(batches / trainer.accumulate_grad_batches)
        if not an_epoch:
            log.warning("data without a length have no epochs to count: no checkpoint is kept inside of a level")
        schedulers = {f"scheduler {n}": config.scheduler for n, config in enumerate(trainer.lr_scheduler_configs)}
        also = {**schedulers, "precision": trainer.precision_plugin, "callbacks": _Callbacks(trainer)}
        restored = self.counted.begin(int(total), trainer.optimizers, save_every=self.save_every * an_epoch, also=also)
        step = self.counted.step
        if not step:
            return
        epoch, within = divmod(step, an_epoch) if an_epoch else (0, step)
        _go_to(trainer.fit_loop, epoch, step, batches=epoch * batches if an_epoch else 0)
        if not restored:
            for config in trainer.lr_scheduler_configs:
                advance(config.scheduler, _scheduler_steps(config, trainer, epoch, within))
        if within and an_epoch:
            self._shorten(trainer, batches - within * trainer.accumulate_grad_batches)

    def _shorten(self, trainer: Any, batches: int) -> None:
        """The first epoch is the rest of the one in which the step to start at lies."""
        whole, checks = trainer.fit_loop.max_batches, trainer.val_check_batch
        self._shortened = whole, checks
        trainer.fit_loop.max_batches = batches
        if checks == whole:  # at the end of an epoch
            trainer.val_check_batch = batches

    def start_epoch(self, trainer: Any, _module: Any) -> None:
        """Between two epochs the level is kept; the data of the next one follow from the level's seed."""
        self.counted.reach(trainer.global_step)
        begin_epoch(self.counted.level, trainer.current_epoch, tree_leaves(trainer.train_dataloader))

    def end_epoch(self, trainer: Any, _module: Any) -> None:
        """Later epochs have all their batches."""
        if self._shortened is not None:
            trainer.fit_loop.max_batches, trainer.val_check_batch = self._shortened
            self._shortened = None

    def validate(self, trainer: Any, _module: Any) -> None:
        """The trainer has validated."""
        if not trainer.sanity_checking:
            self.validated = trainer.global_step


def _go_to(loop: Any, epoch: int, step: int, *, batches: int) -> None:
    """The trainer's counts, as after so many epochs, steps and batches."""
    for count in (loop.epoch_progress.total, loop.epoch_progress.current):
        count.ready = count.started = count.processed = count.completed = epoch
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    steps.ready = steps.completed = loop.epoch_loop._batches_that_stepped = step
    total = loop.epoch_loop.batch_progress.total
    total.ready = total.started = total.processed = total.completed = batches


def _scheduler_steps(config: Any, trainer: Any, epochs: int, within: int) -> int:
    """How often a scheduler has been stepped after so many epochs and optimizer steps: one that waits for a metric never."""
    if config.reduce_on_plateau:
        return 0
    if config.interval == "epoch":
        return int(epochs // config.frequency)
    batches, each = trainer.num_training_batches, trainer.accumulate_grad_batches
    if math.isinf(batches):
        return sum(number * each % int(config.frequency) == 0 for number in range(1, within + 1))
    ends = [*range(each, batches + 1, each), *([batches] if batches % each else [])]  # batches after which it steps
    counts: list[bool] = [end % int(config.frequency) == 0 for end in ends]
    return epochs * sum(map(int, counts)) + sum(map(int, counts[:within]))


class _Callbacks:
    """The states of all the trainer's callbacks, as one that can be kept."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """By the callbacks' own keys."""
        states = {callback.state_key: callback.state_dict() for callback in self._trainer.callbacks}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Callbacks that are new start fresh."""
        for callback in self._trainer.callbacks:
            if callback.state_key in states:
                callback.load_state_dict(states[callback.state_key])


@contextmanager
def _one_pass_a_step(module: nn.Module) -> Iterator[None]:
    """Every `training_step` inside the block is a call of the module: what holds around its forward holds around the step.

    A `training_step` may call parts of the module alone. In data-parallel training Lightning calls the module so itself.
    """
    own: Any = module.training_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        forward = module.__dict__.get("forward")

        def once(*inner: Any, **named: Any) -> Any:
            put_back()
            return own(*inner, **named)

        def put_back() -> None:
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = forward

        module.__dict__["forward"] = once
        try:
            return module(*args, **kwargs)
        finally:
            put_back()

    module.__dict__["training_step"] = training_step
    try:
        yield
    finally:
        del module.__dict__["training_step"]
