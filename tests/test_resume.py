"""A search killed with SIGKILL anywhere, in the middle of writing a file included, ends with the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from winsome import ticket_file
from winsome.files import read_state

# Torch takes seconds to import: one process imports it and forks a child for every run.
SCRIPT = '''
import json, os, random, signal, sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import winsome
from winsome.rewinding import RewindTo

torch.set_num_threads(1)
torch.manual_seed(0)
INPUTS, LABELS = torch.randn(48, 6), torch.randint(3, (48,))


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 12), nn.LayerNorm(12), nn.ReLU(),
        nn.Linear(12, 3),
    )


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01, weight_decay=1e-3, amsgrad=True)


RUNS = {
    "aws": (winsome.aws(2, rate=0.4), sgd, True),
    "weight rewinding": (winsome.weight_rewinding(2, rate=0.4, step=5), adam, True),
    "imp": (winsome.imp(2, rate=0.4), sgd, True),
    "norm rewinding, optimizer kept": (winsome.lrr_with_norm_rewinding(2, rate=0.4, step=3), sgd, False),
    "random score, optimizer kept": (winsome.Method((0.5, 0.3), RewindTo(2), score=winsome.random), adam, False),
}
LEVELS = {name: len(method.densities) for name, (method, _, _) in RUNS.items()}
kill_at, events = "", {"step": 0, "write": 0, "replaced": 0}


def event(kind, before_death=lambda: None):
    events[kind] += 1
    if kill_at == f"{kind} {events[kind]}":
        before_death()
        os.kill(os.getpid(), signal.SIGKILL)


def cut(handle):
    try:
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
    except OSError:
        pass  # a folder's handle


def search(name, folder):
    method, make_optimizer, hand_over = RUNS[name]
    events.update(step=0, write=0, replaced=0)
    fsync, replace = os.fsync, Path.replace

    def fsync_or_die(handle):
        event("write", lambda: cut(handle))
        fsync(handle)

    def replace_or_die(source, target):
        result = replace(source, target)
        event("replaced")
        return result

    def train(model, level):
        model.train()
        optimizer = make_optimizer(model.parameters())
        losses = []
        for step in level.steps(12, optimizer=optimizer if hand_over else None, save_every=5):
            chosen = np.random.permutation(len(INPUTS))[:32]
            inputs = INPUTS[chosen] + 0.1 * torch.randn(32, 6) * random.gauss(1, 0.1) * np.random.standard_normal()
            for group in optimizer.param_groups:
                group["lr"] = 0.05 / (1 + step)
            loss = F.cross_entropy(model(inputs), LABELS[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            event("step")
        model.eval()
        with torch.no_grad():
            loss = F.cross_entropy(model(INPUTS), LABELS)
        return {"loss": float(loss), "steps": level.first_step}

    os.fsync, Path.replace = fsync_or_die, replace_or_die
    model = network()
    for _ in winsome.find_tickets(model, method, train, save_to=folder, seed=3):
        pass
    os.fsync, Path.replace = fsync, replace
    torch.save(model.state_dict(), folder / "final.pt")
    (folder / "events").write_text(json.dumps(events))


def child(name, folder, kill):
    """Run a search in a process of its own; whether it was killed."""
    global kill_at
    process = os.fork()
    if process == 0:
        kill_at = kill
        code = 1
        try:
            search(name, folder)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return True
    assert status == 0, (name, kill)
    return False


def main(root):
    for name, (_, _, hand_over) in RUNS.items():
        whole = root / name / "whole"
        whole.mkdir(parents=True)
        search(name, whole)  # here, and so all that torch imports late is there for the children
        seen = json.loads((whole / "events").read_text())
        steps = seen["step"] // LEVELS[name]
        # Writes; between two levels; right after a level's record; in a level after its first and second checkpoint.
        every = {"aws": 1, "weight rewinding": 2}.get(name, 4)
        kills = [f"write {n}" for n in range(1, seen["write"] + 1, every)] + [f"replaced {seen['replaced']}"]
        kills += [f"step {n}" for n in (1, steps, steps + 1, steps + 8, seen["step"])]
        for kill in kills:
            folder = root / name / kill
            folder.mkdir()
            assert child(name, folder, kill), (name, kill)
            search(name, folder)
        # Killed again and again; each life gets a little further.
        for every in ("write 9", "step 7" if hand_over else "step 13"):
            folder = root / name / f"again and again at {every}"
            folder.mkdir()
            lives = 1
            while child(name, folder, every):
                lives += 1
                if lives == 40:
                    break
            (folder / "lives").write_text(str(lives))


main(Path(sys.argv[1]))
'''
RUNS = ["aws", "weight rewinding", "imp", "norm rewinding, optimizer kept", "random score, optimizer kept"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one whole and many killed and resumed searches of every run."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    root = tmp_path_factory.mktemp("killed")
    script = root / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script, root], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return root


def contents(folder: Path) -> dict[str, Any]:
    """All that a search leaves, by file, without what may differ: seconds."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("level-*")):
        if path.suffix == ".json":
            record = json.loads(path.read_text())
            assert record.pop("seconds") >= 0
            found[path.name] = record
        else:
            found[path.name] = path.read_bytes()
    kept = [path for name in ("initial", "early") if (path := folder / f"{name}.safetensors").exists()]
    return found | {path.name: path.read_bytes() for path in kept}


