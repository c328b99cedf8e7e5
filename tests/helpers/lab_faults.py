"""Faults planted into what a lab wrote: each changes files or arguments, and returns what a refusal must say.

A fault that a lab has no place for returns None.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tests.helpers.lab_files import table
from tests.helpers.labs import Lab

Args: TypeAlias = list[str]
Fault: TypeAlias = Callable[[Lab, Args], tuple[str, ...] | None]
EVENTS = ("bids", "files", "one image", "volumes")
NAMED = ("bids", "files")


def tables_of(lab: Lab, argv: Args) -> list[Path]:
    """All tables of trials."""
    if lab.kind == "bids":
        return sorted(Path(argv[argv.index("--bids") + 1]).rglob("*_events.tsv"))
    if lab.kind == "array":
        return []
    if lab.kind == "table":
        return [path for path in given(argv, "--responses") if path.suffix != ".parquet"]
    return given(argv, "--table")


def given(argv: Args, option: str) -> list[Path]:
    at = argv.index(option) + 1
    stop = next((k for k in range(at, len(argv)) if argv[k].startswith("--")), len(argv))
    return [Path(text.rpartition("=")[2]) for text in argv[at:stop]]


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="," if path.suffix == ".csv" else "\t"))


def chosen(lab: Lab, argv: Args) -> tuple[Path, list[dict[str, str]], int] | None:
    """A table, its rows and the number of one of them."""
    paths = tables_of(lab, argv)
    if not paths:
        return None
    path = paths[int(lab.rng.integers(len(paths)))]
    rows = rows_in(path)
    return path, rows, int(lab.rng.integers(len(rows)))


def blank_cell(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """A hole in ids, onsets, run, session, ..."""
    if (found := chosen(lab, argv)) is None:
        return None
    path, rows, row = found
    columns = ["stimulus_id"] if lab.kind == "table" else [c for c in rows[0] if c not in ("duration", "response_time")]
    if lab.rest and lab.kind in NAMED:
        columns = ["onset"]  # an empty cell in place of a stimulus is asked to be left out
    column = str(lab.rng.choice(columns))
    rows[row][column] = str(lab.rng.choice(["", " ", "n/a", "NaN", "NA"]))
    table(path, rows)
    return path.name, f"row {row + 1}: column {column!r} is empty"


def lost_row(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    found = chosen(lab, argv)
    if lab.kind not in ("bids", "files", "one image") or found is None:
        return None
    path, rows, row = found
    if lab.rest == "not measured" and {"fixation", "n/a"} & set(rows[row].values()):
        return None  # no volume is of this row
    table(path, [one for k, one in enumerate(rows) if k != row])
    return ("rows but there are ",)


def onsets_that_fall(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """Rows of one run are not in the order of its volumes."""
    found = chosen(lab, argv)
    if lab.kind not in NAMED or lab.by_onset or lab.rest or found is None or len(found[1]) < 2:
        return None
    path, rows, row = found
    row = max(row, 1)
    table(path, [*rows[: row - 1], rows[row], rows[row - 1], *rows[row + 1 :]])
    return path.name, f"row {row} begins at ", "of the same run", "--order onset"


def another_in_a_column(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """A column says something else than the table's name."""
    found = chosen(lab, argv)
    if lab.kind not in NAMED or found is None:
        return None
    path, rows, row = found
    key, column = (("run", "run"), ("ses", "session"), ("task", "Task"), ("sub", "participant_id"))[lab.rng.integers(4)]
    if f"{key}-" not in path.name:
        return None
    said = path.name.partition(f"{key}-")[2].partition("_")[0]
    for one in rows:
        one[column] = said
    rows[row][column] = "77"
    table(path, rows)
    return path.name, f"row {row + 1}: column {column!r} says '77', the file's name says sub-"


