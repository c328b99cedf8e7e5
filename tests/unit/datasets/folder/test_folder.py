"""One folder per benchmark: the same scores back, the same bytes each time, and everything bad refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.helpers.models import tiny_gpt, tokenizer

import ontogeny
from ontogeny import Benchmark, Features
from ontogeny.datasets import load
from ontogeny.datasets.folder import Extras, FolderSpace, read_benchmark, read_extras, verify_folder, write_benchmark
from ontogeny.datasets.folder.metrics_json import metric_from_json, metric_to_json
from ontogeny.errors import ChecksumError, DataError, DatasetNotFoundError
from ontogeny.extraction.features import Site
from ontogeny.metrics import CKA, Ridge, UniqueVariance
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.registry import METRICS

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])


def features(benchmark: Benchmark) -> Features:
    values = torch.as_tensor(np.random.default_rng(3).standard_normal((len(benchmark.stimuli), 7)))
    return Features(stimulus_ids=benchmark.stimuli.ids, values={Site("layer", "mean"): values}, refused={})


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rehash(folder: Path, change: Callable[[dict], None] = lambda facts: None) -> None:
    """Put the sizes and sha256 of what is there now into benchmark.json: a forger, or an honest other tool."""
    import hashlib

    facts = json.loads((folder / "benchmark.json").read_text())
    for name in facts["files"]:
        content = (folder / name).read_bytes()
        facts["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    change(facts)
    (folder / "benchmark.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("arrays", ["safetensors", "parquet"])
@pytest.mark.parametrize("kind", ["text_benchmark", "image_benchmark"])
def test_what_is_read_back_has_the_same_fingerprint_and_scores(kind, arrays, tmp_path, request):
    benchmark = request.getfixturevalue(kind)
    folder = write_benchmark(benchmark, tmp_path / "b", arrays=arrays)
    assert verify_folder(folder) == []
    back = read_benchmark(folder)
    assert back.fingerprint() == benchmark.fingerprint()
    assert back.score(features(back)) == benchmark.score(features(benchmark))
    assert back.describe("") == benchmark.describe("")


def test_a_declared_curve_goes_through_a_folder_and_changes_no_fingerprint(image_benchmark, tmp_path):
    declared = replace(image_benchmark, primary="IT:rsa-correlation-spearman")
    assert declared.fingerprint() == image_benchmark.fingerprint()
    back = read_benchmark(write_benchmark(declared, tmp_path / "b"))
    assert back.primary == back.describe("")["primary"] == declared.primary
    with pytest.raises(DataError, match="has no ROI 'nowhere' to be primary"):
        replace(image_benchmark, primary="nowhere")


@pytest.mark.parametrize("name", ["planted-language", "planted-vision"])
def test_the_worlds_go_through_a_folder(name, tmp_path):
    world = load(name)
    assert load(write_benchmark(world, tmp_path / "deep" / "er")).fingerprint() == world.fingerprint()


def test_rows_in_another_order_and_more_of_them_are_kept_and_matched_by_id(text_benchmark, tmp_path):
    whole = text_benchmark.assemblies[0]
    rows = list(range(40))[::-1]
    other = replace(whole, responses=whole.responses[rows], stimulus_ids=tuple(whole.stimulus_ids[r] for r in rows))
    fewer = replace(
        text_benchmark.stimuli, ids=text_benchmark.stimuli.ids[:30], inputs=tuple(text_benchmark.stimuli.inputs)[:30]
    )
    folds = ontogeny.metrics.make_folds(30)
    benchmark = replace(text_benchmark, assemblies=(other,), stimuli=fewer, folds=folds)
    back = read_benchmark(write_benchmark(benchmark, tmp_path / "b"))
    assert back.fingerprint() == benchmark.fingerprint()
    np.testing.assert_array_equal(back.prepare().targets[0].responses, whole.responses[:30, :3])


def test_groups_float32_and_several_assemblies_of_odd_names(text_benchmark, tmp_path):
    one = text_benchmark.assemblies[0]
    single = replace(one, responses=one.responses.astype(np.float32), ceiling=None)
    odd = [replace(single, subject=name) for name in ("a/b", "A-B", "..", "größe")]
    groups = tuple(f"story {i // 8}" for i in range(40))
    stimuli = replace(text_benchmark.stimuli, groups=groups, contiguous=True)
    other = replace(single, roi=tuple(f"R {roi}" for roi in single.roi))
    benchmark = replace(text_benchmark, assemblies=(*odd, single, other), stimuli=stimuli)
    folder = write_benchmark(benchmark, tmp_path / "b")
    assert verify_folder(folder) == []
    assert read_benchmark(folder).fingerprint() == benchmark.fingerprint()
    assert sorted(p.name for p in (folder / "voxels").iterdir()) == [
        "A-B-2.parquet",
        "a-b.parquet",
        "gr-e.parquet",
        "s1-2.parquet",
        "s1.parquet",
        "subject.parquet",
    ]


def test_the_same_benchmark_is_the_same_bytes(text_benchmark, image_benchmark, tmp_path):
    for number, benchmark in enumerate((text_benchmark, image_benchmark)):
        one = contents(write_benchmark(benchmark, tmp_path / f"one{number}"))
        two = contents(write_benchmark(benchmark, tmp_path / f"two{number}"))
        assert one == two
        write_benchmark(benchmark, tmp_path / f"one{number}", overwrite=True)
        assert contents(tmp_path / f"one{number}") == one


def test_the_files_are_what_other_tools_read(text_benchmark, image_benchmark, tmp_path):
    folder = write_benchmark(text_benchmark, tmp_path / "text")
    table = pq.read_table(folder / "stimuli.parquet").to_pydict()
    assert table["text"] == list(text_benchmark.stimuli.inputs)
    assert table["fold"] == list(text_benchmark.folds.held_out)
    responses = load_file(folder / "responses" / "s1.safetensors")["responses"]
    np.testing.assert_array_equal(responses, text_benchmark.assemblies[0].responses)
    assert pq.read_table(folder / "voxels" / "s1.parquet").to_pydict()["ceiling"] == [0.8] * 6
    pictures = write_benchmark(image_benchmark, tmp_path / "image")
    cell = pq.read_table(pictures / "stimuli.parquet").to_pydict()["image"][3]
    from PIL import Image

    (tmp_path / "a.png").write_bytes(cell["bytes"])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), image_benchmark.stimuli.inputs[3])


def test_pictures_are_decoded_one_by_one_and_can_be_sliced(image_benchmark, tmp_path):
    inputs = read_benchmark(write_benchmark(image_benchmark, tmp_path / "b")).stimuli.inputs
    assert len(inputs[2:5]) == 3
    np.testing.assert_array_equal(inputs[2:5][-1], image_benchmark.stimuli.inputs[4])
    np.testing.assert_array_equal(list(inputs), list(image_benchmark.stimuli.inputs))


def test_responses_are_memory_mapped(text_benchmark, tmp_path):
    one = text_benchmark.assemblies[0]
    wide = replace(
        one,
        responses=np.random.default_rng(0).standard_normal((40, 200_000)).astype(np.float32),
        roi=("left",) * 200_000,
        ceiling=None,
    )
    folder = write_benchmark(replace(text_benchmark, assemblies=(wide,)), tmp_path / "b")
    mapped = read_benchmark(folder, check=False).assemblies[0].responses
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list what is mapped")
    spans = [line.split()[0].split("-") for line in maps.read_text().splitlines() if "s1.safetensors" in line]
    assert any(int(low, 16) <= mapped.ctypes.data < int(high, 16) for low, high in spans)


def test_extras_come_back(text_benchmark, tmp_path):
    rng = np.random.default_rng(0)
    one = text_benchmark.assemblies[0]
    repeats = np.stack([one.responses + rng.standard_normal(one.responses.shape) for _ in range(3)])
    repeats[2, 5] = np.nan
    extras = Extras(
        columns={
            "index": np.arange(6) * 7,
            "x": rng.standard_normal(6),
            "label": np.array(list("abcdef"), dtype=object),
        },
        repeats=repeats,
        space=FolderSpace(name="MNI", shape=(9, 8, 7), affine=AFFINE),
    )
    more = {"length": [len(s) for s in text_benchmark.stimuli.inputs]}
    for arrays in ("safetensors", "parquet"):
        folder = tmp_path / arrays
        write_benchmark(text_benchmark, folder, extras={"s1": extras}, stimulus_columns=more, arrays=arrays)
        assert verify_folder(folder) == []
        back = read_extras(folder)["s1"]
        np.testing.assert_array_equal(back.repeats, repeats)
        for name, values in extras.columns.items():
            np.testing.assert_array_equal(back.columns[name], values)
        assert back.space is not None
        assert (back.space.name, back.space.shape) == ("MNI", (9, 8, 7))
        np.testing.assert_array_equal(back.space.affine, AFFINE)
        assert pq.read_table(folder / "stimuli.parquet")["length"].to_pylist() == more["length"]
        assert read_benchmark(folder).fingerprint() == text_benchmark.fingerprint()


def test_a_surface_comes_back(text_benchmark, tmp_path):
    columns = {"hemisphere": np.array(["L"] * 3 + ["R"] * 3, dtype=object), "vertex": np.array([0, 1, 9, 0, 1, 4])}
    space = FolderSpace(name="fsaverage3", vertices={"L": 10, "R": 5})
    folder = write_benchmark(text_benchmark, tmp_path / "b", extras={"s1": Extras(columns=columns, space=space)})
    assert read_extras(folder)["s1"].space == space
    columns["vertex"][5] = 5
    with pytest.raises(DataError, match=r"\{'hemisphere': 'R', 'vertex': 5\} is outside space 'fsaverage3'"):
        write_benchmark(text_benchmark, tmp_path / "c", extras={"s1": Extras(columns=columns, space=space)})


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({}, r"need the columns \['index'\], missing \['index'\]"),
        ({"index": np.array([0, 1, 2, 3, 4, 0])}, "1 voxels share a place"),
        ({"index": np.array([0, 1, 2, 3, 4, 504])}, r"\{'index': 504\} is outside space 'MNI'"),
        ({"index": np.array([0, 1, 2, 3, 4, -1])}, r"\{'index': -1\} is outside space 'MNI'"),
        ({"index": np.arange(5)}, "columns should be of one length"),
        ({"roi": np.arange(6)}, r"the columns \['roi'\] have a meaning of their own"),
        ({"what": [object()] * 6}, "column 'what' should be numbers, booleans or text"),
    ],
)
def test_extras_that_do_not_fit_are_refused(text_benchmark, tmp_path, columns, text):
    space = FolderSpace(name="MNI", shape=(9, 8, 7), affine=AFFINE)
    extras = Extras(columns={k: np.asarray(v) for k, v in columns.items()}, space=space)
    with pytest.raises(DataError, match=text):
        write_benchmark(text_benchmark, tmp_path / "b", extras={"s1": extras})
    assert list(tmp_path.iterdir()) == []


def test_spaces_that_are_none_are_refused(text_benchmark, tmp_path):
    with pytest.raises(DataError, match="give shape and affine"):
        FolderSpace(name="x")
    with pytest.raises(DataError, match="give shape and affine"):
        FolderSpace(name="x", shape=(1, 2, 3))
    with pytest.raises(DataError, match="4 x 4, finite and invertible"):
        FolderSpace(name="x", shape=(1, 2, 3), affine=np.zeros((4, 4)))
    with pytest.raises(DataError, match="subject 's2', which has 0 assemblies of voxels, not one. Did you mean 's1'"):
        write_benchmark(text_benchmark, tmp_path / "b", extras={"s2": Extras()})
    with pytest.raises(DataError, match=r"repeats x stimuli x voxels = n x \(40, 6\), got \(3, 40, 5\)"):
        write_benchmark(text_benchmark, tmp_path / "b", extras={"s1": Extras(repeats=np.ones((3, 40, 5)))})


WITH_OPTIONS = [CKA(kind="rbf", width=6.0, damping=1e-6), Ridge(alphas=tuple(np.logspace(0, 2, 3)))]


@pytest.mark.parametrize("metric", [kind() for kind in METRICS.values()] + WITH_OPTIONS)
def test_every_metric_is_named_with_its_options(metric):
    assert metric_from_json(json.loads(json.dumps(metric_to_json(metric))), "here") == metric


def test_a_metric_with_nuisance_of_its_own_stays_outside(text_benchmark, tmp_path):
    own = Nuisance(name="mine", stimulus_ids=text_benchmark.stimuli.ids, values=np.arange(80.0).reshape(40, 2))
    with pytest.raises(DataError, match="metric 'unique-r2-mine' \\(UniqueVariance\\) cannot be written into a folder"):
        write_benchmark(replace(text_benchmark, metrics=(UniqueVariance(nuisance=own),)), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_own_metrics_stay_outside_and_are_given_when_reading(text_benchmark, tmp_path):
    class Own(Ridge):
        pass

    with pytest.raises(DataError, match="metric 'ridge-gcv' \\(Own\\) cannot be written into a folder"):
        write_benchmark(replace(text_benchmark, metrics=(Own(),)), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
    folder = write_benchmark(text_benchmark, tmp_path / "b")
    own = Own()
    assert read_benchmark(folder, metrics=[own]).metrics == (own,)


def test_a_folder_is_taken_where_a_name_is(text_benchmark, tmp_path, monkeypatch, capsys):
    write_benchmark(text_benchmark, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    for path in ("mine", "./mine", str(tmp_path / "mine"), tmp_path / "mine"):
        assert load(path).fingerprint() == text_benchmark.fingerprint()
    with pytest.raises(DataError, match="benchmark 'mine' has no option 'chek'. Did you mean 'check'"):
        load("mine", chek=False)
    with pytest.raises(DatasetNotFoundError, match="other/place has no benchmark.json; make one with"):
        load("other/place")
    monitor = ontogeny.watch("mine", record=tmp_path / "record", tokenizer=tokenizer)
    monitor(tiny_gpt(), 0)
    record = ontogeny.Record(tmp_path / "record")
    assert {row.fingerprint for row in record.scores if row.kind == "alignment"} == {text_benchmark.fingerprint()}
    from ontogeny.cli import main

    assert main(["doctor", "mine"]) == 0
    assert "tiny-text" in capsys.readouterr().out


def test_something_that_is_there_is_left_alone(text_benchmark, image_benchmark, tmp_path):
    folder = write_benchmark(text_benchmark, tmp_path / "b")
    with pytest.raises(DataError, match="b is there already; choose another folder, or ask to overwrite it"):
        write_benchmark(image_benchmark, folder)
    assert read_benchmark(write_benchmark(image_benchmark, folder, overwrite=True)).name == "tiny-image"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match="mine is there already; choose another folder$"):
        write_benchmark(text_benchmark, tmp_path / "mine", overwrite=True)
    (tmp_path / "empty").mkdir()
    write_benchmark(text_benchmark, tmp_path / "empty")


def test_a_disk_that_cannot_be_written_is_a_clear_error(text_benchmark, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write .*/file/b: .*; choose another folder"):
        write_benchmark(text_benchmark, tmp_path / "file" / "b")


def test_pictures_and_labels_that_cannot_be_kept_are_refused(image_benchmark, text_benchmark, tmp_path):
    images = [np.zeros((4, 4, 4), dtype=np.uint8)] * 16
    stimuli = replace(image_benchmark.stimuli, inputs=images)
    with pytest.raises(DataError, match=r"stimulus 'p00': a picture should be uint8, .* got uint8 \(4, 4, 4\)"):
        write_benchmark(replace(image_benchmark, stimuli=stimuli), tmp_path / "b")
    one = text_benchmark.assemblies[0]
    unnamed = replace(one, roi=("left", " ", "", "left", "left", "left"))
    with pytest.raises(DataError, match="subject 's1': 2 of 6 voxels have an empty ROI label, e.g. voxel 1"):
        write_benchmark(replace(text_benchmark, assemblies=(unnamed,)), tmp_path / "b")
    half = replace(one, responses=one.responses.astype(np.float16))
    with pytest.raises(DataError, match="expected float32 or float64, got float16"):
        write_benchmark(replace(text_benchmark, assemblies=(half,)), tmp_path / "b")


@pytest.fixture
def folder(text_benchmark, tmp_path) -> Path:
    one = text_benchmark.assemblies[0]
    two = replace(one, subject="s2", responses=one.responses[:, ::-1])
    return write_benchmark(replace(text_benchmark, assemblies=(one, two)), tmp_path / "b")


def refused(folder: Path, text: str, kind: type[Exception] = DataError) -> None:
    """Both doors refuse it, with the same words."""
    with pytest.raises(kind, match=text) as caught:
        read_benchmark(folder)
    found = verify_folder(folder)
    assert str(caught.value) in [problem.what for problem in found]


@pytest.mark.parametrize("name", ["stimuli.parquet", "responses/s1.safetensors", "voxels/s2.parquet"])
def test_one_changed_bit_a_cut_file_and_a_missing_one_are_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    refused(folder, f"{name}: expected sha256 .* it is damaged or another version", ChecksumError)
    (folder / name).write_bytes(content[:-1])
    refused(folder, f"{name}: expected {len(content)} bytes, got {len(content) - 1}", ChecksumError)
    with pytest.raises(ChecksumError, match=f"expected {len(content)} bytes"):
        read_benchmark(folder, check=False)
    (folder / name).unlink()
    refused(folder, f"{name} is missing, though benchmark.json lists it", ChecksumError)


def test_swapped_files_are_seen_by_hash_and_also_by_what_they_say(folder):
    one, two = folder / "responses" / "s1.safetensors", folder / "responses" / "s2.safetensors"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    refused(folder, "s1.safetensors: expected sha256", ChecksumError)
    rehash(folder)
    refused(folder, "s1.safetensors holds subject 's2', but benchmark.json says 's1'; files were swapped")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda f: f.update(format="other"),
            "expected format 'ontogeny benchmark folder'; this is another kind of file",
        ),
        (
            lambda f: f.update(format_version=3),
            "has format version 3, this ontogeny reads 1 and 2; install a newer ontogeny",
        ),
        (
            lambda f: f.update(format_version=0),
            "has format version 0, this ontogeny reads 1 and 2; build the folder anew",
        ),
        (lambda f: f.pop("licence"), "'licence' is missing; expected a str"),
        (lambda f: f.update(simulated="no"), "'simulated' should be a bool, got 'no'"),
        (lambda f: f["files"].update({"../x": {"sha256": "0" * 64, "bytes": 1}}), "stays inside the data folder"),
        (
            lambda f: f["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}),
            "stays inside the data folder",
        ),
        (lambda f: f["dropped"].append({"subject": "s1", "why": 1}), "dropped: 'why' should be a str, got 1"),
        (lambda f: f["files"].update({"x": {"sha256": "0" * 64}}), "file 'x': 'bytes' is missing"),
    ],
)
def test_a_manifest_that_cannot_be_believed_is_refused_at_once(folder, change, text):
    rehash(folder, change)
    with pytest.raises(DataError, match=text):
        read_benchmark(folder)
    with pytest.raises(DataError, match=text):
        verify_folder(folder)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: f["assemblies"][0].update(arrays="../../x"), r"uses '../../x' but lists no such file"),
        (lambda f: f["assemblies"][0].update(kind="surface"), "kind is 'voxels' or 'geometry', got 'surface'"),
        (lambda f: f["assemblies"][0].pop("subject"), "'subject' is missing"),
        (lambda f: f["stimuli"].update(modality="sound"), "modality is 'text' or 'image', got 'sound'"),
        (lambda f: f["stimuli"].update(modality="image"), "column 'image' is missing"),
        (lambda f: f["metrics"].append({"metric": "rigde"}), "no metric is called 'rigde'. Did you mean 'ridge'"),
        (lambda f: f["metrics"].append({"metric": "rsa", "k": 1}), "metric 'rsa' has no option 'k'"),
        (lambda f: f["metrics"][0].update(rule="best"), "metric 'ridge': rule should be .*, got 'best'"),
        (lambda f: f["metrics"][0].update(alphas=[1, "a"]), "metric 'ridge': alphas should be tuple"),
        (lambda f: f["metrics"][0].update(alphas=[0]), "Ridge: alphas should be positive numbers"),
        (lambda f: f["metrics"].append("rsa"), "'metric' is missing"),
        (lambda f: f["assemblies"][0].update(arrays=[]), r"'arrays' should be a str, got \[\]"),
        (lambda f: f["assemblies"].append(None), "'subject' is missing"),
        (lambda f: f.update(assemblies=[]), "needs at least one assembly and one metric"),
    ],
)
def test_a_manifest_with_a_wrong_part_names_it(unchecked, folder, change, text):
    rehash(folder, change)
    refused(folder, text)


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value, of lists the first two."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*at, key))


def put(value: dict, at: tuple[str | int, ...], new: object) -> object:
    """A copy with another value at a place."""
    if not at:
        return new
    out = json.loads(json.dumps(value))
    inside = out
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = new
    return out


@pytest.mark.parametrize("new", [None, -1, 0.5, True, "../x", [], [1], {}, {"a": 1}], ids=repr)
def test_any_other_value_anywhere_in_the_manifest_is_used_or_refused_by_name(unchecked, text_benchmark, tmp_path, new):
    extras = Extras(columns={"index": np.arange(6)}, space=FolderSpace(name="MNI", shape=(9, 8, 7), affine=AFFINE))
    folder = write_benchmark(text_benchmark, tmp_path / "b", extras={"s1": extras})
    facts = json.loads((folder / "benchmark.json").read_text())
    refusals = 0
    for at in places(facts):
        (folder / "benchmark.json").write_text(json.dumps(put(facts, at, new)))
        for door in (read_benchmark, read_extras, verify_folder):
            try:
                found = door(folder)
            except DataError:
                found = ["refused"]
            refusals += bool(isinstance(found, list) and found)
    assert refusals > len(list(places(facts))) / 2


def test_json_that_is_cut_is_named(folder):
    path = folder / "benchmark.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match="benchmark.json cannot be read as JSON .* it may be cut short"):
        read_benchmark(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    path = folder / "stimuli.parquet"
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    refused(folder, "stimuli.parquet leads out of the folder")


def test_a_file_that_nobody_vouches_for_is_reported(folder):
    (folder / "responses" / "s3.safetensors").write_bytes(b"")
    (folder / "README.md").write_text("")
    assert [problem.where for problem in verify_folder(folder)] == ["responses/s3.safetensors"]


def arrays_of(folder: Path, change: Callable[[np.ndarray], np.ndarray], **about: object) -> None:
    path = folder / "responses" / "s1.safetensors"
    ids = [f"s{i:02d}" for i in range(40)]
    header = {"name": "tiny-text", "subject": "s1", "stimulus_ids": ids, **about}
    values = np.ascontiguousarray(change(load_file(path)["responses"]))
    save_file({"responses": values}, path, metadata={"ontogeny": json.dumps(header)})
    rehash(folder)


def spoilt(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[3 if np.isnan(value) else slice(None), 2] = value
        return x

    return change


@pytest.mark.parametrize(
    ("change", "about", "text"),
    [
        (lambda x: x[:-1], {}, r"'responses' has shape \(39, 6\), but the header names 40 stimuli"),
        (lambda x: x[:, :-1], {}, r"stimuli x voxels = 40 x 6 .* got \(40, 5\)"),
        (lambda x: x.astype(np.int64), {}, "'responses' should be float32 or float64, got int64"),
        (lambda x: x[0], {}, r"'responses' has shape \(6,\)"),
        (spoilt(np.nan), {}, "1 of 6 voxels hold NaN or are constant over stimuli, e.g. voxel 2"),
        (spoilt(1.0), {}, "1 of 6 voxels hold NaN or are constant over stimuli, e.g. voxel 2"),
        (lambda x: x, {"stimulus_ids": ["s00"] * 40}, "stimulus ids must be unique, but 1 appear more than once"),
        (lambda x: x, {"stimulus_ids": [f"t{i}" for i in range(40)]}, "has no response to 40 of 40 stimuli"),
        (lambda x: x, {"stimulus_ids": None}, "'stimulus_ids' should be a list, got None"),
    ],
)
def test_responses_that_do_not_fit_are_refused_by_name(unchecked, folder, change, about, text):
    arrays_of(folder, change, **about)
    refused(folder, text)


def test_a_truncated_array_file_whose_hash_was_renewed_is_named(folder):
    path = folder / "responses" / "s1.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    rehash(folder)
    refused(folder, "s1.safetensors cannot be read as safetensors .* it may be cut short")
    path.write_bytes(b"")
    rehash(folder)
    refused(folder, "s1.safetensors cannot be read as safetensors")
    save_file({"responses": np.ones((40, 6))}, path)
    rehash(folder)
    refused(folder, "the header has no 'ontogeny' entry")


def table_of(path: Path, change: Callable[[dict], None]) -> None:
    import pyarrow as pa

    columns = pq.read_table(path).to_pydict()
    change(columns)
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("stimuli.parquet", lambda t: t["stimulus_id"].__setitem__(1, "s00"), "stimulus ids must be unique"),
        ("stimuli.parquet", lambda t: t["stimulus_id"].__setitem__(1, None), "'stimulus_id' is empty in 1 of 40 rows"),
        ("stimuli.parquet", lambda t: t.update(stimulus_id=list(range(40))), "'stimulus_id' should be text, got int64"),
        ("stimuli.parquet", lambda t: t["text"].__setitem__(1, " "), "'s01' should be a non-empty string"),
        ("stimuli.parquet", lambda t: t.pop("fold"), "column 'fold' is missing"),
        (
            "stimuli.parquet",
            lambda t: t["fold"].__setitem__(1, 9),
            "folds should be numbered 0, 1, ... and at least two",
        ),
        ("voxels/s1.parquet", lambda t: t["roi"].__setitem__(1, ""), "1 of 6 voxels have an empty ROI label"),
        ("voxels/s1.parquet", lambda t: t["ceiling"].__setitem__(1, float("nan")), "'ceiling' should be finite"),
    ],
)
def test_tables_that_do_not_fit_are_refused_by_name(folder, name, change, text):
    table_of(folder / name, change)
    rehash(folder)
    refused(folder, text)


def test_a_table_of_another_kind_is_named(folder):
    shutil.copy(folder / "responses" / "s1.safetensors", folder / "stimuli.parquet")
    rehash(folder)
    refused(folder, "stimuli.parquet cannot be read as Parquet .* it may be cut short")


def test_a_picture_that_cannot_be_decoded_is_named(image_benchmark, tmp_path):
    folder = write_benchmark(image_benchmark, tmp_path / "b")
    path = folder / "stimuli.parquet"
    table_of(path, lambda t: t["image"].__setitem__(2, {"bytes": b"GIF89a", "path": "p02.png"}))
    rehash(folder)
    text = "the picture of stimulus 'p02' cannot be decoded"
    with pytest.raises(DataError, match=text):
        read_benchmark(folder).fingerprint()
    assert text in verify_folder(folder)[0].what
    table_of(path, lambda t: t.update(image=["a"] * 16))
    rehash(folder)
    refused(folder, r"column 'image' should be \{bytes, path\}, got string")


def test_a_geometry_must_be_one(image_benchmark, tmp_path):
    folder = write_benchmark(image_benchmark, tmp_path / "b")
    path = folder / "geometry" / "s1-IT.safetensors"
    ids = list(image_benchmark.stimuli.ids)
    header = {"ontogeny": json.dumps({"name": "tiny-image", "subject": "s1", "stimulus_ids": ids})}
    save_file({"rdm": np.triu(load_file(path)["rdm"])}, path, metadata=header)
    rehash(folder)
    refused(folder, "an RDM is symmetric with a zero diagonal")
    save_file({"other": np.ones((16, 16))}, path, metadata=header)
    rehash(folder)
    refused(folder, "should hold a two-dimensional 'rdm', got {'other': \\(16, 16\\)}")


def test_every_problem_is_listed_not_only_the_first(folder):
    for name in ("responses/s1.safetensors", "voxels/s2.parquet"):
        (folder / name).write_bytes(b"x")
    assert [p.where for p in verify_folder(folder)] == ["responses/s1.safetensors", "voxels/s2.parquet"]


def test_a_metric_that_cannot_use_the_responses_is_a_problem(text_benchmark, tmp_path):
    one = text_benchmark.assemblies[0]
    spikes = one.responses.copy()
    spikes[:, 0] = 0
    spikes[0, 0] = 1
    assembly = replace(one, responses=spikes)
    folder = write_benchmark(replace(text_benchmark, assemblies=(assembly,)), tmp_path / "b")
    assert "constant over the 8 stimuli of a held-out fold" in verify_folder(folder)[0].what
