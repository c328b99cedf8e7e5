"""What Granger's test and re-pairing say, and the shares of simulated cases that are given beside tests."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DirectedTest", "Granger", "Rate", "Repairing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of simulated cases, with its exact (Clopper-Pearson) 95 % interval.

    Args:
        value: the share.
        low: lower end.
        high: upper end.
        n: cases.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectedTest:
    """One Granger test, one direction.

    Args:
        f: F of leaving out the other series' past, on the series as given.
        p: of F with (`df_num`, `df_denom`) degrees of freedom.
        df_num: lags.
        df_denom: checkpoints - 3 * lags - 1.
        f_detrended: the same F on the detrended series.
        p_flip: share of conjugate-flip surrogates whose detrended F is as large: its p under "no lead".
        placebo: how often `p` falls under .05 in replicates of these very series without a lead; None where not asked.
    """

    f: float
    p: float
    df_num: int
    df_denom: int
    f_detrended: float
    p_flip: float
    placebo: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granger:
    """Granger's test as people know it, in both directions.

    Args:
        alignment_to_performance: does past alignment help to predict performance?
        performance_to_alignment: and the other way round.
        lags: how many.
        null: what the test really tests.
    """

    alignment_to_performance: DirectedTest
    performance_to_alignment: DirectedTest
    lags: int
    null: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairing:
    """Placebo of the fluctuation lead: alignment of one run with performance of another.

    Whatever all runs share (data order, learning-rate steps) stays in it; it says nothing about the trend lead.

    Args:
        observed: mean antisymmetric correlation of the true pairs.
        pairings: how many other pairings were tried.
        share_above: of them that are as large.
        share_below: of them that are as small.
    """

    observed: float
    pairings: int
    share_above: float
    share_below: float
