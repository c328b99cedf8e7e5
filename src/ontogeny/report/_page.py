"""One HTML page with everything inline: no network, no file beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ontogeny._display import as_html
from ontogeny.errors import require
from ontogeny.lag.lead_text import GLOSSARY as LEAD_WORDS
from ontogeny.report._record_text import GLOSSARY, cost, final_table, first_line, refusal_table, sentences
from ontogeny.report.figures import Figure, Picture, altair, plain_json
from ontogeny.report.findings.findings_section import Answers, finding_table
from ontogeny.report.run_data import RunFacts

__all__ = ["Section", "page"]

escape = partial(as_html, quote=True)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2833; margin: 0 auto; max-width: 1240px; padding: 1.5rem; }
.origin { font-weight: 600; padding: .6rem .9rem; border-left: 5px solid #1e8449; background: #eafaf1; }
.origin.simulated { border-color: #b9770e; background: #fef5e7; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.4rem; border-bottom: 1px solid #d5d8dc; } h3 { font-size: 1.05rem; }
figure { margin: 1.2rem 0 2rem; overflow-x: auto; } figcaption { max-width: 75ch; color: #34495e; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow: auto; max-height: 30rem; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #eef0f2; white-space: nowrap; }
th { position: sticky; top: 0; background: white; }
.findings td { white-space: normal; min-width: 11rem; vertical-align: top; }
.why, .curve, .trend, .fluctuation { white-space: normal; min-width: 14rem; vertical-align: top; }
dt { font-weight: 600; float: left; clear: left; min-width: 7rem; } dd { margin-left: 8rem; }
img { max-width: 100%; }
code { background: #f4f6f7; padding: 0 .25em; } .chart-error { color: #c0392b; white-space: pre-wrap; }
"""
_SCRIPT = """
for (const holder of document.querySelectorAll("div.chart")) {
  const spec = JSON.parse(holder.nextElementSibling.textContent);
  const actions = { export: true, source: false, compiled: false, editor: false };
  vegaEmbed(holder, spec, { renderer: "svg", actions }).then(
    () => holder.setAttribute("data-state", "drawn"),
    (error) => {
      holder.setAttribute("data-state", "failed");
      holder.className += " chart-error";
      holder.textContent = error;
    });
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One record's part of the page.

    Args:
        facts: the record.
        figures: alignment over training.
        leads: one row a curve and task: which moves first.
        lead_warnings: what to know beside them.
        lead_figures: pictures of some of them.
        answers: the study's other questions.
        brain: scores in the brain, where a benchmark folder leads back to it.
        brain_notes: what could not be drawn there, and why.
    """

    facts: RunFacts
    figures: Sequence[Figure]
    leads: Sequence[Mapping[str, str]]
    lead_warnings: Sequence[str]
    lead_figures: Sequence[Figure]
    answers: Answers
    brain: Sequence[Picture] = ()
    brain_notes: Sequence[str] = ()


def page(
    sections: Sequence[Section],
    pooled: tuple[Sequence[Mapping[str, str]], Sequence[Figure]],
    across: Answers,
    *,
    title: str,
) -> str:
    """The whole page.

    Args:
        sections: records with their pictures, in the order of the page.
        pooled: leads over all records, and their pictures; empty where the records are not runs of one kind.
        across: what was asked of all records together.
        title: heading; escaped, as is everything that comes out of a record.
    """
    origin = first_line([section.facts for section in sections])
    kind = "origin" if origin.startswith("Real") else "origin simulated"
    body = [
        f'<p class="{kind}">{escape(origin)}</p>',
        f"<h1>{escape(title)}</h1>",
        "<p>Alignment of a model's layers with brain responses while it trains, beside its task at the same weights. "
        "Hover for values; the three dots of a picture save it.</p>",
        *_pooled(*pooled),
        *(_answers(across, "h2", "All runs: the study's other questions") if across.findings else ()),
        *(part for section in sections for part in _run(section)),
        "<h2>Words</h2><dl>",
        *(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in sorted((GLOSSARY | LEAD_WORDS).items())),
        "</dl>",
        "<noscript>The pictures need JavaScript (inside this file); the folder figures holds them as PNG.</noscript>",
    ]
    bundle = require("vl_convert", "report").javascript_bundle(vl_version=_vegalite())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n"
        f'<script type="module">{bundle}\n{_SCRIPT}</script>\n</body></html>\n'
    )


