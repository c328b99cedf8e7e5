"""Names of BIDS derivatives."""

from __future__ import annotations

import pytest

from ontogeny.errors import DataError
from ontogeny.neuroimaging import RunKey, bids_files, bids_name

NAMES = [
    "sub-01/ses-1/func/sub-01_ses-1_task-view_run-10_space-T1w_stat-beta_statmap.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-view_run-2_space-T1w_stat-beta_statmap.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-view_run-2_space-T1w_stat-beta_statmap.json",
    "sub-01/ses-1/func/sub-01_ses-1_task-view_run-2_space-T1w_stat-t_statmap.nii.gz",
    "sub-01/ses-2/func/sub-01_ses-2_task-view_run-1_space-T1w_stat-beta_statmap.nii.gz",
    "sub-01/ses-2/func/sub-01_ses-2_task-view_run-1_events.tsv",
    "sub-02/func/sub-02_task-view_run-1_space-MNI152NLin2009cAsym_stat-beta_statmap.nii.gz",
    "sub-01/anat/sub-01_space-T1w_desc-aparc_dseg.nii.gz",
    "participants.tsv",
    ".git/annex/sub-01_ses-1_task-view_run-2_space-T1w_stat-beta_statmap.nii.gz",
]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_name_is_taken_apart():
    name = bids_name("x/sub-01_task-view_run-2_space-fsLR_den-91k_stat-beta_statmap.dscalar.nii")
    assert name.entities == {
        "sub": "01", "task": "view", "run": "2", "space": "fsLR", "den": "91k", "stat": "beta",
    }  # fmt: skip
    assert (name.suffix, name.extension) == ("statmap", ".dscalar.nii")
    assert bids_name("atlas.nii.gz").entities == {}
    assert bids_name("sub-01_run-1.tsv").suffix == ""


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("sub-01_ses-2024-01-05_run-1_bold.nii.gz", "2024-01-05"),
        ("sub-01_ses-1.2_run-1_bold.nii.gz", "1.2"),
        ("sub-01_ses-été_run-1_bold.dtseries.nii", "été"),
    ],
)
def test_values_that_bids_does_not_allow_are_kept_whole(name, session):
    """Sessions that were left out of the key would be one."""
    found = bids_name(name)
    assert found.entities == {"sub": "01", "ses": session, "run": "1"}
    assert found.suffix == "bold"
    assert found.extension in (".nii.gz", ".dtseries.nii")
    assert RunKey.of_file(name) != RunKey.of_file(name.replace(session, "1.1"))


def test_files_come_by_session_and_run_in_order(folder):
    found = bids_files(folder, subject="01", space="T1w", stat="beta")
    runs = [(bids_name(p).entities["ses"], bids_name(p).entities["run"]) for p in found]
    assert runs == [("1", "2"), ("1", "10"), ("2", "1")]
    assert bids_files(folder, sub="sub-01", session="1", stat="beta") == found[:2]
    assert [p.name for p in bids_files(folder, suffix="events")] == ["sub-01_ses-2_task-view_run-1_events.tsv"]
    assert [p.name for p in bids_files(folder, desc="aparc")] == ["sub-01_space-T1w_desc-aparc_dseg.nii.gz"]
    assert [p.suffix for p in bids_files(folder, stat="beta", extension=".json")] == [".json"]


def test_what_is_not_there_is_named_with_the_nearest(folder, tmp_path_factory):
    with pytest.raises(DataError, match="no file says sub-01_space-T2w_stat-beta. space-: Did you mean 'T1w'"):
        bids_files(folder, subject="01", space="T2w", stat="beta")
    with pytest.raises(DataError, match="Each of these occurs, but not together"):
        bids_files(folder, subject="02", space="T1w")
    with pytest.raises(DataError, match="No file there is named as in BIDS"):
        bids_files(tmp_path_factory.mktemp("empty"), suffix="bold")


def test_two_files_of_one_run_are_refused(folder):
    with pytest.raises(DataError, match="are of the same run; choose stat"):
        bids_files(folder, subject="01", suffix="statmap")
