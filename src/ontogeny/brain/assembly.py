"""Assembly and Geometry: one subject's responses to a stimulus set, as voxels or as dissimilarities.

`targets` cuts either into the unit that metrics see: one ROI of one subject, rows in the order of the stimuli.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from ontogeny._arrays import PerVoxel, Responses, Square, digest
from ontogeny._display import one_line
from ontogeny._memory import require_memory
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.stimuli import check_ids

__all__ = ["Assembly", "Geometry", "Target", "some_voxels", "spread", "targets", "usable_voxels"]


_ROWS = 256


def usable_voxels(responses: Float[np.ndarray, "stimuli voxels"]) -> np.ndarray:
    """Mask of voxels that are finite everywhere and not constant over stimuli (bool, one per voxel)."""
    lowest, highest = responses.min(axis=0), responses.max(axis=0)
    return np.asarray(np.isfinite(lowest) & np.isfinite(highest) & (highest > lowest))


def _rows(have: Sequence[str], want: Sequence[str], owner: str) -> list[int]:
    place = {stimulus: row for row, stimulus in enumerate(have)}
    missing = [stimulus for stimulus in want if stimulus not in place]
    if missing:
        raise AlignmentIdError(
            f"{owner} has no response to {len(missing)} of {len(want)} stimuli, e.g. {missing[:3]}; "
            "leave these stimuli out or check how ids were made"
        )
    return [place[stimulus] for stimulus in want]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """One subject's responses, stimuli x voxels.

    Args:
        name: data set and measure.
        subject: whose responses ("group" for an average over participants).
        stimulus_ids: one id a row.
        responses: stimuli x voxels, in the data's own unit (z-score, percent signal change).
        roi: a label per voxel.
        ceiling: highest Pearson r that the noise allows, one per voxel, or None where it is not known.
        ceiling_source: how the ceiling was made.

    Raises:
        DataError: NaN, constant voxels, or sizes that do not fit each other.
        AlignmentIdError: doubled ids.
    """

    name: str
    subject: str
    stimulus_ids: tuple[str, ...]
    responses: Responses
    roi: tuple[str, ...]
    ceiling: PerVoxel | None = None
    ceiling_source: str = "not known"

    __repr__ = one_line

    def __post_init__(self) -> None:
        owner = self._owner()
        check_ids(self.stimulus_ids, owner)
        if self.responses.ndim != 2 or self.responses.shape != (len(self.stimulus_ids), len(self.roi)):
            raise DataError(
                f"{owner}: responses should be stimuli x voxels = {len(self.stimulus_ids)} x {len(self.roi)} "
                f"(ids x ROI labels), got {self.responses.shape}"
            )
        if not self.roi:
            raise DataError(f"{owner}: no voxel at all; the ROI is empty")
        if not np.issubdtype(self.responses.dtype, np.floating):
            raise DataError(f"{owner}: responses should be floats, got {self.responses.dtype}; convert them")
        bad = ~usable_voxels(self.responses)
        if bad.any():
            raise DataError(
                f"{owner}: {int(bad.sum())} of {bad.size} voxels hold NaN or are constant over stimuli, "
                f"e.g. voxel {int(np.flatnonzero(bad)[0])}; drop them with usable_voxels()"
            )
        if self.ceiling is not None and len(self.ceiling) != len(self.roi):
            raise DataError(f"{owner}: {len(self.roi)} voxels but {len(self.ceiling)} ceilings; give one per voxel")

    def _owner(self) -> str:
        return f"assembly {self.name!r}, subject {self.subject!r}"

    def align(self, ids: Sequence[str]) -> Assembly:
        """Rows put into the order of `ids`, matched by id. Stimuli that `ids` lacks are left out."""
        if self.stimulus_ids == tuple(ids):
            return self
        rows = _rows(self.stimulus_ids, ids, self._owner())
        return replace(self, stimulus_ids=tuple(ids), responses=self.responses[rows])

    def fingerprint(self) -> str:
        """Sixteen hex digits over everything that a score depends on."""
        ceiling = None if self.ceiling is None else np.asarray(self.ceiling)
        return digest(self.name, self.subject, self.stimulus_ids, self.responses, self.roi, ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """One subject's responses in one ROI, as a representational dissimilarity matrix (RDM).

    Args:
        name: data set and measure.
        subject: whose responses.
        roi: the region.
        stimulus_ids: one id a row and column.
        rdm: stimuli x stimuli, symmetric, zero diagonal; 1 - Pearson r, or squared Euclidean distance.
        n_voxels: how many voxels it was made of (0: not known).
        ceiling: highest Spearman correlation of dissimilarities that the noise allows, from sessions; None where it is
            not known. RSA takes it where other subjects give no bounds.
        ceiling_source: how it was made.

    Raises:
        DataError: NaN, not square, not symmetric, or constant; or a ceiling that is no correlation.
    """

    name: str
    subject: str
    roi: str
    stimulus_ids: tuple[str, ...]
    rdm: Square
    n_voxels: int = 0
    ceiling: float | None = None
    ceiling_source: str = "not known"

    __repr__ = one_line

    def __post_init__(self) -> None:
        owner = self._owner()
        check_ids(self.stimulus_ids, owner)
        if self.ceiling is not None and not 0 <= self.ceiling <= 1:
            raise DataError(f"{owner}: a ceiling is a correlation from 0 to 1, got {self.ceiling}")
        n = len(self.stimulus_ids)
        if self.rdm.shape != (n, n):
            raise DataError(f"{owner}: the RDM should be {n} x {n}, one row and column an id, got {self.rdm.shape}")
        parts = [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
        if not all(np.isfinite(self.rdm[part]).all() for part in parts):
            raise DataError(f"{owner}: the RDM holds NaN; leave these stimuli out")
        symmetric = all(np.allclose(self.rdm[part], self.rdm[:, part].T, atol=1e-5) for part in parts)
        if not symmetric or not np.allclose(np.diag(self.rdm), 0, atol=1e-5):
            raise DataError(f"{owner}: an RDM is symmetric with a zero diagonal; this one is not")
        if n > 2 and all((row[i + 1 :] == self.rdm[0, 1]).all() for i, row in enumerate(self.rdm)):
            raise DataError(f"{owner}: all dissimilarities are equal; there is no geometry to compare with")

    def _owner(self) -> str:
        return f"geometry {self.name!r}, subject {self.subject!r}, ROI {self.roi!r}"

    def align(self, ids: Sequence[str]) -> Geometry:
        """Rows and columns put into the order of `ids`, matched by id.

        Raises:
            AlignmentIdError: an id without a row.
            TooLargeError: no memory for the RDM in another order.
        """
        if self.stimulus_ids == tuple(ids):
            return self
        rows = _rows(self.stimulus_ids, ids, self._owner())
        whole = f"{self._owner()}: the RDM of {len(rows):,} stimuli in another order"
        require_memory(self.rdm.itemsize * len(rows) ** 2, whole, instead="take fewer stimuli")
        return replace(self, stimulus_ids=tuple(ids), rdm=self.rdm[np.ix_(rows, rows)])

    def fingerprint(self) -> str:
        """Sixteen hex digits over everything that a score depends on."""
        ceiling = () if self.ceiling is None else (self.ceiling,)
        return digest(self.name, self.subject, self.roi, self.stimulus_ids, self.rdm, *ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One ROI of one subject, in the order of the stimuli: what a metric compares features with.

    Exactly one of `responses` (stimuli x voxels) and `rdm` (stimuli x stimuli) is given. `ceiling` is one per voxel, of
    an RDM one.
    """

    subject: str
    roi: str
    responses: Responses | None = None
    rdm: Square | None = None
    ceiling: PerVoxel | None = None
    n_voxels: int = 0

    __repr__ = one_line


