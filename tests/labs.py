"""Random labs: what was measured, as a list of trials, written down as labs write it; and z-scored by numpy alone.

`tests.lab_faults` spoils what was written, `tests.lab_checks` builds it by the command line and compares.
"""

from __future__ import annotations

import csv
import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SHAPE = (3, 3, 2)
ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]
LONG = {"ses": "session", "task": "task", "acq": "acquisition", "run": "run"}
KINDS = ("bids", "files", "one image", "volumes", "table", "array")


@dataclass
class Run:
    """One run of one subject: the truth. `trials` are (stimulus, onset, volume) in the order of time."""

    subject: str
    said: dict[str, str]
    trials: list[tuple[int, float, np.ndarray]]


@dataclass
class Lab:
    """What was measured, and how it is written down."""

    seed: int
    kind: str
    ids: list[str]
    labels: np.ndarray
    runs: list[Run]
    rng: np.random.Generator = field(repr=False)
    by_onset: bool = False
    numbered: bool = False

    @property
    def subjects(self) -> list[str]:
        return list(dict.fromkeys(run.subject for run in self.runs))

    def of(self, subject: str) -> list[Run]:
        return [run for run in self.runs if run.subject == subject]


def make(seed: int, kind: str | None = None) -> Lab:
    """A lab by its number."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 14))
    words = rng.choice(["cat{}", "s{:03d}", "{}", "big house {}", "é{}"])
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels.ravel()[rng.choice(18, 6, replace=False)] = [1, 1, 2, 2, 2, 5]
    lab = Lab(
        seed=seed,
        kind=kind or KINDS[seed % len(KINDS)],
        ids=[words.format(k) for k in rng.permutation(40)[:n]],
        labels=labels,
        runs=[],
        rng=rng,
        by_onset=bool(rng.integers(2)),
        numbered=bool(rng.integers(2)),
    )
    patterns = 3 * rng.standard_normal((n, 18))
    names = rng.choice(["{}", "{:02d}", "p{}"])
    for subject in range(1, int(rng.integers(1, 3)) + 1):
        lab.runs += list(_runs(lab, names.format(subject), patterns))
    return lab


def _runs(lab: Lab, subject: str, patterns: np.ndarray) -> Iterator[Run]:
    rng, n = lab.rng, len(lab.ids)
    shown = [k for k in range(n) for _ in range(1 + int(rng.integers(3)) * (rng.random() < 0.7))]
    rng.shuffle(shown)
    places = list(_places(rng, alike=lab.kind in ("one image", "volumes")))
    places = places[: max(1, len(shown) // 4)]
    cuts = np.array_split(np.array(shown), len(places))
    for said, part in zip(places, cuts, strict=True):
        offset, gain = 60 * rng.standard_normal(18), rng.uniform(0.5, 4)
        onsets = np.cumsum(rng.uniform(2, 5, len(part))).round(2)
        yield Run(
            subject,
            said,
            [
                (int(k), float(t), (offset + gain * (patterns[k] + rng.standard_normal(18))).astype(np.float32))
                for k, t in zip(part, onsets, strict=True)
            ],
        )


def _places(rng: np.random.Generator, *, alike: bool) -> Iterator[dict[str, str]]:
    """Entities of each run; those that no run needs are sometimes left out. `alike`: all runs have the same ones."""
    counts = {"ses": rng.integers(0, 3), "task": rng.integers(0, 3), "acq": rng.integers(0, 3) * (rng.random() < 0.3)}
    values = {"ses": ["1", "2"], "task": ["view", "name"], "acq": ["fast", "slow"]}
    given = {key: values[key][: int(count)] for key, count in counts.items() if count}
    cells = list(itertools.product(*given.values()))
    several = [int(n) for n in rng.integers(1, 4, len(cells))]
    named = max(several) > 1 if alike else rng.random() < 0.5
    for cell, n in zip(cells, several, strict=True):
        for run in range(1, n + 1):
            yield {**dict(zip(given, cell, strict=True)), **({"run": str(run)} if n > 1 or named else {})}


def expected(lab: Lab) -> dict[str, dict[int, np.ndarray]]:
    """Subject -> stimulus -> its repeats, each z-scored within its own run; with numpy alone."""
    inside = lab.labels.ravel() > 0
    out: dict[str, dict[int, np.ndarray]] = {}
    for subject in lab.subjects:
        rows: dict[int, list[np.ndarray]] = {k: [] for k in range(len(lab.ids))}
        for run in lab.of(subject):
            y = np.array([volume[inside] for _, _, volume in run.trials], dtype=np.float64)
            z = (y - y.mean(axis=0)) / y.std(axis=0)
            for (stimulus, _, _), row in zip(run.trials, z, strict=True):
                rows[stimulus].append(row)
        out[subject] = {k: np.array(found) for k, found in rows.items()}
    return out


# --- written down -----------------------------------------------------------------------------------------------------


def written(rng: np.random.Generator, value: str) -> str:
    """A number with zeros in front, or without."""
    return value.zfill(int(rng.integers(1, 4))) if value.isdigit() else value


def stem(lab: Lab, run: Run, **more: str) -> str:
    said = {"sub": run.subject, **{key: written(lab.rng, value) for key, value in run.said.items()}, **more}
    return "_".join(f"{key}-{value}" for key, value in said.items())


def image(path: Path, volumes: list[np.ndarray]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.stack(volumes, axis=-1).reshape(*SHAPE, -1)
    nib.Nifti1Image(data[..., 0] if path.name.startswith("one") else data, np.eye(4)).to_filename(path)
    return str(path)


def rows_of(lab: Lab, runs: list[Run], columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """One row a trial, in the order of time, run after run."""
    seen: dict[int, int] = {}
    out = []
    for run in runs:
        for stimulus, onset, _ in run.trials:
            seen[stimulus] = seen.get(stimulus, 0) + 1
            row = {"onset": f"{onset:.2f}", "duration": "2", "stimulus_id": lab.ids[stimulus], "response_time": "0.5"}
            row |= {"repeat": str(seen[stimulus])} if lab.numbered else {}
            out.append(row | {LONG[key]: written(lab.rng, run.said[key]) for key in columns})
    return out


def table(path: Path, rows: list[dict[str, str]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=str(np.random.default_rng(len(rows)).choice(["utf-8", "utf-8-sig"])), newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def mixed(lab: Lab, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [rows[int(k)] for k in lab.rng.permutation(len(rows))]


def write(lab: Lab, folder: Path) -> list[str]:
    """The lab's files; arguments of `ontogeny data build` behind the folder to make."""
    texts = [{"stimulus_id": k, "text": f"A sentence about {k}.", "note": ""} for k in lab.ids]
    stimuli = ["--stimuli", table(folder / "stimuli.csv", mixed(lab, texts) if lab.kind != "array" else texts)]
    atlas = nib.Nifti1Image(lab.labels, np.eye(4))
    atlas.to_filename(folder / "atlas_dseg.nii.gz")
    (folder / "atlas_dseg.tsv").write_text("index\tname\n1\tV1\n2\tIT\n5\tFFA\n")
    more = WRITERS[lab.kind](lab, folder)
    order = ["--order", "onset"] if lab.by_onset and lab.kind in ("bids", "files") else []
    return [*stimuli, *ABOUT, *more, *order]


