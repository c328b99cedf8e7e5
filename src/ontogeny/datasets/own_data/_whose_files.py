"""Whose each file is: what its name says of subjects and stories is held against what it is given for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

from ontogeny._arrays import digest
from ontogeny.brain import Assembly, Geometry
from ontogeny.datasets.own_data._array_files import ResponseTable, read_table
from ontogeny.datasets.own_data.image_files import Images
from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.bids_names import COLUMNS, RunKey, bids_name, plain_label
from ontogeny.neuroimaging.table_files import Sheet, plain_column

__all__ = [
    "check_rois",
    "refuse_one_number",
    "refuse_other_stories",
    "refuse_other_subject",
    "refuse_other_subjects",
    "rois_of",
    "same_data",
]


def refuse_other_subjects(
    responses: Mapping[str, Path | Images],
    rois: Mapping[str, Path],
    geometries: Mapping[tuple[str, str], Path],
) -> None:
    """Refuse a file whose name says another subject than it is given for, and subjects that only zeros tell apart.

    Raises:
        DataError: names the file.
    """
    subjects = dict.fromkeys([*responses, *(subject for subject, _ in geometries)])
    refuse_one_number(subjects)
    plain = [(subject, given) for subject, given in responses.items() if isinstance(given, Path)]
    images = [(subject, path) for subject, one in responses.items() if isinstance(one, Images) for path in one.betas]
    rdms = [(subject, path) for (subject, _), path in geometries.items()]
    for files in (plain, [*rois.items()], rdms, images):
        for subject, path in files:
            if RunKey.of({"sub": subject}).against(RunKey.of_file(path)):
                raise DataError(
                    f"{path.name} is given for subject {subject!r}, but its name says another one; which is right?"
                )
        _refuse_swapped(files, subjects, "subject")


def refuse_one_number(subjects: Iterable[str]) -> None:
    """Refuse subjects such as 1 and 01.

    Raises:
        DataError: names both.
    """
    plain: dict[str, str] = {}
    for subject in subjects:
        if (other := plain.setdefault(plain_label(subject, "sub"), subject)) != subject:
            raise DataError(f"subjects {other!r} and {subject!r} are one number; give each subject a name of its own")


def refuse_other_stories(runs: Mapping[str, Mapping[str, Sequence[Path]]]) -> None:
    """Refuse a file whose name says another story, or another subject, than it is given for.

    Raises:
        DataError: names the file.
    """
    stories = list(dict.fromkeys(chain.from_iterable(runs.values())))
    for heard in runs.values():
        _refuse_swapped([(story, path) for story, paths in heard.items() for path in paths], stories, "story")
    files = [(subject, path) for subject, heard in runs.items() for paths in heard.values() for path in paths]
    _refuse_swapped(files, list(runs), "subject")


def check_rois(subjects: Collection[str], rois: Mapping[str, Path]) -> None:
    """A table of ROIs for each subject, or for none.

    Raises:
        DataError: one for a subject without responses, or a subject without one.
    """
    for subject in rois:
        if subject not in subjects:
            raise DataError(f"ROIs are given for {subject!r}, which has no responses. {nearest(subject, subjects)}")
    if rois and (without := [subject for subject in subjects if subject not in rois]):
        raise DataError(f"ROIs are given for {sorted(rois)}, not for {without}; give them for every subject")


def refuse_other_subject(subject: str, path: Path, read: ResponseTable) -> None:
    """Refuse a table of responses whose column says another subject.

    Raises:
        DataError: names the column and what it says.
    """
    if any(plain_column(name) in COLUMNS["sub"] for name in read.others):
        _refuse_other_sheet(subject, read_table(path))


def rois_of(subject: str, path: Path | None) -> Sheet | None:
    """A subject's table of ROIs.

    Raises:
        DataError: it cannot be read, or its column says another subject.
    """
    if path is None:
        return None
    sheet = read_table(path)
    _refuse_other_sheet(subject, sheet)
    return sheet


def _refuse_other_sheet(subject: str, sheet: Sheet) -> None:
    if (column := sheet.find(*COLUMNS["sub"])) is None:
        return
    column_labels = sorted(set(sheet.labels(column)))
    if {plain_label(one, "sub") for one in column_labels} != {plain_label(subject, "sub")}:
        raise DataError(
            f"{sheet.path} is given for subject {subject!r}, but its column {column!r} says {column_labels[:3]}; which?"
        )


def same_data(assemblies: Sequence[Assembly | Geometry]) -> tuple[tuple[str, str], ...]:
    """Subjects whose responses are the same to the last digit, to be said."""
    owners: dict[str, list[str]] = {}
    for one in assemblies:
        key = digest(one.responses) if isinstance(one, Assembly) else digest(one.roi, one.rdm)
        owners.setdefault(key, []).append(one.subject)
    return tuple(
        ("same data", f"subjects {', '.join(names)} have the same responses to the last digit; is one file a copy?")
        for names in (list(dict.fromkeys(subjects)) for subjects in owners.values())
        if len(names) > 1
    )


def _refuse_swapped(files: Sequence[tuple[str, Path]], names: Collection[str], what: str) -> None:
    """s1=s2.npy: a file's name has another one's name in it, and not its own; numbers alone may be of anything."""
    spelt = {_plain(name): name for name in names if not name.isdigit()}
    given = {(path.resolve(), name) for name, path in files}
    for name, path in files:
        column_labels = _words(path)
        others = [spelt[word] for word in sorted(column_labels & spelt.keys())]
        if (
            others
            and _plain(name) not in column_labels
            and not any((path.resolve(), other) in given for other in others)
        ):
            raise DataError(
                f"{path.name} is given for {what} {name!r}, but its name says {what} {others[0]!r}; which is right?"
            )


def _words(path: Path) -> set[str]:
    """What stands in a name between points, `_` and `-`, alone and joined."""
    stem = _plain(path.name.removesuffix(bids_name(path).extension))
    parts = re.split(r"([._-]+)", stem)
    cuts = range(0, len(parts) + 1, 2)
    return {"".join(parts[start : stop - 1]) for start, stop in combinations([*cuts, len(parts) + 1], 2)}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
