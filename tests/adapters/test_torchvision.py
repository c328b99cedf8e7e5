"""Transforms of torchvision: a probe reads what they give for the PIL image of a file; random ones are said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMM = ROOT / ".venv" / "timm"


@pytest.fixture(scope="module")
def found() -> dict:
    """What `tests.helpers.pictures_run` found, in a process of its own."""
    if not (TIMM / "torchvision").is_dir():
        pytest.skip(f"torchvision is not in {TIMM} (make puts it there)")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")]), str(TIMM)])
    command = [sys.executable, "-m", "tests.helpers.pictures_run"]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["v1", "v2", "v2, tensors first", "grey", "of arrays"])
def test_validation_transforms_give_what_they_give_for_a_file(found, name):
    shape = [4, 1 if name == "grey" else 3, 32, 32]
    assert found[name] == {"equal": True, "shape": shape, "said": [], "random": False}


@pytest.mark.parametrize("name", ["crop", "flip", "of arrays", "v2 colours", "v2 augmented"])
def test_training_transforms_are_said_to_be_random_and_drawn_alike(found, name):
    about = found[f"training: {name}"]
    assert about["alike"]
    assert about["random"]
    assert len(about["said"]) == 1
    assert "pass the one of your validation set" in about["said"][0]
