"""Real small benchmarks, scored by RBF-CKA at two widths and recorded; then asked in Python and at the command line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.models import WORDS, TinyCNN, tiny_gpt, transform

from ontogeny import Assembly, Benchmark, Record, StimulusSet, watch
from ontogeny.cli import main
from ontogeny.errors import DataError
from ontogeny.findings import Cells, depth, scale
from ontogeny.metrics import CKA, make_folds

N = 40
LOW, HIGH = 2, 12
VOXELS = {**{f"V{i}": 36 for i in range(4)}, **{f"D{i}": 6 for i in range(4)}}
GROUPS = {roi: "Visual" if roi[0] == "V" else "Default" for roi in VOXELS}
BIASED, DEBIASED = "cka-rbf-*-biased-z", "cka-rbf-*-debiased-z"


def brains(ids) -> tuple[Assembly, ...]:
    """Responses that have nothing to do with any stimulus.

    Visual regions: many voxels of few dimensions, so nearly the identity at the small width, and of low participation
    ratio at the large one. Default regions: the other way round.
    """
    rng = np.random.default_rng(1)
    names = tuple(roi for roi, voxels in VOXELS.items() for _ in range(voxels))
    out = []
    for s in range(4):
        parts = [
            rng.standard_normal((N, 3)) @ rng.standard_normal((3, n)) if roi[0] == "V" else rng.standard_normal((N, n))
            for roi, n in VOXELS.items()
        ]
        out.append(Assembly(name="noise", subject=f"s{s}", stimulus_ids=ids, responses=np.hstack(parts), roi=names))
    return tuple(out)


def benchmark(modality) -> Benchmark:
    rng = np.random.default_rng(2)
    ids = tuple(f"p{i:02d}" for i in range(N))
    inputs = [rng.integers(0, 256, size=(12, 12, 3), dtype=np.uint8) for _ in ids]
    if modality == "text":
        inputs = [" ".join(rng.choice(WORDS, size=rng.integers(4, 8))) for _ in ids]
    return Benchmark(
        name=f"noise-{modality}",
        stimuli=StimulusSet(name=f"noise-{modality}", modality=modality, ids=ids, inputs=inputs),
        assemblies=brains(ids),
        metrics=tuple(
            CKA(kind="rbf", width=float(w), debiased=d, standardise=True) for w in (LOW, HIGH) for d in (True, False)
        ),
        folds=make_folds(N),
        version="1",
        citation="none",
        licence="none",
        about="made for tests",
        simulated=True,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    image = watch(benchmark("image"), record=folder / "cnn", transform=transform, controls=False)
    text = watch(
        benchmark("text"),
        record=folder / "gpt",
        tokenizer="tests.helpers.models:tokenizer",
        pooling="mean",
        controls=False,
    )
    for monitor, model in ((image, TinyCNN()), (text, tiny_gpt())):
        monitor(model, 0)
        monitor.finish(model, 5)
    return folder


@pytest.fixture
def yeo(tmp_path):
    path = tmp_path / "yeo.csv"
    path.write_text("roi,network\n" + "".join(f"{roi},{network}\n" for roi, network in GROUPS.items()))
    return path


def cells(folder, *names):
    return Cells.of_records([Record(folder / name) for name in names], step=5)


def test_chance_alone_moves_biased_cka_and_is_taken_off(folders):
    found = cells(folders, "cnn")
    asked = {"low": LOW, "high": HIGH, "groups": GROUPS}
    raw = replace(found, chance=np.full(len(found), np.nan))
    with pytest.raises(DataError, match="e.g. of metric 'cka-rbf-2-biased-z', and of biased"):
        scale(raw, **asked, family=BIASED)
    moved = scale(raw, **asked, family=BIASED, raw=True)
    assert moved.answer.startswith("From 2 to 12 alignment moves to associative areas")
    assert moved.headline.value > 1
    above = scale(found, **asked, family=BIASED)
    debiased = scale(found, **asked)
    assert DEBIASED in debiased.source
    for finding in (above, debiased):
        assert "no shift between sensory and associative areas is shown" in finding.answer


def test_the_mean_of_the_layers_is_what_is_shifted(folders):
    record = Record(folders / "cnn")
    finding = scale(cells(folders, "cnn"), low=LOW, high=HIGH)
    rows = record.select(kind="alignment", step=5, metric=f"cka-rbf-{LOW}-debiased-z")
    values = {(s.subject, s.roi): [] for s in rows}
    for s in rows:
        values[s.subject, s.roi].append(s.value - s.chance)
    means = np.array([np.mean(v) for v in values.values()])
    z = dict(zip(values, (means - means.mean()) / means.std(ddof=1), strict=True))
    row = next(r for r in finding.details["regions"] if r["region"] == "D1")
    assert row["z_low"] == pytest.approx(np.mean([z[f"s{s}", "D1"] for s in range(4)]))


def test_depth_of_both_records(folders):
    found = cells(folders, "cnn", "gpt").where(metric="cka-rbf-12-debiased-z")
    finding = depth(found, groups=None)
    assert finding.headline.name == "profile distance over depth"
    assert {row["modality"] for row in finding.details["models"]} == {"text", "image"}
    assert "2 models, 4 subjects, 8 regions" in finding.source


def test_depth_at_the_command_line(folders, yeo, tmp_path, capsys):
    runs = [str(folders / "cnn"), str(folders / "gpt")]
    out = tmp_path / "depth"
    assert main(["findings", "depth", *runs, "--metric", "cka-rbf-12-debiased-z", "--out", str(out), "--details"]) == 0
    assert "profile distance over depth" in capsys.readouterr().out
    tables = {f"{name}.csv" for name in ("agreement", "curves", "distances", "models", "verdicts")}
    endings = (".png", ".svg", ".pdf", "-data.csv")
    figures = {f"depth-{name}{ending}" for name in ("curves", "distances") for ending in endings}
    assert {path.name for path in out.iterdir()} == tables | figures | {"finding.json"}
    assert main(["findings", "depth", *runs]) == 2
    assert "depth compares layers by one metric, got" in capsys.readouterr().err
    options = ["--metric", "cka-rbf-12-debiased-z", "--groups", str(yeo), "--json", "--step", "0"]
    assert main(["findings", "depth", runs[0], *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["network"] for row in found["details"]["curves"]} == {"Visual", "Default"}


def test_scale_at_the_command_line(folders, yeo, tmp_path, capsys):
    out, run = tmp_path / "scale", str(folders / "cnn")
    options = ["--low", str(LOW), "--high", str(HIGH), "--groups", str(yeo)]
    assert main(["findings", "scale", run, *options, "--out", str(out), "--details"]) == 0
    assert "associative minus sensory areas, shift from 2 to 12, z" in capsys.readouterr().out
    assert len(list(csv.DictReader((out / "regions.csv").read_text().splitlines()))) == 8
    assert {path.name for path in out.glob("*.png")} == {"scale-networks.png", "scale-regions.png"}
    named = [*options, "--sensory", "Default", "--associative", "Visual", "--json", "--layer", "early", "late"]
    assert main(["findings", "scale", run, *named, "--family", BIASED]) == 0
    assert "mean of Visual minus mean of Default" in json.loads(capsys.readouterr().out)["headline"]["how"]
    assert main(["findings", "scale", run]) == 2
    assert "no metric was scored at both 28 and 68" in capsys.readouterr().err


@pytest.mark.parametrize("question", ["depth", "scale"])
def test_inputs_that_cannot_be_used_are_one_clear_line(question, folders, tmp_path, capsys):
    def said(*options):
        assert main(["findings", question, *options]) == 2
        return capsys.readouterr().err

    run = str(folders / "cnn")
    assert "name records' folders, or --published shen2026, and not both" in said()
    assert "and not both" in said(run, "--published", "shen2026")
    more = ["--metric", "cka-rbf-12-debiased-z"] if question == "depth" else ["--low", "2", "--high", "12"]
    assert "there is no file" in said(run, *more, "--groups", str(tmp_path / "none.csv"))
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("area,yeo\nV1,Visual\n")
    assert "needs the columns roi,network; it has area, yeo" in said(run, *more, "--groups", str(wrong))
    wrong.write_text("roi,network\nV1,Visual\nV1,Limbic\n")
    assert "puts ROI 'V1' into 'Visual' and 'Limbic'" in said(run, *more, "--groups", str(wrong))
    assert "no cell has layer = ['nowhere']; there is" in said(run, *more, "--layer", "nowhere")


def test_published_tables_that_are_absent_are_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    for question, table in (("depth", "yeo7_depth"), ("scale", "regions_language")):
        assert main(["findings", question, "--published", "shen2026"]) == 2
        assert f"{table}.csv is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(("question", "words"), [("depth", "do deeper layers converge"), ("scale", "debiased form")])
def test_help_teaches(question, words, capsys):
    assert main(["findings", question, "--help"]) == 0
    text = capsys.readouterr().out
    for said in (
        words,
        "what each line means",
        "--published shen2026",
        "least p is .125" if question == "depth" else "V1",
    ):
        assert said in text
