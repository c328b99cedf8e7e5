"""Does one modality align more than another? Paired by subject and region, with chance removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny.errors import DataError
from ontogeny.findings.cells import Cells, is_biased
from ontogeny.findings.chosen_layer import at_chosen_layer
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.modality_pairs import checked_pairs, compared_values
from ontogeny.findings.subjects import fdr, mean_interval, sign_flip_p

__all__ = ["CHANCE_LEFT_IN", "modality_difference"]

Grid = Float[np.ndarray, "models subjects rois"]
_LEVEL = 0.05
CHANCE_LEFT_IN = " (chance left in)"
"""How the unit of a finding ends whose chance is not known."""


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
    the mean over layers), less its chance level; then the mean over the modality's models.

    Args:
        cells: of models of both modalities, one metric, one benchmark, one step a model.
        modalities: which is compared with which.
        raw: leave chance in; allowed only where it is not known, and the finding says so.
        pair_benchmarks: the benchmarks differ by name only, in what the models read: the same subjects' same responses
            to the same stimuli, as text and as images. Said by the user, checked by names of subjects and regions only.
        source: of which data.

    Returns:
        Details: "regions", a row a region; "subjects"; "models".

    Raises:
        DataError: the two can not be compared; says why.
    """
    both = cells.where(modality=list(modalities))
    sides = checked_pairs(both, modalities, pair_benchmarks)
    values = compared_values(both, raw)
    grids, models = [], []
    for name in modalities:
        rows = both.modality == name
        names, grid = at_chosen_layer(both.only(rows), values[rows], subjects=sides[0], rois=sides[1])
        grids.append(grid)
        models.append(names)
    known = np.isfinite(np.concatenate(grids)).all(axis=(0, 1))
    if not known.any():
        raise DataError("no region has a value of every subject and model of both modalities; nothing can be paired")
    rois = [roi for roi, kept in zip(sides[1], known, strict=True) if kept]
    grids = [grid[:, :, known] for grid in grids]
    return _finding(both, (modalities, raw, source, len(known) - len(rois)), sides[0], rois, (grids, models))


def _finding(
    cells: Cells,
    asked: tuple[tuple[str, str], bool, str, int],
    subjects: Sequence[str],
    rois: Sequence[str],
    found: tuple[list[Grid], list[list[str]]],
) -> Finding:
    modalities, raw, source, dropped = asked
    grids, models = found
    means = [grid.mean(axis=0) for grid in grids]
    metric = cells.names("metric")[0]
    unit = f"{metric}{CHANCE_LEFT_IN if raw else ' above chance'}"
    by_subject = means[0].mean(axis=1) - means[1].mean(axis=1)
    regions = _regions(modalities, rois, means)
    main = _headline(modalities, unit, by_subject)
    sides = tuple(_side(name, unit, mean) for name, mean in zip(modalities, means, strict=True))
    over = _over_models(modalities, unit, [grid.mean(axis=(1, 2)) for grid in grids])
    return Finding(
        question=f"Does {modalities[0]} align more than {modalities[1]}?",
        answer=_answer(modalities, raw, main, by_subject, regions),
        headline=main,
        estimates=(main, *sides, *_shares(modalities, means, regions), *over),
        else_explains=_else_explains(metric, raw, cells.names("benchmark")),
        cannot_tell=_cannot_tell(modalities, len(subjects), models, dropped),
        details={
            "regions": tuple(regions),
            "subjects": _subject_rows(modalities, subjects, means),
            "models": tuple(
                {"model": name, "modality": m, "value": float(grid[i].mean())}
                for m, names, grid in zip(modalities, models, grids, strict=True)
                for i, name in enumerate(names)
            ),
        },
        source=source or ", ".join(cells.names("benchmark")),
    )


def _subject_rows(
    modalities: tuple[str, str], subjects: Sequence[str], means: Sequence[np.ndarray]
) -> tuple[dict[str, Any], ...]:
    first, second = (mean.mean(axis=1).tolist() for mean in means)
    return tuple(
        {"subject": subject, modalities[0]: a, modalities[1]: b, "difference": a - b}
        for subject, a, b in zip(subjects, first, second, strict=True)
    )


