"""Reads what an offline Weights & Biases run wrote: its `.wandb` file and the media beside it."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2


def run_folder(folder: Path) -> Path:
    """The folder of the one offline run that was started in `folder`."""
    (found,) = (folder / "wandb").glob("offline-run-*")
    return found


def settled(folder: Path, seconds: float = 30.0) -> list[Any]:
    """All entries of a finished run, once its service, which `finish` does not await, has written them."""
    (path,) = folder.glob("*.wandb")
    deadline = time.monotonic() + seconds
    while True:
        records = wandb_records(path)
        if any(r.WhichOneof("record_type") == "exit" for r in records) or time.monotonic() > deadline:
            return records
        time.sleep(0.1)


def history(folder: Path) -> list[dict[str, Any]]:
    """The rows that were logged."""
    return [_items(r.history.item) for r in settled(folder) if r.WhichOneof("record_type") == "history"]


def summary(folder: Path) -> dict[str, Any]:
    """The summary values that were set by hand, and those of the last rows."""
    out: dict[str, Any] = {}
    for record in settled(folder):
        if record.WhichOneof("record_type") == "summary":
            out |= _items(record.summary.update)
    return out


def config(folder: Path) -> dict[str, Any]:
    """What is in the run's configuration, nested keys joined by slashes."""
    out: dict[str, Any] = {}
    for record in settled(folder):
        kind = record.WhichOneof("record_type")
        if kind in ("config", "run"):
            out |= _items((record.config if kind == "config" else record.run.config).update)
    return out


def metrics(folder: Path) -> list[Any]:
    """The `define_metric` entries, in order."""
    return [r.metric for r in settled(folder) if r.WhichOneof("record_type") == "metric"]


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def wandb_records(path: Path) -> list[Any]:
    """A LevelDB log (32 kB blocks, 7 bytes before each piece) of protocol buffers; a torn end is left out."""
    content, offset, pieces, records = path.read_bytes(), 7, b"", []
    while offset + 7 <= len(content):
        left = 32768 - offset % 32768
        if left < 7:
            offset += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        if offset + 7 + length > len(content):
            break
        pieces += content[offset + 7 : offset + 7 + length]
        offset += 7 + length
        if kind not in (1, 4):  # whole, last piece
            continue
        entry = wandb_internal_pb2.Record()
        entry.ParseFromString(pieces)
        pieces = b""
        records.append(entry)
    return records
