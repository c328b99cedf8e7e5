"""Every file in configs/ builds what it says: LightningCLI, Hydra, HfArgumentParser, our own command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ontogeny import HeldOutLoss, Record
from ontogeny.errors import ConfigError
from ontogeny.monitoring import watch
from ontogeny.monitoring.factory import Options

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


@pytest.fixture
def recipe(monkeypatch, tmp_path):
    """A recipe, imported by its name as from its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    return importlib.import_module


def test_every_file_is_checked():
    assert {p.name for p in CONFIGS.glob("*.yaml")} == {
        "demo_quick.yaml",  # tests/unit/cli/test_yaml_config.py
        "hydra_callback.yaml",
        "lightning_cli.yaml",
        "transformers_arguments.yaml",
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")  # Lightning's own calls
def test_lightning_cli_builds_the_callback_from_yaml(recipe, tmp_path, monkeypatch):
    file = str(CONFIGS / "lightning_cli.yaml")
    small = ["--trainer.max_steps=4", "--data.images=128", "--trainer.enable_progress_bar=false"]
    monkeypatch.setattr(sys, "argv", ["lightning_cli.py"])
    recipe("lightning_cli").main(["fit", "--config", file, *small, "--trainer.enable_model_summary=false"])
    record = Record(tmp_path / "runs" / "lightning_cli")
    probed = [s.step for s in record.events(kind="probe")]
    left_out = [s.step for s in record.events(kind="cost", metric="left out")]
    assert probed[0] == 0
    assert probed[-1] == 4
    assert set(probed) | set(left_out) <= {0, 1, 2, 3, 4}
    assert record.series(kind="task", metric="accuracy").steps.tolist() == probed
    assert list((tmp_path / "runs" / "lightning_cli" / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("change", [{"schedul": "log"}, {"weights": "both"}, {"batch_size": "many"}], ids=str)
def test_lightning_cli_names_a_wrong_option(recipe, tmp_path, change, capsys, monkeypatch):
    content = yaml.safe_load((CONFIGS / "lightning_cli.yaml").read_text())
    content["trainer"]["callbacks"][0]["init_args"] |= change
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(sys, "argv", ["lightning_cli.py"])
    with pytest.raises(SystemExit):
        recipe("lightning_cli").main(["fit", "--config", str(tmp_path / "wrong.yaml")])
    assert next(iter(change)) in capsys.readouterr().err


def test_hydra_instantiates_the_callback(recipe, tmp_path):
    recipe("lightning_cli")
    config = OmegaConf.load(CONFIGS / "hydra_callback.yaml")
    callback = instantiate(config.alignment)
    assert isinstance(callback.monitor.task, HeldOutLoss)
    assert list(callback.monitor.watched[0].probe.layers) == ["net.1", "net.2"]
    assert callback.monitor.record.folder == Path("runs/hydra")
    assert OmegaConf.to_container(config.alignment).keys() <= Options.__annotations__.keys() | {
        "_target_",
        "benchmark",
        "record",
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_hugging_face_run_is_told_everything_by_a_file(recipe, tmp_path, capsys):
    content = yaml.safe_load((CONFIGS / "transformers_arguments.yaml").read_text())
    content |= {"max_steps": 4, "eval_steps": 2, "save_steps": 2, "sentences": 300, "use_cpu": True}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    recipe("transformers_arguments").main([str(tmp_path / "small.yaml")])
    record = Record(tmp_path / content["record"])
    assert [s.step for s in record.events(kind="probe")] == [0, 1, 2, 3, 4]
    assert "best 0." in capsys.readouterr().out


def test_addresses_that_lead_nowhere_are_named(image_benchmark, tmp_path, unchecked):
    with pytest.raises(ConfigError, match="expected module:attribute, got 'pixels'"):
        watch(image_benchmark, record=tmp_path / "r", transform="pixels")
    with pytest.raises(
        ConfigError, match="cannot load 'tests.helpers.models:nothing': 'tests.helpers.models' has no 'nothing'"
    ):
        watch(image_benchmark, record=tmp_path / "r", transform="tests.helpers.models:nothing")
    monitor = watch(image_benchmark, record=tmp_path / "r", transform="tests.helpers.models:transform")
    assert monitor.watched[0].probe.reader.__name__ == "transform"


def test_a_tokenizer_can_be_a_folder(text_benchmark, tmp_path):
    from ontogeny.cli.demo_training.train_language import train_tokenizer

    train_tokenizer(["dog cat tree river stone runs"] * 3, vocabulary=300).save_pretrained(tmp_path / "tokenizer")
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=str(tmp_path / "tokenizer"))
    assert monitor.watched[0].probe.reader.pad_token_id is not None
