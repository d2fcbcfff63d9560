"""The run folder: files whole or as they were, and sentences for what is damaged or different."""

from __future__ import annotations

import csv
import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from winsome import SignedMask, Ticket, WinsomeError, ticket_file
from winsome.data.cache import cached
from winsome.data.encoded import DecodedSet
from winsome.data.images import ImageSet
from winsome.files import read_json, read_state, sweep, write_csv, write_json, write_state, write_whole
from winsome.runs.configuration import take_folder
from winsome.runs.search_folder import SearchFolder

CONFIG = {"method": {"densities": [1.0, 0.8], "score": "magnitude"}, "seed": 0}


def fails_with(code: int) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("where", ["fsync", "replace", "open"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, where: str
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    owner: object = os if where == "fsync" else Path
    monkeypatch.setattr(owner, where, fails_with(code))
    with pytest.raises(WinsomeError) as error:
        write_whole(path, b"new and longer")
    monkeypatch.undo()
    assert f"cannot write {path} (14 bytes): {os.strerror(code)}; " in str(error.value)
    assert "what is finished is kept" in str(error.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"], "nothing half-written stays"


@pytest.mark.parametrize("writer", ["bytes", "ticket", "decoded images"])
def test_every_writer_of_whole_files_flushes_the_file_and_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    flushed: list[Path] = []

    def fsync(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    if writer == "bytes":
        write_whole(tmp_path / "file", b"content")
    elif writer == "ticket":
        ticket_file.write(ticket(), tmp_path / "file")
    else:
        train, test = (ImageSet(torch.full((2, 1, 4, 4), k, dtype=torch.uint8), torch.tensor([0, k])) for k in (0, 1))
        cached("digits", "key", lambda: DecodedSet(train, test, ("a", "b")), folder=tmp_path, say=print)
    file, folder = flushed
    assert file.name.endswith(".part")
    assert folder == file.parent
    assert not list(tmp_path.rglob("*.part"))


def test_sweeping_spares_what_is_not_half_written_and_other_files_parts(tmp_path: Path) -> None:
    for name in (".a[1].5.part", ".b.5.part", "a[1]", "c.part"):
        (tmp_path / name).touch()
    sweep(tmp_path, "a[1]")
    assert names(tmp_path) == [".b.5.part", "a[1]", "c.part"]
    sweep(tmp_path)
    assert names(tmp_path) == ["a[1]", "c.part"]


def test_a_folder_below_a_file_cannot_be_made_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file" / "config.json", tmp_path / "file" / "deeper" / "config.json"):
        with pytest.raises(WinsomeError, match=r"cannot write .*config\.json"):
            write_whole(path, b"data")
    with pytest.raises(WinsomeError, match="file is a file; name a folder, or one that is to be made"):
        SearchFolder.take(tmp_path / "file", CONFIG)


def test_a_read_only_folder_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", fails_with(errno.EROFS))
    with pytest.raises(WinsomeError, match=r"cannot write .*config\.json .*: Read-only file system; .*another folder"):
        SearchFolder.take(tmp_path / "run", CONFIG)


def test_json_and_states_come_back_as_they_were(tmp_path: Path) -> None:
    value = {"accuracy": 0.1 + 0.2, "name": "Grüße", "nested": [1, None, True, "π"]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    shared = torch.randn(3, 4)
    state = {
        "shared": shared, "again": shared, "transposed": shared.T, "half": torch.randn(2, dtype=torch.bfloat16),
        "count": torch.tensor(7), "empty": torch.zeros(0, 3), "flag": torch.tensor([True, False]),
    }  # fmt: skip
    write_state(tmp_path / "state", state, record="{}")
    read, metadata = read_state(tmp_path / "state")
    assert metadata == {"record": "{}"}
    assert set(read) == set(state)
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_another_configuration_is_refused_with_every_difference(tmp_path: Path) -> None:
    take_folder(tmp_path, CONFIG)
    take_folder(tmp_path, json.loads(json.dumps(CONFIG)))
    take_folder(tmp_path, {"seed": 0, "method": {"score": "magnitude", "densities": (1.0, 0.8)}})  # a tuple is a JSON list
    other = {"method": {"densities": [1.0, 0.5], "score": "random"}, "seed": 0, "network": "mlp"}
    with pytest.raises(WinsomeError) as error:
        take_folder(tmp_path, other)
    text = str(error.value)
    assert text.startswith(f"{tmp_path} was made with another configuration: ")
    assert "method.densities was [1.0, 0.8], is now [1.0, 0.5]" in text
    assert 'method.score was "magnitude", is now "random"' in text
    assert 'network was null, is now "mlp"' in text
    assert "seed was" not in text
    assert read_json(tmp_path / "config.json") == CONFIG, "a refused configuration is not written"


def test_differences_are_short_and_still_differences(tmp_path: Path) -> None:
    densities = [0.8**level for level in range(16)]
    take_folder(tmp_path, {"densities": densities, "rate": 0.1})
    with pytest.raises(WinsomeError) as error:
        take_folder(tmp_path, {"densities": densities[:2], "rate": 0.1 + 1e-9})
    assert "densities was [1.0, 0.8, 0.64, ..., 0.0351844] (16 values), is now [1.0, 0.8]" in str(error.value)
    assert "rate was 0.1, is now 0.100000001" in str(error.value)
    with pytest.raises(WinsomeError, match=r"0\.01, 0\.4096"):
        take_folder(tmp_path, {"densities": [*densities[:3], 0.01, *densities[4:]], "rate": 0.1})


def ticket() -> Ticket:
    return Ticket(SignedMask({"w": torch.tensor([1, 0, -1])}), {"b": torch.tensor([1], dtype=torch.int8)})


def folder_with_a_level(path: Path) -> SearchFolder:
    folder = SearchFolder.take(path, CONFIG)
    folder.write_level(0, {"w": torch.tensor([0.5, 0.0, -2.0])}, ticket(), {"number": 0})
    return folder


def test_a_level_is_finished_only_with_its_record(tmp_path: Path) -> None:
    folder = folder_with_a_level(tmp_path)
    read = folder.read_level(0)
    assert read is not None
    assert read[0]["w"].tolist() == [0.5, 0.0, -2.0]
    assert read[1].mask == ticket().mask
    assert read[2] == {"number": 0}
    assert folder.read_level(1) is None
    (tmp_path / "level-00.json").unlink()
    assert folder.read_level(0) is None


@pytest.mark.parametrize("kind", ["safetensors", "ticket", "json"])
@pytest.mark.parametrize("size", [0, 5, -1])
def test_a_damaged_level_is_named(tmp_path: Path, kind: str, size: int) -> None:
    folder = folder_with_a_level(tmp_path)
    path = tmp_path / f"level-00.{kind}"
    data = path.read_bytes()
    path.write_bytes(data[:size] if kind != "json" or size >= 0 else data[:-3])
    with pytest.raises(WinsomeError, match=rf"level-00\.{kind}"):
        folder.read_level(0)


@pytest.mark.parametrize("kind", ["safetensors", "ticket"])
def test_a_level_whose_files_are_gone_is_named_with_the_remedy(tmp_path: Path, kind: str) -> None:
    folder = folder_with_a_level(tmp_path)
    (tmp_path / f"level-00.{kind}").unlink()
    with pytest.raises(WinsomeError, match=rf"level-00\.{kind} is gone; delete level-00\.json too"):
        folder.read_level(0)
    (tmp_path / "level-00.json").unlink()
    assert folder.read_level(0) is None


@pytest.mark.parametrize("damage", ["truncated", "foreign", "without record", "record of another kind"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = SearchFolder.take(tmp_path, CONFIG)
    assert folder.read_checkpoint(0) is None
    folder.write_checkpoint({"w": torch.ones(3)}, {"level": 0, "step": 5})
    assert folder.read_checkpoint(1) is None, "of another level"
    read = folder.read_checkpoint(0)
    assert read is not None
    assert read[1] == {"level": 0, "step": 5}
    path = tmp_path / "checkpoint.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "foreign":
        path.write_bytes(b"no safetensors")
    elif damage == "without record":
        write_state(path, {"w": torch.ones(3)})
    else:
        write_state(path, {"w": torch.ones(3)}, record="{}")
    with caplog.at_level(logging.WARNING, "winsome"):
        assert folder.read_checkpoint(0) is None
    assert "the checkpoint of level 0 is not used" in caplog.text


def test_finishing_a_level_removes_its_checkpoint(tmp_path: Path) -> None:
    folder = SearchFolder.take(tmp_path, CONFIG)
    folder.write_checkpoint({"w": torch.ones(3)}, {"level": 0, "step": 5})
    folder.write_level(0, {"w": torch.zeros(1)}, ticket(), {})
    assert names(tmp_path) == ["config.json", "level-00.json", "level-00.safetensors", "level-00.ticket"]


@pytest.mark.parametrize("writes", ["a checkpoint", "a level"])
def test_what_killed_processes_left_half_written_goes(tmp_path: Path, writes: str) -> None:
    folder = SearchFolder.take(tmp_path, CONFIG)
    for number in (3, 4):
        (tmp_path / f".checkpoint.safetensors.{number}.part").write_bytes(b"half of a network")
    if writes == "a checkpoint":
        folder.write_checkpoint({"w": torch.ones(3)}, {"level": 0, "step": 5})
    else:
        (tmp_path / ".level-00.ticket.5-0a1b.part").write_bytes(b"half of a ticket")
        folder.write_level(0, {"w": torch.zeros(1)}, ticket(), {})
    assert not [name for name in names(tmp_path) if ".part" in name]


def test_csv_writes_numbers_in_full_and_quotes_what_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.csv"
    write_csv(path, ("a", "b", "c"), [(0.1 + 0.2, None, "x, y"), (1, True, 'say "no"\n')])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["a", "b", "c"], ["0.30000000000000004", "", "x, y"], ["1", "True", 'say "no"\n']]
