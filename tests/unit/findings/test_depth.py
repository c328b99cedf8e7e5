"""Depth in planted worlds: what converges, what only approaches one level, and how often nothing is called a trend."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.helpers.brains import DEPTHS, NETWORKS, depth_cells, over_depth
from tests.helpers.worlds import worlds

from ontogeny.errors import DataError
from ontogeny.findings import Cells, depth
from ontogeny.findings.statistics._convergence import converging
from ontogeny.findings.statistics._region_profiles import direction

RUNS = len(worlds(150))
MOST = stats.binom.ppf(0.999, RUNS, 0.05) / RUNS  # what a test of nominal 5 % may reach in so many worlds


def rates(kind, **options):
    """Share of worlds in which each distance is said to fall or rise, and in which the interval alone leaves out 0."""
    said = {name: [0, 0] for name in ("profile", "level", "RMS")}
    alone = 0
    for seed in range(RUNS):
        found = converging(*over_depth(kind, seed, **options), DEPTHS, NETWORKS, unit="u")
        for name, trend in found.verdicts.items():
            if trend:
                said[name][trend > 0] += 1
        alone += direction(found.estimates[0]) != 0
    return {name: (falls / RUNS, rises / RUNS) for name, (falls, rises) in said.items()}, alone / RUNS


def test_planted_convergence_is_found():
    finding = depth(depth_cells(*over_depth("converge", 0)))
    assert "The profiles over networks become more alike with depth" in finding.answer
    assert finding.headline.name == "profile distance over depth"
    assert finding.headline.high < 0
    assert rates("converge")[0]["profile"][0] > 0.95


@pytest.mark.long
def test_nothing_is_called_a_trend_no_more_often_than_it_may():
    for options in ({}, {"bumps": 0.02, "noise": 0.005}):
        said, alone = rates("none", **options)
        assert all(falls + rises <= MOST for falls, rises in said.values()), said
    assert alone > 0.4, "irregular depths that subjects share pass for a trend by the interval alone"


@pytest.mark.long
def test_values_that_only_approach_one_level_are_not_called_convergence_of_profiles():
    for options in ({}, {"noise": 0.005}):
        said, _ = rates("shrink", **options)
        assert said["RMS"][0] > 0.95
        assert sum(said["profile"]) <= 0.05
    finding = depth(depth_cells(*over_depth("shrink", 0)))
    assert "The profiles over networks show no trend" in finding.answer
    assert "the values (RMS) approach each other" in finding.answer
    assert any("one common level" in sentence for sentence in finding.else_explains)


def test_profiles_that_only_become_clearer_are_not_called_convergence():
    said, alone = rates("clearer")
    assert alone > 0.4, "uncorrected, the distance falls with the noise"
    assert said["profile"][0] <= 0.1


def test_a_level_that_approaches_is_a_level():
    said, _ = rates("level")
    assert said["level"][0] > 0.95
    assert sum(said["profile"]) <= 0.05


def test_models_of_other_layer_counts_are_interpolated_between_their_layers():
    layers = np.linspace(0, 1, 5)
    line = 2 + 3 * layers
    table = {
        "model": "m",
        "modality": "text",
        "metric": "rsa",
        "chance": 0.0,
        "depth": layers,
        "value": line,
        "subject": "s",
        "roi": "V1",
    }
    finding = depth(Cells.of_table(table), bins=3)
    values = [row["value"] for row in finding.details["curves"]]
    np.testing.assert_allclose(values, 2 + 3 * np.array([1, 3, 5]) / 6)
    assert finding.headline.value == pytest.approx(3)
    assert finding.headline.low is None
    assert finding.headline.p is None
    assert "one subject, so neither interval nor test" in finding.headline.how
    assert finding.answer.startswith(
        "Only one modality is here, so convergence is not asked: alignment over depth, language"
    )
    assert "Whether modalities converge: only one is here." in finding.cannot_tell


def test_chance_is_taken_off_layer_by_layer():
    text, image = over_depth("none", 0)
    flat = depth(depth_cells(text, image, metric="cka-rbf-36-biased-z", chance=0.0))
    cells = depth_cells(text + DEPTHS, image + DEPTHS, metric="cka-rbf-36-biased-z", chance=0.0)
    chance = cells.depth.copy()
    raised = depth(Cells(**{**{n: getattr(cells, n) for n in cells.__dataclass_fields__}, "chance": chance}))
    assert raised.headline.value == pytest.approx(flat.headline.value)
    assert raised.estimates[-1].value == pytest.approx(flat.estimates[-1].value)
    assert "above chance" in raised.source


def test_groups_average_regions_and_leave_others_out():
    text, image = over_depth("converge", 1)
    groups = {name: "front" if i < 3 else "back" for i, name in enumerate(NETWORKS[:6])}
    finding = depth(depth_cells(text, image), groups=groups)
    row = next(r for r in finding.details["curves"] if (r["modality"], r["network"]) == ("text", "front"))
    assert row["value"] == pytest.approx(text[:, :3, 0].mean())
    assert finding.headline.name == "level distance over depth"
    assert any("r over 2 networks says nothing; 4 are needed" in sentence for sentence in finding.cannot_tell)
    with pytest.raises(DataError, match=r"none of the regions \['Visual'.*is in the groups, which have \['V1'\]"):
        depth(depth_cells(text, image), groups={"V1": "Visual"})


def test_biased_values_need_their_chance_or_words():
    cells = depth_cells(*over_depth("none", 0), metric="cka_36", chance=None)
    with pytest.raises(DataError, match="'cka_36', and of biased CKA it differs by region and layer; take a metric"):
        depth(cells)
    finding = depth(cells, raw=True)
    assert finding.answer.endswith("Values: chance not known, left in.")
    assert finding.cannot_tell[0].startswith("Whether alignment is above chance")
    half = np.where(np.arange(len(cells)) < 224, 0.1, np.nan)
    with pytest.raises(DataError, match="chance is not known of 224 of 448 cells.*choose one kind with where"):
        depth(Cells(**{**{n: getattr(cells, n) for n in cells.__dataclass_fields__}, "chance": half}))


def test_what_cannot_be_compared_is_refused_in_clear_words():
    text, image = over_depth("none", 0)
    cells = depth_cells(text, image)
    with pytest.raises(DataError, match="depth compares layers by one metric, got"):
        depth(both(cells, depth_cells(text, image, metric="rsa")))
    later = {**columns(cells), "step": np.full(len(cells), 9)}
    with pytest.raises(DataError, match=r"several values for a subject and region; choose one step, e.g. cells.where"):
        depth(both(cells, Cells(**later)))
    other = columns(cells.where(modality="image"))
    with pytest.raises(DataError, match="no subject is common to all models.*compared in the same brains"):
        depth(both(cells.where(modality="text"), Cells(**{**other, "subject": np.char.add("x", other["subject"])})))
    with pytest.raises(DataError, match="model 'text-model' has 1 layers for subject 's0' and region 'Visual'"):
        depth(cells.where(layer="layer0"))
    with pytest.raises(DataError, match="448 of 448 cells have no depth"):
        depth(Cells(**{**columns(cells), "depth": np.full(len(cells), np.nan)}))


def columns(cells):
    return {name: getattr(cells, name) for name in cells.__dataclass_fields__}


def both(a, b):
    return Cells(**{name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in columns(a)})
