"""Markdown pages whose code blocks are run: found, sorted by section, run or checked.

    <!-- not run: REASON -->       before a block: it cannot run here; its names and options are checked all the same
    <!-- before each section -->   before a block: it is run before every section of its page
    <!-- after: SECTION -->        in a section: that one is run first, in the same folder

A Python block is executed; one that begins with `# name.py` is written to that file, as is a YAML block that begins
with `# name.yaml`. Of shell blocks `ontogeny` is run in this process, all other commands are checked against what they
name.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import CycloptsError

from ontogeny.cli import main, parse
from ontogeny.errors import OntogenyError

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("python", "sh", "yaml", "text")
_FENCE = re.compile(r"^( *)```([a-z]*)$")
_NOT_RUN, _EACH, _AFTER = "<!-- not run: ", "<!-- before each section -->", "<!-- after: "
_FILE = re.compile(r"# ([\w.-]+\.(?:py|yaml))$")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    section: str
    language: str
    code: str
    why_not: str = ""
    each: bool = False

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file that it is written to, "" where it is run."""
        found = _FILE.match(self.code.partition("\n")[0])
        return found.group(1) if found else ""


def pages() -> list[Path]:
    """Every README that git knows of or would take, and CONTRIBUTING.md."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    found = {ROOT / name for name in names if name.rpartition("/")[2] == "README.md"}
    found = found or {*ROOT.glob("*/README.md"), *ROOT.glob("tests/*/README.md")}
    return sorted(path for path in found | {ROOT / "README.md", ROOT / "CONTRIBUTING.md"} if path.exists())


def blocks(text: str, page: str) -> list[Block]:
    out: list[Block] = []
    section, before, code = "", "", None
    language, start, indent = "", 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if code is not None:
            if fence and not fence.group(2) and len(fence.group(1)) == indent:
                why = before.removeprefix(_NOT_RUN).removesuffix("-->").strip() if before.startswith(_NOT_RUN) else ""
                out.append(Block(page, start, section, language, "\n".join(code) + "\n", why, before == _EACH))
                code, before = None, ""
            else:
                code.append(line[indent:])
        elif fence:
            code, language, start, indent = [], fence.group(2), number, len(fence.group(1))
        elif line.startswith("## "):
            section = line[3:].strip()
        elif line.strip():
            before = line.strip()
    assert code is None, f"{page}:{start}: the block has no end"
    return out


def sections(text: str, page: str) -> dict[str, list[Block]]:
    """Title -> the blocks to be run: those before each section, those of the sections that it comes after, its own."""
    found = blocks(text, page)
    after = dict(_followed(text))
    missing = {title for titles in after.values() for title in titles} - {block.section for block in found}
    assert not missing, f"{page}: there is no section {missing} with a block"

    def of(title: str) -> list[Block]:
        earlier = [block for other in after.get(title, ()) for block in of(other)]
        own = [block for block in found if block.section == title and not block.each]
        return [*dict.fromkeys([*earlier, *own])]

    first = [block for block in found if block.each]
    titles = dict.fromkeys(block.section for block in found if not block.each)
    return {title: [*first, *of(title)] for title in titles}


def _followed(text: str) -> Iterator[tuple[str, list[str]]]:
    section: str = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif line.startswith(_AFTER):
            yield section, [title.strip() for title in line.removeprefix(_AFTER).removesuffix("-->").split(";")]


def run(block: Block, names: dict[str, Any]) -> None:
    """Run or check one block in the current folder; `names` is what earlier blocks have defined.

    Raises:
        AssertionError: the command failed, or names what is not there.
    """
    assert block.language in LANGUAGES, f"{block.where}: a block is one of {LANGUAGES}, got {block.language!r}"
    if block.language == "python":
        _python(block, names)
    elif block.language == "yaml":
        assert yaml.safe_load(block.code) is not None, block.where
        if block.file:
            Path(block.file).write_text(block.code)
    elif block.language == "sh":
        for command in commands(block):
            _command(command, block)


def _python(block: Block, names: dict[str, Any]) -> None:
    source = "\n" * block.line + block.code
    if block.why_not:
        check_names(ast.parse(source), block.where)
    elif block.file:
        Path(block.file).write_text(block.code)
        compile(source, block.where, "exec")
    else:
        exec(compile(source, block.where, "exec"), names)


def commands(block: Block) -> list[list[str]]:
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _command(words: list[str], block: Block) -> None:
    settings = dict(word.split("=", 1) for word in words[: _settings(words)])
    words = words[len(settings) :]
    check = {
        "ontogeny": _ontogeny,
        "make": _make,
        "python": _script,
        "torchrun": _script,
        "sbatch": _script,
        "pip": _pip,
    }
    assert words[0] in check, f"{block.where}: nothing here checks the command {words[0]!r}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        check[words[0]](words, block)


def _settings(words: list[str]) -> int:
    return next(i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word))


def _ontogeny(words: list[str], block: Block) -> None:
    if block.why_not:
        parsed(words[1:], block.where)
    else:
        code = main(words[1:])
        assert code == 0, f"{block.where}: {' '.join(words)}: exit code {code}"


def parsed(words: list[str], where: str) -> None:
    """The command line takes these words, and the files of this project that they name; nothing is run."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            parse(words)
    except (CycloptsError, OntogenyError) as error:
        raise AssertionError(f"{where}: ontogeny {' '.join(words)} is not understood: {error}") from error


