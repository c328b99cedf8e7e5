"""A folder of BIDS derivatives -> each subject's images, found by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from ontogeny.datasets.own_data.image_files import Images
from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.bids_names import RunKey, bids_files, bids_name, plain_label
from ontogeny.neuroimaging.event_tables import read_rows
from ontogeny.neuroimaging.image_grids import inside
from ontogeny.neuroimaging.image_opening import open_image, repetition_time

__all__ = ["bids_facts", "bids_images"]

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
    filters = {"suffix": "statmap", "stat": "beta", **(betas or {})}
    found = _by_subject(folder, bids_files(folder, **filters), named=not subjects)
    for subject in subjects:
        if subject.removeprefix("sub-") not in found:
            raise DataError(f"{folder}: subject {subject!r} has no betas. {nearest(subject, found)}")
    chosen = [subject.removeprefix("sub-") for subject in subjects] or list(found)
    return {
        subject: Images(
            betas=tuple(found[subject]),
            table=_events(folder, subject, found[subject]),
            atlas=_atlas(folder, subject, found[subject], atlas or {}) if with_atlas else (),
        )
        for subject in chosen
    }


def _by_subject(folder: Path, betas: Sequence[Path], *, named: bool) -> dict[str, list[Path]]:
    """Subject -> its files.

    Raises:
        DataError: a file of no subject where all are wanted (`named`), or subjects that only zeros tell apart.
    """
    found: dict[str, list[Path]] = {}
    for path in betas:
        subject = bids_name(path).entities.get("sub")
        if subject is not None:
            found.setdefault(subject, []).append(inside(folder, path.relative_to(folder)))
        elif named:
            raise DataError(f"{path.name} names no subject; choose subjects= (--subjects), or what else names say")
    plain: dict[str, str] = {}
    for subject in found:
        if plain.setdefault(plain_label(subject), subject) != subject:
            raise DataError(f"{folder}: sub-{plain[plain_label(subject)]} and sub-{subject} are one number; rename one")
    return found


def _events(folder: Path, subject: str, betas: Sequence[Path]) -> tuple[Path, ...]:
    """One table a run of betas, whose name agrees with theirs on all that both say; of both hemispheres, one."""
    there = {RunKey.of_file(p): p for p in _tables(folder, subject)}
    runs: dict[RunKey, Path] = {}
    for path in betas:
        runs.setdefault(RunKey.of_file(path), path)
    taken: dict[Path, Path] = {}
    for run, image in runs.items():
        table = _of_run(folder, run, image, there)
        if table in taken:
            raise DataError(
                f"{folder}: {table.name} is all there is for both {taken[table].name} and {image.name}; give each run "
                "its own events"
            )
        taken[table] = image
    _refuse_late(folder, list(taken))
    return tuple(inside(folder, table.relative_to(folder)) for table in taken)


def _tables(folder: Path, subject: str) -> tuple[Path, ...]:
    """The subject's events; where it has none, those at the top that name no subject, which hold for all (BIDS)."""
    if not any(bids_name(path).entities.get("sub") == subject for path in folder.rglob("*_events.tsv")):
        shared = [path for path in sorted(folder.glob("*_events.tsv")) if "sub" not in bids_name(path).entities]
        if shared := [path for path in shared if not path.name.startswith(".")]:
            return tuple(shared)
    return bids_files(folder, suffix="events", extension=".tsv", subject=subject)


def _refuse_late(folder: Path, tables: Sequence[Path]) -> None:
    """Events after the end of their run, where its time series lies in the folder too: volumes x TR tell."""
    series = [path for path in sorted(folder.rglob("*_bold.nii*")) if not path.name.startswith(".")]
    for table in tables:
        fits = [path for path in series if not RunKey.of_file(path).against(RunKey.of_file(table))]
        timed = [(one, repetition_time(one)) for one in map(open_image, fits)]
        known = [(one.n_maps * tr, tr, one) for one, tr in timed if tr is not None]
        onsets = [row.onset for row in read_rows([table]) if row.onset is not None] if known else []
        if onsets and max(onsets) >= max(known, key=itemgetter(0))[0]:
            length, tr, longest = max(known, key=itemgetter(0))
            raise DataError(
                f"{table.name}: the last onset is {max(onsets):g} s, but {longest.path.name} has {longest.n_maps} "
                f"volumes of {tr:g} s, {length:g} s in all; are these its events, and in seconds?"
            )


def _of_run(folder: Path, run: RunKey, image: Path, there: Mapping[RunKey, Path]) -> Path:
    fits = [path for key, path in there.items() if not key.against(run)]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise DataError(
            f"{folder}: {image.name} has no events: of {run} there is no table that agrees with it; there are "
            f"{[path.name for path in there.values()][:4]}"
        )
    raise DataError(
        f"{folder}: {image.name} is of {run}, and its events may be {fits[0].name} or {fits[1].name}; give session, "
        "task and run in its name as in theirs"
    )


def _atlas(folder: Path, subject: str, betas: Sequence[Path], said: Mapping[str, str]) -> tuple[Path, ...]:
    spaces = {bids_name(path).entities.get("space", "") for path in betas} - {""}
    filters: dict[str, Any] = {"suffix": "dseg", "extension": _ATLASES, "subject": subject}
    if len(spaces) == 1:
        filters["space"] = spaces.pop()
    return tuple(inside(folder, path.relative_to(folder)) for path in bids_files(folder, **(filters | dict(said))))


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
