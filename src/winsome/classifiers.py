"""Which layers give the outputs of a network: its classifier, or several (two heads, classes and boxes, an auxiliary one)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from winsome.errors import WinsomeError
from winsome.matrices import LAYERS, is_embedding, role_of

# A word of a module's name that says that outputs are made there; a whole name that does.
_WORDS = frozenset(
    {"head", "heads", "classifier", "classifiers", "logits", "predictor", "predictors", "prediction", "predictions"}
)
_NAMES = frozenset({"fc", "out", "outc", "outconv", "output", "outputs", "final", "score", "cls", "bbox_reg", "bbox_pred"})
_NAMES |= frozenset({"bbox_ctrness", "cls_score", "conv_out", "out_conv", "final_conv", "conv_final", "last_linear", "fc_out"})
_NAMES |= frozenset({"qa_outputs", "seq_relationship"})
_INNER = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


def output_layers(model: nn.Module) -> tuple[str, ...]:
    """The layers whose outputs are the network's, by name: its classifiers, convolutions too, in the model's order.

    By this rule, of which the first that finds something holds:

    1. What the network says itself: timm's `get_classifier()`; of transformers the output embeddings, and what lies outside
       of its `base_model`, of one that is its own base what is called a head (a bare base model has none); a hidden layer
       with its norm in front of the outputs is none.
    2. Modules that are called a head: a word of their name is head, classifier, logits, predictor or prediction, or the whole
       name is `fc`, `out`, `final`, `cls_score`, `bbox_pred` or the like, and no number comes before in their path (so that
       the `fc` of a block in a list is none; nor is a `box_head` that feeds a `box_predictor`, nor a `pre_classifier`). Of
       each the last layer with weights; every head of a head; every member of a dict, or of a list of layers of which none
       feeds the next. A head that is an Identity says that the network has no classifier.
    3. The last layer with weights, unless normalisation comes right after it, or it is recurrent or part of an attention.
    """
    modules = dict(model.named_modules())
    own = _said_by_the_network(model, modules)
    if own is not None:
        return own
    heads = _outer_heads(modules)
    found = tuple(dict.fromkeys(layer for name in heads for layer in _outputs_of(name, modules[name])))
    return found if found or any(isinstance(modules[name], nn.Identity) for name in heads) else _last(modules)


def classifiers(model: nn.Module, classifier: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names given, checked, or the output layers.

    Raises:
        WinsomeError: the network has no module of a name.
    """
    if classifier is None:
        return output_layers(model)
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            known = ", ".join(filter(None, modules))
            raise WinsomeError(f"classifier {name!r} is no module of the network; its modules: {known}")
    return names


def _said_by_the_network(model: nn.Module, modules: dict[str, nn.Module]) -> tuple[str, ...] | None:
    if callable(get := getattr(model, "get_classifier", None)):
        said = get()
        ids = {id(one) for one in (said if isinstance(said, tuple | list) else (said,))}
        return tuple(layer for name, one in modules.items() if id(one) in ids for layer in _outputs_of(name, one))
    base, get = getattr(model, "base_model", None), getattr(model, "get_output_embeddings", None)
    if not isinstance(base, nn.Module) or not callable(get):
        return None
    inside = {id(one) for one in base.modules()}
    tops = [name for name, one in model.named_children() if base is model or id(one) not in inside]
    called = [name for name in tops if _is_head(name)]
    found = [layer for name in (called if base is model else called or tops) for layer in _outputs_of(name, modules[name])]
    embeddings = get()
    found = [*found, *(name for name, one in modules.items() if one is embeddings)]
    return tuple(name for name in dict.fromkeys(found) if not _is_hidden(name, found, modules))


def _is_hidden(name: str, found: Sequence[str], modules: Mapping[str, nn.Module]) -> bool:
    """Whether what is called a head is the hidden part of one in two: normalised, and as wide as a later one takes."""
    layer, parent = modules[name], modules[name.rpartition(".")[0]]
    if not isinstance(layer, nn.Linear) or not any(_normalises(one) for one in parent.children()):
        return False
    later = [modules[other] for other in found[found.index(name) + 1 :] if other != name]
    return any(isinstance(other, nn.Linear) and other.in_features == layer.out_features for other in later)


def _is_head(path: str) -> bool:
    before, _, name = path.rpartition(".")
    if any(part.isdigit() for part in before.split(".")):
        return False
    words = set(re.split(r"[_\d]+", name.lower()))
    return name in _NAMES or (not _WORDS.isdisjoint(words) and "pre" not in words)


def _has_weights(module: nn.Module) -> bool:
    if isinstance(module, LAYERS):  # a parametrised one has its weight elsewhere
        return True
    named = module.named_parameters(recurse=False)
    return not is_embedding(module) and any(role_of(module, kind, p) is not None for kind, p in named)


def _outer_heads(modules: Mapping[str, nn.Module], below: str = "") -> list[str]:
    """Those of the modules below a name that are called a head and lie in no other head."""
    paths = {name: name.removeprefix(f"{below}.") for name in modules if name not in ("", below)}
    heads = [name for name, path in paths.items() if _is_head(path) and not _feeds_a_predictor(name, modules)]
    return [name for name in heads if not any(name.startswith(f"{other}.") for other in heads)]


def _feeds_a_predictor(name: str, modules: Mapping[str, nn.Module]) -> bool:
    """Whether it is the hidden part of a head in two, as torchvision's `box_head` beside `box_predictor`."""
    return name.endswith("_head") and f"{name.removesuffix('_head')}_predictor" in modules


def _outputs_of(name: str, head: nn.Module) -> Iterator[str]:
    """The output layers of a head: itself, those of the heads in it, its parallel members', or its last."""
    if _has_weights(head):
        yield name
        return
    modules = dict(head.named_modules(prefix=name))
    found = [layer for key in _outer_heads(modules, name) for layer in _outputs_of(key, modules[key])]
    if found:
        yield from found
        return
    members = [(key, child) for key, child in head.named_children() if any(map(_has_weights, child.modules()))]
    in_turn = isinstance(head, nn.ModuleList) and _is_chain([child for _, child in members])
    parallel = isinstance(head, nn.ModuleList | nn.ModuleDict) and not in_turn
    for key, child in members if parallel else members[-1:]:
        yield from _outputs_of(f"{name}.{key}", child)


def _is_chain(layers: Sequence[nn.Module]) -> bool:
    """Whether each of several linear layers takes as many features as the one before gives."""
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return len(linears) == len(layers) > 1 and all(a.out_features == b.in_features for a, b in pairwise(linears))


def _last(modules: dict[str, nn.Module]) -> tuple[str, ...]:
    """The last layer with weights; none where it is known to be in the midst: what gives features gives no outputs."""
    layers = [name for name, module in modules.items() if _has_weights(module)]
    if not layers or isinstance(modules[layers[-1]], _INNER):
        return ()
    parent, _, leaf = layers[-1].rpartition(".")
    if leaf and isinstance(modules[parent], _INNER):
        return ()
    siblings = list(modules[parent].named_children())
    after = [module for _, module in siblings[[name for name, _ in siblings].index(leaf) + 1 :]] if leaf else []
    return () if after and _normalises(after[0]) else (layers[-1],)


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, _NormBase) or "norm" in type(module).__name__.lower()
