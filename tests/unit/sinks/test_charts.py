"""The shipped specifications, filled with data and drawn."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import vl_convert
from PIL import Image

from ontogeny.errors import ConfigError
from ontogeny.lag import Run, shares
from ontogeny.record import Score
from ontogeny.record.curve_groups import curve_groups
from ontogeny.simulated.planted_leads import planted_lead
from ontogeny.sinks._chart_data import band_chart as band_chart_of
from ontogeny.sinks._chart_data import lag_chart
from ontogeny.sinks.charts import BAND, LAG, TITLES, Chart, as_lines, filled, png, spec_text, two_lines

STEPS = [0, *np.unique(np.logspace(0, 4, 14).astype(int)).tolist()]


def panel(*, layers=3, subjects=4, ceiling=(0.5, 0.6), steps=STEPS, **columns):
    common = {
        "run": "r", "benchmark": "b", "roi": "IT", "metric": "rsa", "unit": "Spearman rho", "n_stimuli": 92,
        "chance": 0.0, "ceiling_lower": ceiling[0], "ceiling": ceiling[1], **columns,
    }  # fmt: skip
    rows = [
        Score(
            **common,
            step=s,
            kind="alignment",
            layer=f"net.{i}",
            subject=str(u),
            value=0.3 * i / (1 + 99 / (s + 1)) + 0.01 * u,
        )
        for s in steps
        for i in range(layers)
        for u in range(subjects)
    ]
    base = [
        Score(**common, step=0, kind="baseline", layer="pixels", subject=str(u), value=0.02) for u in range(subjects)
    ]
    (found,) = curve_groups([*rows, *base])
    return found


def band_chart(found) -> Chart:
    return band_chart_of(found, "IT.rsa")


def lag(n=30) -> Chart:
    world = planted_lead("lead_trend", n, seed=1)
    run = Run(name="IT · rsa against loss", steps=world.steps, alignment=world.alignment, performance=world.performance)
    return lag_chart(shares(run))


CHARTS = {BAND: lambda: band_chart(panel()), LAG: lag}


def texts(chart: Chart) -> list[str]:
    """All words of the drawn picture."""
    svg = vl_convert.vegalite_to_svg(filled(chart))
    found = re.findall(r"<t(?:ext|span)[^>]*>([^<]+)</", svg)
    return [html.unescape(text) for text in found]


@pytest.mark.parametrize("name", TITLES)
def test_specifications_follow_the_conventions_of_wandb(name):
    spec = json.loads(spec_text(name))
    assert spec["data"] == {"name": "wandb"}
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/v5")
    chart = CHARTS[name]()
    used = set(re.findall(r"\$\{field:(\w+)\}", spec_text(name)))
    assert used == set(chart.columns)
    assert set(re.findall(r"\$\{string:(\w+)\}", spec_text(name))) == set(chart.strings)
    assert all(list(row) == chart.columns for row in chart.rows)


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("version", ["5.8", "5.21", "6.4"])
def test_they_are_drawn_by_every_vega_lite_from_5_8_on_without_a_complaint(name, version, capfd):
    spec = filled(CHARTS[name]())
    assert "${" not in json.dumps(spec)
    assert len(vl_convert.vegalite_to_png(spec, vl_version=version)) > 10_000
    assert "WARN" not in capfd.readouterr().err


@pytest.mark.parametrize("name", TITLES)
def test_names_of_columns_are_free(name):
    """On a page, columns may be chosen by hand."""
    chart = CHARTS[name]()
    text = spec_text(name)
    for column in chart.columns:
        text = text.replace(f"${{field:{column}}}", f"my_{column}")
    for key, value in chart.strings.items():
        text = text.replace(f"${{string:{key}}}", value)
    size = {"width": 860, "height": 440}
    renamed = {"data": {"values": [{f"my_{k}": v for k, v in row.items()} for row in chart.rows]}, **size}
    assert vl_convert.vegalite_to_svg({**json.loads(text), **renamed}).count("<path") == vl_convert.vegalite_to_svg(
        filled(chart)
    ).count("<path")


def test_the_band_shows_every_layer_chance_ceiling_and_baseline_by_name():
    chart = band_chart(panel())
    words = texts(chart)
    for text in (
        "net.0",
        "net.1",
        "net.2",
        "chance",
        "ceiling",
        "ceiling, lower",
        "pixels alone",
        "Spearman rho",
        "1k",
    ):
        assert text in words, text
    assert "IT · rsa over training" in words
    assert "b, 92 stimuli, mean of 4 subjects ± one standard error over them" in words
    picture = np.asarray(Image.open(io.BytesIO(png(chart))).convert("RGB"))
    assert picture.shape == (880, 1720, 3)
    for colour in ((199, 145, 0), (192, 57, 43), (17, 17, 17)):
        assert (np.abs(picture.astype(int) - colour).sum(axis=2) < 12).sum() > 150, colour


def test_the_band_is_one_standard_error_over_subjects():
    chart = band_chart(panel())
    row = next(r for r in chart.rows if r["kind"] == "layer" and (r["line"], r["step"]) == ("net.1", STEPS[-1]))
    values = 0.3 / (1 + 99 / (STEPS[-1] + 1)) + 0.01 * np.arange(4)
    assert row["value"] == pytest.approx(values.mean())
    assert row["high"] - row["value"] == pytest.approx(values.std(ddof=1) / 2)
    assert row["value"] - row["low"] == pytest.approx(values.std(ddof=1) / 2)


def test_a_ceiling_far_above_is_told_and_not_drawn():
    chart = band_chart(panel(layers=2, ceiling=(5.0, 6.0)))
    assert "ceiling" not in texts(chart)
    assert "the ceiling, 5.000 to 6.000, lies above the picture" in chart.caption
    half = band_chart(panel(layers=2, ceiling=(0.7, 6.0)))
    assert {row["line"] for row in half.rows if row["kind"] == "ceiling"} == {"ceiling, lower"}
    assert "the upper ceiling, 6.000, lies above the picture" in half.caption


@pytest.mark.parametrize(
    "options", [{"ceiling": (None, None)}, {"ceiling": (None, 0.5)}, {"chance": None}, {"subjects": 1}]
)
def test_what_is_not_known_is_left_out(options):
    chart = band_chart(panel(**options))
    words = texts(chart)
    assert ("ceiling" in words) == (options.get("ceiling", (0, 1))[1] is not None)
    assert ("chance" in words) == ("chance" not in options)
    assert ("one subject" in chart.caption) == (options.get("subjects") == 1)


def test_one_probe_alone_can_be_drawn():
    assert len(png(band_chart(panel(steps=[0])))) > 10_000


@pytest.mark.parametrize("options", [{"ceiling": (0.02, 0.021)}, {"ceiling": (0.02, 0.021), "chance": -2.0}])
def test_names_at_the_edge_stand_apart(options):
    chart = band_chart(panel(**options))
    at = sorted(row["value"] for row in chart.rows if row["kind"].startswith("name of"))
    assert len(at) == 4
    values = [row["value"] for row in chart.rows]
    assert min(np.diff(at)) > 0.06 * (max(values) - min(values))


def test_many_layers_and_steps_are_thinned_and_that_is_said():
    chart = band_chart(panel(layers=61, subjects=1, steps=list(range(500))))
    layers = [row["line"] for row in chart.rows if row["kind"] == "layer"]
    assert len(chart.rows) < 10_000
    assert {"net.0", "net.60"} <= set(layers)
    assert len(set(layers)) == 24
    assert {0, 499} <= {row["step"] for row in chart.rows}
    assert "24 of 61 layers drawn; 380 of 500 steps drawn" in chart.caption


def test_the_layer_that_ends_best_is_never_thinned_out():
    whole = panel(layers=61, subjects=1)
    values = whole.means.value.copy()
    values[whole.layers.index("net.31")] = 9.0
    chart = band_chart(replace(whole, means=replace(whole.means, value=values)))
    assert "net.31" in {row["line"] for row in chart.rows}


def test_the_lag_plot_marks_both_half_points():
    chart = lag()
    words = texts(chart)
    halves = {row["series"]: row["step"] for row in chart.rows if row["kind"] == "half"}
    assert halves["alignment"] < halves["task"]
    for step in halves.values():
        assert f"half at step {step:,.0f}" in words
    assert {"alignment", "task", "share of own gain", "0%", "100%", "100k"} <= set(words)
    assert any(text.startswith("Yes, in this run: ") for text in words)


def test_a_plain_line_chart_gets_curves_and_levels_but_no_names():
    lines = {line for _, line, _ in as_lines(band_chart(panel()))}
    assert lines == {"net.0", "net.1", "net.2", "chance", "ceiling", "ceiling, lower", "pixels alone"}
    assert {line for _, line, _ in as_lines(lag())} == {"alignment", "alignment, fitted", "task", "task, fitted"}
    assert all(isinstance(value, float) for _, _, value in as_lines(lag()))


def test_texts_with_quotes_stay_what_they_are():
    chart = band_chart(panel(roi='"left" \\ IFG ${string:title}'))
    assert filled(chart)["title"]["text"] == '"left" \\ IFG ${string:title} · rsa over training'


def test_a_long_text_is_two_lines_and_ends_in_dots():
    short = two_lines("as short as this")
    assert short == {"subtitle": "as short as this", "note": ""}
    long = two_lines("word " * 100)
    assert long["note"].endswith(" ...")
    assert max(len(line) for line in long.values()) <= 150


def test_an_unknown_chart_is_named():
    with pytest.raises(ConfigError, match="there is no chart 'ontogeny-bands'. Did you mean 'ontogeny-"):
        spec_text("ontogeny-bands")
