"""What grows with the square of the stimuli is refused before it is there, with the bytes that it needs."""

from __future__ import annotations

import os
import re
import resource
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.processes import run_python

from ontogeny import _memory as memory
from ontogeny.benchmarks import Benchmark
from ontogeny.benchmarks.diagnostics.split_leakage import split_leak
from ontogeny.brain import Assembly, Geometry, Target
from ontogeny.errors import TooLargeError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import CCA, CKA, CKNNA, RSA, CycleKNN, LayerGeometry, MutualKNN, Procrustes, Ridge, make_folds
from ontogeny.metrics.neighbors import mutual_knn
from ontogeny.metrics.rsa import rdm
from ontogeny.monitoring.preflight import describe_benchmark
from ontogeny.stimuli import StimulusSet, position_features

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is planted by Linux' address space")
MIB = 2**20
N = 3000  # one stimuli x stimuli matrix is 69 MiB


def status(key: str) -> int:
    """Bytes that the system counts for this process."""
    return int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024


@contextmanager
def left(n_bytes: int):
    """So much more may be allocated, and not a byte beyond it: the system itself refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def responses(n: int, columns: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, columns))


def targets(n: int, subjects: int = 1, columns: int = 4) -> list[Target]:
    return [
        Target(subject=f"s{i}", roi="V1", responses=responses(n, columns), n_voxels=columns) for i in range(subjects)
    ]


def benchmark(n: int, *metrics) -> Benchmark:
    ids = tuple(f"s{i:06d}" for i in range(n))
    stimuli = StimulusSet(name="many", modality="text", ids=ids, inputs=[f"sentence {i}." for i in range(n)])
    assembly = Assembly(name="a", subject="s", stimulus_ids=ids, responses=responses(n), roi=("V1",) * 4)
    words = {"name": "many", "version": "1", "citation": "c", "licence": "l", "about": "a", "simulated": True}
    return Benchmark(**words, stimuli=stimuli, assemblies=(assembly,), metrics=metrics, folds=make_folds(n, n_folds=5))


WHOLE = [(RSA(comparison="whitened-pearson"), 1), (CKA(kind="rbf"), 1), (CCA(), 1)]
WHOLE += [(RSA(), 2), (MutualKNN(), 2), (CycleKNN(), 2), (CKNNA(), 2)]
"""Metrics, and how many subjects have one ROI, that need all pairs of stimuli at once."""


@pytest.mark.parametrize(("metric", "subjects"), WHOLE, ids=lambda m: getattr(m, "name", str(m)))
def test_a_metric_of_all_pairs_is_refused_before_training_with_the_bytes_that_it_needs(metric, subjects):
    n = 73_000
    given = targets(n, subjects)
    with left(500 * MIB), pytest.raises(TooLargeError, match=r"[\d.]+ GiB of memory, and 0\.\d GiB") as refused:
        metric.prepare(given, make_folds(n, n_folds=5))
    said = str(refused.value)
    assert metric.name in said
    assert "73,000 stimuli" in said
    assert "Ridge" in said
    assert float(re.search(r"needs ([\d.]+) GiB", said).group(1)) > memory.square(n) / 2**30


def test_subjects_of_one_region_count_for_its_ceilings():
    needed = []
    for subjects in (2, 6):
        with left(200 * MIB), pytest.raises(TooLargeError) as refused:
            MutualKNN().prepare(targets(8000, subjects), make_folds(8000, n_folds=5))
        needed.append(float(re.search(r"needs ([\d.]+) GiB", str(refused.value)).group(1)))
    assert needed[1] > 2 * needed[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda view: view.gram,
        lambda view: view.inner,
        lambda view: view.squared_distances,
        lambda view: view.correlations,
        lambda view: view.cosines,
        lambda view: rdm(view.x),
        lambda view: mutual_knn(view.x, view.x),
        lambda view: Procrustes(permutations=1).prepare(targets(N, 2), make_folds(N, n_folds=2)),
        lambda view: Ridge(local_alpha=False).prepare(targets(N, 1, N + 1), make_folds(N, n_folds=2)),
        lambda view: Ridge().prepare(targets(N), make_folds(N, n_folds=5)).score(LayerGeometry(torch.randn(N, N))),
        lambda view: position_features(benchmark(N, Ridge()).stimuli),
        lambda view: split_leak(benchmark(N, Ridge()).stimuli, targets(N), make_folds(N, n_folds=5)),
    ],
    ids=[
        "gram",
        "inner",
        "distances",
        "correlations",
        "cosines",
        "rdm",
        "mutual-knn",
        "procrustes",
        "ridge-roi",
        "ridge-wide",
        "oasm",
        "leak",
    ],
)
def test_each_array_of_all_pairs_asks_first(call):
    view = LayerGeometry(torch.randn(N, 8, generator=torch.Generator().manual_seed(0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "available", lambda: 0.0)
        with pytest.raises(TooLargeError, match=f"{N:,} stimuli"):
            call(view)


def test_permuted_copies_and_reordered_geometries_count():
    made = benchmark(N, Ridge())
    many = replace(made.assemblies[0], responses=responses(N, 4000), roi=("V1",) * 4000)
    wide = replace(made, assemblies=(many,), metrics=(CCA(),))
    square = np.ones((N, N)) - np.eye(N)
    square[0, 1] = square[1, 0] = 2
    geometry = Geometry(name="g", subject="s", roi="V1", stimulus_ids=made.stimuli.ids, rdm=square)
    with left(60 * MIB):
        assert geometry.align(made.stimuli.ids) is geometry
        with pytest.raises(TooLargeError, match="in another order needs"):
            geometry.align(made.stimuli.ids[::-1])
    with left(200 * MIB), pytest.raises(TooLargeError, match="5 permuted copies of the responses needs"):
        wide.prepare(permutations=5)


def test_ridge_scores_many_stimuli_where_no_matrix_of_all_pairs_fits():
    n = 12_000  # of all pairs: 1.1 GiB
    made = benchmark(n, Ridge())
    features = Features(stimulus_ids=made.stimuli.ids, values={Site("a", "mean"): torch.randn(n, 8)}, refused={})
    prepared = made.prepare(permutations=1)
    with left(300 * MIB):
        rows = prepared.score(features)
    kinds = {row.metric: row.kind for row in rows if row.kind != "control"}
    assert kinds == {
        "ridge-gcv": "alignment",
        "participation ratio": "confound",
        "intrinsic dimension": "confound",
        "feature norm": "confound",
    }


def test_dimensions_of_many_stimuli_are_those_of_the_whole_and_of_some_of_them():
    n = 6000
    made = benchmark(n, Ridge())
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(3, 8)
    found = made.score(Features(stimulus_ids=made.stimuli.ids, values={Site("a", "mean"): x}, refused={}))
    rows = {row.metric: row for row in found}
    centred = (x - x.mean(dim=0)).double()
    power = torch.linalg.svdvals(centred) ** 2
    assert rows["participation ratio"].value == pytest.approx(float(power.sum() ** 2 / (power**2).sum()), rel=1e-5)
    assert rows["intrinsic dimension"].value == pytest.approx(3, abs=0.3)
    assert rows["intrinsic dimension"].n_stimuli == 2000
    assert rows["ridge-gcv"].n_stimuli == n


def test_the_doctor_says_what_it_could_not_examine():
    prepared = benchmark(N, Ridge()).prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "available", lambda: 10 * MIB)
        lines = describe_benchmark(prepared)
    assert [line for line in lines if "not examined: the split leak of 3,000 stimuli needs" in line]
    assert [line for line in lines if line.startswith("  ROI        V1")]


def test_one_layer_without_memory_or_structure_costs_its_own_values_alone():
    made = benchmark(40, RSA(), Ridge())
    values = {Site("same", "mean"): torch.eye(40), Site("good", "mean"): torch.randn(40, 6)}
    rows = made.score(Features(stimulus_ids=made.stimuli.ids, values=values, refused={}))
    kinds = {(row.layer, row.metric): row.kind for row in rows if row.metric[:3] in ("rsa", "rid")}
    assert kinds == {
        ("same", "rsa-correlation-spearman"): "refusal",
        ("same", "ridge-gcv"): "alignment",
        ("good", "rsa-correlation-spearman"): "alignment",
        ("good", "ridge-gcv"): "alignment",
    }


MEASURED = """
from tests.unit.test_memory import *
given, asked = targets(2400, 2), []
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
        "ontogeny.metrics.memory_limits.require_memory", lambda n_bytes, what, instead: asked.append(n_bytes)
    )
    metrics = [{metrics}]
    type(metrics[0]).together(metrics, targets(20, 2))  # what it imports is not what it takes
    asked.clear()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    type(metrics[0]).together(metrics, given)
    print(asked[0], status("VmHWM") - before)