def of_another_subject(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """A column of a table without a subject in its name says another one."""
    found = chosen(lab, argv)
    if lab.kind not in ("volumes", "table") or found is None:
        return None
    path, rows, row = found
    rows[row]["subject"] = "77"
    rows = [{"subject": path.stem.removeprefix("trials"), **one} for one in rows]
    rows[row]["subject"] = "77"
    table(path, rows)
    return ("77", "subject")


def swapped_tables(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    at = argv.index("--table") + 1 if lab.kind == "files" else 0
    one = next((k for k in range(at, at + len(lab.runs) - 1) if _subject(argv[k]) == _subject(argv[k + 1])), 0)
    if not one:
        return None
    argv[one], argv[one + 1] = argv[one + 1], argv[one]
    return ("of the table is of sub-", "but its volume is in")


def _subject(text: str) -> str:
    return Path(text).name.partition("_")[0]


def events_of_another_run(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    paths = [path for path in tables_of(lab, argv) if "_run-" in path.name] if lab.kind == "bids" else []
    if not paths:
        return None
    said = paths[0].name.partition("run-")[2].partition("_")[0]
    paths[0].rename(paths[0].with_name(paths[0].name.replace(f"run-{said}", "run-77")))
    return ("has no events: of sub-",)


def a_run_twice(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """A second session of the same names, in a folder of its own."""
    if lab.kind == "bids":
        first = sorted(Path(argv[argv.index("--bids") + 1]).rglob("*_statmap.nii.gz"))[0]
        (first.parent / "second").mkdir()
        shutil.copy(first, first.parent / "second" / first.name)
        return first.name, "are of the same run"
    if lab.kind != "files":
        return None
    for option in ("--betas", "--table"):
        path = given(argv, option)[0]
        (path.parent / "second").mkdir(exist_ok=True)
        shutil.copy(path, path.parent / "second" / path.name)
        argv.insert(argv.index(option) + 1, str(path.parent / "second" / path.name))
    return ("would both be ",)


def runs_without_names(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """Several runs in one image, and nothing says which trial is of which."""
    path = tables_of(lab, argv)[0] if lab.kind == "one image" else None
    if path is None:
        return None
    rows = [{k: v for k, v in one.items() if k not in lab.columns.values()} for one in rows_in(path)]
    if (np.diff([float(one["onset"]) for one in rows]) >= 0).all():
        return None
    table(path, rows)
    return path.name, "of the same run", "Are these two runs"


def a_column_that_is_no_voxel(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    if lab.kind != "table" or (found := chosen(lab, argv)) is None:
        return None
    path, rows, _ = found
    table(path, [{**one, "valence": str(k)} for k, one in enumerate(rows)])
    del argv[argv.index("--rois") :]
    return path.name, "'valence'", "are these voxels?"


def ids_with_zeros(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    if lab.kind != "table" or not all(k.isdigit() for k in lab.ids) or (found := chosen(lab, argv)) is None:
        return None
    path, rows, _ = found
    table(path, [{**one, "stimulus_id": one["stimulus_id"].zfill(4)} for one in rows])
    return path.name, "they differ only in zeros in front"


def two_pictures_of_one_name(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    found = chosen(lab, argv)
    if lab.kind not in EVENTS or found is None:
        return None
    path, rows, _ = found
    column = "stim_file" if lab.pictures else "stimulus_id"
    shown = [Path(one[column]).stem for one in rows]
    twice = next((k for k in shown if k in lab.ids and shown.count(k) > 1), None)
    if twice is None:
        return None
    places = [k for k, one in enumerate(shown) if one == twice]
    for place, folder in zip(places, ["faces", "houses", *["faces"] * len(places)], strict=False):
        rows[place][column] = f"{folder}/{twice}.png"
    table(path, rows)
    return f"/{twice}.png'", f"would both be stimulus {twice!r}", path.name


def atlas_of_another(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    if lab.kind not in ("files", "one image", "volumes"):
        return None
    at = argv.index("--atlas") + 1
    place = Path(argv[at]).with_name("sub-77_dseg.nii.gz")
    shutil.copy(argv[at], place)
    shutil.copy(Path(argv[at]).with_name("atlas_dseg.tsv"), place.with_name("sub-77_dseg.tsv"))
    argv[at : at + 1] = [f"{subject}={place}" for subject in lab.subjects]
    return ("atlas sub-77_dseg.nii.gz is of another subject",)


def a_column_twice(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    if (found := chosen(lab, argv)) is None:
        return None
    path = found[0]
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    other = "stim_file" if lab.pictures and lab.kind in EVENTS else "stimulus_id"
    path.write_text(lines[0].replace("onset", other) + "\n" + "\n".join(lines[1:]) + "\n", encoding="utf-8")
    return path.name, "columns called"


def volumes_of_another_stimulus(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """Images are called after stimuli; two of them are exchanged."""
    found = chosen(lab, argv)
    if lab.kind != "volumes" or not lab.named or found is None:
        return None
    path, rows, row = found
    column = "stim_file" if lab.pictures else "stimulus_id"
    other = next((k for k, one in enumerate(rows) if one[column] != rows[row][column]), None)
    if other is None:
        return None
    rows[row]["file"], rows[other]["file"] = rows[other]["file"], rows[row]["file"]
    table(path, rows)
    return path.name, "which names"


def responses_of_another_subject(lab: Lab, argv: Args) -> tuple[str, ...] | None:
    """Two subjects' files are exchanged; a number alone may be of anything."""
    if lab.kind not in ("table", "array") or len(lab.subjects) < 2 or lab.subjects[0].isdigit():
        return None
    at = argv.index("--responses") + 1
    files = [argv[at + k].partition("=")[2] for k in (0, 1)]
    argv[at : at + 2] = [f"{who}={file}" for who, file in zip(lab.subjects, files[::-1], strict=True)]
    return ("its name says subject",)


FAULTS: tuple[Fault, ...] = (
    blank_cell,
    lost_row,
    onsets_that_fall,
    another_in_a_column,
    of_another_subject,
    swapped_tables,
    events_of_another_run,
    a_run_twice,
    runs_without_names,
    a_column_that_is_no_voxel,
    ids_with_zeros,
    two_pictures_of_one_name,
    atlas_of_another,
    a_column_twice,
    volumes_of_another_stimulus,
    responses_of_another_subject,
)
