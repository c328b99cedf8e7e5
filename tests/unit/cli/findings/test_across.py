"""`ontogeny findings across` and `modality`: out of tables, records and publications; what they print and write."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import DataError
from ontogeny.findings import models_of_records
from ontogeny.record import Score

METRIC = "cka-linear-debiased"
SUBJECTS, ROIS, LAYERS = ("s1", "s2", "s3"), ("V1", "IT"), ("a", "b")


def told(capsys, *arguments):
    code = main(["findings", *map(str, arguments), *([] if "--json" in arguments else ["--details"])])
    out, err = capsys.readouterr()
    return code, out if "--json" in arguments else " ".join(out.split()), err


def record(
    folder, name, *, level, modality="image", benchmark="b", chance=0.05, task=True, metrics=("cka-linear-debiased",)
):
    """Two steps of a model; at the last every layer b has `level` above chance and layer a less."""
    made = Record(folder / name, create=True)
    made.describe(benchmark, {"fingerprint": "f", "modality": modality})
    made.note("parameters", int(1e6 * (1 + level**2)))
    same = {"run": made.run, "benchmark": benchmark, "fingerprint": "f"}
    for step in (0, 10):
        cells = [(s, r, layer, m) for s in SUBJECTS for r in ROIS for layer in LAYERS for m in metrics]
        made.append(
            Score(
                **same,
                step=step,
                kind="alignment",
                subject=s,
                roi=r,
                layer=layer,
                pooling="mean",
                metric=m,
                unit="CKA",
                value=chance + level * (step / 10) * (1.0 if layer == "b" else 0.4) + 0.001 * i,
                chance=chance,
            )
            for i, (s, r, layer, m) in enumerate(cells)
        )
        made.append(
            Score(
                **same,
                step=step,
                kind="confound",
                layer=layer,
                pooling="mean",
                metric="participation ratio",
                value=3.0 + (7 * level) % 1,
            )
            for layer in LAYERS
        )
        if task:
            made.append([Score(run=made.run, step=step, kind="task", metric="loss", value=2.0 - level, unit="nats")])
    return made


@pytest.fixture
def records(tmp_path):
    levels = np.random.default_rng(0).random(9)
    return [record(tmp_path, f"net{i}x-{i}", level=float(level)) for i, level in enumerate(levels)]


def test_help_teaches(capsys):
    for question, line in (("across", "what each line means:"), ("modality", "--pair-benchmarks")):
        assert main(["findings", question, "--help"]) == 0
        assert line in capsys.readouterr().out


def test_across_the_studys_models_is_printed_and_written(tmp_path, capsys):
    code, out, err = told(capsys, "across", "--published", "shen2026", "--out", tmp_path / "o")
    assert (code, err) == (0, "")
    assert "average, 36 models in 7 families: r = 0.89 [0.81, 0.93]" in out
    assert "given log parameters, r = 0.54 [0.27, 0.73] is left" in out
    rows = list(csv.DictReader((tmp_path / "o" / "correlations.csv").read_text().splitlines()))
    assert {row["benchmark"] for row in rows} > {"average", "elo", "log parameters"}
    assert (tmp_path / "o" / "across-shen2026-36-language-models.png").stat().st_size > 20_000
    assert json.loads((tmp_path / "o" / "finding.json").read_text())["headline"]["n"] == 36


def test_a_table_of_ones_own(tmp_path, capsys):
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["model", "rsa", "acc", "ppl", "width"])
        for i in range(12):
            better = rng.random()
            table.writerow([f"{'abcdef'[i % 6]}-{i}", better, better + 0.01 * i, 1 / (better + 0.1), 2**i])
    options = ("--alignment", "rsa", "--performance", "acc", "ppl", "--lower-is-better", "ppl", "--given", "width")
    code, out, err = told(capsys, "across", path, *options, "--json")
    assert (code, err) == (0, "")
    finding = json.loads(out)
    assert {e["name"] for e in finding["estimates"]} >= {
        "Pearson r, acc",
        "Pearson r, minus ppl",
        "partial Pearson r given log width, acc",
    }
    assert finding["headline"]["value"] > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name one table, records' folders, or --published shen2026"),
        (("x.csv", "--published", "shen2026"), "name one table, records' folders, or --published shen2026"),
        (("x.csv", "y.csv"), "one table at a time"),
        (("no.csv",), "no.csv cannot be read as CSV"),
        (("--published", "shen2026", "--headline", "bbh"), "there is no performance 'bbh'"),
    ],
)
def test_across_says_what_is_wrong_in_one_line(arguments, message, capsys):
    code, _, err = told(capsys, "across", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_an_empty_table_is_refused(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("model,rsa\n")
    assert (
        "has no rows; a line of names and a line per model are expected"
        in told(capsys, "across", tmp_path / "t.csv")[2]
    )


def test_records_are_models_at_their_last_step_with_chance_off(records, capsys):
    models = models_of_records(records)
    levels = np.random.default_rng(0).random(9)
    offsets = np.arange(12)[1::2] * 0.001
    assert models.alignment == pytest.approx(levels + offsets.mean())
    assert models.performance["minus loss"] == pytest.approx(levels - 2)
    assert models.given["participation ratio"] == pytest.approx(3 + 7 * levels % 1)
    assert (models.chance_removed, models.metric) == (True, "cka-linear-debiased")
    code, out, err = told(capsys, "across", *(r.folder for r in records), "--alone")
    assert (code, err) == (0, "")
    assert "Pearson r, minus loss: 1 r" in out
    assert "partial Spearman rho given log parameters, minus loss: a variable is the same for all models, or" in out


def test_runs_of_one_size_have_no_size_to_take_out(records, capsys):
    for made in records:
        made.note("parameters", 1000)
    code, out, _ = told(capsys, "across", *(r.folder for r in records), "--alone")
    assert code == 0
    assert "parameters is the same for all models, so its part is not identified." in out
    assert "given log parameters" not in out
    code, out, _ = told(capsys, "across", *(r.folder for r in records[:5]), "--alone")
    assert "participation ratio is known of 5 models with alignment; more than 5 are needed to take it out." in out


def test_records_that_cannot_be_models_are_refused(tmp_path):
    two = record(tmp_path, "two", level=0.1, metrics=("m", "n"))
    with pytest.raises(DataError, match=r"models are compared by one metric; the records hold \['m', 'n'\]: name one"):
        models_of_records([two])
    assert models_of_records([two], metric="m").metric == "m"
    bare = record(tmp_path, "bare", level=0.1, task=False)
    with pytest.raises(DataError, match="no record has a task at its last step; performance is needed"):
        models_of_records([bare])
    empty = Record(tmp_path / "empty", create=True)
    with pytest.raises(DataError, match="empty holds no alignment score; the first probe writes some"):
        models_of_records([empty])
    one, other = record(tmp_path, "one", level=0.1), Record(tmp_path / "other", create=True)
    kept = [s for s in one.select() if s.kind != "alignment"]
    moved = [
        Score(**{n: getattr(s, n) for n in s.__slots__} | {"roi": f"x{s.roi}"}) for s in one.select(kind="alignment")
    ]
    other.describe("b", {"fingerprint": "f", "modality": "image"})
    other.append([*kept, *moved])
    with pytest.raises(DataError, match="the models share no roi: "):
        models_of_records([one, other])


def test_records_without_chance_are_models_only_if_raw_is_said(records, tmp_path, capsys):
    made = Record(tmp_path / "unknown", create=True)
    made.describe("b", {"fingerprint": "f", "modality": "image"})
    made.append(
        Score(**{n: getattr(s, n) for n in s.__slots__} | {"run": made.run, "chance": None})
        for s in records[0].select()
    )
    with pytest.raises(DataError, match="chance is not known of 12 of 12 cells, e.g. of metric 'cka-linear-debiased'"):
        models_of_records([made])
    assert not models_of_records([made], raw=True).chance_removed
    code, _, err = told(capsys, "across", made.folder, *(r.folder for r in records[1:]), "--raw")
    assert code == 2
    assert "choose one kind with where(metric=...)" in err


def test_modality_of_records_of_two_benchmarks_of_the_same_responses(tmp_path, capsys):
    made = [record(tmp_path, "gpt", level=0.3, modality="text", benchmark="nsd-text", chance=0.4)]
    made += [record(tmp_path, "vit", level=0.2, modality="image", benchmark="nsd-image")]
    folders = [r.folder for r in made]
    assert "both modalities need the same one benchmark" in told(capsys, "modality", *folders)[2]
    code, out, err = told(capsys, "modality", *folders, "--pair-benchmarks", "--out", tmp_path / "o")
    assert (code, err) == (0, "")
    assert "text minus image: 0.1 cka-linear-debiased above chance" in out
    assert "text is above in 2 of 2 regions, 3 of 3 subjects" in out
    assert (tmp_path / "o" / "modality-cka-linear-debiased.png").stat().st_size > 10_000
    assert (tmp_path / "o" / "regions.csv").read_text().startswith("roi,text,image,difference,")
    told(capsys, "modality", *folders, "--pair-benchmarks", "--out", tmp_path / "p", "--no-pictures")
    assert not list((tmp_path / "p").glob("*.png"))


def test_modality_needs_records_or_a_publication(capsys):
    assert "name records' folders, or --published shen2026" in told(capsys, "modality")[2]
