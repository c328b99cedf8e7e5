"""An offline Weights & Biases run: a LevelDB log (32 kB blocks, 7 bytes before each piece) of protocol buffers.

wandb 0.31 has no reader of it; its protocol buffers stand behind this module.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, require

__all__ = ["wandb_history"]

_BLOCK = 32768
_HEAD = 7
_WHOLE, _LAST = 1, 4


def wandb_history(path: Path) -> list[dict[str, Any]]:
    """Rows of the history, in the order of writing; what a killed run left half-written at the end is left out.

    Args:
        path: a `.wandb` file.

    Raises:
        DataError: not such a file.
        MissingExtraError: wandb is not installed.
    """
    content = path.read_bytes()
    if content[:4] != b":W&B":
        raise DataError(f"{path} is no offline run of Weights & Biases: it does not begin with ':W&B'")
    record = require("wandb.proto.wandb_internal_pb2", "wandb").Record
    rows = []
    for entry in _entries(content):
        message = record()
        message.ParseFromString(entry)
        if message.WhichOneof("record_type") == "history":
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in message.history.item})
    return rows


def _entries(content: bytes) -> Iterator[bytes]:
    offset, pieces = _HEAD, b""
    while offset + _HEAD <= len(content):
        left = _BLOCK - offset % _BLOCK
        if left < _HEAD:
            offset += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        if offset + _HEAD + length > len(content):
            return
        pieces += content[offset + _HEAD : offset + _HEAD + length]
        offset += _HEAD + length
        if kind in (_WHOLE, _LAST):
            yield pieces
            pieces = b""
