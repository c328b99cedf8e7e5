"""What volumes, maps and files are called is held against the rows that they are matched to by order."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny.errors import DataError
from ontogeny.neuroimaging import RowRules, read_betas, read_space
from ontogeny.neuroimaging.event_tables import columns_like_runs
from ontogeny.neuroimaging.image_opening import open_image, repetition_time

IDS = ["cat", "dog", "big_house", "12"]


def volumes(folder: Path, rng, name: str) -> list[Path]:
    """One image per stimulus, called after it, in the order of IDS."""
    images.atlas(folder)
    data = rng.standard_normal((4, *images.SHAPE)).astype(np.float32)
    return [images.nifti(folder / name.format(id=one, n=k), data[k]) for k, one in enumerate(IDS)]


def read(folder: Path, files: list[Path], shown: list[str], **options):
    images.table(folder / "t.tsv", [(one,) for one in shown], "stimulus_id")
    space = read_space(folder / "atlas_dseg.nii.gz", like=files[0])
    return read_betas(files, table=folder / "t.tsv", space=space, subject="01", **options)


@pytest.mark.parametrize("name", ["beta_{id}.nii.gz", "{id}.nii.gz", "sub-01_stim-{id}_beta.nii.gz"])
def test_images_that_are_called_after_other_stimuli_are_refused(tmp_path, rng, name):
    files = volumes(tmp_path, rng, name)
    assert read(tmp_path, files, IDS).stimulus_ids == tuple(IDS)
    other = ["dog", "cat", "big_house", "12"]
    with pytest.raises(DataError, match=r"t.tsv, row 1 is of 'dog', but its volume is '.*cat.*', which names 'cat'"):
        read(tmp_path, files, other)
    assert read(tmp_path, files, other, rules=RowRules(order="rows")).stimulus_ids == tuple(other)
    with pytest.raises(DataError, match=r"row 3 is of 'dog', .* which names 'big_house'"):
        read(tmp_path, files, ["cat", "dog", "dog", "12"], stimuli=IDS)


def test_names_that_say_nothing_of_stimuli_pass(tmp_path, rng):
    """A number alone may be that of a trial; a word that all names have is none of a stimulus."""
    shown = ["12", "0", "dog", "beta"]
    files = volumes(tmp_path, rng, "sub-01_task-dog_trial-{n}_beta.nii.gz")
    assert read(tmp_path, files, shown).stimulus_ids == tuple(shown)


def test_a_column_of_files_that_name_other_stimuli_is_refused(tmp_path, rng):
    volumes(tmp_path, rng, "beta_{id}.nii.gz")
    space = read_space(tmp_path / "atlas_dseg.nii.gz")
    rows = [(one, f"beta_{other}.nii.gz") for one, other in zip(IDS, ["dog", "cat", "big_house", "12"], strict=True)]
    images.table(tmp_path / "t.tsv", rows, "stimulus_id\tfile")
    with pytest.raises(DataError, match="row 1 is of 'cat', but its volume is 'beta_dog', which names 'dog'"):
        read_betas(None, table="t.tsv", space=space, subject="01", folder=tmp_path)


def test_maps_that_are_called_after_other_stimuli_are_refused(tmp_path, rng):
    data = rng.standard_normal((4, 10)).astype(np.float32)
    axis = nib.cifti2.BrainModelAxis.from_surface(range(10), 10, name="CORTEX_LEFT")
    label = nib.cifti2.LabelAxis(["x"], [{0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1))}])
    nib.Cifti2Image(np.ones((1, 10), np.float32), (label, axis)).to_filename(tmp_path / "a.dlabel.nii")
    scalars = nib.cifti2.ScalarAxis(["cat", "dog", "big_house", "12"])
    nib.Cifti2Image(data, (scalars, axis)).to_filename(tmp_path / "b.dscalar.nii")
    arrays = [
        nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_NONE", meta={"Name": one})
        for row, one in zip(data, IDS, strict=True)
    ]
    nib.gifti.GiftiImage(darrays=arrays).to_filename(tmp_path / "hemi-L_b.func.gii")
    space = read_space(tmp_path / "a.dlabel.nii")
    images.table(tmp_path / "t.tsv", [(one,) for one in ["dog", "cat", "big_house", "12"]], "stimulus_id")
    with pytest.raises(DataError, match="row 1 is of 'dog', but its volume is 'cat', which names 'cat'"):
        read_betas(tmp_path / "b.dscalar.nii", table=tmp_path / "t.tsv", space=space, subject="01")
    assert open_image(tmp_path / "hemi-L_b.func.gii").map_names == tuple(IDS)


def test_a_surface_is_of_the_hemisphere_that_its_name_says(tmp_path, rng):
    values = rng.standard_normal((2, 10))
    path = images.gifti(tmp_path / "hemi-R_b.func.gii", values, structure="CortexLeft")
    with pytest.raises(
        DataError, match=r"hemi-R_b.func.gii: its name says CortexRight, its metadata CortexLeft; which"
    ):
        open_image(path)
    nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(values[0].astype(np.float32))]).to_filename(path)
    assert open_image(path).grid.structure == "CortexRight"


def test_the_tr_is_read_from_every_kind_of_series_and_from_the_json_beside_it(tmp_path, rng):
    axis = nib.cifti2.BrainModelAxis.from_surface(range(10), 10, name="CORTEX_LEFT")
    values = rng.standard_normal((3, 10)).astype(np.float32)
    nib.Cifti2Image(values, (nib.cifti2.SeriesAxis(0, 0.8, 3), axis)).to_filename(tmp_path / "x.dtseries.nii")
    assert repetition_time(open_image(tmp_path / "x.dtseries.nii")) == 0.8
    nib.Cifti2Image(values, (nib.cifti2.SeriesAxis(0, 1, 3, unit="HERTZ"), axis)).to_filename(
        tmp_path / "h.dtseries.nii"
    )
    assert repetition_time(open_image(tmp_path / "h.dtseries.nii")) is None
    for step, tr in (("800.0", 0.8), ("2.5", 2.5), ("nan", None), ("", None)):
        arrays = [nib.gifti.GiftiDataArray(row, meta={"TimeStep": step}) for row in values]
        nib.gifti.GiftiImage(darrays=arrays).to_filename(tmp_path / "x.func.gii")
        assert repetition_time(open_image(tmp_path / "x.func.gii")) == tr
    path = images.nifti(tmp_path / "sub-01_bold.nii.gz", np.zeros((*images.SHAPE, 3), np.float32))
    assert repetition_time(open_image(path)) is None
    beside = tmp_path / "sub-01_bold.json"
    beside.write_text(json.dumps({"RepetitionTime": 1.5}))
    assert repetition_time(open_image(path)) == 1.5
    image = nib.load(path)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((3, 3.5, 4, 2))
    image.to_filename(tmp_path / "again.nii.gz")
    (tmp_path / "again.nii.gz").rename(path)
    with pytest.raises(DataError, match=r"bold.nii.gz says that its TR is 2 s, sub-01_bold.json that it is 1.5 s"):
        repetition_time(open_image(path))
    beside.write_text("{")
    with pytest.raises(DataError, match="sub-01_bold.json cannot be read as JSON"):
        repetition_time(open_image(path))


def test_columns_that_may_say_the_run_are_known(tmp_path):
    rows = [(one, str(k // 2), str(k), "1") for k, one in enumerate(IDS)]
    path = images.table(tmp_path / "t.tsv", rows, "stimulus_id\tscan block\ttrial_in_run\tday")
    assert columns_like_runs(path) == ("scan block",)
