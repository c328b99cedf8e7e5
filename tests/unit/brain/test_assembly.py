"""Stimuli, assemblies, geometries, folds: what is refused, and how it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny import Assembly, Geometry, StimulusSet
from ontogeny.brain import targets
from ontogeny.brain.assembly import usable_voxels
from ontogeny.errors import AlignmentIdError, DataError, MetricError
from ontogeny.metrics import make_folds
from ontogeny.stimuli import nuisance_features, surface_features

IDS = ("a", "b", "c", "d")


def assembly(responses, **other):
    n_voxels = responses.shape[1] if responses.ndim == 2 else 1
    given_ = {"name": "n", "subject": "s", "stimulus_ids": IDS, "roi": ("r",) * n_voxels}
    return Assembly(**{**given_, "responses": responses, **other})


@pytest.mark.parametrize(
    ("responses", "other", "message"),
    [
        (np.full((4, 2), np.nan), {}, "2 of 2 voxels hold NaN or are constant over stimuli, e.g. voxel 0"),
        (np.array([[1.0, 1], [1, 2], [1, 3], [1, 4]]), {}, "1 of 2 voxels hold NaN or are constant"),
        (np.random.default_rng(0).random((3, 2)), {}, r"stimuli x voxels = 4 x 2 \(ids x ROI labels\), got \(3, 2\)"),
        (np.arange(8).reshape(4, 2), {}, "responses should be floats, got int64"),
        (np.zeros((4, 0)), {}, "no voxel at all; the ROI is empty"),
        (np.random.default_rng(0).random((4, 2)), {"ceiling": np.ones(3)}, "2 voxels but 3 ceilings"),
    ],
)
def test_responses_that_cannot_be_used(responses, other, message, unchecked):
    with pytest.raises(DataError, match=message):
        assembly(responses, **other)


def test_usable_voxels_finds_nan_and_constant_ones():
    responses = np.random.default_rng(0).random((6, 4))
    responses[2, 1] = np.inf
    responses[:, 3] = 2.0
    assert usable_voxels(responses).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("rdm", "message"),
    [
        (np.zeros((3, 3)), "should be 4 x 4"),
        (np.full((4, 4), np.nan), "the RDM holds NaN"),
        (np.triu(np.ones((4, 4)), 1), "symmetric with a zero diagonal"),
        (1 - np.eye(4), "all dissimilarities are equal"),
    ],
)
def test_dissimilarities_that_cannot_be_used(rdm, message):
    with pytest.raises(DataError, match=message):
        Geometry(name="n", subject="s", roi="r", stimulus_ids=IDS, rdm=rdm)


def test_targets_are_one_roi_of_one_subject_each():
    responses = np.random.default_rng(0).random((4, 5))
    cut = targets([assembly(responses, roi=("x", "y", "x", "y", "y"), ceiling=np.arange(5.0))], ("c", "a"))
    assert [(t.roi, t.n_voxels) for t in cut] == [("x", 2), ("y", 3)]
    np.testing.assert_array_equal(cut[0].responses, responses[[2, 0]][:, [0, 2]])
    np.testing.assert_array_equal(cut[1].ceiling, [1, 3, 4])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"inputs": ["x"]}, DataError, "4 ids but 1 inputs"),
        ({"groups": ("g",)}, DataError, "4 ids but 1 groups"),
        ({"inputs": ["x", "", "y", "z"]}, DataError, "stimulus 'b' should be a non-empty string, got ''"),
        ({"ids": (), "inputs": []}, AlignmentIdError, "expected at least one stimulus id"),
        ({"modality": "sound"}, DataError, "modality is 'text' or 'image', got 'sound'"),
    ],
)
def test_stimuli_that_cannot_be_used(change, error, message, unchecked):
    with pytest.raises(error, match=message):
        StimulusSet(**{"name": "s", "modality": "text", "ids": IDS, "inputs": list("wxyz"), **change})


def test_surface_features_are_what_they_say():
    texts = StimulusSet(name="s", modality="text", ids=("a",), inputs=["Well, he said: 'No 42!'"])
    name, x = surface_features(texts)
    assert name == "length and punctuation"
    assert x.tolist() == [[23, 5, 1, 2, 2, 2, 2, np.mean([4, 2, 4, 2, 2]), 4]]
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[:2, :2] = 255
    name, x = surface_features(StimulusSet(name="s", modality="image", ids=("a",), inputs=[image]))
    assert (name, x.shape) == ("pixels", (1, 192))
    assert x[0, :3].tolist() == [1, 1, 1]
    assert x[0, 3:].sum() == 0


def test_nuisance_features_add_contrast_to_images_and_place_where_order_matters():
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[0, :2] = 255
    images = StimulusSet(name="s", modality="image", ids=("a", "b"), inputs=[image, 255 - image])
    x = nuisance_features(images)
    assert x.shape == (2, 192 + 64)
    np.testing.assert_array_equal(x[:, :192], surface_features(images)[1])
    np.testing.assert_allclose(x[:, 192:194], [[0.5, 0], [0.5, 0]])
    texts = StimulusSet(name="s", modality="text", ids=("a", "b", "c"), inputs=["one", "two", "a b c"])
    np.testing.assert_array_equal(nuisance_features(texts), surface_features(texts)[1])
    story = nuisance_features(replace(texts, contiguous=True))
    np.testing.assert_array_equal(story[:, 9:], [[-1, 1], [0, 0], [1, 1]])


@given(
    groups=st.lists(st.sampled_from("abcdefghij"), min_size=12, max_size=60).filter(lambda g: len(set(g)) >= 4),
    seed=st.integers(0, 3),
)
def test_groups_are_never_split_and_every_stimulus_is_held_out_once(groups, seed):
    folds = make_folds(len(groups), n_folds=4, groups=groups, seed=seed)
    assert len(folds) == 4
    held = np.concatenate([test for _, test in folds])
    assert sorted(held) == list(range(len(groups)))
    for train, test in folds:
        assert not {groups[i] for i in train} & {groups[i] for i in test}


def test_contiguous_folds_are_blocks_in_order():
    folds = make_folds(11, n_folds=3, contiguous=True)
    assert folds.held_out == (0,) * 4 + (1,) * 4 + (2,) * 3
    assert folds.how == "3 contiguous folds"


def test_folds_are_the_same_every_time_and_differ_by_seed():
    assert make_folds(30) == make_folds(30)
    assert make_folds(30).held_out != make_folds(30, seed=1).held_out


@pytest.mark.parametrize(("n", "groups"), [(9, None), (30, ["a", "b"] * 15)])
def test_too_few_stimuli_or_groups_for_the_folds(n, groups):
    with pytest.raises(MetricError, match="5 folds need at least 5"):
        make_folds(n, groups=groups)


def test_a_roi_of_one_subject_in_two_assemblies_is_refused(text_benchmark):
    """Else both have rows of one key, of which a record keeps the first."""
    twice = (*text_benchmark.assemblies, replace(text_benchmark.assemblies[0], name="again"))
    with pytest.raises(DataError, match=r"has 'left' of subject 's1', 'right' of subject 's1' twice, .* one assembly"):
        replace(text_benchmark, assemblies=twice)
