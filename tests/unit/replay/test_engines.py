"""Engines: the same rows wherever checkpoints are measured, also when a process is killed on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from tests.helpers.nets import TinyCNN, TinyReader, tokenizer, transform
from tests.helpers.tasks import Killing, gpus_given

from ontogeny import Record, watch
from ontogeny.errors import ConfigError
from ontogeny.metrics import CKA
from ontogeny.record.progress import progress_of
from ontogeny.replay import DiskFeatureCache, Here, Local, Ray, files, replay, replay_many
from ontogeny.replay._worker import SeriesJob, WorkItem, device_of
from ontogeny.replay.driver import _items

STEPS = (0, 1, 2, 5)


@pytest.fixture
def series(tmp_path):
    (tmp_path / "w").mkdir()
    for step in STEPS:
        torch.manual_seed(step)
        torch.save(TinyReader().state_dict(), tmp_path / "w" / f"step{step}.pt")
    found = files(tmp_path / "w" / "step{step}.pt", model="tests.helpers.nets:TinyReader")
    return dataclasses.replace(found, tokens=tuple(64 * step for step in found.steps))


def rows(record: Record):
    """All but what a clock says."""
    scores = {s.key[1:]: (s.value, s.chance, s.weights, s.note) for s in record.scores}
    return scores | {e.key[1:]: (e.weights, e.note * (e.kind == "refusal")) for e in record.events()}


def walked(series, benchmark, folder, task=None, **how):
    monitor = watch(benchmark, record=folder, tokenizer=tokenizer, task=task, run="r")
    return replay(series, monitor, **how), monitor.record


@pytest.fixture(scope="module")
def ray():
    """One cluster on this machine, ended afterwards."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.long
@pytest.mark.slow
def test_a_worker_is_killed_and_the_record_is_complete_and_identical(series, text_benchmark, tmp_path, ray):
    expected = rows(walked(series, text_benchmark, tmp_path / "here", Killing(str(tmp_path / "0")))[1])
    assert len(expected) > 40
    for engine in (Local(workers=2), Ray(workers=2)):
        calls = tmp_path / f"calls of {type(engine).__name__}"
        walk, record = walked(series, text_benchmark, tmp_path / repr(engine), Killing(str(calls), 1), engine=engine)
        assert [v.outcome for v in walk.results] == ["scored"] * 4, walk.lines()
        assert rows(record) == expected
        processes = [path.name.partition("-")[2] for path in calls.iterdir()]
        assert len(processes) == 5, "one checkpoint was measured twice"
        assert len(set(processes)) >= 2
        again, _ = walked(series, text_benchmark, tmp_path / repr(engine), engine=engine)
        assert [v.outcome for v in again.results] == ["known"] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", [Local(workers=1), pytest.param(Ray(workers=1), marks=pytest.mark.long)], ids=lambda e: type(e).__name__
)
def test_a_checkpoint_that_kills_every_worker_fails_alone(series, text_benchmark, tmp_path, ray, engine):
    task = Killing(str(tmp_path / "calls"), 3 if isinstance(engine, Local) else 4)
    walk, record = walked(series, text_benchmark, tmp_path / "r", task, engine=engine)
    assert [v.outcome for v in walk.results] == ["failed", "scored", "scored", "scored"]
    assert ("died 3 times" if isinstance(engine, Local) else "its Ray worker failed") in walk.results[0].reason
    assert [s.step for s in record.events(kind="probe")] == [1, 2, 5]


def test_gpus_are_given_out_by_resources(series, text_benchmark, tmp_path, ray):
    engine = Ray(cpus=0.5, gpus=0.5)
    assert engine.places() == 2
    _, record = walked(series.only([0]), text_benchmark, tmp_path / "r", gpus_given, engine=engine)
    assert [s.value for s in record.select(metric="gpus")] == [1.0]
    _, record = walked(series.only([0]), text_benchmark, tmp_path / "without", gpus_given, engine=Ray())
    assert [s.value for s in record.select(metric="gpus")] == [0.0]
    with pytest.raises(
        ConfigError, match=r"no machine of this Ray cluster has room for a worker: it has 2 CPUs, 1 GPUs"
    ):
        Ray(gpus=2.0).places()


