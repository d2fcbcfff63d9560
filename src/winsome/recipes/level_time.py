"""What a level of a search takes beside its training: pruning, restart, ticket, and the files of its folder."""

from __future__ import annotations

import tempfile
import time
from statistics import fmean

import torch

from winsome.methods import learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.prunable import prunable
from winsome.recipes.kept_times import kept
from winsome.search import Search

LEVELS = 3  # of a search of which the first does not count


def level_time(network: NetworkSpec) -> float:
    """Seconds of a level without its training: timed once on a machine by a real search, and kept for later estimates.

    Args:
        network: with its image shape and classes.
    """
    return kept(["level", network.record()], ["seconds"], lambda: {"seconds": _timed(network)})["seconds"]


def _timed(network: NetworkSpec) -> float:
    """Levels are opened, closed, and read back once, as for a study's results."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):  # a second search of the same folder reads them back
            model = network.build(0)
            weight = next(model.parameters())
            names = prunable(model, prune_classifier=True)
            search = Search(model, learning_rate_rewinding(LEVELS - 1, 0.5), save_to=folder, seed=0, prunable=names)
            with search.held():
                for number in range(LEVELS):
                    start = time.perf_counter()
                    level = search.open(number)
                    if not level.finished:
                        with torch.no_grad():
                            weight.mul_(1.5)  # stands for the training
                        search.close(level, {}, 0.0)
                    times.append(time.perf_counter() - start)
    return fmean(times[1:LEVELS]) + fmean(times[LEVELS:])
