"""A large record: bytes and seconds a row, and the best layer of each region and step.

ONTOGENY_ROWS=60000000 python -m tests.timings record      writes about 0.5 GB to a temporary folder
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ontogeny import Record
from ontogeny.record import Event
from tests.timings import Row

_SHAPE = {"roi": 180, "subject": 4, "metric": 100, "layer": 24}  # 1.7 million rows a probe
_PROBE = int(np.prod(list(_SHAPE.values())))
_LINES = 20_000


def probe(step: int, rows: int) -> pa.Table:
    """Rows of one probe as a scorer makes them: text coded, random values, a ceiling per region and metric."""
    rng = np.random.default_rng(step)
    at = dict(zip(_SHAPE, np.unravel_index(np.arange(rows), tuple(_SHAPE.values())), strict=True))
    columns: dict[str, Any] = {name: _words([f"{name} {i}" for i in range(_SHAPE[name])], at[name]) for name in _SHAPE}
    fixed = {"run": "run", "kind": "alignment", "benchmark": "made", "fingerprint": "0123456789abcdef"}
    fixed |= {"pooling": "mean", "unit": "Pearson r", "weights": f"{step:016x}"}
    columns |= {name: _words([word], np.zeros(rows)) for name, word in fixed.items()}
    columns["step"] = np.full(rows, step)
    columns["value"] = 0.3 + 0.1 * rng.standard_normal(rows)
    columns["ceiling"] = rng.random((180, 100))[at["roi"], at["metric"]]
    columns |= {"chance": np.zeros(rows), "n_stimuli": np.full(rows, 1000), "n_features": 64 + at["layer"]}
    return pa.table(columns)


def _words(words: list[str], which: np.ndarray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(which.astype(np.int32)), pa.array(words))


def rows() -> list[Row]:
    count = int(os.environ.get("ONTOGENY_ROWS", "1000000"))
    folder = Path(tempfile.mkdtemp())
    try:
        return [*_written(folder / "large", count), *_asked(folder / "large", count), *_as_lines(folder / "lines")]
    finally:
        shutil.rmtree(folder)


def _written(folder: Path, rows: int) -> list[Row]:
    made = Record(folder, create=True)
    seconds, left, step = [], rows, 0
    while left > 0:
        table = probe(step, min(_PROBE, left))
        seconds.append(_seconds(lambda table=table: made.append_table(table)))
        made.append([Event(run="run", step=step, kind="probe", metric="seconds", value=seconds[-1], unit="s")])
        left, step = left - table.num_rows, step + 1
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    per_row = f"{size / rows:.2f} bytes a row, {size / 1e6:.0f} MB; peak {_peak():.1f} GB"
    return [
        (f"record: write {rows:,} rows, {step} probes", sum(seconds), per_row),
        ("record: write the slowest probe", max(seconds), f"{min(_PROBE, rows):,} rows"),
    ]


def _asked(folder: Path, rows: int) -> list[Row]:
    questions: list[tuple[str, Callable[[], Any]]] = [
        ("open", lambda: Record(folder)),
        ("steps that were probed", lambda: Record(folder).events(kind="probe")),
        ("one curve (series)", lambda: Record(folder).series(roi="roi 3", layer="layer 5", metric="metric 0")),
        ("best layer per region and step, one metric", lambda: Record(folder).best("layer", metric="metric 0")),
        (
            "best layer per region, step and metric",
            lambda: Record(folder).best("layer", by=("roi", "step", "metric")),
        ),
    ]
    found = []
    for name, ask in questions:
        start = time.perf_counter()
        many = len(answer) if (answer := ask()) is not None else 0
        found.append(
            (f"record of {rows:,}: {name}", time.perf_counter() - start, f"{many:,} rows; peak {_peak():.1f} GB")
        )
    return found


def _as_lines(folder: Path) -> list[Row]:
    """What the same rows cost as JSON lines."""
    made = Record(folder, create=True)
    table = probe(0, _LINES)
    seconds = _seconds(lambda: made.append_table(table))
    size = (folder / "scores.jsonl").stat().st_size
    moved = _seconds(made.compact)
    return [
        (f"record: write {_LINES:,} rows as JSON lines", seconds, f"{size / _LINES:.0f} bytes a row"),
        (f"record: move {_LINES:,} rows into Parquet", moved, ""),
    ]


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
