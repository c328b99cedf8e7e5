"""Which run a row and a volume are of, and all that must agree before they stand side by side."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny.errors import DataError
from ontogeny.neuroimaging import read_betas, read_rows, read_space
from ontogeny.neuroimaging.bids_names import RunKey, bids_files, refuse_alike
from ontogeny.neuroimaging.volume_matching import RowRules, check_series, pair


def key(name: str) -> RunKey:
    return RunKey.of_file(f"{name}_events.tsv")


def test_a_run_is_all_that_its_name_says_of_it_and_nothing_of_how_it_was_processed():
    one = key("sub-01_ses-2_task-view_acq-fast_run-03_space-T1w_desc-preproc_hemi-L_echo-1")
    assert str(one) == "sub-01_ses-2_task-view_acq-fast_run-03"
    assert one == key("run-3_task-view_ses-02_sub-1_acq-fast_space-MNI")
    assert len({one, key("sub-01_ses-2_task-view_acq-fast_run-3")}) == 1
    assert one.against(key("sub-01_ses-3_run-4")) == ("ses", "run")
    assert one.against(key("task-view")) == ()
    assert str(key("sub-01_ses-2").joined(key("run-1_sub-1"))) == "sub-01_ses-2_run-1"
    assert key("run-0") != key("sub-1")
    assert key("run-0").against(key("run-1")) == ("run",)
    assert str(RunKey.of({})) == "a run without a name"


def test_a_name_that_contradicts_itself_is_refused():
    with pytest.raises(DataError, match="ses- stands twice in this name, with two values; rename the file"):
        key("sub-01_ses-1_ses-2_run-1")
    assert key("sub-01_ses-1_ses-1") == key("sub-01_ses-1")


def test_runs_that_nothing_tells_apart_are_refused():
    refuse_alike({key("task-a_run-1"): "x", key("task-a_run-2"): "y", key("task-b"): "z"})
    with pytest.raises(DataError, match=r"x is of ses-1_run-1, y of run-1: nothing tells these .*give ses for both"):
        refuse_alike({key("ses-1_run-1"): "x", key("run-1"): "y"})


def write(folder: Path, name: str, rows: list[tuple[str, ...]], head: str = "stimulus_id\tonset") -> Path:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    return images.table(folder / name, rows, head)


def paired(tables: list[Path], files: list[str], lengths: list[int], **options):
    return pair(read_rows(tables), files, lengths, subject="01", **options)


TWO = [("a", "0"), ("b", "4")]


@pytest.mark.parametrize(
    ("tables", "files", "said"),
    [
        (["ses-1_run-1_events.tsv"], ["ses-2_run-1_b.nii"], "ses- is '1' in the one and '2' in the other"),
        (["task-x_run-1_events.tsv"], ["task-y_run-1_b.nii"], "task- is 'x' in the one and 'y' in the other"),
        (["sub-02_events.tsv"], ["b.nii"], "subject '01': sub-02_events.tsv, row 1 and its volume are of sub-02, anot"),
        (["events.tsv"], ["sub-02_b.nii"], "are of sub-02, another subject"),
        (["a.tsv", "b.tsv"], ["x.nii", "y.nii"], "images x.nii and y.nii would both be a run without a name"),
        (["a.tsv", "b.tsv"], ["x.nii"], "tables a.tsv and b.tsv would both be a run without a name"),
        (["run-1_a.tsv", "run-1_b.tsv"], ["x.nii"], "tables run-1_a.tsv and run-1_b.tsv would both be run-1"),
        (
            ["a.tsv", "b.tsv"],
            ["run-1_x.nii", "run-2_x.nii"],
            "nothing says that a.tsv is of run-1_x.nii and not of run",
        ),
        (["run-1_a.tsv", "run-2_a.tsv"], ["x.nii", "y.nii"], "nothing says that run-1_a.tsv is of x.nii and not of y"),
        (["run-1_a.tsv", "a.tsv"], ["x.nii"], "nothing tells these two runs apart; give run for both"),
    ],
)
def test_what_names_do_not_say_or_say_otherwise_is_refused(tmp_path, tables, files, said):
    made = [write(tmp_path, name, TWO) for name in tables]
    n = 2 * len(tables) // len(files)
    with pytest.raises(DataError, match=re.escape(said)):
        paired(made, files, [n] * len(files))


def test_columns_and_names_make_one_key(tmp_path):
    rows = [("a", "1", "2"), ("b", "1", "2"), ("c", "2", "2")]
    table = write(tmp_path, "sub-01_task-x_events.tsv", rows, "stimulus_id\tRun\tsession_id")
    found = paired([table], ["sub-01_ses-2_x.nii"], [3])
    assert found.runs == ("sub-01_ses-2_task-x_run-1",) * 2 + ("sub-01_ses-2_task-x_run-2",)
    assert paired([table], ["sub-1_run-01_x.nii", "run-02_x.nii"], [2, 1]).runs[0].endswith("run-1")
    with pytest.raises(DataError, match="row 2 of the table is of .*run-1 .*but its volume is in run-02_x.nii"):
        paired([table], ["run-01_x.nii", "run-02_x.nii"], [1, 2])


def test_two_columns_of_one_entity_are_refused_where_they_differ(tmp_path):
    table = write(tmp_path, "e.tsv", [("a", "1", "1"), ("b", "1", "2")], "stimulus_id\trun\tRun")
    with pytest.raises(DataError, match=r"the columns \['run', 'Run'\] say the same thing, and differ"):
        read_rows([table])
    table = write(tmp_path, "e.tsv", [("a", "1", "run-01"), ("b", "2", "run-2")], "stimulus_id\tRun Nr\trun_id")
    assert [str(row.key) for row in read_rows([table])] == ["run-1", "run-2"]


ONSETS = [("a", "4"), ("b", "0"), ("c", "8")]


def test_onsets_that_fall_within_a_run_are_refused_or_taken_as_the_order(tmp_path):
    table = write(tmp_path, "sub-01_run-1_events.tsv", ONSETS)
    with pytest.raises(DataError, match=r"row 1 begins at 4 s and .*row 2, of the same run \(sub-01_run-1\), at 0 s"):
        paired([table], ["sub-01_run-1_b.nii"], [3])
    by_onset = paired([table], ["sub-01_run-1_b.nii"], [3], order="onset")
    assert [row.stimulus_id for row in by_onset.rows] == ["b", "a", "c"]
    by_row = paired([table], ["sub-01_run-1_b.nii"], [3], order="rows")
    assert [row.stimulus_id for row in by_row.rows] == ["a", "b", "c"]


@pytest.mark.parametrize("column", ["trial", "Trial Number", "volume", "trial_nr"])
def test_numbers_of_trials_that_fall_within_a_run_are_refused(tmp_path, column):
    """As long as each is there once: they count then, and are none of conditions."""
    rows = [("a", "1", "1"), ("b", "3", "1"), ("c", "2", "1"), ("a", "1", "2")]
    table = write(tmp_path, "t.tsv", rows, f"stimulus_id\t{column}\trun")
    with pytest.raises(DataError, match=r"row 2 is trial or volume 3 and t.tsv, row 3, of the same run \(run-1\), 2"):
        paired([table], ["sub-01_b.nii"], [4])
    assert [r.stimulus_id for r in paired([table], ["sub-01_b.nii"], [4], order="rows").rows] == ["a", "b", "c", "a"]
    for cells in (["1", "3", "1", "1"], ["1", "x", "2", "1"], ["1", "2", "3", "1"]):
        rows = [(row[0], cell, row[2]) for row, cell in zip(rows, cells, strict=True)]
        write(tmp_path, "t.tsv", rows, f"stimulus_id\t{column}\trun")
        assert len(paired([table], ["sub-01_b.nii"], [4]).rows) == 4


def test_onsets_start_again_in_another_run(tmp_path):
    rows = [("a", "0", "1"), ("b", "4", "1"), ("c", "0", "2"), ("d", "4", "2")]
    table = write(tmp_path, "e.tsv", rows, "stimulus_id\tonset\trun")
    assert [row.stimulus_id for row in paired([table], ["x.nii"], [4], order="onset").rows] == list("abcd")
    paired([table], ["x.nii"], [4])
    with pytest.raises(DataError, match="Are these two runs"):
        paired([write(tmp_path, "e.tsv", [row[:2] for row in rows])], ["x.nii"], [4])


def test_a_run_that_comes_again_is_asked_about(tmp_path):
    """Two sessions, each of run 1 and run 2, and no column that tells them apart."""
    runs = [run for _ in range(2) for run in "112233" for _ in range(2)]
    table = write(tmp_path, "e.tsv", [(f"s{k}", run) for k, run in enumerate(runs)], "stimulus_id\trun")
    said = r"e.tsv, row 1 to 4 and again from e.tsv, row 13 on are of one run \(run-1\).* are these two sessions"
    with pytest.raises(DataError, match=said):
        paired([table], ["x.nii"], [24])
    assert set(paired([table], ["x.nii"], [24], order="rows").runs) == {"run-1", "run-2", "run-3"}
    sessions = [(f"s{k}", run, str(k // 12)) for k, run in enumerate(runs)]
    write(tmp_path, "e.tsv", sessions, "stimulus_id\trun\tsession")
    assert len(set(paired([table], ["x.nii"], [24]).runs)) == 6
    mixed = [(f"s{k}", str(k % 2)) for k in range(24)]
    paired([write(tmp_path, "e.tsv", mixed, "stimulus_id\trun")], ["x.nii"], [24])


def test_a_file_that_is_named_twice_is_refused(tmp_path):
    table = write(tmp_path, "e.tsv", [("a", "x.nii"), ("b", "x.nii")], "stimulus_id\tfile")
    with pytest.raises(DataError, match="image x.nii is named 2 times; name each once"):
        paired([table], ["x.nii", "x.nii"], [1, 1])
    with pytest.raises(DataError, match="a table is named twice among"):
        read_rows([table, table])


def test_two_columns_that_name_two_stimuli_are_refused(tmp_path):
    rows = [("cat", "faces/cat.png"), ("dog", "faces/cat.png")]
    table = write(tmp_path, "e.tsv", rows, "stimulus_id\tstim_file")
    with pytest.raises(DataError, match=r"row 2: the columns \['stimulus_id', 'stim_file'\] name .*\['cat', 'dog'\]"):
        read_rows([table], stimuli=["cat", "dog"])
    write(tmp_path, "e.tsv", [("cat", "img_1.png"), ("dog", "n/a")], "stimulus_id\tstim_file")
    assert len(read_rows([table], stimuli=["cat", "dog"])) == 2


def test_an_order_that_onsets_do_not_tell_is_refused(tmp_path):
    twice = write(tmp_path, "e.tsv", [("a", "4"), ("b", "4")])
    with pytest.raises(DataError, match="two rows of a run without a name begin at 4 s; which is first"):
        paired([twice], ["x.nii"], [2], order="onset")
    none = write(tmp_path, "e.tsv", [("a",), ("b",)], "stimulus_id")
    with pytest.raises(DataError, match=r"e.tsv, row 1 has no onset, so that rows cannot be put in the order"):
        paired([none], ["x.nii"], [2], order="onset")


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        ("stimulus_id\trun", [("a", "1"), ("b", ""), ("c", "n/a")], "rows 2, 3: column 'run' is empty; 1 of 3 rows"),
        ("stimulus_id\tsession", [("a", "1"), ("b", "nan")], "row 2: column 'session' is empty"),
        ("stimulus_id\tonset", [("a", "n/a"), ("b", "2")], "row 1: column 'onset' is empty"),
        ("stimulus_id\tonset", [("a", "inf"), ("b", "2")], "row 1: column 'onset' is not finite"),
        ("stimulus_id\tonset", [("a", "1,5"), ("b", "2")], "row 1: column 'onset' should be a number, got '1,5'"),
        ("stimulus_id\trepeat", [("a", "1"), ("b", " ")], "row 2: column 'repeat' is empty"),
        ("stimulus_id\trepeat", [("a", "1.5"), ("b", "1")], "row 1: column 'repeat' should be a whole number"),
        ("stimulus_id\tfile", [("a", "x.nii"), ("b", "")], "row 2: column 'file' is empty"),
        ("trial_type\tonset", [("n/a", "1"), ("b", "2")], "row 1: column 'trial_type' is empty"),
        ("stimulus_id\trun", [("a", "1"), ("", ""), ("b", "1")], "line 3: all cells are empty"),
        ("stimulus_id", [("a",), ("",), ("b",)], "line 3: all cells are empty"),
    ],
)
def test_an_empty_cell_is_an_error_with_its_row(tmp_path, head, rows, said):
    with pytest.raises(DataError, match=said):
        read_rows([write(tmp_path, "e.tsv", rows, head)])


def test_what_spreadsheets_leave_at_the_end_is_no_row(tmp_path):
    path = write(tmp_path, "e.csv", [], "﻿stimulus_id,run")
    path.write_text(path.read_text() + "a,1\r\n\r\nb,1\r\n,\r\n,\r\n", encoding="utf-8")
    assert [row.stimulus_id for row in read_rows([path])] == ["a", "b"]


def test_repeats_are_numbered_in_all_tables_or_in_none(tmp_path):
    one = write(tmp_path, "one.tsv", [("a", "1")], "stimulus_id\trepeat")
    other = write(tmp_path, "other.tsv", [("a",)], "stimulus_id")
    with pytest.raises(DataError, match="some of these tables have a column 'repeat', others not"):
        read_rows([one, other])


def test_an_id_is_a_file_only_where_it_ends_as_one(tmp_path):
    table = write(tmp_path, "e.tsv", [("1.5",), ("1",), ("faces/2.PNG",)], "stimulus_id")
    assert [row.stimulus_id for row in read_rows([table], stimuli=["1.5", "1", "2"])] == ["1.5", "1", "2"]
    with pytest.raises(DataError, match=r"1 stimuli are not in the stimulus set, e.g. \['1.5'\]"):
        read_rows([table], stimuli=["1", "2"])
    write(tmp_path, "e.tsv", [("faces/2.png",), ("houses/2.png",)], "stimulus_id")
    with pytest.raises(DataError, match="'faces/2.png' and 'houses/2.png' would both be stimulus '2'"):
        read_rows([table], stimuli=["1", "2"])


def test_series_come_in_one_piece_and_their_onsets_go_on_by_the_tr(tmp_path):
    rows = [("a", str(2.5 * k), "1") for k in range(4)]
    table = write(tmp_path, "e.tsv", rows, "stimulus_id\tonset\trun")
    found = paired([table], ["x.nii"], [4])
    check_series(found, [2.5] * 4)
    check_series(found, [None] * 4)
    with pytest.raises(DataError, match=r"row 4: onset 7.5 s is 7.5 s after .* 3 volumes of 2 s .* are 6 s; is a row"):
        check_series(found, [2.0] * 4)
    mixed = write(tmp_path, "e.tsv", [("a", "1"), ("a", "2"), ("a", "1"), ("a", "2")], "stimulus_id\trun")
    with pytest.raises(DataError, match="volumes of run-1 stand before and after those of run-2"):
        check_series(paired([mixed], ["x.nii"], [4]), [None] * 4)


def test_a_column_of_files_and_images_that_are_given_must_agree(tmp_path):
    data = np.arange(120.0 * 2, dtype=np.float32).reshape(*images.SHAPE, 2)
    for volume, name in enumerate("xy"):
        images.nifti(tmp_path / f"{name}.nii", data[..., volume])
    images.atlas(tmp_path)
    space = read_space(tmp_path / "atlas_dseg.nii.gz")
    table = write(tmp_path, "e.tsv", [("a", "4", "y.nii"), ("b", "0", "x.nii")], "stimulus_id\tonset\tfile")
    got = read_betas(None, table="e.tsv", space=space, subject="01", folder=tmp_path)
    assert got.responses[0, 0] > got.responses[1, 0]
    with pytest.raises(DataError, match=r"row 1: column 'file' names 'y.nii', but this volume is in x.nii"):
        read_betas(
            ["x.nii", "y.nii"],
            table=table.name,
            space=space,
            subject="01",
            folder=tmp_path,
            rules=RowRules(order="rows"),
        )


def test_a_column_of_pictures_is_none_of_images(tmp_path):
    images.nifti(tmp_path / "x.nii", np.arange(240.0, dtype=np.float32).reshape(*images.SHAPE, 2))
    images.atlas(tmp_path)
    table = write(tmp_path, "e.tsv", [("a", "a.png"), ("b", "b.png")], "stimulus_id\tfile")
    space = read_space(tmp_path / "atlas_dseg.nii.gz")
    assert len(read_betas("x.nii", table=table.name, space=space, subject="01", folder=tmp_path).runs) == 2


def test_the_tr_of_a_header_without_units_is_not_known(tmp_path):
    from ontogeny.neuroimaging.image_opening import open_image

    image = nib.Nifti1Image(np.zeros((*images.SHAPE, 3), np.float32), images.AFFINE)
    image.to_filename(tmp_path / "plain.nii")
    assert open_image(tmp_path / "plain.nii").tr is None
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((3, 3, 3, 2500))
    image.to_filename(tmp_path / "told.nii")
    assert open_image(tmp_path / "told.nii").tr == pytest.approx(2.5)


def test_files_of_one_name_in_two_folders_and_of_one_number_are_of_one_run(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path, f"{folder}/sub-01_run-1_events.tsv", TWO)
    with pytest.raises(DataError, match=r"a/sub-01_run-1_events.tsv and .*b/sub-01.* leave one of them out"):
        bids_files(tmp_path, suffix="events")
    (tmp_path / "b" / "sub-01_run-1_events.tsv").rename(tmp_path / "b" / "sub-01_run-01_events.tsv")
    with pytest.raises(DataError, match="sub-01_run-01_events.tsv are of the same run; choose run"):
        bids_files(tmp_path, suffix="events")
