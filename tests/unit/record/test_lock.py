"""One process at a time writes a record; a killed one leaves no lock behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from ontogeny import Record
from ontogeny.errors import RecordError
from ontogeny.record import Score
from ontogeny.record._storage.lock import WriteLock

pytestmark = pytest.mark.filterwarnings("ignore:.*fork")

WRITER = """
import os, sys, time
from pathlib import Path
from ontogeny.errors import RecordError
from ontogeny.record import Score
from ontogeny.record import Record
folder, name, others, rows = sys.argv[1:]
done = 0
try:
    try:
        record = Record(folder, create=True, run="r")
    finally:
        Path(f"{folder}.{name}").touch()
    while not all(Path(f"{folder}.{other}").exists() for other in others.split()):
        pass
    for step in range(int(rows)):
        done += len(record.append([Score(run="r", step=step, kind="task", metric=name, value=1.0)]))
except RecordError as error:
    print(f"{done} refused {error}")
else:
    print(f"{done} written", flush=True)
if int(rows) == 1:
    os.fork()
    time.sleep(60)
"""


def writer(folder, name, others="", rows=20):
    command = [sys.executable, "-c", WRITER, str(folder), name, others, str(rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def row(step):
    return Score(run="r", step=step, kind="task", metric="here", value=1.0)


@pytest.mark.parametrize("there", [True, False], ids=["a record that is there", "a new one"])
def test_of_two_processes_that_append_at_once_one_is_refused(tmp_path, there):
    """Both have opened it before either writes."""
    if there:
        Record(tmp_path / "r", create=True, run="r")
    both = [writer(tmp_path / "r", name, "one two") for name in ("one", "two")]
    said = [process.communicate(timeout=60) for process in both]
    assert [err for _, err in said] == ["", ""]
    told = sorted((out.strip() for out, _ in said), key=lambda line: "refused" in line)
    assert told[0] == "20 written"
    assert told[1].startswith("0 refused")
    assert "is writing into" in told[1] or "another process wrote there since it was opened" in told[1]
    record = Record(tmp_path / "r")
    assert len({s.metric for s in record.scores}) == 1, "no row of the other one"
    assert [s.step for s in record.scores] == list(range(20))
    assert len((tmp_path / "r" / "scores.jsonl").read_bytes().splitlines()) == 20


def test_a_killed_writer_leaves_no_lock_though_its_children_live_on(tmp_path):
    process = writer(tmp_path / "r", "one", rows=1)
    assert process.stdout.readline() == "1 written\n"
    record = Record(tmp_path / "r")
    with pytest.raises(
        RecordError, match=rf"process {process.pid} on .* is writing into .*Give each run its own record"
    ):
        record.append([row(1)])
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert [s.step for s in record.append([row(1)])] == [1]
    process.stdout.close()
    process.stderr.close()


def test_objects_of_one_process_share_the_lock_and_give_it_back(tmp_path):
    first = Record(tmp_path / "r", create=True)
    first.append([row(0)])
    second = Record(tmp_path / "r")
    second.append([row(1)])
    first.close()
    assert refused_elsewhere(tmp_path / "r")
    second.close()
    assert not refused_elsewhere(tmp_path / "r")
    del first
    third = Record(tmp_path / "r")
    third.append([row(2)])
    assert refused_elsewhere(tmp_path / "r")
    del third
    assert not refused_elsewhere(tmp_path / "r"), "an object that is gone holds nothing"


def refused_elsewhere(folder):
    child = os.fork()
    if child == 0:
        code = 2
        try:
            WriteLock(folder).hold()
            code = 0
        except RecordError:
            code = 1
        finally:
            os._exit(code)
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_a_reader_needs_no_lock(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append([row(0)])
    code = "import sys; from ontogeny.record import Record; print(len(Record(sys.argv[1]).scores))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "r"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_file_system_without_locks_is_named_and_what_to_do(tmp_path, monkeypatch):
    """Such a file system cannot be had here: the call answers as the kernel does there."""

    def none(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", none)
    with pytest.raises(RecordError, match=r"its file system has no locks.*ONTOGENY_RECORD_LOCK=off"):
        Record(tmp_path / "r", create=True)
    monkeypatch.setenv("ONTOGENY_RECORD_LOCK", "off")
    assert Record(tmp_path / "r", create=True).append([row(0)])


def test_a_folder_that_was_deleted_and_made_again_is_locked_anew(tmp_path):
    old = Record(tmp_path / "r", create=True)
    old.append([row(0)])
    shutil.rmtree(tmp_path / "r")
    new = Record(tmp_path / "r", create=True)
    new.append([row(0)])
    assert refused_elsewhere(tmp_path / "r")
    assert new.identity != old.identity


def test_a_record_of_an_older_version_gets_its_identity_once(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "record.json").write_text('{"schema": 1, "run": "r", "benchmarks": {}, "versions": {}}')
    record = Record(tmp_path / "r")
    assert record.identity == ""
    record.identify()
    record.identify()
    assert json.loads((tmp_path / "r" / "record.json").read_text())["identity"] == record.identity != ""
