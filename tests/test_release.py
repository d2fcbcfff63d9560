"""The distribution: what is built installs into an empty environment, runs there from another folder, and says whose it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
import yaml

import winsome

ROOT = Path(__file__).parents[1]
uv = shutil.which("uv") or ""
TINY = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--epochs", "1", "--seeds", "1", "--starts", "1"]
TINY += ["--train-images", "300", "--arms", "dense", "planted_aws", "--workers", "1"]


def run(*words: str | Path, folder: Path) -> str:
    """What a command prints that must succeed; it sees no environment of ours."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the source distribution and of the wheel that is made from it."""
    if not uv:
        pytest.skip("uv is not on the PATH: pip install uv")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([uv, "build", "--quiet", "--out-dir", folder, ROOT], check=True, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(content.read(name))


def test_the_wheel_runs_in_an_empty_environment_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are those installed beside the tests, which Winsome itself is not seen in: it is an editable there."""
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    command = tmp_path / "env" / "bin" / "winsome"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(command, "--version", folder=elsewhere) == f"winsome {winsome.__version__}\n"
    assert run(python, "-c", "import winsome; print(winsome.__file__)", folder=elsewhere).startswith(str(site))
    run(command, "study", *TINY, folder=elsewhere)
    assert {"results.json", "report.html"} <= {path.name for path in (elsewhere / "runs" / "study-digits").iterdir()}


def test_what_the_wheel_and_the_source_distribution_hold(wheel: Path, built: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        packed = {name.removeprefix("winsome/") for name in content.namelist() if name.startswith("winsome/")}
    package = ROOT / "src" / "winsome"
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert packed == {str(path.relative_to(package)) for path in files}
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", ".ci/run", "docs/concepts.md"}
    assert wanted <= names
    assert f"tests/{Path(__file__).name}" in names


def test_the_metadata_is_whole_and_its_readme_links_to_nothing_that_is_not_there(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert "pruning" in metadata["Keywords"]
    kinds = [value.partition(" :: ")[0] for value in metadata.get_all("Classifier", [])]
    assert {"Development Status", "Intended Audience", "Programming Language", "Topic", "Typing"} <= set(kinds)
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    assert readme.count("](") > 1
    assert not re.findall(r"\]\((?!https://|#)[^)]*\)", readme)
    assert "`docs/study.md`" in readme


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (newest, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert project["version"] == str(citation["version"]) == newest == winsome.__version__
    assert citation["license"] == project["license"]
