"""One small search by each of the trainers: in the test's process, or as a script of its own, on several ranks and killed.

python tests/trainers.py TRAINER FOLDER [--precision bf16] [--dies-at STEP]
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import winsome
from winsome import distributed
from winsome.level import Level

INPUTS = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(48) % 3
BATCH = 12  # over all ranks: 4 steps an epoch
EPOCHS = 3


class Classifier(nn.Module):
    """A network that transformers' Trainer takes too; it counts what it saw, and dies by SIGKILL if asked to."""

    def __init__(self, dies_at: int = -1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12), nn.Dropout(0.1), nn.Linear(12, 8), nn.Linear(8, 3))
        self.dies_at, self.passes, self.formats = dies_at, 0, set[torch.dtype]()

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.net(inputs)
        if self.training:
            self.passes += 1
            self.formats.add(logits.dtype)
            if self.passes == self.dies_at and distributed.rank() == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": F.cross_entropy(logits.float(), labels), "logits": logits}


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(INPUTS, LABELS), BATCH // distributed.world_size(), shuffle=True)


def of_lightning(_folder: Path, precision: str) -> Any:
    import lightning

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
            loss: Tensor = self.net(*batch)["loss"]
            return loss

        def validation_step(self, batch: list[Tensor], _index: int) -> None:
            self.log("loss", self.net(*batch)["loss"], sync_dist=True)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def make_trainer(_level: Level) -> Any:
        several = {"strategy": "ddp", "devices": 2} if distributed.world_size() > 1 else {}
        return lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", precision="bf16-mixed" if precision == "bf16" else "32-true",
            gradient_clip_val=0.5, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, **several,
        )  # fmt: skip

    return winsome.with_lightning(make_trainer, loader(), loader(), module=Module)


def of_transformers(folder: Path, precision: str) -> Any:
    import transformers

    rows = [{"inputs": row, "labels": int(label)} for row, label in zip(INPUTS, LABELS, strict=True)]

    def make_trainer(model: nn.Module, _level: Level) -> Any:
        each = BATCH // distributed.world_size()
        arguments = transformers.TrainingArguments(
            str(folder.parent / "hf"), num_train_epochs=EPOCHS, per_device_train_batch_size=each, learning_rate=0.1,
            max_grad_norm=0.5, bf16=precision == "bf16", use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no",
        )  # fmt: skip
        return transformers.Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)

    return winsome.with_transformers(make_trainer, save_every=3)


def of_accelerate(_folder: Path, precision: str) -> Any:
    import accelerate

    accelerate.state.AcceleratorState._reset_state()  # of another precision, in a process that runs several

    def make_parts(model: nn.Module, _level: Level) -> tuple[Any, ...]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return optimizer, loader(), torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 12)

    return winsome.with_accelerate(
        make_parts, lambda model, batch: model(*batch)["loss"], epochs=EPOCHS, clip=0.5, save_every=3,
        make_accelerator=lambda _level: accelerate.Accelerator(
            cpu=True, mixed_precision="bf16" if precision == "bf16" else "no"
        ),
    )  # fmt: skip


TRAINERS: dict[str, Callable[[Path, str], Any]] = {
    "lightning": of_lightning,
    "transformers": of_transformers,
    "accelerate": of_accelerate,
}


def search(trainer: str, folder: Path, precision: str = "fp32", dies_at: int = -1) -> tuple[list[Level], Classifier]:
    """Two levels of AWS."""
    model = Classifier(dies_at)
    train = TRAINERS[trainer](folder, precision)
    return list(winsome.find_tickets(model, winsome.aws(1, rate=0.5), train, save_to=folder)), model


def as_ranks(ranks: int, port: int, work: Callable[[], None]) -> list[int]:
    """Do some work in as many forked processes as torchrun would start; their exit codes."""
    processes = []
    for rank in range(ranks):
        if process := os.fork():
            processes.append(process)
            continue
        code = 1
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
        os.environ |= {"GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "here"}
        try:
            with distributed.joined():
                work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def main(root: Path) -> None:
    """Every trainer on two ranks in bf16: a whole search, one whose rank 0 is killed, and the same once more."""
    torch.set_num_threads(1)
    import accelerate  # noqa: F401  # here, for all processes that are forked
    import lightning  # noqa: F401
    import transformers  # noqa: F401

    for trainer in TRAINERS:

        def whole(trainer: str = trainer, folder: str = "whole", dies_at: int = -1) -> None:
            levels, model = search(trainer, root / trainer / folder, "bf16", dies_at)
            result = {"state": model.state_dict(), "formats": [str(one) for one in model.formats], "passes": model.passes}
            result["metrics"] = [dict(level.metrics) for level in levels]
            torch.save(result, root / trainer / f"{folder}-rank-{distributed.rank()}.pt")

        (root / trainer).mkdir(parents=True)
        assert as_ranks(2, free_port(), whole) == [0, 0]
        # 12 steps a level: in the midst of the second epoch of level 1, a checkpoint behind it.
        dead = as_ranks(2, free_port(), partial(whole, folder="cut", dies_at=12 + 7))
        assert dead[0] == -signal.SIGKILL, dead
        assert dead[1] != 0
        assert as_ranks(2, free_port(), partial(whole, folder="cut")) == [0, 0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
