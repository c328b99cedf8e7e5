"""Scores as columns of numbers, read without an object per score: what curves of large records are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ontogeny.record._storage.store import Store
from ontogeny.record.arrow import arrow
from ontogeny.record.score import NUMBERS, OWN_STIMULI, Score

__all__ = ["CODED", "ScoreColumns", "columns_of_scores", "columns_of_store"]

CODED = ("kind", "benchmark", "metric", "unit", "roi", "layer", "pooling", "subject", "source", "run")
_COUNTED = ("step", "n_stimuli")
_READ = (*CODED, *_COUNTED, *NUMBERS, "note")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreColumns:
    """Scores, one per place of all arrays.

    Args:
        words: text column -> the words that occur in it, in the order of first appearance.
        codes: text column -> for each score the place of its word.
        numbers: "step", "n_stimuli", "value", "ceiling", "ceiling_lower", "chance"; NaN where there is no number.
        own_stimuli: whether the score is of the stimuli that its subject saw.
    """

    words: Mapping[str, tuple[str, ...]]
    codes: Mapping[str, Int[np.ndarray, " scores"]]
    numbers: Mapping[str, np.ndarray]
    own_stimuli: Bool[np.ndarray, " scores"]

    def __len__(self) -> int:
        return len(self.own_stimuli)

    def is_one_of(self, name: str, values: Iterable[str]) -> Bool[np.ndarray, " scores"]:
        """Whether a text column has one of these values."""
        wanted = set(values)
        known = np.asarray([word in wanted for word in self.words[name]], dtype=np.bool_)
        return known[self.codes[name]] if len(known) else np.zeros(len(self), dtype=np.bool_)

    def only(self, rows: np.ndarray) -> ScoreColumns:
        """The scores of a mask or of places."""
        return ScoreColumns(
            words=self.words,
            codes={name: codes[rows] for name, codes in self.codes.items()},
            numbers={name: values[rows] for name, values in self.numbers.items()},
            own_stimuli=self.own_stimuli[rows],
        )

    def text(self, name: str) -> np.ndarray:
        """A text column written out."""
        return np.asarray(self.words[name], dtype=np.str_)[self.codes[name]] if len(self) else np.zeros(0, dtype="<U1")


def columns_of_scores(scores: Sequence[Score]) -> ScoreColumns:
    """The same of scores in memory."""
    return _joined([{name: [getattr(score, name) for score in scores] for name in _READ}])


def columns_of_store(store: Store, wanted: Mapping[str, tuple[Any, ...]]) -> ScoreColumns:
    """Scores of a record whose columns have one of the values wanted."""
    parts: list[Mapping[str, Any]] = [
        {name: table.column(name) for name in _READ} for table in store.parts.tables(wanted, _READ)
    ]
    recent = [s for s in store.recent_scores() if all(getattr(s, name) in want for name, want in wanted.items())]
    return _joined([*parts, {name: [getattr(score, name) for score in recent] for name in _READ}])


def _joined(parts: Sequence[Mapping[str, Any]]) -> ScoreColumns:
    words, codes = {}, {}
    for name in CODED:
        words[name], codes[name] = _coded([part[name] for part in parts])
    numbers = {name: np.concatenate([_floats(part[name]) for part in parts]) for name in NUMBERS}
    counts = {
        name: np.concatenate([np.asarray(_plain(part[name]), dtype=np.int64) for part in parts]) for name in _COUNTED
    }
    notes, note_codes = _coded([part["note"] for part in parts])
    own = np.asarray([note.startswith(OWN_STIMULI) for note in notes] or [False], dtype=np.bool_)
    return ScoreColumns(words=words, codes=codes, numbers={**counts, **numbers}, own_stimuli=own[note_codes])


def _coded(parts: Sequence[Any]) -> tuple[tuple[str, ...], Int[np.ndarray, " scores"]]:
    """The words of several pieces of a column, and the place of each row's word among them."""
    places: dict[str, int] = {}
    out = []
    for part in parts:
        own, codes = _dictionary(part)
        out.append(np.asarray([places.setdefault(word, len(places)) for word in own] or [0], dtype=np.int64)[codes])
    return tuple(places), np.concatenate(out)


def _dictionary(part: Any) -> tuple[list[str], Int[np.ndarray, " rows"]]:
    """Words in the order of first appearance, and codes."""
    if isinstance(part, list):
        places: dict[str, int] = {}
        codes = np.asarray([places.setdefault(word, len(places)) for word in part], dtype=np.int64)
        return list(places), codes
    array = part.combine_chunks()
    array = array if arrow().types.is_dictionary(array.type) else array.dictionary_encode()
    codes = array.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    used, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    words = array.dictionary.to_pylist()
    return [words[used[i]] for i in order], np.argsort(order, kind="stable")[inverse]


def _floats(part: Any) -> np.ndarray:
    return np.asarray(_plain(part), dtype=np.float64)


def _plain(part: Any) -> Any:
    return part if isinstance(part, list) else part.to_numpy()
