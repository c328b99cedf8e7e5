"""Real data: human IT's geometry against numbers computed apart with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Geometry
from ontogeny.datasets import find_source, is_here, load
from ontogeny.datasets.data_paths import check_file, find_file, locate
from ontogeny.datasets.readers.kriegeskorte import read_monkey, read_sessions
from ontogeny.metrics import LayerGeometry

SOURCE = find_source("kriegeskorte2008")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not is_here(SOURCE), reason="kriegeskorte2008 is not on this machine (set ONTOGENY_DATA)"),
]
UPPER = np.triu_indices(92, 1)


@pytest.fixture(scope="module")
def human() -> Benchmark:
    return load("kriegeskorte2008")


@pytest.fixture(scope="module")
def pairs(human: Benchmark) -> np.ndarray:
    return np.stack([a.rdm[UPPER] for a in human.assemblies if isinstance(a, Geometry)])


def rho(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b)[0])


def against(model: np.ndarray, pairs: np.ndarray) -> tuple[float, float]:
    """Mean over subjects, and with the group RDM."""
    return float(np.mean([rho(model, p) for p in pairs])), rho(model, pairs.mean(axis=0))


def test_the_files_are_the_pinned_ones() -> None:
    for file in SOURCE.files:
        path = locate(file)
        assert path is not None
        check_file(path, file)


def test_four_subjects_and_92_photographs_with_stable_ids(human: Benchmark) -> None:
    assert [a.subject for a in human.assemblies] == ["BE", "KO", "SN", "TI"]
    assert human.stimuli.ids[0] == "image-01"
    assert human.stimuli.ids[-1] == "image-92"
    assert human.stimuli.inputs[0].shape == (175, 175, 3)
    assert human.stimuli.groups is not None
    assert len(set(human.stimuli.groups)) == 6


def test_sessions_agree_as_little_as_published() -> None:
    sessions = read_sessions(find_file(SOURCE, "92_brainRDMs.mat")).values()
    assert [rho(s[0][UPPER], s[1][UPPER]) for s in sessions] == pytest.approx([0.28, 0.10, 0.38, 0.12], abs=0.006)


def test_ceilings_leave_one_subject_out_and_group_mean(human: Benchmark, pairs: np.ndarray) -> None:
    lower = [rho(p, np.delete(pairs, i, axis=0).mean(axis=0)) for i, p in enumerate(pairs)]
    upper = [rho(p, pairs.mean(axis=0)) for p in pairs]
    assert np.mean(lower) == pytest.approx(0.377, abs=0.015)
    assert np.mean(upper) == pytest.approx(0.672, abs=0.015)
    prepared = human.metrics[0].prepare(human.prepare().targets, human.folds)
    values = prepared.score(LayerGeometry(torch.randn(92, 5)))
    bounds = np.array([(v.ceiling_lower, v.ceiling) for v in values])
    assert bounds.mean(axis=0) == pytest.approx([0.377, 0.672], abs=0.01)


def test_animacy_and_pixels_correlate_as_known(human: Benchmark, pairs: np.ndarray) -> None:
    animate = np.array([not g.endswith("inanimate") for g in human.stimuli.groups or ()])
    assert against((animate[:, None] != animate[None, :])[UPPER], pairs) == pytest.approx((0.39, 0.59), abs=0.006)
    pixels = np.stack([np.asarray(i, dtype=np.float64).ravel() for i in human.stimuli.inputs])
    assert against((1 - np.corrcoef(pixels))[UPPER], pairs) == pytest.approx((0.08, 0.11), abs=0.006)


def test_monkey_is_one_more_subject_under_another_name(pairs: np.ndarray) -> None:
    both = load("kriegeskorte2008", monkey=True)
    assert both.name == "kriegeskorte2008-monkey"
    assert [getattr(a, "roi", None) for a in both.assemblies] == ["human IT"] * 4 + ["monkey IT"]
    monkey = read_monkey(find_file(SOURCE, "Kriegeskorte_Neuron2008_supplementalData.mat"))
    assert against(monkey[UPPER], pairs) == pytest.approx((0.30, 0.44), abs=0.006)
