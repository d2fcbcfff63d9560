"""Named methods: each is a composition of densities, rewinding, score, allocation and what happens while training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from winsome.densities import geometric
from winsome.errors import WinsomeError
from winsome.hyperbolic import HAM, SignIn
from winsome.method import Method, named_method
from winsome.methods_before_training import grasp, random_at_initialisation, snip, synflow
from winsome.methods_in_phases import ac_dc, gradual, sculpt
from winsome.norms import Frozen, Interpolated, frozen_norms, interpolated_norms
from winsome.perturbation import SignFlips, fixed_signs
from winsome.psi import Toward, Which
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, RewindAndRestart, RewindTo
from winsome.while_training import plain


@named_method(
    "IMP",
    "Train, prune the smallest weights, set the others back to their start, train again.",
    citations=("frankle2019lottery",),
    short="imp",
)
def imp(levels: int = 15, rate: float = 0.2) -> Method:
    """Iterative magnitude pruning: weights go back to their initial values at every level (arXiv:1803.03635).

    Example:
        >>> imp(levels=2, rate=0.5).rewind
        RewindTo(step=0)
    """
    return Method(geometric(levels, rate), RewindTo(0))


@named_method(
    "WR",
    "IMP whose weights go back to an early training step instead of their start.",
    citations=("frankle2020linear",),
    example={"step": 2},
    short="wr",
)
def weight_rewinding(levels: int = 15, rate: float = 0.2, *, step: int) -> Method:
    """IMP that goes back to an early training step instead of initialisation (arXiv:1912.05671).

    Example:
        >>> weight_rewinding(levels=2, step=500).rewind
        RewindTo(step=500)
    """
    return Method(geometric(levels, rate), RewindTo(step))


@named_method(
    "LRR",
    "Train, prune the smallest weights, keep the others, restart the learning-rate schedule, train again.",
    citations=("renda2020comparing",),
    short="lrr",
)
def learning_rate_rewinding(levels: int = 15, rate: float = 0.2) -> Method:
    """LRR: weights stay, only the learning-rate schedule restarts (arXiv:2003.02389).

    Example:
        >>> learning_rate_rewinding(levels=2).rewind
        KeepWeights(step=0)
    """
    return Method(geometric(levels, rate), KeepWeights())


@named_method(
    "LRR, norms rewound",
    "LRR whose normalisation parameters and statistics go back to an early step at every level.",
    citations=("gadhikar2024masks",),
    example={"step": 2},
)
def lrr_with_norm_rewinding(levels: int = 15, rate: float = 0.2, *, step: int = 0, norms: Which = None) -> Method:
    """LRR whose normalisation parameters and statistics go back to an early step at every level (arXiv:2402.19262).

    Example:
        >>> lrr_with_norm_rewinding(levels=2, step=500).rewind
        KeepWeightsRewindNorms(step=500)
    """
    return Method(geometric(levels, rate), KeepWeightsRewindNorms(step, norms))


@named_method(
    "AWS",
    "LRR with normalisation parameters randomly interpolated toward their initial values at every training step.",
    citations=("oh2025sign",),
    short="aws",
)
def aws(levels: int = 15, rate: float = 0.2, *, norms: Which = None, toward: Toward = "identity") -> Method:
    """AWS: LRR with normalisation parameters randomly interpolated toward their initial values (arXiv:2504.05357).

    Args:
        levels: prune-train rounds after the dense level 0.
        rate: fraction of the remaining weights removed per level.
        norms: which parameters are interpolated, by name, glob or predicate; those of all norms by default.
        toward: their "identity" (gamma = 1, beta = 0), their "start" in the network given, or a number.

    Example:
        >>> [round(density, 3) for density in aws(levels=3).densities]
        [1.0, 0.8, 0.64, 0.512]
    """
    usual = norms is None and toward == "identity"
    part = interpolated_norms if usual else Interpolated(norms, toward)
    return Method(geometric(levels, rate), KeepWeights(), while_training=part)


@named_method(
    "LRR, frozen norms",
    "LRR with normalisation parameters fixed at gamma = 1, beta = 0: the control for AWS.",
    citations=("oh2025sign",),
    short="frozen",
)
def lrr_with_frozen_norms(levels: int = 15, rate: float = 0.2, *, norms: Which = None, toward: Toward = "identity") -> Method:
    """LRR with normalisation parameters fixed at gamma = 1, beta = 0: the control for AWS, whose arguments it takes.

    Example:
        >>> lrr_with_frozen_norms(levels=2).while_training.__name__
        'frozen_norms'
    """
    part = frozen_norms if norms is None and toward == "identity" else Frozen(norms, toward)
    return Method(geometric(levels, rate), KeepWeights(), while_training=part)


@named_method(
    "LRR, Sign-In",
    "LRR whose weights train as products of two factors, so that signs flip more easily.",
    citations=("gadhikar2025signin",),
    example={"every": 2},
    short="sign-in",
)
def lrr_with_sign_in(levels: int = 15, rate: float = 0.2, *, every: int = 100) -> Method:
    """LRR under Sign-In, balanced every so many steps (arXiv:2504.12801).

    Example:
        >>> lrr_with_sign_in(2, every=50).while_training
        SignIn(every=50, beta=1.0)
    """
    return Method(geometric(levels, rate), KeepWeights(), while_training=SignIn(every))


@named_method(
    "LRR, HAM",
    "LRR whose weights are multiplied after each step by a factor that grows where the loss wants them larger.",
    citations=("jacobs2025ham",),
    example={"alpha": 20.0},
    short="ham",
)
def lrr_with_ham(levels: int = 15, rate: float = 0.2, *, alpha: float = 200.0, beta: float = 1e-3) -> Method:
    """LRR under hyperbolic aware minimisation (arXiv:2506.02630).

    Example:
        >>> lrr_with_ham(2, alpha=20).while_training
        HAM(alpha=20, beta=0.001)
    """
    return Method(geometric(levels, rate), KeepWeights(), while_training=HAM(alpha, beta))


def rewind_norms(method: Method, *, step: int = 0) -> Method:
    """The same method with normalisation rewound to an early step at every level: a switch (arXiv:2402.19262).

    A method that rewinds all its weights rewinds normalisation with them and comes back as it is.

    Raises:
        WinsomeError: the method restarts in a way of its own, which has to say itself what happens to normalisation.
    """
    if isinstance(method.rewind, RewindTo | RewindAndRestart):
        return method
    if not isinstance(method.rewind, KeepWeights):
        raise WinsomeError(f"{method.rewind} does not keep the weights: write a rewind that also rewinds normalisation")
    return replace(method, rewind=KeepWeightsRewindNorms(step))


METHODS: dict[str, Callable[..., Method]] = {
    f.__name__: f
    for f in (
        imp,
        weight_rewinding,
        learning_rate_rewinding,
        lrr_with_norm_rewinding,
        aws,
        lrr_with_frozen_norms,
        lrr_with_sign_in,
        lrr_with_ham,
        gradual,
        ac_dc,
        sculpt,
        snip,
        grasp,
        synflow,
        random_at_initialisation,
    )
}

WHILE_TRAINING: dict[str, Callable[..., Any]] = {  # parts, and classes whose instances are
    part.__name__: part
    for part in (plain, interpolated_norms, Interpolated, frozen_norms, Frozen, fixed_signs, SignFlips, SignIn, HAM)
}
