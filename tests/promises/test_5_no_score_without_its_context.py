"""Promise 5: every score carries ceiling, chance, counts, fingerprint and weights hash; the curve moves only when the
model moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer, transform

from ontogeny import watch
from ontogeny.extraction.weights import weights_hash
from ontogeny.metrics import make_folds


def text_monitor(benchmark, folder, **options):
    return watch(benchmark, record=folder, tokenizer=tokenizer, pooling=["last", "mean"], schedule="every:1", **options)


def test_every_score_has_its_context(text_benchmark, tmp_path):
    model = tiny_gpt()
    scores = text_monitor(text_benchmark, tmp_path / "r")(model, 0)
    for s in scores:
        if s.kind in ("alignment", "baseline"):
            assert s.ceiling == pytest.approx(0.8)
            assert s.chance == 0
            assert (s.n_stimuli, s.n_voxels) == (40, 3)
            assert s.n_features > 0
            assert s.unit == "Pearson r"
            assert s.fingerprint == text_benchmark.fingerprint()
        if s.kind in ("alignment", "confound", "task", "refusal"):
            assert s.weights == weights_hash(model)


def test_controls_and_baseline_stand_beside_the_scores(text_benchmark, tmp_path):
    monitor = text_monitor(text_benchmark, tmp_path / "r")
    model = tiny_gpt()
    monitor(model, 0)
    model.transformer.wte.weight.data.mul_(2)
    monitor(model, 1)
    layers = {(s.kind, s.layer, s.step) for s in monitor.record.scores if s.kind in ("baseline", "control")}
    assert ("baseline", "length and punctuation", 0) in layers
    assert ("control", "random features", 0) in layers
    assert ("control", "permuted stimuli", 1) in layers
    assert not any(kind == "baseline" and step == 1 for kind, _, step in layers)


def test_the_same_weights_give_the_same_scores_to_the_bit(image_benchmark, tmp_path):
    model = TinyCNN()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    first, second = monitor(model, 0), monitor(model, 1)
    values = [[s.value for s in scores if s.kind in ("alignment", "confound")] for scores in (first, second)]
    assert values[0] == values[1]


def test_ceilings_of_a_geometry_come_from_the_other_subjects(image_benchmark, tmp_path):
    scores = watch(image_benchmark, record=tmp_path / "r", transform=transform)(TinyCNN(), 0)
    for s in scores:
        if s.kind == "alignment":
            assert s.ceiling_lower < s.ceiling <= 1


@pytest.mark.parametrize("change", ["responses", "folds", "stimuli", "metrics", "version"])
def test_the_fingerprint_changes_with_all_that_scores_depend_on(text_benchmark, change):
    from ontogeny.metrics import Ridge

    b = text_benchmark
    a = b.assemblies[0]
    changed = {
        "responses": lambda: replace(b, assemblies=(replace(a, responses=a.responses + np.eye(40, 6)),)),
        "folds": lambda: replace(b, folds=make_folds(40, seed=1)),
        "stimuli": lambda: replace(b, stimuli=replace(b.stimuli, inputs=["a dog", *b.stimuli.inputs[1:]])),
        "metrics": lambda: replace(b, metrics=(Ridge(rule="loo"),)),
        "version": lambda: replace(b, version="2"),
    }[change]()
    assert changed.fingerprint() != b.fingerprint()
    assert replace(b).fingerprint() == b.fingerprint()


def test_the_weights_hash_sees_weights_and_not_wrappers():
    model = TinyCNN()
    before = weights_hash(model)
    assert weights_hash(torch.compile(model)) == before
    assert weights_hash(torch.nn.DataParallel(model)) == before
    model.head.bias.data[0] += 1e-7
    assert weights_hash(model) != before