class Wide:
    """An engine of a user's own: as `Here`, but it says that it has many places."""

    def places(self):
        return 100

    def run(self, orders):
        self.orders = list(orders)
        return Here().run(self.orders[::-1])


def test_more_places_than_checkpoints_take_one_benchmark_each(series, text_benchmark, tmp_path):
    other = dataclasses.replace(text_benchmark, name="other")
    wide = Wide()
    task = Killing(str(tmp_path / "calls"))
    walk, record = walked(series, [text_benchmark, other], tmp_path / "apart", task, engine=wide)
    assert walk.whole
    assert [(u.step, u.places, u.task) for _, u in wide.orders[:2]] == [(0, (0,), True), (0, (1,), False)]
    assert len(wide.orders) == 8
    assert len(list((tmp_path / "calls").iterdir())) == 4, "the task is measured once a checkpoint"
    _, together = walked(series, [text_benchmark, other], tmp_path / "together", task)
    assert rows(record) == rows(together)


def test_a_task_that_fails_is_in_the_closing_lines(series, text_benchmark, tmp_path):
    def broken(model):
        raise KeyError("labels")

    walk, _ = walked(series, text_benchmark, tmp_path / "r", broken)
    assert walk.whole
    (line,) = [line for line in walk.lines() if "the task failed" in line]
    assert "failed at 4 of them, first at step 0: KeyError: 'labels'" in line
    assert "replay into a new record" in line


def test_a_benchmark_that_is_added_later_is_measured_at_known_steps(series, text_benchmark, tmp_path):
    walked(series.only([0, 1]), text_benchmark, tmp_path / "r")
    other = dataclasses.replace(text_benchmark, name="other")
    walk, record = walked(series, [text_benchmark, other], tmp_path / "r")
    assert [v.outcome for v in walk.results] == ["scored"] * 4
    assert sorted({s.step for s in record.select(kind="alignment", benchmark="other")}) == list(STEPS)
    assert progress_of(record.events()) == {"tokens": {step: 64.0 * step for step in STEPS}}
    _, fresh = walked(series, [text_benchmark, other], tmp_path / "fresh")
    assert rows(record) == rows(fresh)


@pytest.mark.long
def test_many_series_each_into_its_own_record(series, text_benchmark, tmp_path):
    monitors = [watch(text_benchmark, record=tmp_path / name, tokenizer=tokenizer, run="r") for name in "abc"]
    walks = replay_many(((series.only([k]), m) for k, m in enumerate(monitors)), engine=Local(workers=2))
    assert [w.results[0].step for w in walks] == [0, 1, 2]
    assert [w.whole for w in walks] == [True] * 3
    for step, monitor in enumerate(monitors):
        assert [s.step for s in monitor.record.events(kind="probe")] == [step]
        assert monitor.record.header["parameters"] == sum(p.numel() for p in TinyReader().parameters())


def test_what_cannot_travel_is_said(series, text_benchmark, tmp_path):
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=lambda text: tokenizer(text))
    with pytest.raises(ConfigError, match="cannot travel to another process: .* Give model, tokenizer, transform"):
        replay(series, monitor, engine=Local(workers=1))


@pytest.mark.long
def test_an_engine_that_is_left_early_ends_its_processes(series, text_benchmark, tmp_path):
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer)
    job = SeriesJob(series=series, watched=monitor.watched, task=None, run="r")
    with contextlib.closing(Local(workers=2).run((job, WorkItem(step=s, places=(0,))) for s in STEPS)) as arriving:
        assert next(arriving)[1].reason == ""
        assert multiprocessing.active_children()
    deadline = time.monotonic() + 20
    while multiprocessing.active_children():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_words_for_wrong_options():
    for engine in (Local, Ray):
        with pytest.raises(ConfigError, match="at least 1 worker, got 0"):
            engine(workers=0)
    with pytest.raises(ConfigError, match="a worker needs CPUs or GPUs, got 0.0 and 0.0"):
        Ray(cpus=0.0)
    assert device_of("auto") in ("cpu", "cuda")
    with pytest.raises(ConfigError, match="there is no device 'nonsense' here"):
        device_of("nonsense")


