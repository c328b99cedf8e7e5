"""Regions: which ROIs a model resembles most, how sure the order is, and whether subjects agree on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ontogeny._display import number
from ontogeny.errors import DataError, nearest
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells, is_biased
from ontogeny.findings.data.region_orders import places
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._score_array import Cube, cube, jackknifed, picked
from ontogeny.findings.statistics.subject_agreement import over_subjects

__all__ = ["contrast", "gradient", "kendall_w", "regions"]

_CHUNK = 1_000_000
_ELSE = (
    "Regions differ in noise: a region with more signal aligns more with every model. Divide by each region's noise "
    "ceiling before calling an order a property of the model.",
    "Regions differ in size: the mean over more voxels is steadier, and metrics of geometry depend on their number.",
    "What the stimuli's own surface (pixels, length) drives is high in sensory regions for any model; compare with a "
    "baseline and with the untrained model.",
)
_BIASED = (
    "Biased CKA rises with the effective dimension of a region's responses without any alignment, and its chance level "
    "is not known here: the order may be one of dimensions."
)

Values = Float[np.ndarray, "subjects rois"]
_ALPHA = 0.05


def regions(cells: Cells, *, layer: str | None = None, raw: bool = False, draws: int = 9999, seed: int = 0) -> Finding:
    """Order of ROIs by alignment, with intervals over subjects, and whether subjects agree on it.

    A ROI's alignment is the mean over subjects of the layer that is best in the other subjects (or of a named layer),
    above chance. Agreement: Kendall's W, p by permuting each subject's ROIs. Rank intervals: a ROI is below those that
    beat it in a paired t test over subjects, Bonferroni over the other ROIs (marginal intervals of Mogstad et al. 2024,
    Rev Econ Stud 91:476).

    Args:
        cells: of one model, step, benchmark, pooling and metric; three subjects or more, two with one layer.
        layer: its name; None: best on others.
        raw: values as they are, where chance is not known; the finding says so.
        draws: permutations.
        seed: of them.

    Raises:
        DataError: one subject, one ROI, several kinds of cells, or chance is not known and `raw` is not said.
    """
    made = _profile(cells, layer, raw)
    if len(made.rois) < 2:
        raise DataError(f"an order needs two ROIs or more that all subjects have, got {list(made.rois)}")
    order = np.argsort(-picked(made.values).mean(axis=0), kind="stable")
    made = replace(made, values=made.values[:, order], rois=tuple(made.rois[i] for i in order))
    values = jackknifed(picked, made.values)
    rois = made.rois
    above = _told_apart(values)
    how, raw = _how(made, layer), made.said == CHANCE_LEFT_IN
    each = [over_subjects(values[:, i], name=roi, unit=made.unit, how=how) for i, roi in enumerate(rois)]
    agreement = _agreement(made.values, draws, seed)
    neighbours = int(np.diagonal(above, 1).sum())
    return Finding(
        question="Which regions does the model resemble most?",
        answer=_answer(rois, values, above, agreement),
        headline=agreement,
        estimates=(agreement, *each),
        else_explains=(*((_BIASED,) if raw and is_biased(made.metric) else ()), *_ELSE),
        cannot_tell=(
            f"The order within the {len(rois) - 1 - neighbours} pairs of neighbours that paired t tests over "
            f"{len(made.subjects)} subjects leave open.",
            *((f"How much of it is chance: the chance level of {made.metric} is not in these data.",) if raw else ()),
            *((f"{', '.join(made.left_out)}: not there for every subject and layer.",) if made.left_out else ()),
        ),
        details={"profile": _rows(made, each, above)},
        source=_source(cells, made),
    )


def contrast(
    cells: Cells,
    high: Sequence[str],
    low: Sequence[str],
    *,
    name: str = "",
    layer: str | None = None,
    raw: bool = False,
) -> Estimate:
    """Mean alignment of some ROIs less that of others, with a t interval and sign flips over subjects.

    Args:
        cells: see `regions`.
        high: ROIs expected to be higher; each weighs the same.
        low: ROIs that they are compared with.
        name: of the estimate; made of the ROIs where empty.
        layer: its name; None: best on others.
        raw: see `regions`.

    Raises:
        DataError: see `regions`; a ROI that is not there.
    """
    made = _profile(cells, layer, raw)
    for roi in (*high, *low):
        if roi not in made.rois:
            raise DataError(f"there is no ROI {roi!r} to contrast. {nearest(roi, made.rois)}")
    first, second = ([made.rois.index(roi) for roi in side] for side in (high, low))

    def difference(values: np.ndarray) -> np.ndarray:
        own = picked(values)
        return np.asarray(own[:, first].mean(axis=1) - own[:, second].mean(axis=1))

    unit = f"{made.metric}, difference"
    named = name or f"{', '.join(high)} less {', '.join(low)}"
    how = f"{_how(made, layer)}; difference within each subject"
    return over_subjects(jackknifed(difference, made.values), name=named, unit=unit, how=how)


def gradient(cells: Cells, order: str | Sequence[str], *, layer: str | None = None, raw: bool = False) -> Estimate:
    """Does alignment go one way along a hierarchy? Kendall's tau-b of alignment with place, per subject.

    Args:
        cells: see `regions`.
        order: a name of `ORDERS`, or ROIs from lowest to highest.
        layer: its name; None: best on others.
        raw: see `regions`.

    Raises:
        DataError: see `regions` and `places`.
    """
    made = _profile(cells, layer, raw)
    at = places(order, made.rois)
    chosen = [made.rois.index(roi) for roi in at]

    def taus(values: np.ndarray) -> np.ndarray:
        found = [stats.kendalltau(list(at.values()), row).statistic for row in picked(values)[:, chosen]]
        return np.nan_to_num(np.asarray(found, dtype=np.float64))

    found = over_subjects(
        jackknifed(taus, made.values),
        name="alignment along the hierarchy",
        unit="Kendall tau-b",
        how=f"{_how(made, layer)}; order {' < '.join(at)}; about these ROIs",
    )
    low, high = (None if end is None else float(np.clip(end, -1, 1)) for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def kendall_w(values: Values) -> float:
    """Kendall's coefficient of concordance, ties corrected: 1 where all subjects have one order, 1 / m by chance.

    W = 12 S / (m^2 (n^3 - n) - m T), S the squared deviations of rank sums, T = sum of t^3 - t over ties (Kendall &
    Gibbons 1990). 0 where no subject has any order.
    """
    m, n = values.shape
    ranks = stats.rankdata(values, axis=1)
    tied = sum(
        float((counts**3 - counts).sum()) for counts in (np.unique(row, return_counts=True)[1] for row in values)
    )
    most = m**2 * (n**3 - n) - m * tied
    return float(12 * np.square(ranks.sum(axis=0) - m * (n + 1) / 2).sum() / most) if most > 0 else 0.0


def _profile(cells: Cells, layer: str | None, raw: bool) -> Cube:
    made = cube(cells if layer is None else cells.where(layer=layer), raw=raw)
    if len(made.subjects) < 2:
        raise DataError(
            f"one subject ({made.subjects[0] or 'unnamed'}) says nothing on how regions differ over subjects; two or "
            "more are needed. Its own scores are in the record"
        )
    return made


def _rows(made: Cube, each: Sequence[Estimate], above: np.ndarray) -> tuple[dict[str, Any], ...]:
    low, high = 1 + above.sum(axis=0), len(each) - above.sum(axis=1)
    own = picked(made.values)
    return tuple(
        {
            "roi": e.name,
            "alignment": e.value,
            "low": e.low,
            "high": e.high,
            "p": e.p,
            "rank": i + 1,
            "rank_low": int(low[i]),
            "rank_high": int(high[i]),
            **{f"subject {s}": float(v) for s, v in zip(made.subjects, own[:, i], strict=True)},
        }
        for i, e in enumerate(each)
    )


def _told_apart(values: Values, level: float = 0.05) -> Bool[np.ndarray, "rois rois"]:
    """Which ROI (row) is above which (column): paired t tests over subjects, Bonferroni over a ROI's others."""
    m, n = values.shape
    differences = values[:, :, None] - values[:, None, :]
    mean, error = differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(m)
    wide = float(stats.t.isf(level / 2 / (n - 1), m - 1)) * error
    return np.asarray(mean > np.maximum(wide, 1e-12 * np.abs(values).max()))


