"""Correlation over models that come in families: partial, with intervals over families, without one family."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny.errors import DataError

__all__ = ["Correlation", "Kind", "correlate", "family_of", "fisher_interval", "leave_one_out"]

Kind = Literal["pearson", "spearman"]

_FEWEST, _MANY = 5, 50
_PORTS = ("tf_", "dm_", "nf_")
_SERIES = re.compile(r"([a-z]+?)(?:v?\d|[^a-z]|$)")


def family_of(name: str) -> str:
    """The family that a model's name tells, so that a size, a version or a fine-tune is no family of its own.

    The rule: what follows the last "/", in small letters, without timm's port prefixes (tf_, dm_, nf_); of that the
    letters up to the first sign that is none, without the v of a version. "Qwen/Qwen2.5-0.5B" and "Qwen/Qwen1.5-7B":
    "qwen"; "allenai/Llama-3.1-Tulu-3-8B": "llama"; "tf_efficientnetv2_b0.in1k": "efficientnet"; "vit_base_patch16_224":
    "vit". A name that does not begin with a letter is its own family.
    """
    last = name.rsplit("/", 1)[-1].lower()
    for port in _PORTS:
        last = last.removeprefix(port)
    found = _SERIES.match(last)
    return found.group(1) if found else last


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A correlation over models, or a partial one.

    Args:
        r: Pearson's r, or Spearman's rho.
        n: models.
        families: families among them.
        fisher: 95 % interval as if models were independent (Fisher z).
        drawn: 95 % interval of draws of whole families; None where families are too few for it.
        low: lower end of the 95 % interval over families (jackknife); None where families are too few.
        high: upper end.
        p: two-sided p over families; as if models were independent where families are too few.
        how: interval and p in a phrase.
    """

    r: float
    n: int
    families: int
    fisher: tuple[float, float]
    drawn: tuple[float, float] | None
    low: float | None
    high: float | None
    p: float
    how: str


def correlate(
    x: Float[np.ndarray, " models"],
    y: Float[np.ndarray, " models"],
    families: Sequence[str],
    *,
    given: Float[np.ndarray, "models controls"] | None = None,
    within: bool = False,
    kind: Kind = "pearson",
    draws: int = 2000,
    seed: int = 0,
) -> Correlation:
    """Correlation with an interval that allows for models of one family being alike.

    From 5 families on: jackknife over families of Fisher's z, with Student's t on families - 1 degrees of freedom. From
    50 on also the percentile interval of draws of whole families with replacement. Over simulated families, even and
    uneven, the jackknife covers .92 to .98 from 6 families on; draws .87 to .94 below 50 and .91 to .96 from there on;
    Fisher's interval of independent models .60 to .87.

    Args:
        x: one variable.
        y: the other.
        families: family of each model.
        given: what both are freed of by least squares (of ranks, for Spearman); a partial correlation.
        within: free both of the families' means; models that are alone in their family are left out.
        kind: Pearson's r or Spearman's rho (ranks are made once, not in each draw).
        draws: of families.
        seed: of the draws.

    Raises:
        DataError: fewer than 4 models more than there are controls, or a variable that does not vary.
    """
    values, names = _columns(x, y, families, given, within, kind)
    labels, member = np.unique(names, return_inverse=True)
    n, controls = len(values), values.shape[1] - 2 + (len(labels) if within else 0)
    if n < controls + 4:
        raise DataError(f"a correlation given {controls} controls needs {controls + 4} models or more, got {n}")
    r = float(_partial(np.ones((1, n)), values)[0])
    if not math.isfinite(r):
        raise DataError("a variable is the same for all models, or follows from what is given: there is no correlation")
    low, high, p, how = _over_families(values, member, r)
    return Correlation(
        r=r,
        n=n,
        families=len(labels),
        fisher=fisher_interval(r, n, controls=controls, kind=kind),
        drawn=None if len(labels) < _MANY else _drawn(values, member, len(labels), draws, seed),
        low=low,
        high=high,
        p=_p_alone(r, n, controls) if p is None else p,
        how=how,
    )


def fisher_interval(
    r: float, n: int, *, controls: int = 0, kind: Kind = "pearson", level: float = 0.95
) -> tuple[float, float]:
    """Interval of a correlation of n independent models by Fisher's z.

    Spearman's rho has the variance of Bonett and Wright (2000), (1 + rho^2 / 2) / (n - 3).

    Args:
        r: the correlation.
        n: models.
        controls: variables given.
        kind: of correlation.
        level: of the interval.
    """
    if n - controls <= 3 or abs(r) >= 1:
        return math.nan, math.nan
    factor = 1 + r**2 / 2 if kind == "spearman" else 1.0
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(factor / (n - controls - 3))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def leave_one_out(
    x: Float[np.ndarray, " models"],
    y: Float[np.ndarray, " models"],
    families: Sequence[str],
    *,
    given: Float[np.ndarray, "models controls"] | None = None,
) -> dict[str, float]:
    """Pearson r (partial, where something is given) without each family in turn; NaN where nothing is left to vary.

    Raises:
        DataError: see `correlate`.
    """
    values, names = _columns(x, y, families, given, False, "pearson")
    labels, member = np.unique(names, return_inverse=True)
    found = _partial(_without_each(member, len(labels)), values)
    return {str(label): float(r) for label, r in zip(labels, found, strict=True)}


