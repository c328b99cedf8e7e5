"""Every public object prints in under a screen: one line, or a table; in a notebook too."""

from __future__ import annotations

import html.parser
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers import benchmarks
from tests.helpers.models import tiny_gpt, tokenizer

import ontogeny
from ontogeny import lag
from ontogeny._display import Table, one_line
from ontogeny.brain import Assembly, Geometry
from ontogeny.extraction.features import Site
from ontogeny.lag import Run, leads_map
from ontogeny.metrics import make_folds
from ontogeny.record import Event, Score
from ontogeny.stimuli import StimulusSet

MOST_LINES, MOST_CHARACTERS = 25, 2000
N, VOXELS = 3000, 5000


@pytest.fixture(scope="module")
def large():
    """A benchmark that would fill many screens: thousands of stimuli and voxels, many subjects and regions."""
    ids = tuple(f"stimulus number {i}" for i in range(N))
    stimuli = StimulusSet(name="large", modality="text", ids=ids, inputs=tuple(f"text {i} " * 30 for i in range(N)))
    rng = np.random.default_rng(0)
    roi = tuple(f"region {i % 40}" for i in range(400))
    made = [
        Assembly(
            name="large", subject=f"s{i}", stimulus_ids=ids, responses=rng.normal(size=(N, 400)).astype("f4"), roi=roi
        )
        for i in range(3)
    ]
    small = benchmarks.text_benchmark()
    return replace(small, stimuli=stimuli, assemblies=tuple(made), folds=make_folds(N), about="word " * 2000)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Many layers and regions, tasks, refusals with long reasons, and a branch."""
    folder = tmp_path_factory.mktemp("shown") / "r"
    made = ontogeny.Record(folder, create=True, run="shown")
    rng = np.random.default_rng(0)
    for step in np.unique(np.logspace(0, 3, 24).astype(int)).tolist():
        rows = [
            Score(run="shown", step=step, kind="alignment", benchmark="b", roi=f"r{i}", layer=f"l{j}", metric="m",
                  value=float(step / (step + 10 * (j + 1)) + 0.01 * rng.normal()), unit="r")
            for i in range(5) for j in range(8)
        ]  # fmt: skip
        loss = Score(
            run="shown",
            step=step,
            kind="task",
            metric="loss",
            value=float(5 - step / (step + 300) + 0.01 * rng.normal()),
        )
        refusal = Event(run="shown", step=step, kind="refusal", layer="x", note="why " * 500)
        made.append([*rows, loss, refusal, Event(run="shown", step=step, kind="probe", metric="seconds", value=1.0)])
    made.leave_behind(900, before=made.written, note="because " * 100)
    made.describe("b", {"fingerprint": "f" * 16})
    return made


def is_one_line(text):
    assert "\n" not in text
    assert 0 < len(text) <= MOST_CHARACTERS
    return text


def is_table(shown, *, names):
    text, page = str(shown), shown._repr_html_()
    assert 1 < len(text.splitlines()) <= MOST_LINES
    assert max(map(len, text.splitlines())) <= 200
    parser = html.parser.HTMLParser()
    parser.feed(page)
    assert page.count("<tr>") == page.count("</tr>") >= 1
    for name in names:
        assert name in text
        assert name in page
    return text


def test_a_benchmark_is_a_table_of_subjects_and_regions(large):
    text = is_table(large, names=("tiny-text", "s0", "region 0", "shuffled folds", "... and 102 more rows"))
    assert is_one_line(repr(large)).startswith("Benchmark(name='tiny-text'")
    assert "measured" in text or "simulated" in text


def test_a_record_is_a_table_of_what_it_holds(record):
    is_table(record, names=("run 'shown'", "loss (", "branch 1", "f" * 16, "refusals"))
    assert str(record.folder) in is_one_line(repr(record))
    assert record.facts()["scores"] == f"{len(record):,}"


def test_what_a_lag_analysis_says_is_a_table(record):
    found = leads_map(record, surrogates=19)
    assert len(found.cells) == 40
    assert str(found).splitlines()[0].startswith(f"{found.answer.outcome.capitalize()}: in ")
    assert "Declare one primary" in " ".join(str(found).split())
    assert "... and 22 more rows" in found._repr_html_()
    assert "cells=40" in is_one_line(repr(found))
    one = lag.compare(record, roi="r1", layer="l3", surrogates=19)
    assert one.trend.verdict in is_one_line(repr(one))
    assert one.trend.verdict in one._repr_html_()
    runs = [
        Run(
            name=f"seed {i}",
            steps=record.series(roi="r1", layer=f"l{i}").steps,
            alignment=record.series(roi="r1", layer=f"l{i}").values,
            performance=-record.series(kind="task").values,
            higher_is_better=True,
        )
        for i in range(3)
    ]
    several = lag.compare(runs, surrogates=19)
    assert "runs=3" in is_one_line(repr(several))
    assert "seed 2" in several._repr_html_()


def test_everything_else_is_one_line(large, record, tmp_path):
    small = benchmarks.text_benchmark()
    probe = ontogeny.Probe(stimuli=small.stimuli, reader=tokenizer)
    features = probe(tiny_gpt())
    wide = ontogeny.Features(
        stimulus_ids=large.stimuli.ids,
        values={Site(f"layer {i}", "mean"): torch.zeros(N, 4) + torch.arange(N)[:, None] for i in range(60)},
        refused={Site("bad", "mean"): "reason " * 1000},
    )
    rdm = np.abs(np.subtract.outer(np.arange(50.0), np.arange(50.0)))
    geometry = Geometry(name="g", subject="s", roi="IT", stimulus_ids=tuple(map(str, range(50))), rdm=rdm)
    monitor = ontogeny.Monitor(small, record=tmp_path / "m", tokenizer=tokenizer, task=False)
    shown = {
        "Assembly": large.assemblies[0],
        "Benchmark": large,
        "Features": wide,
        "Geometry": geometry,
        "HeldOutLoss": ontogeny.HeldOutLoss([(torch.zeros(500, 20), torch.zeros(500))]),
        "Monitor": monitor,
        "Probe": probe,
        "Record": record,
        "Score": record.scores[0],
        "Series": record.series(roi="r0", layer="l0"),
        "StimulusSet": large.stimuli,
    }
    classes = {name for name in ontogeny.__all__ if isinstance(getattr(ontogeny, name), type)}
    assert set(shown) == classes, "every public class is here"
    for name, one in shown.items():
        assert is_one_line(repr(one)).startswith(f"{name}(")
    prepared = small.prepare()
    more = [large.folds, prepared, features, monitor.watched[0], record.events()[0], prepared.targets[0]]
    for one in more:
        is_one_line(repr(one))
    assert repr(large.folds) == "Folds(held_out=<3000>, how='5 shuffled folds, seed 0')"
    assert "layer 3" not in repr(wide), "60 layers are a number"


def test_a_table_is_cut_to_a_screen_and_safe_in_a_notebook():
    table = Table(
        title="t <b>", columns=("a", "b"), rows=[(f"<script>{i}", "x" * 500) for i in range(100)], notes=("n",)
    )
    lines = str(table).splitlines()
    assert lines[0] == "t <b>"
    assert lines[-2:] == ["... and 82 more rows", "n"]
    assert max(map(len, lines)) < 90
    assert "<script>" not in table.html()
    assert "&lt;script&gt;0" in table.html()
    assert str(Table(title="nothing", rows=[])) == "nothing"


def test_one_line_shows_small_values_and_counts_large_ones():
    folds = make_folds(10, n_folds=2)
    assert one_line(replace(folds, held_out=(0, 1), how="two\nlines")) == "Folds(held_out=(0, 1), how='two\\nlines')"
