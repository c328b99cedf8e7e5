"""`ontogeny data list | get | build | atlas | show | verify | export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ontogeny._display import fitted
from ontogeny.cli._build import build
from ontogeny.cli._image_options import atlas
from ontogeny.cli._output import print_json, print_table, say
from ontogeny.cli._vocabulary import AsJson, Out
from ontogeny.datasets.data_paths import cache_folder, check_file, data_folders, is_here, locate, place
from ontogeny.datasets.manual_datasets import ELSEWHERE, Elsewhere, folder_of
from ontogeny.datasets.pinned_datasets import SOURCES, PinnedFile, Source, find_source
from ontogeny.errors import ChecksumError, DatasetNotFoundError

__all__ = ["app"]

app = App(
    name="data",
    help="""\
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
""",
)
Name = Annotated[str, Parameter(help="see `ontogeny data list`, or a benchmark folder")]


def listing(*, as_json: AsJson = False) -> None:
    """What there is, and where it was found."""
    rows: list[tuple[str, ...]] = [(s.name, s.kind, _state(s), s.title) for s in SOURCES]
    rows += [(e.name, "benchmark" if e.tried else "untried", _place(e), e.title) for e in ELSEWHERE]
    if as_json:
        print_json([dict(zip(("name", "kind", "where", "what"), row, strict=True)) for row in rows])
        return
    print_table([("NAME", "KIND", "WHERE", "WHAT"), *rows])
    say("\nuntried: the reader agrees with public code and with made files; it was not run on all real ones")
    say(f"looked in {', then '.join(str(folder) for folder in data_folders())}")


def get(name: str, /, *, out: Out = None) -> int:
    """Download, resumed and checked.

    Download a data set from its pinned public address. A download that was cut goes on where it stopped; every file is
    checked by size and sha256 before it gets its name. Prints whom to cite and the terms of use. Of a set that you get
    yourself it says where, and ends with exit code 2 as long as it is not here.

      ontogeny data get kriegeskorte2008

    Args:
        name: see `ontogeny data list`.
        out: data folder to write to; the cache folder where not given.
    """
    from ontogeny.datasets.download import download

    if one := _elsewhere(name):
        _explain(one)
        return 2 if _found(one) is None else 0
    source = find_source(name)
    if source.simulated:
        say(f"{source.name} is simulated and part of the package; there is nothing to get.")
        return 0
    for file in source.files:
        here = locate(file)
        if here is not None and out is None:
            check_file(here, file)
            say(f"already here, sha256 is right: {here}")
        elif file.address is None:
            raise DatasetNotFoundError(
                f"{file.path} is a sample that has no public file, so it cannot be downloaded; in its place use "
                f"{source.stand_in}. Source: {source.citation}"
            )
        else:
            say(f"{file.address}  ({file.size / 1e6:.1f} MB)")
            say(f"wrote {download(file, out or cache_folder())}, sha256 is right")
    if out is not None:
        say(f"to use this folder: export ONTOGENY_DATA={out.resolve()}")
    _terms(source)
    return 0


def show(name: Name, /) -> None:
    """What it holds, how it was made, whom to cite.

    Counts, subjects, ROIs, ceilings, folds, licence, citation.

      ontogeny data show tuckute2024
    """
    if _is_folder(name):
        from ontogeny.cli._benchmark_folder import show_folder

        return show_folder(Path(name))
    if one := _elsewhere(name):
        return _explain(one)
    source = find_source(name)
    _say(f"{source.name}: {source.title}", source.about, "")
    if source.kind == "benchmark" and is_here(source):
        _show_benchmark(source.name)
    for file in source.files:
        path = locate(file)
        _say(f"  file       {file.path}, {file.size:,} bytes, {'not here' if path is None else path}")
    _say(f"  state      {_state(source)}")
    return _terms(source)


def verify(name: Name, /) -> int:
    """Compare the bytes with the pinned ones.

    Hash the files on this machine again and compare them with the pinned sha256; of a benchmark folder also read
    everything: ids, NaN, constant voxels, ROIs, folds. Exit code 2 if something is wrong.

      ontogeny data verify tuckute2024
    """
    if _is_folder(name):
        from ontogeny.cli._benchmark_folder import verify_here

        return verify_here(Path(name))
    if one := _elsewhere(name):
        say(f"{folder_of(one.name)}: no bytes of {one.name} are pinned; its reader checks what it reads.")
        return 0
    source = find_source(name)
    if source.simulated:
        say(f"{source.name} is simulated: no files, nothing to verify.")
        return 0
    wrong = [file for file in source.files if not _is_right(file)]
    return 2 if wrong else 0


def export(name: Name, out: Path, /, *, to: Literal["datasets", "rsatoolbox", "xarray"]) -> None:
    """A benchmark -> other libraries' layouts.

      datasets    OUT/: Parquet and a dataset card, as the Hugging Face hub lays them out. It is a benchmark folder too.
      rsatoolbox   OUT/: one .h5 a subject (Dataset), and rdms.h5 (RDMs) where there are geometries
      xarray       OUT/: one .nc a subject, dimensions presentation x neuroid as in Brain-Score

    Args:
        name: a benchmark folder, or a name (see `ontogeny data list`).
        out: the folder to make.
        to: layout.
    """
    from ontogeny.datasets import interchange

    for path in interchange.export(name, out, to=to):
        say(f"wrote {path}")


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


def _place(one: Elsewhere) -> str:
    found = _found(one)
    return f"not here; see: ontogeny data get {one.name}" if found is None else f"found in {found}"


def _found(one: Elsewhere) -> Path | None:
    return next((folder / one.name for folder in data_folders() if (folder / one.name).exists()), None)


def _explain(one: Elsewhere) -> None:
    """Where a set lies that this package does not download."""
    found = _found(one)
    _say(f"{one.name}: {one.title}{'' if one.tried else ' (reader untried on all real files)'}")
    _say("You get it yourself; nothing was downloaded." if found is None else f"  found in   {found}")
    for what in ("address", "size", "layout"):
        _say(f"  {what:<10} {getattr(one, what)}")
    if found is None:
        _say(f"  put into   {data_folders()[0] / one.name}")
    _say(f"  cite       {one.citation}", f"  terms      {one.terms}")


def _terms(source: Source) -> None:
    _say(f"  cite       {source.citation}", f"  terms      {source.licence}")


def _say(*lines: str) -> None:
    """In the one layout of this verb, wrapped."""
    say("\n".join(fitted(lines)))


def _show_benchmark(name: str) -> None:
    from ontogeny.datasets import load
    from ontogeny.monitoring.preflight import describe_benchmark

    benchmark = load(name)
    prepared = benchmark.prepare()
    facts = benchmark.describe(prepared.fingerprint)
    _say(*describe_benchmark(prepared), f"  subjects   {', '.join(facts['subjects'])}")
    _say(f"  ceilings   {facts['ceiling_source']}", f"  how made   {benchmark.about}")


def _is_right(file: PinnedFile) -> bool:
    path = locate(file)
    if path is None:
        say(f"MISSING  {file.path}; looked at {' and '.join(str(place(folder, file)) for folder in data_folders())}")
        return False
    try:
        check_file(path, file)
    except ChecksumError as error:
        say(f"WRONG    {error}")
        return False
    say(f"right    {path}")
    return True


app.command(listing, name="list")
for _verb in (get, show, verify, build, atlas, export):
    app.command(_verb)
