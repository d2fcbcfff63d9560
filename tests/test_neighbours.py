"""Roads to and from other tools: their layouts, written here by code of ours, and PyTorch's own prune and ONNX as judges."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from winsome import neighbours, ticket_file
from winsome.errors import WinsomeError
from winsome.neighbours.layouts import layout_of
from winsome.neighbours.source import Source
from winsome.prunable import prunable, unpruned_signed
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket, ticket_of
from winsome.transfer import plant

State = dict[str, Tensor]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )


def kept_of(model: nn.Module, density: float = 0.3, seed: int = 1) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(model.get_parameter(name).shape, generator=generator) < density for name in ("0.weight", "3.weight")
    }


def expected_ticket(model: nn.Module, kept: State) -> Ticket:
    return ticket_of(model, list(kept), kept)


def assert_same_ticket(ticket: Ticket, expected: Ticket) -> None:
    assert ticket.mask == expected.mask
    assert ticket.signs.keys() == expected.signs.keys()
    assert all(torch.equal(value, expected.signs[name]) for name, value in ticket.signs.items())


# ---- what the peers write


def torch_prune_state(model: nn.Sequential, kept: State) -> State:
    pruned = copy.deepcopy(model)
    for name, mask in kept.items():
        prune.custom_from_mask(pruned[int(name[0])], "weight", mask)  # type: ignore[no-untyped-call]
    return pruned.state_dict()


def fixed_m_state(model: nn.Sequential, kept: State) -> State:
    """As the code of arXiv:2504.05357 has it: `fixed_m` is a parameter of the layer beside its unmasked weight."""
    pruned = copy.deepcopy(model)
    for name, mask in kept.items():
        pruned[int(name[0])].register_parameter("fixed_m", nn.Parameter(mask.float(), requires_grad=False))
    return pruned.state_dict()


def mask_buffer_state(model: nn.Sequential, kept: State) -> State:
    """As TurboPrune has it: a float buffer `mask` in every layer; linear layers are 1-d convolutions, mask of ones included."""
    pruned = copy.deepcopy(model)
    for name, mask in kept.items():
        pruned[int(name[0])].register_buffer("mask", mask.float())
    return pruned.state_dict()


def weight_mask_state(model: nn.Sequential, kept: State) -> State:
    """As Synaptic-Flow has it: float buffers `weight_mask` and `bias_mask` in every layer, the weights unmasked."""
    pruned = copy.deepcopy(model)
    for index in (0, 3, 8):
        for name, parameter in list(pruned[index].named_parameters()):
            mask = kept.get(f"{index}.{name}", torch.ones_like(parameter))
            pruned[index].register_buffer(f"{name}_mask", mask.float())
    return pruned.state_dict()


def pruned_model_state(model: nn.Sequential, kept: State) -> State:
    """As open_lth's PrunedModel has it: the network as `model`, a buffer `mask_0___weight` for `0.weight`."""
    outer = nn.Module()
    outer.model = copy.deepcopy(model)
    for name, mask in kept.items():
        outer.register_buffer("mask_" + name.replace(".", "___"), mask.float())
    return outer.state_dict()


def zero_state(model: nn.Sequential, kept: State) -> State:
    return {name: value * kept[name] if name in kept else value for name, value in model.state_dict().items()}


