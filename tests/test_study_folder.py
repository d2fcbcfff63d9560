"""Where a study keeps what it finds, and reading it without a configuration and without writing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import made_study
from winsome import SignedMask, Ticket
from winsome.cli.ends import named_end
from winsome.errors import WinsomeError
from winsome.runs.search_folder import SearchFolder, search_folders
from winsome.study.folder import ArmRun, Run, StudyFolder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def finish(search: SearchFolder, number: int) -> None:
    ticket = Ticket(SignedMask({"w": torch.tensor([1, 0])}), {})
    search.write_level(number, {"w": torch.tensor([float(number), 0.0])}, ticket, {"number": number})


def test_levels_are_numbers_and_the_last_of_many_is_the_last(tmp_path: Path) -> None:
    search = SearchFolder(tmp_path)
    for number in (2, 0, 99, 100, 101, 1):
        finish(search, number)
    (tmp_path / "level-early.json").write_text("{}")
    assert search.levels() == (0, 1, 2, 99, 100, 101)
    assert search.n_finished() == 3, "from level 0 to the first that is not there"
    assert float(named_end(str(tmp_path)).state["w"][0]) == 101
    assert float(named_end(f"{tmp_path}:99").state["w"][0]) == 99
    with pytest.raises(WinsomeError, match="has no level 7: it has 0, 1, 2, 99, 100, 101"):
        named_end(f"{tmp_path}:7")


def test_reading_writes_nothing_and_needs_no_configuration(tmp_path: Path) -> None:
    folder = StudyFolder(made_study.study(tmp_path / "study", ("planted_aws",)))
    before = files(folder.path)
    search = folder.search("aws", 1)
    assert not search.config()
    assert search.levels() == (1,)
    assert search.read_level(0) is None
    read = search.read_level(1)
    assert read is not None
    found = folder.found("aws", 1, 1)
    assert found.ticket.mask == read[1].mask
    assert all(torch.equal(value, read[0][name]) for name, value in found.state.items())
    with pytest.raises(WinsomeError, match=r"seed-01 has no finished level 0; run the search to that level first"):
        folder.found("aws", 1, 0)
    assert folder.searched("aws", (0, 1), 1)
    assert not folder.searched("aws", (0, 2), 1)
    assert folder.seconds() == 0
    assert files(folder.path) == before


def test_a_run_is_finished_when_its_result_is_there(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    runs = [ArmRun("planted", 12, Run(seed, start)) for seed in (0, 1) for start in (0, 1)]
    dense = ArmRun("dense", None, Run(0, 0))
    assert folder.missing([*runs, dense]) == [*runs, dense]
    folder.checkpoint_path(runs[2]).parent.mkdir(parents=True)
    for run in runs:
        folder.checkpoint_path(run).write_bytes(b"under way")
    folder.write_runs({run: {"seed": run.run.search_seed} for run in (runs[2], dense)}, {runs[2]: {"w": torch.ones(1)}})
    assert folder.missing([*runs, dense]) == [runs[0], runs[1], runs[3]]
    assert folder.results([*runs, dense]) == [{"seed": 1}, {"seed": 0}]
    assert [folder.checkpoint_path(run).exists() for run in runs] == [True, True, False, True]
    assert sorted(path for path in files(tmp_path) if not path.endswith(".checkpoint")) == [
        "arms/dense/dense/seed-00-start-0.json",
        "arms/planted/level-12/seed-01-start-0.json",
        "arms/planted/level-12/seed-01-start-0.safetensors",
    ]


def test_folders_of_searches_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("b/deep", "a"):
        finish(SearchFolder.take(tmp_path / place, {"seed": 0}), 0)
    SearchFolder.take(tmp_path / "begun", {"seed": 0})
    finish(SearchFolder(tmp_path / "nobody's"), 0)
    assert [search.path for search in search_folders(tmp_path)] == [tmp_path / "a", tmp_path / "b/deep"]


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    SearchFolder.take(tmp_path, {"seed": 0})
    with pytest.raises(WinsomeError, match="is not the folder of a study; give one that `winsome study` made"):
        StudyFolder(tmp_path).study_record()
