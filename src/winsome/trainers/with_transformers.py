"""The Trainer of Hugging Face's transformers as the training loop of a search."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.level import Level, Metrics
from winsome.seeding import seed_streams
from winsome.trainers.counted import Counted, advance, number_of

_OF_THE_CLOCK = ("_runtime", "_per_second", "_time")


def with_transformers(
    make_trainer: Callable[[nn.Module, Level], Any], *, save_every: int = 500
) -> Callable[[nn.Module, Level], Metrics]:
    """Train the levels of a search with the Trainer of Hugging Face's transformers.

    The trainer's optimizer steps are the level's: `RewindTo(k)` restarts at step k, with the learning rate and the place in
    the data of step k. With a folder (`find_tickets(..., save_to=...)`) every level goes on bit for bit after a kill, from the
    last checkpoint inside it: network, optimizer, scheduler, gradient scaler, the states of callbacks and random streams are
    kept, and the data go on where they were. Data order and dropout follow from the level's seed, not from `args.seed`.

    Args:
        make_trainer: called with the network and the level, for a fresh `Trainer` of every level.
        save_every: training steps between two checkpoints inside a level; 0 for none. Those of the trainer's own
            (`args.save_strategy`) are not used.

    Returns:
        The `train` of `find_tickets`. The metrics of a level are those of `trainer.evaluate()` at its end, but for what
        the clock says; none without `eval_dataset`.

    Raises:
        WinsomeError: when it trains: `make_trainer` gives no Trainer, or one of another network.

    Example:
        >>> import torch, winsome
        >>> def make_trainer(model, level):
        ...     arguments = transformers.TrainingArguments(f"runs/level-{level.number}", num_train_epochs=3, save_strategy="no")
        ...     return transformers.Trainer(model, arguments, train_dataset=train_set, eval_dataset=test_set)
        >>> train = winsome.with_transformers(make_trainer)
        >>> for level in winsome.find_tickets(model, winsome.imp(9), train, save_to="runs/bert"):  # doctest: +SKIP
        ...     print(level.ticket.density, level.metrics["eval_loss"])
    """

    def train(model: nn.Module, level: Level) -> Metrics:
        trainer = make_trainer(model, level)
        library = _library(trainer)
        if trainer.model is not model:
            raise WinsomeError(
                "the trainer trains another network than the one that is searched: make_trainer(model, level) takes this "
                "model, transformers.Trainer(model=model, ...)"
            )
        follower = _Follower(Counted(level), save_every, trainer)
        trainer.add_callback(follower.callback(library))
        # The trainer has seeded everything with args.seed, alike at every level.
        seed_streams(level.own_seed, distributed.by_rank("training"))
        _train_from(trainer, level.next_step)
        if trainer.eval_dataset is None:
            return {}
        metrics = trainer.evaluate().items()
        return {name: number_of(value, name) for name, value in metrics if not name.endswith(_OF_THE_CLOCK)}

    return train


def _library(trainer: Any) -> Any:
    if not any(kind.__module__ == "transformers.trainer" for kind in type(trainer).__mro__):
        raise WinsomeError(
            f"make_trainer gave a {type(trainer).__name__}, no Trainer of transformers; install it with "
            "pip install transformers accelerate"
        )
    return importlib.import_module("transformers")


def _train_from(trainer: Any, step: int) -> None:
    """Train from a step on: the trainer takes its counts and its place in the data from a folder, as after a kill."""
    if step == 0:
        trainer.train()
        return
    with tempfile.TemporaryDirectory() as folder:
        state = importlib.import_module("transformers.trainer_callback").TrainerState(
            global_step=step, train_batch_size=trainer.args.train_batch_size
        )
        state.compute_steps(trainer.args, trainer.args.max_steps)
        state.save_to_json(str(Path(folder) / "trainer_state.json"))
        trainer._load_from_checkpoint = lambda *_args, **_options: None  # the level has put the network in place
        trainer.train(resume_from_checkpoint=folder)


class _Follower:
    """What the trainer's events call: the level follows the trainer's steps."""

    def __init__(self, counted: Counted, save_every: int, trainer: Any) -> None:
        self.counted, self.save_every, self.trainer, self._begun = counted, save_every, trainer, False

    def callback(self, library: Any) -> Any:
        """A callback of transformers with these events."""
        callback = library.TrainerCallback()
        callback.on_step_begin = self.begin_step
        callback.on_train_end = lambda _args, state, _control, **_: self.counted.end(state.global_step)
        return callback

    def begin_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """The batches of a step are there, and its training begins."""
        if self._begun:
            self.counted.reach(state.global_step)
            return
        self._begun, trainer = True, self.trainer
        optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        also = {"scheduler": trainer.lr_scheduler, "trainer": _Told(trainer)}
        if trainer.accelerator.scaler is not None:
            also["scaler"] = trainer.accelerator.scaler
        restored = self.counted.begin(state.max_steps, [optimizer], save_every=self.save_every, also=also)
        if not restored:
            advance(trainer.lr_scheduler, self.counted.step)


class _Told:
    """What the trainer and its callbacks have been told so far: the log, the best metric, the patience that is left."""

    _NAMES = ("log_history", "best_metric", "best_global_step", "best_model_checkpoint", "total_flos")

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def _exported(self) -> list[Any]:
        return [one for one in self._trainer.callback_handler.callbacks if callable(getattr(one, "state", None))]

    def state_dict(self) -> dict[str, Any]:
        """As plain values."""
        state = {name: getattr(self._trainer.state, name) for name in self._NAMES if hasattr(self._trainer.state, name)}
        return {"state": state, "callbacks": [dict(one.state()["attributes"]) for one in self._exported()]}

    def load_state_dict(self, told: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, value in told["state"].items():
            setattr(self._trainer.state, name, value)
        for one, attributes in zip(self._exported(), told["callbacks"], strict=True):
            for name, value in attributes.items():
                setattr(one, name, value)
