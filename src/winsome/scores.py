"""What matters: a score for every prunable weight; the higher it is, the longer the weight is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from winsome.about import about, described
from winsome.errors import WinsomeError
from winsome.gamma_score import magnitude_times_gamma
from winsome.identity import identity, name_of
from winsome.looked_at import as_shown
from winsome.state import state_digest

Scores = dict[str, Tensor]
Weights = Mapping[str, nn.Parameter]
Batch = tuple[Any, Any]  # inputs: a tensor, several in a tuple, or by keyword in a mapping; labels: what the loss takes


@dataclass(frozen=True, eq=False)
class Probe:
    """Batches and a loss, for scores that look at data.

    A search calls a score with the network in the probe's mode and without gradients; the network's own mode, gradients and
    running statistics are given back.

    Attributes:
        inputs: what the network is called with, on its device: a tensor, a tuple of several, or a mapping of them by keyword.
        labels: what the loss compares its output with.
        loss: `loss(outputs, labels)`, a scalar; a mean over the examples, as batches count by theirs.
        more: further batches, each (inputs, labels); `batches` has all of them.
        training: whether normalisation is in training mode, in which BatchNorm takes the batch's statistics: that decides
            the mask. None: as the score's authors have it, and in training mode for a score that does not say.

    Example:
        >>> probe = Probe(torch.rand(8, 4), torch.zeros(8, dtype=torch.int64))
        >>> probe.loss.__name__
        'cross_entropy'
    """

    inputs: Any
    labels: Any
    loss: Callable[[Any, Any], Tensor] = nn.functional.cross_entropy
    more: tuple[Batch, ...] = ()
    training: bool | None = None

    @property
    def batches(self) -> tuple[Batch, ...]:
        """All batches, each (inputs, labels)."""
        return ((self.inputs, self.labels), *self.more)

    def mode(self, score: Callable[..., object] | None = None) -> bool:
        """Whether a score sees the network in training mode."""
        if self.training is not None:
            return self.training
        return score is None or about(score).training

    def record(self, score: Callable[..., object] | None = None) -> dict[str, object]:
        """What the scores follow from, as JSON values: a run folder refuses another probe."""
        tensors = {key: t for number, batch in enumerate(self.batches) for key, t in _tensors_in(batch, str(number)).items()}
        digest = state_digest({name: tensor.detach().to("cpu") for name, tensor in tensors.items()})
        made = {"batches": len(self.batches), "examples": sum(map(_examples, self.batches)), "digest": digest[:16]}
        return {**made, "training": self.mode(score), "loss": identity(self.loss)}


Score = Callable[[Weights, nn.Module, Probe | None, torch.Generator], Scores]


@described("magnitude", "The smallest weights go first.", citations=("han2015learning",))
def magnitude(weights: Weights, _model: nn.Module, _probe: Probe | None, _random: torch.Generator) -> Scores:
    """|w|: the smallest weights go first (Han et al., arXiv:1506.02626).

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> _ = layer.weight.data.copy_(torch.tensor([[-3.0, 2.0]]))
        >>> magnitude({"weight": layer.weight}, layer, None, torch.Generator())["weight"].tolist()
        [[3.0, 2.0]]
    """
    return {name: weight.detach().abs() for name, weight in weights.items()}


@described("random", "Which weights go is chance alone.", citations=("gadhikar2023random",))
def random(weights: Weights, _model: nn.Module, _probe: Probe | None, random: torch.Generator) -> Scores:
    """Uniform in [0, 1): which weights go is chance alone; the control of every criterion.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> scores = random({"weight": layer.weight}, layer, None, torch.Generator().manual_seed(0))
        >>> scores["weight"].shape
        torch.Size([3, 2])
    """
    return {
        name: torch.rand(weight.shape, generator=random, device=random.device, dtype=torch.float64)
        for name, weight in weights.items()
    }


@described(
    "SNIP",
    "The weights whose removal changes the loss least go first, seen with stored BatchNorm statistics.",
    citations=("lee2019snip",),
    needs=("probe", "gradient"),
    training=False,
)
def snip(weights: Weights, model: nn.Module, probe: Probe | None, _random: torch.Generator) -> Scores:
    """|w * dL/dw| of the probe's mean loss, in evaluation mode as the authors have it (arXiv:1810.02340, section 4).

    It is |dL/dc| for factors c = 1 on the weights. Over several batches the gradients are averaged before the absolute value.
    """
    return _effect_on_loss(weights, model, probe, snip)


@described(
    "gradient times magnitude",
    "The weights with the smallest |weight * gradient| go first, seen with the batch's own statistics.",
    citations=("blalock2020state",),
    needs=("probe", "gradient"),
)
def gradient_magnitude(weights: Weights, model: nn.Module, probe: Probe | None, _random: torch.Generator) -> Scores:
    """|w * dL/dw| of the probe's mean loss in training mode, for trained networks (arXiv:2003.03033, magnitude gradient)."""
    return _effect_on_loss(weights, model, probe, gradient_magnitude)


