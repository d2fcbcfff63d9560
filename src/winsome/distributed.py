"""Several processes that train one network: who they are, what rank 0 decides, what must be alike on all of them.

The only file that imports torch.distributed. In a single process every function does its plain thing, so that the code that
calls it needs no branches. What gives or takes something from other ranks must be called by every rank, in the same order.
"""

from __future__ import annotations

import datetime
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from winsome.errors import RankLost, WinsomeError
from winsome.launcher import ALIKE, launched

T = TypeVar("T")

# Ranks meet in every training step: one that does not come within this time has died.
_STEP_TIMEOUT = datetime.timedelta(seconds=45)
# What rank 0 does alone, and loading data, may take its time.
_PATIENCE = datetime.timedelta(minutes=30)
_ROLL_CALL_SECONDS = 3
# Set within what rank 0 makes for all: no other rank takes part in it.
_alone = ContextVar("alone", default=False)


def world_size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this is rank 0, which decides masks, writes files and speaks."""
    return rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun started, gloo on CPUs and nccl on GPUs, and leave them at the end.

    On GPUs the process takes the one of its local rank.

    Raises:
        WinsomeError: there are more processes than GPUs on this machine.
        RankLost: inside the block another rank died, or did not come to a training step within 45 s; names it.
    """
    if not launched() or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise WinsomeError(
                f"process {local} of this machine has no GPU: there are {devices}; take --nproc-per-node {devices}"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)  # on a cold disk one process may import for minutes longer
    try:
        with lost_ranks_named():
            yield
    finally:
        leave()


@contextmanager
def lost_ranks_named() -> Iterator[None]:
    """Say which rank was lost, where torch says only that a connection was.

    Raises:
        RankLost: inside the block another rank died, or did not come to a training step within 45 s; names it.
    """
    try:
        yield
    except RuntimeError as error:
        if world_size() == 1 or not _lost_contact(error):
            raise
        silent = ", ".join(f"rank {number}" for number in _silent_ranks()) or "another rank"
        reason = str(error).splitlines()[0].rsplit("] ", 1)[-1]  # without the place in gloo's source
        raise RankLost(f"{silent} does not answer ({reason})") from error


def _lost_contact(error: RuntimeError) -> bool:
    # With DistributedDataParallel's gradients gloo's errors are plain RuntimeErrors.
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "nccl", "timed out"))


def _silent_ranks() -> list[int]:
    """The ranks that do not answer to a roll-call of a few seconds, in which the launcher can see which process has died."""
    try:
        store = dist.distributed_c10d._get_default_store()
        store.set(f"winsome/here/{rank()}", "")
        time.sleep(_ROLL_CALL_SECONDS)
        return [number for number in range(world_size()) if not store.check([f"winsome/here/{number}"])]
    except RuntimeError:  # the store was with the rank that died
        return []


def leave() -> None:
    """From here on this process is alone: rank 0 goes on as a single process does."""
    _patient.cache_clear()
    _prompt.cache_clear()
    _compiling.cache_clear()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@functools.cache
def _patient() -> Any:
    """A group of all ranks on CPUs whose members wait long for each other."""
    return dist.new_group(backend="gloo", timeout=_PATIENCE)


@functools.cache
def _prompt() -> Any:
    """A group of all ranks whose members meet in every training step."""
    return dist.new_group(timeout=_STEP_TIMEOUT)


@functools.cache
def _compiling() -> Any:
    """A group of all ranks that meet in every training step, some after they have compiled it."""
    return dist.new_group(timeout=_PATIENCE)


