"""Normalisation parameters psi = (gamma, beta): interpolated with their initial values while training, frozen, or reset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from winsome.about import described
from winsome.alphas import Alphas
from winsome.errors import WinsomeError
from winsome.hooks import after_steps_on, around_forward
from winsome.places import Places, following
from winsome.signed_mask import SignedMask
from winsome.while_training import Progress

log = logging.getLogger("winsome")

# BatchNorm 1-3d, SyncBatchNorm and InstanceNorm are _NormBase; layers without parameters have no psi. A class of the user's own
# says what its parameters start from in an attribute: `RMSNorm.psi_init = {"weight": 1.0}`.
NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The normalisation layers of a model by name, those without parameters and statistics included."""
    return {name: module for name, module in model.named_modules() if _is_norm(module)}


def unknown_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Layers with parameters whose class is called a norm, but is none that is known: their parameters stay as they are."""
    return {
        name: module
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower() and not _is_norm(module) and any(True for _ in module.parameters(False))
    }


def norm_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """psi: the parameters of all normalisation layers, by their names in the model."""
    return {
        f"{name}.{kind}" if name else kind: parameter
        for name, layer in norm_layers(model).items()
        for kind, parameter in layer.named_parameters(recurse=False)
    }


def norm_state_names(model: nn.Module) -> frozenset[str]:
    """The state_dict names of everything in normalisation layers: parameters and running statistics."""
    return frozenset(
        f"{name}.{key}" if name else key for name, layer in norm_layers(model).items() for key in layer.state_dict()
    )


@torch.no_grad()
def reset_norm_parameters(model: nn.Module) -> None:
    """Set psi to psi_init in place: gamma = 1, beta = 0 (arXiv:2504.05357). Running statistics stay as they are.

    Example:
        >>> norm = nn.LayerNorm(2)
        >>> _ = norm.weight.data.fill_(3)
        >>> reset_norm_parameters(norm)
        >>> norm.weight.tolist()
        [1.0, 1.0]
    """
    for layer in norm_layers(model).values():
        for kind, parameter in layer.named_parameters(recurse=False):
            parameter.fill_(_initial(layer, kind))


@described(
    "interpolated norms",
    "Every training step uses normalisation parameters drawn at random between their own and their initial values.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@contextmanager
def interpolated_norms(model: nn.Module, seed: int | Sequence[int], _mask: SignedMask | None = None) -> Iterator[Progress]:
    """AWS: every training forward pass uses psi_used = alpha * psi + (1 - alpha) * psi_init (arXiv:2504.05357, section 4).

    One alpha ~ U(0, 1) a forward pass of `model` for all its layers; gradients to psi are thereby scaled by alpha. Several
    passes before one backward have each its own. Where the model is in evaluation mode, psi itself is used, also by layers
    that are in training mode to gather statistics; psi that is not trained is left alone. The alphas are a stream of their
    own: they depend on the seed and on the number of training forward passes alone, no other draw shifts them, and they are
    alike on all ranks that share the seed. Drawing them is arithmetic on tensors of the model's device: it neither waits for
    the device nor breaks a compiled graph.

    The parameters stay where they are, names and all: each normalisation layer sees the interpolated tensors under the
    names `weight` and `bias` during its own forward only. A copy of the model (deepcopy, pickle) is a plain model. Around
    *compiled* layers `torch.utils.checkpoint` recomputes with the alpha of the last pass: checkpoint inside what is compiled.

    Args:
        model: the network whose `forward` is called once per mini-batch.
        seed: the stream's seed; a sequence of S seeds for a stack of S networks, whose psi have a leading axis S.

    Yields:
        The count of training forward passes, for a checkpoint: an int64 scalar that may be set in place.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> with interpolated_norms(model, 0) as progress:
        ...     outputs = model(torch.rand(8, 4))
        >>> int(progress["forward_passes"])
        1
    """
    alphas = Alphas(model, seed)
    interpolated = _Interpolated(model, alphas)
    for name, layer in unknown_norms(model).items():
        kind, starts = type(layer).__name__, ", ".join(f"{key!r}: 1.0" for key, _ in layer.named_parameters(recurse=False))
        log.warning(
            "%s (%s) looks like normalisation, but is of no known class: it is not interpolated; say what its parameters start "
            "from: %s.psi_init = {%s}",
            *(name, kind, kind, starts),
        )
    with ExitStack() as stack:
        stack.enter_context(around_forward(model, interpolated.before_forward, alphas.end))
        stack.callback(interpolated.release)
        interpolated.hook()
        stack.enter_context(following(model, interpolated.follow))
        stack.enter_context(after_steps_on([], interpolated.refuse_swapped, always=True))
        yield {"forward_passes": alphas.passes}
        if interpolated.layers and not int(alphas.passes):
            log.warning(
                "normalisation was not interpolated: alpha is drawn when the model itself is called in training mode, which "
                "never happened; call model(inputs), not a part of it, after model.train()"
            )


@described(
    "frozen norms",
    "Normalisation parameters stay at gamma = 1, beta = 0.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@contextmanager
def frozen_norms(model: nn.Module, _seed: int | Sequence[int] = 0, _mask: SignedMask | None = None) -> Iterator[Progress]:
    """Train with psi fixed at psi_init: the control that every study of AWS should carry.

    psi is set to gamma = 1, beta = 0 and has no gradient inside the block, so that no optimizer moves it.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> with frozen_norms(model):
        ...     [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        ['0.weight', '0.bias']
    """
    trained: list[nn.Parameter] = []
    places = Places(model, ())

    def freeze() -> None:
        reset_norm_parameters(model)
        for parameter in norm_parameters(model).values():
            if parameter.requires_grad:
                trained.append(parameter)
                parameter.requires_grad_(False)
                parameter.grad = None  # one from before the block would let an optimizer's momentum or weight decay act
        places.look(norm_parameters(model))

    def follow(*_: object) -> None:
        if not torch.compiler.is_compiling() and places.moved():
            freeze()

    freeze()
    try:
        with around_forward(model, follow), following(model, follow), after_steps_on([], follow, always=True):
            yield {}
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@torch.no_grad()
def re_estimate_batch_norm(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics of every BatchNorm, in place, by their mean over the batches.

    Do so before a network of AWS is judged: its stored statistics average over alpha. Hand over inputs as in training:
    `re_estimate_batch_norm(model, (images for images, _ in loader))`. Only BatchNorm layers are in training mode meanwhile;
    every module's mode is given back.

    Args:
        model: Any network; one without BatchNorm stays as it is, and no batch is taken.
        batches: Inputs of the model, each large enough for a mean and a variance.
        forward: What a batch goes through, where that is more than `model(batch)`.

    Raises:
        WinsomeError: there was no batch; the statistics are those of a fresh layer then.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> re_estimate_batch_norm(norm, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])])
        >>> norm.running_mean
        tensor([4.])
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    number = 0
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
        for number, inputs in enumerate(batches, start=1):
            for layer in layers:
                layer.momentum = 1 / number  # a plain mean; None does the same, but waits for the device in every layer
            if forward is None and isinstance(inputs, list | tuple):
                raise WinsomeError(
                    f"a batch is a {type(inputs).__name__} of {len(inputs)} things, and the model takes one: hand over inputs "
                    "alone, (images for images, _ in loader), or say what a batch goes through (forward=...)"
                )
            (forward or model)(inputs)
    finally:
        for module, training in modes:
            module.training = training
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not number:
        raise WinsomeError("no batch to re-estimate BatchNorm statistics from; hand over at least one")


class _Interpolated:
    """The layers whose parameters are hidden by interpolated ones during their forwards; those that stand in the model now."""

    def __init__(self, model: nn.Module, alphas: Alphas) -> None:
        self.layers: dict[str, nn.Module] = {}
        self._model, self._alphas = model, alphas
        self._places, self._hooks = Places(model, ()), ExitStack()

    def hook(self) -> None:
        """Interpolate the layers that stand in the model now."""
        found = {name: layer for name, layer in norm_layers(self._model).items() if any(True for _ in layer.parameters(False))}
        if gone := [name for name in self.layers if name not in found]:
            raise WinsomeError(
                f"normalisation {', '.join(map(repr, gone))} was swapped inside the training loop for what nothing "
                "interpolates; change layers before the search"
            )
        self.release()
        self.layers = found
        for layer in found.values():
            self._hooks.enter_context(around_forward(layer, self._shadow, _unshadow))
        self._places.look(found)

    def before_forward(self, model: nn.Module) -> None:
        """Follow what a loop swapped, and draw the pass's alpha."""
        if model.training and not torch.compiler.is_compiling() and self._places.moved():
            self.hook()
        self._alphas.begin(model)

    def follow(self) -> None:
        """Go on with layers, and on the device, that the model has now."""
        if self._places.moved():
            self.hook()
        self._alphas.follow()

    def refuse_swapped(self, _held: Sequence[Tensor]) -> None:
        """After a step: under a compiled forward nothing was followed."""
        if self._places.moved():
            raise WinsomeError(
                f"normalisation of the model was swapped inside the training loop ({', '.join(self.layers)}), and the forward "
                "is compiled: nothing interpolates it; change layers before level.steps(...)"
            )

    def release(self) -> None:
        """No hooks and no shadows: an interrupt between two hooks leaves one behind."""
        self._hooks.close()
        for layer in self.layers.values():
            _unshadow(layer)

    def _shadow(self, layer: nn.Module) -> None:
        if not layer.training or (alpha := self._alphas.of_layer()) is None:
            return
        for kind, psi in layer._parameters.items():
            if psi is not None and psi.requires_grad:
                share = alpha.reshape(alpha.shape + (1,) * (psi.ndim - alpha.ndim)).to(psi.device, psi.dtype)
                # An entry of the instance's __dict__ hides the parameter of that name, which stays in place.
                layer.__dict__[kind] = torch.lerp(torch.full_like(psi, _initial(layer, kind)), psi, share)


def _unshadow(layer: nn.Module) -> None:
    for kind in layer._parameters:
        layer.__dict__.pop(kind, None)


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, NORM_LAYERS) or hasattr(type(module), "psi_init")


def _initial(layer: nn.Module, kind: str) -> float:
    own: Mapping[str, float] = getattr(type(layer), "psi_init", {})
    return own.get(kind, 1.0 if kind == "weight" else 0.0)
