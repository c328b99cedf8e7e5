"""The numbered scripts of analysis/ run, in tiny form, and say what they say elsewhere."""

from __future__ import annotations

import csv
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ontogeny import load_published
from ontogeny.datasets import data_folders, find_source, is_here
from ontogeny.errors import DatasetNotFoundError

ANALYSIS = Path(__file__).resolve().parents[2] / "analysis"
SIX = ANALYSIS / "tables" / "published_six_sizes.csv"
REGIONS = any((folder / "published" / "regions_vision.csv").is_file() for folder in data_folders())


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def alike(made, committed):
    """The same rows, numbers to three digits."""
    rows, others = read(made), read(committed)
    assert [list(row) for row in rows] == [list(row) for row in others]
    for row, other in zip(rows, others, strict=True):
        for name, value in row.items():
            try:
                assert float(value) == pytest.approx(float(other[name]), rel=2e-3), (name, row)
            except ValueError:
                assert value == other[name]


@pytest.fixture
def script(monkeypatch):
    def load(name):
        spec = importlib.util.spec_from_file_location(f"analysis_{name}", ANALYSIS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_calibration_prints_a_table_and_writes_its_cells(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "cells.csv"
    options = ["--seeds", "2", "--n", "30", "--kinds", "null_white", "lead_trend", "--jobs", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["01_calibration.py", *options])
    script("01_calibration").main()
    text = capsys.readouterr().out
    assert "| Granger levels |" in text
    assert "pooled nulls" in text
    rows = read(out)
    assert {row["kind"] for row in rows} == {"null_white", "lead_trend"}
    assert all(0 <= float(row["rate"]) <= 1 for row in rows)
    monkeypatch.setattr(sys, "argv", ["01_calibration.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):  # now, not after ten minutes
        script("01_calibration").main()
    assert "is a folder; name the CSV file in it" in capsys.readouterr().err


def test_the_usual_tests_of_the_study_are_those_of_statsmodels(script):
    from statsmodels.tsa.stattools import grangercausalitytests

    study = script("01_calibration")
    rng = np.random.default_rng(0)
    a, p = rng.standard_normal((2, 40)).cumsum(axis=1)
    theirs = grangercausalitytests(np.stack([p, a], axis=1), [2])[2][0]["ssr_ftest"][1]
    assert study.granger_p(a, p, lags=2) == pytest.approx(theirs, rel=1e-8)


@pytest.mark.slow
def test_the_study_of_generalisation_goes_on_where_it_stopped(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "g.csv"
    monkeypatch.setattr(sys, "argv", ["14_generalisation.py", "--worlds", "2", "--cells", "1", "--out", str(out)])
    script("14_generalisation").main()
    assert "| stimuli | cka-linear-debiased | 1 | 6 | 12 | 13 |" in capsys.readouterr().out
    before = out.read_text()
    rows = read(out)
    assert {row["lead"] for row in rows} == {"0.0", "0.4"}
    assert {row["quantity"] for row in rows} >= {"general: claimed", "general: covers", "one run: claimed"}
    script("14_generalisation").main()
    assert "done" not in capsys.readouterr().out
    assert out.read_text() == before


def test_what_the_published_series_allow(script, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ANALYSIS)
    module = script("02_published_series")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main(["--replicates", "2"])
    text = capsys.readouterr().out
    rows = read(tmp_path / "tables" / "published_correlations.csv")
    assert len(rows) == 42
    assert {row["n"] for row in rows} == {"11"}
    found = (
        load_published("shen2026").to_pandas("pythia_alignment"),
        load_published("shen2026").to_pandas("pythia_benchmarks"),
    )
    one = found[0][found[0].model == "pythia-410m"].merge(
        found[1].query("model == 'pythia-410m' and task == 'sciq' and metric == 'acc'"), on="step"
    )
    printed = next(row for row in rows if (row["task"], row["model"]) == ("sciq", "pythia-410m"))
    assert float(printed["r"]) == pytest.approx(np.corrcoef(one.alignment, one.value)[0, 1])
    assert (
        "42 pairs (pythia-70m lambada_openai ... pythia-2.8b arc_challenge): refused: too few checkpoints: 11" in text
    )
    assert "8 pairs (mixnet_s EMA top-1 ... mixnet_xl raw top-1): refused: too few checkpoints: 8" in text
    assert (tmp_path / "figures" / "published-half-times.png").stat().st_size > 5000
    times = read(tmp_path / "tables" / "published_half_times.csv")
    led = [float(row["log10"]) for row in times if row["task"] == "lambada_openai" and row["metric"] == "acc"]
    assert len(led) == 6
    assert min(led) > 0.3
    assert "24 of 24 pairs of size and task" in text
    assert len(text.split("## In five sentences")[1].split("![")[0].strip().splitlines()) == 5
    for row in times:
        if not row["why"]:
            assert float(row["least"]) <= float(row["log10"]) <= float(row["most"])
    joint = read(tmp_path / "tables" / "published_six_sizes.csv")
    assert {row["series"] for row in joint} == {row["series"] for row in read(SIX)}


def test_signs_of_sizes_are_flipped_for_all_series_at_once(monkeypatch):
    """The p of the largest |t| is that of scipy's permutation test where there is one series."""
    monkeypatch.syspath_prepend(ANALYSIS)
    six = importlib.import_module("published_six_sizes")
    rng = np.random.default_rng(0)
    leads = {name: rng.normal(0.3, 0.4, size=6) for name in six.RISING}
    rows = [
        {"task": name.split(" ", 1)[0], "metric": name.split(" ", 1)[1], "log10": value}
        for name, values in leads.items()
        for value in values
    ]
    together = six.together_p(rows)
    for name, values in leads.items():
        alone = stats.permutation_test(
            (values,), lambda x, axis: six.t_of(np.moveaxis(x, axis, -1)), permutation_type="samples", vectorized=True
        ).pvalue
        assert together[name] >= alone - 1e-12
    largest = max(together, key=lambda name: abs(six.t_of(leads[name])))
    assert together[largest] == min(together.values())


def test_simulated_sizes_scatter_round_the_lead_that_was_planted(monkeypatch):
    monkeypatch.syspath_prepend(ANALYSIS)
    six = importlib.import_module("published_six_sizes")
    table = load_published("shen2026").tables["pythia_benchmarks"]
    steps, values = six.series(table, "value", model="pythia-410m", task="lambada_openai", metric="acc")
    timed = six.timing(six.fit_rises(six.log_steps(steps), values[None])[0])
    found = six.simulated_half_points(timed, 0.2, 12, np.random.default_rng(0))
    assert np.nanmean(found) == pytest.approx(timed.best.u[1] + 0.2, abs=0.05)


def test_shared_noise_prints_a_table_and_writes_its_cells(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "cells.csv"
    options = ["--seeds", "2", "--n", "15", "--kinds", "lead_trend_shared", "--jobs", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["13_shared_noise.py", *options])
    script("13_shared_noise").main()
    assert "| lead_trend_shared |" in capsys.readouterr().out
    cells = {(row["way"], row["rate"]): float(row["value"]) for row in read(out)}
    assert 0 < cells["joint", "width"] < cells["apart", "width"]
    assert cells["joint", "both: a leads"] <= cells["joint", "a leads"]


def test_the_study_of_phases_prints_a_table_and_writes_its_cells(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "cells.csv"
    module = script("15_phases")
    monkeypatch.setattr(sys, "argv", ["15_phases.py", "--pairs", "3", "--n", "40", "--out", str(out)])
    monkeypatch.setattr(module, "NOISES", {"white, 2 checkpoints": {"checkpoints": 2.0}})
    monkeypatch.setattr(module, "SHAPES", ("logistic",))
    monkeypatch.setattr(module, "ProcessPoolExecutor", lambda _: ThreadPoolExecutor(1))
    module.main()
    assert "logistic  white, 2 checkpoints" in capsys.readouterr().out
    (row,) = read(out)
    assert float(row["p leads"]) == 0 < float(row["a leads"])
    assert float(row["covers"]) > 0.5


def test_what_the_published_models_say_across(script, tmp_path, monkeypatch, capsys):
    module = script("04_across_models")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    text = capsys.readouterr().out
    assert "- language, average, n = 36: raw 0.885, log 0.895" in text
    assert "- vision, imagenet, n = 594: raw 0.530, log 0.571" in text
    for name in ("across_language", "across_vision", "across_transformations"):
        alike(tmp_path / "tables" / f"{name}.csv", ANALYSIS / "tables" / f"{name}.csv")
    assert all((tmp_path / "figures" / f"across-{m}.png").stat().st_size > 20_000 for m in ("language", "vision"))


def test_modality_without_its_tables_is_skipped_with_a_word(script, tmp_path, monkeypatch, capsys):
    module = script("05_modality")
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr("ontogeny.findings.published.data_folders", lambda: [tmp_path])
    module.main()
    assert capsys.readouterr().out.startswith("skipped: regions_language.csv is not on this machine; looked at ")
    assert not list(tmp_path.iterdir())


@pytest.mark.real
@pytest.mark.skipif(not REGIONS, reason="regions_*.csv are not on this machine (set ONTOGENY_DATA)")
@pytest.mark.long
def test_where_chance_is_known_language_is_below_vision_in_the_published_regions(script, tmp_path, monkeypatch, capsys):
    module = script("05_modality")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    rows = read(tmp_path / "tables" / "modality.csv")
    alike(tmp_path / "tables" / "modality.csv", ANALYSIS / "tables" / "modality.csv")
    known = {row["metric"]: float(row["difference"]) for row in rows if row["chance"] == "removed"}
    assert len(known) == 6
    assert max(known.values()) < 0
    assert capsys.readouterr().out.count("Chance is not known and is left in") == len(rows) - 6
    pictures = ("modality-cka-36", "modality-mutual-knn-20", "modality-by-width")
    assert all((tmp_path / "figures" / f"{name}.png").stat().st_size > 10_000 for name in pictures)


@pytest.mark.parametrize("name", ["06_regions", "07_when"])
def test_without_their_tables_regions_and_when_say_where_they_go(script, name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = script(name)
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    assert "skipped: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_regions_of_the_published_tables(script, tmp_path, monkeypatch, capsys):
    module = script("06_regions")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    text = capsys.readouterr().out
    if text.startswith("skipped: "):
        pytest.skip("the published tables of regions are not on this machine")
    table = load_published("shen2026").read("regions_language")
    own = (table["metric"] == "cka_36") & (table["yeo7"] == "Limbic")
    rest = (table["metric"] == "cka_36") & (table["yeo7"] == "Visual")
    claims = {(r["modality"], r["metric"], r["claim"]): r for r in read(tmp_path / "tables" / "regions_claims.csv")}
    assert len(claims) == 2 * 12 * 4
    rows = {r["roi"]: r for r in read(tmp_path / "tables" / "regions_language_cka_36.csv")}
    for name, chosen in (("Limbic", own), ("Visual", rest)):
        assert float(rows[name]["alignment"]) == pytest.approx(table["score"][chosen].mean())
    assert float(claims["language", "cka_36", "limbic less the others"]["low"]) > 0
    assert {r["highest"] for (modality, metric, _), r in claims.items() if metric.startswith("cka")} == {"Limbic"}
    assert len(list((tmp_path / "figures").glob("*.png"))) == 8


@pytest.mark.long
def test_half_points_of_the_published_layers(script, tmp_path, monkeypatch, capsys):
    module = script("07_when")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    text = capsys.readouterr().out
    if text.startswith("skipped: "):
        pytest.skip("the published tables of layers are not on this machine")
    rows = read(tmp_path / "tables" / "when_pythia.csv")
    assert len(rows) == 120
    assert {row["layer"] for row in rows if row["why_not"]} == {"layer 00"}
    assert all("too few checkpoints: 8" in row["why_not"] for row in read(tmp_path / "tables" / "when_mixnet.csv"))
    assert "6 sizes" in text


def published(name):
    try:
        load_published("shen2026").read(name)
    except DatasetNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.mark.real
def test_whether_deeper_layers_converge(script, tmp_path, monkeypatch, capsys):
    published("yeo7_depth")
    module = script("08_depth")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "depth.md").read_text().strip()
    assert text.count("The profiles over networks show no trend with depth") == 3
    rows = read(tmp_path / "tables" / "depth.csv")
    planned = {row["name"]: row for row in rows if row["depths"] == "all depths (planned)"}
    assert float(planned["profile distance over depth"]["high"]) > 0
    assert float(planned["level distance over depth"]["high"]) < 0
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {"depth-curves.png", "depth-distances.png"}


@pytest.mark.real
@pytest.mark.long
def test_whether_alignment_moves_as_the_scale_grows(script, tmp_path, monkeypatch, capsys):
    published("regions_language")
    published("regions_vision")
    module = script("09_scale")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "scale.md").read_text().strip()
    assert "language, cka_*: From 28 to 68 z moves, but not in the form ranks" in text
    assert "vision, cka_*: From 28 to 68 no shift between sensory and associative areas is shown" in text
    alike = {row["metric"]: float(row["r"]) for row in read(tmp_path / "tables" / "scale_modalities_alike.csv")}
    assert min(r for metric, r in alike.items() if metric.startswith("cka_")) > 0.98
    assert max(r for metric, r in alike.items() if metric.startswith("mutual_knn")) < 0.6
    assert len(read(tmp_path / "tables" / "scale_regions.csv")) == 360
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4


@pytest.mark.parametrize(("name", "table"), [("08_depth", "yeo7_depth"), ("09_scale", "regions_language")])
def test_without_the_tables_they_say_so_and_write_nothing(name, table, script, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "none"))
    module = script(name)
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    assert capsys.readouterr().out.startswith(f"skipped: {table}.csv is not on this machine; looked at")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.slow
def test_the_tiny_series_is_replayed_and_drawn(script, tmp_path, monkeypatch, capsys):
    module = script("03_tiny_replay")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(module, "FIGURES", tmp_path)
    module.main()
    assert "12 checkpoints: 12 scored" in capsys.readouterr().out
    assert 20_000 < (tmp_path / "replay-tiny.png").stat().st_size < 150_000


@pytest.mark.real
@pytest.mark.long
@pytest.mark.slow
def test_the_picture_of_real_data_is_drawn(script, tmp_path, monkeypatch, capsys):
    if not all(is_here(find_source(name)) for name in ("kriegeskorte2008", "cifar10-sample")):
        pytest.skip("kriegeskorte2008 or cifar10-sample is not on this machine (set ONTOGENY_DATA)")
    module = script("10_human_it")
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main(["--steps", "2"])
    text = capsys.readouterr().out
    assert text.count("net.") == 5
    assert "ceiling: 0.37 to 0.67, 4 subjects, 92 photographs" in text
    assert 15_000 < (tmp_path / "figures" / "human-it.png").stat().st_size < 150_000


def test_without_real_data_that_picture_is_not_drawn(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    module = script("10_human_it")
    monkeypatch.setattr(module, "HERE", tmp_path / "analysis")  # beside a cache that matplotlib makes
    module.main([])
    assert "skipped: kriegeskorte2008: " in capsys.readouterr().out
    assert not (tmp_path / "analysis").exists()
