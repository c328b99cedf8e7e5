"""Whether two modalities' values over networks become alike with depth: profile, level and RMS, each with its tests.

A distance at every depth, a slope over depth a subject; its mean has a t interval over subjects and an exact sign
flip. That interval takes the depths' own irregularities, which all subjects share, for granted; so a trend is claimed
only if the mean curve's slope is also rare among all orders of its depths. The profile's distance is also corrected for
noise by the profiles' agreement between subjects (Spearman 1904), with the jackknife over subjects, and has to have its
trend then too: profiles that only become more reliable with depth correlate more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.findings.estimates import Estimate
from ontogeny.findings.statistics._rank_tests import reordered
from ontogeny.findings.statistics._region_profiles import agreement, agreement_across, correlation, direction
from ontogeny.findings.statistics.subject_agreement import adjusted, over_subjects

__all__ = ["FEWEST", "Convergence", "converging", "order_p", "slope"]

FEWEST = 4
_EXACT = 8
_DRAWS = 9999
_SIGNIFICANT = 0.05
_PROFILE, _LEVEL, _RMS = "profile", "level", "RMS"
_WORDS = {
    _PROFILE: ("the profiles over networks", "become more alike", "become less alike"),
    _LEVEL: ("the levels", "approach each other", "part"),
    _RMS: ("the values (RMS)", "approach each other", "part"),
}
Curves = Float[np.ndarray, "subjects networks bins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """What became of the distances between modalities.

    Args:
        networks: over which the profiles are.
        estimates: in the order of reading, the headline first.
        verdicts: distance -> -1 (falls with depth), 0 (no trend shown), 1 (rises).
        answer: one sentence.
        distances: distance -> subjects x bins.
        agreements: modality -> mean r between subjects at each bin.
    """

    networks: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    verdicts: Mapping[str, int]
    answer: str
    distances: Mapping[str, Float[np.ndarray, "subjects bins"]]
    agreements: Mapping[str, Float[np.ndarray, " bins"]]

    def details(
        self, subjects: Sequence[str], centres: Float[np.ndarray, " bins"]
    ) -> dict[str, tuple[dict[str, Any], ...]]:
        """Rows of the distances, agreements and verdicts."""
        return {
            "distances": tuple(
                {"distance": name, "subject": subject, "depth": float(place), "value": float(y[s, b])}
                for name, y in self.distances.items()
                for s, subject in enumerate(subjects)
                for b, place in enumerate(centres)
            ),
            "agreement": tuple(
                {"modality": modality, "depth": float(place), "value": float(r[b])}
                for modality, r in self.agreements.items()
                for b, place in enumerate(centres)
            ),
            "verdicts": tuple({"distance": name, "trend": trend} for name, trend in self.verdicts.items()),
        }


def converging(
    text: Curves, image: Curves, centres: Float[np.ndarray, " bins"], networks: tuple[str, ...], *, unit: str
) -> Convergence:
    """Distances between the two at every depth, and their trends.

    Args:
        text: language, in `unit`.
        image: vision, the same subjects, networks and bins.
        centres: relative depth of the bins.
        networks: names.
        unit: of the values.
    """
    gap = text.mean(axis=1) - image.mean(axis=1)
    distances = {_LEVEL: np.abs(gap), _RMS: np.sqrt(((text - image) ** 2).mean(axis=1))}
    if len(networks) >= FEWEST:
        r = correlation(np.moveaxis(text, 2, 1), np.moveaxis(image, 2, 1))
        distances = {_PROFILE: 1 - r, **distances}
    agreements = {m: agreement(np.moveaxis(c, 2, 1)) for m, c in (("text", text), ("image", image))}
    trends: dict[str, tuple[Estimate, Estimate]] = {
        name: _trend(name, y, centres, "1 - r" if name == _PROFILE else unit) for name, y in distances.items()
    }
    corrected = _corrected(text, image, centres) if _PROFILE in trends else None
    verdicts = {name: _verdict(*pair, corrected if name == _PROFILE else None) for name, pair in trends.items()}
    estimates = [one for pair in trends.values() for one in pair]
    if corrected is not None:
        estimates.insert(2, corrected)
    gaps = np.abs(text - image)
    by_network = [_network(name, slope(gaps[:, i], centres), unit) for i, name in enumerate(networks)]
    return Convergence(
        networks=networks,
        estimates=(*estimates, *adjusted(by_network)),
        verdicts=verdicts,
        answer=_answer(trends, verdicts, corrected),
        distances=distances,
        agreements=agreements,
    )


def slope(y: Float[np.ndarray, "*more bins"], x: Float[np.ndarray, " bins"]) -> Float[np.ndarray, "*more"]:
    """Least squares slope over the last axis, in units of y per unit of x."""
    centred = x - x.mean()
    return np.asarray(y @ centred / (centred @ centred))


def order_p(y: Float[np.ndarray, " bins"], x: Float[np.ndarray, " bins"]) -> float:
    """Two-sided p of the slope among all orders of its values (9999 random ones beyond 8)."""
    slopes = np.abs(slope(y[reordered(len(y), _DRAWS, 0, exact=_EXACT)], x))
    return float(np.mean(slopes >= slopes[0] * (1 - 1e-12)))


def _trend(
    name: str, y: Float[np.ndarray, "subjects bins"], centres: Float[np.ndarray, " bins"], unit: str
) -> tuple[Estimate, Estimate]:
    """Slope over subjects, and the mean curve's slope among all orders of its depths."""
    what = {_PROFILE: "1 - Pearson r over networks", _LEVEL: "|difference of the means over networks|"}.get(
        name, "root mean square difference over networks"
    )
    one = over_subjects(
        slope(y, centres),
        name=f"{name} distance over depth",
        unit=f"{unit} per depth",
        how=f"{what} of language and vision, its least squares slope against relative depth (0 to 1) in each subject",
    )
    shuffled = Estimate(
        name=f"{name} distance, depths shuffled",
        value=one.value,
        unit=one.unit,
        p=order_p(y.mean(axis=0), centres),
        n=len(centres),
        of="depths",
        how="slope of the mean over subjects; p: its place among all orders of the depths, the same for all subjects",
    )
    return one, shuffled


