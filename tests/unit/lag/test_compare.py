"""One door to the lag tests, whatever the curves come in; and results that have the same fields whatever comes out."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pandas as pd
import pytest

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import LagError
from ontogeny.lag import Run, compare, leads
from ontogeny.record.score import Score

STEPS = np.unique(np.logspace(0, 4, 40).astype(int))


def curves(seed=0):
    rng = np.random.default_rng(seed)
    return tuple(1 / (1 + (at / STEPS) ** 3) + 0.01 * rng.standard_normal(len(STEPS)) for at in (100, 400))


@pytest.fixture
def record(tmp_path):
    made = Record(tmp_path / "a", create=True)
    alignment, accuracy = curves()
    for step, a, p in zip(STEPS.tolist(), alignment.tolist(), accuracy.tolist(), strict=True):
        blank = {"run": made.run, "step": step, "unit": "r"}
        made.append(
            [
                Score(**blank, kind="alignment", benchmark="b", roi="IT", layer="head", metric="rsa", value=a),
                Score(**blank, kind="task", metric="accuracy", value=p),
            ]
        )
    made.close()
    return made


def test_the_same_answer_from_arrays_a_record_its_series_its_folder_and_a_table(record, tmp_path):
    alignment, accuracy = curves()
    wanted = leads(STEPS, alignment, accuracy, surrogates=19)
    assert wanted.trend.verdict == "alignment leads"
    table = pd.DataFrame({"step": STEPS, "alignment": alignment, "performance": accuracy})
    table.to_csv(tmp_path / "table.csv", index=False)
    found = [
        compare(alignment, accuracy, steps=STEPS, surrogates=19),
        compare(record, task="accuracy", surrogates=19),
        compare(record.folder, task="accuracy", roi="IT", surrogates=19),
        compare(record.series(roi="IT"), record.series(kind="task"), surrogates=19),
        compare(table, surrogates=19),
        compare(str(tmp_path / "table.csv"), surrogates=19),
    ]
    assert [one.trend for one in found] == [wanted.trend] * 6
    assert [one.fluctuation for one in found] == [wanted.fluctuation] * 6


def test_several_runs_are_compared_together():
    runs = [Run(name=str(i), steps=STEPS, alignment=a, performance=p) for i, (a, p) in enumerate(map(curves, range(4)))]
    found = compare(runs, surrogates=19)
    assert [one.name for one in found.runs] == ["0", "1", "2", "3"]
    assert found.trend.testable
    assert "4 runs" in str(found)


def test_several_records_are_named_by_their_folders(record):
    other = shutil.copytree(record.folder, record.folder.parent / "b")
    found = compare([record, other], task="accuracy", surrogates=19)
    assert [one.name for one in found.runs] == [str(record.folder), str(other)]


def test_printing_it_is_what_the_command_prints(record, capsys):
    assert main(["lag", str(record.folder), "--task", "accuracy", "--surrogates", "19"]) == 0
    printed = capsys.readouterr().out.splitlines()[1:]
    assert str(compare(record, task="accuracy", surrogates=19)).splitlines()[1:] == printed


def test_what_cannot_be_tested_has_every_number_as_nan_and_a_reason():
    alignment, accuracy = curves()
    found = compare(alignment[:11], accuracy[:11], steps=STEPS[:11], surrogates=19)
    tested = compare(alignment, accuracy, steps=STEPS, surrogates=19)
    assert tested.trend.testable
    assert tested.trend.reason == ""
    assert not found.trend.testable
    assert found.trend.reason
    assert math.isnan(found.trend.factor)
    assert all(map(math.isnan, found.trend.ci_log10))
    assert math.isnan(found.fluctuation.checkpoints) or found.fluctuation.testable
    with pytest.raises(AttributeError, match="factr"):
        _ = found.trend.factr


def test_two_arrays_need_their_steps():
    with pytest.raises(LagError, match="steps="):
        compare(*curves())
