"""Stories by the command line: a planted layer comes back, equal to himalaya on features made by hand; maps too."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest
import torch
from tests.helpers import story_lab as lab

import ontogeny
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras, verify_folder
from ontogeny.replay import CheckpointSeries, replay

pytestmark = pytest.mark.oracle

ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]
TIMING = ["--tr", "2", "--context", "5", "--stride", "4"]
RATE = "word rate and length, frequency"
NAMES = ["alpha", "beta", "gamma", "delta"]


@pytest.fixture(scope="module")
def model():
    return lab.gpt2()


@pytest.fixture(scope="module")
def stories():
    rng = np.random.default_rng(5)
    return [lab.Heard.make(rng, name, 60 + 5 * i) for i, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def signals(model, stories):
    """Story -> volumes x 24 voxels: what follows the planted layer, three volumes late."""
    mixing = np.random.default_rng(6).standard_normal((12, 24))
    words = {s.name: lab.word_features(model, s, 5, 4) for s in stories}
    return {s.name: lab.z(lab.late(lab.at_volumes(s, words[s.name]), 3) @ mixing) for s in stories}


@pytest.fixture(scope="module")
def runs(signals):
    """Subject -> story -> repeats, in arbitrary units; "alpha" was heard three times by the first subject."""
    rng = np.random.default_rng(7)
    times = {("01", "alpha"): 3}
    return {
        subject: {
            name: [
                1000 + 20 * (y + lab.NOISE * rng.standard_normal(y.shape)) for _ in range(times.get((subject, name), 1))
            ]
            for name, y in signals.items()
        }
        for subject in ("01", "02")
    }


@pytest.fixture
def folder(tmp_path, monkeypatch, stories, runs):
    """BOLD, one TextGrid a story, one atlas; built."""
    monkeypatch.chdir(tmp_path)
    for story in stories:
        lab.write_textgrid(tmp_path / f"{story.name}.TextGrid", story)
    for subject, heard in runs.items():
        for name, repeats in heard.items():
            for run, values in enumerate(repeats, 1):
                lab.write_bold(tmp_path / f"sub-{subject}_task-{name}_run-{run}_bold.nii.gz", values)
    lab.write_atlas(tmp_path)
    bold = sorted(str(path) for path in tmp_path.glob("*_bold.nii.gz"))
    grids = [f"{name}.TextGrid" for name in NAMES]
    more = ["--words", *grids, "--bold", *bold, "--atlas", "atlas_dseg.nii.gz", "--drift", "1"]
    assert main(["data", "build", "mine", *more, *TIMING, *ABOUT, "--voxelwise"]) == 0
    return tmp_path


def detrended(y: np.ndarray) -> np.ndarray:
    t = np.arange(len(y), dtype=float)
    return y - np.stack([np.polyval(np.polyfit(t, column, 1), t) for column in y.T], axis=1)


def expected_responses(runs, subject: str) -> np.ndarray:
    """In the order of names; repeats averaged after each was z-scored. Voxels of the atlas."""
    parts = []
    for name in sorted(NAMES):
        repeats = [lab.z(detrended(values[:, :22])) for values in runs[subject][name]]
        parts.append(np.mean(repeats, axis=0))
    return np.concatenate(parts)


HEARD = {"01": ["alpha", "beta", "delta"], "02": ["beta", "delta", "gamma"], "03": ["alpha", "delta", "gamma"]}


def test_subjects_who_heard_different_stories_are_scored_each_on_its_own(
    tmp_path, monkeypatch, model, stories, signals
):
    """Equal to himalaya on each subject's own volumes, with the folds of all."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(8)
    lab.write_words(tmp_path / "words.csv", stories)
    y = {(who, n): signals[n] + lab.NOISE * rng.standard_normal(signals[n].shape) for who in HEARD for n in HEARD[who]}
    for (who, name), values in y.items():
        np.save(f"sub-{who}_{name}.npy", 30 + values)
    given = [f"{who}:{name}=sub-{who}_{name}.npy" for who, name in y]
    more = ["--words", "words.csv", "--responses", *given, "--own-stimuli"]
    assert main(["data", "build", "mine", *more, *TIMING, *ABOUT]) == 0
    assert verify_folder("mine") == []
    benchmark = load("./mine")
    folds = dict(zip(benchmark.stimuli.groups, benchmark.folds.held_out, strict=True))
    assert len(set(folds.values())) == 4
    with ontogeny.watch("./mine", record="runs/a", tokenizer=lab.tokenizer, layers=[lab.LAYER], task=False) as monitor:
        rows = monitor(model, 0)
    made = {s.name: lab.z(lab.delayed(s, lab.word_features(model, s, 5, 4))) for s in stories}
    for who, names in HEARD.items():
        expected = np.concatenate([lab.z(y[who, name]) for name in names])
        (assembly,) = [one for one in benchmark.assemblies if one.subject == who]
        np.testing.assert_allclose(assembly.responses, expected, atol=2e-5)
        held_out = np.unique(np.concatenate([[folds[n]] * len(made[n]) for n in names]), return_inverse=True)[1]
        r = lab.himalaya_r(np.concatenate([made[n] for n in names]), expected, held_out)
        (row,) = [row for row in rows if row.kind == "alignment" and row.subject == who]
        assert row.value == pytest.approx(r.mean(), abs=1e-5)
        assert row.n_stimuli == len(expected)
        assert row.value > 0.5


