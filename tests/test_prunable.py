"""Which weights are prunable, for every kind of layer, and the plan that says why."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from winsome import WinsomeError, format_plan, plan, prunable
from winsome.classifiers import output_layers
from winsome.prunable import unpruned_signed


class EveryLayer(nn.Module):
    """One of each kind; `tied` shares its weight with `hidden`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.sequence = nn.Conv1d(1, 2, 3)
        self.image = nn.Conv2d(4, 4, 3, groups=4, bias=False)
        self.volume = nn.Conv3d(1, 2, 2)
        self.up = nn.ConvTranspose2d(2, 2, 2)
        self.norm = nn.BatchNorm2d(4)
        self.embedding = nn.Embedding(5, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.hidden = nn.Linear(10, 10)
        self.tied = nn.Linear(10, 10)
        self.tied.weight = self.hidden.weight
        self.fixed = nn.Linear(3, 3)
        self.fixed.weight.requires_grad_(False)
        self.classifier = nn.Linear(10, 10)


DEFAULT = (
    "sequence.weight", "image.weight", "volume.weight", "up.weight", "attention.in_proj_weight", "attention.out_proj.weight",
    "hidden.weight",
)  # fmt: skip


def test_all_convolutions_and_linear_layers_but_the_classifier() -> None:
    model = EveryLayer()
    assert prunable(model) == DEFAULT, "a shared weight counts once, under its first name; a hidden layer of class width counts"
    assert prunable(model, prune_classifier=True) == (*DEFAULT, "classifier.weight")
    reasons = {line.name: line.reason for line in plan(model) if not line.prunable}
    assert reasons["classifier.weight"] == "classifier"
    assert reasons["fixed.weight"] == "not trained (requires_grad is False)"
    assert reasons["sequence.bias"] == "bias"
    assert reasons["embedding.weight"] == "embedding"
    assert reasons["norm.weight"] == "psi (normalisation)"
    assert [line.name for line in plan(model) if line.psi] == ["norm.weight", "norm.bias"]
    assert [line.name for line in plan(model)] == [name for name, _ in model.named_parameters()]
    counts = {line.name: line.n_weights for line in plan(model)}
    assert counts == {name: p.numel() for name, p in model.named_parameters()}


def test_globs_include_and_exclude_by_name() -> None:
    model = EveryLayer()
    assert prunable(model, exclude=("*weight",), include=("scale",)) == ("scale",)
    names = prunable(model, include=("attention.in_proj_weight", "classifier.*", "fixed.weight"), exclude=("sequence*", "up.*"))
    assert names == (
        "image.weight", "volume.weight", "attention.in_proj_weight", "attention.out_proj.weight", "hidden.weight",
        "fixed.weight", "classifier.weight", "classifier.bias",
    )  # fmt: skip
    assert "hidden.weight" not in prunable(model, include=("hidden.*",), exclude=("hidden.weight",)), "exclude wins"


def test_the_classifier_is_the_last_layer_or_the_one_named() -> None:
    model = EveryLayer()
    assert output_layers(model) == ("classifier",)
    assert prunable(model, classifier="hidden") == tuple(n for n in (*DEFAULT, "classifier.weight") if n != "hidden.weight")
    convolutional = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 10, 1), nn.Flatten())
    assert prunable(convolutional) == ("0.weight",)
    assert output_layers(nn.ReLU()) == ()
    head = nn.Linear(4, 5, bias=False)
    language_model = nn.ModuleDict({"embedding": nn.Embedding(5, 4), "hidden": nn.Linear(4, 4), "head": head})
    language_model["embedding"].weight = head.weight
    assert prunable(language_model) == ("hidden.weight",)
    assert prunable(language_model, prune_classifier=True) == ("embedding.weight", "hidden.weight")


@pytest.mark.parametrize("model", [nn.Sequential(), nn.Linear(3, 3), nn.Sequential(nn.Embedding(3, 3), nn.Linear(3, 2))])
def test_a_model_without_prunable_weights_is_refused_with_the_remedy(model: nn.Module) -> None:
    with pytest.raises(WinsomeError, match=r"no prunable weights.*include=.*prune_classifier=True"):
        prunable(model)
    assert isinstance(format_plan(plan(model)), str)


def test_names_that_match_nothing_are_refused() -> None:
    model = EveryLayer()
    for options in ({"include": ("encoder.*",)}, {"exclude": ("encoder.*",)}):
        with pytest.raises(WinsomeError, match=r"pattern 'encoder\.\*' matches no parameter; .* like scale, sequence\.weight"):
            plan(model, **options)  # type: ignore[arg-type]
    with pytest.raises(WinsomeError, match=r"classifier 'head' is no module .* sequence, image"):
        plan(model, classifier="head")


def test_unpruned_signs_are_those_of_unpruned_layers_and_biases() -> None:
    model = EveryLayer()
    names = prunable(model)
    layers: dict[int, Tensor] = {
        id(p): p
        for m in model.modules()
        if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d)
        for p in m.parameters(recurse=False)
    }
    signed = unpruned_signed(model, names)
    assert {"classifier.weight", "classifier.bias", "sequence.bias", "tied.bias", "fixed.weight"} <= set(signed)
    attention = {id(model.attention.in_proj_weight), id(model.attention.in_proj_bias)}
    assert {id(model.get_parameter(name)) for name in (*signed, *names)} == set(layers) | attention
    assert not set(signed) & set(names)


def test_the_plan_as_a_table() -> None:
    text = format_plan(plan(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1000))))
    lines = text.splitlines()
    assert lines[0].split() == ["parameter", "layer", "shape", "weights", "prunable"]
    assert lines[1].split() == ["0.weight", "Conv2d", "2x1x3x3", "18", "yes"]
    assert lines[3].split() == ["2.weight", "Linear", "1000x8", "8,000", "no:", "classifier"]
    assert lines[-1] == "18 of 9,020 parameters are prunable"
    assert len({line.index("18") + 2 for line in lines[1:2]} | {line.index("8,000") + 5 for line in lines[3:4]}) == 1
