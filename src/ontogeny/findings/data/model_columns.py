"""Models: finished models as columns, one row per model: family, alignment, performance, size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ontogeny.errors import DataError, nearest
from ontogeny.findings.published import Published
from ontogeny.findings.statistics._model_correlation import family_of

__all__ = ["Models"]

_ABOUT = ("model", "family", "parameters")
_ALIGNMENT = re.compile(r"\((best layer of the other .+|mean over layers)\)$")
_LANGUAGE = ("average", "BBH", "GPQA", "IFEval", "MATH", "MMLU-PRO", "MUSR", "elo")
_VISION = (
    "imagenet",
    "imagenet-a",
    "imagenet-r",
    "imagenet-a-clean",
    "imagenet-r-clean",
    "imagenet-real",
    "imagenetv2-matched-frequency",
    "sketch",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Finished models, one per row; all columns are of one length, NaN where not known.

    Args:
        model: names.
        family: whose relatives they are; "" where not known, then guessed from the name (`family_of`).
        alignment: one number per model.
        metric: of the alignment; "" where not known.
        chance_removed: whether its chance level is taken off.
        performance: benchmark -> one number per model, higher is better; the first is the headline.
        given: name -> positive numbers a model that may explain both: parameters, feature dimension, participation
            ratio. Their logarithms are used.
        source: of which data.

    Raises:
        DataError: no performance, unequal lengths, a model twice, or a number of `given` that is not above 0.
    """

    model: Sequence[str]
    family: Sequence[str]
    alignment: np.ndarray
    metric: str = ""
    chance_removed: bool = False
    performance: Mapping[str, np.ndarray]
    given: Mapping[str, np.ndarray]
    source: str = ""

    def __post_init__(self) -> None:
        if not self.performance:
            raise DataError("models need at least one column of performance")
        sizes = {"model": len(self.model), "family": len(self.family), "alignment": len(self.alignment)}
        sizes |= {name: len(column) for name, column in (*self.performance.items(), *self.given.items())}
        if len(set(sizes.values())) > 1:
            raise DataError(f"all columns of models are of one length, got {sizes}")
        twice = sorted({name for name in self.model if list(self.model).count(name) > 1})
        if twice:
            raise DataError(f"a model is one row; more than once: {', '.join(twice[:5])}")
        for name, column in self.given.items():
            if (column <= 0).any():
                raise DataError(f"{name} is used as its logarithm and has to be above 0; got {column.min()!r}")

    @property
    def families(self) -> tuple[str, ...]:
        """Family of each model, guessed where the table has none."""
        return tuple(f or family_of(name) for f, name in zip(self.family, self.model, strict=True))

    @property
    def guessed(self) -> int:
        """Of how many models the family is guessed."""
        return sum(not family for family in self.family)

    @classmethod
    def of_published(cls, published: Published, modality: Literal["language", "vision"]) -> Models:
        """The study's 36 language or 594 vision models.

        Its language ids are hub names with the first "/" written as "_". Alignment is its RBF-CKA of width 36, as
        it stands; the language values are above 1 at width 20, so they are no plain CKA.
        """
        if modality == "language":
            table = published.tables["models_language_wide"]
            size = table["params_b"] * 1e9
            names = [str(name).replace("_", "/", 1) for name in table["model"]]
            alignment, benchmarks = table["alignment_36"], _LANGUAGE
        else:
            table = published.tables["models_vision"]
            size = table["params_m"] * 1e6
            names, alignment, benchmarks = [str(name) for name in table["model"]], table["alignment"], _VISION
        return cls(
            model=names,
            family=[""] * len(names),
            alignment=alignment,
            metric="cka_36",
            performance={name: np.asarray(table[name], dtype=np.float64) for name in benchmarks},
            given={"parameters": np.asarray(size, dtype=np.float64)},
            source=f"{published.name}, {len(names)} {modality} models",
        )

    @classmethod
    def of_table(
        cls,
        table: Mapping[str, Any],
        *,
        alignment: str | None = None,
        performance: Sequence[str] = (),
        given: Sequence[str] = (),
        lower_is_better: Sequence[str] = (),
        chance_removed: bool = False,
        source: str = "",
    ) -> Models:
        """Models of columns by name, such as `performance_and_alignment` writes.

        Args:
            table: columns by name (of a frame: `dict(frame)`): `model`, and, where known, `family` and `parameters`,
                and numbers.
            alignment: which column; where not given the one that is named as `performance_and_alignment` names its own.
            performance: which columns; all other columns of numbers where none is named.
            given: further columns that may explain both, beside parameters.
            lower_is_better: columns of performance, such as a loss, whose sign is turned ("minus loss").
            chance_removed: whether alignment is above chance already.
            source: of which data.

        Raises:
            DataError: a column that is not there, none or several of alignment, see `Models`.
        """
        columns = {name: np.asarray(values) for name, values in table.items()}
        for name in ("model", *performance, *given, *lower_is_better, *([] if alignment is None else [alignment])):
            if name not in columns:
                raise DataError(f"the table has no column {name!r}. {nearest(name, columns)}")
        chosen = _alignment(columns) if alignment is None else alignment
        wanted = list(performance) or [
            name
            for name in columns
            if name not in (*_ABOUT, chosen, *given) and not _ALIGNMENT.search(name) and _numeric(columns[name])
        ]
        controls = [name for name in ("parameters", *given) if name in columns and _known(columns[name])]
        words = _ALIGNMENT.sub("", chosen).split()
        n = len(columns["model"])
        return cls(
            model=[str(name) for name in columns["model"]],
            family=[_text(value) for value in columns.get("family", np.full(n, ""))],
            alignment=_numbers(chosen, columns[chosen]),
            metric=words[-1] if words else "",
            chance_removed=chance_removed,
            performance=dict(_signed(name, columns[name], name in lower_is_better) for name in wanted),
            given={name: _numbers(name, columns[name]) for name in controls},
            source=source,
        )


def _alignment(columns: Mapping[str, np.ndarray]) -> str:
    found = [name for name in columns if _ALIGNMENT.search(name)]
    if len(found) != 1:
        have = f"it has {found}" if found else f"there is {sorted(columns)}"
        raise DataError(f"name the table's column of alignment; {have}")
    return found[0]


def _text(value: Any) -> str:
    return "" if str(value) in ("nan", "None", "<NA>") else str(value)


def _numbers(name: str, column: np.ndarray) -> np.ndarray:
    try:
        return np.asarray([float(text) if (text := _text(value)) else np.nan for value in column], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"column {name!r} is no column of numbers: {error}") from None


def _signed(name: str, column: np.ndarray, turned: bool) -> tuple[str, np.ndarray]:
    numbers = _numbers(name, column)
    return (f"minus {name}", -numbers) if turned else (name, numbers)


def _numeric(column: np.ndarray) -> bool:
    try:
        return bool(np.isfinite(_numbers("", column)).any())
    except DataError:
        return False


def _known(column: np.ndarray) -> bool:
    return any(_text(value) for value in column)
