"""Digests of the weights and tickets of three small runs: what a change of structure must leave as it was, bit for bit.

One study whose networks train as stacks, one search of a convolutional network, and the same search on two ranks. Bits
depend on the machine and on torch, so that digests are compared on one machine, before and after a change:

    uv run python benchmarks/digests.py > before.txt
    uv run python benchmarks/digests.py | diff before.txt -
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors.numpy import load_file

import winsome

WINSOME = (sys.executable, "-m", "winsome")
RANKS = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "winsome")
SMALL = ("--train-images", "256", "--test-images", "100", "--level-epochs", "2", "--warmup-epochs", "1")
STUDY = ("study", "digits", *SMALL, "--levels", "2", "--seeds", "2", "--starts", "2", "--epochs", "3")
FIND = ("find", "digits", *SMALL, "--network", "small_conv", "--levels", "2", "--batch-size", "64")
RUNS: dict[str, tuple[str, ...]] = {
    "stacked": (*WINSOME, *STUDY, "--workers", "1"),
    "convolutional": (*WINSOME, *FIND),
    "two ranks": (*RANKS, *FIND),
}


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of weights and every ticket below a folder, with the digest of what it holds."""
    for path in sorted(folder.rglob("*")):
        sha = hashlib.sha256()
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        elif path.suffix == ".ticket":
            ticket = winsome.read(path)
            tensors = {name: value.numpy() for name, value in {**ticket.mask, **ticket.signs}.items()}
        else:
            continue
        for name in sorted(tensors):
            sha.update(name.encode() + tensors[name].tobytes())
        yield str(path.relative_to(folder)), sha.hexdigest()[:16]


def main(runs: Sequence[str]) -> None:
    """Do the runs, each in an empty folder, and print their digests."""
    for name in runs or RUNS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "run"
            subprocess.run([*RUNS[name], "--save-to", str(folder)], check=True, stdout=subprocess.DEVNULL)
            for file, digest in digests(folder):
                print(f"{digest}  {name}: {file}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
