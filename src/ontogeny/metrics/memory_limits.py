"""Room: what metrics that compare all pairs of stimuli take in memory, refused before any of it is there."""

from __future__ import annotations

from collections.abc import Sequence

from ontogeny._memory import fits, require_memory, square
from ontogeny.brain import Target

__all__ = ["INSTEAD", "check_room", "check_squares", "n_stimuli_of", "needs_tiles"]

INSTEAD = (
    "score fewer stimuli, targets or permuted copies (controls=False), or use Ridge, which makes no stimuli x stimuli "
    "matrix of a layer with fewer features than stimuli"
)


def n_stimuli_of(targets: Sequence[Target]) -> int:
    """How many stimuli the targets have; 0 where they have no responses, which every metric refuses by name."""
    rows = (target.responses if target.rdm is None else target.rdm for target in targets[:1])
    return max((0 if given is None else len(given) for given in rows), default=0)


def check_room(names: Sequence[str], targets: Sequence[Target], squares: float | int) -> None:
    """Refuse metrics whose brain side, and scoring one layer, do not fit.

    Args:
        names: of the metrics.
        targets: all of them, permuted copies too.
        squares: how many stimuli x stimuli matrices of float64 they hold at their highest, all together.

    Raises:
        TooLargeError: says how much they need, and what is available.
    """
    n = n_stimuli_of(targets)
    what = f"{', '.join(names)} of {n:,} stimuli and {len(targets)} targets (subjects x ROIs, permuted copies too)"
    require_memory(squares * square(n), what, instead=INSTEAD)


def needs_tiles(targets: Sequence[Target], squares: float | int, *, alone: bool) -> bool:
    """Whether stimuli x stimuli matrices do not fit, and pairs can be made in tiles instead: there are voxels.

    Args:
        targets: of one or several subjects.
        squares: as for `check_room`.
        alone: ceilings over subjects need all pairs at once, so that no ROI may be that of two subjects.
    """
    voxels = all(target.rdm is None and target.responses is not None for target in targets)
    shared = alone and len({target.roi for target in targets}) < len(targets)
    return voxels and not shared and not fits(squares * square(n_stimuli_of(targets)))


def check_squares(what: str, n_stimuli: int, squares: float | int) -> None:
    """Refuse so many stimuli x stimuli matrices of one layer or side.

    Raises:
        TooLargeError: they do not fit.
    """
    require_memory(squares * square(n_stimuli), f"{what} of {n_stimuli:,} stimuli", instead=INSTEAD)
