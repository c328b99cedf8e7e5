"""YAML for the command line: strict, and the command line wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ontogeny.cli import main, parse

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def asked(*argv: str) -> dict[str, object]:
    return parse(["demo", *argv]).run.keywords


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("demo_*.yaml")), ids=lambda f: f.name)
def test_the_shipped_configs_are_valid(file):
    assert asked("--config", str(file))["out"] != Path("runs/demo")


def test_the_command_line_wins(tmp_path):
    (tmp_path / "c.yaml").write_text("vision_steps: 5\nlanguage_steps: 6\nkeep: true\nout: null\n")
    got = asked("--config", str(tmp_path / "c.yaml"), "--vision-steps", "7")
    assert got == {"vision_steps": 7, "language_steps": 6, "keep": True}


def test_options_of_watch_and_lists_have_the_same_names_in_a_file(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "benchmark: [planted-vision, planted-captions]\nlayers: [late, '0']\ncontrols: false\ntask: false\n"
        "batch_size: 3\nsteps: '0,1'\nweights: ema\n"
    )
    from ontogeny.cli._watch_options import given

    got = parse(["replay", "tiny", "--config", str(tmp_path / "c.yaml"), "--steps", "1"]).run.keywords
    assert got["benchmark"] == ("planted-vision", "planted-captions")
    assert got["checkpoints"].steps == "1"
    expected = {"layers": ["late", "0"], "controls": False, "task": False, "batch_size": 3, "weights": "ema"}
    assert given(got["reading"]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vision_step: 3", "there is no option 'vision_step'. Did you mean 'vision_steps'"),
        ("data: plantd", 'Choose from: "auto", "real", "planted". Did you mean "planted"?'),
        ("vision_steps: many", 'unable to convert "many" into int'),
        ("vision_steps: true", 'unable to convert "True" into int'),
        ("keep: 1", "keep should be true or false, got 1"),
        ("- a", "expected keys and values, got list"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, capsys, text, message):
    (tmp_path / "c.yaml").write_text(text)
    assert main(["demo", "--config", str(tmp_path / "c.yaml")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert str(tmp_path / "c.yaml") in said
    assert said.count("\n") == 1


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["demo", "--config", str(tmp_path / "nothing.yaml")]) == 2
    assert "nothing.yaml cannot be read" in capsys.readouterr().err
