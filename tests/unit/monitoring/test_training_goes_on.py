"""Whatever a metric, a task, a sink or stderr does, training goes on; Ctrl-C and signals end it as ever."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from tests.helpers import benchmarks
from tests.helpers.models import TinyCNN, transform

from ontogeny import Record, watch
from ontogeny import _messages as messages
from ontogeny._messages import printable
from ontogeny.errors import ProbeError
from ontogeny.monitoring.heldout.loss import Measured

pytestmark = [pytest.mark.usefixtures("unchecked"), pytest.mark.filterwarnings("ignore:.*fork")]


class Odd(BaseException):
    """No `Exception`."""


AS_ERROR = messages._as_error  # the tests' own is put in its place in each
ERRORS = [SystemExit, Odd, GeneratorExit, OSError]


class Sink:
    def __init__(self, error, *, at="write"):
        self.error, self.at, self.rows = error, at, []

    def write(self, step, metrics):
        self.rows.append(step)
        if self.at == "write":
            raise self.error(9)

    def finish(self, record):
        if self.at == "finish":
            raise self.error(9)


@dataclass(frozen=True)
class Metric:
    """A metric that raises when it scores."""

    error: type[BaseException]
    name: str = "raises"
    unit: str = "r"

    def prepare(self, targets, folds):
        return self

    def score(self, view):
        raise self.error(9)


def monitor_of(benchmark, folder, **options):
    options = {"transform": transform, "schedule": "every:1", "controls": False, "rehearsal": False, **options}
    return watch(benchmark, record=folder, **options)


def train(monitor):
    torch.manual_seed(0)
    model = TinyCNN()
    monitor(model, 0)
    model.head.weight.data.add_(1)
    monitor.finish(model, 1)


def probes(folder):
    return [s.step for s in Record(folder).events(kind="probe")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("at", ["write", "finish"])
def test_a_sink_that_raises_anything_stops_nothing_and_leaves_no_false_refusal(image_benchmark, tmp_path, at, error):
    sink = Sink(error, at=at)
    with pytest.warns(UserWarning, match="Sink could not"):
        train(monitor_of(image_benchmark, tmp_path / "r", sinks=[sink]))
    assert sink.rows == probes(tmp_path / "r") == [0, 1]
    assert Record(tmp_path / "r").events(kind="refusal") == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_task_that_raises_anything_loses_its_own_row_alone(image_benchmark, tmp_path, error):
    def task(model):
        raise error(9)

    train(monitor_of(image_benchmark, tmp_path / "r", task=task))
    assert probes(tmp_path / "r") == [0, 1]
    refused = Record(tmp_path / "r").events(kind="refusal")
    assert [(s.layer, s.note.partition(":")[0]) for s in refused] == [("(task)", error.__name__)] * 2


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_metric_that_raises_anything_loses_its_own_rows_alone(image_benchmark, tmp_path, background, error, capfd):
    broken = replace(image_benchmark, metrics=(Metric(error), *image_benchmark.metrics))
    train(monitor_of(broken, tmp_path / "r", background=background))
    train(monitor_of(image_benchmark, tmp_path / "without"))
    record, without = Record(tmp_path / "r"), Record(tmp_path / "without")
    assert probes(tmp_path / "r") == [0, 1]
    refused = record.events(kind="refusal")
    assert {s.step for s in refused} == {0, 1}
    assert {(s.metric, s.note.split(": ")[1]) for s in refused} == {("raises", error.__name__)}
    values = [[(s.step, s.layer, s.metric, s.value) for s in r.select(kind="alignment")] for r in (record, without)]
    assert values[0] == values[1] != []
    assert capfd.readouterr().err.count("metric 'raises' is refused at step 0: the metric failed:") == 1


@pytest.mark.parametrize("what", ["metric", "task"])
def test_on_error_raise_ends_the_training_once_the_rest_is_recorded(image_benchmark, tmp_path, what):
    def task(model):
        raise OSError(9)

    broken = {"metric": replace(image_benchmark, metrics=(Metric(OSError), *image_benchmark.metrics))}
    monitor = monitor_of(
        broken.get(what, image_benchmark), tmp_path / "r", task=task if what == "task" else False, on_error="raise"
    )
    with pytest.raises(ProbeError, match="the probe at step 0 is recorded, but for what failed: .*OSError: 9"):
        monitor(TinyCNN(), 0)
    assert probes(tmp_path / "r") == [0]
    assert monitor.record.select(kind="alignment") != []


@pytest.mark.parametrize("where", ["sink", "task"])
def test_ctrl_c_passes(image_benchmark, tmp_path, where):
    def task(model):
        raise KeyboardInterrupt

    options = {"task": task} if where == "task" else {"sinks": [Sink(KeyboardInterrupt)]}
    with pytest.raises(KeyboardInterrupt):
        monitor_of(image_benchmark, tmp_path / "r", **options)(TinyCNN(), 0)


@pytest.mark.parametrize("where", ["sink", "task"])
def test_what_a_signals_handler_raises_passes(image_benchmark, tmp_path, where):
    """Clusters end a job by SIGTERM, and scripts answer by `sys.exit`: that is not the sink's failure."""

    def leave(number, frame):
        sys.exit(7)

    class Killed(Sink):
        def write(self, step, metrics):
            os.kill(os.getpid(), signal.SIGTERM)

    def task(model):
        os.kill(os.getpid(), signal.SIGTERM)
        return [Measured(metric="loss", value=1.0, unit="nats", n=1)]

    options = {"task": task} if where == "task" else {"sinks": [Killed(None)]}
    monitor = monitor_of(image_benchmark, tmp_path / "r", **options)
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit, match="7"):
            monitor(TinyCNN(), 0)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_rows_that_are_stored_are_not_called_refused(image_benchmark, tmp_path, monkeypatch):
    """Whatever fails once they are on disk."""
    from ontogeny.monitoring import recorder

    def broken(scores, weights):
        raise ValueError("a name that cannot be")

    monkeypatch.setattr(recorder, "metric_keys", broken)
    with pytest.warns(UserWarning, match="the probe at step 0 is recorded; what failed after that"):
        monitor_of(image_benchmark, tmp_path / "r")(TinyCNN(), 0)
    assert probes(tmp_path / "r") == [0]
    assert Record(tmp_path / "r").events(kind="refusal") == []