def _verdict(over: Estimate, shuffled: Estimate, corrected: Estimate | None = None) -> int:
    """The trend's sign where all that was computed has it, else 0."""
    signs = {direction(over), direction(over if corrected is None else corrected)}
    rare = shuffled.p is not None and shuffled.p < _SIGNIFICANT
    return signs.pop() if len(signs) == 1 and rare else 0


def _network(name: str, slopes: Float[np.ndarray, " subjects"], unit: str) -> Estimate:
    return over_subjects(
        slopes,
        name=f"language less vision, size over depth, {name}",
        unit=f"{unit} per depth",
        how="|language - vision| of the network, its least squares slope against relative depth in each subject; q "
        "over networks",
    )


def _corrected(text: Curves, image: Curves, centres: Float[np.ndarray, " bins"]) -> Estimate | None:
    """Slope of the profile distance once noise is taken out; None where profiles do not agree between subjects."""
    n = len(text)
    if n < 3:
        return None
    everyone = _clean_slope(text, image, centres)
    left_out = [_clean_slope(np.delete(text, s, axis=0), np.delete(image, s, axis=0), centres) for s in range(n)]
    pseudo = n * everyone - (n - 1) * np.asarray(left_out)
    if not np.isfinite(pseudo).all():
        return None
    return over_subjects(
        pseudo,
        name="profile distance over depth, corrected for noise",
        unit="1 - r per depth",
        how="r between language of one and vision of another subject over the root of both modalities' agreement "
        "between subjects, its slope over depth; jackknife over subjects",
    )


def _clean_slope(text: Curves, image: Curves, centres: Float[np.ndarray, " bins"]) -> float:
    a, b = (np.moveaxis(c, 2, 1) for c in (text, image))
    own = agreement(a), agreement(b)
    if not (np.minimum(*own) > 0).all():
        return math.nan
    return float(slope(1 - agreement_across(a, b) / np.sqrt(own[0] * own[1]), centres))


def _answer(
    trends: Mapping[str, tuple[Estimate, Estimate]], verdicts: Mapping[str, int], corrected: Estimate | None
) -> str:
    said = []
    for name, (over, shuffled) in trends.items():
        what, falls, rises = _WORDS[name]
        does = {-1: falls, 1: rises, 0: "show no trend"}[verdicts[name]]
        order = "" if shuffled.p is None else f"; shuffled depths p = {shuffled.p:.2g}"
        noise = f"; corrected for noise {corrected.text()}" if name == _PROFILE and corrected is not None else ""
        said.append(f"{what} {does} with depth ({over.text()}{order}{noise})")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."
