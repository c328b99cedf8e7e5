"""What a record says, in sentences and tables: no pictures, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from ontogeny.record import Event
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.run_data import RunFacts

__all__ = ["GLOSSARY", "cost", "final_table", "first_line", "refusal_table", "sentences"]

GLOSSARY: dict[str, str] = {
    "alignment": "how well a layer's features resemble the measured responses, in the metric's unit",
    "baseline": "the same metric on the stimuli's own surface (length and punctuation, or pixels), without any model",
    "benchmark": "stimulus set, responses, metrics and frozen folds, with a version and a fingerprint",
    "ceiling": "the highest value the noise in the responses allows; its lower edge is what other subjects reach",
    "chance": "the value expected when stimuli and responses are unrelated",
    "control": "random features of the model's size, permuted stimuli, random tokens: should sit at chance. Permuted "
    "within groups: what groups alone carry. Split leak: what neighbours alone carry; above chance, the folds leak",
    "held-out layer": "the best layer, chosen on one half of the stimuli and scored on the other, both ways",
    "pooling": "how the layer's output at all tokens or places became one vector a stimulus",
    "probe": "one measurement: the model reads the stimulus set, and no trace is left in the training",
    "step": "number of optimizer updates done when the weights were read",
    "step 0": "before the first update: the untrained reference, of a run that began with random weights",
    "task": "what the model is trained for, measured on held-out data at the probed weights",
}


def first_line(runs: Sequence[RunFacts]) -> str:
    """Whether the responses were measured or simulated; the page opens with it."""
    simulated: dict[str, bool] = {}
    for facts in runs:
        for name, about in facts.record.header["benchmarks"].items():
            simulated[name] = bool(about.get("simulated"))
    made_up = [name for name, is_simulated in simulated.items() if is_simulated]
    measured = [name for name, is_simulated in simulated.items() if not is_simulated]
    if not simulated:
        return "No benchmark was scored."
    if not measured:
        return f"SIMULATED responses, no brain was measured: {', '.join(made_up)}."
    if not made_up:
        return f"Real data, measured brain responses: {', '.join(measured)}."
    return f"MIXED. Measured brain responses: {', '.join(measured)}. SIMULATED responses: {', '.join(made_up)}."


def sentences(facts: RunFacts) -> list[str]:
    """The run in plain words."""
    last = facts.steps[-1] if facts.steps else 0
    out = [f"{len(facts.seconds)} probes between step {facts.steps[0] if facts.steps else 0} and step {last}."]
    for metric in dict.fromkeys(s.metric for s in facts.task):
        curve = sorted((s.step, s.value) for s in facts.task if s.metric == metric and s.value is not None)
        out.append(f"Held-out {metric} went from {curve[0][1]:.3g} to {curve[-1][1]:.3g}.")
    return [*out, *(_panel_sentence(panel) for panel in facts.panels if panel.rows)]


def _panel_sentence(panel: CurveGroup) -> str:
    first, last = panel.steps[0], panel.steps[-1]
    start, (layer, end) = max(panel.at(first).values()), _best(panel.at(last))
    where = f"{panel.metric}, {panel.roi}" + (f", {panel.pooling}" if panel.pooling else "")
    text = f"{where}: the highest layer went from {start:.3f} at step {first} to {end:.3f} ({layer}) at step {last}"
    top, peak, at = max((row["value"], row["layer"], row["step"]) for row in panel.rows)
    if top > end:
        text += f", after a peak of {top:.3f} ({peak}) at step {at}"
    if panel.ceiling is not None:
        text += f"; the ceiling is {_ceiling(panel)}"
    stated = _baseline(panel)
    if stated is not None:
        name, value = stated
        verdict = "above" if end > value else "NOT above"
        text += f"; that is {verdict} what {name} alone reaches ({value:.3f})"
    return text + "."


def _best(at: Mapping[str, float]) -> tuple[str, float]:
    return max(at.items(), key=lambda item: item[1])


def _baseline(panel: CurveGroup) -> tuple[str, float] | None:
    for name, rows in panel.references.items():
        if name.startswith("baseline: "):
            return name.removeprefix("baseline: "), float(rows[-1]["value"])
    return None


def _ceiling(panel: CurveGroup) -> str:
    bounds = [b for b in (panel.ceiling_lower, panel.ceiling) if b is not None]
    return " to ".join(f"{b:.3f}" for b in bounds) or "not known"


def final_table(facts: RunFacts) -> list[dict[str, str]]:
    """Every layer at the last step, with all that is needed to read its value; one row per panel and layer."""
    rows = []
    for panel in facts.panels:
        if not panel.rows:
            continue
        first, last = panel.at(panel.steps[0]), panel.steps[-1]
        beside = {name: f"{part[-1]['value']:.3f}" for name, part in panel.references.items()}
        rows += [_final_row(panel, row, first, beside) for row in panel.rows if row["step"] == last]
    return rows


def _final_row(
    panel: CurveGroup, row: Mapping[str, Any], first: Mapping[str, float], beside: Mapping[str, str]
) -> dict[str, str]:
    start = first.get(row["layer"])
    error = f" ± {row['high'] - row['value']:.3f}" if row["n_subjects"] > 1 else ""
    return {
        "metric": panel.metric,
        "ROI": panel.roi,
        "pooling": panel.pooling,
        "layer": row["layer"],
        f"step {panel.steps[0]}": "" if start is None else f"{start:.3f}",
        "last step": f"{row['value']:.3f}{error}",
        "chance": "" if panel.chance is None else f"{panel.chance:.3f}",
        "ceiling": _ceiling(panel),
        **beside,
        "subjects": str(row["n_subjects"]),
        "stimuli": f"{row['n_stimuli']}{' or more, each its own' if panel.own_stimuli else ''}",
    }


def refusal_table(facts: RunFacts) -> list[dict[str, str]]:
    """What could not be measured, and why; the same reason at many steps is one row."""

    def about(event: Event) -> tuple[str, str, str, str]:
        return event.benchmark, event.layer, event.metric, event.note

    rows = []
    for (benchmark, layer, metric, note), group in groupby(sorted(facts.refusals, key=about), key=about):
        steps = sorted({s.step for s in group})
        span = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]} ({len(steps)} probes)"
        rows.append({"benchmark": benchmark, "layer": layer, "metric": metric, "step": span, "why": note})
    return rows


def cost(facts: RunFacts) -> str:
    """What watching cost."""
    if not facts.seconds:
        return "No probe was completed."
    total = sum(facts.seconds)
    share = "" if facts.share is None else f", {facts.share:.1%} of wall time"
    out = f"Watching cost {total:.1f} s in {len(facts.seconds)} probes{share}, half of them under "
    out += f"{median(facts.seconds):.2f} s."
    return out if not facts.left_out else f"{out} {facts.left_out} due probes were left out to stay within the budget."
