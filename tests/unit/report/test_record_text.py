"""What a record says in plain words."""

from __future__ import annotations

import pytest
from tests.unit.report.test_run_data import score

from ontogeny.record import Event, Record, Score
from ontogeny.record.event import refusal_of
from ontogeny.report._record_text import cost, final_table, first_line, refusal_table, sentences
from ontogeny.report.run_data import RunFacts


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.describe("b", {"fingerprint": "f", "simulated": False})
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
    return record


def test_the_first_line_says_measured_simulated_or_mixed(tmp_path, record):
    assert first_line([RunFacts.of(record)]) == "Real data, measured brain responses: b."
    other = Record(tmp_path / "other", create=True)
    assert first_line([RunFacts.of(other)]) == "No benchmark was scored."
    other.describe("world", {"fingerprint": "g", "simulated": True})
    assert first_line([RunFacts.of(other)]) == "SIMULATED responses, no brain was measured: world."
    both = first_line([RunFacts.of(record), RunFacts.of(other)])
    assert both == "MIXED. Measured brain responses: b. SIMULATED responses: world."


def test_sentences_tell_start_end_peak_ceiling_and_baseline(record):
    said = sentences(RunFacts.of(record))
    assert said[0] == "3 probes between step 0 and step 100."
    assert said[1] == "Held-out loss went from 3 to 2."
    assert said[2] == (
        "rsa, IT, mean: the highest layer went from 0.050 at step 0 to 0.400 (one) at step 100, after a peak of 0.500 "
        "(one) at step 10; the ceiling is 0.600 to 0.700; that is NOT above what pixels alone reaches (0.450)."
    )
    assert cost(RunFacts.of(record)) == "Watching cost 6.0 s in 3 probes, half of them under 2.00 s."


def test_the_final_table_has_what_is_needed_to_read_a_value(record):
    one, two = final_table(RunFacts.of(record))
    assert (one["layer"], one["step 0"], one["last step"], one["chance"]) == ("one", "0.050", "0.400", "0.000")
    assert (one["ceiling"], one["baseline: pixels"], one["stimuli"]) == ("0.600 to 0.700", "0.450", "92")
    assert two["layer"] == "two"


def test_the_final_table_says_which_step_was_first_where_it_is_not_0(tmp_path):
    record = Record(tmp_path / "late", create=True)
    record.append([score(step=step, value=step / 100) for step in (10, 50)])
    (row,) = final_table(RunFacts.of(record))
    assert (row["step 10"], row["last step"]) == ("0.100", "0.500")
    assert "step 0" not in row


def test_refusals_of_one_reason_are_one_row(record):
    assert refusal_table(RunFacts.of(record)) == [
        {
            "benchmark": "b",
            "layer": "three",
            "metric": "rsa",
            "step": "0 to 100 (3 probes)",
            "why": "the layer gave NaN",
        }
    ]


def test_no_probe_no_cost(tmp_path):
    assert cost(RunFacts.of(Record(tmp_path / "n", create=True))) == "No probe was completed."