def _subjects(n: int) -> str:
    return "subject" if n == 1 else "subjects"


def _ends(values: np.ndarray) -> tuple[float, float | None, float | None]:
    mean, low, high = mean_interval(values)
    return mean, *((None, None) if len(values) < 2 else (low, high))


def _headline(modalities: tuple[str, str], unit: str, by_subject: np.ndarray) -> Estimate:
    mean, low, high = _ends(by_subject)
    n = len(by_subject)
    flips = "p by flips of the subjects' signs" + (f", never below {2.0 ** (1 - n):.3g}" if n < 7 else "")
    return Estimate(
        name=f"{modalities[0]} minus {modalities[1]}",
        value=mean,
        unit=unit,
        low=low,
        high=high,
        p=sign_flip_p(by_subject) if n > 1 else None,
        n=n,
        of=_subjects(n),
        how=f"Mean over regions of each subject's paired difference; t interval over subjects; {flips}",
    )


def _side(name: str, unit: str, mean: np.ndarray) -> Estimate:
    value, low, high = _ends(mean.mean(axis=1))
    how = "Mean over regions and models of each subject; t interval over subjects"
    return Estimate(
        name=name, value=value, unit=unit, low=low, high=high, n=len(mean), of=_subjects(len(mean)), how=how
    )


def _shares(
    modalities: tuple[str, str], means: Sequence[np.ndarray], regions: Sequence[Mapping[str, Any]]
) -> tuple[Estimate, ...]:
    higher = (means[0] > means[1]).mean(axis=1)
    value, low, high = _ends(higher)
    n, subjects = len(regions), len(higher)
    above = f"regions where {modalities[0]} is above {modalities[1]}"
    out = [
        Estimate(
            name=above,
            value=value,
            unit=f"share of {n} regions",
            low=low if low is None else max(0.0, low),
            high=high if high is None else min(1.0, high),
            n=subjects,
            of=_subjects(subjects),
            how="Share of each subject's regions; t interval over subjects, since regions of one brain are no sample",
        )
    ]
    clear = [row for row in regions if row["q"] is not None and row["q"] < _LEVEL]
    for name, count in (
        (f"{above} in every subject", sum(row["subjects_above"] == subjects for row in regions)),
        (f"{above} at q < .05", sum(row["difference"] > 0 for row in clear)),
        (f"regions where {modalities[0]} is below {modalities[1]} at q < .05", sum(r["difference"] < 0 for r in clear)),
    ):
        how = "Count; t test of each region over subjects, false discovery rate over regions"
        out.append(Estimate(name=name, value=count / n, unit="share", n=n, of="regions", how=how))
    return tuple(out)


def _regions(
    modalities: tuple[str, str], rois: Sequence[str], means: Sequence[Float[np.ndarray, "subjects rois"]]
) -> list[dict[str, Any]]:
    difference = means[0] - means[1]
    rows: list[dict[str, Any]] = []
    for place, roi in enumerate(rois):
        own = difference[:, place]
        mean, low, high = _ends(own)
        varies = len(own) > 1 and own.std() > 0
        rows.append(
            {
                "roi": roi,
                modalities[0]: float(means[0][:, place].mean()),
                modalities[1]: float(means[1][:, place].mean()),
                "difference": mean,
                "low": low,
                "high": high,
                "p": float(stats.ttest_1samp(own, 0.0).pvalue) if varies else None,
                "q": None,
                "subjects_above": int((own > 0).sum()),
            }
        )
    tested = [row for row in rows if row["p"] is not None]
    for row, q in zip(tested, fdr([row["p"] for row in tested]), strict=True):
        row["q"] = q
    return rows


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
            out.append(f"{name} is one row of models ({own[0]}): nothing is told of other models of {name}.")
    if dropped:
        out.append(f"{dropped} regions without a value of every subject and model are left out.")
    return tuple(out)
