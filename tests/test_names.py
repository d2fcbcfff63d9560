"""One name, one thing: no two public classes of what reads results are called alike, nor like one of a study's."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter

import winsome

PACKAGES = ("analysis", "study", "evidence", "figures", "report", "recipes")


def test_no_two_public_classes_have_one_name() -> None:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(winsome.__path__, "winsome.")
        if found.name.split(".")[1] in PACKAGES
    ]
    classes = {
        one
        for module in modules
        for name, one in inspect.getmembers(module, inspect.isclass)
        if one.__module__ == module.__name__ and not name.startswith("_")
    }
    assert len(classes) > 50
    assert [name for name, count in Counter(one.__name__ for one in classes).items() if count > 1] == []
