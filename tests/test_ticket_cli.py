"""`winsome ticket`: what each command prints and writes, through the command line itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from winsome import models, neighbours, ticket_file
from winsome.cli import main
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket, ticket_of

RECORD = models.NetworkSpec("resnet8", (("width", 8),), (3, 8, 8), 4).record()


def found(seed: int = 0) -> tuple[Ticket, dict[str, torch.Tensor]]:
    """A ticket of a small network, and the network's weights."""
    model = models.NetworkSpec.from_record(RECORD).build(seed)
    names = [name for name, parameter in model.named_parameters() if parameter.ndim == 4]
    generator = torch.Generator().manual_seed(seed)
    kept = {name: torch.rand(model.get_parameter(name).shape, generator=generator) < 0.2 for name in names}
    return ticket_of(model, names, kept, network=RECORD, seed=seed, metrics={"accuracy": 0.5}), model.state_dict()


@pytest.fixture
def ticket_path(tmp_path: Path) -> Path:
    """A ticket file with its network's weights beside it, as a search leaves them."""
    ticket, state = found()
    ticket_file.write(ticket, tmp_path / "level-03.ticket")
    safetensors.torch.save_file(state, tmp_path / "level-03.safetensors")
    return tmp_path / "level-03.ticket"


def run(*words: str | Path) -> int:
    """The exit code of `winsome WORDS`."""
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_show(ticket_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = ticket_file.read(ticket_path)
    assert run("ticket", "show", ticket_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        f"density {ticket.density:.4g}, {ticket.mask.n_kept:,} of {ticket.mask.n_weights:,} prunable weights kept" in lines[0]
    )
    assert f"size: {ticket_path.stat().st_size:,} bytes; {ticket_file.least_bytes(ticket):,.0f} are the entropy" in lines[3]
    assert ticket.mask.digest() in lines[4]
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    for name, count in ticket.mask.layers().items():
        shape = "x".join(map(str, ticket.mask[name].shape))
        share = f"{count.positive / count.kept:.1%}"
        assert rows[name] == [name, shape, f"{count.total:,}", f"{count.kept:,}", f"{count.density:.4f}", share]
    assert {key: json.loads(" ".join(row[1:])) for key, row in rows.items() if key in ("seed", "metrics.accuracy")} == {
        "seed": 0,
        "metrics.accuracy": 0.5,
    }
    assert json.loads(" ".join(rows["network.image_shape"][1:])) == [3, 8, 8]
    assert not any(character in "─│━┃\x1b" for line in lines for character in line)  # plain on a pipe


def test_show_says_collapse_and_strange_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = Ticket(SignedMask({"[red]w[/red]": torch.zeros(3, dtype=torch.int8), "x": torch.tensor(1, dtype=torch.int8)}))
    ticket_file.write(ticket, tmp_path / "a.ticket")
    assert run("ticket", "show", tmp_path / "a.ticket") == 0
    out = capsys.readouterr().out
    assert "warning: [red]w[/red] has lost all its weights" in out
    assert "scalar" in out


def test_diff(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, _ = found(1)
    ticket_file.write(other, tmp_path / "other.ticket")
    assert run("ticket", "diff", ticket_path, tmp_path / "other.ticket") == 0
    out = capsys.readouterr().out
    first = ticket_file.read(ticket_path)
    both = sum(int((first.mask.kept(name) & other.mask.kept(name)).sum()) for name in first.mask)
    by_chance = sum(
        a.kept * b.kept / a.total for a, b in zip(first.mask.layers().values(), other.mask.layers().values(), strict=True)
    )
    assert f"{both:,} in both, {by_chance:,.0f} by chance" in out
    same = sum(int((first.signs[name] == other.signs[name]).sum()) for name in first.signs)
    total = sum(value.numel() for value in first.signs.values())
    assert f"unpruned signs: {same / total:.1%} of {total:,} are the same" in out
    assert [line.split() for line in out.splitlines()][-1] == ["seed", "0", "1"]
    assert run("ticket", "diff", ticket_path, ticket_path) == 0
    out = capsys.readouterr().out
    assert "the signed masks are equal" in out
    assert "provenance: the same" in out


def test_convert_there_and_back(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = ticket_file.read(ticket_path)
    dense, pruned, back = tmp_path / "dense.safetensors", tmp_path / "pruned.safetensors", tmp_path / "back.ticket"
    assert run("ticket", "convert", ticket_path, dense) == 0
    assert "speeds up nothing" in capsys.readouterr().out
    assert run("ticket", "convert", ticket_path, pruned, "--to", "torch-prune") == 0
    for source, layout in ((dense, "zeros"), (pruned, "torch-prune")):
        assert run("ticket", "convert", source, back) == 0
        assert f"layout {layout}" in capsys.readouterr().out
        assert ticket_file.read(back).mask == ticket.mask


def test_convert_with_a_network_makes_a_ticket_that_names_it(ticket_path: Path, tmp_path: Path) -> None:
    dense, back = tmp_path / "dense.safetensors", tmp_path / "back.ticket"
    network = ["--network", "resnet8", "--network-option", "width=8", "--image-shape", "3", "8", "8", "--classes", "4"]
    assert run("ticket", "convert", ticket_path, dense) == 0
    assert run("ticket", "convert", dense, back, "--norms", *network) == 0
    ticket = ticket_file.read(back)
    assert ticket.provenance["network"] == RECORD
    assert list(ticket.signs) == list(ticket_file.read(ticket_path).signs)
    assert "1.weight" in ticket.norms
    assert models.NetworkSpec.from_record(ticket.provenance["network"]).build(0).state_dict().keys() == found()[1].keys()


def test_convert_to_onnx(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="ONNX export is an extra: pip install 'winsome[onnx]'")
    assert run("ticket", "convert", ticket_path, tmp_path / "a.onnx") == 0
    assert "onnxruntime's outputs differ from PyTorch's by" in capsys.readouterr().out
    assert (tmp_path / "a.onnx").exists()


def test_convert_says_what_is_missing(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[list[str | Path], str]] = [
        ([ticket_path, tmp_path / "a.xyz"], "say it with --to"),
        ([ticket_path, tmp_path / "a.ticket"], "is a ticket already"),
        ([tmp_path / "level-03.safetensors", tmp_path / "a.ticket"], "no weight in it is exactly zero"),
        ([tmp_path / "level-03.safetensors", tmp_path / "a.onnx"], "convert it to a .ticket file first"),
        ([ticket_path, tmp_path / "a.onnx", "--weights", tmp_path / "absent.safetensors"], "--weights FILE"),
        ([ticket_path, tmp_path / "a.onnx", "--network", "resnet20"], "does not fit the ticket's network"),
    ]
    for words, sentence in cases:
        assert run("ticket", "convert", *words) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    ticket_file.write(Ticket(ticket_file.read(ticket_path).mask), tmp_path / "level-03.ticket")
    assert run("ticket", "convert", ticket_path, tmp_path / "a.onnx") == 2
    assert "--network NAME" in " ".join(capsys.readouterr().err.split())


def test_push_and_pull_hand_on_what_was_asked(
    ticket_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[object, ...]] = []

    def push(path: Path, repo: str, *, private: bool) -> str:
        calls.append((path, repo, private))
        return "https://hub.invalid/commit"

    def pull(repo: str, folder: Path, *, name: str | None, revision: str | None, overwrite: bool) -> Path:
        calls.append((repo, folder, name, revision, overwrite))
        return folder / "a.ticket"

    monkeypatch.setattr(neighbours, "push", push)
    monkeypatch.setattr(neighbours, "pull", pull)
    assert run("ticket", "push", ticket_path, "someone/tickets", "--private") == 0
    assert run("ticket", "pull", "someone/tickets") == 0
    assert run("ticket", "pull", "someone/tickets", "here", "--file", "a.ticket", "--revision", "abc", "--overwrite") == 0
    assert calls == [
        (ticket_path, "someone/tickets", True),
        ("someone/tickets", Path(), None, None, False),
        ("someone/tickets", Path("here"), "a.ticket", "abc", True),
    ]
    assert capsys.readouterr().out.splitlines() == ["https://hub.invalid/commit", "a.ticket", "here/a.ticket"]


def test_what_is_no_ticket_ends_with_a_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "no.ticket"
    commands: list[list[str | Path]] = [["show", absent], ["diff", absent, absent]]
    for command in commands:
        assert run("ticket", *command) == 2
        assert "no.ticket: No such file" in " ".join(capsys.readouterr().err.split())
