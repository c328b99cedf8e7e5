"""Do better models align better? The study's numbers, planted worlds, what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ontogeny import load_published
from ontogeny.errors import DataError
from ontogeny.findings import Models, across_models
from ontogeny.report.findings.across_models_section import figures

PRINTED = {("language", "average"): 0.89, ("vision", "imagenet"): 0.53}
PARTIAL = {"average": 0.54}


def world(*, own, families=12, size=4, seed=0, **columns):
    """Models whose size makes performance and alignment; alignment also follows performance by `own`."""
    rng = np.random.default_rng(seed)
    n = families * size
    log_size = rng.normal(8, 1, n)
    better = 0.7 * log_size + 0.5 * rng.standard_normal(n)
    aligned = 0.1 * log_size + own * (better - 0.7 * log_size) + 0.03 * rng.standard_normal(n)
    return Models(
        model=[f"m{i}" for i in range(n)],
        family=[f"f{i % families}" for i in range(n)],
        alignment=aligned,
        metric="cka_36",
        performance={"score": better, "noise": rng.standard_normal(n)},
        given={"parameters": 10**log_size, **columns},
        source="a planted world",
    )


def rows(finding, **want):
    return [r for r in finding.details["correlations"] if all(r[k] == v for k, v in want.items())]


@pytest.fixture(scope="module", params=["language", "vision"])
def study(request):
    models = Models.of_published(load_published("shen2026"), request.param)
    return request.param, models, across_models(models, draws=200)


def test_the_studys_r_is_reproduced_to_two_digits(study):
    modality, models, finding = study
    first = next(iter(models.performance))
    assert round(finding.headline.value, 2) == PRINTED[modality, first]
    assert finding.headline.n == {"language": 36, "vision": 594}[modality]
    plain = rows(finding, kind="pearson", given="")
    assert [r["benchmark"] for r in plain] == [*models.performance, "log parameters"]
    assert len(models.performance) == 8


def test_the_logarithm_of_alignment_does_not_give_the_printed_r_of_imagenet():
    models = Models.of_published(load_published("shen2026"), "vision")
    finding = across_models(replace(models, alignment=np.log(models.alignment)), draws=200)
    assert round(finding.headline.value, 2) == 0.57


def test_given_size_the_average_keeps_half_and_gpqa_and_elo_nothing_significant():
    finding = across_models(Models.of_published(load_published("shen2026"), "language"))
    given = {r["benchmark"]: r for r in rows(finding, kind="pearson", given="log parameters")}
    assert round(given["average"]["r"], 2) == PARTIAL["average"]
    assert given["average"]["low"] > 0
    for name in ("GPQA", "elo"):
        assert given[name]["low"] < 0 < given[name]["high"]
        assert given[name]["p"] > 0.2
    assert given["elo"]["n"] == 26
    assert "2 of 8 benchmarks keep a correlation at q < .05" in finding.answer
    assert any("more than with the benchmark it goes with most (average, r = 0.89)" in s for s in finding.else_explains)
    assert "elo is missing for 10 models; they are left out there." in finding.cannot_tell


def test_the_families_of_the_study_are_few_and_hold_its_fine_tunes():
    families = Models.of_published(load_published("shen2026"), "language").families
    assert set(families) == {"gemma", "internlm", "llama", "ministral", "mistral", "phi", "qwen"}
    assert families.count("llama") == 6


def test_where_size_is_all_there_is_nothing_is_left():
    finding = across_models(world(own=0.0))
    (plain,), (given,) = (rows(finding, benchmark="score", kind="pearson", given=g) for g in ("", "log parameters"))
    assert plain["low"] > 0.5
    assert abs(given["r"]) < 0.3
    assert given["low"] < 0 < given["high"]
    assert "is left, which may be nothing" in finding.answer
    assert "0 of 2 benchmarks keep a correlation at q < .05" in finding.answer


def test_where_better_models_align_better_it_is_said_to_be_left():
    finding = across_models(world(own=0.1))
    (given,) = rows(finding, benchmark="score", kind="pearson", given="log parameters")
    assert given["low"] > 0.4
    assert "is left. Given log parameters, 1 of 2 benchmarks" in finding.answer


def test_a_performance_that_has_nothing_to_do_with_alignment_is_not_shown():
    finding = across_models(world(own=0.0), headline="noise")
    assert finding.headline.name == "Pearson r, noise"
    assert finding.answer.startswith("It is not shown that better models align better. noise, 48 models in 12 families")


def test_q_is_over_the_benchmarks_of_one_set_of_controls():
    finding = across_models(world(own=0.1))
    for given in ("", "log parameters"):
        own = [r for r in rows(finding, kind="pearson", given=given) if r["q"] is not None]
        p = sorted(r["p"] for r in own)
        assert sorted(r["q"] for r in own) == pytest.approx([min(2 * p[0], p[1]), p[1]])


def test_effective_dimension_is_taken_out_alone_and_together_with_size():
    n = 48
    ratio = np.exp(np.random.default_rng(7).standard_normal(n))
    models = world(own=0.0, **{"participation ratio": ratio})
    finding = across_models(replace(models, alignment=0.05 * np.log10(ratio) + models.alignment))
    given = {r["given"] for r in rows(finding, kind="pearson", benchmark="score")}
    both = "log parameters and log participation ratio"
    assert given == {"", "log parameters", "log participation ratio", both, "within families"}
    assert not any("are not in the table" in s for s in finding.cannot_tell)


def test_without_sizes_it_is_said_that_bigger_may_be_all():
    finding = across_models(replace(world(own=0.1), given={}))
    assert "without their parameters this cannot be told" in finding.answer
    assert "Size: parameters are not given, and bigger models are better and wider." in finding.else_explains


def test_chance_is_named_where_the_metric_is_biased_and_not_where_it_is_off():
    said = [
        any(s.startswith("Chance: cka_36 is biased CKA") for s in across_models(m).else_explains)
        for m in (world(own=0.1), replace(world(own=0.1), chance_removed=True), replace(world(own=0.1), metric="rsa"))
    ]
    assert said == [True, False, False]


def test_few_families_leave_no_interval_and_it_is_said():
    finding = across_models(world(own=0.1, families=3, size=10))
    assert (finding.headline.low, finding.headline.high) == (None, None)
    assert "(no interval over families)" in finding.answer
    assert "3 families are too few for an interval over families" in finding.headline.how
    alone = across_models(world(own=0.1, families=3, size=10), alone=True)
    assert alone.headline.low is not None


def test_a_performance_that_is_not_there_is_named_with_what_is():
    with pytest.raises(DataError, match="there is no performance 'scor'. .*'score'"):
        across_models(world(own=0.0), headline="scor")


def test_the_picture_has_every_benchmark_and_says_what_is_known_of_chance():
    (figure,) = figures(across_models(world(own=0.1)))
    text = figure.chart.to_json()
    assert "(chance not known)" in text
    assert all(name in text for name in ("score", "noise", "partial r given log parameters"))
    assert figure.name == "across-a-planted-world"
    (other,) = figures(across_models(replace(world(own=0.1), chance_removed=True)))
    assert "(chance removed)" in other.chart.to_json()


def test_a_benchmark_that_does_not_vary_is_refused_by_name_and_the_headline_stops():
    models = world(own=0.1)
    flat = replace(models, performance={**models.performance, "flat": np.ones(48)})
    finding = across_models(flat)
    assert any(s.startswith("Pearson r, flat: a variable is the same for all models") for s in finding.cannot_tell)
    assert {r["benchmark"] for r in rows(finding, kind="pearson", given="")} == {"score", "noise", "log parameters"}
    with pytest.raises(DataError, match=r"Pearson r, flat: a variable is the same .* there is no correlation$"):
        across_models(flat, headline="flat")
    few = replace(models, alignment=np.where(np.arange(48) < 3, models.alignment, np.nan))
    with pytest.raises(
        DataError, match="Pearson r, score: a correlation given 0 controls needs 4 models or more, got 3"
    ):
        across_models(few)
