"""Code of the user's own by name, and what is said where it is not there or does not run."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from winsome import WinsomeError
from winsome.user_code import UserFile, by_name, read_file, run_file

KNOWN = {"imp": 1, "aws": 2}


@pytest.fixture(autouse=True)
def path_as_before() -> Iterator[None]:
    """Loading a file makes its folder importable."""
    before, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_name_of_the_list_a_file_and_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("import beside_me\ndef method():\n    return beside_me.VALUE\n")
    (tmp_path / "beside_me.py").write_text("VALUE = 7\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("value = 8\n")
    assert by_name("aws", KNOWN, "method").value == 2
    found = by_name(f"{tmp_path}/mine.py:method", KNOWN, "method")
    assert found.value() == 7
    assert found.file == read_file(tmp_path / "mine.py")
    monkeypatch.chdir(tmp_path)
    assert by_name("package.module:value", KNOWN, "method").value == 8
    assert by_name("package.module:value", KNOWN, "method").file is None
    assert by_name("mine.py:method", {}, "method").value() == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("awz", r"unknown method 'awz'; did you mean aws\? \(one of your own: FILE\.py:NAME or PACKAGE\.MODULE:NAME"),
        ("gone.py:x", r"no file gone\.py; give a Python file that defines the method 'x'"),
        ("mine.py:metod", r"mine\.py has no 'metod'; unknown method 'metod'; did you mean method\?"),
        ("raises.py:x", r"raises\.py, line 2: ZeroDivisionError: division by zero"),
        ("syntax.py:x", r"syntax\.py, line 2: "),
        ("needs.py:x", r"needs\.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("bytes.py:x", r"bytes\.py is no text; give a Python file that defines the method 'x'"),
        ("no_such_module:x", r"no module 'no_such_module' for the method 'no_such_module:x'; give FILE\.py:NAME"),
        ("package.gone:x", r"no module 'package\.gone'"),
        ("needs:x", r"needs:x: the module needs imports 'nowhere_to_be_found', which is not installed"),
        ("raises:x", r"raises:x: .*raises\.py, line 2: ZeroDivisionError"),
        ("package.module:valu", r"package\.module has no 'valu'; unknown method 'valu'; did you mean value\?"),
    ],
)
def test_what_is_not_there_or_does_not_run_is_said(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("def method():\n    return 1\n")
    (tmp_path / "raises.py").write_text("def f():\n    return 1 / 0\nf()\n")
    (tmp_path / "syntax.py").write_text("x = 1\ny = (\n")
    (tmp_path / "needs.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("value = 8\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WinsomeError, match=said):
        by_name(text, KNOWN, "method")


def test_a_mistake_in_the_use_of_a_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def f():\n    x = {}\n    return x['a']\n")
    with pytest.raises(WinsomeError, match=r"mine\.py, line 3: KeyError: 'a'"):
        run_file(read_file(path), path, lambda module: module.f())


def test_a_file_is_what_it_was_when_it_was_read_and_workers_load_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from dataclasses import dataclass\n@dataclass\nclass Mine:\n    x: int\ndef f(n): return Mine(n + 1)\n")
    file = read_file(path)
    path.write_text("def f(n): return 0\n")
    module = file.load()
    assert module.f(1) == module.Mine(2)
    assert file.load() is module
    assert pickle.loads(pickle.dumps(module.f)) is module.f
    assert UserFile(str(path), path.read_text()).load().f(1) == 0, "two texts are two modules"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=file.load) as pool:
        assert pool.submit(module.f, 4).result() == module.Mine(5)


def test_a_file_that_raises_is_no_module(tmp_path: Path) -> None:
    file = UserFile(str(tmp_path / "mine.py"), "raise SystemExit\n")
    with pytest.raises(SystemExit):
        file.load()
    assert file.module_name not in sys.modules
