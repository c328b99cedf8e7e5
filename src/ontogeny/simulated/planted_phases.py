"""Planted phases: pairs of curves that rise, fall and rise again, whose turning points are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

__all__ = ["PlantedPhases", "planted_phases"]

Shape = Literal["logistic", "cosine", "one rise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedPhases:
    """One simulated pair.

    Args:
        steps: optimizer updates, rising.
        alignment: one value per step.
        performance: one value per step, higher is better.
        turns: log10(step + 1) of alignment's noise-free turning points, a peak and a trough; none of one rise.
        lead_log10: by how much performance turns later.
    """

    steps: Int[np.ndarray, " steps"]
    alignment: Float[np.ndarray, " steps"]
    performance: Float[np.ndarray, " steps"]
    turns: tuple[float, ...]
    lead_log10: float


def planted_phases(
    n: int,
    *,
    seed: int,
    shape: Shape = "logistic",
    checkpoints: float = 0.0,
    noise: float = 0.03,
    autocorrelation: float = 0.0,
    shared: float = 0.0,
) -> PlantedPhases:
    """A rise, a fall of .3 to .7 of it, and a second rise, in both curves.

    Args:
        n: checkpoints, log-spaced up to step 20,000.
        seed: of shapes, places and noise.
        shape: sums of logistic transitions; half cosines between turning points, which no such sum equals; or one rise
            without a turn.
        checkpoints: by how many performance is later.
        noise: its standard deviation, in units of the first rise.
        autocorrelation: of the noise, AR(1).
        shared: correlation of both curves' noise.

    Example:
        >>> world = planted_phases(40, seed=0, checkpoints=1.0)
        >>> len(world.steps), len(world.turns), world.lead_log10 > 0
        (40, 2, True)
    """
    rng = np.random.default_rng(seed)
    steps = _log_spaced(n)
    u = np.log10(steps + 1.0)
    later = checkpoints * float(np.median(np.diff(u)))
    early, late, turns = _curves(shape, u, later, rng)
    common = _ar1(rng, n, autocorrelation)
    own = [_ar1(rng, n, autocorrelation) for _ in range(2)]
    alignment, performance = (
        clean + noise * (np.sqrt(shared) * common + np.sqrt(1 - shared) * mine)
        for clean, mine in zip((early, late), own, strict=True)
    )
    return PlantedPhases(
        steps=steps, alignment=alignment, performance=performance, turns=turns, lead_log10=later if turns else 0.0
    )


def _log_spaced(n: int) -> Int[np.ndarray, " steps"]:
    every = np.unique(np.concatenate([[0], np.round(np.logspace(0, np.log10(20_000), 3 * n))]).astype(np.int64))
    u = np.log10(every + 1.0)
    near = {int(np.abs(u - at).argmin()) for at in np.linspace(0, u[-1], n)}
    rest = [place for place in range(len(every)) if place not in near]
    out: Int[np.ndarray, " steps"] = every[sorted([*near, *rest[: n - len(near)]])]
    return out


def _curves(
    shape: Shape, u: Float[np.ndarray, " steps"], later: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Noise-free alignment, performance, and alignment's turning points."""
    if shape == "one rise":
        half, width = rng.uniform(1.5, 3), rng.uniform(0.15, 0.3)
        return 1 / (1 + np.exp(-(u - half) / width)), 1 / (1 + np.exp(-(u - half - later) / width)), ()
    if shape == "cosine":
        turns = np.asarray([rng.uniform(1.3, 1.8), rng.uniform(2.3, 2.8)])
        end = rng.uniform(3.5, 4.0)
        levels = [np.asarray([0, 1, rng.uniform(0.3, 0.7), rng.uniform(0.9, 1.4)]) for _ in range(2)]
        return (
            _cosines(u, np.asarray([0.3, *turns, end]), levels[0]),
            _cosines(u, np.asarray([0.3, *(turns + later), end + later]), levels[1]),
            (float(turns[0]), float(turns[1])),
        )
    centres = np.asarray([rng.uniform(1.0, 1.3), rng.uniform(1.9, 2.2), rng.uniform(3.0, 3.4)])
    widths, heights = rng.uniform(0.1, 0.2, 3), np.asarray([1, -rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.9)])

    def curve(at: np.ndarray) -> np.ndarray:
        return np.asarray((heights / (1 + np.exp(-(at[:, None] - centres) / widths))).sum(axis=1))

    fine = np.linspace(centres[0], centres[-1], 40_000)
    slope = np.diff(curve(fine))
    turned = fine[np.flatnonzero(slope[1:] * slope[:-1] < 0) + 1]
    return curve(u), rng.uniform(0.8, 1.5) * curve(u - later), tuple(float(at) for at in turned)


def _cosines(u: np.ndarray, nodes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """From level to level by half cosines, whose ends are the turning points."""
    part = np.clip(np.searchsorted(nodes, u, side="right") - 1, 0, len(nodes) - 2)
    share = np.clip((u - nodes[part]) / (nodes[part + 1] - nodes[part]), 0, 1)
    return np.asarray(levels[part] + (levels[part + 1] - levels[part]) * (1 - np.cos(np.pi * share)) / 2)


def _ar1(rng: np.random.Generator, n: int, coefficient: float) -> np.ndarray:
    drawn = rng.standard_normal(n)
    for place in range(1, n):
        drawn[place] = coefficient * drawn[place - 1] + np.sqrt(1 - coefficient**2) * drawn[place]
    return drawn