def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 2)


STDERR = {
    "-W error": lambda: (warnings.resetwarnings(), warnings.simplefilter("error")),
    "closed": lambda: sys.stderr.close(),
    "none": lambda: setattr(sys, "stderr", None),
    "descriptor closed": lambda: os.close(2),
    "broken pipe": broken_pipe,
}


def alone(prepare, folder):
    """A training in a process of its own, which ends with 0 where it came to its end."""
    sys.stdout, sys.stderr = (folder / "out").open("w"), (folder / "err").open("w")
    os.dup2(sys.stderr.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    prepare()
    messages._as_error = AS_ERROR

    def task(model):
        raise SystemExit(9)

    sinks = [Sink(SystemExit), Sink(SystemExit, at="finish")]
    train(monitor_of(benchmarks.image_benchmark(), folder / "r", task=task, sinks=sinks, rehearsal=True, say_every=1))
    sys.stdout.flush()


@pytest.mark.parametrize("how", list(STDERR))
def test_training_goes_on_without_anybody_to_tell(tmp_path, how):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            alone(STDERR[how], tmp_path)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, (tmp_path / "err").read_text()
    assert probes(tmp_path / "r") == [0, 1]
    assert {s.layer for s in Record(tmp_path / "r").events(kind="refusal")} == {"(task)"}
    assert (tmp_path / "out").read_text() == ""
    if how == "-W error":
        assert "ontogeny: warning: Sink could not log step 0: SystemExit: 9" in (tmp_path / "err").read_text()
        assert "ontogeny: warning: Sink could not finish: SystemExit: 9" in (tmp_path / "err").read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("IT", "IT"),
        ("größe 脳 a\tb\nc", "größe 脳 a\tb\nc"),
        ("a\x1b[31mb\r\x00\x7f\x9b", "a?[31mb????"),
        ("\u202eabc\u2066", "?abc?"),
        ("\ud800", "?"),
    ],
)
def test_what_is_shown_has_no_control_characters(text, shown):
    assert printable(text) == shown
