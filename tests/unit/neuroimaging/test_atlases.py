"""Atlases through nilearn: from its own folder without a network, and from a server on this machine."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny.cli import main
from ontogeny.errors import DataError, DatasetNotFoundError, MissingExtraError
from ontogeny.neuroimaging import fetch_atlas, read_space

pytest.importorskip("nilearn.datasets")

SCHAEFER = "Schaefer2018_100Parcels_7Networks_order"
NAMES = ["7Networks_LH_Vis_1", "7Networks_LH_Vis_2", "7Networks_RH_Default_PFC_1"]


def schaefer(folder: Path) -> np.ndarray:
    """Both files of the public layout, three parcels instead of a hundred."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{number}\t{name}\t120\t18\t{number}\t0\n" for number, name in enumerate(NAMES, 1)]
    (folder / f"{SCHAEFER}.txt").write_text("".join(rows))
    labels = images.labels()
    labels[labels == 7] = 3
    images.nifti(folder / f"{SCHAEFER}_FSLMNI152_2mm.nii.gz", labels)
    return labels


def check(written: tuple[Path, ...], labels: np.ndarray) -> None:
    (path,) = written
    assert path.name.endswith("_space-MNI152NLin6Asym_dseg.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), labels)
    space = read_space(path)
    np.testing.assert_array_equal(space.index, np.flatnonzero(labels))
    assert [space.roi[list(space.index).index(i)] for i in (0, 20)] == NAMES[:1] + NAMES[1:2]
    assert "Schaefer" in path.with_name(path.name.replace(".nii.gz", ".txt")).read_text()


def test_what_nilearn_has_already_is_taken_without_a_network(tmp_path):
    labels = schaefer(tmp_path / "cache" / "schaefer_2018")
    options = {"n_rois": 100, "resolution_mm": 2, "data_dir": str(tmp_path / "cache")}
    check(fetch_atlas("schaefer2018", tmp_path / "out", **options), labels)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        """No line a request."""


def test_it_is_downloaded_when_asked(tmp_path, capsys):
    labels = schaefer(tmp_path / "served")
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = [f"base_url=http://127.0.0.1:{server.server_port}/", f"data_dir={tmp_path / 'cache'}"]
        given = ["data", "atlas", "schaefer2018", "n_rois=100", "resolution_mm=2", *there]
        assert main([*given, "--out", str(tmp_path / "out")]) == 0
        (tmp_path / "served" / f"{SCHAEFER}.txt").unlink()
        said = capsys.readouterr().out
        assert main([*given[:-1], f"data_dir={tmp_path / 'other'}", "--out", str(tmp_path / "no")]) == 2
        server.shutdown()
    path = Path(said.split("\n")[0].removeprefix("wrote "))
    assert path.name == "atlas-schaefer2018_nrois-100_resolutionmm-2_space-MNI152NLin6Asym_dseg.nii.gz"
    check((path,), labels)
    assert "atlas 'schaefer2018' could not be fetched (404" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_without_a_network_it_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="atlas 'schaefer2018' could not be fetched") as caught:
        fetch_atlas("schaefer2018", tmp_path, data_dir=str(tmp_path / "c"), base_url="http://127.0.0.1:9/")
    place = tmp_path / "c/schaefer_2018"
    said = str(caught.value)
    assert (
        f"get http://127.0.0.1:9/Schaefer2018_400Parcels_7Networks_order.txt elsewhere, put it into {place}, " in said
    )
    assert f"and give data_dir={tmp_path / 'c'}; or give the label image and its table" in said
    assert "hcp-mmp1-fsaverage" in said
    with pytest.raises(DatasetNotFoundError) as again:  # once its folder is there
        fetch_atlas("schaefer2018", tmp_path, data_dir=str(tmp_path / "c"), base_url="http://127.0.0.1:9/")
    assert str(again.value) == said
    with pytest.raises(
        DatasetNotFoundError, match=r"get http://127.0.0.1:9/yeo.zip elsewhere, unpack it into .*yeo_2011"
    ):
        fetch_atlas("yeo2011", tmp_path, data_dir=str(tmp_path / "c"), url="http://127.0.0.1:9/yeo.zip")


