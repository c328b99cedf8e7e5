"""`ontogeny data list | get | build | atlas | show | verify | export`; see `folder` for a benchmark of your own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ontogeny.cli._benchmark_folder import add_build, add_export, show_folder, verify_here
from ontogeny.cli._image_options import add_atlas
from ontogeny.datasets import SOURCES, Source, cache_folder, data_folders, find_source, is_here
from ontogeny.datasets.data_paths import check_file, locate, place
from ontogeny.datasets.manual_datasets import ELSEWHERE, Elsewhere, folder_of
from ontogeny.errors import ChecksumError, DatasetNotFoundError
from ontogeny.record import Score

__all__ = ["add_parser"]

_ABOUT = """\
Brain data and training samples by name.

Files are looked for in the folder that the environment variable ONTOGENY_DATA names (only read, never written), then in
the user's cache folder. Simulated worlds are part of the package and need no file.

  ontogeny data list                     what there is, and where it was found
  ontogeny data get kriegeskorte2008     download into the cache folder, checked by sha256
  ontogeny data show tuckute2024         stimuli, subjects, ROIs, ceilings, folds, licence, whom to cite
  ontogeny data verify tuckute2024       compare the bytes here with the pinned ones
  ontogeny data build my-benchmark ...   your own tables -> a folder, taken in place of a name everywhere
  ontogeny data atlas schaefer2018 n_rois=100 --out atlases/     for images of the brain, through nilearn
  ontogeny data export my-benchmark OUT --to datasets | rsatoolbox | xarray

