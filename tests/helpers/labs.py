"""Random labs: what was measured, as a list of trials; and z-scored by numpy alone.

`tests.helpers.lab_files` writes it down as labs do, `tests.helpers.lab_faults` spoils what was written,
`tests.helpers.lab_checks` builds it by the command line and compares.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

SHAPE = (3, 3, 2)
# What labs call the columns of an entity.
COLUMNS = {
    "ses": ["session", "Session Nr.", "sess", "visit"],
    "task": ["task", "Task"],
    "acq": ["acquisition", "acq"],
    "run": ["run", "run_number", "Run #", "RUN-ID"],
}
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
    pictures: bool = False
    rest: str = ""
    named: bool = False
    columns: dict[str, str] = field(default_factory=dict)

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
        pictures=bool(rng.integers(2)),
        rest=str(rng.choice(["", "", "measured", "not measured"])),
        named=bool(rng.integers(2)),
        columns={key: str(rng.choice(names)) for key, names in COLUMNS.items()},
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
    sessions = [["1", "2"], ["pre", "post"], ["2024-01-05", "2024-02-01"], ["1.1", "1.2"], ["été", "hiver"]]
    values = {
        "ses": sessions[int(rng.integers(len(sessions)))],
        "task": ["view", "name"],
        "acq": [["fast", "slow"], ["fast-2mm", "fast-3mm"]][int(rng.integers(2))],
    }
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


def means(lab: Lab) -> dict[str, np.ndarray]:
    return {s: np.stack([found[k].mean(axis=0) for k in range(len(lab.ids))]) for s, found in expected(lab).items()}
