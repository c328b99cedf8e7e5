"""Promise 4: one row a key; killed at any byte the record opens again; resume continues without gap or double."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.models import TinyCNN, transform

from ontogeny import Record, watch
from ontogeny.errors import RecordError
from ontogeny.record import Score


def score(step=0, layer="l", value=0.5):
    return Score(run="r", step=step, kind="alignment", roi="IT", layer=layer, metric="m", value=value, unit="u")


def test_a_key_is_written_once(tmp_path):
    record = Record(tmp_path / "r", create=True)
    assert len(record.append([score(), score(), score(1)])) == 2
    assert record.append([score(value=0.9)]) == []
    assert [s.value for s in Record(tmp_path / "r").scores] == [0.5, 0.5]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=4000))
def test_killed_at_any_byte_the_record_opens_and_continues(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("record")
    record = Record(folder, create=True)
    for step in range(4):
        record.append([score(step), score(step, layer='ö"\n')])
    whole = (folder / "scores.jsonl").read_bytes()
    cut = min(cut, len(whole))
    (folder / "scores.jsonl").write_bytes(whole[:cut])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = Record(folder)
    torn = cut > 0 and whole[cut - 1 : cut] != b"\n"
    assert [("torn last line" in str(w.message)) for w in caught] == [True] * torn
    assert len(again.scores) == whole[:cut].count(b"\n")
    for step in range(4):
        again.append([score(step), score(step, layer='ö"\n')])
    assert [s.key for s in Record(folder).scores] == [s.key for s in record.scores]
    shutil.rmtree(folder)


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append([score(0), score(1)])
    lines = (tmp_path / "r" / "scores.jsonl").read_text().splitlines()
    (tmp_path / "r" / "scores.jsonl").write_text(lines[0][:20] + "\n" + lines[1] + "\n")
    with pytest.raises(RecordError, match=r"scores.jsonl, line 1 is not JSON"):
        Record(tmp_path / "r")


def test_a_line_that_is_no_score_is_named(tmp_path):
    Record(tmp_path / "r", create=True)
    (tmp_path / "r" / "scores.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(RecordError, match="lacks"):
        Record(tmp_path / "r")


def test_running_again_in_the_same_folder_resumes_and_never_doubles(image_benchmark, tmp_path):
    model = TinyCNN()
    first = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    first(model, 0)
    lines = (tmp_path / "r" / "scores.jsonl").read_text().splitlines()
    second = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    assert second(model, 0) == []
    assert (tmp_path / "r" / "scores.jsonl").read_text().splitlines() == lines
    model.head.weight.data.add_(1)
    assert second(model, 1)
    steps = [s.step for s in Record(tmp_path / "r").events(kind="probe")]
    assert steps == [0, 1]


@pytest.mark.parametrize("cut", [(5, 0), (20, 0), (None, 0), (None, 1)], ids=str)
def test_a_probe_killed_half_way_through_writing_is_completed(image_benchmark, tmp_path, cut):
    """Scores are on disk before the events of the same probe, whose last one closes it."""
    model = TinyCNN()
    watch(image_benchmark, record=tmp_path / "r", transform=transform)(model, 0)
    files = [tmp_path / "r" / name for name in ("scores.jsonl", "events.jsonl")]
    whole = [file.read_text().splitlines(keepends=True) for file in files]
    assert [len(lines) > n for lines, n in zip(whole, (20, 1), strict=True)] == [True, True]
    for file, lines, n in zip(files, whole, cut, strict=True):
        file.write_text("".join(lines[:n]))
    assert Record(tmp_path / "r").events(kind="probe") == []
    watch(image_benchmark, record=tmp_path / "r", transform=transform)(model, 0)
    assert files[0].read_text().splitlines(keepends=True) == whole[0]
    again = [{**json.loads(line), "value": 0} for line in files[1].read_text().splitlines()]
    assert again == [{**json.loads(line), "value": 0} for line in whole[1]], "but for seconds"


def test_another_benchmark_under_the_same_name_is_refused(image_benchmark, tmp_path):
    from dataclasses import replace

    watch(image_benchmark, record=tmp_path / "r", transform=transform)
    with pytest.raises(RecordError, match="holds scores of benchmark 'tiny-image' with fingerprint"):
        watch(replace(image_benchmark, version="2"), record=tmp_path / "r", transform=transform)


def test_another_run_in_the_same_folder_is_refused(image_benchmark, tmp_path):
    watch(image_benchmark, record=tmp_path / "r", transform=transform)(TinyCNN(), 0)
    other = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    with pytest.raises(RecordError, match="another run wrote there. Choose another record folder"):
        other(TinyCNN(), 0)


def test_other_weights_at_a_later_step_supersede_and_nothing_is_deleted(image_benchmark, tmp_path):
    model = TinyCNN()
    first = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    first(model, 0)
    first(model, 1)
    before = (tmp_path / "r" / "scores.jsonl").read_text()
    second = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    second(model, 0)
    model.head.weight.data.add_(1)
    with pytest.warns(UserWarning, match="went on differently: step 1 has other weights now"):
        assert second(model, 1)
    assert (tmp_path / "r" / "scores.jsonl").read_text().startswith(before)


def seeded(seed):
    torch.manual_seed(seed)
    return TinyCNN()


def test_a_second_loop_with_the_same_monitor_is_another_run(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1", controls=False)
    for step in range(2):
        monitor(seeded(1), step)
    before = (tmp_path / "r" / "scores.jsonl").read_text()
    with pytest.raises(RecordError, match="holds step 0, of other weights"):
        monitor(seeded(2), 0)
    assert (tmp_path / "r" / "scores.jsonl").read_text() == before


def test_a_loop_that_goes_back_to_its_own_weights_goes_on(image_benchmark, tmp_path):
    """Also to a step that was not probed, of which nothing is known: training does not end for that."""
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:2", controls=False)
    for step in range(5):
        monitor(seeded(step), step)
    monitor(seeded(3), 3)
    with pytest.warns(UserWarning, match="resumed at step 3 and went on differently: step 4 has other weights now"):
        monitor(seeded(9), 4)
    monitor(seeded(2), 2)
    monitor(seeded(10), 6)
    record = Record(tmp_path / "r")
    assert [row.step for row in record.events(kind="probe")] == [0, 2, 4, 6]
    assert len(record.branches) == 1


def test_a_newer_schema_is_refused(tmp_path):
    Record(tmp_path / "r", create=True)
    header = json.loads((tmp_path / "r" / "record.json").read_text())
    (tmp_path / "r" / "record.json").write_text(json.dumps({**header, "schema": 99}))
    with pytest.raises(RecordError, match="has schema 99"):
        Record(tmp_path / "r")


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(RecordError, match="there is no record at"):
        Record(tmp_path / "nothing")


def test_a_full_disk_leaves_whole_lines_and_training_goes_on(image_benchmark, tmp_path, monkeypatch):
    """A real write limit (RLIMIT_FSIZE): the row group does not fit, nothing of it stays, training goes on."""
    import resource
    import signal

    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    model = TinyCNN()
    monitor(model, 0)
    before = (tmp_path / "r" / "scores.jsonl").read_bytes()
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limit[1]))
    try:
        with pytest.warns(UserWarning) as caught:
            assert monitor(model, 1) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert any("free some disk space" in str(w.message) for w in caught)
    assert (tmp_path / "r" / "scores.jsonl").read_bytes() == before
    assert monitor(model, 2)
    assert [s.step for s in Record(tmp_path / "r").events(kind="probe")] == [0, 2]


def test_a_reader_changes_nothing_while_a_run_writes(tmp_path):
    """A report of a running training may come in the middle of a line."""
    record = Record(tmp_path / "r", create=True)
    record.append([score(0)])
    file = tmp_path / "r" / "scores.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:30])
    with pytest.warns(UserWarning, match="dropped a torn last line of 30 bytes"):
        assert len(Record(tmp_path / "r").scores) == 1
    assert file.read_bytes() == whole + whole[:30]


def test_two_runs_that_write_into_one_record_are_noticed(tmp_path):
    first = Record(tmp_path / "r", create=True)
    first.append([score(0)])
    second = Record(tmp_path / "r")
    first.append([score(1)])
    with pytest.raises(RecordError, match="another process wrote there since it was opened. Give each run its own"):
        second.append([score(2)])
    assert [s.step for s in Record(tmp_path / "r").scores] == [0, 1]