@pytest.mark.parametrize("run", RUNS)
def test_a_search_killed_anywhere_ends_with_the_same_bits(killed: Path, run: str) -> None:
    whole = contents(killed / run / "whole")
    final = torch.load(killed / run / "whole" / "final.pt", weights_only=True)
    levels = len([name for name in whole if name.endswith(".ticket")])
    assert levels == (2 if run.startswith("random") else 3)
    others = [folder for folder in (killed / run).iterdir() if folder.name != "whole"]
    assert len(others) > 10
    for folder in others:
        assert contents(folder) == whole, folder.name
        resumed = torch.load(folder / "final.pt", weights_only=True)
        assert list(resumed) == list(final)
        assert all(torch.equal(value, resumed[key]) for key, value in final.items()), folder.name
        for number in range(levels):  # and as tensors: what a reader of the folder gets
            path = f"level-{number:02d}"
            one, other = (ticket_file.read(f / f"{path}.ticket") for f in (killed / run / "whole", folder))
            assert one.mask.digest() == other.mask.digest()
            state, expected = (read_state(f / f"{path}.safetensors")[0] for f in (folder, killed / run / "whole"))
            assert all(torch.equal(value, state[key]) for key, value in expected.items())


@pytest.mark.parametrize("run", RUNS)
def test_finished_work_is_not_done_again(killed: Path, run: str) -> None:
    whole = json.loads((killed / run / "whole" / "events").read_text())
    last_life = json.loads((killed / run / f"replaced {whole['replaced']}" / "events").read_text())
    assert last_life["step"] == 0, "killed after the last level's record: all levels are read back"
    steps = whole["step"]
    killed_at_the_end = json.loads((killed / run / f"step {steps}" / "events").read_text())["step"]
    if "optimizer kept" in run:
        per_level = steps // (2 if run.startswith("random") else 3)
        assert killed_at_the_end in (per_level, 12 - 2, 12), "the level starts over"
    else:
        assert killed_at_the_end == 2, "12 steps a level, the last checkpoint before step 10"


@pytest.mark.parametrize("run", ["aws", "weight rewinding", "imp"])
def test_checkpoints_carry_a_search_through_many_kills(killed: Path, run: str) -> None:
    # A life of 7 steps never ends a level of 12 from its start; from a checkpoint it does.
    lives = int((killed / run / "again and again at step 7" / "lives").read_text())
    assert 5 <= lives < 10
