"""What a record says of itself: its benchmarks, and what it holds in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import RecordError
from ontogeny.record._select import select_scores
from ontogeny.record._storage.store import Store
from ontogeny.record.event import Event
from ontogeny.record.row import Row

__all__ = ["facts_of", "probed", "with_benchmark"]


def facts_of(store: Store) -> dict[str, str]:
    """Identity, scores, events, bytes on disk, probes, ... of a record, in words; reads tasks and events alone."""
    lines, parts = (_files(store.folder, pattern) for pattern in ("*.jsonl", "scores/*.parquet"))
    total, n, events = lines[1] + parts[1], store.rows, store.events()
    tasks = Counter(score.metric for score in select_scores(store, {"kind": "task"}))
    known = [f"{name} (fingerprint {about['fingerprint']})" for name, about in store.header["benchmarks"].items()]
    facts = {
        "run": store.run,
        "identity": store.header["identity"] or "none (made by an older ontogeny)",
        "scores": f"{n:,}",
        "events": f"{len(events):,}",
        "bytes": f"{total:,}{f' ({total / n:.1f} per score)' if n else ''}: {lines[1]:,} in JSON lines, "
        f"{parts[1]:,} in {parts[0]} Parquet files",
        "probes": probed(events),
        "benchmarks": ", ".join(known) or "none",
        "tasks": ", ".join(f"{name} ({count})" for name, count in tasks.items()) or "none",
        "refusals": str(sum(event.kind == "refusal" for event in events)),
        "weights": str(store.header.get("weights", "not said")),
    }
    return facts | {branch.name: _left(store.left_behind(branch), branch.note) for branch in store.branches}


def probed(events: Iterable[Event]) -> str:
    """How many steps were probed, and from which to which."""
    steps = sorted({event.step for event in events if event.kind == "probe"})
    n = len(steps)
    return f"{n} probe{'' if n == 1 else 's'}, steps {steps[0]:,} to {steps[-1]:,}" if n else "none"


def with_benchmark(folder: Path, known: Mapping[str, Any], name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The benchmarks of a record, and one more.

    Raises:
        RecordError: it has one of this name with another fingerprint.
    """
    there = known.get(name)
    if there is not None and there["fingerprint"] != about["fingerprint"]:
        raise RecordError(
            f"record {folder} holds scores of benchmark {name!r} with fingerprint {there['fingerprint']}, "
            f"this one has {about['fingerprint']}: stimuli, responses, folds or metrics differ. "
            "Write to another folder, or give the benchmark another name"
        )
    return {**known, name: dict(about)}


def _left(rows: Sequence[Row], note: str) -> str:
    steps = sorted({row.step for row in rows})
    where = f", steps {steps[0]} to {steps[-1]}" if steps else ""
    return f"{len(rows):,} rows left behind{where}: {note}"


def _files(folder: Path, pattern: str) -> tuple[int, int]:
    found = list(folder.glob(pattern))
    return len(found), sum(path.stat().st_size for path in found)
