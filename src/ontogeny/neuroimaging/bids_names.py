"""Names of BIDS derivatives, and which run they are of: one key, used wherever runs are distinguished.

`sub-01_ses-2_task-view_run-1_space-T1w_stat-beta_statmap.nii.gz` is of the run sub-01_ses-2_task-view_run-1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path

from typing_extensions import override

from ontogeny._atomic_write import natural_key
from ontogeny.errors import DataError, nearest

__all__ = ["COLUMNS", "ENDS", "BidsName", "RunKey", "bids_files", "bids_name", "plain_label", "refuse_alike"]

_LONG = {"subject": "sub", "session": "ses"}
_EXTENSION = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9]*)+$")  # .nii.gz, .dscalar.nii; not .2_bold


@dataclass(frozen=True, slots=True, kw_only=True)
class BidsName:
    """What a file's name says.

    Args:
        entities: short key -> value, e.g. {"sub": "01", "run": "2"}, in the order of the name.
        suffix: the last word, e.g. "statmap", "dseg", "events".
        extension: with its dot, e.g. ".nii.gz", ".dscalar.nii".
        doubled: keys that stand there twice, with two values; `entities` has the first.
    """

    entities: dict[str, str]
    suffix: str
    extension: str
    doubled: tuple[str, ...] = ()


def bids_name(path: str | Path) -> BidsName:
    """Take a file's name apart; words that are not `key-value` are left out.

    Values may have what BIDS does not allow, such as `ses-2024-01-05`, `run-1.2` or `task-été`: they are kept whole.
    """
    name = Path(path).name
    extension = next(iter(_EXTENSION.findall(name)), "")
    words = name.removesuffix(extension).split("_")
    pairs = [re.fullmatch(r"([A-Za-z]+)-(.+)", word) for word in words]
    entity_pairs = [(m.group(1), m.group(2)) for m in pairs if m]
    entities = dict(reversed(entity_pairs))
    return BidsName(
        entities={key: entities[key] for key, _ in entity_pairs},
        suffix="" if pairs[-1] else words[-1],
        extension=extension,
        doubled=tuple(dict.fromkeys(key for key, value in entity_pairs if entities[key] != value)),
    )


# Entities that say when and how a run was measured. What is not among them (space, desc, hemi, echo, rec, ...) says how
# its data were processed, or which part of them a file holds.
RUN_ENTITIES = tuple("sub ses sample task tracksys acq ce trc stain dir mod inv mt flip run".split())  # noqa: SIM905
# Entity -> the columns of a table that say it, as `Sheet.find` compares them: "Run Nr" is run_nr.
ENDS = ("", "_id", "_number", "_nr", "_no", "_num", "_index", "_idx", "_label", "_name")


def _numbered(*words: str) -> tuple[str, ...]:
    return tuple(word + end for word in words for end in ENDS)


COLUMNS: dict[str, tuple[str, ...]] = {
    "sub": _numbered("subject", "subj", "sub", "participant"),
    "ses": _numbered("session", "sess", "ses", "visit"),
    "task": ("task",),
    "acq": ("acquisition", "acq"),
    "ce": ("ce",),
    "dir": ("dir",),
    "run": _numbered("run"),
}


def plain_label(value: str, entity: str = "") -> str:
    """A label as it is compared: `01`, `1` and `1.0` are one number, `run-1` is `1`, é is one character."""
    text = unicodedata.normalize("NFC", value.strip())
    text = text.removeprefix(f"{entity}-") if entity else text
    return str(int(float(text))) if re.fullmatch(r"[0-9]+(\.0+)?", text) and len(text) < 16 else text


@dataclass(frozen=True, slots=True)
class RunKey:
    """Subject, session, task, acquisition, run: every entity that is known of a run. Equal by value, not by spelling.

    Args:
        values: entity -> its value as it is compared, in the order of `RUN_ENTITIES`.
        shown: the same as it was written.
    """

    values: tuple[tuple[str, str], ...]
    shown: tuple[tuple[str, str], ...] = field(compare=False)

    @classmethod
    def of(cls, entities: Mapping[str, str]) -> RunKey:
        """A key of the entities that tell runs apart; others are left out."""
        own = [(key, entities[key]) for key in RUN_ENTITIES if key in entities]
        shown = tuple((key, value.strip().removeprefix(f"{key}-")) for key, value in own)
        return cls(values=tuple((key, plain_label(value, key)) for key, value in own), shown=shown)

    @classmethod
    def of_file(cls, path: str | Path) -> RunKey:
        """What a file's name says.

        Raises:
            DataError: an entity twice, with two values.
        """
        name = bids_name(path)
        if name.doubled:
            raise DataError(
                f"{Path(path).name}: {name.doubled[0]}- stands twice in this name, with two values; rename the file"
            )
        return cls.of(name.entities)

    @override
    def __str__(self) -> str:
        return "_".join(f"{key}-{value}" for key, value in self.shown) or "a run without a name"

    def __contains__(self, entity: str) -> bool:
        return any(key == entity for key, _ in self.values)

    def against(self, other: RunKey) -> tuple[str, ...]:
        """Entities that both have, with other values; none where the two may be of one run."""
        other_values = dict(other.values)
        return tuple(key for key, value in self.values if other_values.get(key, value) != value)

    def joined(self, other: RunKey) -> RunKey:
        """What the two say together; where both say it, as this one has it written. They must not contradict."""
        return RunKey.of({**dict(other.shown), **dict(self.shown)})

    @property
    def order(self) -> tuple[tuple[bool, object], ...]:
        """What to sort runs by: entity after entity, numbers by value."""
        own_values = dict(self.values)
        texts = [own_values.get(entity, "") for entity in RUN_ENTITIES]
        return tuple((not text.isdigit(), natural_key(text)) for text in texts)


def refuse_alike(keys: Mapping[RunKey, str]) -> None:
    """Refuse runs that may be one: two keys that say different things, but agree on all that both say.

    Args:
        keys: each with where it was read, for the error.

    Raises:
        DataError: names both.
    """
    for one, other in combinations(keys, 2):
        if not one.against(other):
            lacks = sorted({key for key, _ in one.values} ^ {key for key, _ in other.values})
            raise DataError(
                f"{keys[one]} is of {one}, {keys[other]} of {other}: nothing tells these two runs apart; give "
                f"{' and '.join(lacks)} for both, in the names or in a column of the table"
            )


def bids_files(
    folder: str | Path, *, suffix: str = "", extension: str | tuple[str, ...] = "", **entities: str
) -> tuple[Path, ...]:
    """Files whose names say what is asked for, by subject, session, task, ..., run and hemisphere, numbers by value.

    Args:
        folder: searched with all folders below, hidden ones left out.
        suffix: e.g. "statmap", "events", "bold"; any where empty.
        extension: e.g. ".nii.gz", or one of several; where empty all but `.json`, the sidecars.
        **entities: e.g. subject="01", space="T1w", stat="beta", desc="preproc"; short keys ("sub") will do too.

    Raises:
        DataError: none is there (says which value is nearest), or two are of the same run.
    """
    filters = {
        _LONG.get(key, key): str(value).removeprefix(f"{_LONG.get(key, key)}-") for key, value in entities.items()
    }
    endings = (extension,) if isinstance(extension, str) else extension
    every = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    seen = [path for path in every if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    named = {path: name for path in seen if (name := bids_name(path)).entities}
    found = {
        path: name
        for path, name in named.items()
        if all(name.entities.get(key) == value for key, value in filters.items())
        and suffix in ("", name.suffix)
        and (name.extension in endings if extension else name.extension != ".json")
    }
    if not found:
        raise DataError(
            f"{folder}: no file says {_filter_text(filters, suffix, ' or '.join(endings))}. {_hint(named, filters)}"
        )
    keys = {path: (RunKey.of_file(path), name.entities.get("hemi", "")) for path, name in found.items()}
    ordered = sorted(found, key=lambda path: (keys[path][0].order, keys[path][1]))
    for first, second in pairwise(ordered):
        if keys[first] == keys[second]:
            _refuse_doubled(first, second, found)
    return tuple(ordered)


def _filter_text(filters: dict[str, str], suffix: str, extension: str) -> str:
    parts = [f"{key}-{value}" for key, value in filters.items()] + [suffix] * bool(suffix)
    return "_".join(parts) + extension or "anything"


def _hint(named: dict[Path, BidsName], filters: dict[str, str]) -> str:
    for key, value in filters.items():
        have = sorted({n.entities[key] for n in named.values() if key in n.entities})
        if value not in have:
            return f"{key}-: {nearest(value, have)}"
    return "Each of these occurs, but not together." if named else "No file there is named as in BIDS."


def _refuse_doubled(first: Path, second: Path, found: dict[Path, BidsName]) -> None:
    a, b = found[first], found[second]
    keys = sorted(k for k in a.entities.keys() | b.entities.keys() if a.entities.get(k) != b.entities.get(k))
    keys += [k for k in ("suffix", "extension") if getattr(a, k) != getattr(b, k)]
    names = (first, second) if first.name == second.name else (first.name, second.name)
    todo = f"choose {' or '.join(keys)}" if keys else "leave one of them out of the folder"
    raise DataError(f"{names[0]} and {names[1]} are of the same run; {todo}")