def _agreement(values: Float[np.ndarray, "subjects rois layers"], draws: int, seed: int) -> Estimate:
    """Regions are permuted with all of their layers, and the layers chosen anew: choosing makes subjects agree."""
    m, n, _ = values.shape
    rng = np.random.default_rng(seed)
    observed = float(_agreeing(values))
    drawn: list[float] = []
    while len(drawn) < draws:
        size = min(draws - len(drawn), max(1, _CHUNK // values.size))
        orders = rng.permuted(np.broadcast_to(np.arange(n), (size, m, n)), axis=2)
        drawn += _agreeing(np.take_along_axis(values[None], orders[..., None], axis=2)).tolist()
    return Estimate(
        name="agreement of the order over subjects",
        value=kendall_w(picked(values)),
        unit="Kendall's W",
        p=float((1 + sum(one >= observed * (1 - 1e-12) for one in drawn)) / (1 + draws)),
        n=m,
        of="subjects",
        how=f"ties corrected; p that each subject has any order of the {n} regions, {draws} permutations within "
        f"subjects, layers chosen anew in each; no interval: there is no second sample of subjects.",
    )


def _agreeing(values: np.ndarray) -> np.ndarray:
    """Squared deviations of rank sums of the chosen layers' values (... x subjects x ROIs x layers): W but for ties."""
    m, n = values.shape[-3:-1]
    best = (values.sum(axis=-3, keepdims=True) - values).argmax(axis=-1)
    picked = np.take_along_axis(values, best[..., None], axis=-1)[..., 0]
    return np.asarray(np.square(stats.rankdata(picked, axis=-1).sum(axis=-2) - m * (n + 1) / 2).sum(axis=-1))


def _answer(rois: Sequence[str], values: Values, above: np.ndarray, agreement: Estimate) -> str:
    tied = [roi for roi, differs in zip(rois[1:], above[0, 1:], strict=True) if not differs]
    more = f" and {len(tied) - 6} more" if len(tied) > 6 else ""
    apart = int(np.diagonal(above, 1).sum())
    among = f"; not told apart from the first: {', '.join(tied[:6])}{more}" if tied else ""
    agree = "agree" if agreement.p is not None and agreement.p < _ALPHA else "do not agree"
    return (
        f"Highest in {rois[0]} ({number(values[:, 0].mean(), '.3g')}), "
        f"lowest in {rois[-1]} ({number(values[:, -1].mean(), '.3g')})"
        f"{among}. "
        f"Subjects {agree} on an order (Kendall's W = "
        f"{agreement.value:.2f}, p = {agreement.p:.2g}); {apart or 'no'} of {len(rois) - 1} neighbouring pairs differ."
    )


def _how(made: Cube, layer: str | None) -> str:
    which = f"layer {layer}" if layer is not None else "the layer that is best in the other subjects"
    if len(made.layers) == 1:
        which = f"layer {made.layers[0]}" if made.layers[0] else "the one value that the table has"
    chosen = " (its choice taken in by the jackknife)" if len(made.layers) > 1 else ""
    return f"value ({made.said}) of {which}{chosen}"


def _source(cells: Cells, made: Cube) -> str:
    step = f", step {cells.step[0]}" if cells.step[0] else ""
    size = f"{len(made.subjects)} subjects, {len(made.rois)} regions"
    return f"{cells.model[0]}{step}, {cells.benchmark[0]}: {size}; {made.said}"
