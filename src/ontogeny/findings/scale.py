"""Scale: how the profile over regions shifts as the representational scale grows (arXiv 2507.01966: width 28 to 68).

The scale is a kernel's width ("cka-rbf-36-debiased-z", the study's "cka_36") or a number of neighbours
("mutual-knn-20-inner"). A profile is z-scored over all region x subject rows of a metric, as the study's
`normalized_score`; the shift of a region is its z at the larger scale minus that at the smaller. Three forms of the
contrast between associative and sensory areas are kept apart, and a shift is claimed only where all three have it:

    z           the study's
    ranks       normal scores of the ranks: unchanged where only the distribution's shape differs between scales
    corrected   z over the root of the agreement between subjects at each scale: unchanged where only noise differs
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny._display import number
from ontogeny.errors import DataError
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._region_profiles import agreement, correlation, direction
from ontogeny.findings.statistics.metric_scales import Grid, family_of, gather
from ontogeny.findings.statistics.subject_agreement import adjusted, mean_interval, over_subjects

__all__ = ["ASSOCIATIVE", "SENSORY", "scale"]

SENSORY = ("Visual", "Somatomotor")
ASSOCIATIVE = ("Default", "Frontoparietal", "Limbic")
Profiles = Float[np.ndarray, "subjects regions"]


def scale(
    cells: Cells,
    *,
    low: int | float = 28,
    high: int | float = 68,
    family: str | None = None,
    groups: Mapping[str, str] | None = None,
    poles: tuple[Sequence[str], Sequence[str]] = (SENSORY, ASSOCIATIVE),
    raw: bool = False,
    source: str = "cells",
) -> Finding:
    """Shift of the regional profile from one scale to another, by region and network, and from sensory to associative.

    Args:
        cells: of one modality and pooling, a model at one step; models and layers are averaged, and have to be the
            same at both scales.
        low: the scale that the profile is seen from.
        high: the scale that it moves to.
        family: which metrics, as `scale_of` says; None: the only one with both scales, and an unbiased one of several.
        groups: region -> network; regions that it does not name are left out. None: each region by itself.
        poles: names of sensory and of associative networks.
        raw: values as they are, where chance is not known; the finding says so.
        source: of which data.

    Raises:
        DataError: no family with both scales, or several; several modalities, steps or poolings; other layers at one
            scale than at the other; fewer than 4 regions; chance is not known and `raw` is not said.
    """
    low, high = float(low), float(high)
    grid = gather(cells, low, high, family_of(cells, low, high, family), groups, raw)
    contrasts = _contrasts(grid, low, high, poles)
    shifts = _z(grid.profiles[high]) - _z(grid.profiles[low])
    kept = over_subjects(
        1 - correlation(grid.profiles[low], grid.profiles[high]),
        name=f"change of the profile, {low:g} to {high:g}",
        unit="1 - r",
        how="1 - Pearson r over regions between the two scales, in each subject",
    )
    networks = adjusted([_shift(name, shifts[:, places].mean(axis=1)) for name, places in grid.networks.items()])
    regions = adjusted([_shift(name, shifts[:, i]) for i, name in enumerate(grid.rois)])
    estimates = (*contrasts, kept, *networks)
    return Finding(
        question=f"As the representational scale grows from {low:g} to {high:g}, where does alignment move?",
        answer=_answer(contrasts, kept, low, high),
        headline=estimates[0],
        estimates=estimates,
        else_explains=_else_explains(grid, low, high, contrasts),
        cannot_tell=_cannot_tell(grid),
        details={
            "networks": tuple(_row(e, "network", name) for e, name in zip(networks, grid.networks, strict=True)),
            "regions": _region_rows(grid, regions, shifts, low, high),
            "curve": _curve_rows(grid),
            "contrast": _contrast_rows(grid, poles),
        },
        source=f"{source}; {grid.family}, {grid.said}; {len(grid.subjects)} subjects, {len(grid.rois)} regions, "
        f"scales {', '.join(f'{s:g}' for s in grid.profiles)}",
    )


def _z(profiles: Profiles) -> Profiles:
    """Over all rows, one per region and subject, as the study has it."""
    spread = float(profiles.std(ddof=1))
    if spread == 0:
        raise DataError("all regions and subjects have the same value at a scale; there is no profile to shift")
    return np.asarray((profiles - profiles.mean()) / spread)


def _ranked(profiles: Profiles) -> Profiles:
    """Normal scores of the ranks over all rows (van der Waerden)."""
    ranks = stats.rankdata(profiles).reshape(profiles.shape)
    return np.asarray(stats.norm.ppf(ranks / (profiles.size + 1)))


def _contrast(grid: Grid, profiles: Profiles, poles: tuple[Sequence[str], Sequence[str]]) -> np.ndarray | None:
    """Mean of the associative less mean of the sensory areas, one per subject; None where a pole has no region."""
    places = [[i for name in pole for i in grid.networks.get(name, [])] for pole in poles]
    if not all(places):
        return None
    sensory, associative = (profiles[:, own].mean(axis=1) for own in places)
    return np.asarray(associative - sensory)


def _contrasts(grid: Grid, low: float, high: float, poles: tuple[Sequence[str], Sequence[str]]) -> list[Estimate]:
    """Shift of the contrast in its three forms; none where the poles are not among the networks."""
    agree = {s: float(agreement(grid.profiles[s])) for s in (low, high)}
    forms = {
        "z": (_z, 1.0, 1.0, "z over all regions and subjects of a scale"),
        "ranks": (_ranked, 1.0, 1.0, "normal scores of the ranks over all regions and subjects of a scale"),
    }
    if min(agree.values()) > 0:
        how = "z over the root of the profiles' mean correlation between subjects at each scale"
        forms["corrected for noise"] = (_z, math.sqrt(agree[low]), math.sqrt(agree[high]), how)
    out = []
    for name, (form, at_low, at_high, how) in forms.items():
        before = _contrast(grid, form(grid.profiles[low]), poles)
        after = _contrast(grid, form(grid.profiles[high]), poles)
        if before is None or after is None:
            return []
        out.append(
            over_subjects(
                after / at_high - before / at_low,
                name=f"associative minus sensory areas, shift from {low:g} to {high:g}, {name}",
                unit="z" if name == "z" else f"z, {name}",
                how=f"{how}; mean of {', '.join(poles[1])} minus mean of {', '.join(poles[0])} at {high:g}, less "
                f"the same at {low:g}, in each subject",
            )
        )
    return out


def _shift(name: str, values: Float[np.ndarray, " subjects"]) -> Estimate:
    same = max(int((values > 0).sum()), int((values < 0).sum()))
    return over_subjects(
        values,
        name=name,
        unit="z",
        how=f"shift of z in each subject, mean over its regions; same sign in {same} of {len(values)}",
    )


def _answer(contrasts: Sequence[Estimate], kept: Estimate, low: float, high: float) -> str:
    if not contrasts:
        return (
            f"The profile changes by {kept.text()} from {low:g} to {high:g}; no sensory and associative networks given."
        )
    signs = [direction(one) for one in contrasts]
    texts = "; ".join(f"{one.name.split(', ')[-1]}: {one.text()}" for one in contrasts)
    if contrasts[0].low is None:
        return f"From {low:g} to {high:g}, associative minus sensory areas ({texts}); one subject, no test."
    if abs(sum(signs)) == 3:
        where = "associative" if signs[0] > 0 else "sensory"
        return f"From {low:g} to {high:g} alignment moves to {where} areas ({texts})."
    if signs[0] and len(contrasts) < 3:
        return (
            f"From {low:g} to {high:g} z moves, but subjects' profiles do not agree at one of the scales, so "
            f"that noise cannot be told from a shift ({texts})."
        )
    if signs[0]:
        lost = ", ".join(one.name.split(", ")[-1] for one, s in zip(contrasts, signs, strict=True) if s != signs[0])
        return (
            f"From {low:g} to {high:g} z moves, but not in the form {lost}: a change of the distribution's shape or of "
            f"noise would do it ({texts})."
        )
    return f"From {low:g} to {high:g} no shift between sensory and associative areas is shown ({texts})."


def _else_explains(grid: Grid, low: float, high: float, contrasts: Sequence[Estimate]) -> tuple[str, ...]:
    mean = [number(float(grid.profiles[s].mean()), ".3g") for s in (low, high)]
    if "cka" in grid.family:
        out = [
            "Narrow kernels: exp(-d^2 / (2 width^2)) of z-scored voxels is about exp(-voxels / width^2) off the "
            "diagonal, so a large region's kernel is nearly the identity there, and biased CKA of two such kernels is "
            f"high with no alignment. Mean value at {low:g} and {high:g}: {mean[0]} and {mean[1]}.",
            "Chance of biased CKA is the root of both kernels' participation ratios over n - 1, hence moves with the "
            "number and the noise of a region's voxels, by another amount at each scale; values above chance are free "
            "of it.",
        ]
    else:
        out = [
            f"Neighbourhoods of more stimuli are easier to share: mean value at {low:g} and {high:g}: {mean[0]} and "
            f"{mean[1]}; chance is k / (n - 1) for every region, but hubs of noisy responses are shared as well."
        ]
    if len(grid.subjects) > 1:
        agree = [number(float(agreement(grid.profiles[s]))) for s in (low, high)]
        out.append(
            f"Noise: agreement between subjects (mean r) is {agree[0]} at {low:g} and {agree[1]} at {high:g}; a "
            "noisier profile has smaller z everywhere, which the form corrected for noise takes out."
        )
    if contrasts:
        out.append(
            "The distribution's shape: a few regions that stand out take the z of all others along; ranks do not see "
            "it."
        )
    return tuple(out)


def _cannot_tell(grid: Grid) -> tuple[str, ...]:
    out = []
    if grid.said == CHANCE_LEFT_IN:
        out.append(
            "How much of the shift is a shift of chance: its level is not known here, and it differs by region and "
            "scale. The debiased form answers this."
        )
    n = len(grid.subjects)
    if n == 1:
        out.append("Whether any of it is more than this one subject.")
    elif n < 6:
        out.append(f"{n} subjects: the least p of an exact sign flip is {2.0 ** (1 - n):.3g}, q as much or more.")
    out.append("Whether other models would show it: intervals are over subjects, who all see the same models.")
    return tuple(out)


def _row(estimate: Estimate, column: str, name: str) -> dict[str, Any]:
    numbers = {key: getattr(estimate, key) for key in ("low", "high", "p", "q")}
    return {column: name, "shift": estimate.value, **numbers, "subjects": estimate.n}


def _region_rows(
    grid: Grid, regions: Sequence[Estimate], shifts: Profiles, low: float, high: float
) -> tuple[dict[str, Any], ...]:
    network = {place: name for name, places in grid.networks.items() for place in places}
    at = {s: _z(grid.profiles[s]).mean(axis=0) for s in (low, high)}
    same = np.maximum((shifts > 0).sum(axis=0), (shifts < 0).sum(axis=0))
    return tuple(
        {
            **_row(one, "region", grid.rois[i]),
            "network": network[i],
            "same_sign": int(same[i]),
            "z_low": float(at[low][i]),
            "z_high": float(at[high][i]),
        }
        for i, one in enumerate(regions)
    )


def _curve_rows(grid: Grid) -> tuple[dict[str, Any], ...]:
    out = []
    for s, profiles in grid.profiles.items():
        z = _z(profiles)
        for network, places in grid.networks.items():
            mean, lower, upper = mean_interval(z[:, places].mean(axis=1))
            row = {"scale": s, "network": network, "z": mean, "low": lower, "high": upper}
            out.append({**row, "mean": float(profiles[:, places].mean()), "said": grid.said})
    return tuple(out)


def _contrast_rows(grid: Grid, poles: tuple[Sequence[str], Sequence[str]]) -> tuple[dict[str, Any], ...]:
    out = []
    for s, profiles in grid.profiles.items():
        for form, of in (("z", _z), ("ranks", _ranked)):
            found = _contrast(grid, of(profiles), poles)
            for subject, value in zip(grid.subjects, [] if found is None else found.tolist(), strict=found is not None):
                out.append({"scale": s, "form": form, "subject": subject, "contrast": value})
    return tuple(out)
