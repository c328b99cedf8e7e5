"""Every block of code in every README runs; what cannot run here says why, and its names and options exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.helpers import pages
from tests.helpers.pages import ROOT, Block

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages.pages()}
SECTIONS = {
    f"{page}: {title}": run for page, text in TEXTS.items() for title, run in pages.sections(text, page).items()
}


def block(code: str, language: str = "sh", why_not: str = "") -> Block:
    return Block("page.md", 1, "Section", language, code, why_not)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of trainers and trackers, about runs as short as these
@pytest.mark.parametrize("section", SECTIONS)
def test_the_blocks_of_a_section_run(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("ontogeny._messages._as_error", lambda _: None)
    monkeypatch.setitem(sys.modules, "page", page := ModuleType("page"))  # where dataclasses look for their names
    try:
        for one in SECTIONS[section]:
            pages.run(one, page.__dict__)
    finally:
        for path in tmp_path.glob("*.py"):
            sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    assert pages.dead_links(ROOT / page) == []


def test_the_first_page_is_short_and_its_first_block_too():
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= 150
    first = next(one for one in pages.blocks(TEXTS["README.md"], "README.md") if one.language == "python")
    assert len([line for line in first.code.splitlines() if line.strip()]) <= 12
    assert not first.why_not


def test_every_folder_of_scripts_has_a_page():
    assert set(TEXTS) >= {
        f"{room}/README.md" for room in ("recipes", "configs", "checkpoints", "analysis", "tests/timings")
    }


def test_all_recipes_and_options_are_on_their_pages():
    from ontogeny.monitoring.factory import Options

    recipes = TEXTS["recipes/README.md"]
    assert [
        p.name for p in (ROOT / "recipes").iterdir() if p.suffix in (".py", ".slurm") and p.name not in recipes
    ] == []
    assert [option for option in Options.__annotations__ if f"`{option}`" not in recipes] == []


def test_all_columns_of_a_score_are_explained():
    from ontogeny.record.score import COLUMNS, Kind

    text = TEXTS["recipes/README.md"].partition("## What a score row is")[2].partition("\n## ")[0]
    assert [name for name in COLUMNS if f"| `{name}`" not in text] == []
    assert [kind for kind in Kind.__args__ if f"`{kind}`" not in text] == []


def test_messages_in_troubleshooting_are_those_of_the_code():
    text = TEXTS["recipes/README.md"].partition("## Troubleshooting")[2].partition("\n## ")[0]
    source = " ".join(
        " ".join(path.read_text(encoding="utf-8").replace('"\n', "\n").split()) for path in (ROOT / "src").rglob("*.py")
    )
    source = source.replace('" f"', "").replace(' f"', " ").replace(' "', " ")
    quoted = [row.split("|")[1].strip().strip("`") for row in text.splitlines() if row.startswith("| `")]
    assert len(quoted) >= 15
    parts = [part.strip() for message in quoted for part in message.split("...") if part.strip()]
    assert [part for part in parts if part not in source] == []


def test_every_decision_has_one_number_and_one_room_and_those_that_are_named_are_there():
    text = (ROOT / "DECISIONS.md").read_text(encoding="utf-8")
    numbers = [int(n) for n in re.findall(r"^### (\d+)\. ", text, re.MULTILINE)]
    rooms = [int(n) for row in re.findall(r"^\| [^|]+ \| ([\d, ]+) \|$", text, re.MULTILINE) for n in row.split(",")]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert rooms == numbers
    named = [int(n) for n in re.findall(r"[Ss]uperseded[^.:\n]* by (\d+)|DECISIONS (\d+)", text) for n in n if n]
    assert named
    assert set(named) <= set(numbers)


def test_every_release_says_which_scores_changed():
    releases = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(releases) >= 2
    assert [text.partition("\n")[0] for text in releases if "### Scores changed" not in text] == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (block("assert 1 == 2", "python"), ""),
        (block("from ontogeny import wach", "python", "no hub"), "has no wach"),
        (
            block("import ontogeny\nontogeny.watch('x', record='r', layer='a')", "python", "no hub"),
            "takes no {'layer'}",
        ),
        (block("import ontogeny\nontogeny.lag.lead([], [], [])", "python", "no hub"), "has no lead"),
        (block("ontogeny replay a --benchmrk b", why_not="no hub"), "is not understood"),
        (block("ontogeny repaly a", why_not="no hub"), "is not understood"),
        (block("ontogeny data show no-such-set"), "exit code 2"),
        (block("make no-such-target"), "make has no"),
        (block("python recipes/no_such.py"), "there is no recipes/no_such.py"),
        (block("python recipes/plain_loop.py --speed 3"), "has no ['--speed']"),
        (block("python -m tests.timings no-such-part"), "timings have no part"),
        (block("pip install '.[no-such-extra]'"), "there is no extra"),
        (block("rm -rf x"), "nothing here checks"),
        (block("x: [", "yaml"), ""),
        (block("x", ""), "a block is one of"),
    ],
    ids=lambda value: value.code if isinstance(value, Block) else "",
)
def test_a_block_that_is_wrong_is_found(wrong, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as found:  # noqa: PT011 - each kind of block fails in its own way
        pages.run(wrong, {})
    assert what in str(found.value)


def test_sections_take_what_comes_before_them():
    text = (
        "# Page\n\n<!-- before each section -->\n\n```python\na = 1\n```\n\n## One\n\n```python\nb = a\n```\n\n"
        "## Two\n\n<!-- after: One -->\n\n<!-- not run: no hub -->\n```sh\nontogeny data list\n```\n"
    )
    found = pages.sections(text, "page.md")
    assert {title: [one.code for one in run] for title, run in found.items()} == {
        "One": ["a = 1\n", "b = a\n"],
        "Two": ["a = 1\n", "b = a\n", "ontogeny data list\n"],
    }
    assert [one.why_not for one in found["Two"]] == ["", "", "no hub"]


def test_dead_links_are_found(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# A page\n\n[a](README.md#a-page) [b](#no-page) [c](gone.md) [d](https://example.org)\n")
    assert pages.dead_links(Path(page)) == ["#no-page", "gone.md"]
