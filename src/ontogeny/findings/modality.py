"""Does one modality align more than another? Paired by subject and region, with chance removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny.errors import DataError
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells, is_biased
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._score_array import Cube, jackknifed, picked, shared_cubes
from ontogeny.findings.statistics.subject_agreement import adjusted, over_subjects

__all__ = ["modality_difference"]

_LEVEL = 0.05


def modality_difference(
    cells: Cells,
    *,
    modalities: tuple[str, str] = ("text", "image"),
    raw: bool = False,
    pair_benchmarks: bool = False,
    source: str = "",
) -> Finding:
    """First modality minus second, by subject and region, of models that read either.

    A model's value of a subject and region is that of the layer which is best for the other subjects (of one subject:
    the mean over layers), less its chance level; then the mean over the modality's models. Intervals over subjects take
    in how layers were chosen.

    Args:
        cells: of models of both modalities, one metric, one benchmark, one step and pooling a model; not two subjects,
            unless with one layer a model.
        modalities: which is compared with which.
        raw: values as they are, where chance is not known; the finding says so.
        pair_benchmarks: the benchmarks differ by name only, in what the models read: the same subjects' same responses
            to the same stimuli, as text and as images. Said by the user, checked by names of subjects and regions only.
        source: of which data.

    Returns:
        Details: "regions", a row per region; "subjects"; "models".

    Raises:
        DataError: the two can not be compared; says why.
    """
    both = cells.where(modality=list(modalities))
    _refuse_unlike(both, modalities, pair_benchmarks)
    sides = [both.where(modality=name) for name in modalities]
    each = [side.where(model=model) for side in sides for model in side.names("model")]
    cubes = shared_cubes(each, raw=raw)
    first = len(sides[0].names("model"))
    return _finding(both, modalities, source or ", ".join(both.names("benchmark")), (cubes[:first], cubes[first:]))


def _refuse_unlike(cells: Cells, modalities: tuple[str, str], pair_benchmarks: bool) -> None:
    """Refuse cells of two modalities that cannot be paired.

    Raises:
        DataError: see `modality_difference`.
    """
    if len(set(modalities)) != 2:
        raise DataError(f"two modalities are compared, got {modalities}")
    for model in cells.names("model"):
        steps = cells.where(model=model).names("step")
        if len(steps) > 1:
            raise DataError(f"{model!r} has {len(steps)} steps; choose one per model, e.g. its last")
    sides = {name: cells.where(modality=name) for name in modalities}
    _same("metric", sides, anyway=False, hint="choose with Cells.where(metric=...)")
    said = "choose with Cells.where(benchmark=...), or say that two are the same responses to the same stimuli"
    _same("benchmark", sides, anyway=pair_benchmarks, hint=f"{said} (pair_benchmarks)")


def _same(column: str, sides: Mapping[str, Cells], *, anyway: bool, hint: str) -> None:
    have = {name: side.names(column) for name, side in sides.items()}
    names = {tuple(own) for own in have.values()}
    if any(len(own) != 1 for own in names) or (len(names) > 1 and not anyway):
        raise DataError(f"both modalities need the same one {column}, got {have}; {hint}")


def _finding(
    cells: Cells, modalities: tuple[str, str], source: str, cubes: tuple[Sequence[Cube], Sequence[Cube]]
) -> Finding:
    one, raw = cubes[0][0], cubes[0][0].said == CHANCE_LEFT_IN
    grids = [np.stack([picked(cube.values) for cube in side]) for side in cubes]
    models = [cells.where(modality=name).names("model") for name in modalities]
    sides = _sides(*cubes)
    by_subject = sides.own[0].mean(axis=1), sides.own[1].mean(axis=1)
    regions = _regions(modalities, one.rois, sides)
    main = over_subjects(
        (sides.steady[0] - sides.steady[1]).mean(axis=1),
        name=f"{modalities[0]} minus {modalities[1]}",
        unit=one.unit,
        how="mean over regions of each subject's paired difference",
    )
    each = tuple(
        over_subjects(steady.mean(axis=1), name=name, unit=one.unit, how="mean over regions and models", tested=False)
        for name, steady in zip(modalities, sides.steady[:2], strict=True)
    )
    return Finding(
        question=f"Does {modalities[0]} align more than {modalities[1]}?",
        answer=_answer(modalities, raw, main, by_subject[0] - by_subject[1], regions),
        headline=main,
        estimates=(
            *(main, *each, *_shares(modalities, sides.steady[2], regions)),
            *_over_models(modalities, one.unit, [grid.mean(axis=(1, 2)) for grid in grids]),
        ),
        else_explains=_else_explains(one.metric, raw, cells.names("benchmark")),
        cannot_tell=_cannot_tell(modalities, len(one.subjects), models, len(one.left_out)),
        details={
            "regions": tuple(regions),
            "subjects": tuple(
                {"subject": subject, modalities[0]: float(a), modalities[1]: float(b), "difference": float(a - b)}
                for subject, a, b in zip(one.subjects, *by_subject, strict=True)
            ),
            "models": tuple(
                {"model": name, "modality": m, "value": float(grid[i].mean())}
                for m, names, grid in zip(modalities, models, grids, strict=True)
                for i, name in enumerate(names)
            ),
        },
        source=source,
    )


class _Sides(NamedTuple):
    """Means over models of either modality, subjects x ROIs.

    own: of the picked layers. steady: for intervals, see `jackknifed`; third, whether the first is above the second.
    """

    own: tuple[np.ndarray, ...]
    steady: tuple[np.ndarray, ...]


def _sides(first: Sequence[Cube], second: Sequence[Cube]) -> _Sides:
    def of(*values: np.ndarray) -> np.ndarray:
        both = values[: len(first)], values[len(first) :]
        a, b = (np.mean([picked(one) for one in side], axis=0) for side in both)
        return np.stack([a, b, a > b], axis=1)

    values = [cube.values for cube in (*first, *second)]
    own, steady = of(*values), jackknifed(of, *values)
    return _Sides(own=(own[:, 0], own[:, 1]), steady=(steady[:, 0], steady[:, 1], steady[:, 2]))


def _subjects(n: int) -> str:
    return "subject" if n == 1 else "subjects"


def _shares(
    modalities: tuple[str, str], above: Float[np.ndarray, "subjects rois"], regions: Sequence[Mapping[str, Any]]
) -> tuple[Estimate, ...]:
    n, subjects = len(regions), len(above)
    name = f"regions where {modalities[0]} is above {modalities[1]}"
    how = "share of each subject's regions; over subjects, since regions of one brain are no sample"
    share = over_subjects(above.mean(axis=1), name=name, unit=f"share of {n} regions", how=how, tested=False)
    low, high = (None if end is None else float(np.clip(end, 0, 1)) for end in (share.low, share.high))
    out = [replace(share, low=low, high=high)]
    clear = [row for row in regions if row["q"] is not None and row["q"] < _LEVEL]
    for what, count in (
        (f"{name} in every subject", sum(row["subjects_above"] == subjects for row in regions)),
        (f"{name} at q < .05", sum(row["difference"] > 0 for row in clear)),
        (f"regions where {modalities[0]} is below {modalities[1]} at q < .05", sum(r["difference"] < 0 for r in clear)),
    ):
        how = "Count; t test of each region over subjects, false discovery rate over regions"
        out.append(Estimate(name=what, value=count / n, unit="share", n=n, of="regions", how=how))
    return tuple(out)


def _regions(modalities: tuple[str, str], rois: Sequence[str], sides: _Sides) -> list[dict[str, Any]]:
    difference = sides.steady[0] - sides.steady[1]
    each = adjusted([_tested(roi, difference[:, place]) for place, roi in enumerate(rois)])
    return [
        {
            "roi": one.name,
            **{name: float(own[:, place].mean()) for name, own in zip(modalities, sides.own, strict=True)},
            "difference": one.value,
            **{name: getattr(one, name) for name in ("low", "high", "p", "q")},
            "subjects_above": int((sides.own[0] > sides.own[1])[:, place].sum()),
        }
        for place, one in enumerate(each)
    ]


def _tested(roi: str, values: Float[np.ndarray, " subjects"]) -> Estimate:
    """A t test, since flips of few signs cannot stand an adjustment for many regions."""
    found = over_subjects(values, name=roi, unit="", how="difference of each subject", tested=False)
    varies = len(values) > 1 and np.ptp(values) > 1e-12 * np.abs(values).max()
    return replace(found, p=float(stats.ttest_1samp(values, 0.0).pvalue)) if varies else found


def _over_models(modalities: tuple[str, str], unit: str, values: Sequence[np.ndarray]) -> tuple[Estimate, ...]:
    """The same with models, not subjects, as the sample; where each modality has two or more."""
    if min(len(side) for side in values) < 2 or not any(side.std() > 0 for side in values):
        return ()
    found = stats.ttest_ind(*values, equal_var=False)
    low, high = found.confidence_interval(0.95)
    return (
        Estimate(
            name=f"{modalities[0]} minus {modalities[1]}, over models",
            value=float(values[0].mean() - values[1].mean()),
            unit=unit,
            low=float(low),
            high=float(high),
            p=float(found.pvalue),
            n=sum(len(side) for side in values),
            of="models",
            how="Welch's t of the models' means over subjects and regions; models as if independent",
        ),
    )


def _answer(
    modalities: tuple[str, str],
    raw: bool,
    main: Estimate,
    by_subject: np.ndarray,
    regions: Sequence[Mapping[str, Any]],
) -> str:
    first, second = modalities
    higher = sum(row["difference"] > 0 for row in regions)
    count = f"{higher} of {len(regions)} regions, {int((by_subject > 0).sum())} of {len(by_subject)} subjects"
    if main.low is None or main.high is None:
        said = f"In one subject {first} is {'above' if main.value > 0 else 'below'} {second}; others may differ"
    elif main.low > 0:
        said = f"{first} aligns more than {second}"
    elif main.high < 0:
        said = f"{first} aligns less than {second}"
    else:
        said = f"No difference between {first} and {second} is shown"
    unknown = ". Chance is not known and is left in: a difference of chance levels would look the same" if raw else ""
    return f"{said[0].upper()}{said[1:]}: {main.text()}; {first} is above in {count}{unknown}."


def _else_explains(metric: str, raw: bool, benchmarks: Sequence[str]) -> tuple[str, ...]:
    out = []
    if raw:
        why = "which rises with the features' effective dimension" if is_biased(metric) else "which these data lack"
        out.append(f"Chance: {metric} has a chance level, {why}; models of two modalities differ in it.")
    out.append("Size: models of two modalities differ in parameters, width and training data, not in modality alone.")
    out.append("Features: the layer, the pooling and the token that is read differ between modalities.")
    out.append("Stimuli: a caption tells what its writer found worth telling, a picture does not.")
    if len(benchmarks) > 1:
        out.append(f"Benchmarks: {' and '.join(benchmarks)} were taken for the same responses, as was said.")
    return tuple(out)


def _cannot_tell(
    modalities: tuple[str, str], subjects: int, models: Sequence[Sequence[str]], dropped: int
) -> tuple[str, ...]:
    out = []
    if subjects < 6:
        least = f"p can not be below {2.0 ** (1 - subjects):.3g}" if subjects > 1 else "there is no test"
        out.append(f"With {subjects} {_subjects(subjects)} {least}; the interval rests on normality.")
    for name, own in zip(modalities, models, strict=True):
        if len(own) == 1:
            out.append(f"{name} is one row of models ({own[0]}): this says nothing about other models of {name}.")
    if dropped:
        out.append(f"{dropped} regions without a value of every subject and model are left out.")
    return tuple(out)
