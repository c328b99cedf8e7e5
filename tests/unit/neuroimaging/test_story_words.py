"""Stories word by word: windows, the way to volumes against a slow one, ids, errors."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from ontogeny import Assembly, Benchmark, StimulusSet
from ontogeny.benchmarks import StimulusMapping
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import Ridge, UniqueVariance, make_folds
from ontogeny.neuroimaging import convolve_glover, fir_delays, to_volumes
from ontogeny.neuroimaging.story_words import SILENT, Story, story_pieces

TR = 2.0


def story(name: str, seed: int, *, n: int = 60, volumes: int = 30, start: int = 3, end: int = 2) -> Story:
    rng = np.random.default_rng(seed)
    return Story(
        name=name,
        words=tuple(rng.choice(["dog", "runs", "there", "sings", "cat"], size=n)),
        times=np.sort(rng.uniform(0, volumes * TR, size=n)),
        volume_times=(np.arange(volumes) + 0.5) * TR,
        start=start,
        end=end,
    )


def stories(n: int = 3) -> list[Story]:
    return [story(f"story{i}", i, n=60 + i, volumes=30 + i) for i in range(n)]


def slowly(some: list[Story], word_features: list[np.ndarray], delays: tuple[int, ...], how: str) -> np.ndarray:
    """Story by story, on the features themselves: z-scores within story after delays and cuts."""
    out = []
    for one, x in zip(some, word_features, strict=True):
        whole = to_volumes(one.times, x, one.volume_times, how=how)
        late = np.concatenate([np.vstack([np.zeros((d, x.shape[1])), whole[: len(whole) - d]]) for d in delays], axis=1)
        late = late[one.start : len(late) - one.end]
        out.append((late - late.mean(axis=0)) / late.std(axis=0))
    return np.concatenate(out)


@pytest.mark.parametrize("how", ["lanczos", "mean"])
def test_the_matrix_does_what_resampling_delaying_cutting_and_z_scoring_do(rng, how):
    some = stories()
    pieces = story_pieces(some, name="s", context=4, how=how, response=(0, 1, 3))
    place = {text: row for row, text in enumerate(pieces.read.inputs)}
    x = rng.standard_normal((len(pieces.read), 5))
    by_word = [x[[place[text] for text in one.windows(4)]] for one in some]
    joined = pieces.joined(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(joined, slowly(some, by_word, (0, 1, 3), how), atol=1e-10)
    assert joined.shape == (len(pieces.stimuli), 15)


def test_the_glover_response_is_that_of_the_volumes(rng):
    (one,) = some = stories(1)
    pieces = story_pieces(some, name="s", response="glover", zscore=False, context=50)
    x = rng.standard_normal((len(pieces.read), 4))
    whole = to_volumes(one.times, x, one.volume_times)
    expected = convolve_glover(whole, stories=["a"] * len(whole), tr=TR)[3:-2]
    np.testing.assert_allclose(pieces.joined(torch.as_tensor(x)).numpy(), expected, atol=1e-10)
    assert "Glover's response" in pieces.how
    assert "z-scored" not in pieces.how


def test_delays_see_what_was_cut_and_nothing_of_another_story(rng):
    some = stories(2)
    pieces = story_pieces(some, name="s", response=(2,), zscore=False, context=60)
    x = rng.standard_normal((len(pieces.read), 2))
    before = pieces.joined(torch.as_tensor(x)).numpy()
    whole = to_volumes(some[0].times, x[: len(some[0].words)], some[0].volume_times)
    np.testing.assert_allclose(before[0], whole[1], atol=1e-10)
    assert np.abs(whole[1]).max() > 0.1
    x[: len(some[0].words)] += 5
    after = pieces.joined(torch.as_tensor(x)).numpy()
    first = np.array(pieces.stimuli.groups) == "story0"
    np.testing.assert_array_equal(after[~first], before[~first])
    assert (after[first] != before[first]).any()


def test_the_delays_stand_in_the_order_of_fir_delays(rng):
    (one,) = some = stories(1)
    pieces = story_pieces(some, name="s", response=(1, 2), zscore=False, context=50)
    x = rng.standard_normal((len(pieces.read), 3))
    whole = to_volumes(one.times, x, one.volume_times)
    expected = fir_delays(whole, stories=["a"] * len(whole), delays=(1, 2))[3:-2]
    np.testing.assert_allclose(pieces.joined(torch.as_tensor(x)).numpy(), expected, atol=1e-10)


def test_windows_end_in_their_word_are_read_once_and_volumes_have_ids():
    one = Story(
        name="a",
        words=("the", "dog", "runs", "the", "dog", "runs"),
        times=np.array([0.5, 1.0, 2.5, 7.0, 7.2, 7.4]),
        volume_times=(np.arange(12) + 0.5) * TR,
        start=1,
    )
    assert one.windows(1) == ["the", "the dog", "dog runs", "runs the", "the dog", "dog runs"]
    assert one.heard()[:5] == ["the dog", "runs", SILENT, "the dog runs", SILENT]
    pieces = story_pieces([one], name="s", context=1, response=(1,))
    assert pieces.read.inputs == ("the", "the dog", "dog runs", "runs the")
    assert pieces.stimuli.ids[:2] == ("a/0001", "a/0002")
    assert pieces.stimuli.inputs[0] == "runs"
    assert set(pieces.stimuli.groups) == {"a"}
    assert pieces.how == "4 windows of up to 2 words, lanczos to volumes, delays of 1 volumes, z-scored within story"


def benchmark(of: StimulusMapping, seed: int = 0, **changes) -> Benchmark:
    rng = np.random.default_rng(seed)
    responses = rng.standard_normal((len(of.stimuli), 3))
    assembly = Assembly(name="b", subject="s1", stimulus_ids=of.stimuli.ids, responses=responses, roi=("a", "a", "b"))
    given = {
        "name": "stories",
        "version": "1",
        "citation": "none",
        "licence": "none",
        "about": "made for tests",
        "simulated": True,
        "stimuli": of.stimuli,
        "assemblies": (assembly,),
        "metrics": (Ridge(),),
        "folds": make_folds(len(of.stimuli), n_folds=3, groups=of.stimuli.groups),
        "pieces": of,
    }
    return Benchmark(**{**given, **changes})


def test_a_benchmark_scores_features_of_windows_by_their_ids(rng):
    pieces = story_pieces(stories(4), name="s")
    b = benchmark(pieces)
    x = torch.as_tensor(rng.standard_normal((len(pieces.read), 5)), dtype=torch.float32)
    site = Site("layer", "last")
    rows = b.score(Features(stimulus_ids=pieces.read.ids, values={site: x}, refused={}))
    scored = [r for r in rows if r.kind == "alignment"]
    assert {(r.n_stimuli, r.n_features) for r in scored} == {(len(pieces.stimuli), 20)}
    back = torch.arange(len(x) - 1, -1, -1)
    ids = tuple(pieces.read.ids[i] for i in back)
    turned = b.score(Features(stimulus_ids=ids, values={site: x[back]}, refused={}))
    assert [r.value for r in turned] == [r.value for r in rows]
    with pytest.raises(AlignmentIdError, match="the features lack 1 of"):
        b.score(Features(stimulus_ids=pieces.read.ids[1:], values={site: x[1:]}, refused={}))


def test_the_baseline_is_word_rate_and_length_on_the_same_way(rng):
    some = stories(4)
    pieces = story_pieces(some, name="s", response=(1, 2))
    words = [np.array([[1.0, len(word)] for word in one.words]) for one in some]
    name, values = pieces.baseline()
    assert name == "word rate and length"
    np.testing.assert_allclose(values, slowly(some, words, (1, 2), "lanczos"), atol=1e-8)
    rows = benchmark(pieces).prepare().constants(run="", n_features=7)
    assert {r.layer for r in rows if r.kind == "baseline"} == {"word rate and length"}
    assert {r.n_features for r in rows if r.kind == "control"} == {7}
    unique = benchmark(pieces, metrics=(UniqueVariance(nuisance=pieces.nuisance()),))
    x = torch.as_tensor(rng.standard_normal((len(pieces.read), 5)))
    (row, _) = [
        r
        for r in unique.score(Features(stimulus_ids=pieces.read.ids, values={Site("l", "last"): x}, refused={}))
        if r.kind == "alignment"
    ]
    assert row.value < 0.2


def test_halves_are_of_whole_stories_and_of_their_own_pieces():
    pieces = story_pieces(stories(4), name="s")
    halves = benchmark(pieces).halves()
    for half in halves:
        assert half.pieces.stimuli.ids == half.stimuli.ids
        assert half.pieces.read is pieces.read
        x = torch.as_tensor(np.random.default_rng(1).standard_normal((len(pieces.read), 3)))
        rows = [pieces.stimuli.ids.index(i) for i in half.stimuli.ids]
        np.testing.assert_allclose(half.pieces.joined(x), pieces.joined(x)[rows], atol=1e-12)


def test_the_fingerprint_holds_windows_times_delays_and_z_scores():
    some = stories(3)
    prints = {
        story_pieces(some, name="s", **options).fingerprint()
        for options in [{}, {"context": 3}, {"how": "mean"}, {"response": (1, 2, 3, 5)}, {"zscore": False}]
    }
    assert len(prints) == 5
    pieces = story_pieces(some, name="s")
    assert story_pieces(stories(3), name="s").fingerprint() == pieces.fingerprint()
    last_digit = replace(pieces, weights=pieces.weights * (1 + 1e-15))
    assert last_digit.fingerprint() == pieces.fingerprint()
    by_hand = replace(pieces, made_of="")
    assert len({replace(by_hand, weights=by_hand.weights * w).fingerprint() for w in (1, 2)}) == 2
    assert pickle.loads(pickle.dumps(benchmark(pieces))).fingerprint() == benchmark(pieces).fingerprint()  # noqa: S301
    late = [
        Story(name=s.name, words=s.words, times=s.times + 0.1, volume_times=s.volume_times, start=3, end=2)
        for s in some
    ]
    assert benchmark(pieces).fingerprint() != benchmark(story_pieces(late, name="s")).fingerprint()


def test_the_mean_over_texts_of_a_stimulus(rng):
    stimuli = StimulusSet(name="c", modality="text", ids=("x", "y"), inputs=("x", "y"))
    pieces = StimulusMapping.mean([["one", "two"], ["two", "three", "four"]], stimuli=stimuli)
    assert pieces.read.inputs == ("one", "two", "three", "four")
    x = rng.standard_normal((4, 3))
    np.testing.assert_allclose(pieces.joined(torch.as_tensor(x)), [x[:2].mean(axis=0), x[1:].mean(axis=0)], atol=1e-12)
    with pytest.raises(DataError, match="give each of the 2 stimuli one text or more"):
        StimulusMapping.mean([["one"], []], stimuli=stimuli)


def test_pieces_that_do_not_fit_are_refused():
    pieces = story_pieces(stories(2), name="s")
    with pytest.raises(DataError, match="weights should be \\(stimuli \\* delays\\) x pieces"):
        replace(pieces, delays=3)
    with pytest.raises(DataError, match="but the surface has 1 rows"):
        replace(pieces, surface=("one", np.ones((1, 1))))
    with pytest.raises(DataError, match="z-scores are within groups"):
        replace(pieces, stimuli=replace(pieces.stimuli, groups=None))
    with pytest.raises(DataError, match="the weights hold NaN"):
        replace(pieces, weights=pieces.weights * np.nan)
    with pytest.raises(DataError, match="expected .* rows, got 2"):
        pieces.joined(torch.ones(2, 3))
    three = story_pieces(stories(3), name="s")
    with pytest.raises(DataError, match="the pieces are of other stimuli; give stimuli=pieces.stimuli"):
        benchmark(three, pieces=three.only(range(20)))


def test_stories_that_cannot_be_used_are_refused(unchecked):
    good = {"name": "a", "words": ("x", "y"), "times": np.array([1.0, 2.0]), "volume_times": np.arange(10) * TR}
    for changes, text in [
        ({"words": ("x",)}, "expected one time a word and one word or more, got 1 words and 2 times"),
        ({"words": ("x", " ")}, "1 words are empty, e.g. number 1"),
        ({"times": np.array([2.0, 1.0])}, r"that of word 1 \('y'\) does not"),
        ({"times": np.array([np.nan, 1.0])}, "should be finite and rise"),
        (
            {"times": np.array([1000.0, 2000.0])},
            "words from 1000 to 2000 s, volumes from 0 to 18 s; are they on one clock",
        ),
    ]:
        with pytest.raises(DataError, match=text):
            Story(**{**good, **changes})
    with pytest.raises(DataError, match="each with a name of its own, got \\['a', 'a'\\]"):
        story_pieces([Story(**good), Story(**good)], name="s")
    with pytest.raises(DataError, match="context is 0 words or more, stride 1 or more, got -1 and 1"):
        story_pieces([Story(**good)], name="s", context=-1)
    with pytest.raises(DataError, match="or 'glover', got 'spm'"):
        story_pieces([Story(**good)], name="s", response="spm")
    with pytest.raises(DataError, match="leaves nothing of story 'a', which has 10"):
        story_pieces([Story(**{**good, "start": 6, "end": 4})], name="s")
    with pytest.raises(DataError, match="should rise evenly"):
        story_pieces([Story(**{**good, "volume_times": np.array([0.0, 1.0, 5.0])})], name="s")