def gathered(value: T) -> list[T]:
    """What every rank gives, in the order of ranks, on every rank. Any value that can be pickled."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value, group=_patient())
    return values


def from_main(make: Callable[[], T]) -> T:
    """What rank 0 makes, on every rank; the others wait for it. A WinsomeError of rank 0 is raised on every rank.

    Reading a file so, ranks decide alike even where they do not share a disk; writing one so, none goes on before it is there.
    What is asked so within `make` is rank 0's own affair: the others hear of the whole.

    Raises:
        WinsomeError: rank 0 raised one; it is raised on every rank.
    """
    if world_size() == 1 or _alone.get():
        return make()
    outcome: list[Any] = [None, None]  # value, error
    if is_main():
        token = _alone.set(True)
        try:
            outcome[0] = make()
        except WinsomeError as error:
            outcome[1] = (type(error), str(error))
        finally:
            _alone.reset(token)
    dist.broadcast_object_list(outcome, src=0, group=_patient())
    if outcome[1] is not None:
        kind, sentence = outcome[1]
        raise _alike(kind(sentence))
    value: T = outcome[0]
    return value


def agree(what: str, digest: Callable[[], str], remedy: str) -> None:
    """Verify that every rank has the same digest of something; a single process does not compute it.

    Raises:
        WinsomeError: on every rank: names what differs, and on which ranks it differs from rank 0's.
    """
    if world_size() == 1:
        return
    digests = gathered(digest())
    other = [number for number, theirs in enumerate(digests) if theirs != digests[0]]
    if other:
        ranks = ", ".join(f"rank {number} ({digests[number][:12]})" for number in other)
        raise _alike(WinsomeError(f"{what} of {ranks} differs from that of rank 0 ({digests[0][:12]}); {remedy}"))


def _alike(error: WinsomeError) -> WinsomeError:
    error.add_note(ALIKE)
    return error


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of every rank's tensor, on every rank to the same bits; differentiable."""
    if world_size() == 1:
        return value
    total: Tensor = _Sum.apply(value)
    return total


class _Sum(torch.autograd.Function):
    """What every rank's sum depends on, all ranks' gradients flow back to."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total, group=_prompt())
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total, group=_prompt())
        return total


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of every rank's tensor, on every rank to the same bits."""
    return value if world_size() == 1 else sum_over_ranks(value) / world_size()


def share_of(count: int) -> slice:
    """The part of `count` things in a row that is this rank's: every thing is in exactly one rank's share."""
    return slice(count * rank() // world_size(), count * (rank() + 1) // world_size())


def refuse_uneven(batch_size: int) -> None:
    """Refuse a batch that cannot be split evenly: the mean over ranks of their means would not be the batch's mean.

    Raises:
        WinsomeError: says the next larger batch size.
    """
    ranks = world_size()
    if batch_size % ranks:
        fitting = -(-batch_size // ranks) * ranks
        raise WinsomeError(f"a batch of {batch_size} images cannot be split evenly over {ranks} ranks; take {fitting}")


def replicated(network: nn.Module, *, compiled: bool = False) -> nn.Module:
    """What to call in training in place of the network: its gradients become the mean over ranks.

    A `DistributedDataParallel` around the network, whose own names, hooks and parameters stay as they are. Every rank's weights
    become those of rank 0 first. One that is `compiled` takes minutes for its first step, and on a machine with a warm cache
    seconds: ranks wait longer for each other.
    """
    if world_size() == 1:
        return network
    return DistributedDataParallel(network, process_group=_compiling() if compiled else _prompt())


@torch.no_grad()
def share_buffers(network: nn.Module) -> None:
    """Give every rank rank 0's buffers, such as BatchNorm's running statistics, which each gathers from its own images."""
    if world_size() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0, group=_prompt())


def by_rank(purpose: str) -> str:
    """The name of a random stream in which ranks should differ, such as dropout's; rank 0 has that of a single process."""
    return purpose if is_main() else f"{purpose}, rank {rank()}"


def refuse_sharded(model: nn.Module) -> None:
    """Refuse a model whose parameters are spread over ranks.

    Raises:
        WinsomeError: names the first such parameter.
    """
    # By name, for importing these classes takes a second. FSDP's first version leaves its parameters plain tensors.
    wrapped = [module for module in model.modules() if type(module).__name__ == "FullyShardedDataParallel"]
    flat = {id(parameter) for module in wrapped for parameter in module.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) in flat or type(parameter.data).__name__ == "DTensor":
            raise WinsomeError(
                f"the parameter {name!r} is sharded (FSDP): a mask needs whole weights; use DistributedDataParallel"
            )


def record() -> dict[str, int]:
    """What of this belongs into a run's configuration: another number of ranks gives other bits."""
    return {"ranks": world_size()} if world_size() > 1 else {}
