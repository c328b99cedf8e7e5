"""`ontogeny findings regions`, `hierarchy` and `when`, on real records and on the published tables."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from ontogeny.cli import main
from ontogeny.record import Record, Score

ROIS = ("V1", "V2", "V4", "IT")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three subjects, four ROIs, five layers, 16 steps: layer and ROI go together, early ones rise first."""
    record = Record(tmp_path_factory.mktemp("run"), create=True)
    record.describe("planted", {"fingerprint": "f", "modality": "image"})
    rng = np.random.default_rng(0)
    steps = [0, *np.logspace(0, 4, 15).round().astype(int).tolist()]
    about = {"run": "a", "kind": "alignment", "benchmark": "planted", "fingerprint": "f", "metric": "ridge-gcv"}
    rows = []
    for step in dict.fromkeys(steps):
        for subject in ("S1", "S2", "S3"):
            for r, roi in enumerate(ROIS):
                for k in range(5):
                    height = 0.1 + 0.3 * np.exp(-(((k / 4 - r / 3) / 0.3) ** 2))
                    rise = 1 / (1 + np.exp(-(np.log10(step + 1) - 1.7 - 0.2 * r - 0.02 * k) / 0.2))
                    value = float(height * (rise + 0.02 * rng.standard_normal()))
                    named = {"subject": subject, "roi": roi, "layer": f"block{k}"}
                    rows.append(Score(**about, **named, step=step, value=value, chance=0.0))
    record.append(rows)
    return record.folder


def told(capsys, *argv):
    code = main(["findings", *map(str, argv), *([] if "--json" in argv else ["--details"])])
    out = capsys.readouterr().out
    return code, out if "--json" in argv else " ".join(out.split())


def refused(capsys, *argv):
    assert main(["findings", *map(str, argv)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ontogeny findings: ")
    assert said.count("\n") == 1
    return said


def test_regions_of_a_record(folder, tmp_path, capsys):
    code, out = told(capsys, "regions", folder, "--out", tmp_path)
    assert code == 0
    assert "Which regions does the model resemble most?" in out
    assert "source a, step 10000, planted: 3 subjects, 4 regions" in out
    assert (tmp_path / "regions.png").stat().st_size > 5000
    rows = list(csv.DictReader((tmp_path / "profile.csv").read_text().splitlines()))
    assert {row["roi"] for row in rows} == set(ROIS)
    assert json.loads((tmp_path / "finding.json").read_text())["headline"]["unit"] == "Kendall's W"


def test_regions_by_network_at_a_step(folder, tmp_path, capsys):
    groups = tmp_path / "groups.csv"
    groups.write_text("roi,network\nV1,early\nV2,early\nV4,late\nIT,late\n")
    out = told(capsys, "regions", folder, "--groups", groups, "--step", "0", "--layer", "block4", "--json")[1]
    found = json.loads(out)
    assert {row["roi"] for row in found["details"]["profile"]} == {"early", "late"}
    assert "layer block4" in found["estimates"][1]["how"]


def test_hierarchy_of_a_record(folder, tmp_path, capsys):
    out = told(capsys, "hierarchy", folder, "--order", "V1,V2,V4,IT", "--out", tmp_path)[1]
    assert "hierarchy score: 1 Spearman rho [1, 1], p = .083, n = 3 subjects" in out
    assert "4 regions have 24, the least p is 0.083" in out
    assert (tmp_path / "hierarchy.png").stat().st_size > 5000
    named = told(capsys, "hierarchy", folder, "--best", "others", "--roi", "V1", "V2", "IT")[1]
    assert "best layer of the other subjects" in named


def test_when_of_a_record(folder, tmp_path, capsys):
    out = told(capsys, "when", folder, "--order", "V1,V2,V4,IT", "--out", tmp_path)[1]
    assert "First of the regions: V1 (100% of draws)." in out
    assert "half points along the hierarchy: 1 Spearman rho" in out
    assert (tmp_path / "when.png").stat().st_size > 5000
    rows = list(csv.DictReader((tmp_path / "half_points.csv").read_text().splitlines()))
    assert len(rows) == 20


def test_no_pictures_where_none_are_wanted(folder, tmp_path, capsys):
    told(capsys, "regions", folder, "--out", tmp_path, "--no-pictures")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["finding.json", "profile.csv"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["regions"], "name records' folders"),
        (["when"], "name records' folders"),
        (["regions", "runs/a", "--published", "shen2026", "--modality", "vision"], "and not both"),
    ],
)
def test_what_is_missing_is_said(argv, words, capsys):
    assert words in refused(capsys, *argv)


def test_networks_need_a_table_of_them(folder, capsys):
    said = refused(capsys, "regions", folder, "--networks")
    assert "--networks are those of a published table; give --groups with a record" in said


def test_published_networks(capsys):
    argv = ["regions", "--published", "shen2026", "--modality", "vision", "--networks"]
    code, out = told(capsys, *argv, "--metric", "mutual_knn_20")
    if code == 2:
        pytest.skip("the published tables of regions are not on this machine")
    assert "4 subjects, 7 regions" in out
    said = refused(capsys, *argv, "--metric", "cka_36")
    assert "chance is not known of 28 of 28 cells, e.g. of metric 'cka_36'" in said
    assert "Biased CKA rises with the effective dimension" in told(capsys, *argv, "--metric", "cka_36", "--raw")[1]


@pytest.mark.parametrize("question", ["regions", "hierarchy", "when"])
def test_help_teaches(question, capsys):
    text = told(capsys, question, "--help")[1]
    assert f"ontogeny findings {question} runs/a" in text
    assert "what the answer means" in text
