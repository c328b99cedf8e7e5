"""Profiles over regions or networks: chance taken off, networks averaged, subjects summed up as estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.findings.cells import Cells, is_biased
from ontogeny.findings.estimates import Estimate
from ontogeny.findings.subjects import fdr, mean_interval, sign_flip_p

__all__ = [
    "NOT_KNOWN",
    "adjusted",
    "agreement",
    "agreement_across",
    "correlation",
    "direction",
    "levels",
    "members",
    "over_subjects",
]

NOT_KNOWN = "biased CKA, chance level not known"


def levels(cells: Cells, *, chance_unknown: bool = False) -> tuple[Float[np.ndarray, " cells"], str]:
    """What is analysed of the values, and in which words: above chance wherever chance is known.

    Args:
        cells: of one metric, or of one metric at several scales.
        chance_unknown: take biased values whose chance is not known as they are; the words say so.

    Raises:
        DataError: biased values without chance, or chance known of some cells only.
    """
    known = np.isfinite(cells.chance)
    if known.all():
        return cells.above_chance, "above chance"
    name = str(cells.metric[~known][0])
    if known.any():
        raise DataError(
            f"chance is known of {int(known.sum())} of {len(cells)} cells, not of metric {name!r}; take one kind: "
            "cells.where(metric=...)"
        )
    if not is_biased(name):
        return cells.value, "raw values, chance level not given"
    if not chance_unknown:
        raise DataError(
            f"{name!r} is biased CKA without its chance level, which differs from region to region and layer to layer; "
            "score the debiased form, or a record with chance, or pass chance_unknown=True and read it so"
        )
    return cells.value, NOT_KNOWN


def members(rois: Sequence[str], groups: Mapping[str, str] | None) -> dict[str, list[int]]:
    """Network -> places of its regions; each region by itself where there are no groups. Others are left out.

    Raises:
        DataError: no region is in the groups.
    """
    out: dict[str, list[int]] = {}
    for place, roi in enumerate(rois):
        network = roi if groups is None else groups.get(roi)
        if network is not None:
            out.setdefault(network, []).append(place)
    if not out:
        raise DataError(
            f"none of the regions {list(rois)[:6]} is in the groups, which have {list(groups or {})[:6]}; "
            "write regions as in the cells"
        )
    return out


def unit(profiles: Float[np.ndarray, "*more regions"]) -> Float[np.ndarray, "*more regions"]:
    """Centred over the last axis and of length 1 there, so that r is a product; NaN where a profile is constant."""
    centred = profiles - profiles.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.where(length > 0, length, np.nan))


def correlation(
    a: Float[np.ndarray, "*more regions"], b: Float[np.ndarray, "*more regions"]
) -> Float[np.ndarray, "*more"]:
    """Pearson r over the last axis; NaN where one side is constant."""
    return np.asarray((unit(a) * unit(b)).sum(axis=-1))


def agreement(profiles: Float[np.ndarray, "subjects *more regions"]) -> Float[np.ndarray, "*more"]:
    """How reliable one subject's profile is: mean Pearson r of all pairs of subjects; NaN for one subject."""
    return agreement_across(profiles, profiles)


def agreement_across(
    a: Float[np.ndarray, "subjects *more regions"], b: Float[np.ndarray, "subjects *more regions"]
) -> Float[np.ndarray, "*more"]:
    """Mean Pearson r of one subject's profile in `a` and another's in `b`; NaN for one subject."""
    n = len(a)
    if n == 1:
        return np.full(a.shape[1:-1], np.nan)
    a, b = unit(a), unit(b)
    both = (a.sum(axis=0) * b.sum(axis=0)).sum(axis=-1) - (a * b).sum(axis=(0, -1))
    return np.asarray(both / (n * (n - 1)))


def over_subjects(values: Float[np.ndarray, " subjects"], *, name: str, unit: str, how: str) -> Estimate:
    """Mean over subjects, 95 % t interval, exact sign flip; neither of the two for one subject.

    Raises:
        DataError: a value that is not finite.
    """
    mean, low, high = mean_interval(values)
    n = len(values)
    if n == 1:
        how = f"{how}; one subject, so neither interval nor test"
        return Estimate(name=name, value=mean, unit=unit, n=1, of="subject", how=how)
    least = f"least possible {2.0 ** (1 - n):.3g}"
    how = f"{how}; mean over subjects, 95 % t interval, p by flipping the subjects' signs ({least})"
    return Estimate(
        name=name, value=mean, unit=unit, low=low, high=high, p=sign_flip_p(values), n=n, of="subjects", how=how
    )


def adjusted(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The same with q, their p adjusted for the false discovery rate, where all have a p."""
    p = [estimate.p for estimate in estimates if estimate.p is not None]
    if len(p) < len(estimates):
        return list(estimates)
    return [replace(estimate, q=q) for estimate, q in zip(estimates, fdr(p), strict=True)]


def direction(estimate: Estimate) -> int:
    """1 or -1 where the interval leaves out 0, else 0 (also where there is no interval)."""
    if estimate.low is None or estimate.high is None or math.isnan(estimate.low):
        return 0
    return int(estimate.low > 0) - int(estimate.high < 0)
