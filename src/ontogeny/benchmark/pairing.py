"""Pairing: are the rows of the responses those of the stimuli? A shuffled subject agrees with nothing.

What is compared are similarities between stimuli (inner products of z-scored voxels), so that subjects need no common
voxels: a subject's with the mean of the other subjects', and with those of the stimuli's own surface (length and
punctuation, or pixels). Rows that are permuted against the stimuli leave both at chance, which is told by permuting
them further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from ontogeny._arrays import Square
from ontogeny.assembly import Target
from ontogeny.metrics.view import LayerView, z_scored

__all__ = ["Agreement", "Pairing", "pairings"]

_STIMULI = 400
_VOXELS = 2000
_LEVEL = 0.05
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
        suspicious: the others agree with each other (the middle one of them above chance), and this subject agrees with
            them less than half as well, within two standard deviations, and not above chance.
    """

    subject: str
    others: Agreement | None
    surface: Agreement | None
    suspicious: bool

    def line(self) -> str:
        """For a person."""
        known = [("other subjects", self.others), ("the stimuli's surface", self.surface)]
        said = ", ".join(f"r = {a.r:.3f} (p = {a.p:.3f}) with {name}" for name, a in known if a is not None)
        if self.suspicious:
            verdict = "SUSPICIOUS: the others agree with each other; are this subject's rows in the order of the ids?"
        elif any(a is not None and a.p <= _LEVEL for _, a in known):
            verdict = "paired"
        else:
            verdict = "CANNOT BE TOLD: nothing here is above chance; check the order of the rows by hand"
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
        One a subject, in the order of the targets; none where there are fewer than 10 stimuli.
    """
    n = len(surface)
    if n < 10:
        return []
    rows = np.unique(np.linspace(0, n - 1, min(n, _STIMULI)).round().astype(int))
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
                suspicious=others is not None and others.p > _LEVEL and _odd(others, _between(rest, permutations)),
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
    found = [_agreement(one, _standard(total - one), permutations) for one in rest]
    return sorted(found, key=lambda agreement: agreement.r)[(len(found) - 1) // 2]


def _similarities(targets: Sequence[Target], rows: np.ndarray) -> Square:
    """Over the voxels of all ROIs; where RDMs were given, the mean over ROIs of these, centred and of other sign."""
    parts = [_standard(_centred(np.asarray(t.rdm)[np.ix_(rows, rows)])) for t in targets if t.rdm is not None]
    voxels = [t.responses[rows] for t in targets if t.responses is not None]
    if voxels:
        joined = np.concatenate(voxels, axis=1)
        chosen = np.unique(np.linspace(0, joined.shape[1] - 1, min(joined.shape[1], _VOXELS)).round().astype(int))
        parts.append(_standard(_products(joined[:, chosen])))
    return np.asarray(np.mean(parts, axis=0))


def _products(x: Float[np.ndarray, "stimuli columns"]) -> Square:
    return np.asarray(LayerView(z_scored(torch.as_tensor(x, dtype=torch.float64))).gram.numpy())


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
    p = (1 + int((null >= r - 1e-12).sum())) / (permutations + 1)
    return Agreement(r=r, p=p, chance=float(null.std()))
