"""Atlases, masks, their names; and the way back to an image."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny.errors import DataError
from ontogeny.neuroimaging import Presentations, read_space, read_values, voxelwise
from ontogeny.neuroimaging.image_opening import open_image


def test_background_is_no_roi_and_order_is_that_of_the_grid(tmp_path):
    space = read_space(images.atlas(tmp_path))
    np.testing.assert_array_equal(space.index, np.flatnonzero(images.labels()))
    assert space.roi == ("V1",) * 20 + ("IT",) * 20 + ("FFA",) * 2


def test_rois_can_be_chosen_and_wrong_ones_are_refused(tmp_path):
    path = images.atlas(tmp_path)
    assert set(read_space(path, rois=["FFA", "V1"]).roi) == {"V1", "FFA"}
    with pytest.raises(DataError, match="no ROI is called 'V2'. Did you mean 'V1'"):
        read_space(path, rois=["V2"])
    with pytest.raises(DataError, match="'background' is label 0, which is background"):
        read_space(path, rois=["background"])
    with pytest.raises(DataError, match=r"ROI 'PPA' \(label \[9\]\) has no voxel on this grid"):
        read_space(path, rois=["V1", "PPA"])


def test_names_come_from_tables_and_luts(tmp_path):
    path = images.atlas(tmp_path)
    lut = "#No. Name R G B A\n0 Unknown 0 0 0 0\n1 lh.V1 9 9 9 0\n2 rh.V1 1 1 1 0\n7 F 0 0 0 0\n"
    (tmp_path / "lut.txt").write_text(lut)
    space = read_space(path, labels=tmp_path / "lut.txt")
    assert list(dict.fromkeys(space.roi)) == ["lh.V1", "rh.V1", "F"]
    (tmp_path / "lut.txt").write_text("1 Left Hippocampus 9 9 9 0\n2 Left Amygdala 1 1 1\n7 Area 44\n")
    space = read_space(path, labels=tmp_path / "lut.txt")
    assert list(dict.fromkeys(space.roi)) == ["Left Hippocampus", "Left Amygdala", "Area 44"]
    (tmp_path / "same.csv").write_text("name,index\nV1,1\nV1,2\nF,7\n")
    assert read_space(path, labels=tmp_path / "same.csv").roi == ("V1",) * 40 + ("F",) * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index\tlabel\n1\tV1\n", "column 'name' is missing"),
        ("index\tname\n1\tV1\n1\tIT\n", "label 1 appears twice, as 'V1' and 'IT'"),
        ("index\tname\n0\tV1\n", "no label but 0, which is background"),
        ("index\tname\none\tV1\n", "label numbers are whole numbers, got 'one'"),
        ("1\n2\n", "expected columns 'index' and 'name', or lines"),
        ("index\tname\n1\tV1\n2\tn/a\n7\tF\n", r"1 labels have no name in the table, e.g. \[2\]"),
        ("index\tname\n1\tV1\n2\tIT\n", r"1 labels have no name in the table, e.g. \[7\]"),
    ],
)
def test_tables_of_labels_that_cannot_be_used_are_named(tmp_path, text, said):
    path = images.atlas(tmp_path)
    (tmp_path / "labels.tsv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_space(path, labels=tmp_path / "labels.tsv")


def test_an_atlas_without_names_is_refused(tmp_path):
    path = images.nifti(tmp_path / "bare.nii.gz", images.labels())
    with pytest.raises(DataError, match="its labels have no names; give labels=.*bare.tsv beside it"):
        read_space(path)


def test_atlases_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="labels should be whole numbers from 0, got e.g. 0.5; was it interpolated"):
        read_space(images.atlas(tmp_path, data=images.labels() * np.float32(0.5)))
    with pytest.raises(DataError, match="no voxel has a label; all is background"):
        read_space(images.atlas(tmp_path, data=np.zeros(images.SHAPE, np.int16)))
    with pytest.raises(DataError, match="an atlas is one map of labels, got 2 maps"):
        read_space(images.atlas(tmp_path, data=np.stack([images.labels()] * 2, axis=-1)))


def test_masks_become_rois_and_must_not_overlap(tmp_path):
    one, two = images.labels() == 1, images.labels() == 7
    a, b = (images.nifti(tmp_path / f"{n}.nii", m.astype(np.uint8)) for n, m in (("a", one), ("b", two)))
    space = read_space({"V1": a.name, "FFA": b.name}, folder=tmp_path)
    assert space.roi == ("V1",) * 20 + ("FFA",) * 2
    with pytest.raises(DataError, match=r"20 voxels are in more than one mask, e.g. 0-0-0 in \['a.nii', 'a.nii'\]"):
        read_space({"V1": a, "again": a})
    images.nifti(b, two.astype(np.uint8), images.AFFINE @ np.diag([1, 1, 2.0, 1]))
    with pytest.raises(DataError, match="b.nii and the images that it is for are not on one grid"):
        read_space({"V1": a, "FFA": b})


def test_another_grid_is_refused_and_resampled_only_when_asked(tmp_path):
    betas = images.nifti(tmp_path / "betas.nii.gz", np.zeros(images.SHAPE, np.float32))
    fine = images.AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = images.AFFINE[:3, 3] - (images.AFFINE[:3, :3] * 0.25).sum(axis=1)
    doubled = images.labels().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    path = images.atlas(tmp_path, fine, doubled)
    with pytest.raises(
        DataError, match=r"not on one grid: shapes .* resample one explicitly \(resample=True, --resample\)"
    ):
        read_space(path, like=betas)
    got = read_space(path, like=betas, resample=True)
    np.testing.assert_array_equal(got.index, np.flatnonzero(images.labels()))
    assert got.roi == ("V1",) * 20 + ("IT",) * 20 + ("FFA",) * 2
    assert got.grid.differs(open_image(betas).grid) == ""


def test_values_find_their_voxels_in_the_image(tmp_path, rng):
    space = read_space(images.atlas(tmp_path))
    values = rng.standard_normal(len(space)).astype(np.float32)
    space.image(values).to_filename(tmp_path / "map.nii.gz")
    image = nib.load(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(image.affine, images.AFFINE)
    data = image.get_fdata()
    np.testing.assert_array_equal(data[images.labels() > 0], values.astype(np.float64))
    assert np.isnan(data[images.labels() == 0]).all()
    two = space.image(np.stack([values, -values]), names=("up", "down"))
    assert two.shape == (*images.SHAPE, 2)
    np.testing.assert_array_equal(np.asarray(two.dataobj)[..., 1][images.labels() > 0], -values)
    with pytest.raises(DataError, match=r"expected 1 map\(s\) of 42 voxels.* got \(1, 41\); were voxels dropped"):
        space.image(values[:-1])


@pytest.mark.oracle
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAR", "PIL"])
def test_files_in_any_orientation_give_the_same_map_in_the_world(tmp_path, rng, orientation):
    """nibabel turns betas and atlas; the map, turned back by nibabel, is the same."""
    data = rng.standard_normal((*images.SHAPE, 2)).astype(np.float32)
    turned = []
    for name, values in (("atlas", images.labels()), ("betas", data)):
        image = nib.Nifti1Image(values, images.AFFINE)
        codes = nib.orientations.axcodes2ornt(orientation)
        change = nib.orientations.ornt_transform(nib.io_orientation(images.AFFINE), codes)
        turned.append(tmp_path / f"{name}.nii.gz")
        image.as_reoriented(change).to_filename(turned[-1])
    (tmp_path / "atlas.tsv").write_text("index\tname\n1\tV1\n2\tIT\n7\tFFA\n")
    space = read_space(turned[0], like=turned[1])
    values, _ = read_values(turned[1], space=space)
    back = nib.as_closest_canonical(space.image(values[1]))
    expected = nib.as_closest_canonical(
        nib.Nifti1Image(np.where(images.labels() > 0, data[..., 1], np.nan), images.AFFINE)
    )
    np.testing.assert_allclose(back.affine, expected.affine, atol=1e-5)
    np.testing.assert_array_equal(back.get_fdata(), expected.get_fdata())


def test_cifti_and_gifti_images_come_back_on_their_axes(tmp_path, rng):
    axis = images.grayordinates()
    values = rng.standard_normal((1, 8)).astype(np.float32)
    mask = images.cifti(tmp_path / "mask.dscalar.nii", (values > 0).astype(np.float32), axis)
    space = read_space({"ROI": mask})
    space.image(values[0, space.index]).to_filename(tmp_path / "out.dscalar.nii")
    back = nib.load(tmp_path / "out.dscalar.nii")
    assert back.header.get_axis(1) == axis
    np.testing.assert_array_equal(back.get_fdata(), np.where(values > 0, values, np.nan))
    mask = images.gifti(tmp_path / "mask.func.gii", (values > 0).astype(np.float32))
    space = read_space({"ROI": mask})
    space.image(values[0, space.index]).to_filename(tmp_path / "out.func.gii")
    back = nib.load(tmp_path / "out.func.gii")
    np.testing.assert_array_equal(back.agg_data(), np.where(values > 0, values, np.nan)[0])
    assert back.meta["AnatomicalStructurePrimary"] == "CortexLeft"


@pytest.mark.parametrize("kind", ["labels.nii.gz", "labels.dscalar.nii", "labels.func.gii"])
def test_a_space_that_is_written_is_read_again(tmp_path, kind, rng):
    marks = (rng.random((1, 8)) > 0.3).astype(np.float32)
    atlas = {
        "labels.nii.gz": lambda: images.atlas(tmp_path),
        "labels.dscalar.nii": lambda: {"A": images.cifti(tmp_path / "m.dscalar.nii", marks, images.grayordinates())},
        "labels.func.gii": lambda: {"A": images.gifti(tmp_path / "m.func.gii", marks)},
    }[kind]()
    space = read_space(atlas)
    kept = space.keep(np.arange(len(space)) != 2)
    again = read_space(kept.write(tmp_path / kind))
    assert again.roi == kept.roi
    np.testing.assert_array_equal(again.index, kept.index)
    assert again.grid.differs(space.grid) == ""


def test_other_brain_models_are_other_grids(tmp_path):
    axis = images.grayordinates()
    one = open_image(images.cifti(tmp_path / "a.dscalar.nii", np.zeros((1, 8), np.float32), axis)).grid
    two = open_image(images.cifti(tmp_path / "b.dscalar.nii", np.zeros((1, 5), np.float32), axis[:5])).grid
    other = nib.cifti2.BrainModelAxis.from_surface([0, 1, 3, 5, 9], 10, "CIFTI_STRUCTURE_CORTEX_LEFT") + axis[5:]
    three = open_image(images.cifti(tmp_path / "c.dscalar.nii", np.zeros((1, 8), np.float32), other)).grid
    assert one.differs(two) == "8 and 5 grayordinates"
    assert one.differs(three) == "brain-model axes of other structures, vertices or voxels"
    assert one.differs(one) == ""
    small, large = (open_image(images.gifti(tmp_path / f"{n}.func.gii", np.zeros((1, n)))).grid for n in (4, 5))
    assert small.differs(large) == "4 and 5 vertices"
    volume = open_image(images.nifti(tmp_path / "v.nii", images.labels())).grid
    assert one.differs(volume) == "one is of grayordinates, the other of voxels"
    assert volume.differs(small) == "one is of voxels, the other of vertices"


def test_a_voxel_can_be_a_roi_of_its_own(tmp_path: Path, rng):
    space = read_space(images.atlas(tmp_path), rois=["FFA"])
    responses = rng.standard_normal((3, 2))
    shown = Presentations(subject="01", stimulus_ids=("a", "b", "c"), runs=("1",) * 3, responses=responses, space=space)
    assembly = shown.assembly("lab")
    assert voxelwise(assembly, space).roi == ("FFA 5-0-0", "FFA 5-1-0")
    with pytest.raises(DataError, match="has 2 voxels, the space 1 or other ROIs"):
        voxelwise(assembly, space.keep(np.array([True, False])))
    with pytest.raises(DataError, match=r"subject '01': expected presentations x voxels = \(3, 2\)"):
        Presentations(subject="01", stimulus_ids=("a", "b", "c"), runs=("1",) * 3, responses=responses[:2], space=space)


def test_an_assembly_of_repeats_has_its_ceiling(tmp_path: Path, rng):
    space = read_space(images.atlas(tmp_path), rois=["FFA"])
    signal = rng.standard_normal((300, 2)) * (1.0, 0.0)
    repeats = signal[None] + rng.standard_normal((3, 300, 2))
    ids = tuple(f"s{i}" for _ in range(3) for i in range(300))
    shown = Presentations(
        subject="01", stimulus_ids=ids, runs=("1",) * 900, responses=repeats.reshape(900, 2), space=space
    )
    for method in ("ncsnr", "split-half"):
        found = shown.assembly("lab", ceiling=method)
        assert found.ceiling is not None
        assert found.ceiling[0] == pytest.approx(np.sqrt(1 / (1 + 1 / 3)), abs=0.04)
        assert found.ceiling[1] < 0.35
        assert "3 repeats of 300 stimuli" in found.ceiling_source
    assert shown.assembly("lab").ceiling is None
    once = Presentations(subject="01", stimulus_ids=ids[:300], runs=("1",) * 300, responses=repeats[0], space=space)
    with pytest.raises(DataError, match="0 of 300 stimuli were shown twice or more"):
        once.assembly("lab", ceiling="ncsnr")
