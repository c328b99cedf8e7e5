"""Turning points on planted phases: how often they are found, covered, and a lead claimed.

    python analysis/15_phases.py                      300 pairs per cell: half an hour, 2 cores
    python analysis/15_phases.py --pairs 10 --n 40    a quick look

Writes tables/phases.csv and prints its table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from ontogeny.lag import Phases, phases
from ontogeny.simulated.planted_phases import PlantedPhases, planted_phases

HERE = Path(__file__).parent
FIRST_SEED = 80_000
SHAPES = ("one rise", "logistic", "cosine")
NOISES = {
    "white": {},
    "AR(.6)": {"autocorrelation": 0.6},
    "shared .8": {"shared": 0.8},
    "white, 1 checkpoint": {"checkpoints": 1.0},
    "AR(.6), 1 checkpoint": {"autocorrelation": 0.6, "checkpoints": 1.0},
    "white, 2 checkpoints": {"checkpoints": 2.0},
}
COLUMNS = ("all found", "one too many", "covers", "a leads", "p leads")


def row(found: Phases, world: PlantedPhases) -> dict[str, float]:
    """Of one pair; NaN for what it does not say."""
    both = [found.alignment, found.performance]
    expected = ["peak", "trough"] if world.turns else []
    truths = [world.turns, [turn + world.lead_log10 for turn in world.turns]]
    right = [[point.kind for point in points] == expected for points in both]
    inside = [
        abs(point.log10 - truth) < stats.t.isf(0.025, point.df) * point.error
        for points, places, found_all in zip(both, truths, right, strict=True)
        if found_all
        for point, truth in zip(points, places, strict=True)
    ]
    verdicts = {lead.verdict for lead in found.leads}
    return {
        "all found": float(np.mean(right)),
        "one too many": float(np.mean([len(points) > len(expected) for points in both])),
        "covers": float(np.mean(inside)) if inside else np.nan,
        "a leads": float("alignment leads" in verdicts),
        "p leads": float("performance leads" in verdicts),
    }


def one(shape: str, noise: str, n: int, seed: int) -> dict[str, float]:
    """A planted pair through `phases`."""
    world = planted_phases(n, seed=seed, shape=shape, **NOISES[noise])
    return row(phases(world.steps, world.alignment, world.performance), world)


def cell(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over pairs."""
    values = {name: np.asarray([each[name] for each in rows]) for name in COLUMNS}
    return {name: float(np.nanmean(x)) if np.isfinite(x).any() else np.nan for name, x in values.items()}


def main() -> None:
    """All cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--n", type=int, nargs="+", default=[30, 40, 60], help="checkpoints")
    parser.add_argument("--out", type=Path, default=HERE / "tables" / "phases.csv")
    given = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + given.pairs)
    cells = [each for each in product(SHAPES, NOISES, given.n) if each[0] != "one rise" or "check" not in each[1]]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="", encoding="utf-8") as file, ProcessPoolExecutor(2) as pool:
        table = csv.writer(file)
        table.writerow(["shape", "noise", "n", "pairs", *COLUMNS])
        for shape, noise, n in tqdm(cells, unit="cell"):
            found = cell(list(pool.map(partial(one, shape, noise, n), seeds, chunksize=10)))
            table.writerow([shape, noise, n, given.pairs, *(f"{found[name]:.3f}" for name in COLUMNS)])
            file.flush()
            print(f"{shape:9} {noise:21} n = {n}: " + ", ".join(f"{name} {found[name]:.3f}" for name in COLUMNS))


if __name__ == "__main__":
    main()
