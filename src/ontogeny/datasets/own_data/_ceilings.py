"""Noise ceilings of a lab's own data: given, made from repeats, or from the other subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float

from ontogeny.brain import Assembly
from ontogeny.brain.noise_ceiling import METHODS, ceiling_from_repeats, leave_one_subject_out
from ontogeny.datasets.folder.voxel_extras import Extras
from ontogeny.errors import DataError

__all__ = ["BETWEEN", "ceiling_of", "checked_ceiling", "with_between"]

BETWEEN = "between-subjects"
_PLACES = ("index", "hemisphere", "vertex", "grayordinate", "voxel", "x", "y", "z")


def ceiling_of(
    given_ceiling: tuple[float | str | None, str], repeats: Float[np.ndarray, "repeats stimuli voxels"] | None, n: int
) -> tuple[Float[np.ndarray, " voxels"] | None, str]:
    """The same for all n voxels, or made from repeats; and how it was made.

    Raises:
        DataError: no r from 0 to 1, repeats that do not make a ceiling which was asked for, or that are copies.
    """
    _refuse_copies(repeats)
    one, source = given_ceiling
    if one == BETWEEN:
        return None, "not known"
    if one is None or isinstance(one, str):
        return _from_repeats(repeats, one)
    return checked_ceiling("ceiling", np.full(n, one)), source


def _refuse_copies(repeats: Float[np.ndarray, "repeats stimuli voxels"] | None) -> None:
    """Two repeats of the same numbers would give a ceiling of 1."""
    there = [] if repeats is None else [one for one in repeats if not np.isnan(one).all()]
    for (i, one), (j, other) in combinations(enumerate(there, 1), 2):
        if np.array_equal(one, other, equal_nan=True):
            raise DataError(f"repeats {i} and {j} are the same to the last digit; is one a copy? Leave it out")


def checked_ceiling(owner: str, values: Float[np.ndarray, " voxels"]) -> Float[np.ndarray, " voxels"]:
    """Refuse what is no Pearson r from 0 to 1.

    Raises:
        DataError: says which.
    """
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise DataError(
            f"{owner}: a ceiling is a Pearson r from 0 to 1, got {wrong[:3].tolist()}; give one per voxel, "
            "or leave the column out"
        )
    return np.asarray(values, dtype=np.float64)


def _from_repeats(
    repeats: Float[np.ndarray, "repeats stimuli voxels"] | None, method: str | None
) -> tuple[Float[np.ndarray, " voxels"] | None, str]:
    """By the method asked for; where none was, by ncsnr if repeats allow it."""
    if repeats is None:
        if method is None:
            return None, "not known"
        raise DataError(
            f"a ceiling by {method} needs repeats: responses as repeats x stimuli x voxels; there is one each"
        )
    try:
        return ceiling_from_repeats(repeats.transpose(1, 0, 2), method or METHODS[0])
    except DataError as error:
        if method is not None:
            raise
        return None, f"not known: {error}"


def with_between(assemblies: Sequence[Assembly], extras: Mapping[str, Extras]) -> tuple[Assembly, ...]:
    """Each subject's voxels with the correlation to the mean of the others' same voxels as their ceiling.

    Args:
        assemblies: one per subject.
        extras: subject -> what is known of its voxels; places that differ are seen there.

    Raises:
        DataError: one subject, or subjects whose voxels or stimuli are not the same ones.
    """
    same = {(a.roi, a.stimulus_ids, _places(extras[a.subject])) for a in assemblies}
    if len(assemblies) < 2 or len(same) > 1:
        raise DataError(
            f"a ceiling between subjects needs two subjects or more with the same voxels and stimuli, got "
            f"{len(assemblies)} with {sorted({len(a.roi) for a in assemblies})} voxels"
            f"{' at other places' * (len(same) > 1)}; put them on one grid with one atlas, or take repeats (ncsnr)"
        )
    found = leave_one_subject_out([a.responses for a in assemblies])
    source = (
        f"Pearson r with the mean of the other subjects' same voxels, {len(assemblies)} subjects: a lower bound (0 "
        "where it is negative)"
    )
    return tuple(
        replace(a, ceiling=np.clip(r, 0, 1), ceiling_source=source) for a, r in zip(assemblies, found, strict=True)
    )


def _places(extras: Extras) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(map(str, extras.columns[name]))) for name in _PLACES if name in extras.columns)
