"""Granger's test as people know it; and net Granger against its time reversal, for many surrogates at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny._arrays import Numbers
from ontogeny.errors import LagError
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.granger_results import DirectedTest, Granger, Rate
from ontogeny.lag.null.surrogates import flip_signs, flipped, tail

__all__ = ["NULL", "granger", "granger_of", "log_ratios", "time_reversed_net", "with_placebo"]

NULL = (
    "F tests 'the past of one series does not improve a linear forecast of the other from its own past'. That is not "
    "'no lead': a trend that both share, or one drive seen with unequal noise, makes it false although nothing leads. "
    "p_flip is the p of the same F, of the detrended series, under 'no lead'"
)
_MOST_LAGS = 4
_BLOCK = 128

Pair = Float[np.ndarray, "2 steps"]
Batch = Float[np.ndarray, "pairs steps"]


def granger(
    steps: Numbers,
    alignment: Numbers,
    performance: Numbers,
    *,
    lags: int | Literal["aic", "bic"] = 2,
    surrogates: int = 999,
    seed: int = 0,
) -> Granger:
    """Granger's F test in both directions (Granger 1969), on the levels, checkpoint after checkpoint.

    Args:
        steps: optimizer updates, rising; used for detrending only.
        alignment: one value per checkpoint.
        performance: one value per checkpoint.
        lags: how many; or "aic", "bic": what suits the two equations best, of 1 to 4. A choice by the data adds 2 to 5
            points to the false positives.
        surrogates: conjugate flips for `p_flip`.
        seed: of the flips.

    Raises:
        LagError: too few checkpoints for that many lags, NaN, or a constant series.
    """
    pair = np.asarray([alignment, performance], dtype=np.float64)
    if not np.isfinite(pair).all() or (np.ptp(pair, axis=1) == 0).any():
        raise LagError("Granger's test needs series without NaN that are not constant; drop missing checkpoints first")
    signs = flip_signs(pair.shape[1], surrogates, np.random.default_rng(seed))
    return granger_of(pair, decompose(np.asarray(steps), pair).residuals, signs, lags=lags)


def granger_of(
    pair: Pair, residuals: Pair, signs: Float[np.ndarray, "surrogates frequencies"], *, lags: int | str = 2
) -> Granger:
    """The same, given the detrended series and the flips."""
    n = pair.shape[1]
    k = lags if isinstance(lags, int) else chosen_lags(pair, lags)
    df = n - 3 * k - 1
    if k < 1 or df < 1:
        raise LagError(f"{n} checkpoints are too few for {k} lags in both series: at least {3 * k + 2} are needed")
    levels, own, null = (
        np.expm1(np.stack(log_ratios(a, p, k))) * df / k
        for a, p in ((pair[:1], pair[1:]), (residuals[:1], residuals[1:]), flipped(residuals, signs))
    )
    tests = [
        DirectedTest(
            f=float(levels[i, 0]),
            p=float(special.fdtrc(k, df, levels[i, 0])),
            df_num=k,
            df_denom=df,
            f_detrended=float(own[i, 0]),
            p_flip=tail(null[i], float(own[i, 0])),
        )
        for i in (0, 1)
    ]
    return Granger(alignment_to_performance=tests[0], performance_to_alignment=tests[1], lags=k, null=NULL)


def with_placebo(found: Granger, forward: Rate, backward: Rate) -> Granger:
    """The same with the rates at which its p rejects where nothing leads."""
    return replace(
        found,
        alignment_to_performance=replace(found.alignment_to_performance, placebo=forward),
        performance_to_alignment=replace(found.performance_to_alignment, placebo=backward),
    )


def chosen_lags(pair: Pair, criterion: str) -> int:
    """The lag order of the two-equation VAR that minimises AIC or BIC (Lütkepohl 2005, section 4.3), of 1 to 4."""
    if criterion not in ("aic", "bic"):
        raise LagError(f"lags is a number, 'aic' or 'bic', got {criterion!r}")
    most = min(_MOST_LAGS, (pair.shape[1] - 2) // 4)
    rows = pair.shape[1] - most
    penalty = 2.0 if criterion == "aic" else np.log(rows)
    scores = []
    for k in range(1, most + 1):
        past = [pair[i, most - lag : most - lag + rows] for lag in range(1, k + 1) for i in (0, 1)]
        design = np.stack([np.ones(rows), *past], axis=1)
        left = pair[:, most:].T - design @ np.linalg.lstsq(design, pair[:, most:].T, rcond=None)[0]
        scores.append(np.linalg.slogdet(left.T @ left / rows)[1] + penalty * 2 * (2 * k + 1) / rows)
    return int(np.argmin(scores)) + 1


def log_ratios(a: Batch, p: Batch, lags: int) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """How much each past helps: log RSS without it less log RSS with it, of a for p and of p for a.

    By Gram and Schmidt's modified way, the targets among the columns, which is as exact as Householder's (Björck 1967).
    """
    k, n = lags, a.shape[1]
    past = [x[:, k - j : n - j] for x in (p, a) for j in range(1, k + 1)]
    both = np.stack([*past, a[:, k:], p[:, k:]])
    both -= both.mean(axis=2, keepdims=True)
    own = both[k:-1].copy()
    _take_away(own, k)
    without_a = _squares(own[-1])
    _take_away(both, k)
    without_p = _squares(both[-1])
    _take_away(both[k:], k)
    with_a, with_p = _squares(both[-2]), _squares(both[-1])
    return np.log(without_p / with_p), np.log(without_a / with_a)


def _take_away(columns: Float[np.ndarray, "columns pairs rows"], first: int) -> None:
    """Leave of all columns what the first ones do not explain; a column of zeros explains nothing."""
    for place in range(first):
        one, rest = columns[place], columns[place + 1 :]
        size = _squares(one)
        share = np.einsum("pn,cpn->cp", one, rest) / np.where(size > 0, size, 1.0)
        rest -= share[:, :, None] * one


def _squares(column: Batch) -> Float[np.ndarray, " pairs"]:
    out: Float[np.ndarray, " pairs"] = np.einsum("pn,pn->p", column, column)
    return out


def time_reversed_net(a: Batch, p: Batch, lags: int = 2) -> Float[np.ndarray, " pairs"]:
    """Net Granger of a for p, less the same of the reversed series; positive: a is earlier (Haufe et al. 2013)."""
    out = np.empty(len(a))
    for start in range(0, len(a), _BLOCK):
        some = slice(start, start + _BLOCK)
        forward = log_ratios(a[some], p[some], lags)
        backward = log_ratios(a[some, ::-1], p[some, ::-1], lags)
        out[some] = (forward[0] - forward[1]) - (backward[0] - backward[1])
    return out
