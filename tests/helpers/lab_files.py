"""What random labs measured, written down as labs do: BIDS, files in any order, single volumes, tables, arrays."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.labs import COLUMNS, SHAPE, Lab, Run, expected, means

ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]


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
    """One row per trial, in the order of time, run after run."""
    seen: dict[int, int] = {}
    out = []
    for run in runs:
        for stimulus, onset, _ in run.trials:
            seen[stimulus] = seen.get(stimulus, 0) + 1
            shown = (
                {"stim_file": f"seen/{lab.ids[stimulus]}.png"} if lab.pictures else {"stimulus_id": lab.ids[stimulus]}
            )
            row = {"onset": f"{onset:.2f}", "duration": "2", **shown, "response_time": "0.5"}
            row |= {"repeat": str(seen[stimulus])} if lab.numbered else {}
            out.append(row | {lab.columns[key]: written(lab.rng, run.said[key]) for key in columns})
    return out


def with_rest(lab: Lab, run: Run) -> tuple[list[dict[str, str]], list[np.ndarray]]:
    """Rows and volumes of one run; among them rows in which nothing was shown, with volumes of their own or without."""
    rows, volumes = rows_of(lab, [run]), [volume for _, _, volume in run.trials]
    if not lab.rest:
        return rows, volumes
    for place, said in ((1, "fixation"), (len(rows), "n/a")):
        onset = f"{float(rows[place - 1]['onset']) + 0.5:.2f}"
        name = "stim_file" if lab.pictures else "stimulus_id"
        rows.insert(place, {**rows[place - 1], "onset": onset, name: said})
        if lab.rest == "measured":
            volumes.insert(place, np.full(18, 1e4, dtype=np.float32))
    return rows, volumes


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
    rest = ["--leave-out", "fixation", "n/a"] if lab.rest and lab.kind in ("bids", "files") else []
    return [*stimuli, *ABOUT, "--n-folds", "2", *more, *order, *rest]


def _bids(lab: Lab, folder: Path) -> list[str]:
    lab.numbered = False  # over several tables, repeats are counted
    for run in lab.runs:
        inside = folder / "derivatives" / f"sub-{run.subject}" / "func"
        rows, volumes = with_rest(lab, run)
        image(inside / f"{stem(lab, run, space='T1w', stat='beta')}_statmap.nii.gz", volumes)
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
        rows, volumes = with_rest(lab, run)
        betas.append(image(place / f"{stem(lab, run)}_betas.nii.gz", volumes))
        tables.append(table(place / f"{stem(lab, run)}_events.tsv", mixed(lab, rows) if lab.by_onset else rows))
    return ["--betas", *betas, "--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def _one_image(lab: Lab, folder: Path) -> list[str]:
    """One image and one table a subject; trials of several runs lie among each other, rising within each."""
    betas, tables = [], []
    for subject in lab.subjects:
        runs = lab.of(subject)
        rows = rows_of(lab, runs, tuple(key for key in COLUMNS if all(key in run.said for run in runs)))
        volumes = [volume for run in runs for _, _, volume in run.trials]
        at = [place for place, run in enumerate(runs) for _ in run.trials]
        deal = {place: iter(np.flatnonzero(np.array(at) == place)) for place in range(len(runs))}
        order = [int(next(deal[place])) for place in lab.rng.permutation(at)]
        betas.append(image(folder / f"sub-{subject}_betas.nii.gz", [volumes[k] for k in order]))
        tables.append(table(folder / f"sub-{subject}_trials.csv", [rows[k] for k in order]))
    return ["--betas", *betas, "--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def _volumes(lab: Lab, folder: Path) -> list[str]:
    """One image a trial, named by the column `file`, and after its stimulus; rows in any order."""
    tables = []
    for subject in lab.subjects:
        runs = lab.of(subject)
        rows = rows_of(lab, runs, tuple(key for key in COLUMNS if all(key in run.said for run in runs)))
        volumes = [volume for run in runs for _, _, volume in run.trials]
        for number, (row, volume) in enumerate(zip(rows, volumes, strict=True)):
            row["file"] = f"{subject}/one{number}{f'_stim-{_id(lab, row)}' * lab.named}.nii"
            image(folder / row["file"], [volume])
        tables.append(f"{subject}={table(folder / f'trials{subject}.tsv', mixed(lab, rows))}")
    return ["--table", *tables, "--atlas", str(folder / "atlas_dseg.nii.gz")]


def _id(lab: Lab, row: dict[str, str]) -> str:
    return Path(row["stim_file"]).stem if lab.pictures else row["stimulus_id"]


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