def _columns(
    x: np.ndarray, y: np.ndarray, families: Sequence[str], given: np.ndarray | None, within: bool, kind: Kind
) -> tuple[np.ndarray, np.ndarray]:
    """Models x (x, y, controls), ready for a correlation, and their families."""
    values = np.column_stack([x, y, *([] if given is None else [given])]).astype(np.float64)
    names = np.asarray(families, dtype=np.str_)
    if within:
        kept = np.asarray([np.sum(names == name) > 1 for name in names], dtype=bool)
        values, names = values[kept], names[kept]
    if kind == "spearman":
        values = np.apply_along_axis(stats.rankdata, 0, values)
    for name in np.unique(names) if within else ():
        values[names == name] -= values[names == name].mean(axis=0)
    return values, names


def _partial(
    weights: Float[np.ndarray, "draws models"], values: Float[np.ndarray, "models variables"]
) -> Float[np.ndarray, " draws"]:
    """Correlation of the first two variables given the others, a draw of models a row."""
    total = weights.sum(axis=1)
    scale = values.std(axis=0)
    if len(values) < 2 or not (scale > 1e-12 * np.abs(values).max(axis=0)).all():
        return np.full(len(weights), np.nan)
    scaled = (values - values.mean(axis=0)) / scale
    with np.errstate(invalid="ignore", divide="ignore"):
        means = weights @ scaled / total[:, None]
        second = np.einsum("di,ij,ik->djk", weights, scaled, scaled) / total[:, None, None]
        covariance = second - means[:, :, None] * means[:, None, :]
        for last in range(values.shape[1] - 1, 1, -1):
            column = covariance[:, :last, last]
            covariance = (
                covariance[:, :last, :last]
                - column[:, :, None] * column[:, None, :] / covariance[:, last, last][:, None, None]
            )
        product = covariance[:, 0, 0] * covariance[:, 1, 1]
        r = covariance[:, 0, 1] / np.sqrt(np.where(product > 1e-20, product, np.nan))
    return np.asarray(np.clip(r, -1, 1))


def _over_families(
    values: np.ndarray, member: np.ndarray, r: float
) -> tuple[float | None, float | None, float | None, str]:
    """Interval, p and how they were made; None where families are too few."""
    families = int(member.max()) + 1
    if families < _FEWEST:
        count = f"{families} famil{'y is' if families == 1 else 'ies are'}"
        return None, None, None, f"{count} too few for an interval over families; p as if models were independent"
    how = f"Interval and p: jackknife over {families} families, Fisher z, t"
    return *_jackknife(values, member, families, r), how


def _p_alone(r: float, n: int, controls: int) -> float:
    freedom = n - 2 - controls
    return float(2 * stats.t.sf(abs(r) * math.sqrt(freedom / max(1 - r**2, 1e-300)), freedom))


def _without_each(member: np.ndarray, families: int) -> np.ndarray:
    return np.asarray(member[None, :] != np.arange(families)[:, None], dtype=np.float64)


def _jackknife(values: np.ndarray, member: np.ndarray, families: int, r: float) -> tuple[float, float, float]:
    """Interval and p by leaving out a family at a time."""
    z = np.arctanh(np.clip(_partial(_without_each(member, families), values), -1 + 1e-12, 1 - 1e-12))
    if not np.isfinite(z).all():
        raise DataError("without one family nothing varies any more: this correlation is that family's alone")
    centre = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12))
    error = math.sqrt((families - 1) / families * float(np.sum((z - z.mean()) ** 2)))
    half = float(stats.t.ppf(0.975, families - 1)) * error
    p = float(2 * stats.t.sf(abs(centre) / error, families - 1)) if error else 0.0
    return math.tanh(centre - half), math.tanh(centre + half), p


def _drawn(values: np.ndarray, member: np.ndarray, families: int, draws: int, seed: int) -> tuple[float, float]:
    """Percentile interval of draws of whole families with replacement."""
    counts = np.random.default_rng(seed).multinomial(families, np.full(families, 1 / families), size=draws)
    found = _partial(counts[:, member].astype(np.float64), values)
    low, high = np.quantile(found[np.isfinite(found)], [0.025, 0.975])
    return float(low), float(high)