class Counting(TinyCNN):
    """Counts in a file: what it kept in itself, or its class, would be put back."""

    def forward(self, x):
        with Path(os.environ["COUNTED"]).open("a") as file:
            file.write(".")
        return super().forward(x)


def counted() -> int:
    path = Path(os.environ["COUNTED"])
    n = len(path.read_text()) if path.exists() else 0
    path.write_text("")
    return n


def test_features_are_kept_by_the_hash_of_the_weights(image_benchmark, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    torch.manual_seed(0)
    torch.save(Counting().state_dict(), tmp_path / "step1.pt")
    kept = DiskFeatureCache(folder=tmp_path / "kept")
    other = dataclasses.replace(image_benchmark, name="other", metrics=(CKA(kind="rbf"),))

    def scores(name, benchmark, **options):
        how = {"kept": kept, "series": tmp_path / "step{step}.pt"} | options
        monitor = watch(benchmark, record=tmp_path / name, transform=transform, pooling=how.pop("pooling", ""), run="r")
        assert replay(files(how.pop("series"), model=Counting), monitor, **how).whole
        return counted(), rows(monitor.record)

    first, expected = scores("a", image_benchmark)
    assert first > 0
    assert scores("b", image_benchmark) == (0, expected)
    assert scores("c", other)[0] == 0
    assert scores("d", other)[1] == scores("e", other, kept=None)[1]
    counted()
    (tmp_path / "renamed").mkdir()
    (tmp_path / "step1.pt").rename(tmp_path / "renamed" / "ep7.pt")
    count, again = scores("f", image_benchmark, series=tmp_path / "renamed" / "ep{step}.pt")
    assert count == 0, "another name and step, the same weights"
    assert [v[:3] for v in again.values()] == [v[:3] for v in expected.values()]
    (torn,) = (tmp_path / "kept").iterdir()
    torn.write_bytes(torn.read_bytes()[:100])
    assert scores("g", image_benchmark, series=tmp_path / "renamed" / "ep{step}.pt") == (first, again)
    torch.manual_seed(1)
    torch.save(Counting().state_dict(), tmp_path / "renamed" / "ep7.pt")
    assert scores("h", image_benchmark, series=tmp_path / "renamed" / "ep{step}.pt")[0] == first, "other weights"
    own = lambda value, mask: value.flatten(1)  # noqa: E731
    for name in "ij":
        assert scores(name, image_benchmark, series=tmp_path / "renamed" / "ep{step}.pt", pooling=own)[0] == first


def test_a_folder_of_features_that_cannot_be_written_fails_the_checkpoint_by_name(image_benchmark, tmp_path):
    torch.save(TinyCNN().state_dict(), tmp_path / "step1.pt")
    (tmp_path / "file").touch()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    kept = DiskFeatureCache(folder=tmp_path / "file" / "kept")
    walk = replay(files(tmp_path / "step{step}.pt", model=TinyCNN), monitor, kept=kept)
    assert "features cannot be kept in" in walk.results[0].reason


def test_known_steps_of_a_local_series_are_compared_and_those_of_a_remote_one_left_alone(
    series, text_benchmark, tmp_path
):
    _, record = walked(series, text_benchmark, tmp_path / "r")
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, run="r")
    remote = dataclasses.replace(series, fetch=lambda step: None)
    jobs = [SeriesJob(series=s, watched=monitor.watched, task=None, run="r") for s in (series, remote)]
    items, downloaded = (_items(job, monitor, Here(), verify=False) for job in jobs)
    assert [item.step for item in items] == list(STEPS)
    assert not downloaded
    assert {item.known for item in items} == {s.weights for s in record.events(kind="probe")}
    assert [item.step for item in _items(jobs[1], monitor, Here(), verify=True)] == list(STEPS)


def test_a_worker_that_cannot_import_what_it_was_sent_says_so(series, text_benchmark, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def task(model):\n    return []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = importlib.import_module("only_here").task
    monkeypatch.undo()
    walk, _ = walked(series.only([0, 1]), text_benchmark, tmp_path / "r", task, engine=Local(workers=1))
    assert [v.outcome for v in walk.results] == ["failed"] * 2
    assert "No module named 'only_here'; can it be imported in another process?" in walk.results[1].reason
