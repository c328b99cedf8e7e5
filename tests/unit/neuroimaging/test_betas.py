"""Files -> presentations -> assembly, against values that were planted voxel by voxel; and files that are refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny import Assembly
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.neuroimaging import read_betas, read_space, read_values

IDS = ["cat", "dog", "cat", "owl", "dog", "owl"]
RUNS = ["1", "1", "1", "2", "2", "2"]
KEYS = tuple(f"run-{run}" for run in RUNS)


@pytest.fixture
def data(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((*images.SHAPE, 6)).astype(np.float32)


@pytest.fixture
def lab(tmp_path: Path, data: np.ndarray) -> Path:
    """A folder with 4-D betas, an atlas and a table."""
    images.nifti(tmp_path / "betas.nii.gz", data)
    images.atlas(tmp_path)
    images.table(tmp_path / "stimuli.tsv", list(zip(IDS, RUNS, strict=True)))
    return tmp_path


def read(lab: Path, **options):
    options = {"files": "betas.nii.gz", "table": "stimuli.tsv", "subject": "01", **options}
    space = options.pop("space", None) or read_space("atlas_dseg.nii.gz", folder=lab)
    return read_betas(options.pop("files"), space=space, folder=lab, **options)


def test_each_voxel_is_where_it_was(lab, data):
    got = read(lab)
    assert got.stimulus_ids == tuple(IDS)
    assert got.runs == KEYS
    where = [tuple(map(int, name.split(" ")[1].split("-"))) for name in got.space.names]
    assert [images.labels()[w] for w in where] == [{"V1": 1, "IT": 2, "FFA": 7}[roi] for roi in got.space.roi]
    np.testing.assert_array_equal(got.responses, np.stack([data[w] for w in where], axis=1))
    assert len(where) == 20 + 20 + 2


def test_repeats_are_averaged_by_id_after_z_scoring_within_run(lab, data):
    z = data[images.labels() > 0].T.astype(np.float64)
    for rows in (slice(0, 3), slice(3, 6)):
        z[rows] = (z[rows] - z[rows].mean(0)) / z[rows].std(0)
    assembly = read(lab).zscored().assembly("lab, betas")
    assert isinstance(assembly, Assembly)
    assert assembly.stimulus_ids == ("cat", "dog", "owl")
    expected = np.stack([z[[0, 2]].mean(0), z[[1, 4]].mean(0), z[[3, 5]].mean(0)])
    np.testing.assert_allclose(assembly.responses, expected, atol=1e-6)
    ids, kept = read(lab).by_repeat()
    assert ids == ("cat", "dog", "owl")
    np.testing.assert_array_equal(kept[1], data[images.labels() > 0].T[[1, 4]])


def test_one_file_a_stimulus_one_a_run_and_scaled_integers_read_alike(lab, data):
    expected = read(lab).responses
    for i in range(6):
        images.nifti(lab / "one" / f"beta_{i}.nii", data[..., i])
    rows = [(s, r, f"one/beta_{i}.nii") for i, (s, r) in enumerate(zip(IDS, RUNS, strict=True))]
    images.table(lab / "files.tsv", rows, "stimulus_id\trun\tfile")
    np.testing.assert_array_equal(read(lab, files=None, table="files.tsv").responses, expected)
    halves = [images.nifti(lab / f"run-{i + 1}.nii.gz", data[..., 3 * i : 3 * i + 3]).name for i in range(2)]
    np.testing.assert_array_equal(read(lab, files=halves).responses, expected)
    scaled = nib.Nifti1Image(data, images.AFFINE)
    scaled.header.set_data_dtype(np.int16)
    scaled.to_filename(lab / "scaled.nii.gz")
    np.testing.assert_allclose(read(lab, files="scaled.nii.gz").responses, expected, atol=1e-3)


def test_events_a_run_give_their_run(lab):
    for run, stimuli in (("1", IDS[:3]), ("2", IDS[3:])):
        images.table(lab / f"sub-01_run-{run}_events.tsv", [("0", "1", s) for s in stimuli], "onset\tduration\tstim_id")
    got = read(lab, table=["sub-01_run-1_events.tsv", "sub-01_run-2_events.tsv"])
    assert got.runs == tuple(f"sub-01_{key}" for key in KEYS)


def test_runs_of_images_and_table_are_held_against_each_other(lab, data):
    files = [f"sub-01_run-{r}_stat-beta.nii.gz" for r in ("01", "02")]
    for i, file in enumerate(files):
        images.nifti(lab / file, data[..., 3 * i : 3 * i + 3])
    assert read(lab, files=files).runs == tuple(f"sub-01_{key}" for key in KEYS)
    images.table(lab / "plain.tsv", [(s,) for s in IDS], "stimulus_id")
    assert read(lab, files=files, table="plain.tsv").runs == ("sub-01_run-01",) * 3 + ("sub-01_run-02",) * 3
    assert read(lab, table="plain.tsv").runs == ("a run without a name",) * 6
    with pytest.raises(
        DataError, match="row 1 of the table is of run-1 .*, but its volume is in sub-01_run-02_stat.*: run- is"
    ):
        read(lab, files=files[::-1])


def test_cifti_dense_and_surface_values_come_as_they_are(tmp_path, rng):
    axis = images.grayordinates()
    values = rng.standard_normal((3, 8)).astype(np.float32)
    images.cifti(tmp_path / "betas.dscalar.nii", values, axis)
    names = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 4: ("Thalamus", (0, 1, 0, 1))}
    marks = np.array([[1, 0, 1, 0, 0, 0, 4, 4]], dtype=np.int32)
    label_axis = nib.cifti2.LabelAxis(["atlas"], [names])
    nib.Cifti2Image(marks, (label_axis, axis)).to_filename(tmp_path / "atlas.dlabel.nii")
    space = read_space("atlas.dlabel.nii", folder=tmp_path, like="betas.dscalar.nii")
    assert space.names == ("V1 CORTEX_LEFT-0", "V1 CORTEX_LEFT-3", "Thalamus THALAMUS_LEFT-2-2-1", space.names[3])
    got, lengths = read_values("betas.dscalar.nii", space=space, folder=tmp_path)
    np.testing.assert_array_equal(got, values[:, [0, 2, 6, 7]])
    assert lengths == (3,)

    images.gifti(tmp_path / "betas.func.gii", values)
    images.gifti(tmp_path / "right.func.gii", values, "CortexRight")
    table = nib.gifti.GiftiLabelTable()
    for key, name in ((0, "???"), (3, "MT")):
        label = nib.gifti.GiftiLabel(key, 0.0, 0.0, 0.0, 1.0)
        label.label = name
        table.labels.append(label)
    marks = nib.gifti.GiftiDataArray(np.array([0, 3, 3, 0, 0, 0, 0, 3], dtype=np.int32), intent="NIFTI_INTENT_LABEL")
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexLeft"})
    nib.gifti.GiftiImage(darrays=[marks], labeltable=table, meta=meta).to_filename(tmp_path / "atlas.label.gii")
    space = read_space("atlas.label.gii", folder=tmp_path)
    assert space.roi == ("MT",) * 3
    np.testing.assert_array_equal(read_values("betas.func.gii", space=space, folder=tmp_path)[0], values[:, [1, 2, 7]])
    with pytest.raises(DataError, match="not on one grid: structures CortexRight and CortexLeft; use files of one"):
        read_values("right.func.gii", space=space, folder=tmp_path)
    with pytest.raises(DataError, match="one is of vertices, the other of grayordinates"):
        read_values("betas.func.gii", space=read_space(tmp_path / "atlas.dlabel.nii"), folder=tmp_path)


def test_voxels_that_cannot_be_used_are_refused_or_dropped_by_reason(lab, data):
    data[0, 0, 0, 2] = np.nan
    data[1, 1, 1, 3:] = 0.0
    images.nifti(lab / "betas.nii.gz", data)
    with pytest.raises(DataError, match="1 of 42 voxels are NaN or infinite, e.g. 'V1 0-0-0'; .*unusable='drop'"):
        read(lab)
    got = read(lab, unusable="drop")
    assert got.dropped == {"NaN or infinite": 1, "constant within a run": 1}
    assert got.responses.shape == (6, 40)
    assert not {"V1 0-0-0", "IT 1-1-1"} & set(got.space.names)
    got.zscored().assembly("lab")
    images.nifti(lab / "betas.nii.gz", np.zeros_like(data))
    with pytest.raises(DataError, match="no voxel of 42 is left: {'constant within a run': 42}"):
        read(lab, unusable="drop")


def test_a_wrong_choice_of_what_to_do_is_refused(lab, unchecked):
    with pytest.raises(DataError, match="unusable is 'refuse' or 'drop', got 'ignore'"):
        read(lab, unusable="ignore")


def test_betas_on_another_grid_are_refused_and_say_how(lab, data):
    moved = images.AFFINE.copy()
    moved[0, 3] += 3
    images.nifti(lab / "moved.nii.gz", data, moved)
    with pytest.raises(DataError, match=r"moved.nii.gz and the atlas .* affines .* up to 3 mm apart \(allowed: 0.03\)"):
        read(lab, files="moved.nii.gz")
    flipped = images.AFFINE @ np.diag([-1.0, 1, 1, 1])
    images.nifti(lab / "flipped.nii.gz", data, flipped)
    with pytest.raises(DataError, match="orientations RAS and LAS"):
        read(lab, files="flipped.nii.gz")
    images.nifti(lab / "small.nii.gz", data[:-1])
    with pytest.raises(DataError, match=r"shapes \(5, 5, 4\) and \(6, 5, 4\)"):
        read(lab, files="small.nii.gz")


def test_rounding_of_an_affine_is_no_other_grid(lab, data):
    near = images.AFFINE.copy()
    near[:3] += 1e-3
    images.nifti(lab / "near.nii.gz", data, near)
    assert read(lab, files="near.nii.gz").responses.shape == (6, 42)


def test_the_wrong_number_of_volumes_is_refused(lab, data):
    images.nifti(lab / "long.nii.gz", np.concatenate([data, data], axis=-1))
    with pytest.raises(DataError, match=r"6 rows but there are 12 volumes \(long.nii.gz: 12\)"):
        read(lab, files="long.nii.gz")


def test_unknown_stimuli_are_refused_with_the_nearest(lab):
    with pytest.raises(
        DataError, match="stimuli.tsv: 1 stimuli are not in the stimulus set, e.g. \\['owl'\\]. Did you"
    ):
        read(lab, stimuli=["cat", "dog", "owls"])
    assert len(read(lab, stimuli=["owl", "dog", "cat", "cow"]).runs) == 6


def test_a_missing_stimulus_shows_when_the_benchmark_aligns(lab):
    with pytest.raises(AlignmentIdError, match="no response to 1 of 2 stimuli, e.g. \\['cow'\\]"):
        read(lab).assembly("lab").align(["cat", "cow"])


@pytest.mark.parametrize("path", ["../outside.nii.gz", "link.nii.gz"])
def test_a_path_that_leaves_the_folder_is_refused(lab, data, tmp_path_factory, path):
    outside = images.nifti(tmp_path_factory.mktemp("elsewhere") / "outside.nii.gz", data)
    (lab / "link.nii.gz").symlink_to(outside)
    with pytest.raises(DataError, match="leaves the folder"):
        read(lab, files=path)
    images.table(lab / "sly.tsv", [(s, "1", path) for s in ("cat", "dog")], "stimulus_id\trun\tfile")
    with pytest.raises(DataError, match="leaves the folder"):
        read(lab, files=None, table="sly.tsv")


@pytest.mark.parametrize("keep", [60, 700])
def test_a_file_that_is_cut_short_is_named(lab, keep):
    whole = (lab / "betas.nii.gz").read_bytes()
    (lab / "betas.nii.gz").write_bytes(whole[:keep])
    with pytest.raises(DataError, match="betas.nii.gz.* cannot be read .*cut short"):
        read(lab)


def test_other_files_that_are_no_images_are_named(lab):
    (lab / "text.nii").write_text("no image")
    (lab / "cut.func.gii").write_text("<?xml version='1.0'?><GIFTI><DataArr")
    for name in ("text.nii", "cut.func.gii"):
        with pytest.raises(DataError, match=f"{name} cannot be read as an image"):
            read(lab, files=name)
    with pytest.raises(DataError, match="there is no file .*none.nii.gz; check the path"):
        read(lab, files="none.nii.gz")
    with pytest.raises(DataError, match="no image was given"):
        read(lab, files=[])
    points = nib.gifti.GiftiDataArray(np.zeros((4, 3), np.float32), intent="NIFTI_INTENT_POINTSET")
    nib.gifti.GiftiImage(darrays=[points]).to_filename(lab / "mesh.surf.gii")
    with pytest.raises(DataError, match="mesh.surf.gii: expected one value a vertex and map .* not a mesh"):
        read(lab, files="mesh.surf.gii")
    images.nifti(lab / "two.nii.gz", np.zeros((3, 3), np.float32))
    with pytest.raises(DataError, match=r"two.nii.gz: expected a 3-D or 4-D image, got shape \(3, 3\)"):
        read(lab, files="two.nii.gz")


def test_parcels_are_refused(lab):
    parcels = nib.cifti2.ParcelsAxis.from_brain_models([("a", images.grayordinates())])
    scalars = nib.cifti2.ScalarAxis(["x"])
    nib.Cifti2Image(np.zeros((1, 1), np.float32), (scalars, parcels)).to_filename(lab / "p.pscalar.nii")
    with pytest.raises(DataError, match="expected a dense CIFTI file .* not parcels"):
        read(lab, files="p.pscalar.nii")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stimulus_id\trun\ncat\t1\n\t1\n", "row 2: column 'stimulus_id' is empty"),
        ("picture\trun\ncat\t1\n", "no column of stimuli, one of .* got \\['picture', 'run'\\]"),
        ("stimulus_id\trun\ncat\n", "line 2: expected 2 cells, got 1"),
        ("stimulus_id\trun\n", "expected a header and at least one row"),
        ("stimulus_id\trepeat\ncat\t1\ncat\t1\n", "stimulus 'cat' has repeat 1 twice"),
        ("stimulus_id\trepeat\ncat\tfirst\n", "row 1: column 'repeat' should be a number, got 'first'"),
        ("stimulus_id\nca\0t\xff\n", "cannot be read|there are 6 volumes"),
    ],
)
def test_tables_that_cannot_be_used_are_named(lab, text, said):
    (lab / "stimuli.tsv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        read(lab)


def test_a_table_without_files_needs_images(lab):
    with pytest.raises(DataError, match="no image is given and 6 rows have no 'file', e.g. that of 'cat'"):
        read(lab, files=None)
