"""Over seeds, subjects and stimuli from records: replayed checkpoints whose features were kept."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from ontogeny import Record, watch
from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.cli import main
from ontogeny.datasets.folder import write_benchmark
from ontogeny.errors import DataError, LagError, MetricError, RecordError
from ontogeny.lag import compare
from ontogeny.metrics import CKA, RSA, MutualKNN, Ridge, make_folds
from ontogeny.record import Score
from ontogeny.replay import DiskFeatureCache, files, replay
from ontogeny.simulated.drawn_leads import drawn_world
from ontogeny.stimuli import StimulusSet

METRICS = (CKA(), RSA(), Ridge(), MutualKNN(k=5))
OF = {"metric": "cka-linear-debiased", "roi": "R", "layer": "0", "task": "score"}


def tokenizer(text: str) -> list[int]:
    return [int(text.split()[1])]


def model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Embedding(60, 8), torch.nn.Linear(8, 3))


def benchmark_of(world) -> Benchmark:
    ids = tuple(f"s{i}" for i in range(60))
    stimuli = StimulusSet(
        name="sixty", modality="text", ids=ids, inputs=tuple(f"word {i}" for i in range(60)), groups=world.groups
    )
    return Benchmark(
        name="sixty",
        version="1",
        citation="none",
        licence="none",
        about="test",
        simulated=True,
        stimuli=stimuli,
        assemblies=tuple(
            Assembly(name="a", subject=f"p{i}", stimulus_ids=ids, responses=y, roi=("R",) * 16 + ("Q",) * 8)
            for i, y in enumerate(world.responses)
        ),
        metrics=METRICS,
        folds=make_folds(60, n_folds=4, groups=world.groups),
        baseline=False,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Three runs of 16 checkpoints, replayed into records, with features kept and tables of their performance."""
    folder = tmp_path_factory.mktemp("over")
    world = drawn_world(runs=0.05, size=(3, 6, 12, 5), seed=4)
    benchmark = benchmark_of(world)
    for run in range(3):
        (folder / f"w{run}").mkdir()
        for step, x in zip(world.steps, world.features[run], strict=True):
            torch.manual_seed(run)
            made = model()
            made[0].weight.data = torch.tensor(x, dtype=torch.float32)
            torch.save(made.state_dict(), folder / f"w{run}" / f"step{step:.0f}.pt")
        with (folder / f"p{run}.csv").open("w", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(["step", "score"])
            values = world.performance(run, 3.1)
            rows.writerows((f"{step:.0f}", value) for step, value in zip(world.steps, values, strict=True))
        series = files(folder / f"w{run}" / "step{step}.pt", model=f"{__name__}:model")
        how = {"tokenizer": tokenizer, "layers": ["0", "1"], "pooling": "last", "controls": False}
        monitor = watch(benchmark, record=folder / f"r{run}", run=f"r{run}", **how)
        replay(series, monitor, kept=DiskFeatureCache(folder=folder / "kept"))
    return folder, benchmark


def asked(kept, run=0, **how):
    folder, benchmark = kept
    given = {"task_log": folder / f"p{run}.csv", "benchmark": benchmark, "draws": 60, "surrogates": 19, **OF, **how}
    return compare(Record(folder / f"r{run}"), **given)


def test_over_subjects_and_stimuli_from_kept_features(kept):
    found = asked(kept, over=("stimuli", "subjects"), features=kept[0] / "kept")
    general = found.general
    assert general.over == ("subjects", "stimuli")
    assert [(s.name, s.units) for s in general.sources] == [("subjects", 6), ("stimuli", 12), ("checkpoints", 16)]
    assert general.log10 == pytest.approx(found.trend.log10, abs=0.05)
    assert general.verdict == "alignment leads"
    low, high = general.ci_log10
    assert low < 0.9 < high
    text = str(found)
    assert "over subjects and stimuli: alignment first" in text
    assert "Not drawn anew: seeds." in text
    assert len(text.splitlines()) < 24
    assert json.loads(json.dumps(found.to_dict()))["general"]["over"] == ["subjects", "stimuli"]


@pytest.mark.parametrize("metric", ["rsa-correlation-spearman", "ridge-gcv"])
def test_other_metrics_are_drawn_too(kept, metric):
    general = asked(kept, over="stimuli", features=kept[0] / "kept", metric=metric).general
    assert general.verdict == "alignment leads"
    assert general.sources[0].error > 0


def test_subjects_alone_need_no_features(kept):
    general = asked(kept, over=("subjects",)).general
    assert [s.name for s in general.sources] == ["subjects", "checkpoints"]


def test_the_best_of_several_layers_and_regions_is_taken(kept):
    general = asked(kept, over=("subjects",), layer=["0", "1"], roi=["R", "Q"]).general
    assert {name for name, _ in general.choices} <= {"R, 0", "R, 1", "Q, 0", "Q, 1"}
    assert sum(share for _, share in general.choices) == pytest.approx(1)
    assert general.choices[0][0] == "R, 0"


def with_task(folder, run, made):
    """The record with its performance inside, as a live run has it."""
    shutil.copytree(folder / f"r{run}", made)
    record = Record(made)
    given = {"run": record.run, "kind": "task", "metric": "score", "unit": "share", "source": "measured"}
    with (folder / f"p{run}.csv").open() as handle:
        record.append([Score(**given, step=int(r["step"]), value=float(r["score"])) for r in csv.DictReader(handle)])
    record.close()
    return str(made)


def test_the_command_line_over_seeds_subjects_and_stimuli(kept, capsys, tmp_path):
    folder, benchmark = kept
    write_benchmark(benchmark, tmp_path / "sixty")
    records = [with_task(folder, run, tmp_path / f"r{run}") for run in range(3)]
    which = ["--roi", "R", "--layer", "0", "--metric", "cka-linear-debiased", "--task", "score"]
    over = ["--over", "seeds", "subjects", "stimuli", "--features", str(folder / "kept"), "--draws", "60"]
    more = ["--benchmark", str(tmp_path / "sixty"), "--surrogates", "19", "--details"]
    assert main(["lag", *records, *which, *over, *more]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "over seeds, subjects and stimuli: alignment first" in out
    assert all(f"{name} 0." in out for name in ("seeds", "subjects", "stimuli")), out
    assert main(["lag", *records, *which, "--over", "stimuli"]) != 0
    assert "ontogeny replay ... --features FOLDER" in capsys.readouterr().err
    assert main(["lag", records[0], *which, "--draws", "60"]) != 0
    assert "--features and --draws are of --over" in capsys.readouterr().err
    with pytest.raises(LagError, match="features= are of over="):
        compare(records[0], features="kept", **OF)


def test_what_cannot_be_drawn_is_refused_with_what_to_do(kept, tmp_path):
    folder, _ = kept
    with pytest.raises(LagError, match="generalised over seeds, subjects, stimuli; got 'stimulus'"):
        asked(kept, over=("stimulus",))
    with pytest.raises(LagError, match="over stimuli needs the features of every checkpoint"):
        asked(kept, over=("stimuli",))
    with pytest.raises(LagError, match="over= needs records"):
        compare(np.arange(20.0), over=("subjects",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no features of step 1 .*--features"):
        asked(kept, over=("stimuli",), features=tmp_path / "empty")
    with pytest.raises(MetricError, match="mutual-knn-5-cosine cannot be scored on stimuli drawn anew"):
        asked(kept, over=("stimuli",), features=folder / "kept", metric="mutual-knn-5-cosine")
    with pytest.raises(RecordError, match="choose metric from"):
        compare(Record(folder / "r0"), over=("subjects",), task="score", task_log=folder / "p0.csv")
    refused = asked(kept, over=("seeds",)).general
    assert refused.verdict == "refused: 1 run; at least 3 are needed to speak of further seeds"


def test_features_of_other_responses_are_noticed(kept):
    folder, _ = kept
    other = benchmark_of(drawn_world(size=(1, 6, 12, 5), seed=9))
    with pytest.raises(DataError, match="they give other scores than the record"):
        asked(kept, over=("stimuli",), features=folder / "kept", benchmark=other)
