"""The output layers of a network, by the written rule: by what it says, by its names, or its last layer."""

from __future__ import annotations

import logging

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import winsome
from winsome.classifiers import output_layers
from winsome.errors import WinsomeError
from winsome.search import Search


class Net(nn.Module):
    """Layers by name; called in order."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.children():
            inputs = layer(inputs)
        return inputs


def linear() -> nn.Linear:
    return nn.Linear(4, 4)


NETWORKS: dict[str, tuple[nn.Module, tuple[str, ...]]] = {
    "the last of a sequence": (nn.Sequential(linear(), nn.ReLU(), linear()), ("2",)),
    "the last convolution": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 1), nn.Flatten()), ("2",)),
    "a convolution after linear layers": (Net(time=linear(), body=nn.Conv2d(1, 2, 3), end=nn.Conv2d(2, 1, 1)), ("end",)),
    "a head that comes first": (Net(classifier=linear(), body=linear()), ("classifier",)),
    "two heads": (Net(body=linear(), heads=nn.ModuleDict({"a": linear(), "b": linear()})), ("heads.a", "heads.b")),
    "a head of several layers": (Net(body=linear(), head=nn.Sequential(linear(), nn.ReLU(), linear())), ("head.2",)),
    "a chain in a head": (Net(body=linear(), head=nn.ModuleList([linear(), linear()])), ("head.1",)),
    "a pre_classifier": (Net(pre_classifier=linear(), classifier=linear()), ("classifier",)),
    "a block's own fc": (Net(blocks=nn.Sequential(Net(fc=linear()), Net(fc=linear())), last=linear()), ("last",)),
    "an activation called out": (Net(one=linear(), two=linear(), out=nn.Sigmoid()), ("two",)),
    "a head taken off": (Net(one=linear(), two=linear(), fc=nn.Identity()), ()),
    "no head, the end of a block": (Net(block=nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), pool=nn.Flatten()), ()),
    "a recurrent layer": (nn.LSTM(3, 4), ()),
    "nothing": (nn.ReLU(), ()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_output_layers_by_the_rule(name: str) -> None:
    network, expected = NETWORKS[name]
    assert output_layers(network) == expected


class OfTransformers(Net):
    """A network that says what its body is, as those of transformers do; one without a body is a base model itself."""

    @property
    def base_model(self) -> nn.Module:
        body: nn.Module = getattr(self, "body", self)
        return body

    def get_output_embeddings(self) -> nn.Module | None:
        return None


def transform() -> nn.Module:
    return Net(dense=linear(), act=nn.GELU(), norm=nn.LayerNorm(4))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (OfTransformers(vision_model=linear(), classifier=linear()), ("classifier",)),  # CLIPForImageClassification
        (
            OfTransformers(backbone=linear(), decode_head=Net(bottleneck=linear(), classifier=linear())),
            ("decode_head.classifier",),
        ),
        (OfTransformers(encoder=linear(), pooler=linear()), ()),  # a base model
        (OfTransformers(body=linear(), head=transform(), classifier=nn.Linear(4, 2)), ("classifier",)),  # ModernBERT
        (OfTransformers(body=linear(), head=transform(), classifier=nn.Linear(3, 2)), ("head.dense", "classifier")),
        (
            OfTransformers(body=linear(), labels_classifier=linear(), box_predictor=linear()),
            ("labels_classifier", "box_predictor"),
        ),
    ],
)
def test_the_heads_of_networks_that_say_what_their_body_is(network: nn.Module, expected: tuple[str, ...]) -> None:
    assert output_layers(network) == expected


def test_a_resnet_without_its_head_has_all_its_convolutions_pruned() -> None:
    network = torchvision.models.resnet18(num_classes=3)
    assert output_layers(network) == ("fc",)
    network.fc = nn.Identity()
    assert output_layers(network) == ()
    bare = nn.Sequential(*list(network.children())[:-1])
    assert output_layers(bare) == ()
    assert len(winsome.prunable(bare)) == len(winsome.prunable(network)) == 20


def train(model: nn.Module, level: winsome.Level) -> None:
    for _ in level.steps(1):
        model(torch.randn(2, 4)).sum().backward()


def test_classifiers_are_named_in_a_search(caplog: pytest.LogCaptureFixture) -> None:
    def made() -> nn.Module:
        return Net(one=linear(), two=linear(), three=linear())

    *_, last = winsome.find_tickets(made(), winsome.imp(1), train, classifier=("one", "three"))
    assert list(last.ticket.mask) == ["two.weight"]
    assert set(last.ticket.signs) >= {"one.weight", "three.weight"}
    with pytest.raises(WinsomeError, match="classifier 'head' is no module"):
        next(winsome.find_tickets(made(), winsome.imp(1), train, classifier="head"))
    with pytest.raises(WinsomeError, match="leave `classifier` out"):
        next(winsome.find_tickets(made(), winsome.imp(1), train, classifier="one", prunable=["two.weight"]))
    two_heads = Net(body=linear(), heads=nn.ModuleDict({"a": linear(), "b": linear()}))
    with caplog.at_level(logging.INFO, "winsome"):
        Search(two_heads, winsome.imp(1))
    assert "has 2 output layers, which stay dense: heads.a, heads.b" in caplog.text


class Strange(nn.Module):
    """A large matrix whose name says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Parameter(torch.randn(4, 40))
        self.body, self.fc = linear(), linear()

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.fc(self.body(inputs)) + self.lookup.sum()
        return out


def test_matrices_that_stay_dense_without_a_usual_reason_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(Strange(), winsome.imp(1), train))
    assert "83 % of the matrix weights of Strange stay dense: lookup (no weight by its layer or name)" in caplog.text
    assert "winsome.prunable(model, include=[...])" in caplog.text
    caplog.clear()
    model = Strange()
    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(model, winsome.imp(1), train, prunable=winsome.prunable(model, include=("lookup",))))
    assert "stay dense" not in caplog.text


def test_a_parametrised_classifier_stays_dense_and_a_parametrised_layer_is_refused_by_name() -> None:
    model = Net(one=linear(), two=linear(), fc=parametrizations.weight_norm(linear()))
    assert winsome.prunable(model) == ("one.weight", "two.weight")
    parametrizations.spectral_norm(model.get_submodule("one"))
    with pytest.raises(WinsomeError, match=r"one\.parametrizations\.weight\.original make are computed"):
        winsome.prunable(model)


@pytest.mark.parametrize("lazy", [True, False])
def test_what_has_no_values_yet_is_refused_in_one_sentence(lazy: bool) -> None:
    model = nn.Sequential(nn.LazyLinear(4), linear()) if lazy else nn.Sequential(linear(), linear()).to("meta")
    with pytest.raises(WinsomeError, match="call the model on a batch first" if lazy else "no values yet"):
        next(winsome.find_tickets(model, winsome.aws(1), train))
