"""Header: record.json, what a record says about its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ontogeny._atomic_write import atomic_write
from ontogeny.errors import RecordError
from ontogeny.record._storage.strict_json import parsed

__all__ = ["SCHEMA", "has_header", "read_header", "write_header"]

# 1: JSON lines, events among the scores. 2: Parquet parts behind them. 3: rows that were left behind by a branch.
# 4: events in a file of their own, which an older reader would overlook. Older records are read, and become 4 with
# what is next written to them; their events stay where they are.
SCHEMA = 4


def has_header(folder: Path) -> bool:
    """Whether a folder is a record's."""
    return (folder / "record.json").exists()


def write_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Replace a record's header.

    Raises:
        RecordError: it cannot be written.
    """
    with atomic_write(folder / "record.json") as handle:
        handle.write(json.dumps(header, indent=1, ensure_ascii=False).encode(errors="backslashreplace"))


def read_header(folder: Path) -> dict[str, Any]:
    """A record's header; one of an older ontogeny has no identity yet, and "" in its place.

    "lines" is true where scores.jsonl was made before the header, so that it is there ever after.

    Raises:
        RecordError: it is not one, or of a newer schema.
    """
    path = folder / "record.json"
    try:
        header = parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}; restore it from a copy") from error
    if not isinstance(header, dict) or not _is_version(header.get("schema")):
        raise RecordError(f"{path} is not the header of a record: no schema version")
    if header["schema"] > SCHEMA:
        raise RecordError(f"{path} has schema {header['schema']}, this ontogeny reads up to {SCHEMA}; upgrade ontogeny")
    header = {"identity": "", "lines": False, "benchmarks": {}, "versions": {}, **header}
    for name, fits, what in _FIELDS:
        if not fits(header.get(name)):
            raise RecordError(f"{path}: {name!r} is {what}, got {str(header.get(name))[:80]!r}; restore it from a copy")
    return header


def _is_version(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_benchmarks(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(about, dict) and isinstance(about.get("fingerprint"), str) for about in value.values()
    )


_FIELDS = (
    ("run", _is_text, "text"),
    ("identity", _is_text, "text"),
    ("lines", lambda value: isinstance(value, bool), "true or false"),
    ("benchmarks", _are_benchmarks, "an object of benchmarks, each with its fingerprint"),
    ("versions", lambda value: isinstance(value, dict), "an object"),
)
