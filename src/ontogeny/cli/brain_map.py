"""`ontogeny map`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Group, Parameter
from cyclopts.validators import mutually_exclusive

from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Out, Record, Selection
from ontogeny.errors import ConfigError, nearest

if TYPE_CHECKING:
    from ontogeny.neuroimaging.voxel_masks import Space
    from ontogeny.record import Record as Scores
    from ontogeny.report.brain_figures import RiseMap

__all__ = ["brain_map"]

Table: TypeAlias = list[tuple[str, ...]]
_WHAT = Parameter(group=Group("What is painted", validator=mutually_exclusive))
_BEST = "best"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """What is painted, and drawn.

    Args:
        labels: of an atlas: index and name; else the .tsv beside it.
        step: which step; the last where not given.
        series: all steps, one map each.
        rise: t50 and its 95 % interval, and a table of them.
        out: image to write; in RECORD/maps where not given.
        figure: a PNG beside it, of both hemispheres; with --series a part per step.
        mni: the volume is in MNI space: the figure shows it on the cortex (fsaverage5).
        glass: the map as a glass brain (MNI space only; nilearn).
        mesh: of a surface: .surf.gii to draw on; fsaverage5, of its size, where not given.
    """

    labels: Path | None = None
    step: Annotated[int | None, _WHAT] = None
    series: Annotated[bool, _WHAT] = False
    rise: Annotated[bool, _WHAT] = False
    out: Out = None
    figure: bool = False
    mni: bool = False
    glass: bool = False
    mesh: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One record, and all that was asked for."""

    record: Scores
    space: Path
    which: Selection
    painted: Painted


def brain_map(
    record: Record,
    /,
    *,
    space: Annotated[Path, Parameter(metavar="FOLDER|ATLAS")],
    which: Selection = Selection(),
    painted: Painted = Painted(),
) -> None:
    """Scores of a record back in the brain.

    NIfTI (GIFTI, CIFTI) images with the affine of the betas, and pictures of them.

      ontogeny map runs/a --space my-benchmark                          the last step; each ROI's best layer
      ontogeny map runs/a --space my-benchmark --step 100 --layer conv --out map.nii.gz
      ontogeny map runs/a --space my-benchmark --series --figure        all steps in one 4-D image; small multiples
      ontogeny map runs/a --space my-benchmark --rise --figure          when each ROI rises: t50, its 95 % interval

    Each voxel has the score of its ROI (its own, where the benchmark was built --voxelwise), NaN where none is; in the
    metric's unit. Beside an image of several maps lies a .tsv with what each of them is. One map is of one benchmark,
    subject, metric and pooling: the record's only one, or the one that is named; of one --layer, or of the best of each
    ROI at each step.

    Args:
        space: the way back to the brain: a benchmark folder that was built from images, or a label image with its
            table, an atlas on the betas' grid with the ROIs of the record.
    """
    from ontogeny.record import Record as Scores

    job = _Job(record=Scores(record), space=space, which=which, painted=painted)
    by_subject, own = _spaces(job)
    maps = _chosen(job, by_subject, own)
    if painted.out is not None and len(maps) > 1:
        raise ConfigError(f"--out names one image, and {len(maps)} maps are asked for; leave it out, or name one value")
    for one in maps:
        spaces = by_subject.get(one["subject"]) or by_subject[""]
        written = [path for each in spaces for path in _write(job, each, one, alone=len(spaces) == 1)]
        named = _path(job, spaces[0], one, alone=True)
        for path in [*written, *_pictures(job, spaces, one, named, written[0])]:
            say(f"Wrote {path}")


def _spaces(job: _Job) -> tuple[dict[str, tuple[Space, ...]], dict[str, str]]:
    """Subject ("": any) -> spaces; and what else a benchmark folder says of the scores that are painted."""
    from ontogeny.datasets.folder import is_benchmark_folder
    from ontogeny.neuroimaging.voxel_masks import read_space
    from ontogeny.report.brain_section import brain_of, known_in

    if not (is_benchmark_folder(job.space) or job.space.is_dir()):
        return {"": (read_space(job.space, labels=job.painted.labels),)}, {}
    brain = brain_of(job.space)
    known_in(brain, [job.record])
    return brain.spaces, {"fingerprint": brain.fingerprint}


