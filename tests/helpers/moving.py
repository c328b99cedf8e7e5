"""A record whose rows move into Parquet parts, killed on the way: python -m tests.helpers.moving HOW FOLDER SEED.

HOW is "operations": SIGKILL after each file operation in turn; "bytes": killed by the system (SIGXFSZ) as a file grows
beyond so many bytes; "moments": SIGKILL at random moments, the run going on in the same folder; "reader": nobody is
killed, but the record is opened again and again while the run writes. Every attempt is a forked child. It notes each
step as acknowledged after its rows are on disk. Prints what was seen, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute
import pyarrow.parquet

from ontogeny import Record, Score
from ontogeny.record import Event, Row
from ontogeny.record import record as record_module
from ontogeny.record.arrow import to_table

STEPS = 5
_LOADED = (pd, pyarrow)  # before the fork, so that no child imports anything while it is watched
_FILES = {"open", "write", "flush", "fsync", "replace", "truncate", "mkdir", "unlink", "__exit__"}


def rows(step: int) -> list[Row]:
    values = np.random.default_rng(step).random(30)
    scores = [
        Score(run="r", step=step, kind="alignment", roi=f"r{i % 3}", layer=f"l{i}", value=float(v), note="ä" * i)
        for i, v in enumerate(values)
    ]
    return [*scores, Event(run="r", step=step, kind="probe", metric="seconds", value=0.1)]


def everything() -> list[Row]:
    """Of all steps, the scores before the events."""
    found = [row for step in range(STEPS) for row in rows(step)]
    return [*(row for row in found if isinstance(row, Score)), *(row for row in found if isinstance(row, Event))]


def held(record: Record) -> list[Row]:
    return [*record.scores, *record.events()]


def train(folder: Path) -> None:
    """Rows of each step: as lines until there are too many, as a table, moved on request."""
    record_module.MOST_LINES = 20 if folder.name == "parts" else 70
    record = Record(folder, create=True)
    for step in range(STEPS):
        if step == 3:
            record.append_table(to_table([row for row in rows(step) if isinstance(row, Score)]))
            record.append([row for row in rows(step) if isinstance(row, Event)])
        else:
            record.append(rows(step))
        if step == 4:
            record.compact()
        with (folder / "acknowledged").open("a") as handle:
            handle.write(f"{step}\n")


def attempt(folder: Path, prepare: Callable[[], None], moment: float | None = None) -> bool:
    """Train in a child that is prepared to be killed; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            train(folder)
            code = 0
        finally:
            os._exit(code)
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("the child failed, and was not killed")
    return os.WIFEXITED(status)


def killed_after(count: int) -> Callable[[], None]:
    left = [count]

    def watch(frame: FrameType, event: str, what: Any) -> None:
        if event == "c_return" and what.__name__ in _FILES:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.setprofile(watch)


def killed_beyond(size: int) -> Callable[[], None]:
    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return prepare


def look(folder: Path) -> dict[str, Any]:
    """What is on disk: acknowledged rows that are lost, rows that were never written, rows that are there twice."""
    said = acknowledged(folder)
    if not (folder / "record.json").exists():
        return {"acknowledged": said, "lost": said, "wrong": 0, "doubled": 0, "parts": 0}
    record = Record(folder)
    found, want = held(record), everything()
    return {
        "acknowledged": said,
        "lost": sum(score.step < said and score not in found for score in want),
        "wrong": sum(score not in want for score in found),
        "doubled": len(found) - len({row.key for row in found}) + len(record) - len(record.scores),
        "parts": len(list((folder / "scores").glob("*.parquet"))),
    }


def acknowledged(folder: Path) -> int:
    file = folder / "acknowledged"
    return len(set(file.read_text().split())) if file.exists() else 0


def ends_alike(folder: Path) -> bool:
    """Whether the run, when it goes on, ends with the very rows of a run that was left alone."""
    attempt(folder, lambda: None)
    return held(Record(folder)) == everything()


def one_by_one(folder: Path, kills: Callable[[int], Callable[[], None]], sizes: list[int]) -> list[dict[str, Any]]:
    seen = []
    for size in sizes:
        shutil.rmtree(folder, ignore_errors=True)
        done = attempt(folder, kills(size))
        seen.append({**look(folder), "killed": not done, "alike": ends_alike(folder)})
        if done:
            break
    return seen


def at_moments(folder: Path, seed: int) -> list[dict[str, Any]]:
    rng, seen = random.Random(seed), []
    for i in range(12):
        shutil.rmtree(folder, ignore_errors=True)
        for _ in range(4):
            done = attempt(folder, lambda: None, rng.uniform(0, 0.01 * (1 + i)))
            seen.append({**look(folder), "killed": not done, "alike": True})
        seen[-1]["alike"] = ends_alike(folder)
    return seen


def read_on(folder: Path) -> list[dict[str, Any]]:
    """Open the record while a child writes it, ten times over; every look is a beginning of the whole."""
    seen = []
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        child = os.fork()
        if child == 0:
            train(folder)
            os._exit(0)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            before = acknowledged(folder)
            if (folder / "record.json").exists():
                record, want = Record(folder), everything()
                scores, events = list(record.scores), record.events()
                whole = scores == want[: len(scores)] and events == want[30 * STEPS :][: len(events)]
                whole = whole and len(scores) >= 30 * max(before, len(events)) and len(events) >= before
                seen.append({**look(folder), "killed": False, "alike": whole})
    return seen


def main(how: str, where: str, seed: str) -> None:
    warnings.filterwarnings("ignore", "dropped a torn|.*dropped a torn|.*fork")
    folder = Path(where) / "record"
    ways = {
        "operations": lambda: one_by_one(folder, killed_after, list(range(1, 1000))),
        "bytes": lambda: [
            *one_by_one(folder, killed_beyond, list(range(1, 40_000, 531))),
            *one_by_one(folder.with_name("parts"), killed_beyond, list(range(1, 40_000, 531))),
        ],
        "moments": lambda: at_moments(folder, int(seed)),
        "reader": lambda: read_on(folder),
    }
    print(json.dumps(ways[how]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
