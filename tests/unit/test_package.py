"""What is installed: the command as a module, manifests within the package, ranges that are tested."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ontogeny import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_command_is_a_module_too(tmp_path):
    run = [sys.executable, "-m", "ontogeny", "--version"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"ontogeny {__version__}"


def test_manifests_go_into_the_package():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "checkpoints": "ontogeny/checkpoints"
    }
    assert "checkpoints" in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


def test_every_lower_bound_is_the_version_of_the_lowest_constraints():
    lowest = dict(
        line.split("==") for line in (ROOT / "constraints-lowest.txt").read_text().splitlines() if "==" in line
    )
    declared = [*PROJECT["project"]["dependencies"]]
    declared += [one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra]
    bounds = dict(
        found.groups()
        for one in declared
        if (found := re.match(r"([A-Za-z][\w-]*)(?:\[\w+\])?>=([\d.]+)", one)) and found[1] != "timm"
    )
    assert len(bounds) > 30
    told = {name: (bound, lowest.get(name)) for name, bound in bounds.items()}
    below = {name: pair for name, pair in told.items() if pair[1] is None or _parts(pair[1]) < _parts(pair[0])}
    assert below == {}
    far = {n: pair for n, pair in told.items() if _parts(pair[1])[:2] != (*_parts(pair[0]), 0)[:2]}
    assert far == {}, "the tested version is another minor release than the bound"


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
