"""Tables: what is empty is an error with its row; what is a voxel's column, and what is not."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from ontogeny.datasets.own_data._array_files import read_responses
from ontogeny.errors import DataError
from ontogeny.neuroimaging import bids_names
from ontogeny.neuroimaging.table_files import Sheet, is_missing, read_sheet


def sheet(path: Path, text: str) -> Sheet:
    path.write_text(text, encoding="utf-8")
    return read_sheet(path)


@pytest.mark.parametrize("cell", ["", "  ", "n/a", "NA", "NaN", "nan", "None", "NULL", "<NA>", None, float("nan")])
def test_what_says_that_there_is_nothing_is_missing(cell):
    assert is_missing(cell)
    with pytest.raises(DataError, match="t.csv, row 2: column 'run' is empty; fill it in, or take the column out"):
        Sheet(path=Path("t.csv"), columns={"run": ["1", cell, "2"]}).labels("run")


@pytest.mark.parametrize("cell", ["0", "na", "none", "Nancy", 0, 0.0, False])
def test_what_says_something_is_not(cell):
    assert not is_missing(cell)
    assert Sheet(path=Path("t.csv"), columns={"run": [cell]}).labels("run") == (str(cell),)


def test_words_of_stimuli_are_words(tmp_path):
    read = sheet(tmp_path / "t.csv", "text\nNone\nNA\n null \n")
    assert read.texts("text") == ("None", "NA", " null ")
    with pytest.raises(DataError, match="row 2: column 'text' is empty"):
        Sheet(path=Path("t.csv"), columns={"text": ["a", " "]}).texts("text")


def test_many_rows_are_counted():
    cells = ["", "1", "", "", "", ""]
    with pytest.raises(DataError, match="rows 1, 3, 4, 5, 6: column 'run' is empty; 1 of 6 rows have a value"):
        Sheet(path=Path("t.csv"), columns={"run": cells}).labels("run")


def test_labels_are_one_form_of_unicode_and_have_no_blanks_around_them(tmp_path):
    read = sheet(tmp_path / "t.tsv", f"id\n {unicodedata.normalize('NFD', 'é')} \n")
    assert read.labels("id") == ("é",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1\n", "line 2: expected 2 cells, got 1"),
        ("a,a\n1,2\n", "2 columns called 'a'"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n,\n3,4\n", "line 3: all cells are empty"),
        ("a\n1\n\n2\n", "line 3: all cells are empty"),
    ],
)
def test_tables_that_are_not_whole_are_refused_by_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        sheet(tmp_path / "t.csv", text)


def test_numbers(tmp_path):
    read = sheet(tmp_path / "t.csv", "x,y\n1,\n2.5,3\n")
    assert read.numbers("x") == (1.0, 2.5)
    np.testing.assert_array_equal(read.numbers_or_nan("y"), [np.nan, 3])
    with pytest.raises(DataError, match="row 1: column 'y' is empty"):
        read.numbers("y")


COLUMNS = ("", "Unnamed: 0", "Onset", "run", "Repeat", "duration", "trial-type", "participant_id", "response time")


def test_columns_that_are_no_voxels_are_left_out_and_known(tmp_path):
    head = ["stimulus_id", *COLUMNS, "V1", "V2v", "LOC"]
    path = tmp_path / "r.csv"
    path.write_text("\n".join([",".join(head), *(",".join(["a", *"123456789", "1", "2", str(k)]) for k in "78")]))
    read = read_responses(path)
    assert (read.voxels, read.others) == (("V1", "V2v", "LOC"), COLUMNS)
    assert read.values.tolist() == [[1, 2, 7], [1, 2, 8]]
    named = read_responses(path, voxels=["V1", "V2v", "LOC", "run"])
    assert named.voxels == ("run", "V1", "V2v", "LOC")


def test_a_table_of_no_voxels_is_refused(tmp_path):
    (tmp_path / "r.csv").write_text("stimulus_id,onset\na,1\n")
    with pytest.raises(DataError, match=r"no column but 'stimulus_id' that could be a voxel's, got \['onset'\]"):
        read_responses(tmp_path / "r.csv")


def test_a_column_that_is_not_called_as_all_others_is_asked_about(tmp_path):
    path = tmp_path / "r.csv"
    voxels = [f"v{k}" for k in range(8)]
    path.write_text(",".join(["stimulus_id", *voxels, "valence"]) + "\na," + ",".join("123456789") + "\n")
    with pytest.raises(DataError, match=r"8 columns are called like 'v0', but \['valence'\] are not: are these voxels"):
        read_responses(path)
    assert read_responses(path, voxels=[*voxels, "valence"]).values.shape == (1, 9)
    path.write_text("stimulus_id,V1,V2,V3,LOC,FFA\na,1,2,3,4,5\n")
    assert read_responses(path).voxels == ("V1", "V2", "V3", "LOC", "FFA")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "t.csv",
            "stimulus_id;v1\na;0,5\n",
            "t.csv: cells are apart by ';'; expected a comma in a .csv file, and a point",
        ),
        ("t.csv", "stimulus_id\tv1\na\t1\n", "cells are apart by '\\\\t'; expected a comma"),
        ("t.tsv", "stimulus_id,v1\na,1\n", "cells are apart by ','; expected a tab in a .tsv file"),
    ],
)
def test_other_marks_between_cells_are_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        read_sheet(tmp_path / name)


@pytest.mark.parametrize(
    ("column", "found"),
    [("Run Nr.", True), ("RUN-NUMBER", True), ("run #", True), ("Run", True), ("run_type", False), ("rerun", False)],
)
def test_columns_are_found_however_they_are_written(tmp_path, column, found):
    (tmp_path / "t.tsv").write_text(f"stimulus_id\t{column}\na\t1\n")
    assert read_sheet(tmp_path / "t.tsv").find(*bids_names.COLUMNS["run"]) == (column if found else None)
