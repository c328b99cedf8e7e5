"""Images of the brain -> a benchmark folder by the command line, against the same numbers made by hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from tests.helpers import images
from tests.unit.datasets.own_data.test_build_benchmark import contents, table

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras, read_spaces, verify_folder
from ontogeny.errors import DataError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site

N = 12
IDS = [f"s{i:02d}" for i in range(N)]
ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]
ATLAS = ["--atlas", "atlas_dseg.nii.gz"]
INSIDE = images.labels() > 0


@pytest.fixture
def shown(rng) -> list[str]:
    """Two runs; each shows every stimulus once, in its own order."""
    return [IDS[i] for _ in range(2) for i in rng.permutation(N)]


@pytest.fixture
def data(rng) -> np.ndarray:
    return (100 + 7 * rng.standard_normal((*images.SHAPE, 2 * N))).astype(np.float32)


@pytest.fixture
def lab(tmp_path, monkeypatch, shown, data) -> Path:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "stimuli.csv", {"stimulus_id": IDS[::-1], "text": [f"A sentence, {i}." for i in IDS[::-1]]})
    images.nifti(tmp_path / "sub-01_stat-beta_statmap.nii.gz", data)
    images.table(tmp_path / "sub-01_events.tsv", [(s, str(1 + row // N)) for row, s in enumerate(shown)])
    images.atlas(tmp_path)
    return tmp_path


BETAS = ["--betas", "sub-01_stat-beta_statmap.nii.gz"]
TABLE = ["--table", "sub-01_events.tsv"]


def build(*more: str, out: str = "out") -> int:
    return main(["data", "build", out, "--stimuli", "stimuli.csv", *ABOUT, *more])


def refused(capsys, *more: str) -> str:
    """Exit code 2, one clear line, nothing on disk."""
    capsys.readouterr()
    assert build(*more) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ontogeny data: ")
    assert said.err.count("\n") == 1
    assert not Path("out").exists()
    return said.err


def by_hand(data: np.ndarray, shown: list[str]) -> np.ndarray:
    """Repeats x stimuli x voxels: z-scored within run, in the order of IDS."""
    values = data[INSIDE].T.astype(np.float64)
    runs = [values[:N], values[N:]]
    z = [(run - run.mean(0)) / run.std(0) for run in runs]
    return np.stack([z[k][[shown[k * N : (k + 1) * N].index(i) for i in IDS]] for k in range(2)])


def test_betas_become_a_verified_folder_that_knows_where_its_voxels_are(lab, data, shown, capsys):
    assert build(*BETAS, *TABLE, *ATLAS) == 0
    said = capsys.readouterr().out
    made = "made by subject 01: 24 presentations in 2 runs; z-scored within run; mean of up to 2 repeats; "
    assert made in " ".join(said.split())
    assert "atlas atlas_dseg.nii.gz (sha256 " in said
    assert verify_folder("out") == []
    benchmark, extras = load("out"), read_extras("out")["01"]
    assert (benchmark.name, benchmark.stimuli.ids) == ("out", tuple(IDS))
    expected = by_hand(data, shown)
    np.testing.assert_allclose(benchmark.assemblies[0].responses, expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(extras.repeats, expected, atol=1e-5)
    np.testing.assert_array_equal(extras.columns["index"], np.flatnonzero(INSIDE))
    assert extras.space.shape == images.SHAPE
    np.testing.assert_array_equal(extras.space.affine, images.AFFINE)
    assert set(benchmark.assemblies[0].roi) == {"V1", "IT", "FFA"}


def test_a_folder_leads_back_to_the_places_of_the_atlas(lab):
    assert build(*BETAS, *TABLE, *ATLAS) == 0
    (space,) = read_spaces("out")["01"]
    numbers = {"V1": 1, "IT": 2, "FFA": 7}
    image = space.image(np.array([numbers[roi] for roi in space.roi], dtype=float), fill=0.0)
    np.testing.assert_array_equal(image.get_fdata(), images.labels())
    np.testing.assert_array_equal(image.affine, images.AFFINE)


def test_one_file_a_run_gives_the_same_bytes(lab, data, shown):
    assert build(*BETAS, *TABLE, *ATLAS, "--name", "x") == 0
    for run in (1, 2):
        rows = slice((run - 1) * N, run * N)
        images.nifti(lab / f"sub-01_run-{run}_stat-beta_statmap.nii.gz", data[..., rows])
        images.table(lab / f"sub-01_run-{run}_events.tsv", [(s,) for s in shown[rows]], "stim_id")
    several = ["--betas", *(f"sub-01_run-{run}_stat-beta_statmap.nii.gz" for run in (1, 2))]
    tables = ["--table", *(f"sub-01_run-{run}_events.tsv" for run in (1, 2))]
    assert build(*several, *tables, *ATLAS, "--name", "x", out="again") == 0
    assert contents("again") == contents("out")


@pytest.fixture
def bids(lab, data, shown) -> Path:
    """Two subjects, two runs each, another task's events beside; pictures in stimuli/."""
    root = lab / "derivatives"
    for subject in ("01", "02"):
        for run in (1, 2):
            stem = root / f"sub-{subject}" / "func" / f"sub-{subject}_task-view_run-{run}"
            rows = slice((run - 1) * N, run * N)
            betas = data[..., rows] * int(subject)
            images.nifti(stem.with_name(f"{stem.name}_space-T1w_stat-beta_statmap.nii.gz"), betas)
            events = [(str(k), "1", f"pictures/{s}.png") for k, s in enumerate(shown[rows])]
            images.table(stem.with_name(f"{stem.name}_events.tsv"), events, "onset\tduration\tstim_file")
        images.table(stem.with_name(f"sub-{subject}_task-rest_run-1_events.tsv"), [("x",)], "trial_type")
        atlas = root / f"sub-{subject}" / "anat" / f"sub-{subject}_space-T1w_dseg.nii.gz"
        images.nifti(atlas, images.labels())
        atlas.with_name(f"sub-{subject}_space-T1w_dseg.tsv").write_text("index\tname\n1\tV1\n2\tIT\n7\tFFA\n")
    facts = {"Name": "lab", "License": "PDDL", "HowToAcknowledge": "Cite us (2026)."}
    (root / "dataset_description.json").write_text(json.dumps(facts))
    return root


