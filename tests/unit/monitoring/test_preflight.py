"""The doctor, on the command line and on a monitor."""

from __future__ import annotations

import re

import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer, transform

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.cli import main
from ontogeny.monitoring.preflight import preflight

CNN = "tests.helpers.nets:TinyCNN"
TRANSFORM = "tests.helpers.models:transform"
HERE = "tests.unit.monitoring.test_preflight"


def test_the_monitors_doctor_lists_layers_scores_task_cost_and_the_line(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    said = monitor.doctor(TinyCNN(), details=True)
    assert "tiny-image 1 (SIMULATED data)" in said
    assert "IT: 2 subjects, a geometry, ceiling from the other subjects, where a metric compares them" in said
    assert re.search(r"rsa-\S+: ceiling −?\d\.\d{3} to \d\.\d{3}, pixels alone", said)
    assert re.search(r"early \(spatial_mean\)\s+6 features", said) or re.search(r"early.*6 features", said)
    assert "task       none: pass task=HeldOutLoss" in said
    assert re.search(r"one probe takes \d+\.\d\d s", said)
    assert 'AlignmentCallback("tiny-image", transform=transform' in said
    assert "how the model is read" in said
    short = monitor.doctor(TinyCNN())
    assert short.splitlines()[0] == "This model can be watched as it is."
    assert not re.search("\nhow the model is read|pairing    |detectable|effective n", short)
    assert "more       details=True (--details) shows pairing" in short
    assert len(short.splitlines()) < len(said.splitlines()) - 5
    assert Record(tmp_path / "r").scores == ()


def test_the_doctor_names_what_is_refused_and_measures_the_task(text_benchmark, tmp_path):
    batch = {"input_ids": torch.ones(2, 8, dtype=torch.long)}
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
    assert "left: 1 subject, 3 voxels, ceiling r = 0.800 (made up for tests)" in said


def test_the_command_shows_a_benchmark_alone(capsys):
    assert main(["doctor", "planted-vision"]) == 0
    short = capsys.readouterr().out
    assert short.splitlines()[0] == "planted-vision: can be relied on, as far as can be seen from its files"
    assert not re.search("pairing    |split      |effective n|detectable", short)
    assert main(["doctor", "planted-vision", "--details"]) == 0
    said = capsys.readouterr().out
    assert "planted-vision 1 (SIMULATED data)" in said
    assert "category: 4 subjects, 40 voxels" in said
    assert "pairing    subject simulated-1: paired (r = 0.8" in said
    assert "stimuli; minimum detectable r = 0." in said
    assert re.search(
        r"pixels alone −?\d\.\d{3}, random features −?0\.0\d{2} ± 0\.\d{3}, detectable above 0\.\d{3}", said
    )


def test_the_command_reads_a_model_by_its_address(capsys):
    assert main(["doctor", "planted-vision", "--model", CNN, "--transform", TRANSFORM]) == 0
    said = capsys.readouterr().out
    assert "late" in said
    flags = f"--model {CNN} --transform {TRANSFORM}"
    assert said.splitlines()[-4:] == [
        "the lines to copy",
        '  callback   AlignmentCallback("planted-vision", transform=transform, task=HeldOutLoss(loader), '
        'record="runs/a")',
        '  plain loop monitor = ontogeny.watch("planted-vision", transform=transform, task=HeldOutLoss(loader), '
        'record="runs/a")',
        f"  replay     ontogeny replay CHECKPOINTS --benchmark planted-vision {flags}",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor", "planted-visoin"], "Did you mean 'planted-vision'"),
        (["doctor", "planted-vision", "--model", "no_such_module:model"], "no_such_module"),
        (["doctor", "planted-vision", "--model", "tests.helpers.models:TinyCN"], "TinyCN"),
        (["doctor", "planted-vision", "--model", "tests.helpers.models"], "module:"),
        (["doctor", "planted-vision", "--model", CNN], "transform"),
        (
            ["doctor", "planted-vision", "--model", "tests.helpers.broken:x"],
            "importing 'tests.helpers.broken' raised Zero",
        ),
        (["report", "nowhere"], "no record at nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith(f"ontogeny {arguments[0]}: ")
    assert "Traceback" not in said


class Picky(torch.nn.Module):
    """A small language model that raises when it is shown what it does not take."""

    def __init__(self, refuses):
        super().__init__()
        self.refuses = refuses
        self.embedding = torch.nn.Embedding(2000, 8)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)])

    def forward(self, input_ids):
        self.refuses(input_ids)
        x = self.embedding(input_ids)
        for block in self.blocks:
            x = block(x)
        return x


def longer_than(n):
    def refuses(ids):
        assert ids.shape[1] <= n, f"cannot forward {ids.shape[1]} tokens, the block size is {n}"

    return refuses


def first_word(token):
    def refuses(ids):
        if (ids[:, 0] == token).any():
            raise KeyError(token)

    return refuses


def out_of_memory(most):
    def refuses(ids):
        if len(ids) > most:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    return refuses


def leaves(ids):
    raise SystemExit(1)


def words(text):
    """A number a word, and every second text has one word more."""
    found = [len(word) + 7 * ord(word[0]) for word in text.split()]
    return found + found[:1] * (len(text) % 3)