WRITERS: dict[str, Callable[[nn.Sequential, State], State]] = {
    "torch-prune": torch_prune_state,
    "fixed_m": fixed_m_state,
    "mask-buffers": mask_buffer_state,
    "weight-masks": weight_mask_state,
    "pruned-model": pruned_model_state,
    "zeros": zero_state,
}


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_is_found_and_read(layout: str) -> None:
    model = network()
    kept = kept_of(model)
    state = WRITERS[layout](model, kept)
    assert layout_of(Source(state)) == layout
    ticket = neighbours.ticket_from_state(state)
    assert_same_ticket(ticket, expected_ticket(model, kept))
    assert ticket.provenance == {"imported": {"layout": layout}}
    assert_same_ticket(neighbours.ticket_from_state(state, model=network(9)), expected_ticket(model, kept))


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("kind", ["pt", "legacy", "safetensors", "nested", "parallel", "compiled"])
def test_every_kind_of_file_is_read(layout: str, kind: str, tmp_path: Path) -> None:
    model = network()
    kept = kept_of(model)
    state: Any = WRITERS[layout](model, kept)
    path = tmp_path / "checkpoint.pth.tar"
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    elif kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        prefix = {"parallel": "module.", "compiled": "_orig_mod.module."}.get(kind, "")
        state = {prefix + name: value for name, value in state.items()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1).state_dict()
        whole = {"epoch": 10, "state_dict": state, "acc": 76.5, "optimizer": optimizer}
        torch.save(whole if kind == "nested" else state, path)
    ticket = neighbours.ticket_from_file(path)
    assert_same_ticket(ticket, expected_ticket(model, kept))
    imported = ticket.provenance["imported"]
    assert (imported["layout"], imported["file"]) == (layout, "checkpoint.pth.tar")
    ticket_file.write(ticket, tmp_path / "a.ticket")
    assert ticket_file.read(tmp_path / "a.ticket").mask == ticket.mask


def open_lth_folder(folder: Path, model: nn.Sequential, kept: State) -> None:
    """As open_lth has it: int masks of all convolutions and linear layers, networks by epoch and iteration."""
    masks = {name: kept.get(name, torch.ones_like(model.get_parameter(name))).int() for name in (*kept, "8.weight")}
    torch.save(masks, folder / "mask.pth")
    torch.save(network(5).state_dict(), folder / "model_ep9_it0.pth")
    torch.save(model.state_dict(), folder / "model_ep10_it0.pth")
    (folder / "sparsity_report.json").write_text("{}")


def test_open_lth_folders_are_read_with_their_last_network(tmp_path: Path) -> None:
    model = network()
    kept = kept_of(model)
    open_lth_folder(tmp_path, model, kept)
    expected = expected_ticket(model, {**kept, "8.weight": torch.ones(5, 6, dtype=torch.bool)})
    ticket = neighbours.ticket_from_file(tmp_path)
    assert_same_ticket(ticket, expected)
    assert ticket.provenance["imported"]["weights"] == "model_ep10_it0.pth"
    assert_same_ticket(neighbours.ticket_from_file(tmp_path / "mask.pth", weights=tmp_path / "model_ep10_it0.pth"), expected)
    with pytest.raises(WinsomeError, match="no signs: give the network's weights too"):
        neighbours.ticket_from_file(tmp_path / "mask.pth")
    with pytest.raises(WinsomeError, match="no folder that a layout reads"):
        neighbours.ticket_from_file(tmp_path.parent)


def test_a_mask_that_names_unknown_weights_is_refused() -> None:
    with pytest.raises(WinsomeError, match=r"lack other\.weight"):
        neighbours.ticket_from_state({"other.weight": torch.ones(2, dtype=torch.int32)}, weights=network().state_dict())


def test_a_kept_zero_stays_kept_where_there_is_a_mask() -> None:
    model = network()
    kept = kept_of(model)
    with torch.no_grad():
        model.get_parameter("3.weight").zero_()
    ticket = neighbours.ticket_from_state(fixed_m_state(model, kept))
    assert torch.equal(ticket.mask.kept("3.weight"), kept["3.weight"])


def test_the_linear_layers_of_turboprune_get_their_shape_back() -> None:
    model = network()
    kept = {**kept_of(model), "8.weight": torch.rand(5, 6) < 0.5}
    state = mask_buffer_state(model, kept)
    state["8.weight"], state["8.mask"] = state["8.weight"].unsqueeze(-1), state["8.mask"].unsqueeze(-1)
    assert neighbours.ticket_from_state(state).mask["8.weight"].shape == (5, 6, 1)
    ticket = neighbours.ticket_from_state(state, model=network(3))
    assert_same_ticket(ticket, expected_ticket(model, kept))
    plant(ticket, network(4))


