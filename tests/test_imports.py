"""Checkpoints as people have them: what is no weight is never one, and what is ambiguous is asked for."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from winsome import neighbours
from winsome.about import about
from winsome.errors import WinsomeError
from winsome.neighbours import LAYOUTS
from winsome.prunable import prunable

State = dict[str, Tensor]
DOCS = Path(__file__).parents[1] / "docs" / "neighbours.md"


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


MASK = torch.rand(16, 8, generator=torch.Generator().manual_seed(1)) < 0.25
STATE: State = network().state_dict()
SIGNS = (torch.sign(STATE["0.weight"]) * MASK).to(torch.int8)
PRUNED: State = {**STATE, "0.weight": STATE["0.weight"] * MASK}


def saved(content: Any, folder: Path, name: str = "x.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def assert_right(ticket: neighbours.Imported, name: str = "0.weight") -> None:
    assert list(ticket.ticket.mask) == [name]
    assert torch.equal(ticket.ticket.mask[name], SIGNS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_says_what_it_is_and_is_in_the_docs(name: str) -> None:
    said = about(LAYOUTS[name])
    assert said.label
    assert said.sentence.endswith(".")
    assert "\n" not in said.sentence
    assert f"| `{name}` |" in DOCS.read_text()
    if name != "zeros":  # to which everything falls
        with pytest.raises(WinsomeError, match=f"not in the layout '{name}'"):
            neighbours.import_state(PRUNED, layout=name)


MASKS_BESIDE: dict[str, Any] = {
    "ModelOpt": {**STATE, "0._weight_mask": MASK},
    "apex, weights masked": {**PRUNED, "0.__weight_mma_mask": MASK},
    "Synaptic-Flow": {
        **STATE,
        "0.weight_mask": MASK.float(),
        "0.bias_mask": torch.ones(16),
        "2.weight_mask": torch.ones(3, 16),
    },
    "a dict of masks beside": {"state_dict": STATE, "masks": {"0.weight": MASK.float()}},
    "a dict of masks, DataParallel": {"model": {f"module.{k}": v for k, v in STATE.items()}, "mask": {"0.weight": MASK.int()}},
}


@pytest.mark.parametrize("tool", MASKS_BESIDE)
def test_masks_beside_weights_that_are_not_masked(tool: str, tmp_path: Path) -> None:
    imported = neighbours.import_file(saved(MASKS_BESIDE[tool], tmp_path))
    assert_right(imported)
    assert imported.layout == "weight-masks"
    assert torch.equal(imported.ticket.signs["2.weight"], torch.where(STATE["2.weight"] < 0, -1, 1).to(torch.int8))


def test_a_network_says_which_whole_layers_are_prunable() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    state = Wide().state_dict()
    masks = {name: torch.ones_like(state[f"{name}.weight"]) for name in ("first", "second", "head")}
    masks["second"][0] = 0
    state |= {f"{name}.weight_mask": mask for name, mask in masks.items()}
    assert list(neighbours.ticket_from_state(state).mask) == ["second.weight"]
    assert set(neighbours.ticket_from_state(state, model=Wide()).mask) == {"first.weight", "second.weight"}
    state["second.weight_mask"].fill_(1)  # as it is before anything is pruned
    assert neighbours.ticket_from_state(state).density == 1.0


@pytest.mark.parametrize(
    "beside",
    [
        {"epoch": 3, "best_acc1": torch.tensor(71.2)},
        {"loss": torch.zeros(3, 4), "arch": "mlp"},
        {"optimizer": torch.optim.SGD(network().parameters(), lr=0.1, momentum=0.9).state_dict()},
    ],
)
@pytest.mark.parametrize("key", ["state_dict", "model", "student"])
def test_what_lies_beside_the_state_dict_is_no_weight(beside: dict[str, Any], key: str, tmp_path: Path) -> None:
    assert_right(neighbours.import_file(saved({**beside, key: PRUNED}, tmp_path)))


def test_several_networks_in_a_file_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"several dicts of tensors \(generator, critic\); save the one"):
        neighbours.import_file(saved({"generator": PRUNED, "critic": STATE}, tmp_path))


@pytest.mark.parametrize(
    ("thing", "named"),
    [
        (np.float64(71.2), r"numpy\S*\.scalar.*a number by float"),
        (argparse.Namespace(lr=0.1), r"argparse\.Namespace.*as plain Python$"),
        (Path("x"), r"pathlib\S*Path.*save again what is no tensor"),
    ],
)
def test_other_objects_beside_the_weights_are_named_with_the_remedy(thing: object, named: str, tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=rf"holds pickled Python objects \({named}"):
        neighbours.import_file(saved({"state_dict": PRUNED, "best": thing}, tmp_path))


# ---- names


@pytest.mark.parametrize("prefix", ["model.", "net.", "module.model.", "_orig_mod.backbone.", "learner._orig_mod."])
@pytest.mark.parametrize("known", [True, False])
def test_one_prefix_of_all_names_is_taken_off_and_said(prefix: str, known: bool, caplog: pytest.LogCaptureFixture) -> None:
    state = {prefix + name: value for name, value in PRUNED.items()}
    model = network(5) if known else None
    imported = neighbours.import_state(state, model=model)
    assert_right(imported)
    attribute = prefix.replace("module.", "").replace("_orig_mod.", "")
    assert imported.ticket.provenance["imported"]["prefix"] == attribute
    assert f"the prefix '{attribute}' was taken off" in str(imported)
    with caplog.at_level(logging.WARNING, "winsome"):
        neighbours.ticket_from_state(state, model=model)
    assert f"the prefix '{attribute}' was taken off" in caplog.text


def test_a_prefix_that_is_the_networks_own_stays_where_the_network_is_known() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()

    own = {f"body.{name}": value for name, value in PRUNED.items()}
    assert_right(neighbours.import_state(own, model=Own()), "body.0.weight")
    wrapped = {f"model.{name}": value for name, value in own.items()}
    assert_right(neighbours.import_state(wrapped, model=Own()), "body.0.weight")


def test_with_the_network_other_parts_of_a_module_are_left_out() -> None:
    state = {f"model.{name}": value for name, value in PRUNED.items()} | {"loss.weight": torch.ones(3), "mean": torch.zeros(2)}
    imported = neighbours.import_state(state, model=network())
    assert_right(imported)
    assert set(imported.roles) == set(PRUNED)
    unknown = neighbours.import_state(state)
    assert_right(unknown)
    assert "no part of the network below 'model.', and left aside: loss.weight, mean" in unknown.notes
    body = {name.replace("model.", "body."): value for name, value in state.items()}
    assert_right(neighbours.import_state(body), "body.0.weight")  # it may be the network's own


@pytest.mark.parametrize("model", [None, network()])
def test_masks_of_another_shape_are_refused_by_name(model: nn.Module | None) -> None:
    state = {**STATE, "0.weight_mask": torch.ones(16, 1), "2.weight_mask": torch.ones(3, 16)}
    with pytest.raises(WinsomeError, match=r"the mask of '0\.weight' is \(16, 1\), its weight \(16, 8\)"):
        neighbours.import_state(state, model=model)


def test_masks_in_a_list_beside_the_network_have_its_order(tmp_path: Path) -> None:
    for masks in ([MASK.float()], [MASK, torch.ones(3, 16)]):
        assert_right(neighbours.import_file(saved({"model": STATE, "masks": masks}, tmp_path)))
    with pytest.raises(WinsomeError, match="a list of 1 masks without names, which are not those of the 2 matrices"):
        neighbours.import_file(saved({"model": STATE, "masks": [MASK.T.float()]}, tmp_path))


def test_what_else_is_a_network_or_a_mask_in_a_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    both = saved({"state_dict": PRUNED, "state_dict_ema": STATE, "optimizer": {"momentum": torch.ones(3)}}, tmp_path)
    assert_right(neighbours.import_file(both))
    (said,) = caplog.messages
    assert said == "import: x.pt holds another network under 'state_dict_ema', which is left aside: 'state_dict' is read"
    with pytest.raises(WinsomeError, match="zeros and ones by parameter name under 'pruned': if they say what is kept"):
        neighbours.import_file(saved({"model": STATE, "pruned": {"0.weight": ~MASK}}, tmp_path))


def test_a_network_that_is_there_twice_is_asked_for() -> None:
    state = {f"{part}.{name}": value for part in ("model", "ema") for name, value in PRUNED.items()}
    with pytest.raises(WinsomeError, match=r"the network several times, below 'ema\.' and 'model\.'; save the one"):
        neighbours.import_state(state, model=network())


def test_places_in_lists_and_single_layers_are_no_prefixes() -> None:
    for prefix in ("1.", "fc."):
        layer = {f"{prefix}weight": PRUNED["0.weight"], f"{prefix}bias": PRUNED["0.bias"]}
        assert_right(neighbours.import_state(layer), f"{prefix}weight")


# ---- masks that are alone, or that nobody knows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int32])
@pytest.mark.parametrize("name", ["0.weight", "0.mask", "0.weight_mask"])
def test_masks_without_weights_are_refused_by_name_and_read_with_them(dtype: torch.dtype, name: str, tmp_path: Path) -> None:
    masks = saved({name: MASK.to(dtype)}, tmp_path, "masks.pt")
    with pytest.raises(WinsomeError, match=rf"masks\.pt: it holds masks alone \({name}\).*give the network's weights"):
        neighbours.import_file(masks)
    imported = neighbours.import_file(masks, weights=saved(STATE, tmp_path))
    assert_right(imported)
    assert imported.ticket.provenance["imported"]["weights"] == "x.pt"


@pytest.mark.parametrize("name", ["masks.first", "0.sparse_mask", "mask_0", "0.weight_mask_", "0.weight_m", "kept.0.weight"])
def test_masks_that_no_layout_knows_are_refused_by_name(name: str) -> None:
    for state in (STATE, PRUNED):
        with pytest.raises(WinsomeError, match=rf"{name}: zeros and ones, like masks, but no layout says whose"):
            neighbours.import_state({**state, name: MASK.float()})
    assert_right(neighbours.import_state({**PRUNED, name: MASK.float()}, layout="zeros"))


def test_masks_of_attention_are_no_masks_of_weights() -> None:
    assert_right(neighbours.import_state({**PRUNED, "attention.causal_mask": torch.ones(5, 5).tril()}))


def test_a_checkpoint_in_two_layouts_is_asked_for() -> None:
    state = {**STATE, "0.mask": MASK.float(), "2.weight_mask": torch.eye(3, 16)}
    with pytest.raises(WinsomeError, match=r"in the layouts mask-buffers and weight-masks at once; say which one.*--layout"):
        neighbours.import_state(state)
    assert_right(neighbours.import_state(state, layout="mask-buffers"))


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.bool])
def test_what_has_no_sign_is_no_weight(kind: torch.dtype) -> None:
    state = {"0.weight_orig": (STATE["0.weight"] > 0).to(kind), "0.weight_mask": MASK.float()}
    with pytest.raises(WinsomeError, match=r"'0\.weight' is torch.* no weight with a sign"):
        neighbours.import_state(state)


@pytest.mark.parametrize("layout", ["zeros", "weight-masks", "torch-prune"])
def test_weights_of_one_sign_are_never_imported_in_silence(layout: str) -> None:
    scores = STATE["0.weight"].abs()
    state: State = {
        "zeros": {**STATE, "0.weight": scores * MASK},
        "weight-masks": {**STATE, "0.weight": scores, "0.weight_mask": MASK},
        "torch-prune": {"0.weight_orig": scores, "0.weight_mask": MASK, "0.bias": STATE["0.bias"]},
    }[layout]
    with pytest.raises(WinsomeError, match=r"no kept value of 0\.weight is negative: these are masks, scores or magnitudes"):
        neighbours.import_state(state)
    assert int((neighbours.ticket_from_state(state, layout=layout).mask["0.weight"] < 0).sum()) == 0


@given(
    st.sampled_from(["{}_mask", "{}.mask", "mask.{}", "{}", "m_{}", "{}_m", "_{}_mask"]), st.sampled_from([{}, STATE, PRUNED])
)
def test_no_name_of_a_mask_leads_to_other_signs_than_the_weights(pattern: str, beside: State) -> None:
    """Whatever masks are called: the ticket is right, or there is a sentence."""
    state = {**beside, pattern.format("0.weight"): MASK.float()}
    try:
        ticket = neighbours.ticket_from_state(state)
    except WinsomeError:
        return
    assert list(ticket.mask) == ["0.weight"]
    assert torch.equal(ticket.mask["0.weight"], SIGNS)


# ---- zeros that are no pruning


class Sentence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(10, 8, padding_idx=0)
        self.position = nn.Parameter(torch.zeros(1, 5, 8))
        self.hidden = nn.Linear(8, 16)
        self.gate = nn.Linear(16, 8, bias=False)
        self.head = nn.Linear(8, 3)
        nn.init.zeros_(self.gate.weight)


def test_padding_projections_that_begin_at_zero_and_tables_are_not_pruned() -> None:
    state = Sentence().state_dict()
    state["hidden.weight"] = state["hidden.weight"] * MASK
    imported = neighbours.import_state(state)
    assert list(imported.ticket.mask) == ["hidden.weight"]
    assert torch.equal(imported.ticket.mask.kept("hidden.weight"), MASK)
    (note,) = imported.notes
    for name, why in (
        ("tokens.weight", "whole rows are zero"),
        ("position", "no matrix of a layer"),
        ("gate.weight", "all zero"),
    ):
        assert f"{name}: {why}" in note
    asked = neighbours.import_state(state, layout="zeros")
    assert list(asked.ticket.mask) == ["tokens.weight", "hidden.weight", "gate.weight"]
    assert "layers whose weights are all pruned: gate.weight" in asked.notes
    exact = neighbours.import_state(state, model=Sentence())
    assert list(exact.ticket.mask) == list(prunable(Sentence())) == ["hidden.weight", "gate.weight"]
    assert "layers whose weights are all pruned: gate.weight" in exact.notes


def test_a_checkpoint_with_no_other_zeros_is_asked_about() -> None:
    state = Sentence().state_dict()
    with pytest.raises(WinsomeError, match=r"only zeros are no pruned layer's.*tokens.*name the network \(--network, model=\)"):
        neighbours.import_state(state)
    del state["gate.weight"]
    with pytest.raises(WinsomeError, match="no prunable weight of the network is exactly zero"):
        neighbours.import_state({**state, "gate.weight": torch.ones(8, 16)}, model=Sentence())


def test_the_convolution_of_a_patch_embedding_is_a_layer() -> None:
    convolution = nn.Conv2d(3, 8, 4, bias=False)
    kept = torch.rand(convolution.weight.shape) < 0.5
    state = {"patch_embed.weight": convolution.weight.detach() * kept, "head.weight": torch.randn(3, 8)}
    assert torch.equal(neighbours.ticket_from_state(state).mask.kept("patch_embed.weight"), kept)


# ---- lists of masks


def convolutions() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 10, 1, bias=False)
    )


def as_code_b(folder: Path, level: int = 4) -> tuple[Path, State, list[Tensor]]:
    """As the code of arXiv:2402.19262 has it: the masks of all convolutions as a list, the network under DataParallel."""
    state = convolutions().state_dict()
    masks = [(torch.rand(v.shape) < 0.4).float() for n, v in state.items() if v.ndim == 4]
    saved({f"module.{name}": value for name, value in state.items()}, folder, f"model_resnet_{level}.pt")
    return saved(masks, folder, f"mask_resnet_{level}.pt"), state, masks


def test_a_list_of_masks_takes_names_and_signs_from_the_network_beside_it(tmp_path: Path) -> None:
    path, state, masks = as_code_b(tmp_path)
    imported = neighbours.import_file(path)
    assert list(imported.ticket.mask) == ["0.weight", "2.weight", "3.weight"]
    for name, mask in zip(imported.ticket.mask, masks, strict=True):
        assert torch.equal(imported.ticket.mask[name].float(), torch.where(state[name] < 0, -1, 1) * mask)
    assert imported.notes == ("the mask of its level 4 is that of Winsome's level 5",)
    assert imported.ticket.provenance["imported"]["weights"] == "model_resnet_4.pt"
    exact = neighbours.ticket_from_file(path, model=convolutions())
    assert exact.mask == imported.ticket.mask


def test_a_list_of_masks_without_its_network_or_with_another_is_refused(tmp_path: Path) -> None:
    path, state, _ = as_code_b(tmp_path)
    other = saved({name: value for name, value in state.items() if not name.startswith("3")}, tmp_path, "other.pt")
    with pytest.raises(WinsomeError, match=r"the 3 masks of the list are not those of the 2 matrices.*0\.weight, 2\.weight"):
        neighbours.import_file(path, weights=other)
    (tmp_path / "model_resnet_4.pt").unlink()
    with pytest.raises(WinsomeError, match=r"a list of 3 masks has neither names nor signs: .*--weights model_NAME_k\.pt"):
        neighbours.import_file(path)


def test_tensors_without_names_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    path, state, _ = as_code_b(tmp_path)
    saved([value for value in state.values() if value.ndim == 4], tmp_path, path.name)
    with pytest.raises(WinsomeError, match="holds values other than 0 and 1"):
        neighbours.import_file(path)
    with pytest.raises(WinsomeError, match=r"holds no tensors by name"):
        neighbours.read_checkpoint(path)


# ---- what was read is said


def test_the_plan_names_every_entry_and_what_became_of_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    state = model.state_dict()
    state["0.weight"] = state["0.weight"] * (torch.rand(4, 3, 3, 3) < 0.5)
    for options, norms in ((dict[str, Any](), "normalisation, left out"), ({"norms": True, "model": model}, "normalisation")):
        imported = neighbours.import_state(state, **options)
        kept, negative = int((state["0.weight"] != 0).sum()), int((state["0.weight"] < 0).sum())
        assert imported.roles == {
            "0.weight": f"pruned: {kept} of 108 kept, {negative} of them negative",
            "0.bias": "unpruned, its signs travel along",
            "1.weight": norms,
            "1.bias": norms,
            "1.running_mean": "left out",
            "1.running_var": "left out",
            "1.num_batches_tracked": "left out",
            "3.weight": "unpruned, its signs travel along",
            "3.bias": "unpruned, its signs travel along",
        }
        first, *lines = str(imported).splitlines()
        assert first == "layout zeros: A plain state_dict: the zeros in the matrices of layers are pruned."
        assert [tuple(line.split(maxsplit=1)) for line in lines] == list(imported.roles.items())


def test_the_short_ways_are_those_with_the_plan(tmp_path: Path) -> None:
    path = saved(PRUNED, tmp_path)
    assert neighbours.ticket_from_file(path).mask == neighbours.import_file(path).ticket.mask
    assert neighbours.ticket_from_state(PRUNED).mask == neighbours.import_state(PRUNED).ticket.mask
