"""Leads on the page and as pictures."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.lag.test_across_runs import record_of, runs_of
from tests.unit.report.test_page import browse

from ontogeny.lag import Run, leads_map, leads_over_runs, run_leads
from ontogeny.report import write_figures, write_report
from ontogeny.report.lead_figures import map_figure, pair_figures, runs_figure
from ontogeny.simulated.planted_leads import planted_lead


def run_of(kind, n=30, **options):
    world = planted_lead(kind, n, seed=1, **options)
    return Run(name=kind, steps=world.steps, alignment=world.alignment, performance=world.performance)


def noise():
    """A pair whose alignment does not rise."""
    return replace(
        planted_lead("lead_trend", 30, seed=1), alignment=0.01 * np.random.default_rng(0).standard_normal(30)
    )


def test_a_pair_is_drawn_with_its_fits_bands_and_verdict(tmp_path):
    run = run_of("lead_both", 60, lead=2)
    found = run_leads(run, surrogates=99)
    figures = pair_figures(run, found, name="pair")
    assert "alignment first: half-way in " in figures[0].caption
    spec = json.dumps(figures[0].chart.to_dict())
    for text in ("both curves, and when they are half-way", "residuals after both fits", "trend lead: alignment leads"):
        assert text in spec
    assert write_figures(figures, tmp_path)[0].stat().st_size > 20000


def test_a_refused_pair_says_so_in_the_picture_and_a_short_one_is_not_drawn(tmp_path):
    world = noise()
    run = Run(name="flat", steps=world.steps, alignment=world.alignment, performance=world.performance)
    found = run_leads(run, surrogates=19)
    figures = pair_figures(run, found, name="walk")
    assert "refused:" in json.dumps(figures[0].chart.to_dict())
    assert write_figures(figures, tmp_path)[0].exists()
    short = Run(name="few", steps=run.steps[:8], alignment=run.alignment[:8], performance=run.performance[:8])
    assert pair_figures(short, run_leads(short, surrogates=19), name="few") == []


def test_runs_are_dots_and_a_pooled_one(tmp_path):
    found = leads_over_runs(runs_of("lead_trend", 4), surrogates=19)
    figure = runs_figure(found, "seeds")
    rows = [row for layer in figure.chart.to_dict()["layer"] for row in layer["data"].get("values", [])]
    assert {"r0", "r1", "r2", "r3", "all runs"} == {row["run"] for row in rows if "run" in row}
    assert write_figures([figure], tmp_path)[0].exists()
    flat = [replace(r, alignment=noise().alignment) for r in runs_of("lead_trend", 3)]
    none = runs_figure(leads_over_runs(flat, surrogates=19), "flat")
    assert "refused" in none.caption
    assert write_figures([none], tmp_path)[0].exists()


def test_a_map_shows_leads_and_refusals(tmp_path):
    cells = [
        ("V1", "one", planted_lead("lead_trend", 30, seed=1)),
        ("IT", "one", noise()),
    ]
    found = leads_map(record_of(tmp_path / "r", cells), surrogates=19)
    figure = map_figure(found, "run")
    rows = figure.chart.to_dict()["data"]["values"]
    assert [row["lead"] is None for row in rows] == [False, True]
    assert write_figures([figure], tmp_path)[0].exists()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_the_page_says_which_moves_first(tmp_path):
    record_of(tmp_path / "r", [("IT", "head", planted_lead("lead_trend", 30, seed=1, lead=2))])
    files = write_report(tmp_path / "r")
    assert "b-rsa-IT-lead.png" in {p.name for p in files.pngs}
    text, errors = browse(files.html)
    assert not errors
    assert "Yes, in this run: the model is half-way to its alignment with IT in" in text
    assert "alignment first: half-way in " in text
    assert "precedence, not cause" in text


def test_a_folder_of_seeds_is_pooled_under_the_names_of_its_folders(tmp_path):
    for run in range(3):
        worlds = [planted_lead("lead_trend", 30, seed=1, lead=2, run=run), noise()]
        record_of(tmp_path / "runs" / f"seed{run}", [("IT", "head", worlds[0]), ("IT", "stem", worlds[1])])
    files = write_report(tmp_path / "runs")
    names = {png.name for png in files.pngs}
    assert {"b-rsa-IT-key.png", "b-rsa-runs.png"} <= names
    assert files.answers[0].startswith("Yes, over 3 runs: the model is half-way to its alignment with IT in")
    text = files.html.read_text(encoding="utf-8")
    for name in ("seed0", "seed1", "seed2"):
        assert f'"run":"{name}"' in text
