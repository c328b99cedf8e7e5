"""A folder of BIDS derivatives -> each subject's images, found by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.datasets.imaged import Images
from ontogeny.errors import DataError, nearest
from ontogeny.imaging.bids import bids_files, bids_name
from ontogeny.imaging.grids import inside

__all__ = ["bids_facts", "bids_images"]

_RUN = ("ses", "task", "run")
_ATLASES = (".nii.gz", ".nii", ".dlabel.nii", ".label.gii")


def bids_images(
    folder: Path,
    *,
    subjects: Sequence[str] = (),
    betas: Mapping[str, str] | None = None,
    atlas: Mapping[str, str] | None = None,
    with_atlas: bool = True,
) -> dict[str, Images]:
    """Subject -> its betas (`stat-beta_statmap`), the events of the same session, task and run, and its `dseg`.

    Args:
        folder: of the derivatives; events and atlases lie anywhere in it.
        subjects: which; all that have betas where empty.
        betas: what else their names say, e.g. {"space": "T1w"}; or other than usual, e.g. {"stat": "effect"}.
        atlas: the same of the atlas, which is searched in the betas' space where they name one.
        with_atlas: search one; otherwise it is given in another way.

    Raises:
        DataError: files that are not there, or of which there are several, or that lead out of the folder.
    """
    wanted = {"suffix": "statmap", "stat": "beta", **(betas or {})}
    found: dict[str, list[Path]] = {}
    for path in bids_files(folder, **wanted):
        found.setdefault(bids_name(path).entities.get("sub", ""), []).append(inside(folder, path.relative_to(folder)))
    for subject in subjects:
        if subject.removeprefix("sub-") not in found:
            raise DataError(f"{folder}: subject {subject!r} has no betas. {nearest(subject, found)}")
    chosen = [subject.removeprefix("sub-") for subject in subjects] or [subject for subject in found if subject]
    return {
        subject: Images(
            betas=tuple(found[subject]),
            table=_events(folder, subject, found[subject]),
            atlas=_atlas(folder, subject, found[subject], atlas or {}) if with_atlas else (),
        )
        for subject in chosen
    }


def _run(path: Path) -> tuple[str, ...]:
    entities = bids_name(path).entities
    return tuple(entities.get(key, "").lstrip("0") for key in _RUN)


def _events(folder: Path, subject: str, betas: Sequence[Path]) -> tuple[Path, ...]:
    """One table a run of betas; of both hemispheres, one."""
    there = bids_files(folder, suffix="events", extension=".tsv", subject=subject)
    by_run = {_run(path): inside(folder, path.relative_to(folder)) for path in there}
    runs = list(dict.fromkeys(map(_run, betas)))
    if len(runs) == len(by_run) == 1:
        return tuple(by_run.values())
    missing = [path.name for path in betas if _run(path) not in by_run]
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} files of betas have no events of the same session, task and run, e.g. "
            f"{missing[0]}; there are {[path.name for path in by_run.values()][:4]}"
        )
    return tuple(by_run[run] for run in runs)


def _atlas(folder: Path, subject: str, betas: Sequence[Path], said: Mapping[str, str]) -> tuple[Path, ...]:
    spaces = {bids_name(path).entities.get("space", "") for path in betas} - {""}
    wanted: dict[str, Any] = {"suffix": "dseg", "extension": _ATLASES, "subject": subject}
    if len(spaces) == 1:
        wanted["space"] = spaces.pop()
    return tuple(inside(folder, path.relative_to(folder)) for path in bids_files(folder, **(wanted | dict(said))))


def bids_facts(folder: Path) -> dict[str, str]:
    """What dataset_description.json says: name, licence and citation, "" where it does not.

    Raises:
        DataError: it is there and cannot be read.
    """
    path = folder / "dataset_description.json"
    facts: Any = {}
    if path.is_file():
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(facts, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(facts).__name__}")
    cite = facts.get("HowToAcknowledge") or facts.get("DatasetDOI") or ""
    return {"name": str(facts.get("Name", "")), "licence": str(facts.get("License", "")), "citation": str(cite)}