def test_networks_in_the_volume_that_were_put_there_by_hand_are_taken(tmp_path):
    """The files of the public archive, unpacked where the message says; and the same two given to --atlas, --labels."""
    folder = tmp_path / "cache/yeo_2011/Yeo_JNeurophysiol11_MNI152"
    folder.mkdir(parents=True)
    labels = images.labels()
    labels[labels == 7] = 3
    rows = [f"{k:3d}  {'NONE' if k == 0 else f'7Networks_{k}'}  {k} 18 {k} 0\n" for k in range(8)]
    for n in (7, 17):
        (folder / f"Yeo2011_{n}Networks_ColorLUT.txt").write_text("".join(rows))
        for kind in ("", "_LiberalMask"):
            name = f"Yeo2011_{n}Networks_MNI152_FreeSurferConformed1mm{kind}.nii.gz"
            images.nifti(folder / name, labels[..., None])
    images.nifti(folder / "FSL_MNI152_FreeSurferConformed_1mm.nii.gz", labels[..., None])
    (path,) = fetch_atlas("yeo2011", tmp_path / "out", n_networks=7, data_dir=str(tmp_path / "cache"))
    given = folder / "Yeo2011_7Networks_MNI152_FreeSurferConformed1mm_LiberalMask.nii.gz"
    by_hand = read_space(given, labels=folder / "Yeo2011_7Networks_ColorLUT.txt")
    for space in (read_space(path), by_hand):
        np.testing.assert_array_equal(space.index, np.flatnonzero(labels))
        assert list(space.roi) == [f"7Networks_{k}" for k in labels.ravel() if k]


def test_a_surface_atlas_is_a_file_a_hemisphere(tmp_path):
    folder = tmp_path / "destrieux_surface"
    folder.mkdir()
    marks = np.zeros(10242, dtype=int)
    marks[3:9] = 1
    for side, label in (("left", 1), ("right", 2)):
        values = marks * label
        colours = np.array([[0, 0, 0, 0, 0], [9, 9, 9, 0, 1], [8, 8, 8, 0, 2]])
        names = [b"Unknown", b"G_cuneus", b"S_calcarine"]
        nib.freesurfer.write_annot(folder / f"{side}.aparc.a2009s.annot", values, colours, names, fill_ctab=True)
    left, right = fetch_atlas("destrieux-surface", tmp_path / "out", data_dir=str(tmp_path))
    assert [path.name.split("_")[2] for path in (left, right)] == ["hemi-L", "hemi-R"]
    space = read_space(right)
    np.testing.assert_array_equal(space.index, np.arange(3, 9))
    assert space.roi == ("S_calcarine",) * 6
    assert space.grid.structure == "CortexRight"


def test_names_and_options_that_are_not_known_say_the_nearest(tmp_path, monkeypatch):
    with pytest.raises(
        DataError, match="nilearn has no atlas 'schaefer' that is known here. Did you mean 'schaefer2018'"
    ):
        fetch_atlas("schaefer", tmp_path)
    with pytest.raises(DataError, match="atlas 'yeo2011' has no option 'n_network'. Did you mean 'n_networks'"):
        fetch_atlas("yeo2011", tmp_path, n_network=7)
    with pytest.raises(DataError, match="atlas 'harvard-oxford' needs the option 'atlas_name', e.g. atlas_name='cort-"):
        fetch_atlas("harvard-oxford", tmp_path)
    with pytest.raises(DataError, match="atlas 'schaefer2018' with .*n_rois"):
        fetch_atlas("schaefer2018", tmp_path, n_rois=123)
    monkeypatch.setitem(__import__("sys").modules, "nilearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[nilearn\]'"):
        fetch_atlas("schaefer2018", tmp_path)
