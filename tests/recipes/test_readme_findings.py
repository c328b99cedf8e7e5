"""The commands on findings in recipes/README.md run, each on records of sets that `ontogeny data list` offers."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, fast_tokenizer, tiny_gpt, transform

from ontogeny import Record, watch
from ontogeny.cli import main
from ontogeny.datasets import find_source, is_here, load
from ontogeny.metrics import CKA

README = Path(__file__).parents[2] / "recipes" / "README.md"


def commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("## The study's other questions")[2].partition("\n## ")[0]
    return [
        shlex.split(line, comments=True)[1:] for line in re.findall(r"^ontogeny findings .*$", section, re.MULTILINE)
    ]


def probed(model, benchmarks, folder, **options) -> None:
    monitor = watch(benchmarks, record=folder, task=False, rehearsal=False, controls=False, **options)
    for step in (0, 1):
        monitor(model, step)
        with torch.no_grad():
            next(model.parameters()).add_(0.1 * torch.randn(next(model.parameters()).shape))
    monitor.finish(model, 1)


def study(benchmark):
    """The same with kernels of the study's protocol, as protocol="shen2026" has them, and each region in two halves."""
    metrics = tuple(
        CKA(kind="rbf", width=float(width), debiased=debiased, standardise=True)
        for width in (28, 36, 68)
        for debiased in (True, False)
    )
    halved = [replace(a, roi=tuple(f"{roi} {i % 2}" for i, roi in enumerate(a.roi))) for a in benchmark.assemblies]
    return replace(benchmark, name=f"{benchmark.name}@shen2026", metrics=metrics, assemblies=tuple(halved))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """runs/a reads the embedded sentences; runs/gpt and runs/vit captions and pictures, with the same responses."""
    folder = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    captions, pictures = load("planted-captions"), load("planted-vision")
    words = sorted({word for text in captions.stimuli.inputs for word in re.findall(r"\w+|,", text)})
    reading = {"tokenizer": fast_tokenizer(words), "pooling": "mean"}
    gpt = tiny_gpt(words=len(words) + 1, positions=32)
    probed(gpt, [captions, study(captions)], folder / "runs" / "gpt", **reading)
    probed(TinyCNN(), [pictures, study(pictures)], folder / "runs" / "vit", transform=transform)
    probed(
        tiny_gpt(positions=32),
        load("planted-language"),
        folder / "runs" / "a",
        tokenizer=fast_tokenizer(),
        pooling="mean",
    )
    networks = {"contrast energy": "Visual", "shape": "Default", "category": "Limbic"}
    halves = [(f"{roi} {i}", network) for roi, network in networks.items() for i in range(2)]
    (folder / "yeo7.csv").write_text("".join(f"{a},{b}\n" for a, b in [("roi", "network"), *halves]))
    rng = np.random.default_rng(0)
    with (folder / "models.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["model", "family", "parameters", "human IT rsa (best layer of the other subjects)", "imagenet"])
        rows.writerows([f"m{i}", f"f{i % 6}", 1e6 * (i + 1), *rng.uniform(size=2)] for i in range(12))
    return folder


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_of_readme_answers(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    code = main([*command, "--no-pictures"] if "--out" in command else command)
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "else explains" in out
    assert "source " in out


def test_readme_asks_every_question_but_those_it_only_names():
    assert {command[1] for command in commands()} >= {"across", "modality", "regions", "depth", "scale"}


def test_captions_and_pictures_pair_and_differ_where_they_should(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    told = ["findings", "modality", "runs/gpt", "runs/vit", "--metric", "cka-linear-debiased", "--pair-benchmarks"]
    assert main([*told, "--out", "m", "--no-pictures"]) == 0
    with (place / "m" / "regions.csv").open() as handle:
        rows = {row["roi"]: row for row in csv.DictReader(handle)}
    assert set(rows) == {"contrast energy", "shape", "category"}
    assert float(rows["shape"]["difference"]) > 0.05, "a caption names the shape"
    assert float(rows["shape"]["difference"]) > float(rows["contrast energy"]["difference"]) + 0.05


def test_the_two_real_sets_share_a_metric_and_modality_says_why_they_do_not_pair(tmp_path, capsys):
    names = ("tuckute2024", "kriegeskorte2008")
    if not all(is_here(find_source(name)) for name in names):
        pytest.skip("tuckute2024 or kriegeskorte2008 is not on this machine (set ONTOGENY_DATA)")
    text, images = map(load, names)
    assert {m.name for m in text.metrics} & {m.name for m in images.metrics} == {"cka-linear-debiased"}
    few = replace(text, metrics=text.metrics[1:])
    probed(tiny_gpt(positions=32), few, tmp_path / "gpt", tokenizer=fast_tokenizer(), pooling="mean")
    probed(TinyCNN(), replace(images, metrics=images.metrics[1:]), tmp_path / "vit", transform=transform)
    assert Record(tmp_path / "gpt").select(kind="alignment", metric="cka-linear-debiased")
    told = ["findings", "modality", str(tmp_path / "gpt"), str(tmp_path / "vit"), "--metric", "cka-linear-debiased"]
    assert main(told) == 2
    assert "both modalities need the same one benchmark" in capsys.readouterr().err
    assert main([*told, "--pair-benchmarks"]) == 2
    print(capsys.readouterr().err)
