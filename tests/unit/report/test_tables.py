"""What a page says of a record in tables, sentences and CSV."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy import stats
from tests.unit.report.test_run_data import score

from ontogeny.record import Event, Record, Score
from ontogeny.record.curve_groups import curve_groups
from ontogeny.record.event import refusal_of
from ontogeny.report._first_screen import cost_of, origin
from ontogeny.report._html import shared_of
from ontogeny.report._methods import citations, methods
from ontogeny.report._tables import layer_rows, missing_notes, refusal_rows, region_rows, write_tables
from ontogeny.report.layer_names import short_names
from ontogeny.report.level_tests import level_tests
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import studies


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.describe(
        "b", {"fingerprint": "f", "version": "3", "simulated": False, "citation": "A (2020)", "licence": "MIT"}
    )
    for step, value in ((0, 0.05), (10, 0.5), (100, 0.4)):
        record.append(
            [
                score(step=step, value=value, ceiling=0.7, ceiling_lower=0.6),
                score(step=step, value=0.01, layer="two"),
                refusal_of(score(step=step, layer="three"), "the layer gave NaN"),
                Score(run="r", step=step, kind="task", metric="loss", value=3 - step / 100, unit="nats"),
                Event(run="r", step=step, kind="probe", metric="seconds", value=2.0),
            ]
        )
    record.append([score(kind="baseline", layer="pixels", pooling="stimuli", value=0.45)])
    record.append([score(step=0, roi="dead", value=None, note="not finite")])
    return record


def read(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_the_chip_says_measured_simulated_or_mixed(tmp_path, record):
    assert origin([RunFacts.of(record)]) == "MEASURED"
    other = Record(tmp_path / "other", create=True)
    assert origin([RunFacts.of(other)]) == "NO BENCHMARK"
    other.describe("world", {"fingerprint": "g", "simulated": True})
    assert origin([RunFacts.of(other)]) == "SIMULATED"
    assert origin([RunFacts.of(record), RunFacts.of(other)]) == "MIXED"


def test_the_layers_table_has_what_is_needed_to_read_a_value(record):
    (study,) = studies([RunFacts.of(record)], None, "runs")
    one, two = layer_rows(study, level_tests(RunFacts.of(record).panels))
    assert (one["layer"], one["step 0"], one["last step"], one["chance"]) == ("one", "0.050", "0.400", "0.000")
    assert (one["ceiling"], one["baseline: pixels"], one["stimuli"]) == ("0.600 to 0.700", "0.450", "92")
    assert one["above chance"] == "not tested (n = 1)"
    assert two["layer"] == "two"
    told, rows = shared_of([one, two])
    assert "baseline: pixels 0.450" in told
    assert set(rows[0]) == {"layer", "step 0", "last step"}


def test_refusals_of_one_reason_are_one_row(record):
    (row,) = refusal_rows([RunFacts.of(record)])
    assert (row["layer"], row["step"], row["why"]) == ("three", "0 to 100 (3 probes)", "the layer gave NaN")


def test_a_region_without_any_value_is_named(record):
    facts = RunFacts.of(record)
    assert facts.unmeasured == {("b", "dead"): 1}
    assert missing_notes(facts) == ["r: no value at all in region dead of b (1 scores were tried); it is not shown."]
    assert [panel.roi for panel in facts.panels] == ["IT"]


def test_what_watching_cost(tmp_path, record):
    assert cost_of([RunFacts.of(record)]) == ("6.0 s", "3 probes, none failed; 3 refusals, see Regions")
    assert cost_of([RunFacts.of(Record(tmp_path / "n", create=True))]) == ("0.0 s", "0 probes, none failed")


def test_the_methods_paragraph_has_what_a_paper_needs(record):
    facts = RunFacts.of(record)
    (study,) = studies([facts], None, "runs/a")
    text = methods(study, "ontogeny report runs/a")
    for part in (
        "3 checkpoints (steps 0 to 100) of one training run",
        "benchmark b (version 3, fingerprint f; 92 stimuli, 1 subject, 1 region)",
        "compared with responses by rsa",
        "Chance was 0.000; the noise ceiling was 0.600 to 0.700",
        "Command: ontogeny report runs/a.",
    ):
        assert part in text
    assert citations([facts])[0] == "b: A (2020). Terms: MIT."
    (row,) = region_rows(study, level_tests(facts.panels))
    assert row["which is first"] == "nothing to time"
    assert row["why"] == "alignment with IT is not above pixels alone (0.32 against 0.45 rho)."


def test_csv_files_have_every_value(tmp_path, record):
    facts = RunFacts.of(record)
    found = studies([facts], None, "runs/a")
    write_tables(found, [facts], {0: level_tests(facts.panels)}, tmp_path / "tables")
    rows = read(tmp_path / "tables" / "curves.csv")
    assert [(row["layer"], row["step"], float(row["value"])) for row in rows[:3]] == [
        ("one", "0", 0.05),
        ("one", "10", 0.5),
        ("one", "100", 0.4),
    ]
    assert len(read(tmp_path / "tables" / "layers.csv")) == 2
    assert len(read(tmp_path / "tables" / "regions.csv")) == 1


def test_levels_are_tested_as_scipy_tests_them_and_corrected():
    rng = np.random.default_rng(0)
    values = {layer: 0.1 + 0.1 * i + 0.05 * rng.standard_normal(5) for i, layer in enumerate("xyz")}
    rows = [
        score(subject=s, layer=layer, value=float(v), ceiling=0.5, ceiling_lower=0.35)
        for layer, own in values.items()
        for s, v in zip("abcde", own, strict=True)
    ]
    rows += [score(kind="baseline", pooling="stimuli", layer="pixels", subject=s, value=0.15) for s in "abcde"]
    found = level_tests(curve_groups(rows))
    own = list(values.values())
    expected = {
        "chance": [stats.ttest_1samp(v, 0.0, alternative="greater").pvalue for v in own],
        "surface": [stats.ttest_1samp(v, 0.15, alternative="greater").pvalue for v in own],
        "ceiling": [stats.ttest_1samp(v, 0.35, alternative="less").pvalue for v in own],
    }
    for kind, p in expected.items():
        assert [one.p[kind] for one in found] == pytest.approx(stats.false_discovery_control(p))
    assert found[2].in_words("chance").startswith("yes (p ")


def test_common_parts_of_layer_names_are_stripped():
    layers = [f"transformer.h.{i}.mlp" for i in range(12)]
    assert short_names(layers, layers)[3] == "h.3"
    assert short_names(["conv1", "conv2"], ["conv1", "conv2"]) == ["conv1", "conv2"]
    mixed = ["model.stem", "model.blocks.0", "model.head"]
    assert short_names(mixed, mixed) == ["stem", "blocks.0", "head"]
    assert short_names(["only.one"], ["only.one"]) == ["only.one"]
