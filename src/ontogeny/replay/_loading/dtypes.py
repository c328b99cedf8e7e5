"""Floating types of weights: as stored and as read, and whether two readings differ in nothing else.

A walk notes in the record's header ("dtypes": type -> steps) in which type it read each step.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from typing_extensions import override

from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.weights import weights_hash
from ontogeny.record import Record

__all__ = [
    "FULL",
    "difference",
    "drawn_in",
    "known_types",
    "names_of",
    "note_types",
    "read_as",
    "remember",
    "stored_as",
    "stored_types",
    "type_lines",
]

FULL = "float32"
_OTHERS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_BY_CODE = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_STORED: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
_DRAWN: WeakKeyDictionary[nn.Module, tuple[str, ...]] = WeakKeyDictionary()


def names_of(dtypes: Iterable[torch.dtype]) -> str:
    """Floating types by name, "bfloat16 and float32"; "" where there are none."""
    return " and ".join(sorted({str(dtype).removeprefix("torch.") for dtype in dtypes if dtype.is_floating_point}))


def read_as(model: nn.Module) -> str:
    """The types in which a model computes: those of its parameters."""
    return names_of(p.dtype for p in model.parameters())


def remember(model: nn.Module, stored: Iterable[torch.dtype], *, drawn: Sequence[str] = ()) -> None:
    """Note in which types a model's weights lay in the file, and which were in none and are drawn at random."""
    _STORED[model] = names_of(stored)
    _DRAWN[model] = tuple(drawn)


def drawn_in(model: nn.Module) -> tuple[str, ...]:
    """Names of the weights that were in no file."""
    return _DRAWN.get(model, ())


def stored_types(folder: Path) -> set[torch.dtype]:
    """Floating types of the weights in a folder, from the directories of its files; none where these do not say."""
    found: set[torch.dtype] = set()
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as handle:
            header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        found |= {
            _BY_CODE[a["dtype"]] for name, a in header.items() if name != "__metadata__" and a["dtype"] in _BY_CODE
        }
    for path in folder.glob("pytorch_model*.bin"):
        if zipfile.is_zipfile(path):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except Exception:  # noqa: BLE001 - whoever loads it says what is wrong with it
                return set()
            found |= {v.dtype for v in state.values() if isinstance(v, Tensor) and v.is_floating_point()}
    return found


def stored_as(model: nn.Module) -> str:
    """The types in which a model's weights lay in the file; as read, where it was not noted."""
    return _STORED.get(model) or read_as(model)


class _As(nn.Module):
    """Weights of a model as if they were of another floating type, for their hash."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self._given, self._dtype = [plain_model(model)], dtype

    @override
    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state: Mapping[str, Any] = self._given[0].state_dict()
        return {
            name: value.to(self._dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
            for name, value in state.items()
        }


def difference(model: nn.Module, now: str, known: str, noted: str) -> str:
    """In words why weights have another hash than those of the record.

    Args:
        model: as read now.
        now: hash of its weights.
        known: hash of those that the record has.
        noted: type in which the record's were read, "" where it does not say.
    """
    dtype_now, kept = read_as(model), "the record's rows are kept"
    for dtype in _OTHERS:
        if weights_hash(_As(model, dtype), like=known) == known:
            return (
                f"the same weights as the record's ({known}) in another type: {dtype_now} here ({now}), "
                f"{names_of([dtype])} there; their rows differ by rounding, so they are not mixed; {kept}"
            )
    dtype_change = f"{now} in {dtype_now}, the record's {known}"
    if noted and noted != dtype_now:
        return (
            f"the weights are {dtype_change} in {noted}: another type, whose rows differ by rounding, so that no "
            f"change of the weights can be seen in it; {kept}. Read them with dtype={noted!r} only if they are "
            "stored so"
        )
    if not noted and dtype_now != FULL:
        return (
            f"the weights are {dtype_change}, of a type that the record does not say: if the run held {FULL}, these "
            f"may be the same ones rounded to {dtype_now}; else they were changed since; {kept}"
        )
    if drawn := drawn_in(model):
        return (
            f"the weights are {dtype_change}: the base began with {len(drawn)} weights drawn at random and not saved "
            f"({', '.join(drawn[:4])}); no forward pass uses them beside their trained copies, but the hash has them, "
            f"so whether others changed is not known; {kept}"
        )
    return f"the weights are {dtype_change}: changed since; {kept}"


def known_types(record: Record) -> dict[int, str]:
    """Step -> type in which its weights were read, as far as walks have noted it."""
    noted: Mapping[str, list[int]] = record.header.get("dtypes") or {}
    return {step: dtype for dtype, steps in noted.items() for step in steps}


def note_types(record: Record, step: int, dtype: str) -> None:
    """Note in which type a step was read."""
    known = known_types(record) | {step: dtype}
    record.note("dtypes", {name: sorted(s for s in known if known[s] == name) for name in sorted(set(known.values()))})


def type_lines(visits: Iterable[tuple[int, str, str]]) -> list[str]:
    """What has to be said of the types in which checkpoints were read: nothing where all are float32, or no floats.

    Args:
        visits: step, types as stored, types as read.
    """
    grouped: dict[tuple[str, str], list[int]] = {}
    for step, stored, read in visits:
        if (stored, read) != (FULL, FULL) and read:
            grouped.setdefault((stored, read), []).append(step)
    return [_line(stored, read, steps) for (stored, read), steps in grouped.items()]


def _line(stored: str, read: str, steps: list[int]) -> str:
    shown = ", ".join(map(str, steps[:6])) + (", ..." if len(steps) > 6 else "")
    how = f"read in {read}, as stored" if stored == read else f"stored in {stored}, read in {read}"
    return f"step {shown}: weights {how}; a live run that held them in another type has rows that differ by rounding"
