"""One HTML page with everything inline: no network, no file beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from ontogeny.lag.lead_text import GLOSSARY as LEAD_WORDS
from ontogeny.record.progress import shared_progress
from ontogeny.report._first_screen import answer_html, bar_html, sentence
from ontogeny.report._html import escape, figure_html, json_block, notes_html, shared_of, table_html
from ontogeny.report._methods import GLOSSARY, citations, methods
from ontogeny.report._tables import MOST_ROWS, layer_rows, missing_notes, refusal_rows, region_rows, run_rows
from ontogeny.report._vega_script import vega_script
from ontogeny.report.figures import CONFIG, Figure, Picture, plain_json
from ontogeny.report.findings.findings_section import Answers, Asked
from ontogeny.report.level_tests import LevelTest
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study

__all__ = ["Page", "Part", "page", "sentences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One study's part of the page.

    Args:
        study: of one benchmark.
        tests: how high its layers end.
        key: the figures of the first screen.
        regions: levels, and every run's factor.
        curves: small multiples and maps of all regions.
        lead: the lead test of the key curve in detail.
    """

    study: Study
    tests: Sequence[LevelTest]
    key: Sequence[Figure]
    regions: Sequence[Figure]
    curves: Sequence[Figure | Picture]
    lead: Sequence[Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that is on a page.

    Args:
        title: of the window.
        command: that made it.
        runs: records, read.
        parts: one per benchmark.
        explorer: of `explorer_data`, and what did not fit.
        brain: scores in the brain, where a benchmark folder leads back to it.
        brain_notes: what could not be drawn there, and why.
        answers: more questions.
        beside: figures of what is no alignment: the task alone, effective dimensions.
    """

    title: str
    command: str
    runs: Sequence[RunFacts]
    parts: Sequence[Part]
    explorer: tuple[Mapping[str, Any], str]
    brain: Sequence[Figure | Picture]
    brain_notes: Sequence[str]
    answers: Answers
    beside: Sequence[Figure]

    @property
    def figures(self) -> list[Figure | Picture]:
        """All, in the order of the page."""
        own = [f for part in self.parts for f in (*part.key, *part.curves, *part.regions, *part.lead)]
        return [*own, *self.brain, *self.answers.figures, *self.beside]


def page(made: Page) -> str:
    """The whole page; everything that comes out of a record is escaped."""
    sections = {
        "answer": _answer(made),
        "curves": _curves(made),
        "regions": _regions(made),
        "brain": _brain(made),
        "questions": _questions(made.answers),
        "numbers": _numbers(made),
        "methods": _methods(made),
    }
    there = {name: "\n".join(html) for name, html in sections.items() if html}
    body = "\n".join(f'<section id="{name}">{html}</section>' for name, html in there.items())
    own = files("ontogeny.report")
    script = own.joinpath("page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{escape(made.title)}</title>\n'
        f"<style>{own.joinpath('page.css').read_text(encoding='utf-8')}</style></head>\n<body>\n"
        f"{bar_html(made.runs, [part.study for part in made.parts], list(there))}\n<main>\n{body}\n</main>\n"
        "<noscript>The figures need JavaScript (inside this file); the folder figures holds them as PNG, SVG and PDF."
        f"</noscript>\n{json_block(plain_json(CONFIG), 'look')}\n<script "
        f'type="module">{vega_script()}\n{script}</script>\n</body></html>\n'
    )


def _answer(made: Page) -> list[str]:
    if not made.parts:
        return ["<h1>No alignment was scored.</h1>", *(figure_html(figure, level=2) for figure in made.beside[:1])]
    alone = len(made.parts) == 1
    out = [] if alone else [f"<h1>{escape(_summary(made.parts))}</h1>"]
    for part in made.parts:
        out.append(f'<div class="answer">{answer_html(part.study, level=1 if alone else 2, alone=alone)}')
        if part is made.parts[0]:
            out.append(_rulers(made.runs))
        pictures = [figure_html(figure, picks=i > 0) for i, figure in enumerate(part.key)]
        out.append(f'<div class="pair">{"".join(pictures)}</div></div>')
    return out


def _rulers(runs: Sequence[RunFacts]) -> str:
    """What the step axes can be labelled in, where all runs know the same; nothing otherwise."""
    shared = shared_progress([facts.progress for facts in runs])
    if not shared:
        return ""
    units = "".join(f'<option value="{unit}">{unit}</option>' for unit in shared)
    chosen = f'<label>Axis<select name="axis"><option value="">training steps</option>{units}</select></label>'
    data = {unit: {"steps": [*at], "seen": [*at.values()]} for unit, at in shared.items()}
    return f'<form class="pick" id="axis-form">{chosen}</form>{json_block(data, "axis-data")}'


def _summary(parts: Sequence[Part]) -> str:
    told = (f"{p.study.benchmark}: {p.study.verdict.outcome if p.study.verdict else 'no task'}" for p in parts)
    return f"{len(parts)} benchmarks. Alignment before the task? {'; '.join(told)}."


def _curves(made: Page) -> list[str]:
    data, left = made.explorer
    if not data["runs"]:
        return []
    key = made.parts[0].study
    view = " · ".join(part for part in (key.benchmark, key.metric, key.pooling) if part)
    keep = {"run": key.key.curves[0].facts.name, "view": view, "roi": key.key.roi}
    told = "".join(f' data-{name}="{escape(value)}"' for name, value in keep.items())
    names = (("run", "Run"), ("view", "Benchmark · metric · pooling"), ("roi", "Region"), ("layer", "Layer"))
    lists = "".join(f'<label>{title}<select name="{name}"></select></label>' for name, title in names)
    scale = (
        '<label>Scale<select name="scale"><option value="unit">in its unit</option><option '
        'value="share">share of the ceiling</option></select></label>'
    )
    out = [
        "<h2>Curves</h2>",
        f'<form class="pick" id="explorer-form"{told}>{lists}{scale}</form>',
        '<div class="figures"><figure><h3>Layers over training</h3><div class="chart" id="explorer-curves" role="img" '
        'aria-label="Alignment of each layer over training, of what is picked above"></div>'
        "<figcaption>Dashed: the stimuli's own surface; "
        "dotted: chance; yellow: noise ceiling; grey: controls. Hover for value, SE, ceiling and n; ... "
        "menu: save as SVG or PNG.</figcaption></figure>",
        '<figure><h3>Layer by step</h3><div class="chart" id="explorer-map" role="img" aria-label="Layer '
        'by step, of what is picked above"></div>'
        "<figcaption>From chance to the ceiling's lower edge. White line: what the stimuli's own surface "
        "reaches; orange: the highest layer."
        "</figcaption></figure></div>",
        json_block(plain_json(data), "curves-data"),
    ]
    out += [notes_html([left])] if left else []
    figures = [figure_html(figure) for part in made.parts for figure in part.curves]
    return [*out, f'<div class="figures">{"".join(figures)}</div>'] if figures else out


def _regions(made: Page) -> list[str]:
    refused = refusal_rows(made.runs)
    if not made.parts and not refused:
        return []
    out = ["<h2>Regions, and can this be trusted?</h2>"]
    for part in made.parts:
        study = part.study
        out.append(
            f"<h3>{escape(study.benchmark)}, "
            f"{escape(study.metric)}{escape(', ' + study.pooling if study.pooling else '')}</h3>"
        )
        out.append(table_html(region_rows(study, part.tests)))
        out.append(f'<div class="figures">{"".join(figure_html(figure) for figure in part.regions)}</div>')
        if len(study.runs) > 1:
            out += ["<h3>Runs</h3>", table_html(run_rows(study))]
        found = study.leads or study.key.leads
        warned = found.warnings if found is not None and study.claims else ()
        out.append(notes_html([*study.notes, *warned]))
        if part.lead:
            figures = "".join(figure_html(figure) for figure in part.lead)
            out.append(
                f"<details><summary>The lead test of {escape(study.key.roi)} in detail</summary>{figures}</details>"
            )
    gone = [text for facts in made.runs for text in missing_notes(facts)]
    out += ["<h3>Missing values</h3>", notes_html(gone)] if gone else []
    return [*out, "<h3>What could not be measured, and why</h3>", table_html(refused)] if refused else out


def _brain(made: Page) -> list[str]:
    if not made.brain and not made.brain_notes:
        return []
    pictures = "".join(map(figure_html, made.brain))
    return ["<h2>Brain</h2>", f'<div class="brain">{pictures}</div>', notes_html(made.brain_notes)]


def _questions(answers: Answers) -> list[str]:
    """Each question that could be asked: its answer, what else would explain it, its picture; why not the others."""
    if not answers.asked and not answers.unasked:
        return []
    out = ["<h2>More questions</h2>"]
    out += [f"<p>{escape(answers.asked_of)}</p>"] if answers.asked_of else []
    out += [html for one in answers.asked for html in _question(one)]
    if answers.unasked:
        reasons = notes_html(answers.unasked)
        out.append(f"<details><summary>Questions that these records cannot answer</summary>{reasons}</details>")
    return out


def _question(one: Asked) -> list[str]:
    finding, title = one.finding, f"{one.finding.question} ({one.where})"
    doubts = [
        f"<p><strong>{name}:</strong> {escape(' '.join(texts))}</p>"
        for name, texts in (
            ("What else would explain it", finding.else_explains),
            ("What these data cannot tell", finding.cannot_tell),
        )
        if texts
    ]
    figures = [
        figure_html(
            replace(f, caption=f.caption.replace(finding.answer, "").strip(), chart=f.spec),
            level=0 if f.title == title else 4,
        )
        for f in one.figures
    ]
    number = finding.headline.text()
    detail = f'<p class="detail">{escape(f"{finding.headline.name}: {number}")}.</p>'
    return [
        f"<h3>{escape(title)}</h3>",
        f'<p class="text">{escape(finding.answer)}</p>',
        *([] if number in finding.answer else [detail]),
        f'<div class="column">{"".join(figures)}</div>',
        f"<details><summary>What else would explain it, and what these data cannot tell</summary>{''.join(doubts)}"
        "</details>",
    ]


def _numbers(made: Page) -> list[str]:
    rows = [row for part in made.parts for row in layer_rows(part.study, part.tests)]
    out = ["<h2>Numbers</h2>"]
    if rows:
        shown = rows if len(rows) <= MOST_ROWS else []
        cut = (
            ""
            if shown
            else f" The {len(rows):,} rows of every layer are too many for a page and stand in tables/layers.csv."
        )
        out.append(
            "<h3>Every layer at the last step</h3><p>The highest layer of such a table was chosen after "
            "looking; it is a "
            f"description, not a test. tables/curves.csv has every step.{cut}</p>"
        )
        told, shown = shared_of(shown)
        out += [f"<p>{escape(told)}</p>" if told else "", table_html(shown)] if shown else []
    out.append(
        "<p>figures/ has every figure as PNG, SVG and PDF (183 mm wide or less) and as CSV of what it shows.</p>"
    )
    beside = made.beside if made.parts else made.beside[1:]
    return [*out, f'<div class="figures">{"".join(figure_html(figure) for figure in beside)}</div>']


def _methods(made: Page) -> list[str]:
    out = ["<h2>Methods</h2>", "<p>To paste, and to be checked:</p>"]
    out += [f'<p class="methods">{escape(methods(part.study, made.command))}</p>' for part in made.parts]
    out += ["<h3>How to cite</h3>", notes_html(citations(made.runs))]
    for name, about in {n: a for facts in made.runs for n, a in facts.record.header["benchmarks"].items()}.items():
        out.append(f"<h3>About {escape(name)}</h3><p>{escape(str(about.get('about', '')))}</p>")
    folders = ", ".join(f"<code>{escape(str(facts.record.folder))}</code>" for facts in made.runs)
    out.append(f"<p>Record{'s' if len(made.runs) > 1 else ''} {folders}.</p>")
    words = sorted((GLOSSARY | LEAD_WORDS).items())
    terms = "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in words)
    return [*out, f'<h3 id="words">Words</h3><dl class="words">{terms}</dl>']


def sentences(made: Page) -> list[str]:
    """The answer of every part, as the command line says it."""
    if not made.parts:
        return ["No alignment was scored."]
    alone = len(made.parts) == 1
    return [("" if alone else f"{part.study.benchmark}: ") + sentence(part.study) for part in made.parts]
