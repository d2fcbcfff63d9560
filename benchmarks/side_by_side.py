"""How many networks a device trains at once: as one stack, in processes side by side, or both; images per second of all.

    uv run python benchmarks/side_by_side.py [--networks resnet20 resnet20-small] [--seconds 4]
    uv run python benchmarks/side_by_side.py --dry-run     # tiny sizes, on a CPU too; writes nothing

The training loop of `winsome study` under a mask with AWS, batches of 128 included. A small network's step on a GPU is mostly
the time that launching its kernels takes: a stack launches no more than one network, and processes launch side by side. The
default of `--workers` on a GPU, and which networks train as a stack, follow from these figures. All processes are made first
and wait; then every combination is measured once, warmed up by a few steps. "resnet20-small" is the network of the medium
scale: 8 wide, on 16 pixels.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from masking import random_mask
from measuring import RESULTS, Figure, machine, print_figures, print_machine
from noise import noise_images
from winsome import models
from winsome.norms import interpolated_norms
from winsome.signed_mask import stack_masks
from winsome.stacking import stack
from winsome.training.loop import Networks, train
from winsome.training.precision import default_device, fast_precision
from winsome.training.settings import SGD, Constant, Training

BATCH = 128
NETWORKS = {"resnet20": ("resnet20", 16, 32), "resnet20-small": ("resnet20", 8, 16), "resnet8": ("resnet8", 8, 8)}


@dataclass(frozen=True)
class Load:
    """What one process trains, and for how long."""

    network: str  # in NETWORKS
    members: int  # of a stack; 1 for a network that is none
    seconds: float  # at least


def steps_per_second(load: Load, go: Connection) -> float:
    """Training steps per second; warmed up, it says so and waits for the word."""
    name, width, size = NETWORKS[load.network]
    device = default_device()
    data = noise_images(4096, size=size).on(device)
    networks = [
        models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=seed, width=width).to(device)
        for seed in range(load.members)
    ]
    precision = fast_precision(networks[0], device)
    stacked, seeds = load.members > 1, list(range(load.members))
    module = stack(networks) if stacked else networks[0].to(memory_format=torch.channels_last)
    masks = [random_mask(network) for network in networks]
    training = Training(10**6, BATCH, SGD(), Constant())
    with ExitStack() as opened:
        opened.enter_context((stack_masks(masks) if stacked else masks[0]).enforced_on(module))
        opened.enter_context(interpolated_norms(module, seeds if stacked else 0))
        optimizer = training.optimizer(module.parameters(), stacked=stacked)
        ends: list[float] = []

        def steps() -> Iterator[int]:
            """Some to warm up, then as many as the time allows; the loop waits for the device at every epoch's end."""
            per_epoch = len(data.train) // BATCH
            yield from range(per_epoch)
            _wait(device)
            go.send("ready")
            go.recv()
            ends.append(time.perf_counter())
            step = per_epoch
            while time.perf_counter() - ends[0] < load.seconds:
                yield from range(step, step + per_epoch)
                step += per_epoch
            _wait(device)
            ends.extend((time.perf_counter(), step - per_epoch))

        train(Networks(module, seeds, stacked=stacked), data, training, optimizer, steps(), precision=precision)
    start, end, n_steps = ends
    return n_steps / (end - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _serve(connection: Connection, threads: int) -> None:
    """A process: one load after another until there is none; what fails is sent back."""
    torch.set_num_threads(threads)
    while (load := connection.recv()) is not None:
        try:
            connection.send(steps_per_second(load, connection))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


@contextmanager
def processes(number: int) -> Iterator[list[Connection]]:
    """So many processes that wait for loads."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(number)]
    threads = max(1, torch.get_num_threads() // number)
    workers = [context.Process(target=_serve, args=(there, threads), daemon=True) for _, there in pairs]
    for worker in workers:
        worker.start()
    try:
        yield [here for here, _ in pairs]
    finally:
        for (here, _), worker in zip(pairs, workers, strict=True):
            if worker.is_alive():
                here.send(None)
            worker.join(10)
            worker.kill()


def images_per_second(connections: Sequence[Connection], load: Load) -> float | str:
    """Of all these processes together, each with the same load; or why there are none."""
    for connection in connections:
        connection.send(load)
    words = [_heard(connection) for connection in connections]
    ready = [connection for connection, word in zip(connections, words, strict=True) if word == "ready"]
    for connection in ready:
        connection.send("go")
    rates = [_heard(connection) for connection in ready]
    if len(ready) < len(connections):
        return next(str(word) for word in words if word != "ready")
    numbers = [rate for rate in rates if isinstance(rate, float)]
    if len(numbers) < len(rates):
        return next(str(rate) for rate in rates if not isinstance(rate, float))
    return sum(numbers) * load.members * BATCH


def _heard(connection: Connection) -> object:
    """What a process says; a process that died, or says nothing for two minutes, says that."""
    try:
        return connection.recv() if connection.poll(120) else "no answer within two minutes"
    except EOFError:
        return "the process died"


def figures(networks: Sequence[str], numbers: Sequence[int], members: Sequence[int], seconds: float) -> list[Figure]:
    """Images per second of every combination of processes and stack."""
    found = []
    with processes(max(numbers)) as connections:
        for network in networks:
            for size in members:
                for number in numbers:
                    rate = images_per_second(connections[:number], Load(network, size, seconds))
                    words = f"{network}, {number} x {f'stack of {size}' if size > 1 else 'one network'}"
                    if isinstance(rate, str):
                        print(f"not measured: {words}: {rate}", flush=True)
                        continue
                    found.append(Figure(f"{words}: images per second", (rate,)))
                    print_figures(found[-1:])
    return found


def main() -> None:
    """Print every figure; on a GPU keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet20-small"], choices=list(NETWORKS))
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--stacks", nargs="+", type=int, default=[1, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--name", default="side_by_side", help="of the file in benchmarks/results")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, to see that everything works; nothing is kept")
    options = parser.parse_args()
    print_machine()
    if options.dry_run:
        figures(["resnet8"], [1, 2], [1, 2], 0.1)
        return
    found = figures(options.networks, options.processes, options.stacks, options.seconds)
    if not torch.cuda.is_available():
        return
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine(), "figures": [figure.record() for figure in found]}
    (RESULTS / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