show, verify and export take a folder too.
"""
_GET = """\
Download a data set from its pinned public address. A download that was cut goes on where it stopped; every file is
checked by size and sha256 before it gets its name. Prints whom to cite and the terms of use. Of a set that you get
yourself it says where, and ends with exit code 2 as long as it is not here.
"""
_SHOW = "What a data set holds and how it was made: counts, subjects, ROIs, ceilings, folds, licence, citation."
_VERIFY = (
    "Hash the files on this machine again and compare them with the pinned sha256; of a benchmark folder also read "
    "everything: ids, NaN, constant voxels, ROIs, folds. Exit code 2 if something is wrong."
)


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "data", help="list, get, build, show, verify and export data sets", description=_ABOUT, formatter_class=shape
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="what there is, and where it was found")
    listing.set_defaults(run=_list)
    get = verbs.add_parser("get", help="download, resumed and checked", description=_GET, formatter_class=shape)
    get.add_argument("name", help="see `ontogeny data list`")
    get.add_argument("--to", type=Path, default=None, help="data folder to write to (default: the cache folder)")
    get.set_defaults(run=_get)
    add_build(verbs)
    add_atlas(verbs)
    show = verbs.add_parser("show", help="what it holds, how it was made, whom to cite", description=_SHOW)
    show.add_argument("name", help="see `ontogeny data list`, or a benchmark folder")
    show.set_defaults(run=_show)
    verify = verbs.add_parser("verify", help="compare the bytes with the pinned ones", description=_VERIFY)
    verify.add_argument("name", help="see `ontogeny data list`, or a benchmark folder")
    verify.set_defaults(run=_verify)
    add_export(verbs)


def _say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _is_folder(name: str) -> bool:
    """A folder that is not called as a data set is; names come first, as in `load`."""
    return Path(name).is_dir() and name not in [source.name for source in SOURCES] and _elsewhere(name) is None


def _elsewhere(name: str) -> Elsewhere | None:
    return next((one for one in ELSEWHERE if one.name == name), None)


def _state(source: Source) -> str:
    if source.simulated:
        return "SIMULATED, embedded"
    if not is_here(source):
        some = " (some files are here)" if any(locate(f) is not None for f in source.files) else ""
        get = f"missing: ontogeny data get {source.name}"
        return (get if source.stand_in is None else "missing, no public file") + some
    found = [path.parent for f in source.files if (path := locate(f)) is not None]
    return "found in " + ", ".join(dict.fromkeys(str(folder) for folder in found))


def _list(arguments: argparse.Namespace) -> int:
    del arguments
    rows = [("NAME", "KIND", "WHERE", "WHAT")]
    rows += [(s.name, s.kind, _state(s), s.title) for s in SOURCES]
    rows += [(e.name, "benchmark", _place(e), e.title) for e in ELSEWHERE]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        _say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))
    _say(f"\nlooked in {', then '.join(str(folder) for folder in data_folders())}")
    return 0


def _place(one: Elsewhere) -> str:
    found = _found(one)
    return f"you get it: ontogeny data get {one.name} says how" if found is None else f"found in {found}"


def _found(one: Elsewhere) -> Path | None:
    return next((folder / one.name for folder in data_folders() if (folder / one.name).exists()), None)


def _explain(one: Elsewhere) -> None:
    """Where a set lies that this package does not download."""
    found = _found(one)
    _say(f"{one.name}: {one.title}")
    _say("You get it yourself; nothing was downloaded." if found is None else f"found in     {found}")
    for what in ("address", "size", "layout"):
        _say(f"{what:<12} {getattr(one, what)}")
    if found is None:
        _say(f"put it into  {data_folders()[0] / one.name}")
    _say(f"please cite  {one.citation}")
    _say(f"terms        {one.terms}")


def _get(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets.download import download

    if one := _elsewhere(arguments.name):
        _explain(one)
        return 2 if _found(one) is None else 0
    source = find_source(arguments.name)
    if source.simulated:
        _say(f"{source.name} is simulated and part of the package; there is nothing to get.")
        return 0
    for file in source.files:
        here = locate(file)
        if here is not None and arguments.to is None:
            check_file(here, file)
            _say(f"already here, sha256 is right: {here}")
        elif file.address is None:
            raise DatasetNotFoundError(
                f"{file.path} is a sample that has no public file, so it cannot be downloaded; in its place use "
                f"{source.stand_in}. Source: {source.citation}"
            )
        else:
            _say(f"{file.address}  ({file.size / 1e6:.1f} MB)")
            _say(f"wrote {download(file, arguments.to or cache_folder())}, sha256 is right")
    if arguments.to is not None:
        _say(f"to use this folder: export ONTOGENY_DATA={arguments.to.resolve()}")
    _terms(source)
    return 0


def _terms(source: Source) -> None:
    _say(f"please cite  {source.citation}")
    _say(f"terms        {source.licence}")


def _show(arguments: argparse.Namespace) -> int:
    if _is_folder(arguments.name):
        show_folder(Path(arguments.name))
        return 0
    if one := _elsewhere(arguments.name):
        _explain(one)
        return 0
    source = find_source(arguments.name)
    _say(f"{source.name}: {source.title}")
    _say(source.about)
    _say()
    if source.kind == "benchmark" and is_here(source):
        _show_benchmark(source.name)
    for file in source.files:
        path = locate(file)
        _say(f"file         {file.path}, {file.size} bytes, {'not here' if path is None else path}")
    _say(f"state        {_state(source)}")
    _terms(source)
    return 0


def _show_benchmark(name: str) -> None:
    from ontogeny.datasets import load
    from ontogeny.monitoring.preflight import describe_benchmark

    benchmark = load(name)
    prepared = benchmark.prepare()
    facts = benchmark.describe(prepared.fingerprint)
    _say("\n".join(describe_benchmark(prepared)))
    for key in ("version", "subjects", "rois", "folds", "ceiling_source"):
        value = facts[key]
        _say(f"{key.replace('_', ' '):<12} {', '.join(value) if isinstance(value, list) else value}")
    for line in _ceilings([row for row in prepared.constants(run="", n_features=16) if row.kind == "baseline"]):
        _say(line)
    _say(f"how made     {benchmark.about}")


def _ceilings(rows: Sequence[Score]) -> list[str]:
    """A line a ROI and metric: ceiling and baseline, mean over subjects."""
    lines = []
    for roi, metric in dict.fromkeys((row.roi, row.metric) for row in rows):
        group = [row for row in rows if (row.roi, row.metric) == (roi, metric)]
        bounds = [_mean([row.ceiling_lower for row in group]), _mean([row.ceiling for row in group])]
        shown = " to ".join(f"{bound:.3f}" for bound in bounds if bound is not None) or "not known"
        value = _mean([row.value for row in group])
        beside = "" if value is None else f"; {group[0].layer} alone {value:.3f}"
        lines.append(f"ceiling      {roi}, {metric}: {shown} {group[0].unit}{beside}")
    return lines


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _verify(arguments: argparse.Namespace) -> int:
    if _is_folder(arguments.name):
        return verify_here(Path(arguments.name))
    if one := _elsewhere(arguments.name):
        _say(f"{folder_of(one.name)}: no bytes of {one.name} are pinned; its reader checks what it reads.")
        return 0
    source = find_source(arguments.name)
    if source.simulated:
        _say(f"{source.name} is simulated: no files, nothing to verify.")
        return 0
    wrong = 0
    for file in source.files:
        path = locate(file)
        if path is None:
            looked = " and ".join(str(place(folder, file)) for folder in data_folders())
            _say(f"MISSING  {file.path}; looked at {looked}")
            wrong += 1
            continue
        try:
            check_file(path, file)
            _say(f"right    {path}")
        except ChecksumError as error:
            _say(f"WRONG    {error}")
            wrong += 1
    return 2 if wrong else 0
