"""Profiles over regions or networks: which regions make a network, how alike profiles are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.findings.estimates import Estimate

__all__ = [
    "agreement",
    "agreement_across",
    "correlation",
    "direction",
    "members",
]


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


def direction(estimate: Estimate) -> int:
    """1 or -1 where the interval leaves out 0, else 0 (also where there is no interval)."""
    if estimate.low is None or estimate.high is None or math.isnan(estimate.low):
        return 0
    return int(estimate.low > 0) - int(estimate.high < 0)