@described(
    "GraSP",
    "The weights whose removal reduces the gradient's norm most go first; scores are signed.",
    citations=("wang2020grasp",),
    needs=("probe", "gradient"),
)
def grasp(
    weights: Weights, model: nn.Module, probe: Probe | None, _random: torch.Generator, *, temperature: float = 200.0
) -> Scores:
    """w * Hg, signed: the largest are kept, in training mode as the authors have it (arXiv:2002.07376, equation 8).

    g is the gradient and H the Hessian of the probe's mean loss, whose logits are divided by a temperature. No absolute value.

    Raises:
        WinsomeError: no probe, or outputs that are no logits.
    """
    probe, parameters = _needed(probe, grasp), list(weights.values())
    gradient = [torch.zeros_like(weight, requires_grad=False) for weight in parameters]
    products = [torch.zeros_like(weight, dtype=torch.float64, requires_grad=False) for weight in parameters]
    # Fused attention has no second derivative.
    with as_shown(model, parameters, training=probe.mode(grasp)), sdpa_kernel(SDPBackend.MATH):
        for loss in _losses(model, probe, grasp, temperature):
            for total, part in zip(gradient, _gradients(loss, parameters), strict=True):
                total += part
        for loss in _losses(model, probe, grasp, temperature):
            along = [(one * total).sum() for one, total in zip(_gradients(loss, parameters, again=True), gradient, strict=True)]
            for product, part in zip(products, _gradients(torch.stack(along).sum(), parameters), strict=True):
                product += part
    return {name: weight.detach() * product for (name, weight), product in zip(weights.items(), products, strict=True)}


@described(
    "SynFlow",
    "The weights that carry least of the flow of absolute weights through the network go first; no data are looked at.",
    citations=("tanaka2020synflow",),
    needs=("probe", "shape", "gradient"),
    training=False,
)
def synflow(
    weights: Weights,
    model: nn.Module,
    probe: Probe | None,
    _random: torch.Generator,
    *,
    dtype: torch.dtype = torch.float64,
) -> Scores:
    """|w * dR/dw|: R sums the outputs for one input of ones, all parameters and buffers absolute (arXiv:2006.05467, eq. 3).

    The absolute values are copies in float64: nothing of the network itself is touched. Of the probe only the shape of an
    input counts, and the mode, by default evaluation. In a single round it empties layers: `Rounds(100)` is the paper's.

    Raises:
        WinsomeError: no probe, or inputs of which none is a floating-point number, such as tokens.
    """
    probe = _needed(probe, synflow)
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    positive = {
        name: value.detach().abs().to(dtype).requires_grad_(name in weights) if value.is_floating_point() else value.clone()
        for name, value in own.items()
    }
    args, kwargs = _call(_ones(probe.inputs, dtype))
    with as_shown(model, (), training=probe.mode(synflow)):
        outputs = functional_call(model, positive, args, kwargs)
        flow = _logits(outputs, synflow).sum()
        parts = _gradients(flow, [positive[name] for name in weights])
    return {name: (positive[name] * part).detach().abs() for name, part in zip(weights, parts, strict=True)}


