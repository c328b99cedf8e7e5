"""`ontogeny map`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ontogeny.errors import ConfigError, nearest

if TYPE_CHECKING:
    from ontogeny.neuroimaging.voxel_space import Space
    from ontogeny.record import Record
    from ontogeny.report.brain_figures import RiseMap

__all__ = ["add_parser"]

Table: TypeAlias = list[tuple[str, ...]]

_ABOUT = """\
Scores of a record back in the brain: NIfTI (GIFTI, CIFTI) images with the affine of the betas, and pictures of them.

  ontogeny map runs/a --space my-benchmark                          the last step; each ROI's best layer
  ontogeny map runs/a --space my-benchmark --step 100 --layer conv --out map.nii.gz
  ontogeny map runs/a --space my-benchmark --series --figure        all steps in one 4-D image; small multiples
  ontogeny map runs/a --space my-benchmark --rise --figure          when each ROI rises: t50 with its 95 % interval

Each voxel has the score of its ROI (its own, where the benchmark was built --voxelwise), NaN where none is; in the
metric's unit. Beside an image of several maps lies a .tsv with what each of them is. --space is a benchmark folder that
was built from images, or a label image with its table: an atlas on the betas' grid with the ROIs of the record.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "map",
        help="scores of a record back in the brain",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", type=Path, metavar="RECORD", help="a record's folder")
    parser.add_argument("--space", type=Path, required=True, metavar="FOLDER|ATLAS", help="the way back to the brain")
    parser.add_argument("--labels", type=Path, help="of an atlas: index and name (default: the .tsv beside it)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--step", type=int, help="which (default: the last)")
    what.add_argument("--series", action="store_true", help="all steps, one map each")
    what.add_argument("--rise", action="store_true", help="t50 and its 95 %% interval, and a table of them")
    parser.add_argument("--metric", help="as written in the record (default: its only one)")
    parser.add_argument("--layer", default="best", help="its name; or best: of each ROI at each step (default)")
    for name in ("subject", "pooling", "benchmark"):
        parser.add_argument(f"--{name}", help="as written in the record (default: its only one)")
    parser.add_argument("--out", type=Path, help="image to write (default: in RECORD/maps)")
    parser.add_argument(
        "--figure", action="store_true", help="a PNG beside it; with --step a column, else small multiples"
    )
    parser.add_argument("--glass", action="store_true", help="the map as a glass brain (MNI space only; nilearn)")
    parser.add_argument(
        "--mesh", type=Path, help="of a surface: .surf.gii to draw on (default: fsaverage5, of its size)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.record import Record

    record = Record(arguments.record)
    by_subject, own = _spaces(arguments, record)
    one = _chosen(arguments, record, by_subject, own)
    spaces = by_subject.get(one["subject"]) or by_subject[""]
    for space in spaces:
        for path in _write(arguments, record, space, one, alone=len(spaces) == 1):
            sys.stdout.write(f"Wrote {path}\n")
    return 0


def _spaces(arguments: argparse.Namespace, record: Record) -> tuple[dict[str, tuple[Space, ...]], dict[str, str]]:
    """Subject ("": any) -> spaces; and what else a benchmark folder says of the scores that are painted."""
    from ontogeny.datasets.folder import is_benchmark_folder
    from ontogeny.neuroimaging.voxel_space import read_space
    from ontogeny.report.brain_section import brain_of, known_in

    if not (is_benchmark_folder(arguments.space) or arguments.space.is_dir()):
        return {"": (read_space(arguments.space, labels=arguments.labels),)}, {}
    brain = brain_of(arguments.space)
    known_in(brain, [record])
    return brain.spaces, {"fingerprint": brain.fingerprint}


def _chosen(
    arguments: argparse.Namespace, record: Record, by_subject: dict[str, tuple[Space, ...]], own: dict[str, str]
) -> dict[str, Any]:
    """What makes the scores one map; what is not said must be the only one there is."""
    rows = [row for row in record.select(kind="alignment", **own) if row.value is not None]
    if not rows:
        raise ConfigError(f"{record.folder} has no alignment yet; the first probe writes some")
    one: dict[str, Any] = {"layer": arguments.layer, **own}
    for name in ("benchmark", "subject", "metric", "pooling"):
        have = list(dict.fromkeys(getattr(row, name) for row in rows))
        said = getattr(arguments, name)
        if said is not None and said not in have:
            raise ConfigError(f"--{name} {said!r} is not in this record. {nearest(said, have)}")
        if said is None and len(have) > 1:
            raise ConfigError(f"the record has {len(have)} of them: choose --{name} from {', '.join(map(repr, have))}")
        one[name] = have[0] if said is None else said
        rows = [row for row in rows if getattr(row, name) == one[name]]
    if "" not in by_subject and one["subject"] not in by_subject:
        raise ConfigError(f"{arguments.space}: subject {one['subject']!r} has no space. Choices: {sorted(by_subject)}")
    return one


def _write(
    arguments: argparse.Namespace, record: Record, space: Space, one: dict[str, Any], *, alone: bool
) -> Iterator[Path]:
    """Image, table and pictures of one space."""
    import numpy as np

    from ontogeny.neuroimaging.voxel_space import table_beside
    from ontogeny.report.brain_figures import rise_map

    risen = rise_map(record, space, **one) if arguments.rise else None
    maps, table = _maps(arguments, record, space, one) if risen is None else _rises(risen)
    path = _path(arguments, space, one, alone=alone)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = space.image(np.stack(list(maps.values())), names=list(maps))
    image.to_filename(path)
    yield path
    if table:
        beside = table_beside(path)
        beside.write_text("".join("\t".join(row) + "\n" for row in table), encoding="utf-8")
        yield beside
    yield from _pictures(arguments, record, space, one, path, risen)


def _maps(
    arguments: argparse.Namespace, record: Record, space: Space, one: dict[str, Any]
) -> tuple[dict[str, Any], Table]:
    """Title -> one value a voxel; and a table of what the maps are, where there are several."""
    from ontogeny.neuroimaging.score_maps import score_series, score_values

    if arguments.series:
        maps = score_series(record, space, **one)
        table: Table = [("map", "step"), *((str(place), str(step)) for place, step in enumerate(maps))]
        return {f"step {step}": values for step, values in maps.items()}, table
    step = _step(arguments, record)
    return {f"step {step}": score_values(record, space, step=step, **one)}, []


def _rises(risen: RiseMap) -> tuple[dict[str, Any], Table]:
    rows = [region.to_dict() for region in risen.regions]
    cells = [tuple("n/a" if value is None else str(value) for value in row.values()) for row in rows]
    return risen.titled, [tuple(rows[0]), *cells]


def _step(arguments: argparse.Namespace, record: Record) -> int:
    asked: int | None = arguments.step
    return max(row.step for row in record.select(kind="alignment")) if asked is None else asked


def _path(arguments: argparse.Namespace, space: Space, one: dict[str, Any], *, alone: bool) -> Path:
    from ontogeny.neuroimaging.image_grids import Surface, Volume
    from ontogeny.report.figures import file_stem

    grid = space.grid
    side = "" if alone or not isinstance(grid, Surface) else f"_{grid.structure}"
    endings: tuple[str, ...] = (".nii.gz", ".nii") if isinstance(grid, Volume) else (".func.gii", ".gii")
    endings = endings if isinstance(grid, Volume | Surface) else (".dscalar.nii",)
    if arguments.out is None:
        folder = arguments.record / "maps"
        what = "rise" if arguments.rise else "series" if arguments.series else "last-step"
        what = what if arguments.step is None else f"step-{arguments.step}"
        named = [one[name] for name in ("benchmark", "subject", "metric", "layer") if one[name]]
        return Path(folder / f"{file_stem(*named, what)}{side}{endings[0]}")
    for ending in endings:
        if arguments.out.name.endswith(ending):
            return Path(arguments.out.with_name(arguments.out.name.removesuffix(ending) + side + ending))
    raise ConfigError(f"--out takes a {' or '.join(endings)} file for this space, got {arguments.out}")


def _pictures(
    arguments: argparse.Namespace, record: Record, space: Space, one: dict[str, Any], path: Path, risen: RiseMap | None
) -> Iterator[Path]:
    from ontogeny.neuroimaging.voxel_space import table_beside
    from ontogeny.report.brain_figures import write_glass_brain
    from ontogeny.report.brain_section import over_training, rise_picture

    png = table_beside(path).with_suffix(".png")
    if arguments.figure and risen is not None:
        png.write_bytes(rise_picture(risen, record, space, metric=one["metric"], mesh=arguments.mesh).png)
        yield png
    elif arguments.figure:
        steps = [] if arguments.series else [_step(arguments, record)]
        png.write_bytes(over_training(record, space, steps=steps, mesh=arguments.mesh, **one).png)
        yield png
    if arguments.glass:
        if arguments.rise or arguments.series:
            raise ConfigError("--glass draws one map; give --step")
        yield write_glass_brain(path, png.with_name(f"{png.stem}_glass.png"), title=str(one["metric"]))