def test_norms_come_along_if_asked_for() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.arange(8))
    state = fixed_m_state(model, kept_of(model))
    for given in (None, network(7)):
        norms = neighbours.ticket_from_state(state, norms=True, model=given).norms
        assert list(norms) == ["1.weight", "1.bias", "4.weight", "4.bias"]
        assert torch.equal(norms["1.weight"], torch.arange(8.0))
    assert not neighbours.ticket_from_state(state).norms


def test_the_model_says_what_shapes_cannot() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(4, 6)
            self.hidden = nn.Linear(6, 6)
            self.head = nn.Linear(6, 2)

    model = Tokens()
    with torch.no_grad():
        model.hidden.weight[0] = 0
    state = model.state_dict()
    assert "embedding.weight" in neighbours.ticket_from_state(state).signs
    exact = neighbours.ticket_from_state(state, model=Tokens())
    assert list(exact.mask) == list(prunable(model)) == ["hidden.weight"]
    assert tuple(exact.signs) == unpruned_signed(model, ["hidden.weight"])


def test_sparse_tensors_are_read() -> None:
    model = network()
    kept = kept_of(model)
    state = zero_state(model, kept)
    state["3.weight"] = state["3.weight"].to_sparse()
    assert_same_ticket(neighbours.ticket_from_state(state), expected_ticket(model, kept))


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        ({}, {"layout": "torch-prune"}, "not in the layout 'torch-prune': it has no masks"),
        ({}, {}, "no weight in it is exactly zero; prune the network first"),
        ({}, {"layout": "torch_prune"}, "did you mean torch-prune"),
        ({"0.mask": torch.full((8, 3, 3, 3), 0.5)}, {}, "mask of '0.weight' holds values other than 0 and 1"),
        ({"0.mask": torch.ones(8)}, {}, r"mask of '0.weight' is \(8,\), its weight \(8, 3, 3, 3\)"),
        ({"0.mask": torch.ones(8, 3, 3, 3), "0.weight": torch.full((8, 3, 3, 3), torch.nan)}, {}, "'0.weight' holds NaN"),
        ({"0.mask": torch.ones(8, 3, 3, 3)}, {"model": nn.Linear(3, 3)}, r"model lacks 0\.weight"),
        ({"0.weight": torch.zeros(8, 3, 3, 4)}, {"model": network()}, r"0\.weight is \(8, 3, 3, 4\) in the checkpoint"),
    ],
)
def test_what_is_no_pruned_network_is_refused(change: State, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        neighbours.ticket_from_state({**network().state_dict(), **change}, **arguments)


class Bomb:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_no_code_from_a_file_is_run(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    path = tmp_path / "bomb.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Bomb()}))
    else:
        torch.save({"state_dict": Bomb()}, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(WinsomeError, match=r"bomb\.pt (holds pickled Python objects.*Save its state_dict|is no checkpoint)"):
        neighbours.ticket_from_file(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"some text", b"PK\x03\x04 broken", (20).to_bytes(8, "little") + b'{"a": 1}'])
def test_files_that_are_no_checkpoints_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "thing.pt"
    path.write_bytes(content)
    with pytest.raises(WinsomeError, match=r"thing\.pt"):
        neighbours.ticket_from_file(path)


def test_a_file_without_tensors_and_an_absent_one_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(WinsomeError, match=r"a\.pt holds no tensors by name"):
        neighbours.ticket_from_file(tmp_path / "a.pt")
    with pytest.raises(WinsomeError, match=r"b\.pt: No such file"):
        neighbours.ticket_from_file(tmp_path / "b.pt")


# ---- exports


def trained_and_mask() -> tuple[nn.Sequential, SignedMask]:
    model = network()
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    return model.eval(), expected_ticket(model, kept_of(model)).mask


def with_zeros(model: nn.Sequential, mask: SignedMask) -> nn.Sequential:
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name in mask:
            pruned.get_parameter(name).mul_(mask.kept(name))
    return pruned


def test_dense_export_loads_anywhere_and_has_exact_zeros(tmp_path: Path) -> None:
    model, mask = trained_and_mask()
    exported = neighbours.write_dense(mask, model.state_dict(), tmp_path / "dense.safetensors")
    assert "speeds up nothing" in str(exported)
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert exported.path.stat().st_mode == plain.stat().st_mode  # readable by whom other files are
    assert exported.n_bytes == (tmp_path / "dense.safetensors").stat().st_size
    fresh = network(8).eval()
    fresh.load_state_dict(safetensors.torch.load_file(tmp_path / "dense.safetensors"))
    inputs = torch.randn(2, 3, 8, 8)
    assert torch.equal(fresh(inputs), with_zeros(model, mask)(inputs))
    assert neighbours.ticket_from_file(tmp_path / "dense.safetensors").mask == mask


def test_the_form_of_torch_prune_is_pytorchs_own(tmp_path: Path) -> None:
    model, mask = trained_and_mask()
    exported = neighbours.write_torch_prune(mask, model.state_dict(), tmp_path / "prune.safetensors")
    assert "before every forward pass" in exported.speed
    theirs = network(8).eval()
    for index in (0, 3):
        prune.identity(theirs[index], "weight")  # type: ignore[no-untyped-call]
    theirs.load_state_dict(safetensors.torch.load_file(exported.path))
    ours = copy.deepcopy(model)
    neighbours.prune_with_torch(mask, ours)
    assert prune.is_pruned(ours)
    inputs = torch.randn(2, 3, 8, 8)
    expected = with_zeros(model, mask)(inputs)
    assert torch.equal(theirs(inputs), expected)
    assert torch.equal(ours(inputs), expected)
    assert neighbours.ticket_from_state(theirs.state_dict()).mask == mask
    prune.remove(ours[0], "weight")  # type: ignore[no-untyped-call]
    assert torch.equal(ours.get_parameter("0.weight"), with_zeros(model, mask).get_parameter("0.weight"))


def test_exports_refuse_weights_of_another_network(tmp_path: Path) -> None:
    _, mask = trained_and_mask()
    state = {"0.weight": torch.ones(8, 3, 3, 1)}
    with pytest.raises(WinsomeError, match=r"lacks 3\.weight; 0\.weight is \(8, 3, 3, 1\)"):
        neighbours.write_dense(mask, state, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    model, mask = trained_and_mask()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # no file may grow beyond 100 bytes
    try:
        with pytest.raises(WinsomeError, match=r"cannot write .*a\.safetensors.*File too large.*free space"):
            neighbours.write_dense(mask, model.state_dict(), tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def onnx_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="ONNX export is an extra: pip install 'winsome[onnx]'")


@pytest.mark.usefixtures("onnx_packages")
def test_onnx_export_is_checked_by_onnxruntime(tmp_path: Path) -> None:
    model, mask = trained_and_mask()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    exported = neighbours.write_onnx(mask, model, torch.randn(4, 3, 8, 8), tmp_path / "a.onnx")
    assert "at the speed of the dense network" in exported.speed
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        inputs = torch.randn(batch, 3, 8, 8)
        (outputs,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
        assert torch.allclose(torch.from_numpy(outputs), with_zeros(model, mask)(inputs), atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    zeros = _zeros_in(exported.path)
    assert zeros >= mask.n_weights - mask.n_kept


def _zeros_in(path: Path) -> int:
    onnx: Any = importlib.import_module("onnx")
    helper: Any = importlib.import_module("onnx.numpy_helper")
    return sum(int((helper.to_array(tensor) == 0).sum()) for tensor in onnx.load(str(path)).graph.initializer)


@pytest.mark.usefixtures("onnx_packages")
def test_onnx_export_refuses_what_it_cannot_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, mask = trained_and_mask()
    with pytest.raises(WinsomeError, match="two or more inputs"):
        neighbours.write_onnx(mask, model, torch.randn(1, 3, 8, 8), tmp_path / "a.onnx")
    with pytest.raises(WinsomeError, match="nothing was written"):
        neighbours.write_onnx(mask, model, torch.randn(4, 3, 8, 8), tmp_path / "a.onnx", tolerance=-1)
    monkeypatch.setattr("winsome.neighbours.onnx.importlib.import_module", _no_module)
    with pytest.raises(
        WinsomeError, match=r"needs onnx, onnxscript, onnxruntime; install them: pip install onnx onnxscript onnxruntime"
    ):
        neighbours.write_onnx(mask, model, torch.randn(4, 3, 8, 8), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def _no_module(name: str) -> Any:
    raise ImportError(name)


@pytest.mark.usefixtures("onnx_packages")
def test_onnx_export_says_what_cannot_be_traced(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.linear(inputs) if inputs.sum().item() > 0 else inputs

    mask = SignedMask({"linear.weight": torch.ones(4, 4, dtype=torch.int8)})
    with pytest.raises(WinsomeError, match="cannot export the network to ONNX"):
        neighbours.write_onnx(mask, Branching(), torch.ones(2, 4), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


# ---- the Hub, by a stand-in of its client


class StandInHub:
    """What `push` and `pull` use of `huggingface_hub.HfApi`, on a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[str] = []

    def create_repo(self, repo_id: str, *, private: bool = False, exist_ok: bool = False) -> str:
        if "/" not in repo_id:
            raise ValueError(f"Repo id must be in the form 'namespace/name': '{repo_id}'")
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)
        self.calls.append(f"create private={private}")
        return repo_id

    def list_repo_files(self, repo_id: str, *, revision: str | None = None) -> list[str]:
        if not (self.root / repo_id).is_dir():
            raise FileNotFoundError(f"404 Client Error: {repo_id} @ {revision}")
        return sorted(path.name for path in (self.root / repo_id).iterdir())

    def create_commit(self, repo_id: str, operations: list[Any], *, commit_message: str) -> Any:
        for operation in operations:
            content = operation.path_or_fileobj
            data = content if isinstance(content, bytes) else Path(content).read_bytes()
            (self.root / repo_id / operation.path_in_repo).write_bytes(data)
        self.calls.append(commit_message)

        class Info:
            commit_url = f"https://hub.invalid/{repo_id}/commit/1"

        return Info()

    def hf_hub_download(self, repo_id: str, filename: str, *, revision: str | None = None) -> str:
        path = self.root / repo_id / filename
        if not path.exists():
            raise FileNotFoundError(f"404 Client Error: no {filename} @ {revision}")
        return str(path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    library = pytest.importorskip("huggingface_hub", reason="the Hub is an extra: pip install 'winsome[hub]'")
    stand_in = StandInHub(tmp_path / "hub")
    monkeypatch.setattr(library, "HfApi", lambda: stand_in)
    return stand_in


def test_the_stand_in_has_the_interface_of_the_client() -> None:
    library = pytest.importorskip("huggingface_hub")
    for name in ("create_repo", "list_repo_files", "create_commit", "hf_hub_download"):
        ours = inspect.signature(getattr(StandInHub, name)).parameters
        theirs = inspect.signature(getattr(library.HfApi, name)).parameters
        assert set(ours) <= set(theirs), name


def found_ticket() -> Ticket:
    model = network()
    record = {"name": "resnet20", "image_shape": [3, 32, 32], "n_classes": 10, "options": {}}
    ticket = expected_ticket(model, kept_of(model))
    return ticket.with_provenance(network=record, level=3, citations=["oh2025sign", "not known"], note="a | b ``` c")


def test_push_then_pull_gives_the_same_file(hub: StandInHub, tmp_path: Path) -> None:
    path = tmp_path / "level-03.ticket"
    ticket_file.write(found_ticket(), path)
    url = neighbours.push(path, "someone/tickets", private=True)
    assert url == "https://hub.invalid/someone/tickets/commit/1"
    assert hub.calls == ["create private=True", "Add level-03.ticket"]
    assert hub.list_repo_files("someone/tickets") == ["README.md", "level-03.ticket"]
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    pulled = neighbours.pull("someone/tickets", folder)
    assert pulled == folder / "level-03.ticket"
    assert pulled.read_bytes() == path.read_bytes()
    assert neighbours.pull("someone/tickets", folder) == pulled  # the same file is no obstacle


def test_a_card_that_is_there_stays(hub: StandInHub, tmp_path: Path) -> None:
    path = tmp_path / "a.ticket"
    ticket_file.write(found_ticket(), path)
    hub.create_repo("someone/tickets")
    card = hub.root / "someone/tickets/README.md"
    card.write_text("mine")
    neighbours.push(path, "someone/tickets")
    assert card.read_text() == "mine"


def test_push_and_pull_say_what_is_wrong(hub: StandInHub, tmp_path: Path) -> None:
    path = tmp_path / "a.ticket"
    ticket_file.write(found_ticket(), path)
    with pytest.raises(WinsomeError, match=r"cannot write to 'tickets' on the Hub: Repo id must.*hf auth login"):
        neighbours.push(path, "tickets")
    with pytest.raises(WinsomeError, match="cannot read 'someone/absent' on the Hub: 404"):
        neighbours.pull("someone/absent", tmp_path)
    broken = tmp_path / "broken.ticket"
    broken.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WinsomeError, match=r"broken\.ticket"):
        neighbours.push(broken, "someone/tickets")
    assert not hub.calls
    hub.create_repo("someone/tickets")
    with pytest.raises(WinsomeError, match="has no ticket file"):
        neighbours.pull("someone/tickets", tmp_path)
    neighbours.push(path, "someone/tickets")
    ticket_file.write(Ticket(SignedMask({})), path)
    with pytest.raises(WinsomeError, match=r"a\.ticket is there already and is another file"):
        neighbours.pull("someone/tickets", tmp_path)
    assert neighbours.pull("someone/tickets", tmp_path, overwrite=True) == path
    assert ticket_file.read(path).mask == found_ticket().mask
    neighbours.push(path.rename(tmp_path / "b.ticket"), "someone/tickets")
    with pytest.raises(WinsomeError, match=r"several tickets; choose one by name: a\.ticket, b\.ticket"):
        neighbours.pull("someone/tickets", tmp_path)
    assert neighbours.pull("someone/tickets", tmp_path, name="a.ticket") == path


def test_without_the_client_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winsome.neighbours.hub.importlib.import_module", _no_module)
    with pytest.raises(WinsomeError, match="pip install huggingface-hub"):
        neighbours.pull("someone/tickets", tmp_path)


def test_the_card_says_what_the_ticket_is() -> None:
    ticket = found_ticket()
    card = neighbours.model_card(ticket, "level-03.ticket", repo="someone/tickets")
    _, front, body = card.split("---\n", 2)
    assert "- lottery-ticket" in front
    assert f"{ticket.mask.n_kept:,} of {ticket.mask.n_weights:,} weights" in " ".join(body.split())
    assert "# A winning ticket for resnet20" in body
    assert "winsome ticket pull someone/tickets" in body
    assert "@inproceedings{oh2025sign," in body
    assert "Citation" not in neighbours.model_card(ticket.with_provenance(citations=["not known"]), "a.ticket")
    provenance = body.split("```json\n")[1].split("\n```\n")[0]
    assert json.loads(provenance) == dict(ticket.provenance)
    layers = ticket.mask.layers()
    assert f"| `0.weight` | {layers['0.weight'].total} | {layers['0.weight'].kept} |" in body


@pytest.mark.usefixtures("onnx_packages")
def test_onnx_export_says_what_holds_for_one_number_of_inputs_alone(tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.linear(inputs.view(len(inputs), 2, 2).flatten(1))
            return outputs

    mask = SignedMask({"linear.weight": torch.ones(4, 4, dtype=torch.int8)})
    with pytest.raises(WinsomeError, match="onnxruntime cannot run the exported network on 1 input: "):
        neighbours.write_onnx(mask, Counting(), torch.ones(2, 2, 2), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
