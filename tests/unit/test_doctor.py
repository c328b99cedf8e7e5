"""The doctor, on the command line and on a monitor."""

from __future__ import annotations

import re

import pytest
from tests.models import TinyCNN, tiny_gpt, tokenizer, transform

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.cli import main

CNN = "tests.models:TinyCNN"
TRANSFORM = "tests.models:transform"


def test_the_monitors_doctor_lists_layers_scores_task_cost_and_the_line(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    said = monitor.doctor(TinyCNN())
    assert "tiny-image 1 (SIMULATED data)" in said
    assert "IT: 2 subject(s), a geometry, ceiling from the other subjects, where a metric compares them" in said
    assert re.search(r"rsa-\S+: ceiling -?\d\.\d{3} to \d\.\d{3}, pixels alone", said)
    assert re.search(r"early \(spatial_mean\)\s+6 features", said) or re.search(r"early.*6 features", said)
    assert "task       none: pass task=HeldOutLoss" in said
    assert re.search(r"one probe takes \d+\.\d\d s", said)
    assert 'AlignmentCallback("tiny-image", transform=transform' in said
    assert Record.open(tmp_path / "r").scores == ()


def test_the_doctor_names_what_is_refused_and_measures_the_task(text_benchmark, tmp_path):
    batch = {"input_ids": __import__("torch").ones(2, 8, dtype=__import__("torch").long)}
    monitor = watch(
        text_benchmark,
        record=tmp_path / "r",
        tokenizer=tokenizer,
        layers=("auto", "lm_head"),
        pooling="cls",
        task=HeldOutLoss(batches=[batch]),
    )
    said = monitor.doctor(tiny_gpt())
    assert "task       loss" in said
    assert "left: 1 subject(s), 3 voxels, ceiling r = 0.800 (made up for tests)" in said


def test_the_command_shows_a_benchmark_alone(capsys):
    assert main(["doctor", "planted-vision"]) == 0
    said = capsys.readouterr().out
    assert "planted-vision 1 (SIMULATED data)" in said
    assert "category: 4 subject(s), 40 voxels" in said
    assert "pairing    subject simulated-1: paired (r = 0.8" in said
    assert "independent stimuli; in one voxel an r of 0." in said
    assert re.search(r"pixels alone -?\d\.\d{3}, random features -?0\.0\d{2} \+- 0\.\d{3}, seen from 0\.\d{3} on", said)


def test_the_command_reads_a_model_by_its_address(capsys):
    assert main(["doctor", "planted-vision", "--model", CNN, "--transform", TRANSFORM]) == 0
    said = capsys.readouterr().out
    assert "late" in said
    assert "the line" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor", "planted-visoin"], "Did you mean 'planted-vision'"),
        (["doctor", "planted-vision", "--model", "no_such_module:model"], "no_such_module"),
        (["doctor", "planted-vision", "--model", "tests.models:TinyCN"], "TinyCN"),
        (["doctor", "planted-vision", "--model", "tests.models"], "module:"),
        (["doctor", "planted-vision", "--model", CNN], "transform"),
        (["doctor", "planted-vision", "--model", CNN, "--transform", TRANSFORM, "--layers", "lat"], "'late'"),
        (["report", "nowhere"], "no record at nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith(f"ontogeny {arguments[0]}: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["demo", "doctor", "data", "report"])
def test_help_teaches(verb, capsys):
    with pytest.raises(SystemExit) as done:
        main([verb, "--help"])
    assert done.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 8