def _effect_on_loss(weights: Weights, model: nn.Module, probe: Probe | None, score: Score) -> Scores:
    probe, parameters = _needed(probe, score), list(weights.values())
    gradient = [torch.zeros_like(weight, dtype=torch.float64, requires_grad=False) for weight in parameters]
    with as_shown(model, parameters, training=probe.mode(score)):
        for loss in _losses(model, probe, score):
            for total, part in zip(gradient, _gradients(loss, parameters), strict=True):
                total += part
    return {name: (weight.detach() * total).abs() for (name, weight), total in zip(weights.items(), gradient, strict=True)}


def _needed(probe: Probe | None, score: Callable[..., object]) -> Probe:
    if probe is None:
        raise WinsomeError(f"the score {name_of(score)!r} looks at data: hand it a winsome.Probe(inputs, labels)")
    return probe


def _losses(model: nn.Module, probe: Probe, score: Callable[..., object], temperature: float | None = None) -> Iterator[Tensor]:
    """The loss of every batch, each with its share of all examples: they add up to the mean over the probe."""
    total = sum(map(_examples, probe.batches))
    for inputs, labels in probe.batches:
        args, kwargs = _call(inputs)
        outputs = model(*args, **kwargs)
        if temperature is not None:
            outputs = _logits(outputs, score) / temperature
        yield probe.loss(outputs, labels) * (_examples((inputs, labels)) / total)


def _gradients(loss: Tensor, parameters: Sequence[Tensor], *, again: bool = False) -> list[Tensor]:
    """The gradient to every parameter, zero where it has no part in the loss; `again`: to be differentiated once more."""
    if not loss.requires_grad:
        return [torch.zeros_like(parameter) for parameter in parameters]
    found = torch.autograd.grad(loss, parameters, create_graph=again, allow_unused=True)
    return [torch.zeros_like(p) if one is None else one for p, one in zip(parameters, found, strict=True)]


def _call(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a network is called with a batch's inputs."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def _logits(outputs: Any, score: Callable[..., object]) -> Tensor:
    found = getattr(outputs, "logits", outputs)
    if not isinstance(found, Tensor):
        raise WinsomeError(
            f"the score {name_of(score)!r} needs the network's logits, which gives a {type(outputs).__name__}: wrap it in a "
            "module that gives a tensor, or something with `logits`"
        )
    return found


def _ones(inputs: Any, dtype: torch.dtype) -> Any:
    """One example of ones for every floating-point input; others, such as an attention mask, stay those of the first."""
    tensors = _tensors_in(inputs, "")
    if not any(tensor.is_floating_point() for tensor in tensors.values()):
        raise WinsomeError(
            "SynFlow's input of ones is not defined for whole numbers such as tokens: let the network take what they are "
            "embedded as (inputs_embeds), and hand over a probe of that"
        )

    def one(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return torch.ones_like(value[:1], dtype=dtype) if value.is_floating_point() else value[:1]

    if isinstance(inputs, Mapping):
        return {key: one(value) for key, value in inputs.items()}
    return tuple(one(value) for value in inputs) if isinstance(inputs, tuple | list) else one(inputs)


def _tensors_in(values: Any, name: str) -> dict[str, Tensor]:
    """The tensors of a batch by their places in it."""
    if isinstance(values, Tensor):
        return {name: values}
    items = values.items() if isinstance(values, Mapping) else enumerate(values if isinstance(values, tuple | list) else ())
    return {key: tensor for place, value in items for key, tensor in _tensors_in(value, f"{name}/{place}").items()}


def _examples(batch: Batch) -> int:
    """How many examples a batch has: the length of its labels, or of its inputs."""
    for part in reversed(batch):
        for tensor in _tensors_in(part, "").values():
            if tensor.ndim:
                return len(tensor)
    return 1


SCORES: dict[str, Score] = {
    score.__name__: score for score in (magnitude, magnitude_times_gamma, random, snip, grasp, synflow, gradient_magnitude)
}
