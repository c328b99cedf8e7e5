"""Correlation over families: planted confounds, coverage, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from ontogeny.errors import DataError
from ontogeny.findings.statistics._model_correlation import correlate, family_of, leave_one_out


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "qwen"),
        ("Qwen/Qwen1.5-32B-Chat", "qwen"),
        ("allenai/Llama-3.1-Tulu-3-8B", "llama"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama"),
        ("princeton-nlp/gemma-2-9b-it-SimPO", "gemma"),
        ("internlm/internlm2_5-20b-chat", "internlm"),
        ("EleutherAI/pythia-70m-deduped", "pythia"),
        ("tf_efficientnetv2_b0.in1k", "efficientnet"),
        ("efficientnet_b0.ra_in1k", "efficientnet"),
        ("mobilenetv3_small_050.lamb_in1k", "mobilenet"),
        ("mobilevitv2_100.cvnets_in1k", "mobilevit"),
        ("vit_base_patch16_224.augreg_in1k", "vit"),
        ("dm_nfnet_f0.dm_in1k", "nfnet"),
        ("deit3_base_patch16_224", "deit"),
        ("beitv2_base_patch16_224", "beit"),
        ("levit_128.fb_dist_in1k", "levit"),
        ("v2net", "v"),
        ("3dnet", "3dnet"),
    ],
)
def test_a_name_tells_its_family_by_the_rule(name, family):
    assert family_of(name) == family


def world(seed, families=8, size=5, *, own=0.0, noise=0.3):
    """x and y that follow a third variable, which differs between and within families; and each other by `own`."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"f{i}" for i in range(families)], size)
    third = np.repeat(rng.standard_normal(families), size) + 0.5 * rng.standard_normal(families * size)
    x = third + noise * rng.standard_normal(len(names))
    y = third + own * (x - third) + noise * rng.standard_normal(len(names))
    return x, y, names.tolist(), third[:, None]


def test_a_correlation_that_is_all_size_is_nothing_given_size():
    found = [(correlate(*world(s)[:3]), correlate(*world(s)[:3], given=world(s)[3])) for s in range(200)]
    assert min(plain.r for plain, _ in found) > 0.6
    assert np.mean([given.r for _, given in found]) == pytest.approx(0, abs=0.03)
    assert np.mean([given.p < 0.05 for _, given in found]) == pytest.approx(0.05, abs=0.035)
    assert np.mean([given.low <= 0 <= given.high for _, given in found]) == pytest.approx(0.95, abs=0.035)


def test_what_is_there_beside_size_is_found_given_size():
    found = [correlate(*(w := world(s, own=1.0))[:3], given=w[3]) for s in range(50)]
    assert np.mean([f.r for f in found]) == pytest.approx(np.sqrt(0.5), abs=0.03)
    assert np.mean([f.p < 0.05 for f in found]) > 0.9


def test_a_correlation_between_families_alone_is_nothing_within_them():
    rng = np.random.default_rng(0)
    names = np.repeat([f"f{i}" for i in range(10)], 6)
    common = np.repeat(rng.standard_normal(10), 6)
    x, y = common + 0.2 * rng.standard_normal((2, 60))
    assert correlate(x, y, names.tolist()).r > 0.85
    within = correlate(x, y, names.tolist(), within=True)
    assert abs(within.r) < 0.25
    assert within.low < 0 < within.high


@pytest.mark.parametrize("families", [7, 60])
def test_the_interval_over_families_covers_and_that_of_independent_models_does_not(families):
    hits = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        shape = [[1, 0.6], [0.6, 1]]
        shared = rng.multivariate_normal([0, 0], shape, size=families)
        own = rng.multivariate_normal([0, 0], shape, size=families * 5)
        x, y = (np.repeat(shared, 5, axis=0) + own).T
        found = correlate(x, y, np.repeat(np.arange(families), 5).astype(str).tolist(), draws=300)
        drawn = found.drawn or (found.low, found.high)
        hits.append(
            [found.low <= 0.6 <= found.high, drawn[0] <= 0.6 <= drawn[1], found.fisher[0] <= 0.6 <= found.fisher[1]]
        )
    over_families, by_draws, alone = np.mean(hits, axis=0)
    assert over_families == pytest.approx(0.95, abs=0.03)
    assert by_draws == pytest.approx(0.95, abs=0.04)
    assert alone < 0.9


def test_how_it_was_made_depends_on_the_families_and_is_said():
    x, y = np.random.default_rng(0).standard_normal((2, 60))
    few, some, many = (np.arange(60) % k for k in (3, 7, 60))
    found = [correlate(x, y, f.astype(str).tolist()) for f in (few, some, many)]
    assert (found[0].low, found[0].high) == (None, None)
    assert found[0].how.startswith(
        "3 families are too few for an interval over families; p as if models were independent"
    )
    assert found[1].how == "Interval and p: jackknife over 7 families, Fisher z, t"
    assert [f.drawn is None for f in found] == [True, True, False]
    assert [f.families for f in found] == [3, 7, 60]


def test_the_same_seed_draws_the_same_families():
    x, y = np.random.default_rng(0).standard_normal((2, 60))
    names = [str(i) for i in range(60)]
    assert correlate(x, y, names, seed=3) == correlate(x, y, names, seed=3)
    assert correlate(x, y, names, seed=3).drawn != correlate(x, y, names, seed=4).drawn


def test_one_family_may_carry_a_correlation():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 30))
    names = [f"f{i // 5}" for i in range(30)]
    x[:5] += 8
    y[:5] += 8
    without = leave_one_out(x, y, names)
    assert correlate(x, y, names).r > 0.8
    assert min(without, key=without.get) == "f0"
    assert without["f0"] == pytest.approx(np.corrcoef(x[5:], y[5:])[0, 1])


def test_too_few_models_and_a_variable_that_does_not_vary_are_refused():
    x = np.arange(4.0)
    with pytest.raises(DataError, match="a correlation given 1 controls needs 5 models or more, got 4"):
        correlate(x, x**2, list("abcd"), given=x[:, None])
    with pytest.raises(DataError, match="a variable is the same for all models, or follows from what is given"):
        correlate(np.ones(6), np.arange(6.0), list("abcdef"))
    y = np.random.default_rng(0).standard_normal(8)
    with pytest.raises(DataError, match="a variable is the same for all models, or follows from what is given"):
        correlate(y, np.arange(8.0), list("abcdefgh"), given=y[:, None])


def test_a_correlation_that_one_family_alone_makes_has_no_interval():
    x = np.array([1.0, 2.0, 3.0, 0, 0, 0, 0, 0])
    y = np.random.default_rng(0).standard_normal(8)
    with pytest.raises(DataError, match="without one family nothing varies any more"):
        correlate(x, y, ["a", "a", "a", "b", "c", "d", "e", "f"])
