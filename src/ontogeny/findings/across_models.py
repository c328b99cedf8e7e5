"""Do better models align better? Correlations over models, what families do to them, and what is left given size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ontogeny._display import number
from ontogeny.errors import DataError, nearest
from ontogeny.findings.data.cells import is_biased
from ontogeny.findings.data.model_columns import Models
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._model_correlation import Correlation, Kind, correlate, leave_one_out
from ontogeny.findings.statistics.subject_agreement import fdr

__all__ = ["across_models"]

Row = dict[str, Any]
_HOW = (
    "Pearson r over models, alignment and performance as they stand. {how}. q: false discovery rate over the "
    "benchmarks, for each set of controls apart"
)
_WITHIN, _LEVEL, _FEWEST = "within families", 0.05, 5


def across_models(
    models: Models, *, headline: str | None = None, alone: bool = False, draws: int = 2000, seed: int = 0
) -> Finding:
    """Correlation of alignment with each performance, over families, and given each of `models.given`.

    Args:
        models: their alignment, performance, families and sizes.
        headline: benchmark of the answer; the first where not given.
        alone: take each model for its own family; for models that have none, and for comparison.
        draws: of families, where there are 50 or more.
        seed: of the draws.

    Returns:
        Details: "correlations", a row per benchmark, kind and set of controls (r, n, families, intervals over families,
        by draws and by Fisher, p, q, the range with one family left out); "without_a_family", a row per benchmark and
        family left out; "models", a row per model; "alignment", one row: its metric and what is known of chance.

    Raises:
        DataError: no such benchmark, or too few models; see `correlate`.
    """
    if headline is not None and headline not in models.performance:
        raise DataError(f"there is no performance {headline!r}. {nearest(headline, models.performance)}")
    first = headline or next(iter(models.performance))
    models, left_out = _usable(models)
    families = tuple(models.model) if alone else models.families
    rows, without, refused = _rows(models, families, draws, seed)
    sizes = [_size_row(models, families, name, draws, seed) for name in models.given]
    estimates = tuple(
        _estimate(row) for row in (*rows, *sizes) if row["kind"] == "pearson" or row["benchmark"] == first
    )
    plain = [row for row in rows if (row["benchmark"], row["given"], row["kind"]) == (first, "", "pearson")]
    if not plain:
        why = next(said for said in refused if said.startswith(f"Pearson r, {first}: "))
        raise DataError(why.removesuffix("."))
    return Finding(
        question="Do better models align better?",
        answer=_answer(first, rows, sizes),
        headline=next(e for e in estimates if e.name == _name(plain[0])),
        estimates=estimates,
        else_explains=_else_explains(models, rows, sizes),
        cannot_tell=(*left_out, *refused, *_cannot_tell(models, families)),
        details={
            "correlations": tuple([*rows, *sizes]),
            "without_a_family": tuple(without),
            "models": _model_rows(models, families),
            "alignment": ({"metric": models.metric, "chance": "removed" if models.chance_removed else "not known"},),
        },
        source=models.source,
    )


def _usable(models: Models) -> tuple[Models, tuple[str, ...]]:
    """The models with those controls that can be taken out, and a sentence for each that can not."""
    kept, said = {}, []
    for name, column in models.given.items():
        known = column[np.isfinite(column) & np.isfinite(models.alignment)]
        if len(known) <= _FEWEST:
            said.append(
                f"{name} is known of {len(known)} models with alignment; more than {_FEWEST} are needed to take it out."
            )
        elif known.min() == known.max():
            said.append(f"{name} is the same for all models, so its part is not identified.")
        else:
            kept[name] = column
    return replace(models, given=kept), tuple(said)


def _rows(models: Models, families: Sequence[str], draws: int, seed: int) -> tuple[list[Row], list[Row], list[str]]:
    """A row per benchmark, kind and set of controls; one per benchmark and family left out; and what was refused."""
    rows: list[Row] = []
    without: list[Row] = []
    refused: list[str] = []
    sets: list[tuple[str, ...]] = [(), *((name,) for name in models.given)]
    sets += [tuple(models.given)] if len(models.given) > 1 else []
    asked: list[tuple[Kind, tuple[str, ...], bool]] = [("pearson", names, False) for names in sets]
    asked += [("spearman", names, False) for names in sets] + [("pearson", (), True)]
    for kind, names, within in asked:
        own = []
        for benchmark in models.performance:
            known, pair, given = _known(models, families, benchmark, names)
            if within and not _enough_within(known):
                continue
            label: Row = {"benchmark": benchmark, "given": _WITHIN if within else _given(names), "kind": kind}
            try:
                found = correlate(*pair, known, given=given, within=within, kind=kind, draws=draws, seed=seed)
            except DataError as error:
                refused.append(f"{_name(label)}: {error}.")
                continue
            own.append(label | _row(found))
            if kind == "pearson" and not within:
                left = leave_one_out(*pair, known, given=given)
                own[-1] |= _range(left)
                without += [{**label, "without": family, "r": r} for family, r in left.items()]
        for row, q in zip(own, fdr([row["p"] for row in own]), strict=True):
            row["q"] = q
        rows += own
    return rows, without, refused


def _known(
    models: Models, families: Sequence[str], benchmark: str, names: Sequence[str]
) -> tuple[list[str], tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """Families, alignment and performance, and logarithms of controls, of the models that have all of them."""
    pair = (models.alignment, models.performance[benchmark])
    controls = [models.given[name] for name in names]
    known = np.isfinite(np.column_stack([*pair, *controls])).all(axis=1)
    given = np.column_stack([np.log10(column[known]) for column in controls]) if controls else None
    return [f for f, k in zip(families, known, strict=True) if k], (pair[0][known], pair[1][known]), given


def _enough_within(families: Sequence[str]) -> bool:
    """Whether four models and more are left after a mean of each family with two members."""
    shared = [count for count in Counter(families).values() if count > 1]
    return sum(shared) - len(shared) >= 4


def _given(names: Sequence[str]) -> str:
    return " and ".join(f"log {name}" for name in names)


def _row(found: Correlation) -> Row:
    drawn = found.drawn or (None, None)
    return {
        "r": found.r,
        "n": found.n,
        "families": found.families,
        "low": found.low,
        "high": found.high,
        "drawn_low": drawn[0],
        "drawn_high": drawn[1],
        "fisher_low": found.fisher[0],
        "fisher_high": found.fisher[1],
        "p": found.p,
        "q": None,
        "how": found.how,
    }


def _range(left: Mapping[str, float]) -> Row:
    known = {family: r for family, r in left.items() if np.isfinite(r)}
    if len(known) < 2:
        return {}
    low, high = min(known, key=lambda f: known[f]), max(known, key=lambda f: known[f])
    return {"least": known[low], "least_without": low, "most": known[high], "most_without": high}


def _size_row(models: Models, families: Sequence[str], name: str, draws: int, seed: int) -> Row:
    """How alignment goes with the logarithm of what is given."""
    column = models.given[name]
    known = np.isfinite(models.alignment) & np.isfinite(column)
    own = [f for f, k in zip(families, known, strict=True) if k]
    pair = (models.alignment[known], np.log10(column[known]), own)
    found = correlate(*pair, draws=draws, seed=seed)
    label = {"benchmark": f"log {name}", "given": "", "kind": "pearson"}
    return label | _row(found) | _range(leave_one_out(*pair))


def _name(row: Row) -> str:
    what = "Pearson r" if row["kind"] == "pearson" else "Spearman rho"
    if row["given"] == _WITHIN:
        return f"{what} within families, {row['benchmark']}"
    return f"partial {what} given {row['given']}, {row['benchmark']}" if row["given"] else f"{what}, {row['benchmark']}"


def _estimate(row: Row) -> Estimate:
    return Estimate(
        name=_name(row),
        value=row["r"],
        unit="r" if row["kind"] == "pearson" else "rho",
        low=row["low"],
        high=row["high"],
        p=row["p"],
        q=row["q"],
        n=row["n"],
        of="models",
        how=_HOW.format(how=row["how"]),
    )


def _holds(row: Row) -> bool:
    """Above 0 over families; as if models were independent where families are too few."""
    low = row["fisher_low"] if row["low"] is None else row["low"]
    return bool(low > 0)


def _phrase(row: Row) -> str:
    if row["low"] is None:
        return f"r = {number(row['r'])} (no interval over families)"
    return f"r = {number(row['r'])} [{number(row['low'])}, {number(row['high'])}]"


def _answer(first: str, rows: Sequence[Row], sizes: Sequence[Row]) -> str:
    own = {row["given"]: row for row in rows if row["benchmark"] == first and row["kind"] == "pearson"}
    plain = own[""]
    said = f"{first}, {plain['n']} models in {plain['families']} families: {_phrase(plain)}"
    if not _holds(plain):
        return f"It is not shown that better models align better. {said}."
    if not sizes:
        return f"Better models align better ({said}), or bigger ones do: without their parameters this cannot be told."
    parts = []
    for given, row in own.items():
        if given not in ("", _WITHIN):
            verdict = "is left" if _holds(row) else "is left, which may be nothing"
            parts.append(f"given {given}, {_phrase(row)} {verdict}")
    size = sizes[0]["benchmark"]
    given_size = [row for row in rows if row["kind"] == "pearson" and row["given"] == size]
    kept = sum(_holds(row) and row["q"] < _LEVEL for row in given_size)
    more = f" Given {size}, {kept} of {len(given_size)} benchmarks keep a correlation at q < .05."
    return f"Better models align better ({said}); {'; '.join(parts)}.{more}"


def _else_explains(models: Models, rows: Sequence[Row], sizes: Sequence[Row]) -> tuple[str, ...]:
    plain = [row for row in rows if row["kind"] == "pearson" and not row["given"]]
    out = []
    for size in sizes:
        best = max(plain, key=lambda row: row["r"])
        than = "more than" if size["r"] > best["r"] else "less than"
        out.append(
            f"Size: alignment goes with {size['benchmark']} ({_phrase(size)}), {than} with the benchmark it goes with "
            f"most ({best['benchmark']}, r = {number(best['r'])}). Whether size is a cause of both or a way to be "
            "better a partial correlation does not tell."
        )
    if not sizes:
        out.append("Size: parameters are not given, and bigger models are better and wider.")
    if is_biased(models.metric) and not models.chance_removed:
        out.append(
            f"Chance: {models.metric} is biased CKA; its chance level rises with the features' effective dimension "
            "without any true alignment, and bigger models are wider. Chance is not known of these scores."
        )
    spread = [row for row in plain if "least" in row]
    if spread:
        worst = min(spread, key=lambda row: row["least"])
        out.append(
            f"Families: relatives share data and recipe. Without {worst['least_without']} r of {worst['benchmark']} is "
            f"{number(worst['least'])}, the least of any benchmark and family left out."
        )
    out.append(
        "Data and time: newer models have more and better training data and are better; neither is in the table."
    )
    return tuple(out)


def _cannot_tell(models: Models, families: Sequence[str]) -> tuple[str, ...]:
    out = ["Finished models do not show what comes first in training, nor causes."]
    if models.guessed and tuple(families) != tuple(models.model):
        out.append(
            f"Families of {models.guessed} of {len(models.model)} models are guessed from their names, which tell no "
            "shared data, distillation or teacher."
        )
    missing = {
        name: int(np.isnan(column).sum()) for name, column in (*models.performance.items(), *models.given.items())
    }
    out += [
        f"{name} is missing for {count} models; they are left out there." for name, count in missing.items() if count
    ]
    if not any("dimension" in name or "participation" in name for name in models.given):
        out.append("Feature dimension and participation ratio are not in the table, so width is not told from quality.")
    return tuple(out)


def _model_rows(models: Models, families: Sequence[str]) -> tuple[Row, ...]:
    columns = {"alignment": models.alignment, **models.given, **models.performance}
    return tuple(
        {"model": name, "family": families[i], **{key: float(column[i]) for key, column in columns.items()}}
        for i, name in enumerate(models.model)
    )
