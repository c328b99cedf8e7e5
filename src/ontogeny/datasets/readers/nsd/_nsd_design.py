"""Which image each trial showed, from `nsd_expdesign.mat`: 1-based in the file, 0-based here."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Int
from scipy.io.matlab import MatReadError

from ontogeny.errors import DataError

__all__ = ["Design", "image_id", "read_design"]

_VARIABLES = ("masterordering", "subjectim", "sharedix")


def image_id(image: int) -> str:
    """`nsd-00013` for row 13 (0-based) of `nsd_stimuli.hdf5`."""
    return f"nsd-{image:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The order of trials, all 0-based.

    Args:
        order: of each trial, which of a subject's own images was shown.
        images: subjects x a subject's images: rows of `nsd_stimuli.hdf5`.
        shared: rows of `nsd_stimuli.hdf5` that all subjects were to see.
    """

    order: Int[np.ndarray, " trials"]
    images: Int[np.ndarray, "subjects images"]
    shared: frozenset[int]

    def shown(self, subject: int, session: int, n_trials: int) -> Sequence[int]:
        """Rows of `nsd_stimuli.hdf5`, one per trial of a session; subject and session count from 1.

        Raises:
            DataError: no such subject or session.
        """
        stop = session * n_trials
        if not 1 <= subject <= len(self.images) or session < 1 or stop > len(self.order):
            raise DataError(
                f"nsd2022: the design has subjects 1 to {len(self.images)} and {len(self.order) // n_trials} sessions "
                f"of {n_trials} trials, got subject {subject}, session {session}"
            )
        rows: list[int] = self.images[subject - 1, self.order[stop - n_trials : stop]].tolist()
        return rows


def read_design(path: Path) -> Design:
    """Read `nsd_expdesign.mat` (MATLAB version 5).

    Raises:
        DataError: the file cannot be used; names it.
    """
    try:
        found = scipy.io.loadmat(path, variable_names=list(_VARIABLES))
    except (MatReadError, OSError, ValueError, TypeError, NotImplementedError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file ({error}); get it anew") from error
    missing = [name for name in _VARIABLES if name not in found]
    if missing:
        raise DataError(f"{path} should hold {list(_VARIABLES)}, missing {missing}")
    order, images, shared = (np.asarray(found[name], dtype=np.int64) - 1 for name in _VARIABLES)
    if min(order.min(), images.min(), shared.min()) < 0 or order.max() >= images.shape[1]:
        raise DataError(f"{path}: numbers should count from 1, and masterordering go up to {images.shape[1]}")
    return Design(order=order.ravel(), images=images, shared=frozenset(shared.ravel().tolist()))
