"""Score: one value with all that is needed to read it, and its row on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from sys import intern
from typing import Any, Literal, get_args

from ontogeny.errors import RecordError

__all__ = ["ABOUT", "COLUMNS", "COUNTS", "KEY", "NUMBERS", "TEXT", "Kind", "Score", "check", "from_row", "to_row"]

Kind = Literal[
    "alignment", "baseline", "control", "task", "confound", "refusal", "probe", "cost", "checkpoint", "branch"
]

KEY = ("run", "step", "kind", "benchmark", "fingerprint", "subject", "roi", "layer", "pooling", "metric")
ABOUT = ("branch", "checkpoint", "cost", "probe", "refusal", "task")
_KEY_OF = attrgetter(*KEY)
COUNTS = ("step", "n_stimuli", "n_voxels", "n_features")
NUMBERS = ("value", "ceiling", "ceiling_lower", "chance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One value with its context.

    The first ten fields are its key: a record holds one row a key.

    Args:
        run: name of the training run.
        step: number of optimizer updates done when the weights were read.
        kind: "alignment"; "baseline" (stimulus features, no model); "control" (random features, permuted stimuli);
            "task" (held-out loss, accuracy); "confound" (participation ratio, intrinsic dimension,
            feature norm);
            "refusal" (no value, the reason in `note`); "probe" (the row that closes a probe: seconds);
            "cost" (share of wall time that watching took so far); "checkpoint" (hash of the weights that the trainer
            saved at a step that was not probed, and its seconds); "branch" (which rows are of weights rolled back).
        benchmark: the benchmark's name, "" for task rows.
        fingerprint: of the benchmark, "" for task rows.
        subject: whose responses.
        roi: which region.
        layer: layer, baseline or control.
        pooling: how the layer's output became one vector a stimulus.
        metric: with its options, e.g. "ridge-gcv".
        value: in `unit`; None for a refusal.
        unit: e.g. "Pearson r", "nats".
        ceiling: highest value that the noise in the responses allows, in `unit`; None where not known.
        ceiling_lower: lower bound of the ceiling (what other subjects reach), in `unit`.
        chance: expected value when stimuli and responses are unrelated, in `unit`.
        n_stimuli: rows compared.
        n_voxels: voxels of the ROI (0: not known).
        n_features: columns of the features.
        weights: hash of the weights that were read, "" where no model was.
        source: "measured" by us at these weights; or what else ("trainer_average", ...).
        note: one sentence, mostly empty.
    """

    run: str
    step: int
    kind: Kind
    benchmark: str = ""
    fingerprint: str = ""
    subject: str = ""
    roi: str = ""
    layer: str = ""
    pooling: str = ""
    metric: str = ""
    value: float | None = None
    unit: str = ""
    ceiling: float | None = None
    ceiling_lower: float | None = None
    chance: float | None = None
    n_stimuli: int = 0
    n_voxels: int = 0
    n_features: int = 0
    weights: str = ""
    source: str = "measured"
    note: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a row one of its kind."""
        found: tuple[Any, ...] = _KEY_OF(self)
        return found


COLUMNS = tuple(f.name for f in fields(Score))
TEXT = tuple(name for name in COLUMNS if name not in COUNTS + NUMBERS)
_MOST = 2**63


def check(score: Score) -> Score:
    """The score itself, if each of its fields is of its type and fits on disk.

    Raises:
        RecordError: one is not.
    """
    _check({name: getattr(score, name) for name in COLUMNS})
    return score


def _check(row: Mapping[str, Any]) -> None:
    for names, fits, what in _TYPES:
        for name in names:
            if name in row and not fits(row[name]):
                raise RecordError(f"{name} of a score is {what}, got {_shown(row[name])} ({type(row[name]).__name__})")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST


def _is_number(value: Any) -> bool:
    if value is None or isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST


_TYPES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (TEXT, _is_text, "text"),
    (("kind",), get_args(Kind).__contains__, f"one of {', '.join(get_args(Kind))}"),
    (COUNTS, _is_count, "a whole number"),
    (NUMBERS, _is_number, "a number or None"),
)


def _shown(value: Any) -> str:
    """The beginning of a value of whatever kind, however large or deep."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        return "something too large to be shown"
    return text if len(text) <= 80 else f"{text[:80]}..."


def to_row(score: Score) -> dict[str, Any]:
    """A JSON-writable dict: numbers that are not finite become None, with a note."""
    row = {name: getattr(score, name) for name in COLUMNS}
    for name in NUMBERS:
        number = row[name]
        if number is not None and not math.isfinite(number):
            row[name] = None
            row["note"] = (row["note"] + f" {name} was {number}").strip()
    return row


def from_row(row: Any) -> Score:
    """The score that a row holds, equal words one object; columns of a newer version are left out.

    Raises:
        RecordError: it is no row, a key column is missing, or a field is not of its type.
    """
    if not isinstance(row, Mapping):
        raise RecordError(f"a row of a record is an object, got {_shown(row)}")
    missing = [name for name in ("run", "step", "kind") if name not in row]
    if missing:
        raise RecordError(f"a row of the record lacks {missing}: {_shown(row)}; the file is not a record of ontogeny")
    known: dict[str, Any] = {name: row[name] for name in COLUMNS if name in row}
    _check(known)
    for name in TEXT:
        if type(word := known.get(name)) is str:
            known[name] = intern(word)
    return Score(**known)
