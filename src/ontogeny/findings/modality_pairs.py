"""Cells of two modalities that can be paired: the same subjects, regions, metric and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ontogeny.errors import DataError
from ontogeny.findings.cells import Cells
from ontogeny.published import Published

__all__ = ["checked_pairs", "compared_values", "published_regions"]

_STIMULI = 8850


def published_regions(published: Published, metric: str, *, n_stimuli: int = _STIMULI) -> Cells:
    """The study's scores of 180 areas x 4 subjects of both modalities, over its models, by one metric.

    Chance is k / (n - 1) for mutual_knn_k and not known for any other metric of the tables.

    Args:
        published: with the tables `regions_language` and `regions_vision`, which are not in this package.
        metric: "mutual_knn_20", "cka_36", ...
        n_stimuli: of a subject, about 8850; it moves chance, alike for both modalities.

    Raises:
        DatasetNotFoundError: the tables are not on this machine.
        DataError: no such metric.
    """
    kind, _, k = metric.rpartition("_")
    columns: dict[str, list[Any]] = {name: [] for name in ("model", "modality", "subject", "roi", "metric", "value")}
    for table, modality in (("regions_language", "text"), ("regions_vision", "image")):
        rows = published.read(table)
        columns["model"] += [f"{modality} models of {published.name}"] * len(rows["score"])
        columns["modality"] += [modality] * len(rows["score"])
        for name, theirs in (
            ("subject", "tgt_model"),
            ("roi", "tgt_feature"),
            ("metric", "metric"),
            ("value", "score"),
        ):
            columns[name] += rows[theirs].tolist()
    columns["roi"] = [str(roi) for roi in columns["roi"]]
    cells = Cells.of_table({**columns, "benchmark": f"{published.name} (Natural Scenes Dataset)"}).where(metric=metric)
    chance = int(k) / (n_stimuli - 1) if kind == "mutual_knn" else np.nan
    return Cells.of_table(
        {**{name: getattr(cells, name) for name in columns}, "benchmark": cells.benchmark, "chance": chance}
    )


def checked_pairs(cells: Cells, modalities: tuple[str, str], pair_benchmarks: bool) -> tuple[list[str], list[str]]:
    """Subjects and regions that both modalities have.

    Raises:
        DataError: see `modality_difference`.
    """
    if len(set(modalities)) != 2:
        raise DataError(f"two modalities are compared, got {modalities}")
    for model in cells.names("model"):
        steps = cells.where(model=model).names("step")
        if len(steps) > 1:
            raise DataError(f"{model!r} has {len(steps)} steps; choose one a model, e.g. its last")
    sides = {name: cells.where(modality=name) for name in modalities}
    _same("metric", sides, anyway=False, hint="choose with Cells.where(metric=...)")
    said = "choose with Cells.where(benchmark=...), or say that two are the same responses to the same stimuli"
    _same("benchmark", sides, anyway=pair_benchmarks, hint=f"{said} (pair_benchmarks)")
    return _shared("subject", sides), _shared("roi", sides)


def _same(column: str, sides: Mapping[str, Cells], *, anyway: bool, hint: str) -> None:
    have = {name: side.names(column) for name, side in sides.items()}
    names = {tuple(own) for own in have.values()}
    if any(len(own) != 1 for own in names) or (len(names) > 1 and not anyway):
        raise DataError(f"both modalities need the same one {column}, got {have}; {hint}")


def _shared(column: str, sides: Mapping[str, Cells]) -> list[str]:
    first, second = (side.names(column) for side in sides.values())
    shared = [name for name in first if name in set(second)]
    if not shared:
        have = {name: side.names(column)[:6] for name, side in sides.items()}
        raise DataError(f"the modalities share no {column}: {have}")
    return shared


def compared_values(cells: Cells, raw: bool) -> np.ndarray:
    """What is compared.

    Raises:
        DataError: chance is unknown of some and `raw` is not said; or known of all, and `raw` is.
    """
    if not raw:
        return cells.above_chance
    if np.isfinite(cells.chance).all():
        raise DataError("chance is known of all cells, so it is removed; leave raw out")
    return cells.value