@pytest.fixture
def reads_text(text_benchmark, tmp_path):
    def made(model, **options):
        monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=words, layers=["blocks.*"], **options)
        found = preflight(monitor, model)
        assert Record(tmp_path / "r").scores == ()
        return found

    return made


def test_texts_beyond_the_context_are_counted_and_the_longest_is_named(reads_text, text_benchmark):
    lengths = [len(words(text)) for text in text_benchmark.stimuli.inputs]
    limit = sorted(set(lengths))[-2]
    found = reads_text(Picky(longer_than(limit)))
    (one,) = found.obstacles
    n = sum(length > limit for length in lengths)
    assert one.what.startswith(f"{n} of {len(lengths)} texts cannot be read: those of {limit + 1} tokens or more")
    assert f"Pass truncation={limit} (--truncation {limit})" in one.what
    assert f"AssertionError: cannot forward {limit + 1} tokens" in one.what
    assert f"truncation={limit}, task=HeldOutLoss(loader)" in found.ways[1]
    assert f"--truncation {limit}" in found.ways[3]
    assert reads_text(Picky(longer_than(limit)), truncation=limit).obstacles == ()


def test_one_stimulus_that_a_model_fails_on_is_found(reads_text, text_benchmark):
    last = text_benchmark.stimuli.inputs[-1]
    (one,) = reads_text(Picky(first_word(words(last)[0]))).obstacles
    assert re.match(
        r"stimulus '\S+', \d+ tokens cannot be read: KeyError: \d+ \(test_preflight.py, line \d+\)", one.what
    )


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        (longer_than(0), "no stimulus can be read, the shortest neither: Picky failed on stimulus"),
        (leaves, "no stimulus can be read, the shortest neither: SystemExit: 1 (test_preflight.py, line"),
        (out_of_memory(0), "Picky has no memory for stimuli"),
    ],
)
def test_a_model_that_cannot_be_read_at_all_is_a_finding(reads_text, refuses, said):
    found = reads_text(Picky(refuses))
    assert said in found.obstacles[0].what
    assert str(found).splitlines()[-1].startswith("  replay     ontogeny replay CHECKPOINTS --benchmark ")


def test_a_batch_that_has_no_memory_can_be_smaller(reads_text):
    for most in (4, 8):
        found = reads_text(Picky(out_of_memory(most)))
        assert f"With batch_size={most} (--batch-size {most}) all of them are read" in found.obstacles[0].what
        assert f"batch_size={most}" in found.ways[1]
    assert reads_text(Picky(out_of_memory(8)), batch_size=8).obstacles == ()


def test_a_task_that_fails_is_a_finding_and_the_layers_are_read(reads_text):
    def task(model):
        raise KeyError("labels")

    found = reads_text(Picky(lambda ids: None), task=task)
    assert [one.what for one in found.obstacles] == ["the task failed: KeyError: 'labels'"]
    assert any("blocks.0" in line for line in found.lines)


def no_vocabulary(text):
    return {}[text]


def refuses_texts(text):
    raise ValueError("not this text")


def nothing():
    return None


def no_weights():
    raise FileNotFoundError("weights.pt")


@pytest.mark.parametrize(
    ("tokenizer", "said"),
    [
        ("no_vocabulary", r"the tokenizer .*stimulus 'sentence-\S+'.*KeyError"),
        (
            "refuses_texts",
            r"the tokenizer failed on stimulus 'sentence-\S+, \d+ characters .*ValueError: not this text",
        ),
    ],
)
def test_whatever_a_tokenizer_raises_the_command_ends_with_lines_to_copy(tokenizer, said, capsys):
    flags = ["--model", f"{HERE}:Picky", "--tokenizer", f"{HERE}:{tokenizer}"]
    ends_with_lines_to_copy(["planted-language", *flags], said, capsys)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("no_weights", r"FileNotFoundError: weights.pt \(test_preflight.py, line \d+\)"),
        ("words", r"TypeError: words\(\) missing 1 required positional argument"),
        ("nothing", r"--model tests.unit.monitoring.test_preflight:nothing gave a NoneType, expected a torch module"),
    ],
)
def test_whatever_making_a_model_raises_the_command_ends_with_lines_to_copy(model, said, capsys):
    ends_with_lines_to_copy(["planted-vision", "--model", f"{HERE}:{model}", "--transform", TRANSFORM], said, capsys)


def ends_with_lines_to_copy(command, said, capsys):
    assert main(["doctor", *command]) == 1
    printed = capsys.readouterr()
    assert printed.err == ""
    *_, finding, _, _, _, last = printed.out.splitlines()
    assert re.search(f"^finding    .*{said}", finding), finding
    assert last.endswith(" ".join(command[1:]))


def test_layers_that_are_not_there_are_a_finding(capsys):
    assert main(["doctor", "planted-vision", "--model", CNN, "--transform", TRANSFORM, "--layers", "lat"]) == 1
    assert "finding    the model has no layer 'lat'. Did you mean 'late'" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["demo", "doctor", "data", "report"])
def test_help_teaches(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 8