def targets(assemblies: Sequence[Assembly | Geometry], ids: Sequence[str]) -> tuple[Target, ...]:
    """Cut assemblies into one target a subject and ROI, aligned to `ids`."""
    out: list[Target] = []
    for assembly in assemblies:
        aligned = assembly.align(ids)
        if isinstance(aligned, Geometry):
            known = None if aligned.ceiling is None else np.array([aligned.ceiling])
            subject_name, roi, n = aligned.subject, aligned.roi, aligned.n_voxels
            out.append(Target(subject=subject_name, roi=roi, rdm=aligned.rdm, ceiling=known, n_voxels=n))
            continue
        labels = np.asarray(aligned.roi)
        for roi in dict.fromkeys(aligned.roi):
            voxels = labels == roi
            out.append(
                Target(
                    subject=aligned.subject,
                    roi=roi,
                    responses=aligned.responses[:, voxels],
                    ceiling=None if aligned.ceiling is None else aligned.ceiling[voxels],
                    n_voxels=int(voxels.sum()),
                )
            )
    return tuple(out)


def spread(n: int, most: int) -> Int[np.ndarray, " some"]:
    """At most so many of n places, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def some_voxels(targets: Sequence[Target], most: int) -> Float[np.ndarray, "stimuli some"] | None:
    """At most so many voxels, evenly spread over the targets, float64; None where no target has voxels."""
    every = [t.responses for t in targets if t.responses is not None]
    if not every:
        return None
    chosen = spread(sum(block.shape[1] for block in every), most)
    starts = np.cumsum([0, *(block.shape[1] for block in every)])
    parts = [
        block[:, chosen[(chosen >= start) & (chosen < start + block.shape[1])] - start]
        for block, start in zip(every, starts[:-1], strict=True)
    ]
    return np.concatenate(parts, axis=1).astype(np.float64)
