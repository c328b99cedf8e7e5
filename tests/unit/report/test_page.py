"""The page and the pictures, looked at by a real browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.test_run_data import score

from ontogeny.cli import main
from ontogeny.errors import RecordError
from ontogeny.record import Event, Record, Score
from ontogeny.report import find_records, write_report

EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


def browse(page):
    """The page after its scripts ran in Chromium without a network, and what the console said."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def fill(record: Record, *, layer: str = "one", roi: str = "IT") -> Record:
    record.describe("b", {"fingerprint": "f", "simulated": True, "about": f"about {layer}"})
    for step in (0, 1, 10, 100):
        value = 0.1 + step / 400
        record.append(
            [
                *(score(run=record.run, step=step, subject=s, layer=layer, roi=roi, value=value) for s in "ab"),
                score(run=record.run, step=step, layer="two", subject="a", roi=roi, value=value / 2, ceiling=0.6),
                score(run=record.run, step=step, kind="control", layer="permuted stimuli", roi=roi, value=0.0),
                score(run=record.run, step=step, kind="confound", metric="participation ratio", roi="", value=3.0),
                Score(run=record.run, step=step, kind="task", metric="loss", value=3 - value, unit="nats"),
                Event(run=record.run, step=step, kind="probe", metric="seconds", value=0.5),
            ]
        )
    return record


def asked(run: str, *, modality: str, loss: float, lift: float = 0.0) -> Iterator[Score]:
    """Four subjects, four regions and three layers; deeper layers for later regions."""
    rng = np.random.default_rng(int(loss * 10))
    for subject, (place, roi), (depth, layer) in product(
        "abcd", enumerate(("V1", "V2", "V4", "LO")), enumerate(("x", "y", "z"))
    ):
        value = lift + 0.3 - 0.1 * abs(place - depth) + 0.01 * rng.standard_normal()
        common = {"subject": subject, "roi": roi, "layer": layer, "benchmark": modality, "metric": "rsa", "chance": 0.0}
        yield score(run=run, step=9, value=value, **common)
        for width in (28, 68):
            metric = f"cka-rbf-{width}-debiased-z"
            yield score(run=run, step=9, value=value / width, **{**common, "metric": metric})
    yield Score(run=run, step=9, kind="task", metric="loss", value=loss, unit="nats")


def rising(run: str) -> Iterator[Score]:
    """What rises at its time in two regions, and nothing in the third; none of them has a place in a hierarchy."""
    rng = np.random.default_rng(0)
    for step in (0, *np.unique(np.logspace(0, 3, 30).round()).astype(int).tolist()):
        for subject, (roi, half), layer in product("abc", (("shape", 10), ("colour", 100), ("sound", None)), "xyz"):
            rise = 0.0 if half is None else 0.4 / (1 + np.exp(-5 * (np.log10(step + 1) - np.log10(half))))
            named = {"subject": subject, "roi": roi, "layer": layer, "benchmark": "image", "metric": "rsa"}
            value = rise + 0.005 * rng.standard_normal()
            yield score(run=run, step=step, value=value, **named)


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)")
def test_chromium_draws_the_findings_also_of_regions_without_a_place(tmp_path):
    record = Record(tmp_path / "run", create=True)
    record.describe("image", {"fingerprint": "f", "simulated": True, "about": "a", "modality": "image"})
    record.append(rising(record.run))
    files = write_report(record.folder)
    assert "run-image-when.png" in {path.name for path in files.pngs}
    dom, console = browse(files.html)
    charts = re.findall(r'<div class="chart[ "][^>]*>', dom)
    assert len(charts) == len(files.pngs) + 2  # those of the explorer
    assert all('data-state="drawn"' in chart for chart in charts), charts
    assert not console, console


def asked_record(folder: Path, *, modality: str = "image", **options: float) -> Record:
    record = Record(folder, create=True)
    record.describe(modality, {"fingerprint": "f", "simulated": True, "about": "a", "modality": modality})
    record.append(asked(record.run, modality=modality, **options))
    return record


def test_questions_that_a_record_can_answer_have_a_row_and_pictures(tmp_path):
    asked_record(tmp_path / "run", loss=1.0)
    made = write_report(tmp_path / "run")
    text = made.html.read_text(encoding="utf-8")
    part = text[text.index("<h2>More questions</h2>") :]
    for question in (
        "Which regions does the model resemble most?",
        "How does alignment change with depth",
        "As the repr",
    ):
        assert question in part
    names = {path.name for path in made.pngs}
    assert {"run-image-regions.png", "run-image-depth-curves.png", "run-image-scale-networks.png"} <= names


def test_seeds_of_one_model_are_not_asked_whether_better_models_align_better(tmp_path):
    for number in range(6):
        asked_record(tmp_path / f"seed-{number}", loss=3.0 - 0.3 * number)
    text = write_report(tmp_path).html.read_text(encoding="utf-8")
    assert "better models" not in text.casefold()
    assert text.count("Which regions does the model resemble most?</h3>") <= 1
    assert '"run":"seed-5"' in text


