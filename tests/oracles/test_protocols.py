"""Protocols of published studies, against the numbers of their own code on the same arrays; and against scikit-learn.

The constants were printed by the studies' code, run by hand: brainscore_vision 2.4.2 (metric "pls") and
brainscore_language 2.3.0 (metrics "linear_pearsonr" and "ridge_pearsonr") with brainscore_core 2.5.0, scikit-learn
1.6.1 and numpy 1.26.4; DeepNSD's ridge_gcv_mod.py (commit fc461d0) with scikit-learn 1.3.2; Algonauts 2023's scripts
02_train_encoding.py and 03_test_encoding.py, and of 01_extract_image_features.py all from the z-scores on (commit
e736cf4), on these arrays as its files, with scikit-learn 1.9.1. himalaya's is in test_banded_ridge.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

import ontogeny
from ontogeny import Features, StimulusSet
from ontogeny.benchmarks.protocols import PROTOCOLS, protocol
from ontogeny.brain import Target
from ontogeny.errors import ConfigError
from ontogeny.extraction.features import Site
from ontogeny.metrics import Encoding, LayerGeometry, make_folds

pytestmark = pytest.mark.oracle

VISION, VISION_STRATIFIED = 0.42572258960567877, 0.35795259139293123
LINEAR, RIDGE, RIDGE_BY_STORY = 0.3685483998287306, 0.3451463372395788, 0.3788514472331056
ALGONAUTS = 0.5581332511018814
DEEPNSD = 0.31489093207046814
STORIES = tuple(f"t{i // 5:02d}" for i in range(60))


def world(n=60, d=40, voxels=12):
    rng = np.random.default_rng(20180407)
    x = rng.standard_normal((n, d)) * 3 + 1
    return x, x[:, :3] @ rng.standard_normal((3, voxels)) + 6 * rng.standard_normal((n, voxels))


def stimuli(modality, n=60, groups=None):
    ids = tuple(f"s{i:03d}" for i in range(n))
    inputs = [f"text {i}" for i in range(n)] if modality == "text" else np.zeros((n, 4, 4, 3), dtype=np.uint8)
    return StimulusSet(name="world", modality=modality, ids=ids, inputs=list(inputs), groups=groups)


def scored(metric, x, y, about, **options):
    target = Target(subject="s", roi="IT", responses=y, n_voxels=y.shape[1], **options)
    prepared = metric.about(about).prepare([target], make_folds(len(x)))
    return prepared.score(LayerGeometry(torch.as_tensor(x)))[0]


def test_brainscore_vision_is_the_number_of_its_own_code():
    shown = stimuli("image")
    (metric,) = protocol("brainscore-vision", shown).metrics
    assert scored(metric, *world(), shown).value == pytest.approx(VISION, abs=1e-6)


def test_brainscore_vision_with_object_names_is_the_number_of_its_own_code():
    x, y = world()
    names = [f"o{i % 4}" for i in range(60)]
    balanced = make_folds(60, cv=StratifiedShuffleSplit(10, train_size=0.9, random_state=1), strata=names)
    metric = Encoding(PLSRegression(n_components=25, scale=False), over_voxels="fold-median", cv=balanced)
    assert scored(metric, x, y, stimuli("image")).value == pytest.approx(VISION_STRATIFIED, abs=1e-6)


@pytest.mark.parametrize(("groups", "ridge"), [(None, RIDGE), (STORIES, RIDGE_BY_STORY)], ids=["sentences", "stories"])
def test_brainscore_language_is_the_number_of_its_own_code(groups, ridge):
    read = stimuli("text", groups=groups)
    metrics = protocol("brainscore-language", read).metrics
    found = [scored(metric, *world(), read).value for metric in metrics]
    assert found == pytest.approx([LINEAR, ridge], abs=1e-6)


def test_a_median_in_each_fold_is_not_the_median_of_the_means():
    x, y = world()
    cv = ShuffleSplit(10, train_size=0.9, random_state=1)
    r = np.array(
        [
            [pearsonr(p, t)[0] for p, t in zip(LinearRegression().fit(x[a], y[a]).predict(x[b]).T, y[b].T, strict=True)]
            for a, b in cv.split(x)
        ]
    )
    ways = {"mean": r.mean(), "median": np.median(r.mean(axis=0)), "fold-median": np.median(r, axis=1).mean()}
    assert len({round(value, 3) for value in ways.values()}) == 3
    for over, expected in ways.items():
        metric = Encoding(LinearRegression(), over_voxels=over, cv=cv)
        found = scored(metric, x, y, stimuli("image"), ceiling=np.linspace(0.1, 0.9, 12) ** 2)
        assert found.value == pytest.approx(expected, abs=1e-9)
        summary = np.mean if over == "mean" else np.median
        assert found.ceiling == pytest.approx(summary(np.linspace(0.1, 0.9, 12) ** 2))
        assert metric(x, y).per_voxel == pytest.approx(r.mean(axis=0), abs=1e-9)


def test_algonauts2023_is_the_number_of_its_own_code_and_its_formula_on_one_split():
    """As the challenge scores: r below 0 is 0, squared, over the noise ceiling, not above 1, mean over vertices."""
    x, y = world(n=240, d=150)
    ceiling = np.linspace(0.05, 0.9, 12)
    a, b = np.arange(180), np.arange(180, 240)
    scaler = StandardScaler().fit(x[a])
    reduced = PCA(100, random_state=20200220).fit(scaler.transform(x[a]))
    left, right = (reduced.transform(scaler.transform(x[rows])) for rows in (a, b))
    predicted = np.stack([LinearRegression().fit(left, v).predict(right) for v in y[a].T], axis=1)
    r = np.array([pearsonr(p, t)[0] for p, t in zip(predicted.T, y[b].T, strict=True)])
    expected = np.minimum(np.maximum(r, 0) ** 2 / ceiling**2, 1).mean()
    (metric,) = protocol("algonauts2023", stimuli("image", n=240)).metrics
    split = Encoding(metric.estimator, score=metric.score, cv=[(a, b)])
    found = scored(split, x, y, stimuli("image", n=240), ceiling=ceiling).value
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(ALGONAUTS, abs=1e-6)
    assert 0.1 < expected < 0.9


@pytest.mark.filterwarnings("ignore:The number of components is higher")
def test_deepnsd_is_the_number_of_its_own_code_and_its_steps_by_hand():
    """Penalties by the Pearson r of leave-one-out predictions, which are made here by leaving stimuli out."""
    n, alphas = 40, np.logspace(-1, 5, 7) * 20
    x, y = world(n=n, d=60, voxels=5)
    a, b = np.arange(0, n, 2), np.arange(1, n, 2)
    size = int(johnson_lindenstrauss_min_dim(n, eps=0.1))
    projected = SparseRandomProjection(size, random_state=0).fit_transform(x)
    scaler = StandardScaler().fit(projected[a])
    left, right = scaler.transform(projected[a]), scaler.transform(projected[b])
    r = []
    for voxel in y.T:
        rated = []
        for alpha in alphas:
            out = [
                Ridge(alpha).fit(np.delete(left, i, 0), np.delete(voxel[a], i)).predict(left[i : i + 1])[0]
                for i in range(len(a))
            ]
            rated.append(pearsonr(out, voxel[a])[0])
        best = Ridge(alphas[int(np.argmax(rated))]).fit(left, voxel[a])
        r.append(pearsonr(best.predict(right), voxel[b])[0])
    (metric,) = protocol("deepnsd", stimuli("image", n=n)).metrics
    found = scored(metric, x, y, stimuli("image", n=n)).value
    assert found == pytest.approx(np.mean(r), abs=1e-6)
    assert found == pytest.approx(DEEPNSD, abs=1e-6)


def test_brainscore_vision_scores_layers_and_controls_where_there_is_nothing_to_find():
    benchmark = ontogeny.load("planted-vision")
    made = replace(benchmark, metrics=protocol("brainscore-vision", benchmark.stimuli).metrics)
    made = replace(made, assemblies=made.assemblies[:1])
    noise = torch.as_tensor(
        np.random.default_rng(0).standard_normal((len(benchmark.stimuli), 300)), dtype=torch.float32
    )
    probed = Features(stimulus_ids=benchmark.stimuli.ids, values={Site("0", "flatten"): noise}, refused={})
    strict = replace(made, metrics=(replace(made.metrics[0], unconverged="refuse"),))
    assert "ConvergenceWarning" in next(
        r.note for r in strict.prepare(permutations=1).score(probed) if r.kind == "refusal"
    )
    rows = made.prepare(permutations=1).score(probed)
    assert not [row for row in rows if row.kind == "refusal"]
    assert {row.kind for row in rows} == {"alignment", "confound", "control"}


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name not in ("shen2026", "himalaya-banded")])
def test_a_protocol_is_for_one_modality(name):
    other = "image" if name == "brainscore-language" else "text"
    with pytest.raises(ConfigError, match=rf"protocol '{name}' is for (image|text)s, but 'world' is of {other}s"):
        protocol(name, stimuli(other))
