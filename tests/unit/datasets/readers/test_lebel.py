"""LeBel 2023: a small set on the documented layout, made here; timing by the authors' conventions, written anew."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.textgrids import long_format

import ontogeny
from ontogeny.datasets import load
from ontogeny.datasets.readers.lebel import TEST_STORY, reliability
from ontogeny.errors import DataError, DatasetNotFoundError, MissingExtraError
from ontogeny.neuroimaging.hdf5_files import open_hdf5

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

LENGTHS = {"souls": 70, "avatar": 75, "legacy": 80, TEST_STORY: 65}
VOXELS, REPEATS = 12, 4
WORDS = ("AND", "THE", "DOG", "RUNS", "HOME")


def spoken(rng: np.random.Generator, n: int) -> list[tuple[float, float, str]]:
    """Words and pauses from 0 to the end of the sound; with marks that are no words."""
    edges = np.sort(rng.uniform(0, (n - 20) * 2.0, size=121)).round(3)
    labels = [str(rng.choice(WORDS)) for _ in range(120)]
    labels[0], labels[5], labels[7], labels[-1] = "sentence_start", "{LG}", "", "sp"
    return [(edges[i], edges[i + 1], label) for i, label in enumerate(labels)]


def put(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)


@pytest.fixture
def made(rng, tmp_path):
    """Voxels 0-5 of each subject repeat (signal as large as the noise), the others are noise."""
    root = tmp_path / "ds003020" / "derivative"
    (root / "TextGrids").mkdir(parents=True)
    words = {}
    for name, n in LENGTHS.items():
        words[name] = spoken(rng, n)
        (root / "TextGrids" / f"{name}.TextGrid").write_text(
            long_format([("phone", [(0, 1, "X")]), ("word", words[name])])
        )
    (root / "respdict.json").write_text(json.dumps({**LENGTHS, "elsewhere": 300}))
    for subject in ("UTS01", "UTS02"):
        for name, n in LENGTHS.items():
            arrays = {"data": rng.standard_normal((n - 20, VOXELS)).astype(np.float32)}
            if name == TEST_STORY:
                signal = rng.standard_normal((n - 20, VOXELS)) * (np.arange(VOXELS) < 6)
                arrays["individual_repeats"] = signal + rng.standard_normal((REPEATS, n - 20, VOXELS))
            put(root / "preprocessed_data" / subject / f"{name}.hf5", **arrays)
    return tmp_path / "ds003020", words


def test_stories_voxels_and_ceilings(made):
    folder, _ = made
    b = load("lebel2023", folder=folder, voxels=5)
    assert (b.name, len(b.stimuli)) == ("lebel2023", 70 + 75 + 80 - 60)
    assert dict.fromkeys(b.stimuli.groups) == dict.fromkeys(["avatar", "legacy", "souls"])
    assert b.stimuli.ids[0] == "avatar/0010"
    assert [a.subject for a in b.assemblies] == ["UTS01", "UTS02"]
    for one in b.assemblies:
        with h5py.File(folder / "derivative" / "preprocessed_data" / one.subject / f"{TEST_STORY}.hf5") as file:
            repeats = file["individual_repeats"][()]
        pairs = [
            [
                np.corrcoef(repeats[i, :, v], repeats[j, :, v])[0, 1]
                for i, j in itertools.combinations(range(REPEATS), 2)
            ]
            for v in range(VOXELS)
        ]
        found = reliability(repeats)
        np.testing.assert_allclose(found, np.mean(pairs, axis=1), atol=1e-10)
        best = np.sort(np.argsort(-found)[:5])
        assert set(best) <= set(range(6))
        np.testing.assert_allclose(one.ceiling, np.sqrt(found[best]), atol=1e-6)
        with h5py.File(folder / "derivative" / "preprocessed_data" / one.subject / "avatar.hf5") as file:
            raw = file["data"][()][:, best].astype(float)
        expected = (raw - raw.mean(axis=0)) / raw.std(axis=0)
        np.testing.assert_allclose(one.responses[:55], expected, atol=1e-5)
    for train, held_out in b.folds:
        assert not {b.stimuli.groups[i] for i in train} & {b.stimuli.groups[i] for i in held_out}


def by_the_authors_conventions(words, features: np.ndarray, n: int, delays: tuple[int, ...]) -> np.ndarray:
    """`load_simulated_trfiles(tr=2, start_time=10, pad=5)`, `DataSequence.from_grid`, `lanczosinterp2D(window=3)`,
    `zscore(...[10:-5])`; delayed before the cut."""
    triggers = np.arange(n - 5) * 2.0 - 10.0
    tr_times = triggers + 1.0
    word_times = np.array([(start + end) / 2 for start, end, _ in words])
    t = 0.5 * (tr_times[:, None] - word_times[None, :])
    kernel = np.zeros_like(t)
    near = (np.abs(t) < 3) & (t != 0)
    kernel[near] = 3 * np.sin(np.pi * t[near]) * np.sin(np.pi * t[near] / 3) / (np.pi**2 * t[near] ** 2)
    kernel[t == 0] = 1
    whole = kernel @ features
    out = np.concatenate([whole[10 - d : len(whole) - 5 - d] for d in delays], axis=1)
    return (out - out.mean(axis=0)) / out.std(axis=0)


def test_timing_is_that_of_the_authors_code(made, rng):
    folder, words = made
    b = load("lebel2023", folder=folder, context=3, delays=(1, 2), stories=["legacy", "souls", "avatar"])
    x = rng.standard_normal((len(b.read), 4))
    joined = b.pieces.joined(torch.as_tensor(x)).numpy()
    place = {text: row for row, text in enumerate(b.read.inputs)}
    for name in ("legacy", "souls", "avatar"):
        said = [w for w in words[name] if w[2].lower().strip("{}") not in ("sentence_start", "lg", "", "sp")]
        texts = [" ".join(w[2].lower() for w in said[max(0, i - 3) : i + 1]) for i in range(len(said))]
        expected = by_the_authors_conventions(said, x[[place[t] for t in texts]], LENGTHS[name], (1, 2))
        np.testing.assert_allclose(joined[np.array(b.stimuli.groups) == name], expected, atol=1e-9)


def test_it_is_watched_like_any_other(made, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    folder, _ = made
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=32, n_embd=8, n_layer=1, n_head=2))
    vocabulary = [word.lower() for word in WORDS]
    b = load("lebel2023", folder=folder, subjects=["UTS02"], voxels=4, context=5)
    monitor = ontogeny.watch(
        b, record=tmp_path / "r", tokenizer=lambda text: [vocabulary.index(w) for w in text.split()]
    )
    rows = [r for r in monitor(model, 0) if r.kind == "alignment"]
    assert {(r.subject, r.roi, r.n_voxels, r.n_stimuli) for r in rows} == {("UTS02", "cortex", 4, 165)}
    assert max(abs(r.value) for r in rows) < 0.3


def test_all_voxels_but_the_unusable_ones(made):
    folder, _ = made
    path = folder / "derivative" / "preprocessed_data" / "UTS01" / "souls.hf5"
    with h5py.File(path, "r+") as file:
        file["data"][3, 2] = np.nan
        file["data"][:, 7] = 1.0
    b = load("lebel2023", folder=folder, voxels=None)
    assert [len(a.roi) for a in b.assemblies] == [VOXELS - 2, VOXELS]
    assert b.assemblies[0].ceiling is None
    assert "all voxels" in b.about


def test_sets_that_are_not_whole_are_refused(made, tmp_path, monkeypatch):
    folder, _ = made
    data = folder / "derivative" / "preprocessed_data"
    for options, text in [
        ({"subjects": ["UTS1"]}, "there is no subject 'UTS1'. Did you mean 'UTS01'"),
        ({"stories": ["soul"]}, "story 'soul' has no TextGrid, or no .hf5 of each of .*Did you mean 'souls'"),
        ({"stories": ["souls"]}, "three or more are needed"),
        ({"voxels": 0}, "voxels should be 1 or more, or None for all, got 0"),
    ]:
        with pytest.raises(DataError, match=text):
            load("lebel2023", folder=folder, **options)
    with pytest.raises(DataError, match="there is no derivative/preprocessed_data; give the folder of the whole set"):
        load("lebel2023", folder=tmp_path)
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetNotFoundError, match="lebel2023 is not on this machine.*ds003020"):
        load("lebel2023")
    put(data / "UTS02" / "souls.hf5", data=np.ones((49, VOXELS)))
    with pytest.raises(
        DataError, match="souls.hf5: expected 50 volumes \\(respdict.json less 20\\), got 49; leave this story"
    ):
        load("lebel2023", folder=folder)
    put(data / "UTS02" / "souls.hf5", data=np.ones((50, VOXELS - 9)))
    with pytest.raises(DataError, match="stories have different numbers of voxels"):
        load("lebel2023", folder=folder, voxels=None)
    with pytest.raises(DataError, match="3 voxels, but wheretheressmoke.hf5 has more"):
        load("lebel2023", folder=folder)
    put(data / "UTS02" / "souls.hf5", other=np.ones((50, VOXELS)))
    with pytest.raises(DataError, match="souls.hf5: there is no 'data', got \\['other'\\]"):
        load("lebel2023", folder=folder)
    (data / "UTS02" / f"{TEST_STORY}.hf5").unlink()
    with pytest.raises(DataError, match="wheretheressmoke.hf5 is not there, so no voxels can be chosen"):
        load("lebel2023", folder=folder)
    put(data / "UTS02" / f"{TEST_STORY}.hf5", data=np.ones((45, VOXELS)))
    with pytest.raises(DataError, match="there is no 'individual_repeats'.*say voxels=None for all"):
        load("lebel2023", folder=folder)
    put(data / "UTS02" / f"{TEST_STORY}.hf5", individual_repeats=np.ones((45, VOXELS)))
    with pytest.raises(DataError, match="should be \\[repeats x\\] volumes x voxels, got \\(45, 12\\)"):
        load("lebel2023", folder=folder)
    put(data / "UTS02" / "souls.hf5", data=np.ones((50, VOXELS)))
    with pytest.raises(DataError, match="no voxel is finite and varies in every story"):
        load("lebel2023", folder=folder, voxels=None)
    with pytest.raises(DataError, match="needs two repeats or more, got 1"):
        reliability(np.ones((1, 4, 2)))


def test_annotations_that_cannot_be_used_are_refused(made):
    folder, _ = made
    root = folder / "derivative"
    grid = root / "TextGrids" / "souls.TextGrid"
    grid.write_text(long_format([("phone", [(0, 1, "X")]), ("word", [(0, 1, "sp")])]))
    with pytest.raises(DataError, match="souls.TextGrid: the word tier has no word"):
        load("lebel2023", folder=folder)
    lengths = root / "respdict.json"
    lengths.write_text(json.dumps({**LENGTHS, "avatar": 20}))
    with pytest.raises(DataError, match="story 'avatar' should have more than 20 volumes, got 20"):
        load("lebel2023", folder=folder)
    lengths.write_text("[1, 2]")
    with pytest.raises(DataError, match="should be story -> number of volumes, got a list"):
        load("lebel2023", folder=folder)
    lengths.write_text("{")
    with pytest.raises(DataError, match="respdict.json cannot be read .*datalad get"):
        load("lebel2023", folder=folder)
    for path in (root / "preprocessed_data").iterdir():
        path.rename(folder / path.name)
    with pytest.raises(DataError, match="there is no subject; `datalad get` at least one"):
        load("lebel2023", folder=folder)


def test_files_that_are_no_hdf5_are_refused(tmp_path, monkeypatch):
    with (
        pytest.raises(DataError, match="a.hf5 is not there; of a datalad set, `datalad get`"),
        open_hdf5(tmp_path / "a.hf5"),
    ):
        pass
    (tmp_path / "a.hf5").write_text("/annex/objects/MD5E")
    with pytest.raises(DataError, match="cannot be read as HDF5"), open_hdf5(tmp_path / "a.hf5"):
        pass
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="pip install '\\.\\[hdf5\\]'"), open_hdf5(tmp_path / "a.hf5"):
        pass
