"""`ontogeny replay`: what its arguments stand for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.helpers.models import TinyCNN

from ontogeny import Record
from ontogeny.cli import main

MODEL = [
    "--model",
    "tests.helpers.nets:TinyCNN",
    "--transform",
    "tests.helpers.models:transform",
    "--benchmark",
    "planted-vision",
]


@pytest.fixture
def folder(tmp_path):
    for epoch in (0, 1):
        torch.manual_seed(epoch)
        raw, averaged = TinyCNN().state_dict(), TinyCNN().state_dict()
        torch.save({"state_dict": raw, "state_dict_ema": averaged}, tmp_path / f"ep{epoch}.pt")
    return tmp_path


def run(folder, name, *options):
    pattern = str(folder / "ep{count}.pt")
    return main(["replay", pattern, *MODEL, "--record", str(folder / name), *options])


def test_counts_are_said_to_be_no_updates_until_it_is_told_how_many_they_are(folder, capsys):
    assert run(folder, "r", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "are counts in the name, not optimizer updates: see --updates-per-count" in said
    assert not (folder / "r").exists(), "a dry run writes nothing"
    assert run(folder, "r", "--dry-run", "--updates-per-count", "50", "--zero-count", "-1") == 0
    said = capsys.readouterr().out
    assert "2 checkpoints would be scored (50, 100)" in said
    assert "optimizer updates" not in said


@pytest.mark.long
def test_averaged_weights_of_plain_files_have_to_be_named(folder, capsys):
    assert run(folder, "r", "--weights", "ema") == 2
    assert "for plain files say with --key where the averaged ones are (timm: --key state_dict_ema)" in (
        capsys.readouterr().err
    )
    assert run(folder, "raw") == 0
    assert run(folder, "ema", "--weights", "ema", "--key", "state_dict_ema", "--engine", "local", "--workers", "2") == 0
    raw, averaged = (Record(folder / name) for name in ("raw", "ema"))
    assert averaged.header["weights"] == "ema"
    hashes = [[s.weights for s in record.events(kind="probe")] for record in (raw, averaged)]
    assert len({*hashes[0], *hashes[1]}) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "local"], "--engine local needs --workers"),
        (["--workers", "3"], "--workers 3 needs --engine local or --engine ray"),
    ],
)
def test_workers_and_engines_go_together(folder, capsys, options, said):
    assert run(folder, "r", *options) == 2
    assert said in capsys.readouterr().err


@pytest.mark.long
def test_several_series_share_the_workers_and_have_a_record_each(folder, capsys):
    other = folder / "other"
    other.mkdir()
    torch.save(TinyCNN().state_dict(), other / "ep5.pt")
    sources = [str(folder / "ep{count}.pt"), str(other / "ep{count}.pt")]
    command = ["replay", *sources, *MODEL, "--record", str(folder / "r")]
    assert main([*command, "--task-log", "log.csv"]) == 2
    assert "--task-log belongs to one series" in capsys.readouterr().err
    assert main(["replay", sources[1], *command[1:]]) == 2
    assert "two of these series have one name" in capsys.readouterr().err
    assert main([*command, "--engine", "local", "--workers", "2"]) == 0
    assert capsys.readouterr().out.count("checkpoints: ") == 2
    steps = {p.name: [s.step for s in Record(p).events(kind="probe")] for p in (folder / "r").iterdir()}
    assert {name: sorted(found) for name, found in steps.items()} == {folder.name: [0, 1], "other": [5]}


MODULE = """
import numpy as np
import torch

class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3))

def pixels(image):
    return torch.as_tensor(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)
"""


@pytest.mark.slow
def test_workers_find_the_users_module_in_the_current_folder(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    code = "import torch, mine; [torch.save(mine.Net().state_dict(), f'step{i}.pt') for i in range(2)]"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    command = [str(Path(sys.executable).with_name("ontogeny")), "replay", "step{step}.pt", "--model", "mine:Net"]
    command += ["--transform", "mine:pixels", "--benchmark", "planted-vision", "--record", "r"]
    run = subprocess.run(
        [*command, "--engine", "local", "--workers", "2"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "2 checkpoints: 2 scored" in run.stdout, run.stderr
    assert run.returncode == 0
