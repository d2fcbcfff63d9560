"""The role of every weight, and its input axis against autograd: one input moves the gradient along that axis alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winsome.errors import WinsomeError
from winsome.matrices import input_axes, input_axis, roles


class Conv1D(nn.Module):
    """As transformers has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.zeros(7))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight + self.bias


class Experts(nn.Module):
    """Three expert matrices, [outputs, inputs] each, or [inputs, outputs]."""

    def __init__(self, transposed: bool) -> None:
        super().__init__()
        self.is_transposed = transposed
        self.up_proj = nn.Parameter(torch.randn(3, 5, 7) if transposed else torch.randn(3, 7, 5))
        self.up_proj_bias = nn.Parameter(torch.zeros(3, 7))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.einsum("ni,eio->no" if self.is_transposed else "ni,eoi->no", inputs, self.up_proj)


class Recurrent(nn.LSTM):
    def forward(self, inputs: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = super().forward(inputs.unsqueeze(1))[0]
        return out


class Attention(nn.MultiheadAttention):
    def forward(self, inputs: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = super().forward(inputs, inputs, inputs)[0]
        return out


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, int]] = {
    "Linear": (lambda: nn.Linear(5, 7), (2, 5), "weight", 1),
    "Conv2d": (lambda: nn.Conv2d(5, 7, 3), (2, 5, 4, 4), "weight", 1),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(5, 7, 3), (2, 5, 4, 4), "weight", 0),
    "Conv1D": (Conv1D, (2, 5), "weight", 0),
    "experts": (lambda: Experts(False), (2, 5), "up_proj", 2),
    "experts, inputs first": (lambda: Experts(True), (2, 5), "up_proj", 1),
    "LSTM": (lambda: Recurrent(5, 7), (2, 5), "weight_ih_l0", 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_input_axis_is_that_along_which_an_input_acts(name: str) -> None:
    make, shape, kind, axis = LAYERS[name]
    torch.manual_seed(0)
    layer = make()
    inputs = torch.zeros(shape)
    inputs.select(1, 3).normal_()  # input channel 3 alone
    layer(inputs).square().sum().backward()
    gradient = layer.get_parameter(kind).grad
    assert gradient is not None
    others = [other for other in range(gradient.ndim) if other != input_axis(layer, kind)]
    assert gradient.abs().sum(others).nonzero().flatten().tolist() == [3]
    assert input_axis(layer, kind) == axis
    assert input_axes(layer)[kind] == axis


def test_attentions_projection_has_its_inputs_last() -> None:
    layer = Attention(6, 2)
    layer(F.one_hot(torch.tensor([3, 3]), 6).float().unsqueeze(1)).sum().backward()
    assert layer.in_proj_weight.grad is not None
    assert layer.in_proj_weight.grad.abs().sum(0).nonzero().flatten().tolist() == [3]
    assert input_axis(layer, "in_proj_weight") == 1


def test_roles_are_by_class_or_by_name() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3))
            self.text_projection = nn.Parameter(torch.randn(4, 3))
            self.kernel = nn.Parameter(torch.randn(4, 3, 2, 2))
            self.pos_embed = nn.Parameter(torch.randn(1, 9, 3))
            self.scale_weight = nn.Parameter(torch.randn(1, 4, 1))
            self.A_log = nn.Parameter(torch.randn(4, 3))
            self.embedding = nn.Embedding(3, 4)
            self.tied = nn.Linear(4, 3)
            self.tied.weight = self.embedding.weight
            self.bilinear = nn.Bilinear(2, 3, 4)

    found = {name: role.name for name, role in roles(Own()).items()}
    assert found == {
        "weight": "matrix",
        "text_projection": "matrix",
        "kernel": "convolution",
        "embedding.weight": "linear layer",
        "bilinear.weight": "bilinear layer",
    }


def test_what_has_no_inputs_is_refused() -> None:
    model = nn.Sequential(nn.Embedding(3, 4), nn.LayerNorm(4))
    assert input_axis(model, "0.weight") == 1, "pruned by name: [outputs, inputs]"
    with pytest.raises(WinsomeError, match=r"'1\.weight' has 1 axes"):
        input_axis(model, "1.weight")
    with pytest.raises(WinsomeError, match="no parameter 'head'"):
        input_axis(model, "head")
