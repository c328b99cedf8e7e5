"""Vega and Vega-Lite as one script, for pages that need no network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ontogeny._atomic_write import atomic_write
from ontogeny.datasets.data_paths import cache_folder
from ontogeny.errors import RecordError, require
from ontogeny.report.figures import vegalite

__all__ = ["vega_script"]

_WHOLE = "\n// whole\n"


@cache
def vega_script() -> str:
    """The script, bundled by vl-convert: two seconds of work, the same for every page, so it is kept on disk.

    It lies in the user's cache folder under the versions that it is made of; where that cannot be written, it is
    bundled by each process.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    convert = require("vl_convert", "report")
    path = cache_folder() / "report" / f"vega-{convert.__version__}-{vegalite()}.js"
    kept = _kept(path)
    if kept:
        return kept
    script = str(convert.javascript_bundle(vl_version=vegalite())) + _WHOLE
    _keep(path, script)
    return script


def _kept(path: Path) -> str:
    """What is there; "" where nothing is, or a part."""
    try:
        script = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return script if script.endswith(_WHOLE) else ""


def _keep(path: Path, script: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as handle:
            handle.write(script.encode())
    except (OSError, RecordError):
        return
