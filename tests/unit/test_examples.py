"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
HOW = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    files = sorted(path for path in SRC.rglob("*.py") if "    >>> " in path.read_text(encoding="utf-8"))
    return [".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for path in files]


MODULES = modules()


def test_there_are_examples():
    assert len(MODULES) > 25


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), optionflags=HOW)
    assert found.attempted > 0
    assert found.failed == 0
