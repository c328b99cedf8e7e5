"""What every question prints and writes."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ontogeny.cli.findings._output import Output, deliver
from ontogeny.findings import Estimate, Finding
from ontogeny.report import Figure
from ontogeny.report.figures import altair

HEADLINE = Estimate(
    name="slope", value=-0.1234, unit="r", low=-0.2, high=math.nan, p=0.0004, q=0.05, n=4, of="subjects", how="by flips"
)
BARE = Estimate(name="mean", value=2.0, unit="z", n=1, of="subject", how="no test")
FINDING = Finding(
    question="Does it?",
    answer="It does.",
    headline=HEADLINE,
    estimates=(HEADLINE, BARE),
    else_explains=("Noise.", "Chance."),
    cannot_tell=("Why.",),
    details={
        "rows": ({"name": 'a,"b"', "value": math.nan}, {"name": "c", "value": 1.5, "more": None}),
        "none": (),
    },
    source="a world",
)


def test_the_text_says_all_of_a_finding_in_the_order_of_reading(capsys):
    deliver(FINDING, lambda _: (), Output(details=True))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "It does.",
        "",
        "asked            Does it?",
        "estimates        slope: −0.123 r [−0.2, nan], p < .001, q = .050, n = 4 subjects",
        "                 mean: 2 z, n = 1 subject",
        "how              by flips",
        "else explains    Noise.",
        "                 Chance.",
        "cannot tell      Why.",
        "source           a world",
    ]
    deliver(FINDING, lambda _: (), Output())
    short = capsys.readouterr().out.splitlines()
    assert short[:3] == lines[:3]
    assert short[-1] == "next             --details shows 2 estimates and how they were made"


def test_without_limits_there_is_no_empty_heading(capsys):
    deliver(replace(FINDING, cannot_tell=()), lambda _: (), Output())
    assert "cannot tell" not in capsys.readouterr().out


def test_p_keeps_its_leading_one_and_loses_its_zero_only():
    assert replace(BARE, p=1.0).text() == "2 z, p = 1.000, n = 1 subject"
    assert replace(BARE, p=0.0304).text() == "2 z, p = .030, n = 1 subject"


def test_json_is_json_with_nothing_that_json_lacks(capsys):
    deliver(FINDING, lambda _: (), Output(as_json=True))
    text = capsys.readouterr().out
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["headline"]["high"] is None
    assert found["headline"]["value"] == HEADLINE.value
    assert found["details"]["rows"] == [{"name": 'a,"b"', "value": None}, {"name": "c", "value": 1.5, "more": None}]
    assert [e["name"] for e in found["estimates"]] == ["slope", "mean"]


def test_with_out_everything_is_written_and_named(tmp_path, capsys):
    chart = altair().Chart(altair().Data(values=[{"x": 1}])).mark_point().encode(x="x:Q")
    figure = Figure(name="one", title="t", caption="c", chart=chart)
    folder = tmp_path / "new" / "folder"
    deliver(FINDING, lambda _: [figure], Output(out=folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "finding.json",
        "none.csv",
        "one-data.csv",
        "one.pdf",
        "one.png",
        "one.svg",
        "rows.csv",
    ]
    assert json.loads((folder / "finding.json").read_text())["answer"] == "It does."
    rows = list(csv.DictReader((folder / "rows.csv").read_text().splitlines()))
    assert rows == [{"name": 'a,"b"', "value": "", "more": ""}, {"name": "c", "value": "1.5", "more": ""}]
    assert (folder / "one.png").read_bytes()[:4] == b"\x89PNG"
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"Wrote {', '.join(str(folder / n) for n in ('finding.json', 'rows.csv', 'none.csv', 'one.png'))}."


def test_with_json_and_out_what_is_printed_stays_json(tmp_path, capsys):
    deliver(FINDING, lambda _: (), Output(as_json=True, out=tmp_path))
    captured = capsys.readouterr()
    assert json.loads(captured.out)["source"] == "a world"
    assert captured.err.startswith("\nWrote ")


def test_numbers_of_numpy_are_written_as_numbers(capsys):
    row = {"count": np.int64(3), "share": np.float32(0.5), "none": np.float64("inf"), "yes": np.bool_(True)}
    deliver(replace(FINDING, details={"rows": (row,)}), lambda _: (), Output(as_json=True))
    found = json.loads(capsys.readouterr().out)["details"]["rows"]
    assert found == [{"count": 3, "share": 0.5, "none": None, "yes": True}]