@pytest.mark.long
def test_of_very_many_regions_the_page_does_not_ask_when(tmp_path, monkeypatch):
    monkeypatch.setattr("ontogeny.report.findings.findings_section._MOST_ROIS", 3)
    asked_record(tmp_path / "run", loss=1.0)
    text = write_report(tmp_path / "run").html.read_text(encoding="utf-8")
    assert "image, rsa, when: more than 3 regions; ask `ontogeny findings when RECORD --roi ...` of some" in text


@pytest.mark.long
def test_questions_of_several_records_stand_first(tmp_path):
    for number in range(6):
        record = asked_record(tmp_path / f"model-{number}", loss=3.0 - 0.3 * number, lift=0.05 * number)
        record.note("parameters", 1000 * (number + 1))
    text = write_report(tmp_path).html.read_text(encoding="utf-8")
    part = text[text.index("<h2>More questions</h2>") :]
    assert part.index("Do better models align better?") < part.index("Which regions does the model resemble most?")


def test_a_page_of_one_region_names_no_other(tmp_path, capsys):
    fill(fill(Record(tmp_path / "run", create=True)), roi="V4")
    assert main(["report", str(tmp_path / "run"), "--roi", "V4"]) == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Alignment with V4" in text
    assert '"roi":"IT"' not in text
    assert "Questions that these records cannot answer" in text
    assert "b, rsa, which regions: " in text
    assert main(["report", str(tmp_path / "run"), "--roi", "V44"]) == 2
    assert "roi: Did you mean 'V4'" in capsys.readouterr().err


FIGURES = ("b-rsa-IT-key", "b-rsa-levels", "run-b-dimensions")


def test_one_record_becomes_a_page_figures_and_tables(tmp_path, capsys):
    fill(Record(tmp_path / "run", create=True))
    assert main(["report", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "3 figures in" in said[-2]
    assert said[-1] == "Not yet: 4 checkpoints with both, 12 are needed. Train on, or probe more often."
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    body = text[text.index("<body>") :]
    assert body.index("SIMULATED") < body.index("<h1>")
    assert f"<h1>{said[-1]}</h1>" in body
    made = {p.name for p in (tmp_path / "run" / "figures").iterdir()}
    assert made == {f"{name}{ending}" for name in FIGURES for ending in (".png", ".svg", ".pdf", "-data.csv")}
    assert {p.name for p in (tmp_path / "run" / "tables").iterdir()} == {"curves.csv", "layers.csv", "regions.csv"}
    begins = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
    for name, ending in product(FIGURES, begins):
        content = (tmp_path / "run" / "figures" / f"{name}.{ending}").read_bytes()
        assert content.startswith(begins[ending])
        assert len(content) > 2000


def test_a_folder_of_records_becomes_one_page_elsewhere(tmp_path):
    for name in ("a", "b"):
        fill(Record(tmp_path / "runs" / name, create=True))
    files = write_report(tmp_path / "runs", tmp_path / "out")
    assert files.html == tmp_path / "out" / "report.html"
    assert "b-rsa-runs.png" in {png.name for png in files.pngs}
    assert [record.run for record in find_records(tmp_path / "runs")] == ["a", "b"]
    assert files.html.read_text(encoding="utf-8").count("<h1>") == 1


def test_names_out_of_a_record_neither_run_nor_leave_their_folder(tmp_path):
    record = Record(tmp_path / "run", create=True, run=f"../../{EVIL}")
    fill(record, layer=EVIL, roi="../../etc")
    files = write_report(tmp_path / "run")
    text = files.html.read_text(encoding="utf-8")
    assert EVIL not in text
    assert "<img src=x" not in text
    assert html.escape(EVIL) in text
    assert all(png.resolve().parent == tmp_path / "run" / "figures" for png in files.pngs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_a_record_without_alignment_shows_its_task(tmp_path):
    record = Record(tmp_path / "run", create=True)
    rows = [Score(run="run", step=s, kind="task", metric="loss", value=3.0 - s, unit="nats") for s in (0, 1)]
    record.append([*rows, Event(run="run", step=1, kind="refusal", layer="(whole probe)", note="it broke")])
    files = write_report(tmp_path / "run")
    assert [png.name for png in files.pngs] == ["run-task.png"]
    assert "it broke" in files.html.read_text(encoding="utf-8")


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(RecordError, match="no record at .* nor in the folders right below it"):
        write_report(tmp_path)
    with pytest.raises(RecordError, match="no record at"):
        write_report(tmp_path / "missing")
    Record(tmp_path / "run", create=True)
    with pytest.raises(RecordError, match="no score in .* yet"):
        write_report(tmp_path / "run")


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)")
def test_chromium_draws_every_picture_without_a_network(tmp_path):
    record = fill(Record(tmp_path / "run", create=True, run=EVIL), layer=EVIL)
    files = write_report(record.folder)
    dom, console = browse(files.html)
    states = re.findall(r'data-state="(\w+)"', dom)
    assert states == ["drawn"] * 5
    assert dom.count("<svg") >= 5
    assert not console, console
    text = files.html.read_text(encoding="utf-8")
    outside = re.findall(
        r'(?:src|href)\s*=\s*["\'](?:https?:)?//[^"\']+', text[: text.rindex('<script type="module">')]
    )
    assert not outside
