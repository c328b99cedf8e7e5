"""Known-answer alignment: subjects x ROIs x layers, and its rise over training, as `Cells`."""

from __future__ import annotations

import numpy as np

from ontogeny.findings import Cells


def brains(values, *, noise=0.0, seed=0, rois=None, chance=0.0, depth=True, **columns):
    """Cells of an array ROIs x layers, the same for all subjects but for noise; or subjects x ROIs x layers."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 2:
        values = np.repeat(values[None], columns.pop("subjects", 6), axis=0)
    values = values + noise * np.random.default_rng(seed).standard_normal(values.shape)
    rois = list(rois or (f"R{i:02d}" for i in range(values.shape[1])))
    rows = [
        {"subject": f"S{s}", "roi": rois[r], "layer": f"layer{k:02d}", "depth": k / max(1, values.shape[2] - 1)}
        | {"value": values[s, r, k] + np.nan_to_num(chance)}
        for s, r, k in np.ndindex(values.shape)
    ]
    table = {name: [row[name] for row in rows] for name in rows[0] if depth or name != "depth"}
    about = {"model": "planted", "modality": "image", "benchmark": "nsd", "metric": "ridge-gcv", "chance": chance}
    return Cells.of_table(table | about | columns)


def rising(log10, *, noise=0.03, seed=0, steps=24, last=1e5, rois=None, width=0.25):
    """Cells whose curve of ROI r and layer k has its half point at 10 ** log10[r][k] (one subject)."""
    log10 = np.asarray(log10, dtype=float)
    grid = np.unique(np.concatenate([[0], np.logspace(0, np.log10(last), steps - 1).round()])).astype(int)
    rois = list(rois or (f"R{i:02d}" for i in range(len(log10))))
    rng = np.random.default_rng(seed)
    rows = []
    for r, k in np.ndindex(log10.shape):
        curve = 1 / (1 + np.exp(-(np.log10(grid + 1) - log10[r, k]) / width))
        curve = 0.02 + 0.3 * (curve + noise * rng.standard_normal(len(grid)))
        place = k / max(1, log10.shape[1] - 1)
        rows += [
            {"roi": rois[r], "layer": f"layer{k:02d}", "depth": place, "step": step, "value": value}
            for step, value in zip(grid.tolist(), curve.tolist(), strict=True)
        ]
    table = {name: [row[name] for row in rows] for name in rows[0]}
    about = {"model": "planted", "modality": "image", "benchmark": "nsd", "metric": "ridge-gcv", "chance": 0.0}
    return Cells.of_table(table | about | {"subject": "S0"})
