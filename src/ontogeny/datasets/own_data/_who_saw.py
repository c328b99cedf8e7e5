"""Which stimuli each subject saw: those that all saw, or each its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ontogeny.datasets.own_data._array_files import StimulusTable, has_ids, read_table
from ontogeny.datasets.own_data._stimulus_order import apart
from ontogeny.datasets.own_data.image_files import Images
from ontogeny.errors import AlignmentIdError, DataError, nearest
from ontogeny.neuroimaging.bids_names import plain_label
from ontogeny.stimuli import Chosen

__all__ = ["refuse_other_pictures", "said_of", "seen_by", "seen_by_all", "seen_by_any", "who_saw"]


def seen_by(given: Path | Images, known: Sequence[str]) -> set[str]:
    """Stimuli that a subject has responses to: those that its table names; of an array, which has no ids, all.

    Raises:
        DataError: a table that cannot be read.
        AlignmentIdError: stimuli that are not known.
    """
    if isinstance(given, Images):
        return given.seen(known)
    if not has_ids(given):
        return set(known)
    seen = set(read_table(given).labels("stimulus_id"))
    if unknown := sorted(seen - set(known)):
        raise AlignmentIdError(
            f"{given} has {len(unknown)} stimuli that the stimulus table lacks, e.g. {unknown[:3]}; "
            f"{apart(sorted(set(known) - seen), unknown)}{nearest(unknown[0], known)}"
        )
    return seen


def who_saw(
    responses: Mapping[str, Path | Images], geometries: Mapping[tuple[str, str], Path], known: Sequence[str]
) -> dict[str, set[str]]:
    """Subject -> the stimuli that it saw, of those that are known."""
    every = [*responses.items(), *((subject, path) for (subject, _), path in geometries.items())]
    out: dict[str, set[str]] = {}
    for subject, given in every:
        seen_ids = seen_by(given, known)
        if out.setdefault(subject, seen_ids) != seen_ids:
            raise DataError(f"subject {subject!r}: its files are of different stimuli; give one subject one set")
    return out


def seen_by_any(table: StimulusTable, seen: Iterable[set[str]]) -> StimulusTable:
    """The rows that any subject saw."""
    every = set().union(*seen)
    return _only(table, [row for row, stimulus in enumerate(table.ids) if stimulus in every])


def seen_by_all(table: StimulusTable, responses: Mapping[str, Path | Images]) -> StimulusTable:
    """The rows that all subjects saw whose images say that this is enough.

    Raises:
        DataError: there is none.
    """
    sets = [given.seen(table.ids) for given in responses.values() if isinstance(given, Images) and given.shared]
    if not sets:
        return table
    rows = [row for row, stimulus in enumerate(table.ids) if all(stimulus in seen for seen in sets)]
    if not rows:
        raise DataError(
            f"no stimulus was seen by all {len(sets)} subjects; score each on its own (--own-stimuli), or build one "
            "folder a subject"
        )
    return _only(table, rows)


def _only(table: StimulusTable, rows: Sequence[int]) -> StimulusTable:
    columns = {name: tuple(values[row] for row in rows) for name, values in table.columns.items()}
    ids, inputs = tuple(table.ids[row] for row in rows), Chosen(table.inputs, rows)
    files = tuple(table.files[row] for row in rows) if table.files else ()
    return replace(table, ids=ids, inputs=inputs, columns=columns, files=files)


def refuse_other_pictures(responses: Mapping[str, Path | Images], known: Sequence[str]) -> None:
    """Refuse subjects whose tables call files of other folders by one id: faces/1.png of one, houses/1.png of another.

    Raises:
        DataError: names both.
    """
    first: dict[str, tuple[str, str]] = {}
    for subject, given in responses.items():
        for stimulus, written in given.written(known).items() if isinstance(given, Images) else ():
            folders = [
                part for part in PurePath(written).parts[:-1] if plain_label(part, "sub") != plain_label(subject)
            ]
            if not folders:
                continue
            other, before = first.setdefault(stimulus, (folders[-1], f"{written!r} of subject {subject!r}"))
            if other != folders[-1]:
                raise DataError(
                    f"{before} and {written!r} of subject {subject!r} would both be {stimulus!r}; are these two "
                    "pictures? Give them two ids, or name them in the tables as the stimulus set does"
                )


def said_of(
    seen: Mapping[str, set[str]] | None, known: Sequence[str], left: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """How many stimuli each subject saw, how many all, and how many none."""
    if seen is None:
        return ()
    counts = ", ".join(f"{subject} {len(seen_ids)}" for subject, seen_ids in seen.items())
    never = f"; {len(known) - len(left)} that no subject saw are left out" if len(left) < len(known) else ""
    return (("saw", f"{counts}; {len(set.intersection(*seen.values()))} were seen by all{never}"),)
