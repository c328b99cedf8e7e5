"""Models of timm from the hub: the weights, the logits and the image transform are timm's own, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ontogeny.errors import MissingExtraError, WeightsError
from ontogeny.replay import hf_trainer

ROOT = Path(__file__).resolve().parents[2]
TIMM = ROOT / ".venv" / "timm"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What `tests.helpers.timm_run` found, in a process of its own."""
    if not (TIMM / "timm").is_dir():
        pytest.skip(f"timm and torchvision are not in {TIMM} (make puts them there)")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")]), str(TIMM)])
    environment = os.environ | {"PYTHONPATH": path, "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-m", "tests.helpers.timm_run", str(tmp_path_factory.mktemp("timm"))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "kind", "dtype"),
    [
        ("resnet", "ResNet", "float32"),
        ("vit", "VisionTransformer", "float32"),
        ("sized", "VisionTransformer", "float32"),
        ("half", "ResNet", "float16"),
        ("old", "ResNet", "float32"),
    ],
)
def test_what_timm_saved_is_loaded_to_the_bit(found, name, kind, dtype):
    assert found[name] == {
        "class": kind,
        "dtype": f"torch.{dtype}",
        "training": False,
        "logits": True,
        "weights": True,
        "shape": [3, 96, 96] if kind == "VisionTransformer" else [3, 160, 160],
        "transform": True,
        "arrays": True,
    }


def test_a_dtype_that_is_asked_for_is_the_models(found):
    assert found["half as float32"] == "torch.float32"


def test_they_are_scored_through_the_one_door(found):
    for name, layer in (("resnet", "layer3"), ("vit", "head")):
        assert found["scored"][name]["whole"], found["scored"][name]["lines"]
        assert layer in found["scored"][name]["layers"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("typo", "names the architecture 'test_resnett', which this timm ({}) does not have. Did you mean 'test_res"),
        ("remote", "names the architecture 'hf-hub:tiny/resnet', which this timm ({}) does not have"),
        ("tagged", "names the architecture 'test_resnet.r160_in1k', which this timm ({}) does not have"),
        ("classes", "does not fit ResNet: other shapes: fc.weight: (5, 96), the model has (6, 96)"),
        ("nan", "1 weights are NaN or infinite: fc.weight; this checkpoint is left out"),
        ("foreign", "model_args in config.json has checkpoint_path; weights come from the repository's own file"),
        ("unknown_argument", "timm {} cannot make test_resnet with {{'num_classes': 5, 'depth_of_sea': 3}}: TypeError"),
        ("resnet", "device_map is for models of transformers, this is one of timm; leave it out"),
    ],
)
def test_what_cannot_be_loaded_says_why(found, name, said):
    assert f"tiny/{name}@step1" in found["errors"][name]
    assert said.format(found["timm"]) in found["errors"][name]
    kind = {"resnet": "ConfigError", "nan": "DamagedError"}.get(name, "WeightsError")
    assert found["errors"][name].startswith(kind)


def test_without_timm_it_says_what_to_install_and_without_its_config_what_to_give(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    torch.save({"weight": torch.ones(2)}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet18", "num_classes": 2}))
    series = hf_trainer(tmp_path)
    for asked in (series.load, series.transform):
        with pytest.raises(MissingExtraError, match=r"this needs 'timm', which is not installed: .*'\.\[timm\]'"):
            asked(1)
    (folder / "config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"]}))
    with pytest.raises(
        WeightsError, match="checkpoint-1 does not say how images are prepared, as a repository of timm"
    ):
        series.transform(1)
