"""DrawnRun: one run's scores for each subject and of each draw of the stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from ontogeny._display import one_line
from ontogeny.errors import LagError

__all__ = ["DrawnRun", "draw_stimuli"]

_AXES = 3

Each: TypeAlias = Float[np.ndarray, "steps cells subjects"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnRun:
    """One run's scores for each subject, and those of every draw of the stimuli.

    Args:
        name: of the run.
        steps: optimizer updates, rising.
        performance: one value per step.
        cells: names of the curves among which the one that ends highest is taken: regions and layers.
        scores: of all stimuli.
        drawn: of each draw of the stimuli; None where they are taken as they are.
        higher_is_better: of performance.
    """

    name: str
    steps: Float[np.ndarray, " steps"]
    performance: Float[np.ndarray, " steps"]
    cells: tuple[str, ...]
    scores: Each
    drawn: Float[np.ndarray, "draws steps cells subjects"] | None = None
    higher_is_better: bool = True

    __repr__ = one_line

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            LagError: steps that do not rise, or another number of steps or cells.
        """
        n = len(self.steps)
        if (np.diff(self.steps) <= 0).any():
            raise LagError("steps of a DrawnRun have to rise, each once; sort steps, performance and scores together")
        shapes = {"performance": np.shape(self.performance), "scores": np.shape(self.scores)[:2]}
        expected = {"performance": (n,), "scores": (n, len(self.cells))}
        if self.drawn is not None:
            shapes["drawn"] = np.shape(self.drawn)[1:]
            expected["drawn"] = np.shape(self.scores)
        for name, shape in expected.items():
            if shapes[name] != shape or np.ndim(self.scores) != _AXES:
                raise LagError(
                    f"a DrawnRun has scores of {n} steps x {len(self.cells)} cells x subjects, drawn with the draws "
                    f"before that, and one performance per step; {name} has shape {np.shape(getattr(self, name))}"
                )


def draw_stimuli(groups: Sequence[str], draws: int, *, seed: int = 0) -> Float[np.ndarray, "draws stimuli"]:
    """How often each stimulus is drawn when its groups are drawn with replacement.

    Args:
        groups: one label per stimulus; its id where each is a group of its own.
        draws: how many.
        seed: of the draws.

    Example:
        >>> draw_stimuli(["story 1", "story 1", "story 2"], 2, seed=1).tolist()
        [[1.0, 1.0, 1.0], [2.0, 2.0, 0.0]]
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    out: np.ndarray = counts[:, member].astype(np.float64)
    return out
