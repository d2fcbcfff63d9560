"""Networks that people use, tiny, with random starts: torch's, torchvision's, timm's and transformers'."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome

Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Planned:
    """What the plan says: how many parameters and weights are prunable, how many parameters are psi, and what stays dense.

    `dense` names all that is neither prunable nor psi, a bias or no matrix, by the reason.
    """

    prunable: int
    weights: int
    psi: int
    dense: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Architecture:
    """A network, and what it is called with."""

    make: Make
    inputs: Callable[[], dict[str, Any]]
    planned: Planned


def images(side: int = 32, *, channels: int = 3, count: int = 2, name: str = "x") -> Callable[[], dict[str, Any]]:
    return lambda: {name: torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(7))}


def words(**more: Tensor) -> Callable[[], dict[str, Any]]:
    ids = torch.randint(37, (2, 6), generator=torch.Generator().manual_seed(7))
    return lambda: {"input_ids": ids, **more}


def detected() -> dict[str, Any]:
    draw = torch.Generator().manual_seed(7)
    target = {"boxes": torch.tensor([[4.0, 4.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    target["masks"] = torch.ones(1, 64, 64, dtype=torch.uint8)
    return {"images": [torch.rand(3, 64, 64, generator=draw)] * 2, "targets": [target] * 2}


def of_timm(name: str, **options: Any) -> Make:
    return lambda: importlib.import_module("timm").create_model(name, pretrained=False, num_classes=5, **options)


def of_transformers(kind: str, config: str, **options: Any) -> Make:
    def make() -> nn.Module:
        library = importlib.import_module("transformers")
        network: nn.Module = getattr(library, kind)(getattr(library, config)(**options))
        return network

    return make


def of_torchvision(module: str, name: str, *args: Any, **options: Any) -> Make:
    return lambda: getattr(importlib.import_module(f"torchvision.models.{module}"), name)(*args, **options)


class Stages(nn.Module):
    """A backbone of two stages, as torchvision's segmentation and detection take one."""

    out_channels = 8

    def __init__(self, *, both: bool) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.both = both

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        first = self.one(inputs)
        return {"aux": first, "out": self.two(first)} if self.both else {"0": self.two(first)}


def mixer() -> nn.Module:
    library: Any = importlib.import_module("timm.models.mlp_mixer")
    network: nn.Module = library.MlpMixer(5, img_size=64, patch_size=32, num_blocks=2, embed_dim=16)
    return network


def resmlp() -> nn.Module:
    library: Any = importlib.import_module("timm.models.mlp_mixer")
    affine: dict[str, Any] = {"block_layer": library.ResBlock, "norm_layer": library.Affine, "mlp_ratio": 2}
    network: nn.Module = library.MlpMixer(5, img_size=32, patch_size=16, num_blocks=2, embed_dim=16, **affine)
    return network


def fcn() -> nn.Module:
    library: Any = importlib.import_module("torchvision.models.segmentation.fcn")
    network: nn.Module = library.FCN(Stages(both=True), library.FCNHead(8, 3), library.FCNHead(8, 3))
    return network


def deeplab() -> nn.Module:
    library: Any = importlib.import_module("torchvision.models.segmentation.deeplabv3")
    network: nn.Module = library.DeepLabV3(Stages(both=True), library.DeepLabHead(8, 3, (2, 3, 4)))
    return network


def retina_net() -> nn.Module:
    library: Any = importlib.import_module("torchvision.models.detection")
    anchors = library.anchor_utils.AnchorGenerator(((16,),), ((1.0,),))
    network: nn.Module = library.RetinaNet(Stages(both=False), 3, min_size=64, max_size=64, anchor_generator=anchors)
    return network


def mask_rcnn() -> nn.Module:
    library: Any = importlib.import_module("torchvision.models.detection")
    anchors = library.anchor_utils.AnchorGenerator(((16,),), ((1.0,),))
    heads = library.mask_rcnn.MaskRCNNHeads(8, (8, 8), 1)
    box_head = library.faster_rcnn.TwoMLPHead(8 * 49, 12)
    network: nn.Module = library.MaskRCNN(
        Stages(both=False), min_size=64, max_size=64, rpn_anchor_generator=anchors, mask_head=heads, box_head=box_head,
        box_predictor=library.faster_rcnn.FastRCNNPredictor(12, 3),
        mask_predictor=library.mask_rcnn.MaskRCNNPredictor(8, 8, 3),
    )  # fmt: skip
    return network


class Tagger(nn.Module):
    """Words, a recurrent layer or a transformer, normalisation, classes."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(37, 8)
        self.body = body
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, input_ids: Tensor) -> Tensor:
        found = self.body(self.embedding(input_ids))
        classes: Tensor = self.fc(self.norm(found[0] if isinstance(found, tuple) else found))
        return classes


class UNet(nn.Module):
    """Down, and up by transposed convolutions; the head is the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Linear(1, 8)
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.GroupNorm(2, 16), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.up_norm = nn.GroupNorm(2, 8)
        self.last_up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        down = self.down(x) + self.time(torch.ones(1)).view(1, -1, 1, 1)
        up: Tensor = self.out(self.last_up(self.up_norm(self.up(self.deep(down))) + down).relu())
        return up


class GraphNorm(nn.Module):
    """A norm of one's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, nodes: Tensor) -> Tensor:
        return (nodes - nodes.mean(0)) / (nodes.std(0) + 1e-5) * self.scale + self.shift


class GraphConvolution(nn.Module):
    """A matrix of its own: [inputs, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        return edges @ nodes @ self.weight + self.bias


class GraphNetwork(nn.Module):
    """Two graph convolutions with norms."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = GraphConvolution(6, 8), GraphNorm(8), GraphConvolution(8, 8)
        self.readout = nn.Linear(8, 3)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        classes: Tensor = self.readout(self.two(self.norm(self.one(nodes, edges)).relu(), edges))
        return classes


def graph() -> dict[str, Any]:
    draw = torch.Generator().manual_seed(7)
    return {"nodes": torch.randn(9, 6, generator=draw), "edges": torch.rand(9, 9, generator=draw)}


def loss_of(outputs: Any) -> Tensor:
    """One number that every output counts in, whatever structure they have."""
    if isinstance(outputs, Tensor):
        return F.mse_loss(outputs, torch.ones_like(outputs)) if outputs.is_floating_point() else torch.zeros(())
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, list | tuple):
        return torch.stack([loss_of(one) for one in outputs if one is not None]).sum()
    return torch.zeros(())


def stated_plan(model: nn.Module) -> list[str]:
    """Every parameter of a model and what becomes of it, a line for all whose names differ in numbers alone."""
    numbers = re.compile(r"\d+")
    counted = Counter(
        f"{numbers.sub('#', line.name)}: {'prunable' if line.prunable else 'psi' if line.psi else line.reason}"
        for line in winsome.plan(model)
    )
    return [f"{count} x {line}" for line, count in counted.items()]
