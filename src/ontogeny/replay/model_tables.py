"""Records of many finished models as tables: every score, and one row per model beside its performance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ontogeny.errors import RecordError, require
from ontogeny.record import Record, Score
from ontogeny.record.curve_groups import SURPRISAL
from ontogeny.replay._performance_tables import ABOUT, SCORES
from ontogeny.replay.checkpoint_series import CheckpointProblem
from ontogeny.replay.model_list import Model, ModelList

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["missing_records", "model_table", "performance_and_alignment"]

Choice = Literal["subjects", "rois", "none"]
Curves = dict[tuple[str, str], dict[tuple[str, str], float]]

_CHOSEN: Mapping[Choice, str] = {
    "subjects": "best layer of the other subjects",
    "rois": "best layer of the other ROIs and subjects",
    "none": "mean over layers",
}


def missing_records(folder: str | os.PathLike[str], models: ModelList) -> tuple[CheckpointProblem, ...]:
    """Models of a list without a score in the records of a folder.

    Args:
        folder: of the records, one folder per model (`Model.folder`).
        models: the list.
    """
    read = _read(folder, models)
    return tuple(
        CheckpointProblem(
            kind="missing", what=str(Path(folder) / m.folder), reason=f"there are no scores of {m.name!r}"
        )
        for m in models.models
        if not read[m.name][0]
    )


def model_table(folder: str | os.PathLike[str], models: ModelList) -> pd.DataFrame:
    """Every score of every model, with what is known of the model.

    Args:
        folder: of the records, one folder per model (`Model.folder`).
        models: the list.

    Returns:
        One row per model, benchmark, subject, ROI, layer, pooling and metric: model, family, parameters (as the list
        says, else as counted when the model was loaded), the score's own columns, one column a performance. A model
        without scores has one row, without values.

    Raises:
        RecordError: a record cannot be read, holds several steps, or scores of another benchmark of the same name.
        MissingExtraError: no pandas.
    """
    rows: list[dict[str, Any]] = []
    for model, (scores, parameters) in zip(models.models, _read(folder, models).values(), strict=True):
        about = _about(model, parameters)
        summaries = [{name: getattr(score, name) for name in SCORES} for score in scores] or [{}]
        rows += [{**about, **row, **_known(model, models)} for row in summaries]
    return _frame(rows, (*ABOUT, *SCORES, *models.columns))


def performance_and_alignment(folder: str | os.PathLike[str], models: ModelList) -> pd.DataFrame:
    """One row per model, to draw how performance and alignment go together.

    The value of a subject and ROI is that of the layer (and pooling) that is best on average over the others: over the
    other subjects' values of the same ROI where every ROI has several subjects, else over all other ROIs and subjects;
    so no score is picked by its own noise. Of a single ROI of a single subject it is the mean over layers. Which it
    is stands in the column's name. The mean over ROIs and subjects is in the metric's own unit.

    Args:
        folder: of the records, one folder per model (`Model.folder`).
        models: the list.

    Returns:
        One row per model: model, family, parameters, one column per benchmark and metric, one column a performance; NaN
        where not known.

    Raises:
        RecordError: see `model_table`.
        MissingExtraError: no pandas.
    """
    read = _read(folder, models)
    curves = {name: _curves(scores) for name, (scores, _) in read.items()}
    pairs = list(dict.fromkeys(pair for own in curves.values() for pair in own))
    choices = {pair: _choice([own[pair] for own in curves.values() if pair in own]) for pair in pairs}
    titles = {pair: f"{' '.join(pair)} ({_CHOSEN[choices[pair]]})" for pair in pairs}
    rows = []
    for model in models.models:
        own = curves[model.name]
        summaries = {titles[pair]: _summary(own[pair], choices[pair]) for pair in pairs if pair in own}
        rows.append({**_about(model, read[model.name][1]), **summaries, **_known(model, models)})
    return _frame(rows, (*ABOUT, *titles.values(), *models.columns))


def _about(model: Model, counted: int | None) -> dict[str, Any]:
    return {"model": model.name, "family": model.family, "parameters": model.parameters or counted}


def _known(model: Model, models: ModelList) -> dict[str, float | None]:
    return {name: model.performance.get(name) for name in models.columns}


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    pandas = require("pandas", "tables")
    frame = pandas.DataFrame(list(rows), columns=list(columns))
    whole = [name for name in ("parameters", "n_stimuli", "n_voxels", "n_features") if name in columns]
    texts = [name for name in (*ABOUT[:2], *SCORES[:6], "unit") if name in columns]
    numbers = [name for name in columns if name not in (*whole, *texts)]
    return frame.astype({**dict.fromkeys(whole, "Int64"), **dict.fromkeys(numbers, "float64")})  # type: ignore[no-any-return]


def _read(folder: str | os.PathLike[str], models: ModelList) -> dict[str, tuple[list[Score], int | None]]:
    """Model -> its scores and how many parameters were counted.

    Raises:
        RecordError: two models have scores of different benchmarks under one name, or one model of several steps.
    """
    found: dict[str, tuple[list[Score], int | None]] = {}
    first: dict[str, tuple[str, str]] = {}
    for model in models.models:
        place = Path(folder) / model.folder
        scores, counted = _scores(place) if (place / "record.json").exists() else ([], None)
        found[model.name] = scores, counted
        for name, fingerprint in dict.fromkeys((s.benchmark, s.fingerprint) for s in scores):
            other, known = first.setdefault(name, (model.name, fingerprint))
            if known != fingerprint:
                raise RecordError(
                    f"{other!r} has scores of benchmark {name!r} with fingerprint {known}, {model.name!r} with "
                    f"{fingerprint}: they cannot be compared. Score both by the same benchmark"
                )
    return found


def _scores(place: Path) -> tuple[list[Score], int | None]:
    record = Record(place)
    scores = [score for score in record.select(kind="alignment") if score.value is not None]
    steps = sorted({score.step for score in scores})
    if len(steps) > 1:
        raise RecordError(f"record {place} holds scores of {len(steps)} steps, one is expected of a finished model")
    counted = record.header.get("parameters")
    return scores, counted if isinstance(counted, int) else None


def _curves(scores: Iterable[Score]) -> dict[tuple[str, str], Curves]:
    """(benchmark, metric) -> (subject, ROI) -> (layer, pooling) -> value."""
    found: dict[tuple[str, str], Curves] = {}
    for score in scores:
        if score.layer != SURPRISAL and score.value is not None:
            curve = found.setdefault((score.benchmark, score.metric), {}).setdefault((score.subject, score.roi), {})
            curve[score.layer, score.pooling] = score.value
    return found


def _choice(curves: Sequence[Curves]) -> Choice:
    """What chooses the layer of every model alike: the strictest choice that all of them allow."""
    if any(len(own) < 2 for own in curves):
        return "none"
    several = all(sum(roi == other for _, other in own) > 1 for own in curves for _, roi in own)
    return "subjects" if several else "rois"


def _summary(curves: Curves, choice: Choice) -> float:
    """Mean over subjects and ROIs; NaN where no layer is known of two of them."""
    if choice == "none":
        return float(np.mean([np.mean(list(curve.values())) for curve in curves.values()]))
    values = [_at_best(unit, curves, choice) for unit in curves]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _at_best(unit: tuple[str, str], curves: Curves, choice: Choice) -> float | None:
    """One subject's and ROI's value at the layer that is best over the others."""
    others = [c for u, c in curves.items() if u != unit and (choice == "rois" or u[1] == unit[1])]
    means = {
        site: float(np.mean([other[site] for other in others if site in other]))
        for site in curves[unit]
        if any(site in other for other in others)
    }
    return curves[unit][max(means, key=lambda site: means[site])] if means else None
