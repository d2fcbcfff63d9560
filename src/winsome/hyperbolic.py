"""Training whose steps grow with the weight: Sign-In, as a product of two factors; HAM, by a factor after each step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from winsome.about import described
from winsome.errors import WinsomeError, check_whole
from winsome.hooks import after_steps_on, around_forward, around_steps_of
from winsome.places import Places, following
from winsome.signed_mask import SignedMask, matching_parameters
from winsome.while_training import Progress

log = logging.getLogger("winsome")

LARGEST_EXPONENT = 5.0  # in either direction, as the code of arXiv:2506.02630 has it
_FACTOR = "_factor_of"  # says of a factor which weight it is of
IGNORED = "_ddp_params_and_buffers_to_ignore"  # what DistributedDataParallel leaves alone, by name


@described(
    "Sign-In",
    "Every weight trains as a product of two factors, which are balanced anew every few steps, so that signs flip more easily.",
    citations=("gadhikar2025signin",),
    example={"every": 2},
    stacks=True,
)
@dataclass(frozen=True)
class SignIn:
    """Every masked weight trains as theta = m * w; every so many steps m^2 - w^2 = beta again (arXiv:2504.12801).

    The network itself stays as it is: forward, names and values are those of theta. The pair lies beside each weight, where an
    optimizer that is made inside the block finds it: before each of its steps the gradient of theta is handed on by the chain
    rule, dm = w * dtheta and dw = m * dtheta, and after it theta = m * w on the kept weights. So weight decay acts on m and w,
    not on theta, which a constant one pulls to zero as L1 does; momentum is left as it is when the pair is balanced; clipping
    and scaling of gradients before the step act on theta's. Without balancing the gain is small (section 5).

    Attributes:
        every: optimizer steps between two balancings (p epochs are p times the steps of one); 0 for the first alone.
        beta: m^2 - w^2 after balancing, above 0.

    Raises:
        WinsomeError: every is below 0, or beta is not above 0.

    Example:
        >>> from winsome import SignedMask
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> with SignIn(100)(layer, 0, SignedMask({"weight": torch.ones(1, 2, dtype=torch.int8)})):
        ...     [name for name, _ in layer.named_parameters()]
        ['weight', 'weight_m', 'weight_w']
    """

    every: int
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_whole("every", self.every)
        if self.every < 0:
            raise WinsomeError(f"Sign-In balances its factors every so many steps, 0 or more; got {self.every}")
        if not self.beta > 0:
            raise WinsomeError(f"Sign-In's beta must be above 0, got {self.beta:g}")

    @contextmanager
    def __call__(self, model: nn.Module, _seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
        """Train the masked weights as products inside the block.

        Yields:
            The count of optimizer steps, for a checkpoint; the factors are parameters of the model meanwhile.

        Raises:
            WinsomeError: an optimizer holds weights but not their factors, or makes gradients within its step; the loop swapped
                a weight.
        """
        weights = matching_parameters(mask, model)
        pairs = [_Pair(model, name, weight, mask.kept(name), self.beta) for name, weight in weights.items()]
        steps = torch.zeros((), dtype=torch.int64, device="cpu")

        def before(optimizer: Optimizer) -> None:
            held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
            for pair in pairs:
                pair.hand_on(held)

        def after(_optimizer: Optimizer) -> None:
            steps.add_(1)
            balance = bool(self.every) and int(steps) % self.every == 0
            for pair in pairs:
                pair.take_in()
                if balance:
                    pair.balance()

        held = weights | {name: factor for pair in pairs for name, factor in zip(pair.names, (pair.m, pair.w), strict=True)}
        with around_steps_of(list(weights.values()), before, after), _refusing_swaps(model, held, "Sign-In"):
            try:
                setattr(model, IGNORED, [*getattr(model, IGNORED, []), *(name for pair in pairs for name in pair.names)])
                yield {"optimizer_steps": steps}
            finally:
                for pair in pairs:
                    pair.leave()
                left = [name for name in getattr(model, IGNORED) if all(name not in pair.names for pair in pairs)]
                setattr(model, IGNORED, left) if left else delattr(model, IGNORED)


class _Pair:
    """The factors of one weight, registered beside it."""

    def __init__(self, model: nn.Module, name: str, weight: nn.Parameter, kept: Tensor, beta: float) -> None:
        path, _, leaf = name.rpartition(".")
        self.name, self.weight, self.beta = name, weight, beta
        self._pruned = ~kept
        self.owner, self.leaves = model.get_submodule(path), (f"{leaf}_m", f"{leaf}_w")
        self.names = tuple(f"{path}.{one}" if path else one for one in self.leaves)
        if hasattr(getattr(self.owner, self.leaves[0], None), _FACTOR):
            raise WinsomeError(f"Sign-In holds twice over {name!r}: the method has it already; leave one of them out")
        if taken := [one for one in self.leaves if hasattr(self.owner, one)]:
            raise WinsomeError(
                f"Sign-In needs the name {taken[0]!r} beside the weight {name!r}, where the network has one already"
            )
        for one in self.leaves:
            self.owner.register_parameter(one, nn.Parameter(torch.zeros_like(weight, requires_grad=False)))
        self.m, self.w = (self.owner.get_parameter(one) for one in self.leaves)
        setattr(self.m, _FACTOR, name)
        self.balance()

    @torch.no_grad()
    def balance(self) -> None:
        """m and w of theta with m^2 - w^2 = beta, m above 0."""
        theta = self.weight.masked_fill(self.pruned, 0)
        root = (self.beta**2 + 4 * theta.square()).sqrt_()
        self.m.copy_(((self.beta + root) / 2).sqrt_())
        self.w.copy_(theta / self.m)
        self._seen = (self.weight._version, self.m._version)

    @property
    def pruned(self) -> Tensor:
        """Where the weight is pruned, on its device: a network may move."""
        self._pruned = self._pruned.to(self.weight.device)
        return self._pruned

    @torch.no_grad()
    def hand_on(self, held: set[int]) -> None:
        """The gradient of theta becomes that of its factors; theta has none, so that no optimizer moves it."""
        gradient = self.weight.grad
        changed, loaded = (now != seen for now, seen in zip((self.weight._version, self.m._version), self._seen, strict=True))
        if changed and not loaded:  # signs that flipped or were put back: the factors follow
            self.balance()
        if id(self.weight) in held and not {id(self.m), id(self.w)} <= held:
            raise WinsomeError(
                f"Sign-In trains the factors of {self.name!r}, which the optimizer does not hold: make it inside the training "
                "function, of all of model.parameters()"
            )
        if gradient is None:
            return
        gradient = gradient.masked_fill(self.pruned, 0)
        self.m.grad, self.w.grad = self.w * gradient, self.m * gradient
        self.weight.grad = None

    @torch.no_grad()
    def take_in(self) -> None:
        """The weight is the product of its factors where it is kept."""
        if self.weight.grad is not None:
            raise WinsomeError(
                "Sign-In needs the gradients before optimizer.step(): call it without a closure, loss.backward() first"
            )
        self.weight.copy_((self.m * self.w).masked_fill_(self.pruned, 0))
        self._seen = (self.weight._version, self.m._version)

    def leave(self) -> None:
        """Take the factors out again."""
        for one in self.leaves:
            self.owner._parameters.pop(one, None)


@described(
    "HAM",
    "After each optimizer step every weight is multiplied by a factor that grows where the loss wants it larger.",
    citations=("jacobs2025ham",),
    stacks=True,
)
@dataclass(frozen=True)
class HAM:
    """After each step w <- w * exp(rate * (-alpha * sign(w) * gradient - beta)) (arXiv:2506.02630, algorithm 1).

    It acts on all parameters of two sides and more, not on biases and normalisation. The sign is that of the weight after the
    step, the gradient the step's own without momentum and weight decay, the rate its group's at the time; the exponent stays
    within -5 and 5. Zeros stay zero. The paper's alpha is for ImageNet; where gradients are larger, a smaller one is better.

    Attributes:
        alpha: 0 or more.
        beta: 0 or more; 1e-3 on ImageNet, 16e-3 on CIFAR-100.

    Raises:
        WinsomeError: one of them is below 0.

    Example:
        >>> from dataclasses import replace
        >>> from winsome import imp
        >>> replace(imp(3), while_training=HAM(20)).while_training
        HAM(alpha=20, beta=0.001)
    """

    alpha: float = 200.0
    beta: float = 1e-3

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and self.beta >= 0):
            raise WinsomeError(f"HAM's alpha and beta must be 0 or more, got {self.alpha:g} and {self.beta:g}")

    @contextmanager
    def __call__(self, model: nn.Module, seed: int | Sequence[int], _mask: SignedMask) -> Iterator[Progress]:
        """Multiply after every step of an optimizer of the model inside the block.

        Raises:
            WinsomeError: weights train under Sign-In, too; the loop swapped a weight.
        """
        least = 2 if isinstance(seed, int) else 3  # a stack's tensors have a leading axis
        held = {name: parameter for name, parameter in model.named_parameters() if parameter.ndim >= least}
        weights = {id(parameter): parameter for parameter in held.values()}
        acted = False

        @torch.no_grad()
        def after(optimizer: Optimizer) -> None:
            nonlocal acted
            scale = getattr(optimizer, "grad_scale", None)  # fused optimizers unscale within their step
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    if hasattr(weight, _FACTOR):
                        raise WinsomeError("HAM and Sign-In reshape the same steps: train under one of them")
                    if id(weight) in weights and weight.grad is not None:
                        gradient = weight.grad if scale is None else weight.grad / scale
                        exponent = group["lr"] * (-self.alpha * weight.sign() * gradient - self.beta)
                        weight.mul_(exponent.clamp_(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp_())
                        acted = True

        with around_steps_of(list(weights.values()), after=after), _refusing_swaps(model, held, "HAM"):
            yield {}
        if not acted:
            log.warning("HAM multiplied nothing: no step was made with gradients of weights of two sides or more")


@contextmanager
def _refusing_swaps(model: nn.Module, held: Mapping[str, Tensor], who: str) -> Iterator[None]:
    """End the training by name once a loop swapped some of the parameters, for `who` would act on those that are gone."""
    places = Places(model, held)

    def look(*_: object) -> None:
        if torch.compiler.is_compiling() or not places.moved():
            return
        there = {id(parameter) for parameter in model.parameters()}
        if gone := [repr(name) for name, parameter in held.items() if id(parameter) not in there]:
            raise WinsomeError(
                f"{', '.join(gone)} was swapped inside the training loop, and {who} trains it no more; "
                "change layers before the search"
            )
        places.look(held)  # a layer may stand below a new one

    with around_forward(model, look), following(model, look), after_steps_on([], look, always=True):
        yield
