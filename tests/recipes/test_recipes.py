"""Each recipe runs, in tiny form, and leaves a record that answers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from ontogeny import Record

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

TINY = {
    "lightning_run": ["--steps", "3", "--images", "128"],
    "transformers_run": ["--steps", "3", "--sentences", "300"],
    "plain_loop": ["--steps", "3", "--images", "600"],
    "own_metric": [],
    "many_seeds": ["--steps", "3", "--seeds", "2", "--data", "planted"],
}


def test_every_recipe_is_tested_and_short():
    found = {path.stem: len(path.read_text().splitlines()) for path in RECIPES.glob("*.py")}
    assert found.keys() == TINY.keys()
    assert max(found.values()) <= 120


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_recipe_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    module.main([*TINY[name], "--record", str(tmp_path / "record")])
    record = Record.open(tmp_path / "record" / ("seed1" if name == "many_seeds" else ""))
    steps = sorted({s.step for s in record.select(kind="probe")})
    assert steps == ([0] if name == "own_metric" else [0, 1, 2, 3])
    assert capsys.readouterr().out
    if name == "own_metric":
        assert record.select(metric="distance-correlation")
