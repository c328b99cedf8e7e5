"""The methods paragraph to paste, and what to cite."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ontogeny._display import number
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study

__all__ = ["GLOSSARY", "citations", "methods"]

GLOSSARY: dict[str, str] = {
    "alignment": "how well a layer's features resemble the measured responses, in the metric's unit",
    "baseline": "the same metric on the stimuli's own surface (length and punctuation, or pixels), without any model",
    "benchmark": "stimulus set, responses, metrics and frozen folds, with a version and a fingerprint",
    "ceiling": "the highest value the noise in the responses allows; its lower edge is what other subjects reach",
    "chance": "the value expected when stimuli and responses are unrelated",
    "control": "random features of the model's size, permuted stimuli, random tokens: should sit at chance. Permuted "
    "within groups: what groups alone carry. Split leak: what neighbours alone carry; above chance, the folds leak",
    "half-way": "the step at which a curve first reaches half of its own fitted gain",
    "held-out layer": "the best layer, chosen on one half of the stimuli and scored on the other, both ways",
    "pooling": "how the layer's output at all tokens or places became one vector per stimulus",
    "probe": "one measurement: the model reads the stimulus set, and no trace is left in the training",
    "step": "number of optimizer updates done when the weights were read; step 0 is before the first",
    "task": "what the model is trained for, measured on held-out data at the probed weights",
}


def methods(study: Study, command: str) -> str:
    """What was done, in the past tense, with all numbers that a reader of a paper needs."""
    facts, panel = study.runs[0], study.key.curves[0].panel
    header = facts.record.header
    about = header["benchmarks"].get(study.benchmark, {})
    versions = ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items())
    runs = f"{len(study.runs)} training runs" if len(study.runs) > 1 else "one training run"
    out = [
        f"Alignment was measured at {len(panel.steps)} checkpoints (steps {panel.steps[0]:,} to "
        f"{panel.steps[-1]:,}) of {runs} "
        f"with the benchmark {study.benchmark} (version {about.get('version', 'not known')}, fingerprint "
        f"{about.get('fingerprint', 'not known')}; "
        f"{about.get('n_stimuli', int(panel.n_stimuli.max(initial=0)))} stimuli, "
        f"{_count(len(panel.subjects), 'subject')}, {_count(len(study.regions), 'region')}).",
        f"{len(panel.layers)} layers were read ({panel.layers[0]} to {panel.layers[-1]}), pooled by "
        f"{panel.pooling or 'nothing'}, and "
        f"compared with responses by {study.metric} ({panel.unit}; {about.get('folds') or 'no folds'}).",
        f"Chance was {_number(panel.chance)}; the noise ceiling {_ceiling(study)}.",
    ]
    if study.task:
        out.append(
            f"Held-out {study.task} was measured at the same weights. Growth curves in log step were "
            "fitted to both; the lead is the "
            "ratio of the steps at which each first reaches half of its own gain, with 95 % intervals "
            "under AR(1) noise whose "
            "coefficient was averaged out" + (_tested(study))
        )
    out.append(
        f"Software: {versions or 'versions not recorded'}. Command: {command}. Date: {date.today().isoformat()}."
    )
    return " ".join(out)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _tested(study: Study) -> str:
    if len(study.runs) > 1:
        return f", pooled over {len(study.runs)} runs with the run as the unit."
    if study.declared or len(study.regions) == 1:
        return f"; {study.key.roi} was declared as the region of interest." if study.declared else "."
    return f"; p values were corrected for {len(study.regions)} regions (Benjamini-Hochberg)."


def _number(value: float | None) -> str:
    return "not known" if value is None else number(value, ".3f")


def _ceiling(study: Study) -> str:
    panel = study.key.curves[0].panel
    bounds = [number(b, ".3f") for b in (panel.ceiling_lower, panel.ceiling) if b is not None]
    source = study.runs[0].record.header["benchmarks"].get(study.benchmark, {}).get("ceiling_source", "")
    how = f" ({source})" if source and source != "not known" else ""
    return (f"was {' to '.join(bounds)}" if bounds else "is not known") + how


def citations(runs: Sequence[RunFacts]) -> list[str]:
    """Data to cite with their terms, and this software."""
    out = []
    for facts in runs:
        for name, about in facts.record.header["benchmarks"].items():
            if about.get("citation"):
                terms = f" Terms: {about['licence']}." if about.get("licence") else ""
                out.append(f"{name}: {about['citation']}.{terms}")
    out.append("Software: ontogeny, with the version above.")
    return list(dict.fromkeys(out))