"""


@pytest.mark.parametrize("metrics", ["RSA()", "CKA(), CKA(debiased=False)", "MutualKNN(), CKNNA()"])
def test_what_is_asked_for_is_what_it_takes(metrics, tmp_path):
    """Measured by the system: not less than the peak, and not twice as much.

    In a process of its own: here, what earlier tests have freed would be taken again, unseen.
    """
    paths = os.pathsep.join(sys.path)
    done = run_python(["-c", MEASURED.format(metrics=metrics)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    asked, took = map(float, done.stdout.split())
    assert took < asked < 2 * took


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        (
            "0::/job/step",
            {"job/memory.max": "1000", "job/memory.current": "400", "job/memory.stat": "inactive_file 50"},
            650,
        ),
        ("0::/job", {"job/memory.max": "max", "job/memory.current": "400"}, float("inf")),
        (
            "4:memory:/a",
            {
                "memory/a/memory.limit_in_bytes": "90",
                "memory/a/memory.usage_in_bytes": "30",
                "memory/memory.limit_in_bytes": "50",
                "memory/memory.usage_in_bytes": "10",
            },
            40,
        ),
        ("0::/in/a/container", {"memory.max": "70", "memory.current": "30"}, 40),
        ("9:cpu:/a\nnonsense", {"memory.max": "1", "memory.current": "1"}, float("inf")),
    ],
    ids=["version-2-outer", "no-limit", "version-1", "container", "other-controllers"],
)
def test_what_a_control_group_leaves(tmp_path, line, files, expected):
    (tmp_path / "mine").write_text(line + "\n")
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory._of_groups(tmp_path / "mine", tmp_path / "root") == expected


def test_what_is_available_follows_the_limit():
    with left(123 * MIB):
        assert 100 * MIB < memory.available() <= 123 * MIB
    assert memory.available() > 123 * MIB
