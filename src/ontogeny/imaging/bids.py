"""Names of BIDS derivatives: `sub-01_ses-2_task-view_run-1_space-T1w_stat-beta_statmap.nii.gz`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ontogeny.disk import natural_key
from ontogeny.errors import DataError, nearest

__all__ = ["BidsName", "bids_files", "bids_name"]

_LONG = {"subject": "sub", "session": "ses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BidsName:
    """What a file's name says.

    Args:
        entities: short key -> value, e.g. {"sub": "01", "run": "2"}, in the order of the name.
        suffix: the last word, e.g. "statmap", "dseg", "events".
        extension: with its dot, e.g. ".nii.gz", ".dscalar.nii".
    """

    entities: dict[str, str]
    suffix: str
    extension: str


def bids_name(path: str | Path) -> BidsName:
    """Take a file's name apart; words that are not `key-value` are left out."""
    stem, dot, extension = Path(path).name.partition(".")
    words = stem.split("_")
    pairs = [re.fullmatch(r"([A-Za-z]+)-([A-Za-z0-9+.]+)", word) for word in words]
    entities = {m.group(1): m.group(2) for m in pairs if m}
    return BidsName(entities=entities, suffix="" if pairs[-1] else words[-1], extension=dot + extension)


def bids_files(
    folder: str | Path, *, suffix: str = "", extension: str | tuple[str, ...] = "", **entities: str
) -> tuple[Path, ...]:
    """Files whose names say what is asked for, by subject, session, task, run and hemisphere, numbers in them by value.

    Args:
        folder: searched with all folders below, hidden ones left out.
        suffix: e.g. "statmap", "events", "bold"; any where empty.
        extension: e.g. ".nii.gz", or one of several; where empty all but `.json`, the sidecars.
        **entities: e.g. subject="01", space="T1w", stat="beta", desc="preproc"; short keys ("sub") will do too.

    Raises:
        DataError: none is there (says which value is nearest), or two are of the same run.
    """
    wanted = {
        _LONG.get(key, key): str(value).removeprefix(f"{_LONG.get(key, key)}-") for key, value in entities.items()
    }
    endings = (extension,) if isinstance(extension, str) else extension
    every = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    seen = [path for path in every if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    named = {path: name for path in seen if (name := bids_name(path)).entities}
    found = {
        path: name
        for path, name in named.items()
        if all(name.entities.get(key) == value for key, value in wanted.items())
        and suffix in ("", name.suffix)
        and (name.extension in endings if extension else name.extension != ".json")
    }
    if not found:
        raise DataError(f"{folder}: no file says {_said(wanted, suffix, ' or '.join(endings))}. {_hint(named, wanted)}")
    ordered = sorted(found, key=lambda path: _order(found[path]))
    _refuse_doubled(ordered, found)
    return tuple(ordered)


def _said(wanted: dict[str, str], suffix: str, extension: str) -> str:
    parts = [f"{key}-{value}" for key, value in wanted.items()] + [suffix] * bool(suffix)
    return "_".join(parts) + extension or "anything"


def _hint(named: dict[Path, BidsName], wanted: dict[str, str]) -> str:
    for key, value in wanted.items():
        have = sorted({n.entities[key] for n in named.values() if key in n.entities})
        if value not in have:
            return f"{key}-: {nearest(value, have)}"
    return "Each of these occurs, but not together." if named else "No file there is named as in BIDS."


def _order(name: BidsName) -> tuple[Any, ...]:
    values = [name.entities.get(key, "") for key in ("sub", "ses", "task", "run", "hemi")]
    return tuple((not v.isdigit(), natural_key(v)) for v in values)


def _refuse_doubled(ordered: Sequence[Path], found: dict[Path, BidsName]) -> None:
    for first, second in pairwise(ordered):
        if _order(found[first]) == _order(found[second]):
            a, b = found[first], found[second]
            keys = sorted(k for k in a.entities.keys() | b.entities.keys() if a.entities.get(k) != b.entities.get(k))
            keys += [k for k in ("suffix", "extension") if getattr(a, k) != getattr(b, k)]
            raise DataError(f"{first.name} and {second.name} are of the same run; choose {' or '.join(keys)}")
