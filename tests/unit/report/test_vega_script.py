"""The page's script: bundled once, kept on disk, never taken in part."""

from __future__ import annotations

import pytest

from ontogeny.report import _vega_script
from ontogeny.report._vega_script import vega_script


@pytest.fixture
def bundled(monkeypatch, tmp_path):
    """How often it was bundled; the folder where it is kept."""
    vl_convert, calls = pytest.importorskip("vl_convert"), []
    monkeypatch.setattr(_vega_script, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda **_: calls.append(1) or "let vega = 'ä';")
    vega_script.cache_clear()
    yield calls, tmp_path / "report"
    vega_script.cache_clear()


def made():
    vega_script.cache_clear()
    return vega_script()


def test_it_is_bundled_once_for_all_processes(bundled):
    calls, folder = bundled
    first = made()
    assert first.startswith("let vega = 'ä';")
    assert made() == first
    assert len(calls) == 1
    assert [path.suffix for path in folder.iterdir()] == [".js"]


@pytest.mark.parametrize("spoilt", [b"let vega", b"", b"\xff\xfe"])
def test_a_part_is_bundled_anew(bundled, spoilt):
    calls, folder = bundled
    first = made()
    next(folder.iterdir()).write_bytes(spoilt)
    assert made() == first
    assert made() == first
    assert len(calls) == 2


def test_where_nothing_can_be_written_each_process_bundles_its_own(bundled):
    calls, folder = bundled
    folder.write_text("a file in its place")
    assert made() == made()
    assert len(calls) == 2
