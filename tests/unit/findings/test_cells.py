"""Cells and estimates: what the study's other questions share."""

from __future__ import annotations

import numpy as np
import pytest

from ontogeny.errors import DataError
from ontogeny.findings import Cells, Estimate
from ontogeny.findings.data.cells import is_biased
from ontogeny.record import Record, Score


def score(**columns):
    about = {"run": "a", "step": 0, "kind": "alignment", "benchmark": "nsd", "fingerprint": "f", "subject": "S1"}
    return Score(**about | {"roi": "V1", "layer": "first", "metric": "ridge", "value": 0.5} | columns)


@pytest.fixture
def record(tmp_path):
    made = Record(tmp_path / "a", create=True)
    made.describe("nsd", {"fingerprint": "f", "modality": "image"})
    made.append(
        [
            score(step=step, layer=layer, subject=subject, value=i / 10, chance=0.01)
            for step in (0, 10)
            for subject in ("S1", "S2")
            for i, layer in enumerate(("stem", "block", "head"))
        ]
        + [score(step=10, layer="surprisal", value=0.9), score(step=10, layer="stem", roi="V2", value=None)]
        + [score(step=10, kind="baseline", layer="pixels"), score(step=10, kind="task", benchmark="", metric="loss")]
    )
    return made


def test_a_records_alignment_becomes_cells_and_nothing_else_does(record):
    cells = Cells.of_records([record])
    assert len(cells) == 12
    assert cells.names("layer") == ["stem", "block", "head"]
    assert cells.names("roi") == ["V1"]
    assert cells.names("step") == [0, 10]
    assert set(cells.modality) == {"image"}
    assert cells.step.dtype == np.int64


def test_depth_is_the_order_in_which_a_model_was_read(record):
    cells = Cells.of_records([record], step=10)
    assert set(zip(cells.layer.tolist(), cells.depth.tolist(), strict=True)) == {
        ("stem", 0.0),
        ("block", 0.5),
        ("head", 1.0),
    }


def test_two_records_of_models_that_are_read_at_other_layers_keep_their_own_depths(record, tmp_path):
    other = Record(tmp_path / "b", create=True)
    other.describe("nsd", {"fingerprint": "f", "modality": "image"})
    other.append([score(run="b", layer=layer) for layer in ("head", "stem")])
    cells = Cells.of_records([record, other])
    assert cells.where(model="b", layer="head").depth.tolist() == [0.0]
    assert set(cells.where(model="a", layer="head").depth.tolist()) == {1.0}


def test_unknown_chance_and_ceiling_stay_unknown(record):
    assert np.isnan(Cells.of_records([record]).ceiling).all()
    assert Cells.of_records([record]).chance.tolist() == [0.01] * 12


def test_a_record_without_alignment_is_refused(record, tmp_path):
    with pytest.raises(DataError, match="the records hold no alignment score at step 7; the first probe writes some"):
        Cells.of_records([record], step=7)
    with pytest.raises(DataError, match="hold no alignment score; the first"):
        Cells.of_records([Record(tmp_path / "new", create=True)])


def test_a_table_gets_what_it_lacks():
    cells = Cells.of_table({"value": [0.1, 0.2], "roi": ["V1", "V2"], "model": "m", "chance": 0, "step": 5})
    assert cells.model.tolist() == ["m", "m"]
    assert cells.step.tolist() == [5, 5]
    assert cells.subject.tolist() == ["", ""]
    assert np.isnan(cells.depth).all()
    assert cells.levels()[0].tolist() == [0.1, 0.2]
    assert Cells.of_table({"value": [0.1], "step": np.int64(3), "roi": np.str_("V1")}).step.tolist() == [3]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"value": [0.1], "region": ["V1"]}, "cells have no column 'region'. "),
        ({"roi": ["V1"]}, r"cells need a column value; got \['roi'\]"),
        ({"value": [0.1, 0.2], "roi": ["V1"]}, "all columns of cells are of one length, got .*'roi': 1"),
        ({"value": [0.1, np.nan, np.inf]}, "2 of 3 values are not finite; drop them"),
    ],
)
def test_tables_that_are_none_are_refused(table, words):
    with pytest.raises(DataError, match=words):
        Cells.of_table(table)


