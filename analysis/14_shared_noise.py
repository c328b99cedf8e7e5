"""Trend leads of two curves that were read at the same weights: what their shared noise is worth.

    python analysis/14_shared_noise.py                       200 pairs per cell, n = 15, 30, 60: 10 minutes, 2 cores
    python analysis/14_shared_noise.py --seeds 10 --n 30     a quick look

Planted pairs, two runs per seed, through the trend test as it is ("joint") and as it was, with the variances of both
half points added as if their noise were independent ("apart"). Writes tables/shared_noise.csv and prints its table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy import stats
from tqdm import tqdm

from ontogeny.lag import TrendLead
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.fit.timing import ShapeTiming, Timing
from ontogeny.lag.preconditions import refuse_trend
from ontogeny.simulated.planted_leads import KINDS, planted_lead

HERE = Path(__file__).parent
FIRST_SEED = 60_000
TOGETHER = 10
ALPHA = 0.05
SINGLE = ("refused", "a leads", "p leads", "covers", "width")
TWO = ("both: a leads", "both: p leads", "mean: a leads", "mean: p leads")
Lead = TrendLead | None


def apart(a: ShapeTiming, p: ShapeTiming, which: int, **_: int) -> float:
    """Variance of the lead of two curves without common noise."""
    return a.crossing(which)[1] + p.crossing(which)[1]


def some_seeds(kind: str, n: int, seeds: Sequence[int]) -> list[dict[str, dict[str, float]]]:
    """Both ways to test, of two runs of each seed; fitted together."""
    worlds = [planted_lead(kind, n, seed=seed, run=run) for seed in seeds for run in (0, 1)]
    both = np.stack([x for world in worlds for x in (world.alignment, world.performance)])
    timings = decompose(worlds[0].steps, both).timings
    pairs = list(zip(timings[::2], timings[1::2], strict=True))
    joint = [tested(*pair) for pair in pairs]
    with patch("ontogeny.lag.fit._trend_lead.lead_variance", apart):
        added = [tested(*pair) for pair in pairs]
    truth = [world.lead_log10 for world in worlds]
    return [
        {"apart": rates(added[i : i + 2], truth[i : i + 2]), "joint": rates(joint[i : i + 2], truth[i : i + 2])}
        for i in range(0, len(pairs), 2)
    ]


def tested(a: Timing, p: Timing) -> Lead:
    """The lead of a pair; None where it is refused."""
    return None if refuse_trend(a, p) else trend_lead(a, p)


def rates(leads: Sequence[Lead], truth: Sequence[float]) -> dict[str, float]:
    """Shares over the two runs, and what both say together; a refusal claims nothing."""
    known = [(lead, true) for lead, true in zip(leads, truth, strict=True) if lead is not None]
    inside = [lead.ci_log10[0] <= true <= lead.ci_log10[1] for lead, true in known if np.isfinite(true)]
    claims = np.asarray(
        [(x.p_alignment_leads < ALPHA, x.p_performance_leads < ALPHA) if x else (False, False) for x in leads]
    )
    widths = [lead.ci_log10[1] - lead.ci_log10[0] for lead, _ in known]
    single = (1 - len(known) / 2, *claims.mean(axis=0), mean(inside), mean(widths))
    return dict(
        zip((*SINGLE, *TWO), (*single, *claims.all(axis=0), *mean_claims([lead for lead, _ in known])), strict=True)
    )


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def mean_claims(leads: Sequence[TrendLead]) -> tuple[bool, bool]:
    """Whether the mean of two runs' leads is above 0, and below, by the errors within them: of these runs only."""
    if len(leads) < 2:
        return False, False
    ends = np.asarray([lead.ci_log10 for lead in leads])
    errors = np.ptp(ends, axis=1) / 2 / stats.t.isf(0.025, [lead.df for lead in leads])
    t, df = sum(lead.log10 for lead in leads) / np.sqrt((errors**2).sum()), sum(lead.df for lead in leads)
    return bool(stats.t.sf(t, df) < ALPHA), bool(stats.t.cdf(t, df) < ALPHA)


def study(kinds: Sequence[str], n: int, seeds: int, jobs: int) -> list[dict[str, object]]:
    """All kinds at one size: mean and Monte Carlo error of every rate, both ways."""
    rows: list[dict[str, object]] = []
    end = FIRST_SEED + seeds
    with ProcessPoolExecutor(jobs) as pool:
        for kind in tqdm(kinds, desc=f"n = {n}", unit="kind"):
            chunks = [range(first, min(first + TOGETHER, end)) for first in range(FIRST_SEED, end, TOGETHER)]
            cases = [case for chunk in pool.map(partial(some_seeds, kind, n), chunks) for case in chunk]
            for way in ("apart", "joint"):
                for name in (*SINGLE, *TWO):
                    values = np.asarray([case[way][name] for case in cases], dtype=float)
                    values = values[np.isfinite(values)]
                    if len(values):
                        value = np.median(values) if name == "width" else values.mean()
                        error = values.std() / np.sqrt(len(values))
                        rows.append({"kind": kind, "n": n, "way": way, "rate": name, "value": value, "error": error})
    return rows


def table(rows: Sequence[Mapping[str, object]], n: int) -> str:
    """Kinds down; claims of single runs and of two seeds, both ways, in percent."""
    cell = {(r["kind"], r["way"], r["rate"]): float(str(r["value"])) for r in rows if r["n"] == n}
    shown = ("a leads", "p leads", "covers", "both: a leads", "mean: a leads", "mean: p leads")
    lines = ["| kind | width | " + " | ".join(shown) + " |", "|" + "---|" * (len(shown) + 2)]
    for kind in dict.fromkeys(str(k) for k, _, _ in cell):
        numbers = [
            [cell.get((kind, way, name), float("nan")) for way in ("apart", "joint")] for name in ("width", *shown)
        ]
        text = [f"{numbers[0][0]:.2f}, {numbers[0][1]:.2f}", *(f"{100 * a:.0f}, {100 * b:.0f}" for a, b in numbers[1:])]
        lines.append(f"| {kind} | " + " | ".join(text) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="seeds per cell, two runs each")
    parser.add_argument("--n", type=int, nargs="+", default=[15, 30, 60], help="checkpoints")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "tables" / "shared_noise.csv")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for n in options.n:
        rows += study(options.kinds, n, options.seeds, options.jobs)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        print(f"\nn = {n}, {2 * options.seeds} pairs per cell, percent: apart, joint\n\n{table(rows, n)}", flush=True)


if __name__ == "__main__":
    main()