def test_the_planted_layer_comes_back_equal_to_himalaya_voxel_by_voxel(folder, model, stories, runs, capsys):
    benchmark = load("./mine")
    assert verify_folder("mine") == []
    for assembly in benchmark.assemblies:
        np.testing.assert_allclose(assembly.responses, expected_responses(runs, assembly.subject), atol=2e-5)
    with ontogeny.watch("./mine", record="runs/a", tokenizer=lab.tokenizer, layers=[lab.LAYER]) as monitor:
        rows = monitor(model, 0)
    x = {s.name: lab.word_features(model, s, 5, 4) for s in stories}
    features = np.concatenate([lab.z(lab.delayed(s, x[s.name])) for s in sorted(stories, key=lambda s: s.name)])
    held_out = np.array(benchmark.folds.held_out)
    assert len({tuple(sorted(set(held_out[np.array(benchmark.stimuli.groups) == n]))) for n in NAMES}) == 4
    for subject in ("01", "02"):
        values = [r.value for r in rows if r.kind == "alignment" and r.subject == subject]
        r = lab.himalaya_r(features, expected_responses(runs, subject), held_out)
        np.testing.assert_allclose(values, r, atol=1e-5)
        assert np.mean(values) > 0.7
    controls = {r.layer: r for r in rows if r.kind == "control"}
    assert "circular shifts" in controls["permuted stimuli"].note
    assert abs(np.mean([r.value for r in rows if r.layer == "permuted stimuli"])) < 0.06
    capsys.readouterr()
    assert main(["map", "runs/a", "--space", "mine", "--subject", "01", "--out", "map.nii.gz"]) == 0
    painted = nib.load("map.nii.gz").get_fdata().ravel()
    r = lab.himalaya_r(features, expected_responses(runs, "01"), held_out)
    np.testing.assert_allclose(painted[:22], r, atol=1e-5)
    assert np.isnan(painted[22:]).all()


def test_repeats_make_a_ceiling_near_the_planted_one(folder, runs):
    benchmark, extras = load("./mine"), read_extras("mine")
    first, second = benchmark.assemblies
    assert extras["01"].repeats.shape[0] == 3
    assert second.ceiling is None
    share = 1 / (1 + lab.NOISE**2)  # of one hearing; of "alpha" three were averaged
    n = np.array([3 if group == "alpha" else 1 for group in benchmark.stimuli.groups])
    snr = share / (1 - share)
    planted = np.sqrt(snr / (snr + np.mean(1 / n)))
    assert np.mean(first.ceiling) == pytest.approx(planted, abs=0.05)


def test_doctor_replay_and_report_take_the_folder(folder, model):
    options = {"tokenizer": lab.tokenizer, "layers": [lab.LAYER, "surprisal"], "run": "mine"}
    monitor = ontogeny.watch("./mine", record="runs/a", **options)
    said = str(monitor.doctor(model, details=True))
    assert "windows of up to 9 words, 4 words a forward pass of a causal model" in said
    assert re.search(r"1 layers? of \d+ stimuli in \d+ texts", said)
    rows = monitor(model, 10)
    live = {r.key: r.value for r in rows if r.kind == "alignment"}
    assert {r.layer for r in rows if r.kind == "alignment"} == {lab.LAYER, "surprisal"}
    series = CheckpointSeries(name="saved", steps=(10,), load=lambda _: model, where=str)
    again = ontogeny.watch("./mine", record="runs/b", **options)
    assert replay(series, again).whole
    replayed = {s.key: s.value for s in again.record.scores if s.kind == "alignment"}
    assert replayed == pytest.approx(live, abs=1e-9)
    monitor(lab.gpt2(), 20)
    assert main(["report", "runs/a"]) == 0


