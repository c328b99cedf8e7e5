"""Pairing: are the rows of the responses those of the stimuli? A shuffled subject agrees with nothing.

What is compared are similarities between stimuli (inner products of z-scored voxels), so that subjects need no common
voxels: a subject's with the mean of the other subjects', and with those of the stimuli's own surface (length and
punctuation, or pixels). Rows that are permuted against the stimuli leave both at chance; the test permutes them
further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ontogeny._arrays import Square
from ontogeny._display import number
from ontogeny.brain import Target
from ontogeny.brain.assembly import some_voxels, spread
from ontogeny.brain.noise_ceiling import LOWEST
from ontogeny.metrics import LayerGeometry
from ontogeny.metrics.layer_geometry import z_scored

__all__ = ["Agreement", "Pairing", "pairings", "repeats_agree"]

_STIMULI = 400
_VOXELS = 2000
_LEVEL = 0.05
_PAIRED = 0.01  # a shuffled subject reaches 5 % in one of twenty cases, and has two chances to
_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far similarities agree.

    Args:
        r: Pearson r over pairs of stimuli.
        p: share of orders of the stimuli, the true one among them, that agree as well or better: one-sided.
        chance: standard deviation of r over these orders.
    """

    r: float
    p: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What speaks for and against one subject's pairing.

    Args:
        subject: whose.
        others: agreement with the mean of the other subjects; None where there is no other.
        surface: agreement with the stimuli's surface; None where that does not vary.
        suspicious: the others agree with each other (the middle one of them at p <= .05), and this subject agrees with
            them less than half as well, within two standard deviations, and not at p <= .01.
        ceiling: mean over voxels, None where not known; responses can be reliable and still of other stimuli.
    """

    subject: str
    others: Agreement | None
    surface: Agreement | None
    suspicious: bool
    ceiling: float | None = None

    @property
    def paired(self) -> bool:
        """Whether something says that the rows are those of the stimuli."""
        return not self.suspicious and any(a is not None and a.p <= _PAIRED for a in (self.others, self.surface))

    @property
    def doubt(self) -> str:
        """What speaks against this subject; "" where nothing does."""
        cannot = "whether rows match the stimuli cannot be told"
        return "rows seem to be in another order" if self.suspicious else "" if self.paired else cannot

    def line(self) -> str:
        """For a person."""
        known = [("other subjects", self.others), ("the stimuli's surface", self.surface)]
        said = ", ".join(f"r = {number(a.r, '.3f')} (p = {a.p:.3f}) with {name}" for name, a in known if a is not None)
        if self.suspicious:
            verdict = "SUSPICIOUS: the others agree with each other; are this subject's rows in the order of the ids?"
        elif self.paired:
            verdict = "paired"
        else:
            verdict = f"CANNOT BE TOLD: nothing here has p <= {_PAIRED}; check the order of the rows by hand"
            if self.ceiling is not None and self.ceiling >= LOWEST:
                verdict += f", as noise alone does not explain it (ceiling r = {number(self.ceiling)})"
        return f"subject {self.subject}: {verdict} ({said or 'no other subject, and a surface that does not vary'})"


def pairings(
    targets: Sequence[Target], surface: Float[np.ndarray, "stimuli features"], *, permutations: int = 999
) -> list[Pairing]:
    """Test every subject's pairing, on at most 400 stimuli, evenly spread, and 2000 voxels a subject.

    Args:
        targets: aligned to the stimuli.
        surface: what of the stimuli can be read without a model, see `Benchmark.surface`.
        permutations: orders of the stimuli that each agreement is compared with.

    Returns:
        One per subject, in the order of the targets; none where there are fewer than 10 stimuli.
    """
    n = len(surface)
    if n < 10:
        return []
    rows = spread(n, _STIMULI)
    subjects = list(dict.fromkeys(target.subject for target in targets))
    shapes = {s: _standard(_similarities([t for t in targets if t.subject == s], rows)) for s in subjects}
    seen = _surface(surface[rows])
    out = []
    for subject in subjects:
        rest = [shapes[other] for other in subjects if other != subject]
        mean = _standard(sum(rest, np.zeros_like(shapes[subject])))
        others = _agreement(shapes[subject], mean, permutations) if rest else None
        out.append(
            Pairing(
                subject=subject,
                others=others,
                surface=None if seen is None else _agreement(shapes[subject], seen, permutations),
                suspicious=others is not None and others.p > _PAIRED and _odd(others, _between(rest, permutations)),
                ceiling=_ceiling([t for t in targets if t.subject == subject]),
            )
        )
    return out


def _odd(mine: Agreement, theirs: Agreement | None) -> bool:
    return theirs is not None and theirs.p <= _LEVEL and mine.r + 2 * mine.chance < _SHARE * theirs.r


def _between(rest: Sequence[Square], permutations: int) -> Agreement | None:
    """How the others agree with each other: the middle one of each against the mean of the rest; None of one."""
    if len(rest) < 2:
        return None
    total = sum(rest, np.zeros_like(rest[0]))
    rank = sorted(range(len(rest)), key=lambda i: float((rest[i] * _standard(total - rest[i])).sum()))
    middle = rest[rank[(len(rest) - 1) // 2]]
    return _agreement(middle, _standard(total - middle), permutations)


def _ceiling(targets: Sequence[Target]) -> float | None:
    known = [t.ceiling for t in targets if t.ceiling is not None]
    return float(np.mean(np.concatenate(known))) if known else None


def repeats_agree(repeats: Float[np.ndarray, "repeats stimuli voxels"], *, permutations: int = 999) -> Agreement | None:
    """Pearson r over stimuli between the means of odd and of even repeats, averaged over voxels.

    Not above 0: the rows of one are mixed, or all is noise. At most 400 of the stimuli that have both are read, and
    2000 voxels, evenly spread. Rows that are shuffled in the same way at every repeat are for `pairings` to find.

    Args:
        repeats: NaN where a stimulus has fewer.
        permutations: orders of the stimuli that it is compared with.

    Returns:
        None where fewer than 10 stimuli have both.
    """
    columns = spread(repeats.shape[2], _VOXELS)
    repeats = repeats[:, :, columns]
    seen = np.isfinite(repeats).all(axis=2)
    able = np.flatnonzero(seen[::2].any(axis=0) & seen[1::2].any(axis=0))
    if len(able) < 10:
        return None
    rows = able[spread(len(able), _STIMULI)]
    parts = np.asarray(repeats[:, rows], dtype=np.float64)
    odd, even = (z_scored(torch.as_tensor(np.nanmean(parts[i::2], axis=0))).numpy() for i in (0, 1))
    products = odd @ even.T / ((len(rows) - 1) * len(columns))
    rng, n = np.random.default_rng(0), len(products)
    null = np.array([products[np.arange(n), rng.permutation(n)].sum() for _ in range(permutations)])
    return _against(float(np.trace(products)), null)


def _similarities(targets: Sequence[Target], rows: np.ndarray) -> Square:
    """Over the voxels of all ROIs; where RDMs were given, the mean over ROIs of these, centred and of other sign."""
    parts = [_standard(_centred(np.asarray(t.rdm)[np.ix_(rows, rows)])) for t in targets if t.rdm is not None]
    voxels = some_voxels(targets, _VOXELS)
    if voxels is not None:
        parts.append(_standard(_products(voxels[rows])))
    return np.asarray(np.mean(parts, axis=0))


def _products(x: Float[np.ndarray, "stimuli columns"]) -> Square:
    return np.asarray(LayerGeometry(z_scored(torch.as_tensor(x, dtype=torch.float64))).gram.numpy())


def _centred(rdm: Square) -> Square:
    means = rdm.mean(axis=0, dtype=np.float64)
    return np.asarray(means[:, None] + means[None, :] - means.mean() - rdm)


def _surface(x: Float[np.ndarray, "stimuli features"]) -> Square | None:
    return _standard(_products(x)) if (np.ptp(x, axis=0) > 0).any() else None


def _standard(similarity: Square) -> Square:
    """Mean 0 and norm 1 over the pairs; the diagonal 0."""
    off = ~np.eye(len(similarity), dtype=bool)
    out = np.where(off, similarity - similarity[off].mean(), 0.0)
    norm = np.linalg.norm(out)
    return np.asarray(out / norm) if norm > 0 else out


def _agreement(mine: Square, theirs: Square, permutations: int) -> Agreement:
    rng = np.random.default_rng(0)
    r = float((mine * theirs).sum())
    orders = (rng.permutation(len(mine)) for _ in range(permutations))
    null = np.array([float((mine[np.ix_(order, order)] * theirs).sum()) for order in orders])
    return _against(r, null)


def _against(r: float, null: Float[np.ndarray, " orders"]) -> Agreement:
    return Agreement(r=r, p=(1 + int((null >= r - 1e-12).sum())) / (len(null) + 1), chance=float(null.std()))