def test_where_keeps_what_matches_all(record):
    cells = Cells.of_records([record])
    assert len(cells.where(step=10)) == 6
    assert len(cells.where(step=10, layer=["stem", "head"])) == 4
    assert len(cells.where(layer=np.asarray(["stem"]))) == 4
    assert cells.where(subject="S2", layer="head", step=0).value.tolist() == [0.2]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"rio": "V1"}, "cells have no column 'rio'. Did you mean 'roi'"),
        ({"roi": "V9"}, r"no cell has roi = 'V9'; there is \['V1'\]"),
        ({"step": [3, 4]}, r"no cell has step = \[3, 4\]; there is \[0, 10\]"),
    ],
)
def test_where_says_what_there_is(record, columns, words):
    with pytest.raises(DataError, match=words):
        Cells.of_records([record]).where(**columns)


def test_where_of_values_that_occur_apart():
    cells = Cells.of_table({"value": [0.1, 0.2], "roi": ["V1", "V2"], "layer": ["a", "b"]})
    with pytest.raises(DataError, match="each value occurs, but not together"):
        cells.where(roi="V1", layer="b")


def test_a_long_list_of_choices_is_cut():
    cells = Cells.of_table({"value": np.zeros(20), "roi": [f"R{i:02d}" for i in range(20)]})
    with pytest.raises(DataError, match=r"'R11'\] \.\.\.$"):
        cells.where(roi="none")


def test_above_chance_needs_all_chance_levels():
    cells = Cells.of_table({"value": [0.3, 0.4], "chance": [0.1, np.nan], "metric": ["ridge", "cka_36"]})
    with pytest.raises(DataError, match="chance is not known of 1 of 2 cells, e.g. of metric 'cka_36', and of biased"):
        cells.levels()
    with pytest.raises(DataError, match=r"differs by region and layer; choose one kind with where\(metric=...\)"):
        cells.levels(raw=True)
    for raw in (False, True):
        values, said = cells.where(metric="ridge").levels(raw=raw)
        assert (values.tolist(), said) == (pytest.approx([0.2]), "above chance")
    values, said = cells.where(metric="cka_36").levels(raw=True)
    assert (values.tolist(), said) == ([0.4], "chance not known, left in")


def test_joined_cells_are_all_of_them():
    cells = Cells.of_table({"value": [0.3, 0.4], "roi": ["V1", "V2"], "step": 3})
    both = Cells.joined(cells, Cells.of_table({"value": [0.5], "roi": ["a longer name"]}))
    assert both.value.tolist() == [0.3, 0.4, 0.5]
    assert both.roi.tolist() == ["V1", "V2", "a longer name"]
    assert both.step.tolist() == [3, 3, 0]


def test_which_metrics_are_biased():
    named = ("cka_36", "cka-linear", "cka-rbf-36-biased-z", "cka-linear-debiased", "mutual_knn_20", "ridge-gcv")
    assert [is_biased(name) for name in named] == [True, True, True, False, False, False]


def test_an_estimate_in_one_phrase():
    estimate = Estimate(
        name="x", value=-0.5, unit="rho", low=-0.75, high=0.25, p=0.0312, q=0.0001, n=4, of="subjects", how=""
    )
    assert estimate.text() == "−0.5 rho [−0.75, 0.25], p = .031, q < .001, n = 4 subjects"
    assert Estimate(name="x", value=1.0, unit="share", n=1, of="runs", how="").text() == "1 share, n = 1 runs"


def test_p_of_a_round_number_keeps_its_digits():
    assert Estimate(name="x", value=1.0, unit="W", p=1.0, n=2, of="m", how="").text() == "1 W, p = 1.000, n = 2 m"
    assert Estimate(name="x", value=10.5, unit="W", p=0.5, n=2, of="m", how="").text() == "10.5 W, p = .500, n = 2 m"
