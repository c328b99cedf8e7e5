"""The first screen and the page as their readers see them: five answers, print, phone, dark, very many regions."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.helpers.page_records import STEPS, world, write_world
from tests.unit.report.test_page import browse

from ontogeny.errors import RecordError
from ontogeny.lag import rise_time
from ontogeny.record.progress import progress_events
from ontogeny.report import write_report

PER_STEP = 2_097_152
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)"),
]


def chromium(page: Path, *options: str) -> None:
    with tempfile.TemporaryDirectory() as profile:
        common = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=20000")
        command = ["chromium", *common, f"--user-data-dir={profile}", *options, page.as_uri()]
        subprocess.run(command, capture_output=True, timeout=120, check=True)


def corner(path: Path) -> tuple[int, ...]:
    """Colour of the page's corner."""
    with Image.open(path) as picture:
        return tuple(picture.convert("RGB").getpixel((picture.width - 1, 0)))


def short(folder: Path) -> Path:
    steps = STEPS[:33]
    return write_world(folder, world({"IT": 400.0}, steps=steps), steps=steps, loss_half=4000).folder


ANSWERS = {
    "yes": (lambda folder: write_world(folder, world({"IT": 770.0})).folder, "Yes, in this run: the model is half-way"),
    "no": (lambda folder: write_world(folder, world({"IT": 3000.0}), loss_half=800).folder, "No: in this run the loss"),
    "tie": (lambda folder: write_world(folder, world({"IT": 1800.0})).folder, "Cannot be told: no lead"),
    "young": (short, "Not yet: the loss is still changing"),
    "low": (
        lambda folder: write_world(folder, world({"IT": 770.0}, top=0.05)).folder,
        "Nothing to time: alignment with IT is not above pixels alone",
    ),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=browser) for name in ANSWERS])
def test_chromium_shows_each_of_the_five_answers_as_the_only_heading_of_its_level(tmp_path, name):
    make, said = ANSWERS[name]
    files = write_report(make(tmp_path / name))
    dom, console = browse(files.html)
    (heading,) = re.findall(r"<h1>(.*?)</h1>", dom)
    assert heading == files.answers[0]
    assert heading.startswith(said)
    assert 'data-state="failed"' not in dom
    assert not console, console
    assert len(re.findall('<ul class="four"><li', dom)) == 1
    if name in ("low", "young"):
        assert "fewer steps" not in dom[dom.index("<main>") : dom.index('id="curves"')].split("<figcaption")[0]


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    halves = {"V1": None, "V2": 1200.0, "V4": 1000.0, "LO": 900.0, "IT": 770.0, "PFC": 650.0}
    gone = [("b", "IT", 30)]
    deep = tmp_path_factory.mktemp("six") / ("a_name_longer_than_a_phone_is_wide_" * 4) / "six"
    record = write_world(deep, world(halves), missing=gone)
    record.append([row for s in STEPS for row in progress_events({"tokens": PER_STEP * s}, run=record.run, step=s)])
    return write_report(record.folder)


def test_of_several_regions_without_a_declared_one_the_answer_counts_them(six, tmp_path):
    assert six.answers[0].startswith("Yes, in 5 of 6 regions: half-way to the alignment in 1.")
    declared = write_report(six.html.parent, tmp_path / "out", primary="IT:ridge-gcv")
    assert declared.answers[0].startswith("Yes, in this run: the model is half-way to its alignment with IT in 2.")
    text = declared.html.read_text(encoding="utf-8")
    assert "The same holds in 5 of 6 regions" in text
    for wrong, message in (("IX", "no such ROI"), ("IT:nope", "no metric 'nope'"), ("IT:ridge-gcv:h.99", "no layer")):
        with pytest.raises(RecordError, match=message):
            write_report(six.html.parent, tmp_path / "out", primary=wrong)