def _bids(lab: Lab, folder: Path) -> list[str]:
    lab.numbered = False  # over several tables, repeats are counted
    for run in lab.runs:
        inside = folder / "derivatives" / f"sub-{run.subject}" / "func"
        image(inside / f"{stem(lab, run, space='T1w', stat='beta')}_statmap.nii.gz", [v for _, _, v in run.trials])
        rows = rows_of(lab, [run])
        table(inside / f"{stem(lab, run)}_events.tsv", mixed(lab, rows) if lab.by_onset else rows)
    for subject in lab.subjects:
        place = folder / "derivatives" / f"sub-{subject}" / f"sub-{subject}_space-T1w_dseg.nii.gz"
        shutil.copy(folder / "atlas_dseg.nii.gz", place)
        shutil.copy(folder / "atlas_dseg.tsv", place.with_name(f"sub-{subject}_space-T1w_dseg.tsv"))
    return ["--bids", str(folder / "derivatives")]


def _files(lab: Lab, folder: Path) -> list[str]:
    """One image and one table a run, on the command line in any order of runs."""
    lab.numbered = False
    betas, tables = [], []
    for run in (lab.runs[int(k)] for k in lab.rng.permutation(len(lab.runs))):
        place = folder / "_".join(run.said.values())
        betas.append(image(place / f"{stem(lab, run)}_betas.nii.gz", [v for _, _, v in run.trials]))
        rows = rows_of(lab, [run])
        tables.append(table(place / f"{stem(lab, run)}_events.tsv", mixed(lab, rows) if lab.by_onset else rows))
    return ["--betas", *betas, "--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def _one_image(lab: Lab, folder: Path) -> list[str]:
    """One image and one table a subject; trials of several runs lie among each other, rising within each."""
    betas, tables = [], []
    for subject in lab.subjects:
        runs = lab.of(subject)
        rows = rows_of(lab, runs, tuple(key for key in LONG if all(key in run.said for run in runs)))
        volumes = [volume for run in runs for _, _, volume in run.trials]
        at = [place for place, run in enumerate(runs) for _ in run.trials]
        deal = {place: iter(np.flatnonzero(np.array(at) == place)) for place in range(len(runs))}
        order = [int(next(deal[place])) for place in lab.rng.permutation(at)]
        betas.append(image(folder / f"sub-{subject}_betas.nii.gz", [volumes[k] for k in order]))
        tables.append(table(folder / f"sub-{subject}_trials.csv", [rows[k] for k in order]))
    return ["--betas", *betas, "--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def _volumes(lab: Lab, folder: Path) -> list[str]:
    """One image a trial, named by the column `file`; rows in any order."""
    tables = []
    for subject in lab.subjects:
        runs = lab.of(subject)
        rows = rows_of(lab, runs, tuple(key for key in LONG if all(key in run.said for run in runs)))
        volumes = [volume for run in runs for _, _, volume in run.trials]
        for number, (row, volume) in enumerate(zip(rows, volumes, strict=True)):
            row["file"] = f"{subject}/one{number}.nii"
            image(folder / row["file"], [volume])
        tables.append(f"{subject}={table(folder / f'trials{subject}.tsv', mixed(lab, rows))}")
    return ["--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def means(lab: Lab) -> dict[str, np.ndarray]:
    return {s: np.stack([found[k].mean(axis=0) for k in range(len(lab.ids))]) for s, found in expected(lab).items()}


def _table(lab: Lab, folder: Path) -> list[str]:
    """Means as a table, rows and voxels in any order, among columns that are none."""
    out: list[str] = ["--responses"]
    for subject, values in means(lab).items():
        columns: dict[str, list[Any]] = {
            "": [*range(len(lab.ids))],
            "stimulus_id": lab.ids,
            "run": ["1"] * len(lab.ids),
        }
        columns |= {f"v{voxel}": values[:, voxel].tolist() for voxel in lab.rng.permutation(6)}
        columns |= {"onset": [*range(len(lab.ids))], "repeat": ["1"] * len(lab.ids), "RT": ["0.5"] * len(lab.ids)}
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        rows = mixed(lab, rows)
        path = folder / f"{subject}.{lab.rng.choice(['csv', 'tsv', 'parquet'])}"
        if path.suffix == ".parquet":
            pq.write_table(
                pa.Table.from_pylist([{k or "__index_level_0__": v for k, v in row.items()} for row in rows]), path
            )
        else:
            table(path, rows)
        out.append(f"{subject}={path}")
    names = {1: "V1", 2: "IT", 5: "FFA"}
    rois = [
        {"voxel": f"v{voxel}", "roi": names[int(label)]}
        for voxel, label in enumerate(lab.labels.ravel()[lab.labels.ravel() > 0])
    ]
    path = table(folder / "rois.csv", mixed(lab, rois))
    return [*out, "--rois", *(f"{subject}={path}" for subject in lab.subjects)]


def _array(lab: Lab, folder: Path) -> list[str]:
    """Repeats as an array, rows in the order of the table; NaN where a stimulus has fewer."""
    out = ["--responses"]
    for subject, found in expected(lab).items():
        most = max(len(rows) for rows in found.values())
        values = np.full((most, len(lab.ids), 6), np.nan)
        for stimulus, rows in found.items():
            values[: len(rows), stimulus] = rows
        np.save(folder / f"{subject}.npy", values if most > 1 else values[0])
        out.append(f"{subject}={folder / f'{subject}.npy'}")
    return out


WRITERS: dict[str, Callable[[Lab, Path], list[str]]] = {
    "bids": _bids,
    "files": _files,
    "one image": _one_image,
    "volumes": _volumes,
    "table": _table,
    "array": _array,
}