def _chosen(job: _Job, by_subject: dict[str, tuple[Space, ...]], own: dict[str, str]) -> list[dict[str, Any]]:
    """What makes scores one map, for each map; what is not named must be the only one there is."""
    rows = [row for row in job.record.select(kind="alignment", **own) if row.value is not None]
    if not rows:
        raise ConfigError(f"{job.record.folder} has no alignment yet; the first probe writes some")
    named, each = job.which.lists, {"layer": job.which.layer or (_BEST,)}
    for name in ("benchmark", "subject", "metric", "pooling", "roi"):
        have = list(dict.fromkeys(getattr(row, name) for row in rows))
        if absent := [value for value in named.get(name, ()) if value not in have]:
            raise ConfigError(f"--{name} {absent[0]!r} is not in this record. {nearest(absent[0], have)}")
        if name == "roi":
            continue
        if name not in named and len(have) > 1:
            raise ConfigError(f"the record has {len(have)} of them: choose --{name} from {', '.join(map(repr, have))}")
        each[name] = tuple(named.get(name, have))
        rows = [row for row in rows if getattr(row, name) in each[name]]
    if absent := [subject for subject in each["subject"] if not {"", subject} & by_subject.keys()]:
        raise ConfigError(f"{job.space}: subject {absent[0]!r} has no space. Choices: {sorted(by_subject)}")
    shared = {**own, **({"roi": named["roi"]} if "roi" in named else {})}
    return [{**dict(zip(each, values, strict=True)), **shared} for values in product(*each.values())]


def _write(job: _Job, space: Space, one: dict[str, Any], *, alone: bool) -> Iterator[Path]:
    """Image, table and pictures of one space."""
    import numpy as np

    from ontogeny.neuroimaging.voxel_masks import table_beside
    from ontogeny.report.brain_figures import rise_map

    risen = rise_map(job.record, space, **one) if job.painted.rise else None
    maps, table = _maps(job, space, one) if risen is None else _rises(risen)
    path = _path(job, space, one, alone=alone)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = space.image(np.stack(list(maps.values())), names=list(maps))
    image.to_filename(path)
    yield path
    if table:
        beside = table_beside(path)
        beside.write_text("".join("\t".join(row) + "\n" for row in table), encoding="utf-8")
        yield beside


def _maps(job: _Job, space: Space, one: dict[str, Any]) -> tuple[dict[str, Any], Table]:
    """Title -> one value per voxel; and a table of what the maps are, where there are several."""
    from ontogeny.neuroimaging.score_maps import score_series, score_values

    if job.painted.series:
        maps = score_series(job.record, space, **one)
        table: Table = [("map", "step"), *((str(place), str(step)) for place, step in enumerate(maps))]
        return {f"step {step}": values for step, values in maps.items()}, table
    step = _step(job)
    return {f"step {step}": score_values(job.record, space, step=step, **one)}, []


def _rises(risen: RiseMap) -> tuple[dict[str, Any], Table]:
    rows = [region.to_dict() for region in risen.regions]
    cells = [tuple("n/a" if value is None else str(value) for value in row.values()) for row in rows]
    return risen.titled, [tuple(rows[0]), *cells]


def _step(job: _Job) -> int:
    at_step: int | None = job.painted.step
    return max(row.step for row in job.record.select(kind="alignment")) if at_step is None else at_step


def _path(job: _Job, space: Space, one: dict[str, Any], *, alone: bool) -> Path:
    from ontogeny.neuroimaging.image_grids import Surface, Volume
    from ontogeny.report.figures import file_stem

    grid = space.grid
    side = "" if alone or not isinstance(grid, Surface) else f"_{grid.structure}"
    endings: tuple[str, ...] = (".nii.gz", ".nii") if isinstance(grid, Volume) else (".func.gii", ".gii")
    endings = endings if isinstance(grid, Volume | Surface) else (".dscalar.nii",)
    if job.painted.out is None:
        folder = job.record.folder / "maps"
        what = "rise" if job.painted.rise else "series" if job.painted.series else "last-step"
        what = what if job.painted.step is None else f"step-{job.painted.step}"
        named = [one[name] for name in ("benchmark", "subject", "metric", "layer") if one[name]]
        named += one.get("roi", [])
        return Path(folder / f"{file_stem(*named, what)}{side}{endings[0]}")
    for ending in endings:
        if job.painted.out.name.endswith(ending):
            return Path(job.painted.out.with_name(job.painted.out.name.removesuffix(ending) + side + ending))
    raise ConfigError(f"--out takes a {' or '.join(endings)} file for this space, got {job.painted.out}")


def _pictures(job: _Job, spaces: tuple[Space, ...], one: dict[str, Any], named: Path, image: Path) -> Iterator[Path]:
    """One figure of all spaces (both hemispheres), and a glass brain of the first."""
    from ontogeny.neuroimaging.voxel_masks import table_beside
    from ontogeny.report.brain_figures import write_glass_brain
    from ontogeny.report.brain_section import over_training, rise_picture

    png = table_beside(named).with_suffix(".png")
    how: dict[str, Any] = {"mesh": job.painted.mesh, "mni": job.painted.mni, **one}
    if job.painted.figure and job.painted.rise:
        png.write_bytes(rise_picture(job.record, spaces, **how).png)
        yield png
    elif job.painted.figure:
        steps = [] if job.painted.series else [_step(job)]
        png.write_bytes(over_training(job.record, spaces, steps=steps, **how).png)
        yield png
    if job.painted.glass:
        if job.painted.rise or job.painted.series:
            raise ConfigError("--glass draws one map; give --step")
        yield write_glass_brain(image, png.with_name(f"{png.stem}_glass.png"), title=str(one["metric"]))
