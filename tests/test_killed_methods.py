"""Every named method, killed with SIGKILL in the midst of writing a file, ends with the same bits.

Three of them `test_resume` kills everywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_resume import contents
from winsome.methods import METHODS

NAMES = [name for name in METHODS if name not in ("aws", "imp", "weight_rewinding")]

# Torch takes seconds to import: one process imports it and forks a child for every search.
SCRIPT = '''
import os, signal, sys
from pathlib import Path

import torch
import winsome
from contract import PROBE, example_of, network, search
from winsome.methods import METHODS

torch.set_num_threads(1)
# What is imported on first use is imported here, once for all children.
torch.optim.SGD(network().parameters(), lr=0.1).step()
list(winsome.find_tickets(network(), example_of(winsome.lrr_with_sign_in), lambda *_: None, PROBE, save_to=sys.argv[2]))
writes, fsync = {"done": 0, "die": 0}, os.fsync


def fsync_or_die(handle):
    writes["done"] += 1
    if writes["done"] == writes["die"]:
        try:
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
        except OSError:
            pass  # a folder's handle
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)


def child(method, folder, die):
    """Search in a process of its own; whether it was killed."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.fsync = fsync_or_die
            writes["die"] = die
            search(method, folder)
            (folder / "writes").write_text(str(writes["done"]))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


for name in sys.argv[3:]:
    method, root = example_of(METHODS[name]), Path(sys.argv[1]) / name
    assert not child(method, root / "whole", 0)
    last = int((root / "whole" / "writes").read_text())
    assert child(method, root / "killed", max(last * 2 // 3, 1))
    assert not child(method, root / "killed", 0)
    assert int((root / "killed" / "writes").read_text()) < last, "nothing was read back"
'''


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole and a killed and resumed search by every method."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    root = tmp_path_factory.mktemp("killed")
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", SCRIPT, str(root), str(root / "first"), *NAMES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_search_killed_in_the_midst_of_a_write_ends_with_the_same_bits(searched: Path, name: str) -> None:
    whole, resumed = contents(searched / name / "whole"), contents(searched / name / "killed")
    assert sum(file.endswith(".ticket") for file in whole) >= 1
    assert resumed == whole
