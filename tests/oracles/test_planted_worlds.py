"""Known-answer worlds: what was planted is what the metrics find, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ontogeny import load
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.simulated.language_world import planted_language
from ontogeny.simulated.vision_world import planted_vision

WORLDS = {"planted-language": planted_language, "planted-vision": planted_vision}


def scores_of(benchmark, x: np.ndarray) -> dict[tuple[str, str], tuple[float, float]]:
    """(ROI, metric) -> (value, ceiling), mean over subjects."""
    values = {Site("latents", "none"): torch.as_tensor(x, dtype=torch.float32)}
    rows = benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values=values, refused={}))
    out: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for s in rows:
        if s.kind == "alignment":
            out.setdefault((s.roi, s.metric), []).append((s.value, s.ceiling))
    return {key: tuple(np.mean(pairs, axis=0)) for key, pairs in out.items()}


@pytest.mark.parametrize("make", WORLDS.values(), ids=WORLDS)
def test_the_stated_ceiling_is_the_correlation_of_signal_and_response(make):
    """Regression on the latents finds the signal's share of a variance (adjusted R2); its root is the ceiling."""
    world = make(seed=2)
    for assembly in world.assemblies:
        for roi, latents in world.truth.items():
            voxels = np.flatnonzero(np.asarray(assembly.roi) == roi)
            design = np.column_stack([np.ones(len(latents)), latents])
            y = assembly.responses[:, voxels]
            coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
            unexplained = ((y - design @ coefficients) ** 2).sum(axis=0) / (len(y) - rank)
            share = 1 - unexplained / y.var(axis=0, ddof=1)
            assert np.mean(share) == pytest.approx(np.mean(assembly.ceiling[voxels] ** 2), abs=0.03)


@pytest.mark.parametrize(("name", "make"), WORLDS.items(), ids=WORLDS)
def test_each_roi_is_found_by_its_own_latents_best(name, make):
    benchmark, world = load(name), make()
    assert {roi for a in benchmark.assemblies for roi in a.roi} == set(world.truth)
    found = {roi: scores_of(benchmark, latents) for roi, latents in world.truth.items()}
    for metric in {metric for _, metric in found[next(iter(found))]}:
        for roi in world.truth:
            own = found[roi][roi, metric][0]
            others = [found[other][roi, metric][0] for other in world.truth if other != roi]
            assert own > max(others) + 0.05, (metric, roi)


def test_ridge_on_the_latents_reaches_the_planted_ceiling():
    benchmark, world = load("planted-language"), planted_language()
    for roi, latents in world.truth.items():
        value, ceiling = scores_of(benchmark, latents)[roi, "ridge-gcv"]
        assert 0.94 * ceiling < value <= ceiling


def test_surface_says_nothing_about_meaning_and_meaning_nothing_about_surface():
    benchmark, world = load("planted-language"), planted_language()
    assert abs(scores_of(benchmark, world.truth["surface form"])["meaning", "ridge-gcv"][0]) < 0.06
    assert abs(scores_of(benchmark, world.truth["meaning"])["surface form", "ridge-gcv"][0]) < 0.06


def test_a_bag_of_tokens_predicts_meaning_only_where_folds_share_words():
    """Why the folds of this world are grouped by word: an untrained reader would be credited with meaning otherwise."""
    world = planted_language()
    texts = [text.split() for text in world.stimuli.inputs]
    words = sorted({word for text in texts for word in text})
    x = torch.as_tensor([[float(word in text) for word in words] for text in texts])
    # Mixed, as in voxels: a kind by itself is absent from some of the grouped folds, where no correlation is defined.
    y = world.truth["meaning"] @ np.random.default_rng(0).standard_normal((6, 6))
    n = len(texts)
    shuffled = ridge_cv(x, y, folds=make_folds(n, seed=0)).mean()
    grouped = ridge_cv(x, y, folds=make_folds(n, groups=world.stimuli.groups, seed=0)).mean()
    assert shuffled > 0.6
    assert grouped < 0.1


def test_pixels_say_nothing_about_the_category():
    benchmark = load("planted-vision")
    rows = [s for s in benchmark.prepare().constants(run="", n_features=32) if s.kind == "baseline"]
    for metric in {s.metric for s in rows}:
        values = [s.value for s in rows if s.metric == metric and s.roi == "category"]
        assert abs(np.mean(values)) < 0.03
