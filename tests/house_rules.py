"""Rules that no linter has: sizes, as CONTRIBUTING.md names them, and idioms that only the authors understood.

`python -m tests.house_rules` prints each breach with its place and exits with 1; `make lint` runs it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIZES = re.compile(r"Function up to (\d+) lines, module up to (\d+), up to (\d+) parameters, (\d+) with those")
OF = "bit|column|curve|folder|geometry|label|line|list|map|number|paragraph|response|row|score|set|timing|value|view"
THINGS = (
    "benchmark|case|cell|checkpoint|column|concept|control|draw|fold|language|layer|line|map|metric|model|module|name|"
    "pair|panel|part|participant|penalty|picture|presentation|probe|probed step|process|recipe|region|rise|ROI|row|run|"
    "seed|slice|source|step|stimulus|subject|test|text|token|trial|verb|view|voxel|world"
)
IDIOMS = {
    rf"\b(?:one(?: (?:{OF}))?|(?<!not )a (?:{OF})) an? (?:{THINGS})\b": "one per voxel",
    r"\b(?:is|was|were|are) told (?:of|by|from)\b": "a verb of doing, not of saying",
    r"\b(?:some|no)body\b": "what does it, or the passive",
}


def sizes() -> tuple[int, ...]:
    """Lines of a function, lines of a module, parameters without a default, parameters."""
    found = SIZES.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"CONTRIBUTING.md should name the sizes: {SIZES.pattern}")
    return tuple(map(int, found.groups()))


def too_large(path: Path, text: str) -> Iterator[str]:
    """Modules, functions (their docstrings aside) and lists of parameters beyond the sizes."""
    of_function, of_module, required, most = sizes()
    if (n_lines := text.count("\n")) > of_module:
        yield f"{path}: {n_lines} lines"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
        if length > of_function:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines"
        given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        n = len(given) - (given[:1] in (["self"], ["cls"]))
        optional = len(node.args.defaults) + sum(default is not None for default in node.args.kw_defaults)
        if n > most or n - optional > required:
            yield f"{path}:{node.lineno}: {node.name} has {n} parameters, {n - optional} without a default"


def idioms(path: Path, text: str) -> Iterator[str]:
    """Lines with an idiom of ours."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, better in IDIOMS.items():
            if found := re.search(pattern, line):
                yield f"{path}:{number}: {found.group()!r}; write {better!r}"


def breaches() -> list[str]:
    """All of them, a line each."""
    out: list[str] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        out += [*too_large(path.relative_to(ROOT), text), *idioms(path.relative_to(ROOT), text)]
    for path in sorted(
        {*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md")} - {ROOT / "DECISIONS.md", ROOT / "CHANGELOG.md"}
    ):
        out += idioms(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    return out


if __name__ == "__main__":
    found = breaches()
    print("\n".join(found))
    sys.exit(bool(found))