def test_bids_derivatives_are_found_by_their_names(bids, data, shown):
    about = ["--about", "Made for tests."]
    assert main(["data", "build", "out", "--stimuli", "stimuli.csv", "--bids", "derivatives", *about]) == 0
    benchmark = load("out")
    assert (benchmark.licence, benchmark.citation) == ("PDDL", "Cite us (2026).")
    assert [assembly.subject for assembly in benchmark.assemblies] == ["01", "02"]
    for assembly in benchmark.assemblies:
        np.testing.assert_allclose(assembly.responses, by_hand(data, shown).mean(0), atol=1e-4)
    assert read_extras("out")["01"].space.name == "T1w"
    assert build("--bids", "derivatives", "--subjects", "sub-02", out="one") == 0
    assert [assembly.subject for assembly in load("one").assemblies] == ["02"]


def test_events_at_the_top_hold_for_subjects_without_their_own(bids, data, shown):
    """As BIDS says; a subject that has some of its own is not given those of others."""
    for run in (1, 2):
        (bids / f"sub-01/func/sub-01_task-view_run-{run}_events.tsv").rename(bids / f"task-view_run-{run}_events.tsv")
    for path in bids.rglob("sub-*_events.tsv"):
        path.unlink()
    assert build("--bids", "derivatives") == 0
    for assembly in load("out").assemblies:
        np.testing.assert_allclose(assembly.responses, by_hand(data, shown).mean(0), atol=1e-4)
    images.table(bids / "sub-02/func/sub-02_task-rest_run-1_events.tsv", [("x",)], "trial_type")
    assert build("--bids", "derivatives", out="other") == 2


def test_bids_files_that_are_not_there_are_named(bids, capsys):
    assert "derivatives: subject '03' has no betas. Did you mean '02'" in refused(
        capsys, "--bids", "derivatives", "--subjects", "03"
    )
    assert "no file says stat-beta_space-MNI_statmap. space-: Choices: 'T1w'" in refused(
        capsys, "--bids", "derivatives", "--select", "space=MNI"
    )
    assert "--select: expected KEY=VALUE, got 'T1w'" in refused(capsys, "--bids", "derivatives", "--select", "T1w")
    (bids / "sub-02" / "func" / "sub-02_task-view_run-2_events.tsv").unlink()
    said = refused(capsys, "--bids", "derivatives")
    assert (
        "sub-02_task-view_run-2_space-T1w_stat-beta_statmap.nii.gz has no events: of sub-02_task-view_run-2 there"
        in said
    )
    next((bids / "sub-01" / "anat").glob("*.nii.gz")).unlink()
    assert "no file says sub-01_space-T1w_dseg.nii.gz or .nii" in refused(
        capsys, "--bids", "derivatives", "--subjects", "01"
    )
    (bids / "dataset_description.json").write_text("{")
    assert "dataset_description.json cannot be read as JSON" in refused(
        capsys, "--bids", "derivatives", "--subjects", "01", *ATLAS
    )


def sessions(lab: Path, data: np.ndarray, shown: list[str], names: list[str]) -> Path:
    """Runs of one subject, called so; the second 1000 above the first. The atlas stands beside them."""
    root = lab / "sessions"
    for k, name in enumerate(names):
        rows = slice(k * N, (k + 1) * N)
        images.nifti(root / f"{name}_stat-beta_statmap.nii.gz", data[..., rows] + 1000 * k)
        images.table(
            root / f"{name}_events.tsv", [(str(4 * k), s) for k, s in enumerate(shown[rows])], "onset\tstim_id"
        )
    return root


@pytest.mark.parametrize(
    "names",
    [
        ["sub-01_ses-1_run-1", "sub-01_ses-2_run-1"],
        ["sub-01_task-a_run-1", "sub-01_task-b_run-1"],
        ["sub-01_task-a_acq-fast_run-1", "sub-01_task-a_acq-slow_run-1"],
        ["sub-01_task-a", "sub-01_task-b_run-1"],
        ["sub-01_dir-AP", "sub-01_dir-PA"],
    ],
)
def test_runs_of_one_number_are_z_scored_apart(lab, data, shown, names, capsys):
    sessions(lab, data, shown, names)
    assert build("--bids", "sessions", *ATLAS) == 0
    assert f"runs         subject 01: 2, with so many presentations: {names[0]} (12), {names[1]} (12)" in (
        capsys.readouterr().out
    )
    np.testing.assert_allclose(load("out").assemblies[0].responses, by_hand(data, shown).mean(0), atol=1e-3)


def test_events_of_another_session_are_not_taken_also_where_they_are_the_only_ones(lab, data, shown, capsys):
    root = sessions(lab, data, shown, ["sub-01_ses-1_run-1"])
    (root / "sub-01_ses-1_run-1_events.tsv").rename(root / "sub-01_ses-2_run-1_events.tsv")
    said = refused(capsys, "--bids", "sessions", *ATLAS)
    assert "sub-01_ses-1_run-1_stat-beta_statmap.nii.gz has no events: of sub-01_ses-1_run-1 there is no table" in said
    assert "there are ['sub-01_ses-2_run-1_events.tsv']" in said


