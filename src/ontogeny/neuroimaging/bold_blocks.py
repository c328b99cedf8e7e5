"""A BOLD run: volumes labelled by what was shown become one response a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError, require
from ontogeny.neuroimaging.event_tables import Row
from ontogeny.neuroimaging.presentations import Presentations
from ontogeny.neuroimaging.run_preprocessing import rows_of
from ontogeny.neuroimaging.voxel_masks import Space

__all__ = ["REST", "Block", "block_average", "find_blocks", "glm_betas", "volume_labels"]

REST = "rest"
Series = Float[np.ndarray, "volumes voxels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Neighbouring volumes of one label: rows `start` to `stop` (not included) of the whole series."""

    label: str
    run: str
    start: int
    stop: int


def volume_labels(events: Sequence[Row], *, n_volumes: int, tr: float, rest: str = REST) -> tuple[str, ...]:
    """What was on screen at the middle of each volume of one run, from events with onset and duration (seconds).

    Raises:
        DataError: an event without onset or duration, one after the end of the run, or two at a time.
    """
    middles = (np.arange(n_volumes) + 0.5) * tr
    labels = [rest] * n_volumes
    for event in events:
        if event.onset is None or event.duration is None:
            raise DataError(f"event {event.stimulus_id!r} has no onset or duration; both are needed, in seconds")
        if event.onset >= n_volumes * tr:
            raise DataError(
                f"event {event.stimulus_id!r} begins at {event.onset:g} s, after the {n_volumes} volumes of "
                f"{n_volumes * tr:g} s; is it of another run, or in milliseconds?"
            )
        for volume in np.flatnonzero((middles >= event.onset) & (middles < event.onset + event.duration)):
            if labels[volume] not in (rest, event.stimulus_id):
                raise DataError(
                    f"events {labels[volume]!r} and {event.stimulus_id!r} are both on at {middles[volume]:g} s; are "
                    "these events of two runs? Give one run at a time"
                )
            labels[volume] = event.stimulus_id
    return tuple(labels)


def find_blocks(labels: Sequence[str], runs: Sequence[str], *, rest: str = REST) -> tuple[Block, ...]:
    """Stretches of one label within one run, rest left out.

    Raises:
        DataError: labels and runs of different length, or nothing but rest.
    """
    if len(labels) != len(runs):
        raise DataError(f"expected a label and a run a volume, got {len(labels)} labels and {len(runs)} runs")
    pairs = list(zip(labels, runs, strict=True))
    edges = [i for i in range(len(pairs)) if i == 0 or pairs[i] != pairs[i - 1]]
    found = [
        Block(label=labels[start], run=runs[start], start=start, stop=stop)
        for start, stop in zip(edges, [*edges[1:], len(pairs)], strict=True)
        if labels[start] != rest
    ]
    if not found:
        raise DataError(f"all {len(labels)} volumes are labelled {rest!r}; there is no block")
    return tuple(found)


def block_average(
    series: Series,
    *,
    labels: Sequence[str],
    runs: Sequence[str],
    space: Space,
    subject: str,
    shift: int,
    rest: str = REST,
) -> Presentations:
    """The mean over each block's volumes, moved by the delay of the haemodynamic response.

    Drifts and units are not touched: call `detrend_runs` and `zscore_runs` on the series first.

    Args:
        series: volumes x voxels, all runs one after the other.
        labels: what was shown, one a volume.
        runs: one a volume.
        space: which voxels.
        subject: whose.
        shift: volumes by which the response comes later than the labels say: about 5 s, less where the labels were
            moved already (those published with Haxby et al. 2001 need 0). Cut at the end of the run.
        rest: the label that is no block.

    Returns:
        One row a block; each block of a label is a repeat of it.

    Raises:
        DataError: lengths that differ, a run that is not in one piece, or a block that the shift moves out of its run.
    """
    _check_length(series, labels, runs)
    ends = {run: rows[-1] + 1 for run, rows in rows_of(runs).items()}
    blocks, rows = find_blocks(labels, runs, rest=rest), []
    for block in blocks:
        start, stop = block.start + shift, min(block.stop + shift, ends[block.run])
        if shift < 0 or start >= stop:
            raise DataError(
                f"a shift of {shift} volumes moves block {block.label!r} of run {block.run!r} out of the run, which "
                f"ends {ends[block.run] - block.start} volumes after the block begins; use a smaller shift"
            )
        rows.append(series[start:stop].mean(axis=0, dtype=np.float64))
    return _presentations(blocks, np.stack(rows).astype(series.dtype), space, subject)


def glm_betas(
    series: Series,
    *,
    labels: Sequence[str],
    runs: Sequence[str],
    space: Space,
    subject: str,
    tr: float,
    high_pass: float = 0.01,
    rest: str = REST,
) -> Presentations:
    """One beta a block: least squares on Glover-convolved blocks and cosine drifts, run by run (nilearn's design).

    Args:
        series: volumes x voxels, all runs one after the other; not detrended.
        labels: what was shown, one a volume.
        runs: one a volume.
        space: which voxels.
        subject: whose.
        tr: seconds from volume to volume.
        high_pass: drifts slower than this, in Hz, are modelled.
        rest: the label that is no block.

    Raises:
        DataError: lengths that differ, or a run that is not in one piece.
        MissingExtraError: nilearn is not installed.
    """
    _check_length(series, labels, runs)
    glm, pandas = require("nilearn.glm.first_level", "nilearn"), require("pandas", "tables")
    blocks = find_blocks(labels, runs, rest=rest)
    betas: list[Any] = []
    for run, rows in rows_of(runs).items():
        own = [block for block in blocks if block.run == run]
        events = pandas.DataFrame(
            {
                "onset": [(b.start - rows[0]) * tr for b in own],
                "duration": [(b.stop - b.start) * tr for b in own],
                "trial_type": [f"block{i:04d}" for i in range(len(own))],
            }
        )
        design = glm.make_first_level_design_matrix(
            np.arange(len(rows)) * tr, events, hrf_model="glover", drift_model="cosine", high_pass=high_pass
        )
        fitted, *_ = np.linalg.lstsq(design.to_numpy(), series[rows].astype(np.float64), rcond=None)
        betas += [fitted[design.columns.get_loc(name)] for name in events["trial_type"]]
    return _presentations(blocks, np.stack(betas).astype(series.dtype), space, subject)


def _check_length(series: Series, labels: Sequence[str], runs: Sequence[str]) -> None:
    if len(series) != len(labels):
        raise DataError(f"the series has {len(series)} volumes but there are {len(labels)} labels; give one a volume")
    for run, rows in rows_of(runs).items():
        if rows[-1] - rows[0] + 1 != len(rows):
            raise DataError(f"run {run!r} is not in one piece: volumes of others stand between its own; sort by run")


def _presentations(
    blocks: Sequence[Block], responses: Float[np.ndarray, "blocks voxels"], space: Space, subject: str
) -> Presentations:
    return Presentations(
        subject=subject,
        stimulus_ids=tuple(block.label for block in blocks),
        runs=tuple(block.run for block in blocks),
        responses=responses,
        space=space,
    )
