"""Models as columns: out of tables, with what is missing and what is refused."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from ontogeny import Record
from ontogeny.errors import DataError
from ontogeny.findings import Models, across_models
from ontogeny.findings.data.model_columns import _ALIGNMENT
from ontogeny.record import Score
from ontogeny.replay import performance_and_alignment, read_models
from ontogeny.replay.model_tables import _CHOSEN

TITLE = "b rsa-correlation-spearman (best layer of the other subjects)"
TABLE = {
    "model": ["Qwen/Qwen2-1B", "x/one", "gpt2", "opt"],
    "family": ["", float("nan"), "gpt", None],
    "parameters": ["1000", "", "3000", "4000"],
    TITLE: [0.1, 0.2, 0.3, 0.4],
    "accuracy": ["0.5", "", "0.7", "0.8"],
    "loss": [3.0, 2.0, 1.0, 0.5],
    "note": ["a", "b", "c", "d"],
}


def test_all_titles_that_our_tables_give_alignment_are_known():
    assert all(_ALIGNMENT.search(f"bench metric ({how})") for how in _CHOSEN.values())


def test_a_table_as_our_replay_writes_it_needs_no_names():
    models = Models.of_table(TABLE)
    assert models.metric == "rsa-correlation-spearman"
    assert list(models.performance) == ["accuracy", "loss"]
    assert models.families == ("qwen", "one", "gpt", "opt")
    assert models.guessed == 3
    np.testing.assert_array_equal(models.given["parameters"], [1000, np.nan, 3000, 4000])
    np.testing.assert_array_equal(models.performance["accuracy"], [0.5, np.nan, 0.7, 0.8])


def test_lower_is_better_turns_the_sign_and_says_so():
    models = Models.of_table(TABLE, performance=["loss"], lower_is_better=["loss"])
    assert list(models.performance) == ["minus loss"]
    np.testing.assert_array_equal(models.performance["minus loss"], [-3, -2, -1, -0.5])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"alignment": "rsa"}, "the table has no column 'rsa'"),
        ({}, {"given": ["dimension"]}, "the table has no column 'dimension'"),
        ({TITLE: None}, {}, r"name the table's column of alignment; there is \['accuracy'"),
        ({TITLE.replace("rsa", "cka"): [1, 2, 3, 4]}, {}, "name the table's column of alignment; it has "),
        ({}, {"performance": ["note"]}, "column 'note' is no column of numbers: could not convert string to float"),
        ({"model": ["a", "b", "a", "c"]}, {}, "a model is one row; more than once: a"),
        ({"accuracy": None, "loss": None}, {}, "models need at least one column of performance"),
        ({"loss": [1.0, 2.0]}, {}, "all columns of models are of one length, got "),
        ({"parameters": [0, 1, 2, 3]}, {}, "parameters is used as its logarithm and has to be above 0"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change, options, message):
    table = {name: column for name, column in {**TABLE, **change}.items() if column is not None}
    with pytest.raises(DataError, match=message):
        Models.of_table(table, **options)


def test_a_frame_of_ours_is_taken_as_it_is():
    rng = np.random.default_rng(0)
    n = 12
    frame = pd.DataFrame(
        {
            "model": [f"m{i}" for i in range(n)],
            "family": [f"f{i % 6}" for i in range(n)],
            "parameters": pd.array([None, *range(1, n)], dtype="Int64"),
            TITLE: rng.random(n),
            "acc": rng.random(n),
        }
    )
    finding = across_models(Models.of_table(dict(frame)))
    given = next(r for r in finding.details["correlations"] if r["given"] == "log parameters")
    assert (finding.headline.n, given["n"]) == (12, 11)
    assert "parameters is missing for 1 models; they are left out there." in finding.cannot_tell


def test_what_a_replay_of_many_models_writes_is_read_back(tmp_path):
    rng = np.random.default_rng(1)
    listed = []
    for i in range(10):
        name, level = f"{'abcde'[i % 5]}-{i}", rng.random()
        listed.append(f"  - {{id: x/{name}, name: {name}, parameters: {10**i}, performance: {{acc: {level:.4f}}}}}")
        record = Record(tmp_path / "runs" / name, create=True)
        record.append(
            Score(
                run=name,
                step=0,
                kind="alignment",
                benchmark="b",
                subject=subject,
                roi="IT",
                layer=layer,
                pooling="mean",
                metric="rsa",
                value=level + 0.1 * (layer == "2"),
            )
            for subject in ("s1", "s2")
            for layer in ("1", "2")
        )
    (tmp_path / "models.yaml").write_text("models:\n" + "\n".join(listed) + "\n")
    performance_and_alignment(tmp_path / "runs", read_models(tmp_path / "models.yaml")).to_csv(tmp_path / "models.csv")
    with (tmp_path / "models.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    models = Models.of_table({name: [row[name] for row in rows] for name in rows[0] if name})
    assert (models.metric, list(models.performance), list(models.given)) == ("rsa", ["acc"], ["parameters"])
    assert models.alignment == pytest.approx(models.performance["acc"] + 0.1, abs=1e-4)
    assert across_models(models).headline.value == pytest.approx(1, abs=1e-6)
