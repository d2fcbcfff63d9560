"""What happens between two levels of a search: weights go by score and allocation, and the network restarts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from winsome import distributed
from winsome.calls import calling, named
from winsome.checks import checked_kept, checked_restart, checked_scores, left_alone, tell_collapse, told_of_experts
from winsome.errors import WinsomeError
from winsome.looked_at import in_mode, leaving_nothing, values_of
from winsome.method import Method
from winsome.ranking import Kept
from winsome.rewinding import Restart
from winsome.scores import Probe, Scores
from winsome.seeding import generator, seeded, stream_seed
from winsome.signed_mask import SignedMask, zero_pruned
from winsome.state import State


def pruned(
    model: nn.Module, method: Method, kept: Kept, *, density: float, number: int, seed: int, probe: Probe | None
) -> Kept:
    """Which weights level `number` keeps, of those that the one before kept, or of all of them; the same on all ranks.

    Args:
        model: as the level before left it.
        method: whose score and allocation choose.
        kept: what is kept so far, bool by parameter name; where the method's masks are not nested all weights count.
        density: fraction kept of all these weights, in (0, 1].
        number: of the level.
        seed: of the search.
        probe: batches and a loss, for scores that look at data.

    Raises:
        WinsomeError: the score or the allocation returns what cannot be used.
    """
    if not method.nested:
        kept = {name: torch.ones_like(keep) for name, keep in kept.items()}
    if density == 1 and (number == 0 or not method.nested):
        return kept
    score = method.score_of(number)
    parameters = dict(model.named_parameters())
    weights = {name: parameters[name] for name in kept}
    drawn = generator(seed, "score", number)
    allocate = told_of_experts(method.allocate, model)

    mode = probe.mode(score) if probe is not None else None
    put_back = values_of(model) if method.scoring.rounds > 1 else None

    def choose(density: float, kept: Kept) -> Kept:
        if put_back is not None:
            put_back()  # what a score writes into the network does not count in the next round
            zero_pruned(weights, kept)  # the state that the level starts from is loaded next
        with in_mode(model, mode), calling("score", score, number):
            scores = score(weights, model, probe, drawn)

        def allocated() -> Kept:
            checked: Scores = checked_scores(scores, weights, kept, score)
            before = {name: keep.clone() for name, keep in kept.items()}  # its own: what it writes there does not count
            with calling("allocate", method.allocate, number):
                given = allocate(checked, density, before)
            return checked_kept(given, density, kept, method.allocate)

        return distributed.from_main(allocated)  # scores on a GPU may differ between ranks in their last bits

    with leaving_nothing(model, named("score", score)), seeded(seed, "streams that a score draws from", number):
        now = method.scoring(choose, density, kept)
    tell_collapse(now, score, density=density, number=number)
    return now


@dataclass(frozen=True, eq=False)
class Start:
    """Where a level starts from: the network, the step of the schedule, what is kept with which signs, and a seed."""

    state: State
    first_step: int
    mask: SignedMask
    seed: int  # of 63 bits, what the level's own random streams follow from


def restarted(
    method: Method, early: State, trained: State, kept: Kept, *, norms: frozenset[str], number: int, seed: int
) -> Start:
    """Where level `number` starts from; level 0 from the network as it is given.

    Args:
        method: whose rewind chooses.
        early: the network of the step that the method rewinds to; empty if training never reached it.
        trained: what the level before left, of level 0 the network as given.
        kept: which weights this level keeps.
        norms: names of normalisation parameters and statistics.
        number: of the level.
        seed: of the search.

    Raises:
        WinsomeError: the early network is not there, or the rewind returns what cannot be used.
    """
    state, first_step = trained, 0
    if number:
        if not early:
            raise WinsomeError(
                f"{method.rewind} needs the network of training step {method.rewind.step}, "
                "which level 0 never reached: iterate over level.steps(total) in your training loop"
            )
        restart = Restart(norms, {name: keep.clone() for name, keep in kept.items()}, generator(seed, "rewind", number))
        with left_alone({"early": early, "trained": trained}, method.rewind), calling("rewind", method.rewind, number):
            given = method.rewind(dict(early), dict(trained), restart)
        state, first_step = checked_restart(given, trained, method.rewind, early=early)
        if method.prune_at:
            first_step = method.prune_at[number - 1]  # the training goes on
    mask = SignedMask.of({name: state[name] for name in kept}, kept)
    return Start(state, first_step, mask, stream_seed(seed, "level", number))
