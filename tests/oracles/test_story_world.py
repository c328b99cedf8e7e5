"""A known-answer world of stories: responses follow one layer of a GPT-2 with random weights, three volumes late."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import ontogeny
from ontogeny import Assembly, Benchmark
from ontogeny.metrics import Ridge, make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.neuroimaging import zscore_runs
from ontogeny.neuroimaging.story_words import Story, story_pieces

VOCABULARY = [f"w{i}" for i in range(40)]
TR, LAG, CONTEXT, VOLUMES = 2.0, 3, 5, 70
LAYER = "transformer.h.1"


def tokenizer(text: str) -> list[int]:
    return [VOCABULARY.index(word) for word in text.split()]


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    size = GPT2Config(
        vocab_size=40,
        n_positions=16,
        n_embd=12,
        n_layer=3,
        n_head=2,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(size).eval()


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    rng = np.random.default_rng(1)
    return [
        Story(
            name=f"story{number}",
            words=tuple(rng.choice(VOCABULARY, size=220)),
            times=np.sort(rng.uniform(0, VOLUMES * TR, size=220)),
            volume_times=(np.arange(VOLUMES) + 0.5) * TR,
            start=5,
            end=2,
        )
        for number in range(6)
    ]


def word_features(model: GPT2LMHeadModel, story: Story) -> np.ndarray:
    """One window after the other, by Hugging Face's own hidden states: the output of block 1 at the last token."""
    rows = []
    for place in range(len(story.words)):
        ids = [VOCABULARY.index(word) for word in story.words[max(0, place - CONTEXT) : place + 1]]
        with torch.no_grad():
            hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        rows.append(hidden[2][0, -1].numpy())
    return np.stack(rows).astype(np.float64)


def volumes_of(story: Story, x: np.ndarray) -> np.ndarray:
    """Lanczos by its formula, word by word; then late; then cut."""
    out = np.zeros((VOLUMES, x.shape[1]))
    for volume, at in enumerate(story.volume_times):
        for time, row in zip(story.times, x, strict=True):
            t = (at - time) / TR
            if abs(t) <= 3:
                out[volume] += np.sinc(t) * np.sinc(t / 3) * row
    late = np.vstack([np.zeros((LAG, x.shape[1])), out[:-LAG]])
    return late[5:-2]


@pytest.fixture(scope="module")
def responses(model, stories) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    mixing = rng.standard_normal((12, 10))
    out = {}
    for story in stories:
        signal = volumes_of(story, word_features(model, story)) @ mixing
        signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
        out[story.name] = signal + 0.3 * rng.standard_normal(signal.shape)
    return out


def benchmark(stories, responses, *, order=None, response=(1, 2, 3, 4)) -> Benchmark:
    pieces = story_pieces(stories, name="world", context=CONTEXT, response=response)
    names = [story.name for story in stories]
    taken = names if order is None else [names[i] for i in order]
    values = np.concatenate([responses[name] for name in taken])
    return Benchmark(
        name="story-world",
        version="1",
        citation="none",
        licence="none",
        about="simulated",
        simulated=True,
        stimuli=pieces.stimuli,
        assemblies=(
            Assembly(
                name="w",
                subject="s",
                stimulus_ids=pieces.stimuli.ids,
                responses=values,
                roi=("planted",) * values.shape[1],
            ),
        ),
        metrics=(Ridge(rule="kfold"),),
        folds=make_folds(len(pieces.stimuli), n_folds=3, groups=pieces.stimuli.groups),
        pieces=pieces,
    )


def by_layer(rows) -> dict[str, float]:
    return {r.layer: r.value for r in rows if r.kind == "alignment"}


def scored(tmp_path, model, given: Benchmark, name: str = "a", **options):
    monitor = ontogeny.watch(given, record=tmp_path / name, tokenizer=tokenizer, **options)
    rows = monitor(model, 0)
    assert not [r for r in rows if r.kind == "refusal"]
    return rows


