"""Does one modality align more? Planted differences and none, the study's tables, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.helpers.brains import brains
from tests.helpers.worlds import worlds

from ontogeny.datasets import data_folders
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.findings import Cells, modality_difference, published_regions
from ontogeny.report.findings.modality_section import figures

TABLES = any((folder / "published" / "regions_vision.csv").is_file() for folder in data_folders())
SUBJECTS, ROIS = ("s1", "s2", "s3", "s4", "s5", "s6"), tuple(f"r{i}" for i in range(8))


def table(difference=0.0, seed=0, *, chances=(0.02, 0.1), subjects=SUBJECTS, models=1, spread=0.02):
    """Text minus image is `difference` above chance in every region, with a spread over subjects."""
    rng = np.random.default_rng(seed)
    columns = {name: [] for name in ("model", "modality", "subject", "roi", "value", "chance")}
    for subject in subjects:
        own = difference + spread * rng.standard_normal()
        for roi in ROIS:
            level = 0.3 + 0.1 * rng.standard_normal()
            for modality, chance, above in (("text", chances[0], level + own), ("image", chances[1], level)):
                for k in range(models):
                    cell = (f"{modality}{k}", modality, subject, roi, above + chance + 0.001 * k, chance)
                    for name, value in zip(columns, cell, strict=True):
                        columns[name].append(value)
    return {**columns, "metric": "cka-linear-biased", "benchmark": "b"}


def cells(*args, **options):
    return Cells.of_table(table(*args, **options))


def test_a_planted_difference_is_found_with_chance_taken_off():
    finding = modality_difference(cells(0.1, spread=0.01))
    assert finding.headline.value == pytest.approx(0.1, abs=0.02)
    assert finding.headline.low > 0.07
    assert finding.headline.p == 2 / 2**6
    assert finding.answer.startswith("Text aligns more than image: ")
    assert "text is above in 8 of 8 regions, 6 of 6 subjects" in finding.answer
    assert {row["difference"] > 0 for row in finding.details["regions"]} == {True}


def test_a_difference_of_chance_levels_alone_is_none():
    finding = modality_difference(cells(0.0, spread=0.0, chances=(0.5, 0.0)))
    assert finding.headline.value == pytest.approx(0, abs=1e-12)


@pytest.mark.long
def test_the_interval_covers_and_the_flips_reject_as_often_as_they_say():
    found = [modality_difference(cells(0.03, seed=s)).headline for s in range(200)]
    none = [modality_difference(cells(0.0, seed=s)).headline for s in range(200)]
    assert np.mean([e.low <= 0.03 <= e.high for e in found]) == pytest.approx(0.95, abs=0.035)
    assert np.mean([e.p <= 0.05 for e in none]) == pytest.approx(2 / 64, abs=0.03)


def test_subject_means_and_regions_are_those_of_scipy():
    given = cells(0.03)
    finding = modality_difference(given)
    above = {
        (m, s, r): v for m, s, r, v in zip(given.modality, given.subject, given.roi, given.levels()[0], strict=True)
    }
    paired = np.array([[above["text", s, r] - above["image", s, r] for r in ROIS] for s in SUBJECTS])
    theirs = stats.ttest_1samp(paired.mean(axis=1), 0).confidence_interval()
    assert (finding.headline.low, finding.headline.high) == pytest.approx((theirs.low, theirs.high))
    rows = finding.details["regions"]
    p = stats.ttest_1samp(paired, 0).pvalue
    assert [r["p"] for r in rows] == pytest.approx(p.tolist())
    assert [r["q"] for r in rows] == pytest.approx(stats.false_discovery_control(p).tolist())
    assert [r["difference"] for r in finding.details["subjects"]] == pytest.approx(paired.mean(axis=1).tolist())


def test_models_of_each_modality_make_a_second_interval():
    finding = modality_difference(cells(0.1, models=3))
    over = finding.estimates[-1]
    assert (over.name, over.of, over.n) == ("text minus image, over models", "models", 6)
    values = [[r["value"] for r in finding.details["models"] if r["modality"] == m] for m in ("text", "image")]
    theirs = stats.ttest_ind(*values, equal_var=False)
    assert (over.low, over.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert not any("over models" in e.name for e in modality_difference(cells(0.1)).estimates)


def test_the_layer_is_that_of_the_other_subjects():
    grid = {("s1", "a"): 1.0, ("s1", "b"): 0.0, ("s2", "a"): 0.2, ("s2", "b"): 0.5, ("s3", "a"): 0.1, ("s3", "b"): 0.6}
    both = [("text", s, layer, v) for (s, layer), v in grid.items()] + [
        ("image", s, "c", 0.0) for s in ("s1", "s2", "s3")
    ]
    modality, subject, layer, value = map(list, zip(*both, strict=True))
    finding = modality_difference(
        Cells.of_table(
            {
                "model": modality,
                "modality": modality,
                "subject": subject,
                "layer": layer,
                "value": value,
                "chance": 0.0,
                "roi": "r",
                "metric": "m",
                "benchmark": "b",
            }
        )
    )
    # s1: the others do best in b, where it has 0.0; s2 and s3: the others do best in a.
    assert [r["text"] for r in finding.details["subjects"]] == pytest.approx([0.0, 0.2, 0.1])


def noise(seed, layers=12):
    """Two modalities of 8 subjects, 5 regions and 12 layers, all of them noise."""
    values = np.random.default_rng(seed).standard_normal((2, 8, 5, layers))
    return Cells.joined(*(brains(v, modality=m, model=m) for v, m in zip(values, ("text", "image"), strict=True)))


def test_choosing_layers_makes_no_short_intervals():
    """100 null worlds of 12 layers: t intervals of the chosen values themselves cover about 80 %."""
    found = [modality_difference(noise(seed)) for seed in worlds(100)]
    assert np.mean([f.headline.low < 0 < f.headline.high for f in found]) > 0.93
    assert np.mean([row["low"] < 0 < row["high"] for f in found for row in f.details["regions"]]) > 0.94
    plain = []
    for finding in found:
        own = np.array([row["difference"] for row in finding.details["subjects"]])
        low, high = stats.ttest_1samp(own, 0).confidence_interval()
        assert finding.headline.value == pytest.approx(own.mean())
        plain.append(low < 0 < high)
    assert np.mean(plain) < 0.9


def test_two_subjects_need_one_layer_a_model():
    two = noise(0).where(subject=["S0", "S1"])
    with pytest.raises(DataError, match="three subjects or more are needed. With fewer, name a layer"):
        modality_difference(two)
    assert modality_difference(two.where(layer="layer03")).headline.n == 2


def test_of_one_subject_there_is_no_interval_and_it_is_said():
    finding = modality_difference(cells(0.1, subjects=("s1",)))
    assert (finding.headline.low, finding.headline.p, finding.headline.of) == (None, None, "subject")
    assert finding.answer.startswith("In one subject text is above image; others may differ: ")
    assert "With 1 subject there is no test; the interval rests on normality." in finding.cannot_tell


def test_chance_that_is_not_known_stays_only_if_asked_and_is_said():
    unknown = Cells.of_table({**table(0.1), "chance": np.nan})
    with pytest.raises(DataError, match="chance is not known of 96 of 96 cells, e.g. of metric 'cka-linear-biased'"):
        modality_difference(unknown)
    finding = modality_difference(unknown, raw=True)
    assert "Chance is not known and is left in" in finding.answer
    assert finding.else_explains[0].startswith("Chance: cka-linear-biased has a chance level, which rises with")
    assert "chance not known" in figures(finding)[0].chart.to_json()
    assert modality_difference(cells(0.1), raw=True).headline == modality_difference(cells(0.1)).headline


def test_two_benchmarks_are_paired_only_if_said():
    given = table(0.1)
    two = Cells.of_table({**given, "benchmark": [f"nsd-{m}" for m in given["modality"]]})
    with pytest.raises(DataError, match="the same one benchmark, got .*'nsd-text'.*'nsd-image'.*pair_benchmarks"):
        modality_difference(two)
    finding = modality_difference(two, pair_benchmarks=True)
    assert finding.headline.value == modality_difference(cells(0.1)).headline.value
    assert any("nsd-text and nsd-image were taken for the same responses" in s for s in finding.else_explains)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"metric": "by modality"}, {}, "the same one metric, got .*choose with Cells.where"),
        ({"subject": "by modality"}, {}, "the models share no subject: "),
        ({"roi": "of each"}, {}, "the models share no roi: "),
        ({"step": "two"}, {}, "'text0' has 2 steps; choose one per model, e.g. its last"),
        ({"roi": "r"}, {}, "a subject has two values of one ROI and layer"),
        ({}, {"modalities": ("text", "text")}, "two modalities are compared, got "),
        ({}, {"modalities": ("text", "audio")}, "no cell has modality"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, options, message):
    given = table(0.1)
    if change:
        ((name, what),) = change.items()
        of_each = [f"{m} {r}" for m, r in zip(given["modality"], given["roi"], strict=True)]
        values = {
            "of each": of_each,
            "by modality": given["modality"],
            "two": np.arange(len(given["value"])) % 4 // 2,
            "r": "r",
        }
        given[name] = values[what]
        if options.get("modalities") == ("text", "audio"):
            given["modality"] = ["text"] * len(given["value"])
    with pytest.raises(DataError, match=message):
        modality_difference(Cells.of_table(given), **options)


def test_regions_that_one_subject_lacks_are_left_out_and_counted():
    whole = cells(0.1)
    lacking = whole.only(~((whole.subject == "s2") & (whole.roi == "r3") & (whole.modality == "image")))
    finding = modality_difference(lacking)
    assert [r["roi"] for r in finding.details["regions"]] == [r for r in ROIS if r != "r3"]
    assert "1 regions without a value of every subject and model are left out." in finding.cannot_tell
    left = whole.only((whole.modality == "text") | (whole.subject == "s1"))
    assert modality_difference(left).headline.n == 1
    split = whole.only((whole.subject == "s1") ^ (whole.roi == "r0"))
    with pytest.raises(DataError, match="no ROI is there for all 6 subjects and 1 layers"):
        modality_difference(split)


def test_the_last_step_is_each_models_own():
    steps = Cells.of_table({"model": ["a", "a", "b"], "step": [0, 10, 5], "value": [1.0, 2.0, 3.0]}).at_last_step()
    assert steps.value.tolist() == [2.0, 3.0]


def test_tables_that_are_not_here_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    monkeypatch.setattr("ontogeny.findings.published.data_folders", lambda: [tmp_path])
    with pytest.raises(DatasetNotFoundError, match=r"regions_language.csv is not on this machine"):
        published_regions("language")


@pytest.mark.real
@pytest.mark.skipif(not TABLES, reason="regions_*.csv are not on this machine (set ONTOGENY_DATA)")
def test_by_neighbours_the_studys_vision_aligns_more_and_by_narrow_kernels_its_language():
    both = Cells.joined(*(published_regions(name)[0] for name in ("language", "vision")))
    near = both.where(metric="mutual_knn_20")
    assert np.unique(near.chance).tolist() == [20 / 8849]
    finding = modality_difference(near)
    assert finding.headline.high < 0
    assert {row["subjects_above"] for row in finding.details["regions"]} == {0}
    signs = [modality_difference(both.where(metric=f"cka_{w}"), raw=True).headline.value for w in (36, 68)]
    assert signs[0] > 0 > signs[1]
