"""Known-answer alignment as `Cells`: of ROIs and layers, over training, depth and scales; planted, or nothing is."""

from __future__ import annotations

import numpy as np

from ontogeny.findings import Cells

NETWORKS = ("Visual", "Somatomotor", "Dorsal Attention", "Ventral Attention", "Limbic", "Frontoparietal", "Default")
DEPTHS = (np.arange(8) + 0.5) / 8


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


def over_depth(kind: str, seed: int, *, subjects: int = 4, noise: float = 0.02, bumps: float = 0.0):
    """Language and vision, subjects x networks x 8 depths, of one planted kind.

    converge: vision's profile becomes language's. none: two profiles that stay. shrink: both approach one level, with
    the same profiles. clearer: the profiles stay, but noise falls with depth. level: a level falls off vision.
    `bumps`: size of what each depth adds to each network in all subjects alike.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 7)) * 0.1
    if kind == "clearer":
        b = 0.8 * a + 0.6 * b
    text, image = (np.tile(profile[:, None], (1, 8)) for profile in (a, b))
    if kind == "converge":
        image = b[:, None] * (1 - DEPTHS) + a[:, None] * DEPTHS
    if kind == "shrink":
        text, image = (0.3 + (profile - 0.3) * (1 - 0.7 * DEPTHS) for profile in (text, image))
    if kind == "level":
        image = image + 0.5 * (1 - DEPTHS)
    spread = noise * (4 * (1 - DEPTHS) + 0.2) if kind == "clearer" else noise
    both = []
    for curves in (text, image):
        shared = curves + bumps * rng.standard_normal((7, 8))
        both.append(0.5 + shared + spread * rng.standard_normal((subjects, 7, 8)))
    return both[0], both[1]


def depth_cells(text, image, *, metric: str = "cka-rbf-36-debiased-z", chance: float | None = 0.0) -> Cells:
    """Cells of the two, one model a modality."""
    rows: dict[str, list] = {name: [] for name in ("model", "modality", "subject", "roi", "depth", "layer", "value")}
    for modality, curves in (("text", text), ("image", image)):
        for s, n, d in np.ndindex(curves.shape):
            place = DEPTHS[d] if curves.shape[2] == 8 else d / (curves.shape[2] - 1)
            new = (modality + "-model", modality, f"s{s}", NETWORKS[n], place, f"layer{d}", curves[s, n, d])
            for name, value in zip(rows, new, strict=True):
                rows[name].append(value)
    return Cells.of_table({**rows, "metric": metric, "chance": np.nan if chance is None else chance})


def over_scales(kind: str, seed: int, *, subjects: int = 4, per_network: int = 8, noise: float = 0.4):
    """Regions' values at a small and a large scale, subjects x regions each.

    shift: associative areas gain. none: one profile at both. shape: the larger scale is a steep function of the
    smaller one's noise-free profile, order kept. noisier: the smaller scale has more noise.
    """
    rng = np.random.default_rng(seed)
    associative = np.repeat([n in ("Default", "Frontoparietal", "Limbic") for n in NETWORKS], per_network)
    profile = rng.standard_normal(len(associative)) + (0.8 * associative if kind in ("noisier", "shape") else 0)
    high = np.exp(1.2 * profile) if kind == "shape" else profile + (0.7 * associative if kind == "shift" else 0)
    spread = {"noisier": (3 * noise, 0.5 * noise), "shape": (0.05, 0.05)}.get(kind, (noise, noise))
    return tuple(p + s * rng.standard_normal((subjects, len(p))) for p, s in zip((profile, high), spread, strict=True))


def scale_cells(low, high, *, metric="cka-rbf-{}-debiased-z", scales=(28, 68), chance: float | None = 0.0):
    """Cells of the two, and region -> network."""
    rows: dict[str, list] = {name: [] for name in ("metric", "subject", "roi", "value")}
    per_network = low.shape[1] // len(NETWORKS)
    for scale, values in zip(scales, (low, high), strict=True):
        for s, r in np.ndindex(values.shape):
            for name, value in zip(rows, (metric.format(scale), f"s{s}", f"r{r}", values[s, r]), strict=True):
                rows[name].append(value)
    groups = {f"r{r}": NETWORKS[r // per_network] for r in range(low.shape[1])}
    chances = np.nan if chance is None else chance
    return Cells.of_table({**rows, "modality": "text", "model": "m", "chance": chances}), groups
