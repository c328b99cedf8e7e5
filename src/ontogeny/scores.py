"""Score: one value with all that is needed to read it, and its row on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from sys import intern
from types import NoneType
from typing import Any, Literal

from ontogeny.errors import RecordError

__all__ = ["ABOUT", "COLUMNS", "COUNTS", "KEY", "NUMBERS", "TEXT", "Kind", "Score", "check", "from_row", "to_row"]

Kind = Literal["alignment", "baseline", "control", "task", "confound", "refusal", "probe", "cost"]

KEY = ("run", "step", "kind", "benchmark", "fingerprint", "subject", "roi", "layer", "pooling", "metric")
ABOUT = ("cost", "probe", "refusal", "task")
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
            "task" (held-out loss, accuracy); "confound" (participation ratio, feature norm);
            "refusal" (no value, the reason in `note`); "probe" (the row that closes a probe: seconds);
            "cost" (share of wall time that probes took so far).
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
_TYPES = ((TEXT, str, "text"), (COUNTS, int, "a whole number"), (NUMBERS, (int, float, NoneType), "a number or None"))


def check(score: Score) -> Score:
    """The score itself, if each of its fields is of its type.

    Raises:
        RecordError: one is not.
    """
    for names, types, what in _TYPES:
        for name in names:
            value = getattr(score, name)
            if not isinstance(value, types) or isinstance(value, bool):
                raise RecordError(f"{name} of a score is {what}, got {value!r} ({type(value).__name__}): {score.key}")
    return score


def to_row(score: Score) -> dict[str, Any]:
    """A JSON-writable dict: numbers that are not finite become None, with a note."""
    row = {name: getattr(score, name) for name in COLUMNS}
    for name in NUMBERS:
        number = row[name]
        if number is not None and not math.isfinite(number):
            row[name] = None
            row["note"] = (row["note"] + f" {name} was {number}").strip()
    return row


def from_row(row: Mapping[str, Any]) -> Score:
    """The score that a row holds, equal words one object; columns of a newer version are left out.

    Raises:
        RecordError: a key column is missing.
    """
    missing = [name for name in ("run", "step", "kind") if name not in row]
    if missing:
        raise RecordError(f"a row of the record lacks {missing}: {dict(row)}; the file is not a record of ontogeny")
    known: dict[str, Any] = {name: row[name] for name in COLUMNS if name in row}
    for name in TEXT:
        if isinstance(word := known.get(name), str):
            known[name] = intern(word)
    return Score(**known)
