"""Would a lead be there for other subjects, other stimuli, other seeds? Level, coverage and power of the general lead.

    python analysis/14_generalisation.py                                         300 worlds per cell: half an hour
    python analysis/14_generalisation.py --worlds 20 --cells 2 --out look.csv    a look

Worlds (ontogeny.simulated.drawn_leads) in which the half point of alignment belongs to these stimuli, these subjects or
these runs, with and without a lead in all. Beside it the test of one run alone, which speaks of these subjects and
stimuli only. Writes tables/generalisation.csv after each cell, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ontogeny.brain import Target
from ontogeny.lag import DrawnRun, Untestable, draw_stimuli, general_lead
from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.preconditions import refuse_trend
from ontogeny.metrics import CKA, RSA, LayerGeometry, Metric, Ridge, make_folds
from ontogeny.metrics.resampled import resampled
from ontogeny.simulated.drawn_leads import DrawnWorld, drawn_world

HERE = Path(__file__).parent
FIRST_SEED, FIRST_OF_TRUTH = 70_000, 1_000_000
ALPHA, DRAWS = 0.05, 100
DEBIASED = CKA()
STIMULI, SUBJECTS, RUNS = {"stimuli": 0.28}, {"subjects": 0.2}, {"runs": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of world.

    Args:
        where: what the half point moves with.
        moves: by how much, standard deviations, see `drawn_world`.
        size: runs, subjects, groups, stimuli in each group.
        metric: by which alignment is scored.
        over: what is drawn anew.
        lead: log10 steps, of the worlds in which there is one.
        checkpoints: with 13 every curve is one rise; from 14 on other shapes are fitted too.
    """

    where: str
    moves: Mapping[str, float]
    size: tuple[int, int, int, int] = (1, 6, 12, 5)
    metric: Metric = DEBIASED
    over: tuple[str, ...] = ("subjects", "stimuli")
    lead: float = 0.4
    checkpoints: int = 13


CELLS = (
    Cell(where="stimuli", moves=STIMULI),
    Cell(where="subjects", moves=SUBJECTS),
    Cell(where="both", moves=STIMULI | SUBJECTS),
    Cell(where="both", moves=STIMULI | SUBJECTS, size=(1, 12, 12, 5)),
    Cell(where="both", moves=STIMULI | SUBJECTS, size=(1, 4, 12, 5)),
    Cell(where="subjects", moves=SUBJECTS, size=(1, 4, 12, 5)),
    Cell(where="all", moves=STIMULI | SUBJECTS | RUNS, size=(4, 6, 12, 5), over=("seeds", "subjects", "stimuli")),
    Cell(where="both", moves=STIMULI | SUBJECTS, metric=RSA()),
    Cell(where="both", moves=STIMULI | SUBJECTS, metric=Ridge()),
    Cell(where="both", moves={"stimuli": 0.6} | SUBJECTS, size=(1, 6, 60, 1)),
    Cell(where="both", moves=STIMULI | SUBJECTS, size=(1, 3, 12, 5)),
    Cell(where="stimuli", moves=STIMULI, checkpoints=16),
)


def scores(world: DrawnWorld, metric: Metric, weights: np.ndarray) -> list[np.ndarray]:
    """Of each run: draws x steps x subjects."""
    responses = [
        Target(subject=str(i), roi="R", responses=y, n_voxels=y.shape[1]) for i, y in enumerate(world.responses)
    ]
    folds = make_folds(len(world.groups), n_folds=4, groups=world.groups)
    score = resampled(metric, responses, folds, weights)
    return [np.stack([score(LayerGeometry(torch.as_tensor(x))) for x in run], axis=1) for run in world.features]


def true_half(cell: Cell, worlds: int) -> float:
    """Half point of the mean curve over many draws of stimuli and subjects: the population's."""
    size = (1, *cell.size[1:])
    moves = {name: value for name, value in cell.moves.items() if name != "runs"}
    total: np.ndarray | float = 0.0
    world = drawn_world(size=size, seed=0)
    for seed in range(FIRST_OF_TRUTH, FIRST_OF_TRUTH + worlds):
        world = drawn_world(size=size, n_steps=cell.checkpoints, seed=seed, **moves)
        total = total + scores(world, cell.metric, np.ones((1, len(world.groups))))[0][0].mean(axis=1)
    return float(fit_rises(log_steps(world.steps), (total / worlds)[None])[0][0].theta[2])


