"""Each recipe runs, in tiny form, and leaves a record that answers."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.helpers.processes import run_python

from ontogeny import Record

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

TINY = {
    "accelerate_loop": ["--steps", "3", "--sentences", "300"],
    "ddp_loop": ["--steps", "3", "--images", "256"],
    "fsdp2_loop": ["--steps", "3", "--sentences", "300"],
    "wandb_run": ["--steps", "3", "--images", "128"],
    "lightning_run": ["--steps", "3", "--images", "128"],
    "transformers_run": ["--steps", "3", "--sentences", "300"],
    "plain_loop": ["--steps", "3", "--images", "600"],
    "own_metric": [],
    "own_nifti": ["--steps", "3"],
    "own_stories": ["--steps", "3"],
    "many_seeds": ["--steps", "3", "--seeds", "2", "--data", "planted"],
}


# Of the kind of another recipe.
LONG = {"accelerate_loop", "ddp_loop", "many_seeds", "own_stories", "wandb_run"}
# test_configs.py, test_tiny_series.py, test_replay_recipes.py
ELSEWHERE = {"lightning_cli", "transformers_arguments", "tiny_series"}
ELSEWHERE |= {"replay_pythia", "replay_hf_run", "replay_lightning_run"}


def test_every_recipe_is_tested_and_short():
    found = {path.stem: len(path.read_text().splitlines()) for path in RECIPES.glob("*.py")}
    assert found.keys() == TINY.keys() | ELSEWHERE
    assert max(found.values()) <= 120


@pytest.mark.slow
@pytest.mark.long
def test_the_sharded_loop_runs_with_replicas_too(tmp_path):
    command = [RECIPES / "fsdp2_loop.py", *TINY["fsdp2_loop"], "--replicas", "2", "--record", tmp_path / "record"]
    done = run_python(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, ranks=4)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("step 3 {'alignment/mean'") == 1
    assert sorted({s.step for s in Record(tmp_path / "record").events(kind="probe")}) == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if n in LONG else n for n in TINY])
def test_the_recipe_runs(name, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ranks = 2 if name == "fsdp2_loop" else 0  # the real launcher takes ten seconds more
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environment.pop("WANDB_SERVICE", None)  # of a run that another test made in this process
    script = [*(launcher if name in ("ddp_loop", "accelerate_loop") else []), RECIPES / f"{name}.py"]
    command = [*script, *TINY[name], "--record", tmp_path / "record"]
    done = run_python(command, cwd=tmp_path, env=environment, ranks=ranks)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout
    record = Record(tmp_path / "record" / ("seed1" if name == "many_seeds" else ""))
    steps = sorted({s.step for s in record.events(kind="probe")})
    assert steps == ([0] if name == "own_metric" else [0, 1, 2, 3])
    if name == "own_metric":
        assert record.select(metric="distance-correlation")
    if name == "own_nifti":
        atlas, brain = (nibabel.load(tmp_path / "record" / f) for f in ("lab/sub-01_dseg.nii.gz", "map.nii.gz"))
        assert (np.isfinite(brain.get_fdata()) == (atlas.get_fdata() > 0)).all()
        assert (brain.affine == atlas.affine).all()
        assert list((tmp_path / "record" / "figures").glob("*-brain.png"))
    if name == "wandb_run":
        assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
