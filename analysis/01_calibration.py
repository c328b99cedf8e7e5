"""How often does each test of "what moves first" claim a lead where there is none, and find one where there is?

    python analysis/01_calibration.py                        300 pairs per cell, n = 15, 30, 60: 20 minutes, 2 cores
    python analysis/01_calibration.py --seeds 40 --n 30      a quick look
    python analysis/01_calibration.py --runs 5 --n 30        studies of 5 runs instead of single pairs

Planted pairs (ontogeny.simulated.planted_leads) through `ontogeny.lag.leads`, and the usual tests on the same pairs.
Writes tables/calibration.csv (one row per cell and test) and prints the tables with their Monte Carlo error.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from ontogeny.lag import Run, Untestable, leads, leads_over_runs
from ontogeny.lag.fit.decompose import decompose
from ontogeny.simulated.planted_leads import KINDS, NULLS, planted_lead

HERE = Path(__file__).parent
FIRST_SEED = 50_000
ALPHA = 0.05
HEADLINE = ("trend: a leads", "trend: p leads", "fluctuation: a leads", "fluctuation: p leads")
USUAL = ("Granger levels", "Granger differenced", "Toda-Yamamoto", "phase-surrogate CCF")
OTHER = ("trend: refused", "trend: CI covers", "trend: uniform", "fluctuation: CI covers", "fluctuation: identified")


def one(kind: str, n: int, seed: int) -> dict[str, float]:
    """Every test on one planted pair: 1, 0, or NaN where it does not apply."""
    world = planted_lead(kind, n, seed=seed)
    found = leads(world.steps, world.alignment, world.performance, seed=seed)
    trend, fluctuation = found.trend, found.fluctuation
    out = dict.fromkeys((*HEADLINE, *USUAL, *OTHER), float("nan"))
    out["trend: refused"] = isinstance(trend, Untestable)
    out["trend: a leads"] = out["trend: p leads"] = 0.0
    if not isinstance(trend, Untestable):
        out["trend: a leads"] = trend.p_alignment_leads < ALPHA
        out["trend: p leads"] = trend.p_performance_leads < ALPHA
        out["trend: uniform"] = trend.uniform
        out["trend: CI covers"] = covers(trend.ci_log10, world.lead_log10)
    if not isinstance(fluctuation, Untestable):
        out["fluctuation: a leads"] = fluctuation.p_alignment_leads < ALPHA
        out["fluctuation: p leads"] = fluctuation.p_performance_leads < ALPHA
        out["fluctuation: CI covers"] = covers(fluctuation.ci_checkpoints, world.lead_checkpoints)
        out["fluctuation: identified"] = fluctuation.identified
    return out | usual(world.steps, world.alignment, world.performance, seed)


def covers(interval: tuple[float, float], truth: float) -> float:
    """Whether an interval holds the truth; NaN where there is none."""
    return float(interval[0] <= truth <= interval[1]) if np.isfinite(truth) else float("nan")


def one_study(kind: str, n: int, runs: int, seed: int) -> dict[str, float]:
    """The same of several runs that share their noise-free curves."""
    worlds = [planted_lead(kind, n, seed=seed, run=run) for run in range(runs)]
    found = leads_over_runs(
        [
            Run(name=str(i), steps=w.steps, alignment=w.alignment, performance=w.performance)
            for i, w in enumerate(worlds)
        ],
        surrogates=19,
    )
    out = dict.fromkeys((*HEADLINE, *OTHER), float("nan"))
    for name, lead, truth in (
        ("trend", found.trend, worlds[0].lead_log10),
        ("fluctuation", found.fluctuation, worlds[0].lead_checkpoints),
    ):
        refused = isinstance(lead, Untestable)
        out[f"{name}: a leads"] = not refused and lead.p_alignment_leads < ALPHA
        out[f"{name}: p leads"] = not refused and lead.p_performance_leads < ALPHA
        if not refused:
            out[f"{name}: CI covers"] = covers(lead.ci, truth)
    out["trend: refused"] = isinstance(found.trend, Untestable)
    return out


def usual(steps: np.ndarray, a: np.ndarray, p: np.ndarray, seed: int) -> dict[str, float]:
    """The tests that people use, "alignment leads", at 5 %."""
    left = decompose(steps, np.stack([a, p])).residuals
    return {
        "Granger levels": granger_p(a, p, lags=2) < ALPHA,
        "Granger differenced": granger_p(np.diff(a), np.diff(p), lags=2) < ALPHA,
        "Toda-Yamamoto": granger_p(a, p, lags=2, more=1) < ALPHA,
        "phase-surrogate CCF": phase_p(left[0], left[1], np.random.default_rng(seed)) < ALPHA,
    }


def granger_p(a: np.ndarray, p: np.ndarray, *, lags: int, more: int = 0) -> float:
    """F test of `lags` lags of a, with `more` that are not tested (Toda and Yamamoto 1995)."""
    total, n = lags + more, len(p)
    past = [np.stack([x[total - k : n - k] for k in range(1, total + 1)], axis=1) for x in (p, a)]
    one = np.ones((n - total, 1))
    full = np.concatenate([one, *past], axis=1)
    short = np.concatenate([one, past[0], past[1][:, lags:]], axis=1)
    rss = [float(np.sum((p[total:] - x @ np.linalg.lstsq(x, p[total:], rcond=None)[0]) ** 2)) for x in (short, full)]
    df = n - total - full.shape[1]
    return float(stats.f.sf((rss[0] / rss[1] - 1) * df / lags, lags, df)) if df > 0 else 1.0


def phase_p(a: np.ndarray, p: np.ndarray, rng: np.random.Generator, surrogates: int = 199) -> float:
    """Largest correlation of a with a later p (1 to 3 checkpoints), against phase-randomised a."""
    n = len(a)
    spectrum = np.abs(np.fft.rfft(a))
    turned = np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random((surrogates, len(spectrum)))), n=n, axis=1)

    def largest(x: np.ndarray) -> np.ndarray:
        return np.stack([(x[:, : n - k] @ p[k:]) for k in (1, 2, 3)]).max(axis=0) / x.std(axis=1)

    return float((1 + np.sum(largest(turned) >= largest(a[None])[0])) / (surrogates + 1))


def study(kinds: list[str], sizes: list[int], seeds: int, runs: int, jobs: int) -> list[dict[str, object]]:
    """All cells: mean and Monte Carlo error of every test."""
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(jobs) as pool:
        for n, kind in tqdm([(n, kind) for n in sizes for kind in kinds], unit="cell"):
            case = partial(one, kind, n) if runs == 1 else partial(one_study, kind, n, runs)
            cases = list(pool.map(case, range(FIRST_SEED, FIRST_SEED + seeds), chunksize=10))
            for test in cases[0]:
                values = np.asarray([case[test] for case in cases], dtype=float)
                known = values[np.isfinite(values)]
                if len(known):
                    mean = known.mean()
                    error = np.sqrt(mean * (1 - mean) / len(known))
                    row = {"kind": kind, "n": n, "test": test, "rate": mean, "error": error, "cases": len(known)}
                    rows.append(row)
    return rows


def table(rows: list[dict[str, object]], n: int) -> str:
    """One size as a table: tests down, kinds across, percent."""
    cell: Mapping[tuple[object, object], dict[str, object]] = {(r["test"], r["kind"]): r for r in rows if r["n"] == n}
    kinds = [k for k in KINDS if any(key[1] == k for key in cell)]
    lines = ["| test | " + " | ".join(kinds) + " | pooled nulls |", "|" + "---|" * (len(kinds) + 2)]
    for test in (*HEADLINE, *USUAL, *OTHER):
        if not any(key[0] == test for key in cell):
            continue
        found = [cell.get((test, k)) for k in kinds]
        nulls = [r for k, r in zip(kinds, found, strict=True) if r is not None and k in NULLS]
        shown = ["-" if r is None else f"{100 * float(str(r['rate'])):.0f}" for r in found]
        pooled = f"{100 * np.mean([float(str(r['rate'])) for r in nulls]):.1f}" if nulls else "-"
        lines.append(f"| {test} | " + " | ".join(shown) + f" | {pooled} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=300, help="pairs a cell")
    parser.add_argument("--n", type=int, nargs="+", default=[15, 30, 60], help="checkpoints")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument("--runs", type=int, default=1, help="runs a study (default: single pairs)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    out = options.out or HERE / "tables" / f"calibration{'' if options.runs == 1 else f'-{options.runs}-runs'}.csv"
    if out.is_dir():
        parser.error(f"--out {out} is a folder; name the CSV file in it")
    rows = study(options.kinds, options.n, options.seeds, options.runs, options.jobs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    unit = "pairs" if options.runs == 1 else f"studies of {options.runs} runs"
    for n in options.n:
        print(f"\nn = {n}, {options.seeds} {unit} a cell, percent at nominal 5 % (one-sided)\n\n{table(rows, n)}")
    worst = 100 * np.sqrt(ALPHA * (1 - ALPHA) / options.seeds)
    print(f"\nMonte Carlo standard error of 5 %: {worst:.1f} points; written to {out}")


if __name__ == "__main__":
    main()
