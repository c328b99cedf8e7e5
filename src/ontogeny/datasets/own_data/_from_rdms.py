"""Dissimilarities as labs have them -> a geometry: a matrix, the vector of its pairs, or one matrix a session."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from ontogeny._memory import require_memory, square
from ontogeny.brain import Geometry
from ontogeny.datasets.folder.write_folder import check_labels
from ontogeny.datasets.own_data._array_files import has_ids, read_array, read_responses
from ontogeny.datasets.own_data._stimulus_order import StimulusOrder
from ontogeny.datasets.own_data._whose_files import refuse_other_subject
from ontogeny.errors import AlignmentIdError, DataError

__all__ = ["read_geometry"]

Matrix = Float[np.ndarray, "stimuli stimuli"]
Notes = tuple[tuple[str, str], ...]
_ZERO = 1e-5
_SAID = "Spearman r"


def read_geometry(name: str, key: tuple[str, str], path: Path, order: StimulusOrder) -> tuple[Geometry, Notes]:
    """One subject's RDM of one ROI, and what should be said of how it was read.

    Args:
        name: of the geometry.
        key: subject and ROI.
        path: .npy or .safetensors: stimuli x stimuli; one number per pair, row after row of the upper half (pdist,
            rsatoolbox); or sessions x stimuli x stimuli, of which the mean is taken. Or a table with `stimulus_id` and
            one column per stimulus.
        order: of the stimuli.

    Raises:
        DataError: another shape, similarities in place of dissimilarities, or see `Geometry`.
        AlignmentIdError: ids that are not those of the stimuli.
    """
    subject, roi = key
    check_labels([roi], str(path))
    n = len(order.table)
    require_memory(2 * square(n), f"{path}, an RDM of {n:,} stimuli,", instead="take fewer stimuli")
    sessions, ids = _matrices(subject, path, order)
    rows = order.places(path, ids, sessions.shape[-1])
    cleared = [_cleared(path, matrix[np.ix_(rows, rows)]) for matrix in sessions]
    rdms = np.stack([matrix for matrix, _ in cleared])
    notes = tuple(("diagonal", text) for _, text in cleared if text)
    ceiling, source = None, "not known"
    if len(rdms) > 1:
        if len({matrix.tobytes() for matrix in rdms}) < len(rdms):
            raise DataError(f"{path}: two sessions are the same to the last digit; is one a copy? Leave it out")
        r = _agreement(rdms)
        notes += (
            ("sessions", f"mean of {len(rdms)} in {path.name}; two of them agree with {_SAID} = {r:.3f} on average"),
        )
        ceiling, source = _ceiling(r, len(rdms))
    made = Geometry(
        name=name,
        subject=subject,
        roi=roi,
        stimulus_ids=order.of(order.table),
        rdm=rdms.mean(axis=0).astype(np.float32),
        ceiling=ceiling,
        ceiling_source=source,
    )
    return made, notes


def _matrices(
    subject: str, path: Path, order: StimulusOrder
) -> tuple[Float[np.ndarray, "sessions stimuli stimuli"], tuple[str, ...] | None]:
    if has_ids(path):
        read = read_responses(path, voxels=order.table)
        refuse_other_subject(subject, path, read)
        if read.voxels != read.ids:
            raise AlignmentIdError(
                f"{path}: an RDM's columns should be named by its rows' stimulus_id, in the same order"
            )
        return read.values[None], read.ids
    values, n = read_array(path), len(order.table)
    if values.ndim == 1:
        if len(values) != n * (n - 1) // 2:
            raise DataError(
                f"{path}: a vector of the pairs of {n} stimuli has {n * (n - 1) // 2} numbers, got {len(values)}"
            )
        values = squareform(np.asarray(values, dtype=np.float64))
    if values.ndim not in (2, 3) or values.shape[-1] != values.shape[-2]:
        raise DataError(f"{path}: an RDM is stimuli x stimuli, got {values.shape}")
    return np.asarray(values, dtype=np.float64).reshape(-1, *values.shape[-2:]), None


def _cleared(path: Path, rdm: Matrix) -> tuple[Matrix, str]:
    """With a zero diagonal; cross-validated distances (crossnobis) have noise there, and some write NaN."""
    own, pairs = np.diag(rdm), rdm[np.triu_indices(len(rdm), 1)]
    if np.isfinite(own).all() and np.abs(own).max() <= _ZERO:
        return rdm, ""
    known = own[np.isfinite(own)]
    if known.size and known.min() >= pairs.max():
        raise DataError(
            f"{path}: the diagonal ({known.min():.3g} or more) is the highest of all, so that these are similarities; "
            "an RDM holds dissimilarities, e.g. 1 - r"
        )
    if known.size and np.abs(known).mean() > np.abs(pairs).mean():
        raise DataError(f"{path}: the diagonal is as large as the rest of the matrix; is this an RDM?")
    out = rdm.copy()
    np.fill_diagonal(out, 0.0)
    text = f"{known.min():.3g} to {known.max():.3g}" if known.size else "not finite"
    return out, f"that of {path.name} is {text}; set to 0, as of a stimulus and itself"


def _agreement(rdms: Float[np.ndarray, "sessions stimuli stimuli"]) -> float:
    """Spearman r of two sessions' dissimilarities, mean over pairs of sessions."""
    pairs = rdms[:, *np.triu_indices(rdms.shape[-1], 1)]
    return float(np.mean([spearmanr(one, other).statistic for one, other in combinations(pairs, 2)]))


def _ceiling(r: float, n: int) -> tuple[float, str]:
    """Root of the reliability of the mean over n sessions (Spearman-Brown; of two sessions: split half)."""
    share = n * r / (1 + (n - 1) * r) if r > 0 else 0.0
    return float(np.sqrt(share)), f"split half: {n} sessions, {_SAID} of two, Spearman-Brown, root of the reliability"
