"""To and from rsatoolbox, xarray (Brain-Score's layout) and Hugging Face `datasets`, read by these themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ontogeny import Benchmark
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import (
    Extras,
    FolderSpace,
    read_extras,
    read_stimulus_columns,
    verify_folder,
    write_benchmark,
)
from ontogeny.datasets.interchange import (
    assemblies_from_xarray,
    assembly_to_xarray,
    dataset_from_rsatoolbox,
    dataset_to_rsatoolbox,
    export,
    rdms_from_rsatoolbox,
    rdms_to_rsatoolbox,
    read_netcdf,
)
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.metrics import RSA

NO_XARRAY = "xarray is not installed"


def same(one: object, two: object) -> None:
    assert one.fingerprint() == two.fingerprint()  # type: ignore[attr-defined]


def test_an_assembly_survives_rsatoolbox_and_its_file(text_benchmark, tmp_path):
    from rsatoolbox.data.dataset import load_dataset

    (assembly,) = text_benchmark.assemblies
    same(dataset_from_rsatoolbox(dataset_to_rsatoolbox(assembly)), assembly)
    (path,) = export(write_benchmark(text_benchmark, tmp_path / "b"), tmp_path / "out", to="rsatoolbox")
    assert path == tmp_path / "out" / "01-s1.h5"
    back = dataset_from_rsatoolbox(load_dataset(str(path), file_type="hdf5"))
    same(back, assembly)
    assert back.ceiling_source == "made up for tests"


def test_rsatoolbox_measures_on_the_exported_what_we_measure(text_benchmark):
    from rsatoolbox.rdm import calc_rdm

    (assembly,) = text_benchmark.assemblies
    theirs = calc_rdm(dataset_to_rsatoolbox(assembly), method="correlation").get_matrices()[0]
    ours = 1 - np.corrcoef(assembly.responses)
    np.testing.assert_allclose(theirs, ours, atol=1e-10)


def test_geometries_survive_rsatoolbox_and_its_file(image_benchmark, tmp_path):
    from rsatoolbox.rdm.rdms import load_rdm

    one, two = image_benchmark.assemblies
    mixed = two.align(two.stimulus_ids[::-1])
    for back in (
        rdms_from_rsatoolbox(rdms_to_rsatoolbox([one, mixed])),
        rdms_from_rsatoolbox(
            load_rdm(
                str(export(write_benchmark(image_benchmark, tmp_path / "b"), tmp_path / "out", to="rsatoolbox")[0])
            )
        ),
    ):
        same(back[0], one)
        same(back[1], two)


def test_rsatoolbox_objects_that_lack_something_are_refused(text_benchmark, image_benchmark):
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import RDMs

    values = text_benchmark.assemblies[0].responses
    with pytest.raises(DataError, match="the dataset have no descriptor 'subject'"):
        dataset_from_rsatoolbox(Dataset(values))
    with pytest.raises(DataError, match="the observations have no descriptor 'stimulus_id'. Did you mean 'stimulus'"):
        dataset_from_rsatoolbox(Dataset(values, obs_descriptors={"stimulus": list(range(40))}), subject="s1")
    with pytest.raises(DataError, match="the channels have no descriptor 'roi'"):
        dataset_from_rsatoolbox(Dataset(values, obs_descriptors={"stimulus_id": list(range(40))}), subject="s1")
    twice = {"stimulus_id": [i // 2 for i in range(40)]}
    with pytest.raises(AlignmentIdError, match="stimulus ids must be unique"):
        dataset_from_rsatoolbox(
            Dataset(values, obs_descriptors=twice, channel_descriptors={"roi": ["a"] * 6}), subject="s"
        )
    known = {"stimulus_id": [f"s{i}" for i in range(40)]}
    holes = Dataset(values, obs_descriptors=known, channel_descriptors={"roi": ["a"] * 5 + [np.nan]})
    with pytest.raises(DataError, match="a descriptor that names something is empty"):
        dataset_from_rsatoolbox(holes, subject="s")
    with pytest.raises(DataError, match="the patterns have no descriptor 'stimulus_id'"):
        rdms_from_rsatoolbox(RDMs(np.arange(6.0)[None]))
    with pytest.raises(DataError, match="there is no geometry to convert"):
        rdms_to_rsatoolbox([])
    one, two = image_benchmark.assemblies
    with pytest.raises(AlignmentIdError, match="has no response to 1 of 16 stimuli"):
        rdms_to_rsatoolbox([one, two.align(two.stimulus_ids[:-1])])


def test_subjects_survive_xarray_in_brain_score_layout(text_benchmark, tmp_path):
    xarray = pytest.importorskip("xarray", reason=NO_XARRAY)
    (one,) = text_benchmark.assemblies
    two = replace(one, subject="s2", responses=one.responses[::-1].copy())
    arrays = [assembly_to_xarray(a, columns={"x": np.arange(6)}) for a in (one, two)]
    assert arrays[0].dims == ("presentation", "neuroid")
    assert arrays[0]["region"].values.tolist() == ["left"] * 3 + ["right"] * 3
    both = xarray.concat(arrays, dim="neuroid")
    for array in (both, both.transpose("neuroid", "presentation"), both.expand_dims("time_bin", axis=2)):
        back = assemblies_from_xarray(array)
        same(back[0], one)
        same(back[1], two)
    indexed = both.set_index(neuroid=["neuroid_id", "subject", "region"])
    same(assemblies_from_xarray(indexed)[1], two)


def test_subjects_survive_netcdf(text_benchmark, tmp_path):
    xarray = pytest.importorskip("xarray", reason=NO_XARRAY)
    (path,) = export(write_benchmark(text_benchmark, tmp_path / "b"), tmp_path / "out", to="xarray")
    with xarray.open_dataarray(path, engine="scipy") as array:
        (back,) = assemblies_from_xarray(array)
    (assembly,) = text_benchmark.assemblies
    same(assemblies_from_xarray(read_netcdf(path))[0], back)
    np.testing.assert_array_equal(back.responses, assembly.responses)
    assert (back.stimulus_ids, back.roi, back.name) == (assembly.stimulus_ids, assembly.roi, assembly.name)
    assert back.ceiling_source == "made up for tests"


def test_arrays_that_are_not_in_that_layout_are_refused(text_benchmark, image_benchmark, tmp_path):
    pytest.importorskip("xarray", reason=NO_XARRAY)
    array = assembly_to_xarray(text_benchmark.assemblies[0])
    with pytest.raises(
        DataError, match="expected the dimensions presentation x neuroid, got \\('stimuli', 'neuroid'\\)"
    ):
        assemblies_from_xarray(array.rename(presentation="stimuli"))
    with pytest.raises(DataError, match="the neuroids have no coordinate 'region'. Did you mean 'regions'"):
        assemblies_from_xarray(array.rename(region="regions"))
    holes = array.assign_coords(region=("neuroid", ["a", None, "a", np.nan, "b", "b"]))
    with pytest.raises(DataError, match="the neuroids of this array, rows 2, 4: column 'region' is empty"):
        assemblies_from_xarray(holes)
    with pytest.raises(DataError, match="hold NaN or are constant"):
        assemblies_from_xarray(array.where(array != array[3, 2]))
    with pytest.raises(DataError, match="has RDMs and no voxels; export them to rsatoolbox or datasets"):
        export(write_benchmark(image_benchmark, tmp_path / "b"), tmp_path / "out", to="xarray")


@pytest.fixture
def kept(text_benchmark, tmp_path) -> Path:
    """A folder with everything that it can keep."""
    repeats = np.stack([text_benchmark.assemblies[0].responses + i for i in range(2)])
    extras = Extras(
        columns={"index": np.arange(6)},
        repeats=repeats,
        space=FolderSpace(name="MNI", shape=(2, 3, 4), affine=np.eye(4)),
    )
    return write_benchmark(
        text_benchmark,
        tmp_path / "kept",
        extras={"s1": extras},
        stimulus_columns={"words": list(range(40))},
        dropped=[{"subject": "s1", "why": "NaN or infinite", "voxels": [6]}],
    )


def hub_parts(folder: Path, name: str, tmp_path: Path):
    import datasets

    return datasets.load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))


def test_the_hub_layout_is_read_by_datasets_and_by_us(kept, text_benchmark, tmp_path, capsys):
    out = tmp_path / "hub"
    assert main(["data", "export", str(kept), str(out), "--to", "datasets"]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    stimuli = hub_parts(out, "stimuli", tmp_path)
    assert list(stimuli["text"]) == list(text_benchmark.stimuli.inputs)
    responses = hub_parts(out, "responses-s1", tmp_path)
    np.testing.assert_array_equal(np.array(list(responses["responses"])), text_benchmark.assemblies[0].responses)
    assert list(hub_parts(out, "voxels-s1", tmp_path)["roi"]) == ["left"] * 3 + ["right"] * 3
    assert verify_folder(out) == []
    same(load(out), text_benchmark)
    np.testing.assert_array_equal(read_extras(out)["s1"].repeats, read_extras(kept)["s1"].repeats)
    assert read_stimulus_columns(out)["words"].tolist() == list(range(40))
    head = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert head["license"] == "other"
    assert "SIMULATED" in (out / "README.md").read_text()


def test_pictures_of_the_hub_layout_are_pictures(image_benchmark, tmp_path):
    out = export(
        write_benchmark(replace(image_benchmark, licence="CC BY 4.0"), tmp_path / "b"), tmp_path / "hub", to="datasets"
    )[0]
    picture = hub_parts(out, "stimuli", tmp_path)[5]["image"]
    np.testing.assert_array_equal(np.asarray(picture), image_benchmark.stimuli.inputs[5])
    geometry = hub_parts(out, "geometry-s2-IT", tmp_path)
    np.testing.assert_array_equal(np.array(list(geometry["rdm"])), image_benchmark.assemblies[1].rdm)
    assert yaml.safe_load((out / "README.md").read_text().split("---\n")[1])["license"] == "cc-by-4.0"
    same(load(out), image_benchmark)


def test_a_named_benchmark_is_exported_too_and_nothing_is_overwritten(tmp_path):
    out = export("planted-vision", tmp_path / "hub", to="datasets")[0]
    same(load(out), load("planted-vision"))
    with pytest.raises(DataError, match="hub is there already; choose another folder"):
        export("planted-vision", tmp_path / "hub", to="rsatoolbox")


def test_a_benchmark_may_have_voxels_and_geometries(text_benchmark, image_benchmark, tmp_path):
    ids = text_benchmark.stimuli.ids
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4))
    rdm = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    geometry = replace(image_benchmark.assemblies[0], stimulus_ids=ids, rdm=rdm)
    both: Benchmark = replace(text_benchmark, assemblies=(*text_benchmark.assemblies, geometry), metrics=(RSA(),))
    folder = write_benchmark(both, tmp_path / "b")
    assert verify_folder(folder) == []
    same(load(folder), both)
    assert [p.name for p in export(folder, tmp_path / "out", to="rsatoolbox")] == ["01-s1.h5", "rdms.h5"]
