"""The first screen: what was run, the answer in one sentence, four numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ontogeny._display import number
from ontogeny.record.progress import seen_text, shared_progress
from ontogeny.report._html import command_html, escape
from ontogeny.report._key_labels import half_points
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study

__all__ = ["answer_html", "bar_html", "cost_of", "origin", "sentence"]

_LINKS = ("Answer", "Curves", "Regions", "Brain", "Questions", "Numbers", "Methods")
_RATIO = (1e-3, 100.0)


def origin(runs: Sequence[RunFacts]) -> str:
    """Whether the responses were measured or simulated."""
    simulated: dict[str, bool] = {}
    for facts in runs:
        for name, about in facts.record.header["benchmarks"].items():
            simulated[name] = bool(about.get("simulated"))
    if not simulated:
        return "NO BENCHMARK"
    return "SIMULATED" if all(simulated.values()) else "MIXED" if any(simulated.values()) else "MEASURED"


def bar_html(runs: Sequence[RunFacts], studies: Sequence[Study], sections: Sequence[str], *, state: str = "") -> str:
    """Chip, run, benchmark, checkpoints, links.

    Args:
        runs: of the page.
        studies: of the page.
        sections: that it has.
        state: "running, step 1,000"; "" where nothing is said of it.
    """
    chip = origin(runs)
    kind = "chip" if chip == "MEASURED" else "chip simulated"
    names = [facts.name for facts in runs]
    who = (
        f"run {names[0]}"
        if len(names) == 1
        else f"{len(names)} runs: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    )
    parts = [who, state]
    if studies:
        panels = [study.key.curves[0].panel for study in studies]
        first, n = panels[0], len(panels[0].subjects)
        shown = int(first.n_stimuli.max(initial=0))
        who = f" ({n} subject{'' if n == 1 else 's'}{f', {shown:,} stimuli' if shown else ''})"
        parts += [
            f"{len(first.layers)} layers" if len(panels) == 1 else "",
            f"{len(first.steps)} checkpoints, steps {first.steps[0]:,} to {first.steps[-1]:,}",
            f"benchmark{'s' if len(panels) > 1 else ''} {', '.join(study.benchmark for study in studies)}"
            + (who if len(panels) == 1 else ""),
        ]
    links = "".join(f'<a href="#{name.lower()}">{name}</a>' for name in _LINKS if name.lower() in sections)
    told = escape(" · ".join(part for part in parts if part))
    return (
        f'<a class="skip" href="#answer">Skip to the answer</a><header class="bar"><span class="{kind}">{chip}</span>'
        f'<span>{told}</span><nav aria-label="Sections">{links}</nav></header>'
    )


def sentence(study: Study) -> str:
    """The answer; where there is no task, what alignment there is."""
    if study.verdict is not None:
        return study.verdict.sentence
    level = study.key.level
    return (
        f"No held-out task was measured, so nothing is said about what is first. Alignment with {level.roi} ends at "
        f"{number(level.value)} ({level.unit})."
    )


def answer_html(study: Study, *, level: int, alone: bool) -> str:
    """One study's answer: heading, interval and caveats, four numbers.

    Args:
        study: of one benchmark.
        level: of the heading.
        alone: whether it is the only one of the page.
    """
    named = "" if alone else f"{escape(study.benchmark)} ({escape(study.title)}). "
    return (
        f"<h{level}>{named}{escape(sentence(study))}</h{level}>"
        f'<p class="detail">{_detail(study)}</p><ul class="four">{"".join(_numbers(study))}</ul>'
    )


def _detail(study: Study) -> str:
    found = study.verdict
    if found is None:
        return "Measure one with <code>task=HeldOutLoss(...)</code>."
    out = [f"{escape(found.detail[:1].upper() + found.detail[1:])}."] if found.detail else []
    half = {row["of"]: row["step"] for row in half_points(study)}
    if study.declared or len(study.regions) == 1:
        seen = seen_text(shared_progress([facts.progress for facts in study.runs]), [*half.values()]) if half else ""
        out += [f"That is {seen}."] if seen and found.decided else []
    if study.declared and len(study.regions) > 1 and found.outcome in ("yes", "no"):
        same = sum(region.outcome == found.outcome for region in study.regions)
        out.append(f"The same holds in {same} of {len(study.regions)} regions, corrected for their number.")
    chosen = (
        ()
        if study.declared and found.outcome != "nothing to time"
        else ("the layer is the one that ends highest, a choice that carries no timing",)
    )
    cares = [*found.caveats, *(chosen if found.outcome in ("yes", "no") else ())]
    last_below = study.key.level.above_surface and study.key.level.value < study.key.level.baseline
    cares += [f"{study.key.roi} ends below {study.key.level.surface} alone"] if last_below else []
    if cares:
        out.append(f"<strong>Read it with care:</strong> {escape('; '.join(cares))}.")
    gone = [roi for facts in study.runs for benchmark, roi in facts.unmeasured if benchmark == study.benchmark]
    if gone:
        out.append(f"Without any value, so not shown: {escape(', '.join(dict.fromkeys(gone)))}.")
    command = f" {command_html(found.command)}" if found.command else ""
    return " ".join(out) + (f" {escape(found.advice)}{command}" if found.advice else "")


def _numbers(study: Study) -> list[str]:
    level = study.key.level
    who = (
        f"mean ± SE, {level.n_subjects} subjects"
        if len(study.runs) == 1
        else f"mean ± SE over {len(study.key.curves)} runs"
    )
    spread = f" ± {level.error:.2f}" if level.error else ""
    first = _number(
        f"{number(level.value)}{spread}",
        f"{level.unit}, alignment with {level.roi} at the last step ({who if level.error else 'one subject'})",
    )
    if math.isnan(level.share):
        second = _number("no ceiling", "the noise ceiling of these responses is not known")
    else:
        low = (
            f"{number(level.ceiling_lower)} to "
            if math.isfinite(level.ceiling_lower) and level.ceiling_lower != level.ceiling
            else ""
        )
        second = _number(f"{100 * level.share:.0f} % of the ceiling", f"noise allows {low}{number(level.ceiling)}")
    return [first, second, _against_surface(study), _number(*cost_of(study.runs), bad=bool(_failed(study.runs)[0]))]


def _against_surface(study: Study) -> str:
    level = study.key.level
    if math.isnan(level.baseline):
        return _number("no baseline", "the stimuli's own surface was not scored")
    name = f"{level.surface} alone reach{'' if level.surface.endswith('s') else 'es'} {number(level.baseline)}"
    chance = 0.0 if math.isnan(level.chance) else level.chance
    if level.value <= level.baseline:
        return _number(f"BELOW {level.surface}", f"{name}: this score does not need a model", bad=True)
    floor = level.baseline - chance
    ratio = (level.value - chance) / floor if floor > 0 else math.nan
    if _RATIO[0] < ratio < _RATIO[1] and floor > level.error:
        return _number(f"{ratio:.1f}× the baseline", name)
    return _number(f"+{number(level.value - level.baseline)} over the baseline", name)


def cost_of(runs: Sequence[RunFacts]) -> tuple[str, str]:
    """What watching cost: a number, and what was measured and what not."""
    seconds = [s for facts in runs for s in facts.seconds]
    shares = [facts.share for facts in runs if facts.share is not None]
    failed, refused = _failed(runs)
    left = sum(facts.left_out for facts in runs)
    text = f"{100 * sum(shares) / len(shares):.1f} % of wall time" if shares else f"{sum(seconds):,.1f} s"
    said = [f"{len(seconds)} probes, {failed or 'none'} failed"]
    said += [f"{left} due probes were left out to stay within the budget"] if left else []
    said += [f"{refused} refusals, see Regions"] if refused else []
    return text, "; ".join(said)


def _failed(runs: Sequence[RunFacts]) -> tuple[int, int]:
    """Whole probes that failed, and other refusals."""
    failed = sum(event.layer == "(whole probe)" for facts in runs for event in facts.refusals)
    return failed, sum(len(facts.refusals) for facts in runs) - failed


def _number(text: str, what: str, *, bad: bool = False) -> str:
    return f"<li{' class=bad' if bad else ''}><b>{escape(text)}</b>{escape(what)}</li>"
