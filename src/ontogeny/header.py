"""Header: record.json, what a record says about its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ontogeny.disk import replacing
from ontogeny.errors import RecordError

__all__ = ["SCHEMA", "SCHEMA_OF_PARTS", "read_header", "write_header"]

SCHEMA = 1
SCHEMA_OF_PARTS = 2  # a record with Parquet parts, which a reader of schema 1 would overlook


def write_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Replace a record's header.

    Raises:
        RecordError: it cannot be written.
    """
    with replacing(folder / "record.json") as handle:
        handle.write(json.dumps(header, indent=1, ensure_ascii=False).encode())


def read_header(folder: Path) -> dict[str, Any]:
    """A record's header.

    Raises:
        RecordError: it is not one, or of a newer schema.
    """
    path = folder / "record.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("schema"), int):
        raise RecordError(f"{path} is not the header of a record: no schema version")
    if header["schema"] > SCHEMA_OF_PARTS:
        raise RecordError(
            f"{path} has schema {header['schema']}, this ontogeny reads up to {SCHEMA_OF_PARTS}; upgrade ontogeny"
        )
    return header
