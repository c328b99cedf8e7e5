"""Scales: a metric's family and scale out of its name, and the profiles over regions at every scale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.findings.data.cells import Cells, is_biased
from ontogeny.findings.statistics._region_profiles import members

__all__ = ["Grid", "family_of", "gather", "scale_of"]

_SCALED = re.compile(
    r"(?P<head>cka-rbf-|mutual-knn-|cycle-knn-|cknna-|(?:unbiased_)?cka_|mutual_knn_|cycle_knn_|cknna_)"
    r"(?P<scale>\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?P<tail>(?:-.*)?)"
)
Profiles = Float[np.ndarray, "subjects regions"]


def scale_of(metric: str) -> tuple[str, float] | None:
    """A metric's family, with "*" for the scale, and its scale: "cka-rbf-36-biased-z" is ("cka-rbf-*-biased-z", 36).

    None where the name holds no scale, as of a kernel whose width is the median distance.
    """
    found = _SCALED.fullmatch(metric)
    return (f"{found['head']}*{found['tail']}", float(found["scale"])) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Profiles of a family, at all scales that have the subjects, regions and layers of the two that are compared.

    Args:
        family: see `scale_of`.
        said: what the values are: above chance, or not.
        subjects: in the order of the profiles.
        rois: in the order of the profiles.
        networks: network -> places of its regions.
        profiles: scale -> subjects x regions, means over models and layers.
    """

    family: str
    said: str
    subjects: list[str]
    rois: list[str]
    networks: dict[str, list[int]]
    profiles: dict[float, Profiles]


def family_of(cells: Cells, low: float, high: float, asked: str | None) -> str:
    """The family that was scored at both scales; of several an unbiased one.

    Raises:
        DataError: there is none, or several.
    """
    scales: dict[str, set[float]] = {}
    for metric in cells.names("metric"):
        found = scale_of(metric)
        if found is not None:
            scales.setdefault(found[0], set()).add(found[1])
    both = [family for family, have in scales.items() if {low, high} <= have]
    have = {family: sorted(known) for family, known in scales.items()} or cells.names("metric")[:6]
    if asked is not None:
        if asked not in both:
            raise DataError(f"{asked!r} was not scored at both {low:g} and {high:g}; there is {have}")
        return asked
    if not both:
        raise DataError(f"no metric was scored at both {low:g} and {high:g}; there is {have}")
    chosen = [family for family in both if not is_biased(family)] or both
    if len(chosen) > 1:
        raise DataError(f"several metrics have both scales: {chosen}; choose with family=...")
    return chosen[0]


def gather(cells: Cells, low: float, high: float, family: str, groups: Mapping[str, str] | None, raw: bool) -> Grid:
    """Means over models and layers of every subject and region, at every scale of the family.

    Raises:
        DataError: several modalities, poolings or steps; other layers at one scale than at the other; fewer than 4
            regions; chance is not known and `raw` is not said.
    """
    found = {metric: scale_of(metric) for metric in cells.names("metric")}
    scales = {metric: one[1] for metric, one in found.items() if one is not None and one[0] == family}
    cells = cells.where(metric=list(scales))
    for column in ("modality", "pooling"):
        if len(cells.names(column)) > 1:
            raise DataError(f"scale takes one {column} at a time, got {cells.names(column)}; choose with cells.where")
    if len(set(zip(cells.model.tolist(), cells.step.tolist(), strict=True))) > len(cells.names("model")):
        raise DataError(f"a model has several steps: {cells.names('step')[:8]}; choose with cells.where(step=...)")
    values, said = cells.levels(raw=raw)
    sums: dict[float, dict[tuple[str, str], list[float]]] = {}
    keys = zip(cells.metric.tolist(), cells.subject.tolist(), cells.roi.tolist(), values.tolist(), strict=True)
    for metric, subject, roi, value in keys:
        if groups is None or roi in groups:
            sums.setdefault(scales[metric], {}).setdefault((subject, roi), []).append(value)
    subjects, rois = _crossed(sums, low, high, family)
    where = [(subject, roi) for subject in subjects for roi in rois]
    counts = {s: [len(rows.get(key, [])) for key in where] for s, rows in sorted(sums.items())}
    if counts[low] != counts[high]:
        raise DataError(
            f"the layers or models scored at {low:g} are not those at {high:g} ({sum(counts[low])} and "
            f"{sum(counts[high])} values); take what both have"
        )
    profiles = {
        s: np.array([np.mean(sums[s][key]) for key in where]).reshape(len(subjects), len(rois))
        for s, count in counts.items()
        if count == counts[low]
    }
    return Grid(
        family=family,
        said=said,
        subjects=subjects,
        rois=rois,
        networks=members(rois, groups),
        profiles=profiles,
    )


def _crossed(
    sums: Mapping[float, Mapping[tuple[str, str], Any]], low: float, high: float, family: str
) -> tuple[list[str], list[str]]:
    """Subjects and regions that both scales have, all of them crossed."""
    both = [key for key in sums.get(low, {}) if key in sums.get(high, {})]
    subjects = list(dict.fromkeys(subject for subject, _ in both))
    held = set(both)
    rois = [roi for roi in dict.fromkeys(roi for _, roi in both) if all((s, roi) in held for s in subjects)]
    if len(rois) < 4:
        raise DataError(
            f"{family} at {low:g} and {high:g}: {len(rois)} regions that all of {subjects} have (in the groups, if "
            "given); a profile needs 4 or more"
        )
    return subjects, rois