def one(cell: Cell, half: float, lead: float, seed: int) -> dict[str, float]:
    """Both tests on one world: 1, 0, or NaN where it does not apply."""
    world = drawn_world(size=cell.size, n_steps=cell.checkpoints, seed=seed, **cell.moves)
    drawn = draw_stimuli(world.groups, DRAWS, seed=seed)
    weights = np.concatenate([np.ones((1, len(world.groups))), drawn])
    runs = [
        DrawnRun(
            name="",
            steps=world.steps,
            performance=world.performance(k, half + lead),
            cells=("R",),
            scores=found[0][:, None],
            drawn=found[1:][:, :, None],
        )
        for k, found in enumerate(scores(world, cell.metric, weights))
    ]
    found = general_lead(runs, over=cell.over, n_stimuli=cell.size[2], seed=seed)
    out = {f"general: {name}": value for name, value in outcome(found, lead).items()}
    curve = runs[0].scores[:, 0].mean(axis=1)
    alone = decompose(world.steps, np.stack([curve, runs[0].performance])).timings
    fixed = refuse_trend(*alone) or trend_lead(*alone)
    return out | {f"one run: {name}": value for name, value in outcome(fixed, lead).items()}


def outcome(found: Any, lead: float) -> dict[str, float]:
    """Claims at 5 % in either direction, one-sided; whether the interval holds the lead; its width."""
    if isinstance(found, Untestable):
        return {"refused": 1.0}
    low, high = found.ci_log10
    return {
        "refused": 0.0,
        "a leads": float(found.p_alignment_leads < ALPHA),
        "p leads": float(found.p_performance_leads < ALPHA),
        "claimed": float(min(found.p_alignment_leads, found.p_performance_leads) < ALPHA / 2),
        "covers": float(low <= lead <= high),
        "width": high - low,
        "error": found.log10 - lead,
    }


def rows_of(cell: Cell, worlds: int) -> list[dict[str, object]]:
    """Without a lead, and with one."""
    half, out = true_half(cell, min(500, 10 * worlds)), []
    for lead in (0.0, cell.lead):
        found = [one(cell, half, lead, FIRST_SEED + seed) for seed in range(worlds)]
        names = list(dict.fromkeys(name for row in found for name in row))
        for name in names:
            values = np.asarray([row.get(name, np.nan) for row in found])
            out.append({**key(cell), "lead": lead, "quantity": name, "worlds": worlds, "mean": np.nanmean(values)})
    return out


def key(cell: Cell) -> dict[str, object]:
    """What tells cells apart."""
    runs, subjects, groups, each = cell.size
    what = {"where": cell.where, "metric": cell.metric.name, "over": " ".join(cell.over)}
    return {
        **what,
        "runs": runs,
        "subjects": subjects,
        "groups": groups,
        "in group": each,
        "checkpoints": cell.checkpoints,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Percent; one line per cell."""
    heads = (
        "half point moves with",
        "metric",
        "runs",
        "subjects",
        "groups",
        "checkpoints",
        "claimed, no lead",
        "found",
        "covers",
        "one run: claimed, no lead",
        "one run: covers",
    )
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    cells: dict[tuple[str, ...], dict[tuple[str, float], float]] = {}
    for row in rows:
        name = tuple(str(row[part]) for part in ("where", "metric", "runs", "subjects", "groups", "checkpoints"))
        cells.setdefault(name, {})[str(row["quantity"]), float(row["lead"])] = float(row["mean"])
    for name, found in cells.items():
        some = max(lead for _, lead in found)
        wanted = [
            ("general: claimed", 0.0),
            ("general: a leads", some),
            ("general: covers", 0.0),
            ("one run: claimed", 0.0),
            ("one run: covers", 0.0),
        ]
        lines.append("| " + " | ".join([*name, *(f"{100 * found[w]:.0f}" for w in wanted)]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=300, help="per cell")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="only the first so many")
    parser.add_argument("--out", type=Path, default=HERE / "tables" / "generalisation.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    if options.out.is_file():
        with options.out.open(newline="", encoding="utf-8") as handle:
            rows += csv.DictReader(handle)
    for cell in CELLS[: options.cells]:
        if any(all(row[k] == str(v) for k, v in key(cell).items()) for row in rows):
            continue
        rows += [{name: str(value) for name, value in row.items()} for row in rows_of(cell, options.worlds)]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        print(f"{cell.where}, {cell.metric.name}, {cell.size}: done", flush=True)
    print(f"\npercent of {options.worlds} worlds, two-sided 5 %; found: one-sided 5 %\n\n{table(rows)}")


if __name__ == "__main__":
    main()
