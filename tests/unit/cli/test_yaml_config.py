"""YAML for the command line: strict, and the command line wins."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ontogeny.cli._yaml_config import add_config_option, apply_config
from ontogeny.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def parse(*argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--data", choices=("auto", "real", "planted"), default="auto")
    parser.add_argument("--vision-steps", type=int, default=600)
    parser.add_argument("--language-steps", type=int, default=600)
    parser.add_argument("--keep", action="store_true")
    add_config_option(parser)
    return apply_config(parser, parser.parse_args(argv))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("demo_*.yaml")), ids=lambda f: f.name)
def test_the_shipped_configs_are_valid(file):
    assert parse("--config", str(file)).out != Path("runs/demo")


def test_the_command_line_wins(tmp_path):
    (tmp_path / "c.yaml").write_text("vision_steps: 5\nlanguage_steps: 6\n")
    got = parse("--config", str(tmp_path / "c.yaml"), "--vision-steps", "7")
    assert (got.vision_steps, got.language_steps) == (7, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vision_step: 3", "there is no option 'vision_step'. Did you mean 'vision_steps'"),
        ("data: fake", "data is one of auto, real, planted, got 'fake'"),
        ("vision_steps: many", "vision_steps should be of type int, got 'many'"),
        ("keep: 1", "keep should be of type bool, got 1"),
        ("- a", "expected keys and values, got list"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        parse("--config", str(tmp_path / "c.yaml"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing.yaml cannot be read"):
        parse("--config", str(tmp_path / "nothing.yaml"))
