"""Record and Series: all scores of a run on disk, and one curve out of them.

A record is a folder:

    record.json     schema version, run, benchmarks with their fingerprints, library versions
    scores.jsonl    one JSON object a line, one line a score, only ever appended to

One probe's rows are written in one piece and flushed to disk before the probe counts as done. A process killed at
any byte leaves at most one torn last line, which is dropped with a warning when the record is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import RecordError, nearest, require
from ontogeny.lines import Lines, read_lines
from ontogeny.scores import KEY, Score, to_row

__all__ = ["SCHEMA", "Record", "Series"]

SCHEMA = 1
_COLUMNS = tuple(f.name for f in fields(Score))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve out of a record.

    Args:
        name: what the curve is of.
        steps: optimizer updates, rising.
        values: one a step, in `unit`; the mean where several subjects were asked for.
        unit: unit of the values.
        chance: one a step (NaN where not known).
        ceiling: one a step (NaN where not known).
        source: "measured", or what else the values come from.
    """

    name: str
    steps: Int[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    unit: str
    chance: Float[np.ndarray, " steps"]
    ceiling: Float[np.ndarray, " steps"]
    source: str = "measured"

    def __len__(self) -> int:
        return len(self.steps)


class Record:
    """All scores of a run, on disk, append-only, one row a key.

    Use `Record.open(path)`; a record that is not there yet is made by `Record.open(path, create=True, run=...)`.
    """

    def __init__(self, folder: Path, header: dict[str, Any], file: Lines) -> None:
        self.folder = folder
        self.header = header
        self._file = file
        self._keys = {score.key: score for score in reversed(file.scores)}
        self._scores = list(self._keys.values())[::-1]

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, run: str = "") -> Record:
        """Open a record's folder; drop a torn last line with a warning. Opening changes nothing on disk.

        Args:
            path: the record's folder.
            create: make it when it is missing.
            run: name of the run in a new record; the folder's own name where empty.

        Raises:
            RecordError: no record there, a newer schema, or a broken line that is not the last.
        """
        folder = Path(path)
        header_file = folder / "record.json"
        if not header_file.exists():
            if not create:
                raise RecordError(f"there is no record at {folder} (no record.json); a probe makes one")
            folder.mkdir(parents=True, exist_ok=True)
            header = {"schema": SCHEMA, "run": run or folder.resolve().name, "benchmarks": {}, "versions": {}}
            _write_json(header_file, header)
            return cls(folder, header, read_lines(folder / "scores.jsonl"))
        return cls(folder, _read_header(header_file), read_lines(folder / "scores.jsonl"))

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.header["run"])

    @property
    def scores(self) -> Sequence[Score]:
        """All scores, in the order of writing."""
        return tuple(self._scores)

    def describe(self, name: str, about: Mapping[str, Any]) -> None:
        """Write what a benchmark is into record.json; another fingerprint under the same name is refused.

        Raises:
            RecordError: the record holds scores of another benchmark of this name.
        """
        known = self.header["benchmarks"].get(name)
        if known is not None and known["fingerprint"] != about["fingerprint"]:
            raise RecordError(
                f"record {self.folder} holds scores of benchmark {name!r} with fingerprint {known['fingerprint']}, "
                f"this one has {about['fingerprint']}: stimuli, responses, folds or metrics differ. "
                "Write to another folder, or give the benchmark another name"
            )
        self.header["benchmarks"][name] = dict(about)
        _write_json(self.folder / "record.json", self.header)

    def note(self, key: str, value: Any) -> None:
        """Write one fact about the run (library versions, schedule) into record.json."""
        self.header[key] = value
        _write_json(self.folder / "record.json", self.header)

    def has(self, key: tuple[Any, ...]) -> bool:
        """Whether a row of this key is already there."""
        return key in self._keys

    def get(self, key: tuple[Any, ...]) -> Score | None:
        """The row of this key."""
        return self._keys.get(key)

    def append(self, scores: Iterable[Score]) -> list[Score]:
        """Write the scores whose keys are new, in one piece, and flush them to disk.

        Returns:
            The scores that were written.

        Raises:
            RecordError: the disk is full or the file cannot be written (nothing is half-written then), or another
                process wrote there since the record was opened.
        """
        new: dict[tuple[Any, ...], Score] = {}
        for score in scores:
            if score.key not in self._keys:
                new.setdefault(score.key, score)
        if not new:
            return []
        text = "".join(json.dumps(to_row(s), allow_nan=False, ensure_ascii=False) + "\n" for s in new.values())
        self._file.append(text)
        self._scores.extend(new.values())
        self._keys.update(new)
        return list(new.values())

    def rows(self) -> list[dict[str, Any]]:
        """All scores as plain dicts."""
        return [to_row(score) for score in self._scores]

    def select(self, **columns: Any) -> list[Score]:
        """Scores whose columns equal what is asked for, e.g. `select(kind="task", metric="loss")`.

        Raises:
            RecordError: no such column.
        """
        for name in columns:
            if name not in _COLUMNS:
                raise RecordError(f"a record has no column {name!r}. {nearest(name, _COLUMNS)}")
        return [s for s in self._scores if all(getattr(s, name) == want for name, want in columns.items())]

    def series(self, **columns: Any) -> Series:
        """One curve: the rows that match, by step; averaged over subjects unless one is named.

        Args:
            **columns: any columns of a score; `kind` is "alignment" where not said.

        Raises:
            RecordError: nothing matches, or the rows belong to several curves.
        """
        columns.setdefault("kind", "alignment")
        found = [s for s in self.select(**columns) if s.value is not None]
        if not found:
            raise RecordError(f"record {self.folder} holds no score with {columns}. {self._hint(columns)}")
        for name in KEY:
            if name in ("step", "subject"):
                continue
            seen = sorted({str(getattr(s, name)) for s in found})
            if len(seen) > 1:
                raise RecordError(f"these rows are {len(seen)} curves, not one: choose {name} from {seen}")
        return _curve(found)

    def _hint(self, columns: Mapping[str, Any]) -> str:
        for name, want in columns.items():
            have = sorted({str(getattr(s, name)) for s in self._scores})
            if str(want) not in have:
                return f"{name}: {nearest(str(want), have)}"
        return "Each value occurs, but not together."

    def to_pandas(self) -> Any:
        """All scores as a `pandas.DataFrame`, one row a score."""
        pandas = require("pandas", "tables")
        return pandas.DataFrame(self.rows(), columns=list(_COLUMNS))

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write all scores as one Parquet file."""
        require("pyarrow", "tables")
        target = Path(path)
        self.to_pandas().to_parquet(target, index=False)
        return target


def _curve(found: Sequence[Score]) -> Series:
    steps = sorted({s.step for s in found})
    at: dict[int, list[Score]] = {step: [] for step in steps}
    for score in found:
        at[score.step].append(score)
    first = found[0]
    parts = [first.roi, first.metric, first.layer, first.pooling] if first.kind != "task" else [first.metric]
    return Series(
        name=" · ".join(p for p in parts if p),
        steps=np.asarray(steps, dtype=np.int64),
        values=_means(at, "value"),
        unit=first.unit,
        chance=_means(at, "chance"),
        ceiling=_means(at, "ceiling"),
        source=first.source,
    )


def _means(at: Mapping[int, Sequence[Score]], name: str) -> Float[np.ndarray, " steps"]:
    out = []
    for scores in at.values():
        known = [value for s in scores if (value := getattr(s, name)) is not None]
        out.append(float(np.mean(known)) if known else float("nan"))
    return np.asarray(out, dtype=np.float64)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    scratch = path.with_suffix(".json.part")
    try:
        with scratch.open("w", encoding="utf-8") as handle:
            json.dump(content, handle, indent=1, ensure_ascii=False)
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(path)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error}; free some disk space or choose another folder") from error


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("schema"), int):
        raise RecordError(f"{path} is not the header of a record: no schema version")
    if header["schema"] > SCHEMA:
        raise RecordError(f"{path} has schema {header['schema']}, this ontogeny reads up to {SCHEMA}; upgrade ontogeny")
    return header