def _make(words: list[str], block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(words[1:]) <= targets, f"{block.where}: make has no {set(words[1:]) - targets}"


def _script(words: list[str], block: Block) -> None:
    """A script of the project: it is there, and each option is written in it or beside it. Its own tests run it."""
    if "-m" in words[:2]:
        spec = importlib.util.find_spec(words[2])
        assert spec is not None, f"{block.where}: there is no module {words[2]}"
        if words[2] == "tests.timings":
            timings = importlib.import_module("tests.timings.__main__")
            known = {*timings.PARTS, *timings.LONG}
            assert set(words[3:]) <= known, f"{block.where}: timings have no part {set(words[3:]) - known}"
        return
    place = next(i for i, word in enumerate(words) if re.search(r"\.(py|slurm)$", word))
    script = ROOT / words[place]
    assert script.is_file(), f"{block.where}: there is no {words[place]}"
    if script.suffix == ".slurm":
        parsed(["replay", *words[place + 1 :]], block.where)
        return
    source = script.read_text()
    beside = [script.with_name(f"{name}.py") for name in re.findall(r"^from (\w+) import", source, re.MULTILINE)]
    source += "".join(path.read_text() for path in beside if path.is_file())
    foreign = "parse_known_args" in source or "LightningCLI" in source or "HfArgumentParser" in source
    unknown = [word for word in words[place + 1 :] if word.startswith("--") and f'"{word}"' not in source]
    assert foreign or not unknown, f"{block.where}: {words[place]} has no {unknown}"


def _pip(words: list[str], block: Block) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {name for word in words for found in re.findall(r"\[([\w,-]+)\]", word) for name in found.split(",")}
    assert words[1] == "install", block.where
    assert wanted <= extras.keys(), f"{block.where}: there is no extra {wanted - extras.keys()}"


def check_names(tree: ast.Module, where: str) -> None:
    """What is imported from this package is there, and its calls take their keywords."""
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                top = importlib.import_module(alias.name.partition(".")[0])
                known[alias.asname or alias.name.partition(".")[0]] = module if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = importlib.import_module(str(node.module))
                assert hasattr(module, alias.name), f"{where}: {node.module} has no {alias.name}"
                known[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := _resolved(node.func, known, where)) is not None:
            unknown = {word.arg for word in node.keywords if word.arg} - _keywords(called)
            assert not unknown, f"{where}: {ast.unparse(node.func)} takes no {unknown}"


def _resolved(node: ast.expr, known: Mapping[str, Any], where: str) -> Any:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := _resolved(node.value, known, where)) is not None:
        assert hasattr(owner, node.attr), f"{where}: {ast.unparse(node.value)} has no {node.attr}"
        return getattr(owner, node.attr)
    return None


def _keywords(called: Any) -> set[str]:
    """Names of what it takes; of `**options` those that it declares."""
    hints = inspect.signature(called).parameters.values()
    named = {p.name for p in hints if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if any(p.kind is p.VAR_KEYWORD for p in hints):
        from ontogeny.monitoring.factory import Options

        named |= set(Options.__annotations__)
    return named


def anchors(text: str) -> set[str]:
    """What a link to a heading of this page may name, as GitHub makes it."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def dead_links(path: Path) -> list[str]:
    """Links of a page to files or headings that are not there; other sites are not asked."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        target = Path(os.path.normpath(path.parent / file)) if file else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    return dead
