"""Which moves first: one pair, maps, the placebo, beside statsmodels and scipy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit
from statsmodels.tsa.stattools import grangercausalitytests

from ontogeny.lag import Run, leads, placebo
from ontogeny.lag.fit._curve_shapes import curve
from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.granger import log_ratios, time_reversed_net
from ontogeny.lag.roi_layer_map import map_of_runs
from ontogeny.simulated.planted_leads import planted_lead
from tests.timings import Row, timed


def rows() -> list[Row]:
    world = planted_lead("lead_both", 60, seed=1)
    steps, a, p = world.steps, world.alignment, world.performance
    out: list[Row] = []
    for n in (15, 30, 60, 150):
        w = planted_lead("lead_both", n, seed=1)
        seconds = timed(lambda w=w: leads(w.steps, w.alignment, w.performance))
        out.append((f"leads(), one pair, n = {n}, 999 surrogates", seconds, "target < 2 s"))
    rng = np.random.default_rng(0)
    cells = [(f"roi{i}", f"layer{j}") for i in range(20) for j in range(12)]
    runs = [Run(name=str(c), steps=steps, alignment=a + 0.01 * rng.standard_normal(60), performance=p) for c in cells]
    seconds = timed(lambda: map_of_runs(runs, cells, task="loss"), 1)
    out.append(("leads_map(), 20 x 12 cells, n = 60, 999 surrogates", seconds, "target < 60 s"))
    out.append(("placebo(), n = 30, 3 x 200 replicates", timed(lambda: placebo(*_thirty()), 1), ""))
    pairs = rng.standard_normal((2, 200, 60))
    ours = timed(lambda: log_ratios(pairs[0], pairs[1], 2))
    theirs = timed(lambda: [grangercausalitytests(np.stack([y, x], 1), [2]) for x, y in zip(*pairs, strict=True)], 1)
    out.append(("Granger, both directions, 200 pairs", ours, f"statsmodels, one direction: {theirs / ours:.0f} x"))
    out.append(("time-reversed net Granger, 200 pairs", timed(lambda: time_reversed_net(pairs[0], pairs[1])), ""))
    u, many = log_steps(steps), a + 0.02 * rng.standard_normal((50, 60))
    ours = timed(lambda: fit_rises(u, many))
    theirs = timed(lambda: [_scipy_rise(u, y) for y in many], 1)
    out.append(("three shapes, 50 series", ours, f"scipy curve_fit, one shape, one start: {theirs / ours:.1f} x"))
    return out


def _thirty() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    world = planted_lead("lead_both", 30, seed=1)
    return world.steps, world.alignment, world.performance


def _scipy_rise(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    span = float(np.ptp(y))
    low = [y.min() - span, -3 * span, u[0], np.log(0.04), np.log(0.08)]
    high = [y.max() + span, 3 * span, u[-1], np.log(1.5), np.log(6.0)]
    start = [y[:5].mean(), span, 3.3, np.log(0.3), 0.0]

    def f(x: np.ndarray, *theta: float) -> np.ndarray:
        return curve(x, np.asarray([theta]), "one rise")[0][0]

    found: np.ndarray = curve_fit(f, u, y, start, bounds=(low, high), max_nfev=2000)[0]
    return found
