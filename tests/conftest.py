"""What the tests share: the folder of real data, where it is present."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, each takes one
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("COLUMNS", None)  # the width of the controller's terminal: what is captured has none


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real parquet data sets beside the project; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets beside the project ({folder.name}/ is absent)")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _frozen_imports() -> None:
    """Let the collector look at what tests make, not at all that was imported before, which is most of its time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let what was imported go."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads the real data sets, so that a run can show that these tests ran."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
