"""Every benchmark that needs no GPU, one after another, and whether each bar is met.

    uv run python benchmarks/all.py            # about 15 minutes on 2 free cores; writes benchmarks/results/cpu.json
    uv run python benchmarks/all.py --quick    # tiny sizes, to see that everything works; writes nothing

Each benchmark is a script of its own, with longer settings as its defaults. The exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import barrier
import data_path
import growth
import masking
import medium_step
import memory
import stacked_convolutions
import stacking
import study_share
import threshold
import ticket_file
from measuring import RESULTS, Figure, machine, print_figures, print_machine

Parts = dict[str, Callable[[], list[Figure]]]


def parts() -> Parts:
    """The benchmarks with settings short enough for all of them."""
    return {
        "masking": partial(masking.figures, rounds=5, repeats=2),
        "data_path": partial(data_path.figures, rounds=3),
        "medium_step": partial(medium_step.figures, 3, seconds=4.0),
        "threshold": partial(threshold.figures, rounds=2),
        "ticket_file": partial(ticket_file.figures, rounds=3),
        "stacking": partial(stacking.figures, rounds=3),
        "stacked_convolutions": partial(stacked_convolutions.figures, rounds=3),
        "barrier": partial(barrier.figures, rounds=3),
        "memory": partial(memory.figures, rounds=1),
        "study_share": partial(study_share.figures, workers=False),
        "growth": partial(growth.figures, rounds=1),
    }


def quick_parts() -> Parts:
    """The same with tiny sizes, whose figures mean nothing."""
    return {
        "masking": partial(masking.figures, ["resnet8"], rounds=1, repeats=1, batch=4),
        "data_path": partial(data_path.figures, 256, rounds=1),
        "medium_step": partial(medium_step.figures, 1, "resnet8", seconds=0.1, images=256, memory=1 << 16),
        "threshold": partial(threshold.figures, [0.1], rounds=1),
        "ticket_file": partial(ticket_file.figures, 1, [0.1], "squeezenet1_0"),
        "stacking": partial(stacking.figures, 1, [2], 2),
        "stacked_convolutions": partial(stacked_convolutions.figures, 1, 2, [(2, 4)], 1),
        "barrier": partial(barrier.figures, 1, "resnet8", images=20, matrix=64),
        "memory": partial(memory.figures, "resnet8", batch=8, rounds=1),
        "study_share": partial(study_share.figures, 128, 1, network="resnet8"),
        "growth": partial(growth.figures, rounds=1, epochs=1, units={"levels": (1, 2)}, train_images=256),
    }


def measured(chosen: Parts, *, with_bars: bool) -> dict[str, tuple[list[Figure], float]]:
    """The figures of every benchmark, printed as they come, and the seconds that it took."""
    found = {}
    for name, figures in chosen.items():
        print(f"\n{name}", flush=True)
        start = time.perf_counter()
        results = [figure if with_bars else replace(figure, bar=None) for figure in figures()]
        found[name] = results, time.perf_counter() - start
        print_figures(results)
    return found


def main() -> None:
    """Run all, print the table of bars, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works; nothing is kept")
    options = parser.parse_args()
    where = machine()
    print_machine()
    if options.quick:  # sizes for which no bar was meant
        measured(quick_parts(), with_bars=False)
        return
    found = measured(parts(), with_bars=True)
    bars = [figure for results, _ in found.values() for figure in results if figure.met is not None]
    missed = [figure.name for figure in bars if not figure.met]
    print(f"\n{len(bars) - len(missed)} of {len(bars)} bars are met")
    print_figures(bars)
    benchmarks = {
        name: {"seconds": round(took, 1), "figures": [figure.record() for figure in results]}
        for name, (results, took) in found.items()
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cpu.json").write_text(json.dumps({"machine": where, "benchmarks": benchmarks}, indent=1) + "\n")
    print(f"wrote {RESULTS / 'cpu.json'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
