"""Every public name shows how it is used, and what it shows is true."""

from __future__ import annotations

import doctest
import inspect
import sys

import pytest
import torch
from torch import nn

import winsome

PUBLIC = [name for name in dir(winsome) if not name.startswith("_") and not inspect.ismodule(getattr(winsome, name))]


def examples(name: str) -> list[doctest.DocTest]:
    member = getattr(winsome, name)
    names = {**vars(sys.modules[member.__module__]), "torch": torch, "nn": nn}
    found = doctest.DocTestFinder(recurse=False).find(member, name, module=False, globs=names)
    return [test for test in found if test.examples]


def test_the_public_names_are_the_forty_that_the_package_lists() -> None:
    assert len(PUBLIC) >= 40
    assert {"find_tickets", "Method", "plant", "read", "SignedMask"} <= set(PUBLIC)
    assert not {"import_on_use", "TYPE_CHECKING"} & set(dir(winsome))


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_is_true(name: str) -> None:
    shown = examples(name)
    assert shown, f"winsome.{name} has no example in its docstring"
    for test in shown:
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0
