"""FreeSurfer's .annot and .mgh with lh. and rh. names, and CIFTI labels on other grayordinates."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images
from tests.unit.datasets.own_data.test_build_benchmark import ABOUT, table

from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras
from ontogeny.errors import DataError
from ontogeny.neuroimaging import read_space
from ontogeny.neuroimaging.image_opening import hemisphere, open_image

N, VERTICES = 12, 20
IDS = [f"s{i:02d}" for i in range(N)]


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("sub-01_hemi-L_bold.func.gii", "L"),
        ("lh.aparc.annot", "L"),
        ("rh.betas.mgh", "R"),
        ("sub-01_rh.mgz", "R"),
        ("100307.L.aparc.32k_fs_LR.label.gii", "L"),
        ("sub-01_space-T1w.nii.gz", ""),
        ("lhasa.nii", ""),
    ],
)
def test_hemispheres_by_name(name, side):
    assert hemisphere(name) == side


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves .mgh files open
def test_annotations_and_surface_data_of_both_hemispheres(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "stimuli.csv", {"stimulus_id": IDS, "text": [f"Sentence {i}." for i in IDS]})
    images.table(tmp_path / "sub-01_events.tsv", [(name, "1") for name in IDS])
    colors = np.array([[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0]])
    expected, regions = [], []
    for side in "lr":
        labels = rng.integers(0, 3, VERTICES)
        nib.freesurfer.write_annot(f"{side}h.mine.annot", labels, colors, ["unknown", "V1", "V2"], fill_ctab=True)
        data = rng.standard_normal((VERTICES, N)).astype(np.float32)
        nib.save(nib.MGHImage(data[:, None, None, :], np.eye(4)), f"sub-01_{side}h.mgh")
        expected.append(data[labels > 0])
        regions += [f"{side.upper()} V{label}" for label in labels if label]
    betas = ["--betas", "01=sub-01_lh.mgh", "01=sub-01_rh.mgh", "--table", "sub-01_events.tsv"]
    atlas = ["--atlas", "lh.mine.annot", "rh.mine.annot"]
    assert main(["data", "build", "out", "--stimuli", "stimuli.csv", *ABOUT, *betas, *atlas]) == 0
    made = load("./out").assemblies[0]
    y = np.concatenate(expected).T
    np.testing.assert_allclose(made.responses, (y - y.mean(axis=0)) / y.std(axis=0), atol=1e-5)
    assert list(made.roi) == regions
    extras = read_extras("out")["01"]
    assert set(extras.columns["hemisphere"]) == {"CortexLeft", "CortexRight"}
    (tmp_path / "broken.annot").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read as a FreeSurfer annotation"):
        open_image(tmp_path / "broken.annot")


def cifti(path, vertices, values, *, n=VERTICES, labels=None):
    """Vertices of the left cortex, of a mesh of n."""
    axis = nib.cifti2.BrainModelAxis.from_surface(vertices, n, name="CORTEX_LEFT")
    axis += nib.cifti2.BrainModelAxis(
        "THALAMUS_LEFT", voxel=np.array([[1, 1, 1], [2, 1, 1]]), affine=np.eye(4), volume_shape=(4, 4, 4)
    )
    if labels is None:
        first = nib.cifti2.SeriesAxis(0, 1, len(values))
    else:
        first = nib.cifti2.LabelAxis(["l"], [{i: (name, (0, 0, 0, 1)) for i, name in labels.items()}])
    nib.save(nib.Cifti2Image(np.asarray(values, dtype=np.float32), (first, axis)), path)
    return path


def test_labels_on_other_grayordinates_are_matched_by_vertex(tmp_path):
    names = {0: "???", 1: "A", 2: "B"}
    atlas = cifti(tmp_path / "a.dlabel.nii", [9, 3, 4, 11], [[1, 2, 0, 1, 2, 1]], labels=names)
    data = cifti(tmp_path / "b.dtseries.nii", [3, 5, 9, 11, 12], np.zeros((3, 7)))
    with pytest.raises(DataError, match="are not on one grid: 6 and 7 grayordinates; resample one explicitly"):
        read_space(atlas, like=data)
    space = read_space(atlas, like=data, resample=True)
    # data's rows: vertices 3, 5, 9, 11, 12 and two voxels of the thalamus
    assert dict(zip(space.index.tolist(), space.roi, strict=True)) == {0: "B", 2: "A", 3: "A", 5: "B", 6: "A"}
    other = cifti(tmp_path / "c.dtseries.nii", [3, 5], np.zeros((3, 4)), n=VERTICES + 1)
    with pytest.raises(DataError, match="CORTEX_LEFT has 20 vertices, in the data 21: other meshes"):
        read_space(atlas, like=other, resample=True)
