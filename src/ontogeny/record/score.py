"""Score: one value with all that is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal, get_args

from ontogeny._display import one_line

__all__ = ["COLUMNS", "COUNTS", "KEY", "KINDS", "NUMBERS", "OWN_STIMULI", "TEXT", "Kind", "Score"]

Kind = Literal["alignment", "baseline", "control", "task", "confound"]
KINDS: tuple[str, ...] = get_args(Kind)

KEY = ("run", "step", "kind", "benchmark", "fingerprint", "subject", "roi", "layer", "pooling", "metric")
_KEY_OF = attrgetter(*KEY)
COUNTS = ("step", "n_stimuli", "n_voxels", "n_features")
NUMBERS = ("value", "ceiling", "ceiling_lower", "chance")
OWN_STIMULI = "of the stimuli that this subject saw"
"""How the note of a score begins where subjects saw different stimuli."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One value with its context.

    The first ten fields are its key: a record holds one row per key.

    Args:
        run: name of the training run.
        step: number of optimizer updates done when the weights were read.
        kind: "alignment"; "baseline" (stimulus features, no model); "control" (random features, permuted stimuli);
            "task" (held-out loss, accuracy); "confound" (participation ratio, intrinsic dimension, feature norm).
        benchmark: the benchmark's name, "" for task rows.
        fingerprint: of the benchmark, "" for task rows.
        subject: whose responses.
        roi: which region.
        layer: layer, baseline or control.
        pooling: how the layer's output became one vector a stimulus.
        metric: with its options, e.g. "ridge-gcv".
        value: in `unit`; None where it was not finite, see `note`.
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

    Example:
        >>> score = Score(run="a", step=0, kind="task", metric="loss", value=2.5, unit="nats")
        >>> score.key[:3]
        ('a', 0, 'task')
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

    __repr__ = one_line

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a row one of its kind."""
        found: tuple[Any, ...] = _KEY_OF(self)
        return found


COLUMNS = tuple(f.name for f in fields(Score))
TEXT = tuple(name for name in COLUMNS if name not in COUNTS + NUMBERS)