def test_one_table_is_not_taken_for_two_runs_nor_one_of_two_for_a_run(lab, data, shown, capsys):
    root = sessions(lab, data, shown, ["sub-01_ses-1_run-1", "sub-01_ses-2_run-1"])
    for session in (1, 2):
        (root / f"sub-01_ses-{session}_run-1_events.tsv").rename(root / f"sub-01_ses-{session}_events.tsv")
    assert build("--bids", "sessions", *ATLAS) == 0
    shutil.rmtree("out")
    (root / "sub-01_ses-1_events.tsv").rename(root / "sub-01_run-1_events.tsv")
    said = refused(capsys, "--bids", "sessions", *ATLAS)
    assert "and its events may be sub-01_" in said
    (root / "sub-01_ses-2_events.tsv").unlink()
    said = refused(capsys, "--bids", "sessions", *ATLAS)
    assert (
        "sub-01_run-1_events.tsv is all there is for both sub-01_ses-1_run-1_stat-beta_statmap.nii.gz and sub" in said
    )


def test_events_after_the_end_of_their_run_are_refused(lab, data, shown, capsys):
    root = sessions(lab, data, shown, ["sub-01_ses-1_run-1", "sub-01_ses-2_run-1"])
    bold = nib.Nifti1Image(np.zeros((2, 2, 2, 20), np.int16), np.eye(4))
    bold.header.set_xyzt_units("mm", "sec")
    bold.header.set_zooms((1, 1, 1, 2))
    bold.to_filename(root / "sub-01_ses-2_run-1_bold.nii.gz")
    said = refused(capsys, "--bids", "sessions", *ATLAS)
    assert (
        "sub-01_ses-2_run-1_events.tsv: the last onset is 44 s, but sub-01_ses-2_run-1_bold.nii.gz has 20 vol" in said
    )
    assert "of 2 s, 40 s in all" in said


def test_subjects_that_only_zeros_tell_apart_and_files_of_none_are_refused(lab, data, shown, capsys):
    root = sessions(lab, data, shown, ["sub-01_run-1", "sub-1_run-2"])
    assert "sub-01 and sub-1 are one number; rename one" in refused(capsys, "--bids", "sessions", *ATLAS)
    for path in root.glob("sub-1_*"):
        path.rename(path.with_name(path.name.removeprefix("sub-1_")))
    assert "run-2_stat-beta_statmap.nii.gz names no subject; choose subjects" in refused(
        capsys, "--bids", "sessions", *ATLAS
    )


def test_what_names_say_of_the_brain_must_agree(lab, data, shown, capsys):
    root = sessions(lab, data, shown, ["sub-01_run-1_space-T1w", "sub-01_run-2_space-MNI"])
    said = refused(capsys, "--bids", "sessions", *ATLAS)
    assert "sub-01_run-1_space-T1w_stat-beta_statmap.nii.gz is in space T1w, sub-01_run-2_space-MNI_stat-beta" in said
    for ending in (".nii.gz", ".tsv"):
        (lab / f"atlas_dseg{ending}").rename(lab / f"sub-02_space-MNI_dseg{ending}")
    atlas = ["--atlas", "01=sub-02_space-MNI_dseg.nii.gz"]
    assert "atlas sub-02_space-MNI_dseg.nii.gz is of another subject" in refused(capsys, *BETAS, *TABLE, *atlas)
    for path in root.glob("*"):
        path.rename(path.with_name(path.name.replace("space-MNI", "space-T1w")))
    (lab / "sub-02_space-MNI_dseg.nii.gz").rename(lab / "space-MNI_dseg.nii.gz")
    (lab / "sub-02_space-MNI_dseg.tsv").rename(lab / "space-MNI_dseg.tsv")
    said = refused(capsys, "--bids", "sessions", "--atlas", "space-MNI_dseg.nii.gz")
    assert "betas are in space T1w, atlas space-MNI_dseg.nii.gz in MNI" in said


def test_a_hemisphere_of_another_name_is_refused(lab, rng, shown, capsys):
    surfaces(lab, rng, shown)
    for kind in ("sub-01_hemi-{}_stat-beta_statmap.func.gii", "hemi-{}_dseg.func.gii"):
        (lab / kind.format("L")).rename(lab / "aside")
        (lab / kind.format("R")).rename(lab / kind.format("L"))
        (lab / "aside").rename(lab / kind.format("R"))
    betas = [f"sub-01_hemi-{side}_stat-beta_statmap.func.gii" for side in "LR"]
    said = refused(capsys, "--betas", *betas, *TABLE, "--atlas", *(f"hemi-{side}_dseg.func.gii" for side in "LR"))
    assert (
        "hemi-L_stat-beta_statmap.func.gii: its name says CortexLeft, its metadata CortexRight; which is right" in said
    )


def test_tables_as_a_shell_lists_them_do_not_meet_the_volumes_of_others(lab, data, shown, capsys):
    cuts = [range(k, 2 * N, 12) for k in range(12)]
    names = [f"sub-01_run-{k + 1}_events.tsv" for k in range(12)]
    for name, rows in zip(names, cuts, strict=True):
        images.table(lab / name, [(shown[row],) for row in rows], "stimulus_id")
    images.nifti(lab / "sub-01_betas.nii.gz", data[..., [row for rows in cuts for row in rows]])
    given = ["--betas", "sub-01_betas.nii.gz", *ATLAS, "--table"]
    said = refused(capsys, *given, *sorted(names))
    assert (
        "tables come as a shell lists them, sub-01_run-12_events.tsv before sub-01_run-1_events.tsv, beside the" in said
    )
    assert build("--no-zscore", *given, *names) == 0


