"""Which image was shown in which trial, and which sessions there are."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from ontogeny.errors import DataError, nearest

__all__ = ["TRIALS", "Design", "Images", "Session", "chosen_sessions", "image_id", "read_design", "subject_names"]

TRIALS = 750
Images = Literal["all", "shared", "unique"]
_MAT = ("masterordering", "subjectim", "sharedix")
_FILE = re.compile(r"betas_session(\d+)\.(?:hdf5|nii\.gz)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """One session of one subject.

    Args:
        number: from 1.
        file: of its betas; `.hdf5` where there is one, else `.nii.gz`.
        images: row in the stimulus file of each of its 750 trials, from 0.
    """

    number: int
    file: Path
    images: Int[np.ndarray, " trials"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """`nsd_expdesign.mat`, counted from 0.

    Args:
        order: which of a subject's 10,000 images each trial shows; alike for all subjects.
        shown: subjects x 10,000 rows in the stimulus file.
        shared: rows of the images that all subjects were to see.
    """

    order: Int[np.ndarray, " trials"]
    shown: Int[np.ndarray, "subjects images"]
    shared: frozenset[int]

    def of_session(self, subject: str, number: int) -> Int[np.ndarray, " trials"]:
        """The image of each trial of a session, as its row in the stimulus file."""
        trials = self.order[(number - 1) * TRIALS : number * TRIALS]
        return np.asarray(self.shown[int(subject.removeprefix("subj")) - 1, trials])

    def wanted(self, images: Images, seen: set[int]) -> set[int]:
        """Those of the images that a subject saw that are chosen."""
        if images == "all":
            return seen
        return seen & self.shared if images == "shared" else seen - self.shared


def image_id(row: int) -> str:
    """An image's stimulus id: its row in the stimulus file from 0, which is `nsdId` in `nsd_stim_info_merged.csv`."""
    return f"nsd-{row:05d}"


def read_design(folder: Path) -> Design:
    """The experiment's design; MATLAB counts from 1, what is returned from 0.

    Raises:
        DataError: no such file, a variable that is missing, or numbers that cannot be so.
    """
    path = folder / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"
    found = _load(path)
    missing = [name for name in _MAT if name not in found]
    if missing:
        raise DataError(f"{path}: {missing} are missing; is it another file?")
    order, shown, shared = (np.asarray(found[name]) for name in _MAT)
    if shown.ndim != 2 or order.size % TRIALS or not order.size or not shared.size:
        raise DataError(
            f"{path}: expected masterordering 1 x (sessions x {TRIALS}), subjectim subjects x images and sharedix "
            f"1 x images, got {order.shape}, {shown.shape}, {shared.shape}"
        )
    if order.min() < 1 or order.max() > shown.shape[1] or min(shown.min(), shared.min()) < 1:
        raise DataError(
            f"{path}: masterordering should be 1 to {shown.shape[1]}, subjectim and sharedix from 1, got "
            f"{order.min()} to {order.max()}, from {shown.min()} and from {shared.min()}"
        )
    return Design(
        order=order.ravel().astype(np.int64) - 1,
        shown=shown.astype(np.int64) - 1,
        shared=frozenset((shared.ravel().astype(np.int64) - 1).tolist()),
    )


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path} is not there; it says which image each trial shows: get it from the bucket")
    try:
        return dict(loadmat(path, variable_names=list(_MAT)))
    except (MatReadError, OSError, ValueError, TypeError, LookupError, NotImplementedError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file ({error}); it may be cut short") from error


def subject_names(folder: Path, wanted: Sequence[str], design: Design) -> tuple[str, ...]:
    """The subjects, held against those whose betas are there.

    Raises:
        DataError: none, one twice, or one that is not there; says which are.
    """
    place = folder / "nsddata_betas" / "ppdata"
    known = {f"subj{number:02d}" for number in range(1, len(design.shown) + 1)}
    here = sorted(path.name for path in place.glob("subj*") if path.is_dir() and path.name in known)
    for one in wanted:
        if one not in here:
            raise DataError(f"{place}: there is no subject {one!r}. {nearest(one, here)}")
    if not wanted or len(set(wanted)) < len(wanted):
        raise DataError(f"nsd: subjects should be one or several of {here}, each once, got {list(wanted)}")
    return tuple(wanted)


def chosen_sessions(folder: Path, subject: str, wanted: str, design: Design) -> tuple[Session, ...]:
    """A subject's sessions.

    Args:
        folder: with `betas_session01.hdf5` and so on.
        subject: whose.
        wanted: "all" (every one from the first to the last that is there), or numbers and ranges: "1-37", "1,3,5-8".
        design: of the experiment.

    Raises:
        DataError: not so written, or a session that has no file; names it and says which are there.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("betas_session*"), reverse=True):
        if match := _FILE.fullmatch(path.name):
            found[int(match[1])] = path
    if not found:
        raise DataError(f"{folder}: there are no betas_session01.hdf5 or betas_session01.nii.gz and so on; get some")
    numbers = range(1, max(found) + 1) if wanted == "all" else _numbers(wanted)
    most = len(design.order) // TRIALS
    for number in numbers:
        if number not in found or number > most:
            raise DataError(
                f"{folder}: session {number} of {subject} is missing (betas_session{number:02d}.hdf5 or .nii.gz); "
                f"there are {_ranges(found)}: get it, or say which to take, e.g. sessions={_ranges(found)!r}"
            )
    return tuple(Session(number=n, file=found[n], images=design.of_session(subject, n)) for n in numbers)


def _numbers(text: str) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise DataError(
                f"nsd: sessions should be 'all' or numbers and ranges from 1, e.g. '1-37' or '1,3,5-8', got {text!r}"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def _ranges(numbers: dict[int, Path]) -> str:
    """Numbers as `sessions` takes them, e.g. "1-3,5"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
