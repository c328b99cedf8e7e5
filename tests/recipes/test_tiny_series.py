"""The series that comes with the project, and the recipe that makes one like it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import ConfigError
from ontogeny.replay import load_manifest, read_manifest

ROOT = Path(__file__).resolve().parents[2]
STEPS = [0, *(2**k for k in range(11))]


@pytest.mark.slow
def test_anyone_can_replay_it_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    command = ["replay", "tiny", "--benchmark", "planted-vision", "--record", str(tmp_path / "r")]
    assert main([*command, "--task", "recipes.tiny_series:held_out"]) == 0
    assert "12 checkpoints: 12 scored" in capsys.readouterr().out
    record = Record(tmp_path / "r")
    assert [s.step for s in record.events(kind="probe")] == STEPS
    accuracy = record.series(kind="task", metric="accuracy").values
    assert accuracy[-1] > accuracy[0] + 0.2
    assert main(command) == 0
    assert "12 checkpoints: 12 known" in capsys.readouterr().out
    assert sum(p.stat().st_size for p in (ROOT / "checkpoints" / "tiny").iterdir()) < 1_000_000


@pytest.mark.slow
def test_the_recipe_makes_one_whose_replay_is_its_live_record(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = importlib.import_module("recipes.tiny_series")
    recipe.main(
        ["--out", str(tmp_path / "tiny"), "--record", str(tmp_path / "live"), "--steps", "4", "--images", "300"]
    )
    pattern = str(tmp_path / "tiny" / "step{step}.safetensors")
    given = ["--model", "recipes.tiny_series:network", "--transform", "recipes.tiny_series:pixels"]
    command = ["replay", pattern, *given, "--benchmark", "planted-vision", "--record", str(tmp_path / "again")]
    assert main(command) == 0
    live, again = (Record(tmp_path / name) for name in ("live", "again"))
    assert [s.step for s in again.events(kind="probe")] == [0, 1, 2, 4]
    values = [{s.key[1:]: (s.value, s.weights) for s in r.select(kind="alignment")} for r in (live, again)]
    assert values[0].keys() == values[1].keys()
    for key, (value, weights) in values[0].items():
        assert values[1][key][0] == pytest.approx(value, abs=1e-6)
        assert values[1][key][1] == weights


def test_files_that_come_with_a_manifest_lie_under_its_folder(tmp_path):
    text = (ROOT / "checkpoints" / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(text.replace("folder: tiny", "folder: ../elsewhere"))
    with pytest.raises(ConfigError, match=r"folder '../elsewhere' leads out of .*; name one under it"):
        read_manifest(tmp_path / "tiny.yaml")
    series = load_manifest("tiny", folder=ROOT / "checkpoints", model="torch.nn:Identity")
    assert list(series.steps) == STEPS
    recipe = importlib.import_module("recipes.tiny_series")
    assert series.transform is not None
    assert series.transform(0) is recipe.pixels