def test_the_planted_layer_comes_back_through_the_whole_street(tmp_path, model, stories, responses):
    given = benchmark(stories, responses)
    rows = scored(tmp_path, model, given)
    values = by_layer(rows)
    ceiling = 1 / np.sqrt(1 + 0.3**2)
    assert values[LAYER] == max(values.values())
    assert values[LAYER] > 0.9 * ceiling
    assert values[LAYER] > values["embeddings"] + 0.1
    assert {r.n_stimuli for r in rows if r.kind == "alignment"} == {6 * (VOLUMES - 7)}
    assert {r.n_features for r in rows if r.kind == "alignment"} == {12 * 4}
    controls = {r.layer: r.value for r in rows if r.kind in ("control", "baseline")}
    assert abs(controls["permuted stimuli"]) < 0.05
    assert abs(controls["random features"]) < 0.12
    assert controls["word rate and length"] < 0.6 * values[LAYER]
    written = ontogeny.Record(tmp_path / "a")
    (row,) = written.select(kind="alignment", layer=LAYER)
    assert (row.n_stimuli, row.fingerprint) == (6 * (VOLUMES - 7), given.fingerprint())


def test_another_lag_or_other_stories_do_not_explain_the_responses(tmp_path, model, stories, responses):
    right = by_layer(scored(tmp_path, model, benchmark(stories, responses, response=(LAG,)), "right"))[LAYER]
    wrong = by_layer(scored(tmp_path, model, benchmark(stories, responses, response=(0, 6)), "wrong"))[LAYER]
    shuffled = benchmark(stories, responses, order=(1, 2, 3, 4, 5, 0))
    assert right > 0.85
    assert abs(wrong) < 0.15
    assert abs(by_layer(scored(tmp_path, model, shuffled, "shuffled"))[LAYER]) < 0.1


def test_penalties_are_to_be_chosen_on_whole_stories(stories):
    """Responses that are z-scored within story sum to 0 there: a volume is known from the others of its story. So
    leave-one-out and GCV take far too small a penalty where there are more features than volumes; whole stories do not.
    """
    pieces = story_pieces(stories, name="world", context=CONTEXT)
    rng = np.random.default_rng(3)
    x = pieces.joined(torch.as_tensor(rng.standard_normal((len(pieces.read), 100)) + 1))
    rate = np.concatenate([volumes_of(story, np.ones((len(story.words), 1))) for story in stories])
    raw = rate / rate.std() + rng.standard_normal((len(rate), 20))
    folds = make_folds(len(raw), n_folds=3, groups=pieces.stimuli.groups)
    scored = {
        (rule, what): ridge_cv(x, y, folds=folds, rule=rule).mean()
        for rule in ("kfold", "loo", "gcv")
        for what, y in (("raw", raw), ("z-scored", zscore_runs(raw, pieces.stimuli.groups)))
    }
    assert scored["kfold", "z-scored"] > scored["loo", "z-scored"] + 0.15
    assert scored["kfold", "z-scored"] > scored["gcv", "z-scored"] + 0.15
    assert scored["loo", "raw"] == pytest.approx(scored["kfold", "raw"], abs=0.03)


def test_all_controls_and_a_live_model(tmp_path, model, stories, responses):
    given = benchmark(stories, responses)
    monitor = ontogeny.watch(
        given,
        record=tmp_path / "a",
        tokenizer=tokenizer,
        schedule="at:0,1",
        controls=["random tokens", "split leak", "held-out layer", "permuted within groups"],
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = monitor(model, 0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    controls = {r.layer: r.value for r in first if r.kind == "control"}
    assert controls["held-out layer"] > 0.7
    assert abs(controls["random tokens"]) < 0.6 * controls["held-out layer"]
    assert abs(controls["permuted within groups"]) < 0.05
    assert abs(controls["split leak"]) < 0.1
    assert "windows of up to 6 words" in monitor.doctor(model, details=True)
    other = GPT2LMHeadModel(model.config).eval()
    assert by_layer(monitor(other, 1))[LAYER] < by_layer(first)[LAYER]