@pytest.mark.parametrize("measured", [True, False])
def test_rows_in_which_nothing_was_shown_are_left_out_with_their_volumes_if_they_have_any(
    lab, data, shown, capsys, measured
):
    rows = [(s, str(1 + k // N)) for k, s in enumerate(shown)]
    rows[5:5], rows[20:20] = [("fixation", "1")], [("n/a", "2")]
    images.table(lab / "sub-01_events.tsv", rows)
    if measured:
        images.nifti(lab / "sub-01_stat-beta_statmap.nii.gz", np.insert(data, [5, 19], 1e6, axis=-1))
    assert "row 21: column 'stimulus_id' is empty" in refused(capsys, *BETAS, *TABLE, *ATLAS)
    assert "no row is 'fixaton', which should be left out. Did you mean 'fixation'" in refused(
        capsys, *BETAS, *TABLE, *ATLAS, "--leave-out", "fixaton", "n/a"
    )
    assert build(*BETAS, *TABLE, *ATLAS, "--leave-out", "fixation", "n/a") == 0
    np.testing.assert_allclose(read_extras("out")["01"].repeats, by_hand(data, shown), atol=1e-4)


def test_a_region_that_vanishes_with_its_bad_voxels_is_named(lab, data, capsys):
    data[5, :2, 0, 3] = np.nan
    images.nifti(lab / "sub-01_stat-beta_statmap.nii.gz", data)
    assert build(*BETAS, *TABLE, *ATLAS, "--drop-bad-voxels") == 0
    assert "2 voxels, 2 NaN or infinite; no voxel is left of 'FFA' (numbers" in capsys.readouterr().out


def test_rows_that_are_not_in_the_order_of_their_onsets_are_refused_or_ordered(lab, data, shown, capsys):
    """Volumes lie in the order of time; the rows of each run were sorted by stimulus."""
    rows = [(s, str(1 + k // N), str(4 * (k % N))) for k, s in enumerate(shown)]
    images.table(lab / "sub-01_events.tsv", sorted(rows, key=lambda row: (row[1], row[0])), "stimulus_id\trun\tonset")
    said = refused(capsys, *BETAS, *TABLE, *ATLAS)
    assert "of the same run (sub-01_run-1), at " in said
    assert build(*BETAS, *TABLE, *ATLAS, "--order", "onset") == 0
    np.testing.assert_allclose(read_extras("out")["01"].repeats, by_hand(data, shown), atol=1e-4)
    assert build(*BETAS, *TABLE, *ATLAS, "--order", "rows", out="rows") == 0
    assert abs(read_extras("rows")["01"].repeats - by_hand(data, shown)).max() > 1


def test_a_bids_file_that_leads_out_of_the_folder_is_refused(bids, capsys):
    path = next((bids / "sub-01" / "func").glob("*run-1*statmap.nii.gz"))
    path.rename(bids.parent / "elsewhere.nii.gz")
    path.symlink_to(bids.parent / "elsewhere.nii.gz")
    assert "leaves the folder derivatives; name files inside it" in refused(capsys, "--bids", "derivatives")


def test_an_atlas_on_another_grid_is_resampled_only_when_asked_and_it_is_written_down(lab, capsys):
    fine = images.AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] -= fine[:3, :3] @ [0.5, 0.5, 0.5]
    twice = images.labels().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    images.atlas(lab, fine, twice)
    said = refused(capsys, *BETAS, *TABLE, *ATLAS)
    assert "atlas_dseg.nii.gz and the images that it is for are not on one grid" in said
    assert "--resample" in said
    assert build(*BETAS, *TABLE, *ATLAS, "--resample") == 0
    assert "put on the betas' grid by nearest neighbour" in capsys.readouterr().out
    (space,) = read_spaces("out")["01"]
    np.testing.assert_array_equal(space.index, np.flatnonzero(INSIDE))
    images.atlas(lab)
    assert build(*BETAS, *TABLE, *ATLAS, "--resample", out="same") == 0
    assert "nearest neighbour" not in capsys.readouterr().out


def test_resampling_is_no_registration(lab, data, capsys):
    images.nifti(lab / "sub-01_space-T1w_statmap.nii.gz", data)
    (lab / "atlas_dseg.nii.gz").rename(lab / "space-MNI_dseg.nii.gz")
    (lab / "atlas_dseg.tsv").rename(lab / "space-MNI_dseg.tsv")
    given = ["--betas", "sub-01_space-T1w_statmap.nii.gz", *TABLE, "--atlas", "space-MNI_dseg.nii.gz"]
    said = refused(capsys, *given, "--resample")
    assert "betas are in space T1w, atlas space-MNI_dseg.nii.gz in MNI: resampling changes the grid, it does" in said


def test_blocks_of_a_time_series(lab, rng):
    """96 volumes a run, blocks of 6 after rests of 2; a response of two volumes later is found by shift 2."""
    patterns, labels, series = rng.standard_normal((N, 42)), [], []
    for _run in range(2):
        run = np.zeros((98, 42))
        said = ["rest"] * 98
        for k, stimulus in enumerate(rng.permutation(N)):
            said[8 * k : 8 * k + 6] = [IDS[stimulus]] * 6
            run[8 * k + 2 : 8 * k + 8] = patterns[stimulus]
        labels += said
        series.append(run)
    values = np.concatenate(series) + 1e-3 * rng.standard_normal((196, 42))
    bold = np.zeros((*images.SHAPE, 196), dtype=np.float32)
    bold[INSIDE] = 1000 + values.T + np.tile(np.linspace(0, 30, 98), 2)
    images.nifti(lab / "sub-01_bold.nii.gz", bold)
    images.table(lab / "sub-01_volumes.tsv", [(s, str(1 + k // 98)) for k, s in enumerate(labels)])
    given = ["--betas", "sub-01_bold.nii.gz", "--table", "sub-01_volumes.tsv", *ATLAS]
    assert build(*given, "--blocks", "2") == 0
    assembly = load("out").assemblies[0]
    for voxel in range(42):
        assert np.corrcoef(assembly.responses[:, voxel], patterns[:, voxel])[0, 1] > 0.97
    assert "block averages moved by 2 volumes" in read_extras("out")["01"].made_by


def test_rest_between_blocks_is_no_stimulus_that_was_seen(lab, rng, capsys):
    labels = [s for k in range(N) for s in [IDS[k], IDS[k], "rest"]]
    images.nifti(lab / "sub-01_bold.nii.gz", (100 + rng.standard_normal((*images.SHAPE, 3 * N))).astype(np.float32))
    images.table(lab / "sub-01_volumes.tsv", [(s, "1") for s in labels])
    given = ["--betas", "sub-01_bold.nii.gz", "--table", "sub-01_volumes.tsv", *ATLAS, "--blocks", "0"]
    assert build(*given, "--own-stimuli") == 0
    assert f"saw          01 {N}; {N} were seen by all" in capsys.readouterr().out


def test_blocks_need_a_row_a_volume(lab, capsys):
    images.table(lab / "sub-01_events.tsv", [(s,) for s in IDS], "stimulus_id")
    said = refused(capsys, *BETAS, *TABLE, *ATLAS, "--blocks", "0")
    assert "24 volumes but 12 rows in sub-01_events.tsv; blocks need a row a volume, rest too" in said


def test_regions_and_voxels_of_their_own(lab):
    assert build(*BETAS, *TABLE, *ATLAS, "--regions", "V1", "FFA", "--no-zscore", "--voxelwise") == 0
    assembly, extras = load("out").assemblies[0], read_extras("out")["01"]
    assert assembly.roi[0] == "V1 0-0-0"
    assert len(set(assembly.roi)) == 22
    assert list(dict.fromkeys(extras.columns["region"])) == ["V1", "FFA"]
    assert assembly.responses.mean() > 90
    (space,) = read_spaces("out")["01"]
    assert space.roi == assembly.roi


def surfaces(lab: Path, rng, shown: list[str]) -> dict[str, np.ndarray]:
    out = {}
    for side, full in (("L", "CortexLeft"), ("R", "CortexRight")):
        out[side] = rng.standard_normal((2 * N, 6)).astype(np.float32)
        images.gifti(lab / f"sub-01_hemi-{side}_stat-beta_statmap.func.gii", out[side], full)
        images.gifti(lab / f"hemi-{side}_dseg.func.gii", np.array([[0, 1, 1, 2, 0, 2]]), full)
        (lab / f"hemi-{side}_dseg.tsv").write_text("index\tname\n1\tV1\n2\tIT\n")
    return out


def test_two_hemispheres_are_one_subject_with_two_ways_back(lab, rng, shown):
    values = surfaces(lab, rng, shown)
    betas = [f"sub-01_hemi-{side}_stat-beta_statmap.func.gii" for side in "LR"]
    atlases = [f"hemi-{side}_dseg.func.gii" for side in "LR"]
    assert build("--betas", *betas, *TABLE, "--atlas", *atlases, "--no-zscore") == 0
    assert verify_folder("out") == []
    assembly = load("out").assemblies[0]
    assert assembly.roi == ("L V1", "L V1", "L IT", "L IT", "R V1", "R V1", "R IT", "R IT")
    rows = [[k for k, s in enumerate(shown) if s == i] for i in IDS]
    for half, side in enumerate("LR"):
        expected = np.stack([values[side][two].mean(0) for two in rows])[:, [1, 2, 3, 5]]
        np.testing.assert_allclose(assembly.responses[:, 4 * half : 4 * half + 4], expected, atol=1e-6)
    left, right = read_spaces("out")["01"]
    assert (left.grid.structure, right.grid.structure) == ("CortexLeft", "CortexRight")
    np.testing.assert_array_equal(right.index, [1, 2, 3, 5])
    assert right.roi == ("R V1", "R V1", "R IT", "R IT")


def test_hemispheres_that_cannot_be_told_are_refused(lab, rng, shown, capsys):
    surfaces(lab, rng, shown)
    betas = [f"sub-01_hemi-{side}_stat-beta_statmap.func.gii" for side in "LR"]
    (lab / "hemi-R_dseg.func.gii").rename(lab / "right_dseg.func.gii")
    said = refused(capsys, "--betas", *betas, *TABLE, "--atlas", "hemi-L_dseg.func.gii", "right_dseg.func.gii")
    assert "each is of one hemisphere, with hemi-L or hemi-R in its name" in said


def test_files_of_hemispheres_are_all_taken_and_in_one_order(lab, rng, capsys):
    """One image per stimulus and hemisphere."""
    surfaces(lab, rng, IDS)
    images.table(lab / "sub-01_events.tsv", [(s, "1") for s in IDS])
    names = {side: [f"sub-01_trial-{k:02d}_hemi-{side}_beta.func.gii" for k in range(N)] for side in "LR"}
    for side, full in (("L", "CortexLeft"), ("R", "CortexRight")):
        for name in names[side]:
            images.gifti(lab / name, rng.standard_normal((1, 6)), full)
    atlases = ["--atlas", "hemi-L_dseg.func.gii", "hemi-R_dseg.func.gii"]
    turned = names["R"][::-1]
    said = refused(capsys, "--betas", *names["L"], *turned, *TABLE, *atlases)
    assert f"files of the hemispheres come in other orders, {names['L'][0]} beside {turned[0]}; give both" in said
    assert build("--betas", *names["L"], *names["R"], *TABLE, *atlases) == 0
    shutil.rmtree("out")
    shutil.copy(names["L"][0], "sub-01_beta.func.gii")
    said = refused(capsys, "--betas", *names["L"], *names["R"], "sub-01_beta.func.gii", *TABLE, *atlases)
    assert "sub-01_beta.func.gii does not say which hemisphere it is of; say hemi-L or hemi-R" in said
    shutil.copy("hemi-L_dseg.func.gii", "other_hemi-L_dseg.func.gii")
    shutil.copy("hemi-L_dseg.tsv", "other_hemi-L_dseg.tsv")
    two = ["--atlas", "hemi-L_dseg.func.gii", "other_hemi-L_dseg.func.gii"]
    assert "two atlases are of hemisphere L; give one of each" in refused(capsys, "--betas", *names["L"], *TABLE, *two)


def test_betas_of_one_hemisphere_do_not_meet_the_atlas_of_the_other(lab, rng, capsys):
    """Also where no metadata say it."""
    values = rng.standard_normal((2 * N, 6)).astype(np.float32)
    for name, data in (
        ("sub-01_hemi-R_beta.func.gii", values),
        ("hemi-L_dseg.func.gii", np.array([[0, 1, 1, 2, 0, 2]])),
    ):
        arrays = [nib.gifti.GiftiDataArray(row.astype(np.float32)) for row in data]
        nib.gifti.GiftiImage(darrays=arrays).to_filename(lab / name)
    (lab / "hemi-L_dseg.tsv").write_text("index\tname\n1\tV1\n2\tIT\n")
    said = refused(capsys, "--betas", "sub-01_hemi-R_beta.func.gii", *TABLE, "--atlas", "hemi-L_dseg.func.gii")
    assert "structures CortexLeft and CortexRight" in said


def test_columns_that_may_be_runs_are_named(lab, data, shown, capsys):
    images.table(lab / "sub-01_events.tsv", [(s, str(1 + k // N)) for k, s in enumerate(shown)], "stimulus_id\tscan")
    assert build(*BETAS, *TABLE, *ATLAS) == 0
    said = capsys.readouterr().out
    assert "not used     subject 01: column 'scan' of sub-01_events.tsv; call it run or session if that is what" in said
    images.table(lab / "sub-01_events.tsv", [(s, str(1 + k // N)) for k, s in enumerate(shown)], "stimulus_id\tRun Nr.")
    assert build(*BETAS, *TABLE, *ATLAS, "--overwrite") == 0
    assert "2, with so many presentations: sub-01_run-1 (12), sub-01_run-2 (12)" in capsys.readouterr().out
    np.testing.assert_allclose(load("out").assemblies[0].responses, by_hand(data, shown).mean(0), atol=1e-5)


def test_a_region_that_resampling_lost_is_named(lab, data, capsys):
    """The betas' voxels are three times as large; one label fills a voxel that none of their middles lies in."""
    fine = np.repeat(np.repeat(np.repeat(images.labels(), 3, 0), 3, 1), 3, 2)
    fine[3, 0, 0] = 9
    affine = images.AFFINE @ np.diag([1 / 3, 1 / 3, 1 / 3, 1])
    affine[:3, 3] = images.AFFINE[:3, 3] - images.AFFINE[:3, :3] @ np.full(3, 1 / 3)
    images.atlas(lab, affine, fine)
    assert build(*BETAS, *TABLE, *ATLAS, "--resample") == 0
    assert "put on the betas' grid by nearest neighbour; no voxel is left of 'PPA'" in capsys.readouterr().out
    assert set(load("out").assemblies[0].roi) == {"V1", "IT", "FFA"}


def test_grayordinates_are_kept_by_their_row(lab, rng, shown):
    axis = images.grayordinates()
    images.cifti(lab / "sub-01_betas.dscalar.nii", rng.standard_normal((2 * N, 8)).astype(np.float32), axis)
    images.cifti(lab / "atlas.dscalar.nii", np.array([[1, 0, 1, 0, 0, 0, 2, 2]], dtype=np.float32), axis)
    (lab / "atlas.tsv").write_text("index\tname\n1\tV1\n2\tThalamus\n")
    assert build("--betas", "sub-01_betas.dscalar.nii", *TABLE, "--atlas", "atlas.dscalar.nii") == 0
    np.testing.assert_array_equal(read_extras("out")["01"].columns["grayordinate"], [0, 2, 6, 7])
    with pytest.raises(DataError, match="no subject has a space, so nothing leads back to the brain"):
        read_spaces("out")


def test_voxels_that_are_left_out_are_listed_by_place(lab, data, capsys):
    data[0, 0, 0, 3] = np.nan
    data[1, 1, 1, N:] = 5
    images.nifti(lab / "sub-01_stat-beta_statmap.nii.gz", data)
    assert "1 of 42 voxels are NaN or infinite, e.g. 'V1 0-0-0'" in refused(capsys, *BETAS, *TABLE, *ATLAS)
    assert build(*BETAS, *TABLE, *ATLAS, "--drop-bad-voxels") == 0
    said = capsys.readouterr().out
    dropped = "dropped subject 01: 2 voxels, 1 NaN or infinite, 1 constant within a run (numbers: places"
    assert dropped in " ".join(said.split())
    (entry,) = json.loads(Path("out/benchmark.json").read_text())["dropped"]
    assert entry["voxels"] == [0, int(np.ravel_multi_index((1, 1, 1), images.SHAPE))]
    assert len(read_extras("out")["01"].columns["index"]) == 40


def spoil_affine(lab: Path) -> None:
    moved = images.AFFINE.copy()
    moved[0, 3] += 3
    images.atlas(lab, moved)


def spoil_length(lab: Path) -> None:
    image = nib.load(lab / "sub-01_stat-beta_statmap.nii.gz")
    images.nifti(lab / "sub-01_stat-beta_statmap.nii.gz", np.asarray(image.dataobj)[..., :-1])


def events(lab: Path, change: dict[str, str]) -> None:
    text = (lab / "sub-01_events.tsv").read_text()
    for old, new in change.items():
        text = text.replace(old, new)
    (lab / "sub-01_events.tsv").write_text(text)


def by_file(lab: Path, place: str) -> None:
    rows = [(s, str(1 + k // N), place) for k, s in enumerate([*IDS, *IDS])]
    images.table(lab / "sub-01_events.tsv", rows, "stimulus_id\trun\tfile")


@pytest.mark.parametrize(
    ("spoil", "given", "text"),
    [
        (spoil_affine, [*BETAS, *TABLE, *ATLAS], "not on one grid: affines that put a corner up to 3 mm apart"),
        (spoil_length, [*BETAS, *TABLE, *ATLAS], "the table has 24 rows but there are 23 volumes"),
        (None, [*BETAS, *TABLE, *ATLAS, "--regions", "background"], "ROI 'background' is label 0"),
        (None, [*BETAS, *TABLE, *ATLAS, "--regions", "V2"], "no ROI is called 'V2'. Did you mean 'V1'"),
        (
            lambda lab: images.atlas(lab, data=np.zeros(images.SHAPE, np.int16)),
            [*BETAS, *TABLE, *ATLAS],
            "no voxel has a label; all is background",
        ),
        (
            lambda lab: events(lab, {"s03": "s3x"}),
            [*BETAS, *TABLE, *ATLAS],
            "1 stimuli are not in the stimulus set, e.g. ['s3x']",
        ),
        (
            lambda lab: events(lab, {"s03": "s04"}),
            [*BETAS, *TABLE, *ATLAS],
            "sub-01_events.tsv lacks 1 of 12 stimuli, e.g. ['s03']",
        ),
        (
            lambda lab: by_file(lab, "../outside.nii.gz"),
            [*TABLE, *ATLAS],
            "'../outside.nii.gz' leaves the folder .; name files inside it",
        ),
        (
            lambda lab: (lab / "sub-01_stat-beta_statmap.nii.gz").write_bytes(b"\x1f\x8b0"),
            [*BETAS, *TABLE, *ATLAS],
            "cannot be read as an image",
        ),
        (None, ["--betas", "sub-01_none.nii.gz", *TABLE, *ATLAS], "there is no file sub-01_none.nii.gz"),
        (None, [*BETAS, *ATLAS], "subject '01' has images but no table of stimuli (--table)"),
        (None, [*BETAS, *TABLE], "subject '01' has images but no atlas (--atlas)"),
        (None, [*BETAS, "--table", "02=sub-01_events.tsv", *ATLAS], "--table names subject '02', which has no betas"),
        (
            None,
            ["--betas", "atlas_dseg.nii.gz", *TABLE, *ATLAS],
            "cannot tell the subject of atlas_dseg.nii.gz; write SUBJECT=FILE",
        ),
        (None, ["--betas", "01=", *TABLE, *ATLAS], "--betas: expected SUBJECT=FILE or FILE, got '01='"),
        (
            lambda lab: table(lab / "rois.csv", {"roi": ["a"]}),
            [*BETAS, *TABLE, *ATLAS, "--rois", "01=rois.csv"],
            "ROIs are given for '01', which has images",
        ),
        (
            lambda lab: (lab / "atlas_dseg.tsv").unlink(),
            [*BETAS, *TABLE, *ATLAS],
            "its labels have no names",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(lab, capsys, spoil, given, text):
    if spoil is not None:
        spoil(lab)
    assert text in refused(capsys, *given)


def test_pictures_of_two_folders_are_not_one_stimulus_of_two_subjects(lab, data, shown, capsys):
    """A folder of the subject's own says nothing."""
    given = ["--betas", "sub-01_b.nii.gz", "sub-02_b.nii.gz", "--table", "sub-01_t.tsv", "sub-02_t.tsv", *ATLAS]
    for who, folder in (("01", "faces"), ("02", "houses")):
        images.nifti(lab / f"sub-{who}_b.nii.gz", data + float(who))
        rows = [(f"{folder}/{s}.png", str(1 + k // N)) for k, s in enumerate(shown)]
        images.table(lab / f"sub-{who}_t.tsv", rows, "stim_file\trun")
    said = refused(capsys, *given)
    assert "ontogeny data: 'faces/s" in said
    assert "of subject '02' would both be 's" in said
    for who in ("01", "02"):
        rows = [(f"seen/sub-{who}/{s}.png", str(1 + k // N)) for k, s in enumerate(shown)]
        images.table(lab / f"sub-{who}_t.tsv", rows, "stim_file\trun")
    assert build(*given) == 0


def test_a_build_without_stimuli_says_so(lab, capsys):
    assert main(["data", "build", "out", *BETAS, *TABLE, *ATLAS, *ABOUT]) == 2
    assert "--stimuli is missing: a table of stimuli, or a folder of pictures" in capsys.readouterr().err


def test_runs_of_swapped_files_are_seen(lab, data, shown, capsys):
    for run in (1, 2):
        rows = slice((run - 1) * N, run * N)
        images.nifti(lab / f"sub-01_run-{run}_betas.nii.gz", data[..., rows])
        images.table(lab / f"sub-01_run-{run}_events.tsv", [(s,) for s in shown[rows]], "stim_id")
    betas, tables = (
        [f"sub-01_run-{run}_{kind}" for run in order]
        for kind, order in (("betas.nii.gz", (2, 1)), ("events.tsv", (1, 2)))
    )
    said = refused(capsys, "--betas", *betas, "--table", *tables, *ATLAS)
    assert (
        "row 1 of the table is of sub-01_run-1 (sub-01_run-1_events.tsv, row 1), but its volume is in sub-01_run-2_b"
        in said
    )
    assert "run- is '1' in the one and '2' in the other" in said


def test_swapped_files_in_the_folder_are_seen_by_verify(lab, capsys):
    (lab / "second.nii.gz").write_bytes((lab / "sub-01_stat-beta_statmap.nii.gz").read_bytes())
    (lab / "second.tsv").write_bytes((lab / "sub-01_events.tsv").read_bytes())
    assert build("--betas", BETAS[1], "02=second.nii.gz", "--table", TABLE[1], "02=second.tsv", *ATLAS) == 0
    one, two = Path("out/space/01.json"), Path("out/responses/02.safetensors")
    one.write_text(one.read_text().replace("60.0", "61.0"))
    two.write_bytes(Path("out/responses/01.safetensors").read_bytes())
    capsys.readouterr()
    assert main(["data", "verify", "out"]) == 2
    said = capsys.readouterr().out
    assert "WRONG    space/01.json: " in said
    assert "WRONG    responses/02.safetensors: " in said


def test_only_what_all_saw_where_that_is_asked_for(lab, data, shown, capsys):
    """Runs are z-scored with all that was shown in them; then the benchmark is of the stimuli of both subjects."""
    fewer = [IDS[0] if s == IDS[1] else s for s in shown]
    images.nifti(lab / "sub-02_stat-beta_statmap.nii.gz", 2 * data)
    images.table(lab / "sub-02_events.tsv", [(s, str(1 + row // N)) for row, s in enumerate(fewer)])
    given = ["--betas", *(f"sub-{s}_stat-beta_statmap.nii.gz" for s in ("01", "02"))]
    given += ["--table", *(f"sub-{s}_events.tsv" for s in ("01", "02")), *ATLAS]
    assert "sub-02_events.tsv lacks 1 of 12 stimuli, e.g. ['s01']" in refused(capsys, *given)
    assert build(*given, "--shared") == 0
    assert "1 stimuli left out that not every subject saw" in capsys.readouterr().out
    benchmark = load("out")
    assert benchmark.stimuli.ids == (IDS[0], *IDS[2:])
    expected = by_hand(data, shown).mean(0)
    np.testing.assert_allclose(benchmark.assemblies[0].responses, np.delete(expected, 1, axis=0), atol=1e-5)
    np.testing.assert_allclose(benchmark.assemblies[1].responses[1:], expected[2:], atol=1e-5)
    repeats = read_extras("out")["02"].repeats
    assert repeats.shape[:2] == (4, N - 1)
    assert np.isfinite(repeats[:, 0]).all()
    assert np.isnan(repeats[2:, 1:]).all()


def test_nothing_shared_is_refused(lab, capsys):
    images.table(lab / "sub-02_events.tsv", [(IDS[0], "1")] * 24)
    images.table(lab / "sub-01_events.tsv", [(IDS[1], "1")] * 24)
    images.nifti(lab / "sub-02_betas.nii.gz", np.ones((*images.SHAPE, 24)))
    given = ["--betas", "sub-01_stat-beta_statmap.nii.gz", "sub-02_betas.nii.gz"]
    given += ["--table", "sub-01_events.tsv", "sub-02_events.tsv", *ATLAS]
    assert "no stimulus was seen by all 2 subjects" in refused(capsys, *given, "--shared")


HAXBY = Path(os.environ.get("ONTOGENY_DATA", "nowhere")) / "haxby2001_nifti"


@pytest.mark.skipif(not HAXBY.is_dir(), reason="haxby2001_nifti is not on this machine")
def test_a_real_subject_goes_the_whole_way_by_the_command_line(tmp_path, monkeypatch, capsys):
    """Haxby et al. 2001, published time series: categories predict its voxels, and the map lies in its mask."""
    monkeypatch.chdir(tmp_path)
    volumes = [line.split() for line in (HAXBY / "attributes_literal.txt").read_text().splitlines()]
    named = [(what if what == "rest" else f"{what}-{run}", run) for what, run in volumes]
    images.table(tmp_path / "volumes.tsv", named)
    blocks = [pair for pair in dict.fromkeys(named) if pair[0] != "rest"]
    texts = [f"a picture of a {name.split('-')[0]}" for name, _ in blocks]
    ids, runs = [name for name, _ in blocks], [f"run {run}" for _, run in blocks]
    table(tmp_path / "stimuli.csv", {"stimulus_id": ids, "text": texts, "run": runs})
    (tmp_path / "labels.tsv").write_text("index\tname\n1\tventral\n")
    given = ["--betas", f"01={HAXBY / 'bold.nii.gz'}", "--table", "volumes.tsv", "--atlas", str(HAXBY / "mask.nii.gz")]
    given += ["--labels", "labels.tsv", "--blocks", "0", "--groups", "run", "--n-folds", "6"]
    assert build(*given, out="haxby") == 0
    assert main(["data", "verify", "haxby"]) == 0
    benchmark = load("haxby")
    told = torch.as_tensor(
        [[t == u for u in sorted(set(texts))] for t in benchmark.stimuli.inputs], dtype=torch.float64
    )
    features = Features(stimulus_ids=benchmark.stimuli.ids, values={Site("category", "mean"): told}, refused={})
    record = Record("run", create=True, run="run")
    record.describe(benchmark.name, benchmark.describe(benchmark.fingerprint()))
    record.append(benchmark.score(features, run="run", step=0))
    assert main(["map", "run", "--space", "haxby", "--out", "map.nii.gz"]) == 0
    made, mask = nib.load("map.nii.gz"), nib.load(HAXBY / "mask.nii.gz")
    np.testing.assert_array_equal(made.affine, mask.affine)
    values = made.get_fdata()
    np.testing.assert_array_equal(np.isfinite(values), mask.get_fdata() > 0)
    assert 0.18 < np.nanmean(values) < 0.25


def one_volume_each(lab: Path, data: np.ndarray, names: list[str]) -> list[str]:
    """Files of one volume each, in the order of the table's rows."""
    for volume, name in enumerate(names):
        images.nifti(lab / name, data[..., volume])
    return names


def test_images_as_a_shell_lists_them_do_not_meet_the_rows_of_others(lab, data, shown, capsys):
    names = one_volume_each(lab, data, [f"sub-01_beta{k}.nii.gz" for k in range(1, 2 * N + 1)])
    said = refused(capsys, "--betas", *sorted(names), *TABLE, *ATLAS)
    assert "sub-01_beta19.nii.gz before sub-01_beta2.nii.gz, beside the rows of sub-01_events.tsv" in said
    assert build("--betas", *names, *TABLE, *ATLAS) == 0
    repeats = read_extras("out")["01"].repeats
    np.testing.assert_allclose(repeats, by_hand(data, shown), rtol=1e-4, atol=1e-4)


def test_a_text_order_that_is_one_of_letters_or_of_padded_numbers_is_none_of_numbers(lab, data, capsys):
    for kind in ("sub-01_beta{:02d}.nii.gz", "sub-01_{:c}.nii.gz"):
        names = one_volume_each(lab, data, [kind.format(k + 65) for k in range(2 * N)])
        assert names == sorted(names)
        assert build("--betas", *names, *TABLE, *ATLAS, out=f"out-{len(names[0])}") == 0