def test_the_answer_and_lag_say_the_half_points_in_tokens_where_they_are_known(six, tmp_path, capsys):
    from ontogeny.cli import main

    declared = write_report(six.html.parent, tmp_path / "out", primary="IT:ridge-gcv")
    text = declared.html.read_text(encoding="utf-8")
    found = re.search(r"step (\d+) against ([\d,]+)\. That is ([\d.]+) billion against ([\d.]+) billion tokens", text)
    steps = [int(found.group(i).replace(",", "")) for i in (1, 2)]
    assert [float(found.group(i)) for i in (3, 4)] == pytest.approx([PER_STEP * s / 1e9 for s in steps], abs=0.051)
    words = ["--roi", "IT", "--layer", "transformer.h.4.mlp", "--surrogates", "19"]
    assert main(["lag", str(six.html.parent), *words]) == 0
    assert (
        f"half-way         {found.group(3)} billion against {found.group(4)} billion tokens" in capsys.readouterr().out
    )


def test_of_several_seeds_half_points_levels_and_layers_are_means_over_runs(tmp_path):
    seeds = [
        write_world(tmp_path / "runs" / f"s{i}", world({"IT": 700.0 + 100 * i}, layers=3, seed=i), seed=i)
        for i in range(3)
    ]
    files = write_report(tmp_path / "runs")
    text = files.html.read_text(encoding="utf-8")
    assert files.answers[0].startswith("Yes, over 3 runs: the model is half-way to its alignment with IT in")
    expected = []
    for columns in ({"roi": "IT", "layer": "transformer.h.0.mlp"}, {"kind": "task", "metric": "loss"}):
        curves = [record.series(**columns) for record in seeds]
        sign = -1 if "kind" in columns else 1  # the loss falls
        expected.append(np.mean([rise_time(c.steps, sign * c.values).log10 for c in curves]))
    said = dict.fromkeys(re.findall(r'"text":"half-way, step ([\d,]+)"', text))
    drawn = [int(step.replace(",", "")) for step in said]
    assert np.log10(np.asarray(drawn) + 1) == pytest.approx(expected, abs=0.01)
    gap = float(re.search(r'"gap":"([\d.]+)(?:×|\\u00d7) fewer steps"', text).group(1))
    assert np.log10(gap) == pytest.approx(expected[1] - expected[0], abs=0.03)
    last = [[np.mean([s.value for s in r.select(kind="alignment", layer=layer, step=STEPS[-1])]) for r in seeds]
            for layer in ("transformer.h.0.mlp", "transformer.h.2.mlp")]  # fmt: skip
    table = (tmp_path / "runs" / "tables" / "layers.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert "−" not in table, "programs read a hyphen"
    assert [row["runs"] for row in rows] == ["3"] * 3
    shown = {row["layer"]: row["last step"] for row in rows}
    for layer, values in zip(("transformer.h.0.mlp", "transformer.h.2.mlp"), last, strict=True):
        assert shown[layer] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(3):.3f}"
    assert "Mean over 3 runs; pick one above." in text


def test_the_curve_that_a_benchmark_declares_is_the_answer(tmp_path):
    record = write_world(tmp_path / "r", world({"V1": 300.0, "IT": 3000.0}), header={"primary": "IT"})
    assert write_report(record.folder).answers[0].startswith("No: in this run the loss")
    asked = write_report(record.folder, tmp_path / "out", primary="V1")
    assert asked.answers[0].startswith("Yes, in this run: the model is half-way to its alignment with V1")