def test_one_story_is_cut_into_blocks_with_gaps_as_long_as_the_delays(tmp_path, monkeypatch, model, stories, signals):
    monkeypatch.chdir(tmp_path)
    story, y = stories[3], signals["delta"]
    lab.write_words(tmp_path / "delta.csv", [story])
    np.save("y.npy", y + lab.NOISE * np.random.default_rng(1).standard_normal(y.shape))
    given = ["--words", "delta.csv", "--responses", "s1=y.npy"]
    assert main(["data", "build", "one", *given, *TIMING, *ABOUT, "--n-folds", "3", "--trim", "2", "1"]) == 0
    benchmark = load("./one")
    volume = np.array([int(name.split("/")[1]) for name in benchmark.stimuli.ids])
    held_out = np.array(benchmark.folds.held_out)
    cuts = np.flatnonzero(np.diff(held_out))
    assert len(cuts) == 2
    assert np.diff(volume)[cuts].tolist() == [5, 5]  # four volumes, as long as the longest delay, are in no fold
    assert (volume.min(), volume.max()) == (2, len(y) - 2)
    assert "4 volumes left out between two" in benchmark.folds.how
    x = lab.delayed(story, lab.word_features(model, story, 5, 4))
    blocks = [volume[held_out == fold] for fold in dict.fromkeys(held_out)]
    features = np.concatenate([lab.z(x[block]) for block in blocks])
    responses = np.concatenate([lab.z(np.load("y.npy")[block]) for block in blocks])
    with ontogeny.watch("./one", record="runs/a", tokenizer=lab.tokenizer, layers=[lab.LAYER]) as monitor:
        (row,) = [r for r in monitor(model, 0) if r.kind == "alignment"]
    assert row.value == pytest.approx(lab.himalaya_r(features, responses, held_out).mean(), abs=1e-5)
    assert row.value > 0.3


def test_word_surprisal_and_columns_of_the_words_are_baselines(tmp_path, monkeypatch, model, stories, signals):
    """Surprisal by the sum of Hugging Face's own log-probabilities over the word's tokens."""
    monkeypatch.chdir(tmp_path)
    some = stories[:3]
    rng = np.random.default_rng(2)
    numbers = [float(n) for n in rng.standard_normal(sum(len(s.words) for s in some))]
    lab.write_words(tmp_path / "words.csv", some, frequency=numbers)
    for s in some:
        np.save(f"{s.name}.npy", signals[s.name] + rng.standard_normal(signals[s.name].shape))
    given = ["--words", "words.csv", "--responses", *(f"s1:{s.name}={s.name}.npy" for s in some)]
    assert main(["data", "build", "some", *given, *TIMING, *ABOUT, "--word-features", "frequency"]) == 0
    benchmark = load("./some")
    with ontogeny.watch("./some", record="runs/a", tokenizer=lab.tokenizer, layers=["surprisal"]) as monitor:
        rows = monitor(model, 0)
    x, rates, start = [], [], 0
    for s in some:
        values = [np.nan]
        for place in range(1, len(s.words)):
            ids = torch.tensor([lab.tokenizer(" ".join(lab.window(s, place, 5, 4)))])
            with torch.no_grad():
                values.append(-float(model(ids).logits[0, -2].log_softmax(0)[ids[0, -1]]))
        x.append(np.array(values)[:, None])
        rates.append(
            np.column_stack([np.ones(len(s.words)), [len(w) for w in s.words], numbers[start:][: len(s.words)]])
        )
        start += len(s.words)
    mean = np.nanmean(np.concatenate(x))
    held_out = np.array(benchmark.folds.held_out)
    order = sorted(range(3), key=lambda i: some[i].name)
    y = np.concatenate([lab.z(np.load(f"{some[i].name}.npy")) for i in order])
    for layer, words in (("surprisal", [np.where(np.isnan(v), mean, v) for v in x]), (RATE, rates)):
        features = np.concatenate([lab.z(lab.delayed(some[i], words[i])) for i in order])
        (row,) = [r for r in rows if r.layer == layer and r.kind in ("alignment", "baseline")]
        assert row.value == pytest.approx(lab.himalaya_r(features, y, held_out).mean(), abs=1e-4), layer
    assert "3 words with nothing before them have the mean surprisal" in "".join(
        r.note for r in rows if r.kind == "probe"
    )
