"""Depth: alignment over relative depth, and whether deep layers of two modalities converge.

A layer's place is 0 (the first that was read) to 1 (the last). Models of different layer counts are brought to the same
`bins` places by linear interpolation between their layers at the bins' centres, (b + 1/2) / bins; a place before the
first or after the last layer takes that layer's value. Then networks are means over regions, modalities over models.

"Converge" can mean three things, which are kept apart; of a language and a vision model's values over networks:

    profile   1 - Pearson r: does the pattern over networks become alike, whatever its level and spread?
    level     |difference of the means|: does the overall alignment become alike?
    RMS       root mean square difference: what a plot shows, a mixture of both

Values that shrink to one common level lower RMS and level, with profiles as different as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny._display import counted, number
from ontogeny.errors import DataError
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells, unit_of
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._convergence import FEWEST, Convergence, converging, slope
from ontogeny.findings.statistics._region_profiles import agreement, members
from ontogeny.findings.statistics.subject_agreement import mean_interval, over_subjects

__all__ = ["depth"]

_QUESTION = "How does alignment change with depth, and do deeper layers converge across modalities?"
_WORDS = {"text": "language", "image": "vision"}
Curves = Float[np.ndarray, "subjects networks bins"]


def depth(
    cells: Cells,
    *,
    groups: Mapping[str, str] | None = None,
    bins: int = 8,
    raw: bool = False,
    source: str = "cells",
) -> Finding:
    """Alignment over relative depth by network and model, and convergence of language and vision.

    Args:
        cells: of one metric; a model at one step. Convergence needs models of modality "text" and "image", and
            subjects and regions that both have.
        groups: region -> network; regions that it does not name are left out. None: each region by itself.
        bins: places on the common axis of depth.
        raw: values as they are, where chance is not known; the finding says so.
        source: of which data.

    Raises:
        DataError: several metrics; several values of a layer and region; a model with one layer; nothing in common;
            chance is not known and `raw` is not said.
    """
    values, said = _checked(cells).levels(raw=raw)
    centres = (np.arange(bins) + 0.5) / bins
    subjects, rois = _common(cells, "subject"), _common(cells, "roi")
    networks = members(rois, groups)
    pooled = {
        model: _averaged(_on_bins(cells, values, model, subjects, rois, centres), networks)
        for model in dict.fromkeys(_models(cells))
    }
    curves = {
        modality: np.mean([c for (m, _), c in pooled.items() if m == modality], axis=0)
        for modality in dict.fromkeys(m for m, _ in pooled)
    }
    unit = unit_of(str(cells.metric[0]), said)
    rises = [_rise(modality, c, centres, unit) for modality, c in curves.items()]
    found = None
    if {"text", "image"} <= set(curves):
        found = converging(curves["text"], curves["image"], centres, tuple(networks), unit=unit)
    estimates = (*(found.estimates if found else ()), *rises)
    return Finding(
        question=_QUESTION,
        answer=f"{_answer(found, rises)} Values: {said}.",
        headline=estimates[0],
        estimates=estimates,
        else_explains=_else_explains(curves, found),
        cannot_tell=_cannot_tell(said, subjects, found, curves),
        details={
            "curves": _curve_rows(curves, networks, centres, said),
            "models": _model_rows(pooled, networks, centres),
            **(found.details(subjects, centres) if found else {}),
        },
        source=f"{source}; {cells.metric[0]}, {said}; {counted(len(pooled), 'model')}, "
        f"{counted(len(subjects), 'subject')}, "
        f"{counted(len(rois), 'region')} in {counted(len(networks), 'network')}, {bins} depths",
    )


def _models(cells: Cells) -> list[tuple[str, str]]:
    return list(zip(cells.modality.tolist(), cells.model.tolist(), strict=True))


def _checked(cells: Cells) -> Cells:
    metrics = cells.names("metric")
    if len(metrics) > 1:
        raise DataError(f"depth compares layers by one metric, got {metrics[:8]}; choose: cells.where(metric=...)")
    if not np.isfinite(cells.depth).all():
        raise DataError(f"{int((~np.isfinite(cells.depth)).sum())} of {len(cells)} cells have no depth; drop them")
    key = np.stack([cells.modality, cells.model, cells.subject, cells.roi, cells.depth.astype(np.str_)])
    if len(np.unique(key, axis=1).T) < len(cells):
        many = [c for c in ("step", "benchmark", "pooling") if len(cells.names(c)) > 1]
        raise DataError(
            f"a model's layer has several values for a subject and region; choose one {' or '.join(many) or 'record'}, "
            "e.g. cells.where(step=...)"
        )
    return cells


def _common(cells: Cells, column: str) -> list[str]:
    """What all models have."""
    held: dict[tuple[str, str], set[str]] = {}
    for model, name in zip(_models(cells), getattr(cells, column).tolist(), strict=True):
        held.setdefault(model, set()).add(name)
    both = set.intersection(*held.values())
    if not both:
        each = {model: sorted(names)[:4] for (_, model), names in list(held.items())[:4]}
        raise DataError(f"no {column} is common to all models: {each}; modalities are compared in the same brains")
    return [name for name in cells.names(column) if name in both]


def _on_bins(
    cells: Cells,
    values: Float[np.ndarray, " cells"],
    model: tuple[str, str],
    subjects: Sequence[str],
    rois: Sequence[str],
    centres: Float[np.ndarray, " bins"],
) -> Float[np.ndarray, "subjects regions bins"]:
    """One model's curves over depth, at the bins' centres."""
    own = np.flatnonzero((cells.modality == model[0]) & (cells.model == model[1]))
    places: dict[tuple[str, str], list[int]] = {}
    for row in own[np.argsort(cells.depth[own], kind="stable")]:
        places.setdefault((str(cells.subject[row]), str(cells.roi[row])), []).append(row)
    out = np.empty((len(subjects), len(rois), len(centres)))
    for i, subject in enumerate(subjects):
        for j, roi in enumerate(rois):
            rows = places.get((subject, roi), [])
            if len(rows) < 2:
                raise DataError(
                    f"model {model[1]!r} has {len(rows)} layers for subject {subject!r} and region {roi!r}; a curve "
                    "over depth needs 2 or more"
                )
            out[i, j] = np.interp(centres, cells.depth[rows], values[rows])
    return out


def _averaged(curves: Float[np.ndarray, "subjects regions bins"], networks: Mapping[str, Sequence[int]]) -> Curves:
    return np.stack([curves[:, list(places)].mean(axis=1) for places in networks.values()], axis=1)


def _rise(modality: str, curves: Curves, centres: Float[np.ndarray, " bins"], unit: str) -> Estimate:
    name = _WORDS.get(modality, modality)
    return over_subjects(
        slope(curves.mean(axis=1), centres),
        name=f"alignment over depth, {name}",
        unit=f"{unit} per depth",
        how="least squares slope of the mean over networks against relative depth (0 to 1), one per subject",
    )


def _answer(found: Convergence | None, rises: Sequence[Estimate]) -> str:
    if found is not None:
        return found.answer
    one = rises[0]
    return f"Only one modality is here, so convergence is not asked: {one.name}, {one.text()}."


def _else_explains(curves: Mapping[str, Curves], found: Convergence | None) -> tuple[str, ...]:
    out = [
        "Biased CKA rises with a layer's effective dimension alone, and that changes with depth; the debiased form, or "
        "chance taken off, and the participation ratios of a record's confound rows answer this.",
        "Relative depth is a convention: which layers were read, and that the middle of one model is compared with the "
        "middle of another. Layers of another count are interpolated.",
    ]
    if found is None:
        return tuple(out)
    agree = "; ".join(
        f"{_WORDS.get(m, m)} {number(r[0])} at the first depth, {number(r[-1])} at the last"
        for m, r in ((m, agreement(np.moveaxis(c, 2, 1))) for m, c in curves.items())
    )
    return (
        "Values that approach one common level (chance, or a ceiling) lower the RMS and the levels' difference without "
        "any likeness of profiles; only the profile distance leaves this out.",
        f"Noise: profiles that are more reliable correlate more. Agreement between subjects (mean r): {agree}.",
        "Both modalities are compared with the same responses: how much signal a region has raises both profiles alike "
        "wherever alignment is high.",
        "Neighbouring depths are alike, which shuffled depths are not: a p by shuffling is too small where curves are "
        "smooth. It guards against one odd depth, not against drift.",
        *out,
    )


def _cannot_tell(
    said: str, subjects: Sequence[str], found: Convergence | None, curves: Mapping[str, Curves]
) -> tuple[str, ...]:
    out = []
    if said == CHANCE_LEFT_IN:
        out.append("Whether alignment is above chance, and whether chance makes these curves: its level is not known.")
    if len(subjects) < 6:
        least = min(1.0, 2.0 ** (1 - len(subjects)))
        out.append(
            f"{len(subjects)} subjects: the least p of an exact sign flip is {least:.3g}, so the t interval carries "
            "the claim, on normality."
        )
    out.append("Whether other models would show it: all subjects see the same models, and intervals are over subjects.")
    if found is None and len(curves) == 1:
        out.append("Whether modalities converge: only one is here.")
    if found is not None and len(found.networks) < FEWEST:
        out.append(
            f"Whether profiles converge: r over {len(found.networks)} networks says nothing; {FEWEST} are needed."
        )
    return tuple(out)


def _curve_rows(
    curves: Mapping[str, Curves], networks: Mapping[str, Any], centres: Float[np.ndarray, " bins"], said: str
) -> tuple[dict[str, Any], ...]:
    out = []
    for modality, c in curves.items():
        for i, network in enumerate(networks):
            for b, place in enumerate(centres):
                mean, low, high = mean_interval(c[:, i, b])
                row = {"modality": modality, "network": network, "depth": float(place), "value": mean}
                out.append({**row, "low": low, "high": high, "subjects": len(c), "said": said})
    return tuple(out)


def _model_rows(
    pooled: Mapping[tuple[str, str], Curves], networks: Mapping[str, Any], centres: Float[np.ndarray, " bins"]
) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"model": model, "modality": m, "network": network, "depth": float(place), "value": float(c[:, i, b].mean())}
        for (m, model), c in pooled.items()
        for i, network in enumerate(networks)
        for b, place in enumerate(centres)
    )
