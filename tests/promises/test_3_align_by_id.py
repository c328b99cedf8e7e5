"""Promise 3: responses are matched to stimuli by id, never by order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ontogeny import Assembly, Benchmark, Features, StimulusSet
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.extraction.features import Site


def shuffled(assembly, order):
    if isinstance(assembly, Assembly):
        responses = assembly.responses[order]
        return replace(assembly, stimulus_ids=tuple(np.array(assembly.stimulus_ids)[order]), responses=responses)
    ids = tuple(np.array(assembly.stimulus_ids)[order])
    return replace(assembly, stimulus_ids=ids, rdm=assembly.rdm[np.ix_(order, order)])


def features_of(benchmark, rng, order=None):
    x = torch.as_tensor(rng.standard_normal((len(benchmark.stimuli), 7)), dtype=torch.float32)
    ids = benchmark.stimuli.ids
    if order is not None:
        x, ids = x[torch.as_tensor(order)], tuple(np.array(ids)[order])
    return Features(stimulus_ids=ids, values={Site("l", "last"): x}, refused={})


@pytest.mark.parametrize("which", ["text_benchmark", "image_benchmark"])
def test_alignment_follows_ids_not_order(which, request, rng):
    benchmark: Benchmark = request.getfixturevalue(which)
    order = rng.permutation(len(benchmark.stimuli))
    moved = replace(benchmark, assemblies=tuple(shuffled(a, order) for a in benchmark.assemblies))
    features = features_of(benchmark, np.random.default_rng(1))
    expected = [s.value for s in benchmark.score(features)]
    assert [s.value for s in moved.score(features)] == pytest.approx(expected, abs=1e-12)
    reordered = features_of(benchmark, np.random.default_rng(1), order=order)
    assert [s.value for s in benchmark.score(reordered)] == pytest.approx(expected, abs=1e-12)


def test_responses_in_the_wrong_order_under_the_right_ids_change_the_score(text_benchmark, rng):
    assembly = text_benchmark.assemblies[0]
    order = rng.permutation(len(text_benchmark.stimuli))
    wrong = replace(text_benchmark, assemblies=(replace(assembly, responses=assembly.responses[order]),))
    features = features_of(text_benchmark, np.random.default_rng(1))
    theirs, ours = (next(s for s in b.score(features) if s.kind == "alignment") for b in (wrong, text_benchmark))
    assert theirs.value != pytest.approx(ours.value, abs=1e-3)


def test_extra_responses_are_left_out(text_benchmark, rng):
    assembly = text_benchmark.assemblies[0]
    extra = replace(
        assembly,
        stimulus_ids=("other", *assembly.stimulus_ids),
        responses=np.concatenate([rng.standard_normal((1, 6)), assembly.responses]),
    )
    features = features_of(text_benchmark, np.random.default_rng(1))
    got = replace(text_benchmark, assemblies=(extra,)).score(features)
    assert [s.value for s in got] == [s.value for s in text_benchmark.score(features)]


def test_a_stimulus_without_a_response_is_refused_by_name(text_benchmark):
    assembly = text_benchmark.assemblies[0]
    short = replace(assembly, stimulus_ids=assembly.stimulus_ids[1:], responses=assembly.responses[1:])
    with pytest.raises(AlignmentIdError, match=r"no response to 1 of 40 stimuli, e.g. \['s00'\]"):
        replace(text_benchmark, assemblies=(short,))


def test_features_of_other_stimuli_are_refused(text_benchmark):
    ids = tuple(f"x{i}" for i in range(40))
    features = Features(stimulus_ids=ids, values={Site("l", "last"): torch.rand(40, 3)}, refused={})
    with pytest.raises(AlignmentIdError, match="lack 40 of 40 stimuli"):
        text_benchmark.score(features)


def test_doubled_ids_are_refused():
    with pytest.raises(AlignmentIdError, match=r"appear more than once, e.g. \['a'\]"):
        StimulusSet(name="s", modality="text", ids=("a", "b", "a"), inputs=["x", "y", "z"])
    with pytest.raises(AlignmentIdError, match="appear more than once"):
        Assembly(name="n", subject="s", stimulus_ids=("a", "a"), responses=np.eye(2), roi=("r", "r"))


def test_a_benchmark_of_three_stimuli_is_refused(text_benchmark):
    stimuli = text_benchmark.stimuli
    few = StimulusSet(name="s", modality="text", ids=stimuli.ids[:3], inputs=stimuli.inputs[:3])
    with pytest.raises(DataError, match="has 3 stimuli; metrics mean nothing below 10"):
        replace(text_benchmark, stimuli=few)
