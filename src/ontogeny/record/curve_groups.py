"""The curves of a record, averaged over subjects and laid out for drawing. Plain arrays and rows, no plot library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ontogeny.record.complete import incomplete_note
from ontogeny.record.curve_means import CurveMeans, Reference, mean_of, means_over
from ontogeny.record.score import Score
from ontogeny.record.score_columns import ScoreColumns, columns_of_scores

__all__ = ["CurveGroup", "curve_groups", "curve_names", "groups_of_columns"]

SURPRISAL = "surprisal"
_GROUP = ("benchmark", "metric", "roi", "pooling")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveGroup:
    """All curves of one benchmark, metric, ROI and pooling.

    Args:
        benchmark: name.
        metric: name with its options.
        unit: of all values.
        roi: the region.
        pooling: how layers became one vector a stimulus.
        layers: first to last, in the order in which the model was read.
        steps: all with a value, rising.
        subjects: names.
        each: every subject's values; NaN where there is none.
        means: over subjects.
        n_stimuli: the fewest of any subject.
        stated: name -> what the curves are read against: controls that move with the model, baselines that do not.
        chance: mean over layers and steps.
        ceiling: mean over subjects, None where not known.
        ceiling_lower: what other subjects reach, None where not known.
        own_stimuli: whether each subject was scored on the stimuli that it saw; `n_stimuli` is the fewest then.
    """

    benchmark: str
    metric: str
    unit: str
    roi: str
    pooling: str
    layers: tuple[str, ...]
    steps: tuple[int, ...]
    subjects: tuple[str, ...]
    each: Float[np.ndarray, "subjects layers steps"]
    means: CurveMeans
    n_stimuli: Int[np.ndarray, "layers steps"]
    stated: Mapping[str, Reference]
    chance: float | None
    ceiling: float | None
    ceiling_lower: float | None
    own_stimuli: bool = False

    @property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """One per layer and step: step, layer, value, low and high (one standard error), n_subjects, n_stimuli."""
        m = self.means
        return tuple(
            {
                "layer": layer,
                "step": step,
                "value": float(m.value[i, k]),
                "low": float(m.value[i, k] - m.error[i, k]),
                "high": float(m.value[i, k] + m.error[i, k]),
                "n_subjects": int(m.n_subjects[i, k]),
                "n_stimuli": int(self.n_stimuli[i, k]),
            }
            for k, step in enumerate(self.steps)
            for i, layer in enumerate(self.layers)
            if math.isfinite(m.value[i, k])
        )

    @property
    def references(self) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        """Name -> rows of step and value."""
        return {
            name: tuple(
                {"step": step, "value": float(value)}
                for step, value in zip(found.steps, found.mean, strict=True)
                if math.isfinite(value)
            )
            for name, found in self.stated.items()
        }

    @property
    def baseline(self) -> tuple[str, float] | None:
        """The stimuli's own surface: its name, and what it reaches; None where it was not scored."""
        for name, found in self.stated.items():
            if name.startswith("baseline: ") and math.isfinite(found.mean[-1]):
                return name.removeprefix("baseline: "), float(found.mean[-1])
        return None

    def at(self, step: int) -> dict[str, float]:
        """Layer -> value at one step."""
        if step not in self.steps:
            return {}
        column = self.means.value[:, self.steps.index(step)]
        return {layer: float(v) for layer, v in zip(self.layers, column, strict=True) if math.isfinite(v)}

    @property
    def best_at_last(self) -> str:
        """The layer that ends highest, a choice that carries no timing; "" where no layer has a value."""
        for place in reversed(range(len(self.steps))):
            if at := self.at(self.steps[place]):
                return max(at, key=lambda layer: at[layer])
        return ""

    @property
    def before_training(self) -> float | None:
        """The highest layer's value at step 0, None where the record does not hold it: the untrained reference."""
        return max(self.at(0).values(), default=None)

    def missing_of(self, layer: str) -> tuple[str, ...]:
        """What is left out of a layer's means because a subject lacks it; nothing where all is there."""
        known = np.isfinite(self.each[:, self.layers.index(layer)])
        text = "" if known.all() else incomplete_note(known, self.subjects, self.steps)
        return (text,) if text else ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The same of all layers, each sentence once."""
        return tuple(dict.fromkeys(text for layer in self.layers for text in self.missing_of(layer)))


def curve_groups(scores: Sequence[Score]) -> tuple[CurveGroup, ...]:
    """One group a benchmark, metric, ROI and pooling, in the order of the record."""
    return groups_of_columns(columns_of_scores(scores))


def groups_of_columns(table: ScoreColumns) -> tuple[CurveGroup, ...]:
    """The same of columns."""
    table = table.only(np.isfinite(table.numbers["value"]))
    control = table.is_one_of("kind", ["control"])
    moving = control & ~table.is_one_of("pooling", ["stimuli"])
    own = table.is_one_of("kind", ["alignment"])
    still = _split(table.only((control | table.is_one_of("kind", ["baseline"])) & ~moving), _GROUP[:3])
    return tuple(_group(part, still.get(key[:3])) for key, part in _split(table.only(own | moving), _GROUP).items())


def curve_names(found: Sequence[CurveGroup]) -> list[str]:
    """A short name per group, what differs alone: "IT"; "IT.rsa" and "IT.cka" where there are two metrics, and so on.

    It is the same in every run that is probed alike.
    """
    columns = [name for name in _GROUP if name == "roi" or len({getattr(p, name) for p in found}) > 1]
    order = [name for name in ("benchmark", "roi", "metric", "pooling") if name in columns]
    return [".".join(part for name in order if (part := getattr(p, name))) for p in found]


def _split(table: ScoreColumns, names: Sequence[str]) -> dict[tuple[str, ...], ScoreColumns]:
    """Scores by the words of some columns, in the order of first appearance."""
    if not len(table):
        return {}
    code = np.zeros(len(table), dtype=np.int64)
    for name in names:
        code = code * (len(table.words[name]) + 1) + table.codes[name]
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    key = {i: tuple(table.words[name][table.codes[name][first[i]]] for name in names) for i in range(len(first))}
    return {key[i]: table.only(rows[i]) for i in np.argsort(first, kind="stable")}


def _group(table: ScoreColumns, stated: ScoreColumns | None) -> CurveGroup:
    words = {name: table.words[name][table.codes[name][0]] for name in (*_GROUP, "unit")}
    own = table.only(table.is_one_of("kind", ["alignment"]))
    of_layers = own.only(~own.is_one_of("layer", [SURPRISAL]))
    layers, subjects = _in_order(of_layers, "layer"), _in_order(own, "subject")
    steps = tuple(np.unique(of_layers.numbers["step"]).tolist())
    each = _cube(of_layers, "value", (subjects, layers, steps))
    stimuli = _cube(of_layers, "n_stimuli", (subjects, layers, steps))
    fewest = np.where(np.isfinite(stimuli), stimuli, np.inf).min(axis=0, initial=np.inf)
    return CurveGroup(
        **words,
        layers=layers,
        steps=steps,
        subjects=subjects,
        each=each,
        means=means_over(each),
        n_stimuli=np.where(np.isfinite(fewest), fewest, 0).astype(np.int64),
        stated=_references(table, stated, subjects),
        chance=mean_of(own.numbers["chance"].tolist()),
        ceiling=mean_of(own.numbers["ceiling"].tolist()),
        ceiling_lower=mean_of(own.numbers["ceiling_lower"].tolist()),
        own_stimuli=bool(own.own_stimuli.any()),
    )


def _references(table: ScoreColumns, stated: ScoreColumns | None, subjects: Sequence[str]) -> dict[str, Reference]:
    out: dict[str, Reference] = {}
    for part, kind in ((stated, "baseline"), (stated, "control"), (table, "control")):
        found = None if part is None else part.only(part.is_one_of("kind", [kind]))
        if found is not None:
            out |= {f"{kind}: {layer}": _reference(found, layer, subjects) for layer in _in_order(found, "layer")}
    own = table.only(table.is_one_of("kind", ["alignment"]))
    if SURPRISAL in _in_order(own, "layer"):
        out["token surprisal alone"] = _reference(own, SURPRISAL, subjects)
    return out


def _reference(table: ScoreColumns, layer: str, subjects: Sequence[str]) -> Reference:
    rows = table.only(table.is_one_of("layer", [layer]))
    steps = tuple(np.unique(rows.numbers["step"]).tolist())
    known = tuple(dict.fromkeys([*subjects, *_in_order(rows, "subject")]))
    return Reference(steps=steps, each=_cube(rows, "value", (known, (layer,), steps))[:, 0])


def _in_order(table: ScoreColumns, name: str) -> tuple[str, ...]:
    """The words that occur in a column, in the order of first appearance."""
    used, first = np.unique(table.codes[name], return_index=True)
    return tuple(table.words[name][code] for code in used[np.argsort(first, kind="stable")])


def _cube(
    table: ScoreColumns, name: str, axes: tuple[Sequence[str], Sequence[str], Sequence[int]]
) -> Float[np.ndarray, "subjects layers steps"]:
    """One number per subject, layer and step; NaN where there is none."""
    subjects, layers, steps = axes
    out = np.full((len(subjects), len(layers), len(steps)), np.nan)
    if len(table):
        where = [_places(table, "subject", subjects), _places(table, "layer", layers)]
        out[(*where, np.searchsorted(np.asarray(steps), table.numbers["step"]))] = table.numbers[name]
    return out


def _places(table: ScoreColumns, name: str, words: Sequence[str]) -> Int[np.ndarray, " scores"]:
    at = {word: place for place, word in enumerate(words)}
    places = np.asarray([at.get(word, 0) for word in table.words[name]], dtype=np.int64)
    return np.asarray(places[table.codes[name]])