def test_page_and_command_line_agree_on_a_curve_with_a_missing_value(six, capsys):
    from ontogeny.cli import main

    text = six.html.read_text(encoding="utf-8")
    assert "1 step (3,332) lacks a subject and is left out" in text
    layer = "transformer.h.4.mlp"
    assert main(["lag", str(six.html.parent), "--roi", "IT", "--layer", layer, "--surrogates", "19"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "dips" not in said
    assert "1 step (3,332) lacks a subject and is left out" in said
    low, high = re.search(r"95 % interval (\d\.\d\d) to (\d\.\d\d)×", said).groups()
    assert re.search(rf"2\.\d\d \[{low}, {high}\]", text)


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)")
def test_every_row_of_every_table_is_printed(six, tmp_path):
    pdf = tmp_path / "page.pdf"
    chromium(six.html, f"--print-to-pdf={pdf}")
    text = six.html.read_text(encoding="utf-8")
    rows = text[text.index("<main>") : text.index("</main>")].count("<tr>")
    assert rows > 40
    assert len(re.findall(rb"/S /TR\b", pdf.read_bytes())) == rows


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)")
def test_a_phone_shows_no_more_than_its_width_and_the_dark_is_dark(six, tmp_path):
    told = """
      const text = (what) => (document.body.textContent.match(what) || []).length;
      const before = [text(/training step \\(log scale\\)/g), text(/tokens \\(log scale\\)/g)];
      const axis = document.getElementById('axis-form').elements.axis;
      axis.value = 'tokens';
      axis.dispatchEvent(new Event('change', { bubbles: true }));
      setTimeout(() => { document.title = ['w' + document.documentElement.scrollWidth, ...before,
        text(/tokens \\(log scale\\)/g), text(/half-way, 1\\.6B tokens/g)].join(' '); }, 4000);"""
    probe = f"<script type=module>addEventListener('load', () => setTimeout(() => {{ {told} }}, 3000))</script>"
    narrow = tmp_path / "narrow.html"
    text = six.html.read_text(encoding="utf-8")
    narrow.write_text(text.replace("<main>", f"{probe}<main>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    watch = "setInterval(()=>{document.title=f.contentDocument?.title||''},500)"
    frame.write_text(
        f'<iframe id=f width=390 height=800 style="border:0" src="narrow.html"></iframe><script>{watch}</script>'
    )
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        command += [f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", frame.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    width, steps, none, tokens, half = map(int, re.search(r"<title>w([\d ]+)</title>", dom).group(1).split())
    assert width <= 390
    assert none == 0
    assert tokens >= 3, "each chart that was drawn over steps has the other axis after its choice"
    assert half == 1
    assert steps >= tokens
    pictures = {}
    for name, option in (("light", "--window-size=800,300"), ("dark", "--force-dark-mode")):
        path = tmp_path / f"{name}.png"
        chromium(six.html, "--window-size=800,300", option, f"--screenshot={path}")
        pictures[name] = corner(path)
    assert min(pictures["light"]) > 240
    assert max(pictures["dark"]) < 60


def test_figures_are_as_wide_as_a_journal_prints_and_no_text_is_too_small(six):
    sizes = {}
    for path in six.html.parent.glob("figures/*.svg"):
        text = path.read_text(encoding="utf-8")
        width = float(re.search(r'<svg[^>]* width="([\d.]+)"', text).group(1))
        smallest = min(float(size) for size in re.findall(r'font-size="([\d.]+)(?:px)?"', text))
        sizes[path.name] = (width, smallest)
    assert len(sizes) > 5
    assert max(width for width, _ in sizes.values()) < 720, sizes
    assert min(size for _, size in sizes.values()) >= 9, sizes  # 7 pt at 183 mm


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium (Debian: apt install chromium)")
def test_180_regions_of_60_layers_are_a_light_page(tmp_path):
    halves = {f"ROI{i:03d}": None if i % 9 == 0 else 100.0 + 40 * i for i in range(180)}
    steps = STEPS[:: len(STEPS) // 40 or 1][:40]
    record = write_world(tmp_path / "big", world(halves, steps=steps, layers=60), steps=steps)
    start = time.process_time()
    files = write_report(record.folder)
    assert time.process_time() - start < 90  # 30 s on a free core
    assert files.html.stat().st_size < 10e6
    start = time.perf_counter()
    dom, console = browse(files.html)
    assert time.perf_counter() - start < 15  # 3 s on a free core, start included
    assert set(re.findall(r'data-state="(\w+)"', dom)) == {"drawn"}
    assert not console, console
    assert "12 of 180 regions are drawn" in dom
    assert dom.count("<tr>") > 180
