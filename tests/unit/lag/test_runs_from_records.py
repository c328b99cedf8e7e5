"""From records, series and tables to runs; the command line; what is published."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.unit.lag.test_across_runs import record_of

from ontogeny import load_published
from ontogeny.cli import main
from ontogeny.errors import DataError, DatasetNotFoundError, LagError
from ontogeny.lag import paired, run_from_record, run_leads, runs_of_log
from ontogeny.record import Series
from ontogeny.simulated.planted_leads import KINDS, NULLS, planted_lead, pythia_steps


def series(name, steps, values, source="measured"):
    nothing = np.full(len(steps), np.nan)
    return Series(
        name=name, steps=np.asarray(steps), values=np.asarray(values, dtype=float), unit="", chance=nothing,
        ceiling=nothing, source=source,
    )  # fmt: skip


def test_two_series_are_paired_on_the_steps_that_both_have():
    run = paired(series("rsa", [0, 1, 4, 9], [1, 2, 3, 4]), series("loss", [1, 9], [9, 7]))
    assert run.steps.tolist() == [1, 9]
    assert run.alignment.tolist() == [2.0, 4.0]
    assert run.performance.tolist() == [9.0, 7.0]
    assert not run.higher_is_better
    assert not run.thresholded
    assert run.notes == ("2 of 4 steps of alignment have no value of the other: left out",)
    with pytest.raises(LagError, match=r"share no step: alignment has 2 \(0, 1\), performance 2 \(2, 3\)"):
        paired(series("rsa", [0, 1], [1, 2]), series("loss", [2, 3], [1, 2]))


@pytest.mark.parametrize(
    ("name", "higher", "thresholded"),
    [
        ("loss", False, False),
        ("eval/loss", False, False),
        ("lambada_openai ppl", False, False),
        ("accuracy", True, True),
        ("arc_easy acc_norm", True, True),
        ("exact_match", True, True),
        ("top1", True, True),
        ("error rate", False, True),
        ("log probability", True, False),
        ("glossary", True, False),
    ],
)
def test_a_metrics_name_says_what_it_is(name, higher, thresholded):
    run = paired(series("rsa", [0, 1], [1, 2]), series(name, [0, 1], [1, 2]))
    assert (run.higher_is_better, run.thresholded) == (higher, thresholded)


def test_a_record_gives_a_run_and_its_source(tmp_path):
    world = planted_lead("lead_trend", 30, seed=1)
    record = record_of(tmp_path / "r", [("IT", "head", world)])
    run = run_from_record(record, roi="IT", layer="head")
    assert run.name == "run: IT · rsa · head against loss"
    assert not run.averaged
    assert run_leads(run, surrogates=19).trend.log10 == pytest.approx(world.lead_log10, abs=0.15)
    averaged = record_of(tmp_path / "s", [("IT", "head", world)], source="trainer_average")
    found = run_leads(run_from_record(averaged, roi="IT", layer="head"), surrogates=19)
    assert "trainer's own averaged loss" in found.warnings[0]
    assert "A smoothed series is delayed" in found.warnings[1]


def table(path, **columns):
    import pandas

    frame = pandas.DataFrame(columns)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_tables_give_runs(tmp_path, name):
    path = table(
        tmp_path / name, step=[0, 1, 2, 3] * 2, rsa=[0.1, 0.2, 0.3, 0.4, 0.3, np.nan, 0.5, 0.6], loss=[4, 3, 2, 1] * 2,
        seed=["a"] * 4 + ["b"] * 4, size=[70] * 4 + [160] * 4,
    )  # fmt: skip
    runs = runs_of_log(path, alignment="rsa", performance="loss", run="seed", group="size")
    assert [(r.name, r.group) for r in runs] == [("a", "70"), ("b", "160")]
    assert runs[1].alignment == pytest.approx([0.3, np.nan, 0.5, 0.6], nan_ok=True)
    assert not runs[0].higher_is_better
    path = table(tmp_path / name, step=[0, 1], rsa=[0.1, 0.2], loss=[2, 1])
    one = runs_of_log(path, alignment="rsa", performance="loss", higher_is_better=True)
    assert [r.name for r in one] == [f"{path}: rsa against loss"]
    assert one[0].higher_is_better


def test_tables_that_cannot_be_read_say_why(tmp_path):
    path = table(tmp_path / "t.csv", step=[0, 1], alignment=["0.1", "high"], performance=[1, 2])
    with pytest.raises(DataError, match=r"'alignment' holds text where a number should be: 'high' \(row 2\)"):
        runs_of_log(path)
    with pytest.raises(DataError, match="has no column 'rsa'. Choices: 'step', 'alignment'"):
        runs_of_log(path, alignment="rsa")
    (tmp_path / "t.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as parquet"):
        runs_of_log(tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"there is no log at .*missing\.csv; a log is CSV, Parquet, trainer_state.json"
    ):
        runs_of_log(tmp_path / "missing.csv")


def write(path, kind, n=30, runs=1):
    worlds = [planted_lead(kind, n, seed=3, run=i) for i in range(runs)]
    return table(
        path,
        step=np.concatenate([w.steps for w in worlds]),
        alignment=np.concatenate([w.alignment for w in worlds]),
        loss=np.concatenate([3 - w.performance for w in worlds]),
        seed=np.repeat([f"seed{i}" for i in range(runs)], n),
    )


def test_the_command_reads_a_table_and_writes_json_and_pictures(tmp_path, capsys):
    path = write(tmp_path / "t.csv", "lead_both", 60)
    assert (
        main(
            [
                "lag",
                str(path),
                "--performance",
                "loss",
                "--out",
                str(tmp_path / "out"),
                "--surrogates",
                "99",
                "--details",
            ]
        )
        == 0
    )
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("Cannot be told: no lead between alignment and loss fits")
    assert "trend lead" in text
    assert "false alarm rate of its p" in text
    content = json.loads((tmp_path / "out" / "lag.json").read_text())
    assert content["n"] == 60
    assert (tmp_path / "out" / "lag.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_pools_runs_and_maps_a_record(tmp_path, capsys):
    path = write(tmp_path / "t.csv", "lead_trend", 30, runs=4)
    out = tmp_path / "out"
    options = ["--performance", "loss", "--run", "seed", "--surrogates", "19", "--out", str(out)]
    assert main(["lag", str(path), *options]) == 0
    assert capsys.readouterr().out.startswith("Yes, over 4 runs: ")
    assert (out / "lag-runs.png").exists()
    world = planted_lead("lead_trend", 30, seed=1)
    record_of(tmp_path / "a", [("IT", "head", world)])
    record_of(tmp_path / "b", [("IT", "head", planted_lead("lead_trend", 30, seed=1, run=1))])
    assert main(["lag", str(tmp_path / "a"), "--map", "--surrogates", "19", "--out", str(out)]) == 0
    assert "IT · head" in capsys.readouterr().out
    assert (out / "lag-map.png").exists()
    assert main(["lag", str(tmp_path / "a"), str(tmp_path / "b"), "--roi", "IT", "--surrogates", "19"]) == 0
    assert "three with a lead are needed for a test" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    path = write(tmp_path / "t.csv", "lead_trend")
    assert main(["lag", str(path)]) == 2
    said = capsys.readouterr().err
    assert "has no column 'performance' (say which one it is: performance=, --performance). Choices: 'step', 'a" in said
    record_of(tmp_path / "a", [("IT", "head", planted_lead("lead_trend", 15, seed=1))])
    assert main(["lag", str(tmp_path / "a"), "--roi", "it"]) == 2
    assert "Did you mean 'IT'?" in capsys.readouterr().err
    assert main(["lag", str(tmp_path / "a"), str(tmp_path / "a"), "--map"]) == 2
    assert "--map reads one record at a time" in capsys.readouterr().err


def test_help_says_what_each_line_means(capsys):
    assert main(["lag", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("trend lead", "fluctuation lead", "uniform", "Granger, usual", "re-pairing", "Neither lead is causal"):
        assert word in text


@pytest.mark.slow
def test_the_command_can_add_a_placebo(tmp_path, capsys, monkeypatch):
    from ontogeny.lag import placebo

    path = write(tmp_path / "t.csv", "lead_trend", 15)
    monkeypatch.setattr(
        "ontogeny.lag.placebo", lambda *a, **k: placebo(*a, **{**k, "replicates": 20, "progress": False})
    )
    assert main(["lag", str(path), "--performance", "loss", "--placebo", "--surrogates", "19"]) == 0
    assert "placebo: 20 replicates" in capsys.readouterr().out


def test_published_tables_are_there_with_their_caveats():
    found = load_published("shen2026")
    assert "arXiv:2507.01966" in found.citation
    assert {t: len(next(iter(c.values()))) for t, c in found.tables.items()} == {
        "pythia_alignment": 108,
        "pythia_benchmarks": 2106,
        "mixnet_alignment": 32,
        "mixnet_performance": 74,
        "models_language_wide": 36,
        "models_vision": 594,
    }
    assert set(found.about) == set(found.tables)
    frame = found.to_pandas("pythia_alignment")
    assert frame.plotted.to_numpy() == pytest.approx(2 * frame.alignment.to_numpy(), rel=1e-3)
    assert found.tables["mixnet_performance"]["use_ema"].dtype == bool
    with pytest.raises(DatasetNotFoundError, match="Did you mean 'shen2026'"):
        load_published("shen2025")
    with pytest.raises(DatasetNotFoundError, match="has no table 'pythia'"):
        found.to_pandas("pythia")


def test_planted_leads_are_what_they_say():
    for kind in NULLS:
        lead = planted_lead(kind, 30, seed=5).lead_log10
        assert np.isnan(lead) if "walk" in kind else lead == pytest.approx(0.0, abs=0.02), kind
        assert planted_lead(kind, 30, seed=5).lead_checkpoints == 0
    for seed in range(5):
        led = planted_lead("lead_trend", 30, seed=seed)
        at = np.interp(3.3, np.log10(led.steps[1:] + 1), np.diff(np.log10(led.steps + 1)))
        assert 0.3 * at < led.lead_log10 < 3 * at
        assert planted_lead("p_leads_trend", 30, seed=seed).lead_log10 < 0
    one, other = (planted_lead("null_dip", 30, seed=1, run=run) for run in (0, 1))
    assert one.lead_log10 == other.lead_log10
    assert (one.alignment != other.alignment).any()
    assert set(NULLS) < set(KINDS)
    with pytest.raises(LagError, match="Did you mean 'null_dip'"):
        planted_lead("null_dips")
    assert set(pythia_steps(60)) <= set(pythia_steps(154))