def _vegalite() -> str:
    """The Vega-Lite version of Altair's specifications, "6.4"."""
    return ".".join(altair().SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _run(section: Section) -> list[str]:
    facts = section.facts
    out = [f"<h2>{escape(facts.record.run)}</h2>", "<ul>"]
    out += [f"<li>{escape(sentence)}</li>" for sentence in [*sentences(facts), cost(facts)]]
    out.append("</ul>")
    out += [_figure(figure) for figure in section.figures]
    out += [_picture(picture) for picture in section.brain]
    out += [f"<p>{escape(note)}</p>" for note in section.brain_notes]
    out += _leads(section)
    out += _answers(section.answers, "h3", "The study's other questions")
    table = final_table(facts)
    if table:
        out.append("<h3>Every layer at the last step</h3>")
        out.append(
            "<p>The highest layer of such a table was chosen after looking; it is a description, not a test.</p>"
        )
        out.append(_table(table))
    refused = refusal_table(facts)
    if refused:
        out += ["<h3>What could not be measured, and why</h3>", _table(refused)]
    return [*out, *_provenance(facts)]


def _pooled(rows: Sequence[Mapping[str, str]], figures: Sequence[Figure]) -> list[str]:
    """Several runs of one kind, first on the page: they carry what a single one cannot."""
    if not rows:
        return []
    return [
        "<h2>All runs: which moves first?</h2>",
        "<p>The run is the unit. All runs are compared with the same brain data, so this speaks of further runs of "
        "this kind, not of further subjects.</p>",
        _table(rows),
        *(_figure(figure) for figure in figures),
    ]


def _leads(section: Section) -> list[str]:
    """Which moves first, with what one run can tell."""
    if not section.leads:
        return []
    return [
        "<h3>Which moves first?</h3>",
        "<p>The layer of each row is the one with the highest alignment at the last step, a choice that carries no "
        "timing. One run speaks of itself only: several seeds pooled (<code>ontogeny lag</code>) are the design that "
        "carries a claim. A lead is precedence, not cause.</p>",
        _table(section.leads),
        "<ul>",
        *(f"<li>{escape(text)}</li>" for text in section.lead_warnings),
        "</ul>",
        *(_figure(figure) for figure in section.lead_figures),
    ]


def _answers(answers: Answers, level: str, title: str) -> list[str]:
    """One row a question that could be asked, its picture, and why the others could not."""
    if not answers.findings and not answers.unasked:
        return []
    out = [f"<{level}>{escape(title)}</{level}>"]
    if answers.findings:
        out.append(_table(finding_table(answers)).replace("<table>", '<table class="findings">'))
    out += [_figure(figure) for figure in answers.figures]
    if answers.unasked:
        reasons = "".join(f"<li>{escape(text)}</li>" for text in answers.unasked)
        out.append(
            f"<details><summary>Questions that these records cannot answer</summary><ul>{reasons}</ul></details>"
        )
    return out


def _figure(figure: Figure) -> str:
    drawn = plain_json(figure.chart.to_dict())
    spec = json.dumps(drawn, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<figure><h3>{escape(figure.title)}</h3><div class="chart" id="{escape(figure.name)}"></div>'
        f'<script type="application/json">{spec}</script><figcaption>{escape(figure.caption)}</figcaption></figure>'
    )


def _picture(picture: Picture) -> str:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return (
        f'<figure><h3>{escape(picture.title)}</h3><img alt="{escape(picture.title)}" '
        f'width="{picture.width}" src="{source}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = [
        "<tr>" + "".join(f'<td class="{escape(name)}">{escape(row.get(name, ""))}</td>' for name in columns) + "</tr>"
        for row in rows
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _provenance(facts: RunFacts) -> list[str]:
    """Where the numbers come from."""
    header = facts.record.header
    out = ["<h3>Where the numbers come from</h3>"]
    for name, about in header["benchmarks"].items():
        lines = [
            ("benchmark", f"{name}, version {about.get('version', '?')}, fingerprint {about.get('fingerprint', '?')}"),
            ("about", str(about.get("about", ""))),
            ("stimuli", f"{about.get('n_stimuli', '?')}; {about.get('folds', '')}"),
            ("ceiling", str(about.get("ceiling_source", ""))),
            ("cite", str(about.get("citation", ""))),
            ("terms", str(about.get("licence", ""))),
        ]
        out.append("<dl>" + "".join(f"<dt>{key}</dt><dd>{escape(text)}</dd>" for key, text in lines) + "</dl>")
    versions = ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items())
    out.append(f"<p>Record <code>{escape(str(facts.record.folder))}</code>; {escape(versions)}.</p>")
    return out
