"""`ontogeny data build | atlas`: a benchmark folder from plain tables, or from images of the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from ontogeny.cli._benchmark_folder import show_folder, verify_here
from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Names, Pairs, Seed
from ontogeny.errors import ConfigError, nearest

if TYPE_CHECKING:
    from ontogeny.datasets.own_data.build_benchmark import About
    from ontogeny.datasets.own_data.image_files import Images

__all__ = ["atlas", "build"]

_IMAGES = Group(
    "Images of the brain, in place of --responses and --rois",
    help="FILE is of the subject in its name (sub-01_...), of SUBJECT in SUBJECT=FILE, or (table, atlas) of all.",
)
_Files = Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="[SUBJECT=]FILE")]
_FileOfSubject = Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="SUBJECT=FILE")]
_Rdms = Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="SUBJECT:ROI=FILE")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What the benchmark is made of.

    Args:
        stimuli: table, or folder of pictures; with --bids DIR/stimuli where not given.
        responses: one file per subject.
        rois: one row per voxel.
        geometry: RDMs instead of voxels.
        metric: ridge, rsa, cka, cknna, mutual-knn, cycle-knn.
        drop_bad_voxels: leave out NaN, constant and unlabelled voxels.
    """

    stimuli: Path | None = None
    responses: _FileOfSubject = ()
    rois: _FileOfSubject = ()
    geometry: _Rdms = ()
    metric: Annotated[Names, Parameter(alias="--metrics")] = ()
    drop_bad_voxels: bool = False


@Parameter(name="*", group="What nobody can read off the numbers")
@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What nobody can read off the numbers.

    Args:
        name: stable name, part of every score's key; the folder's where not given.
        citation: whom to cite.
        licence: under which terms the data come.
        about: how the responses were made, one paragraph.
        version: grows when scores change.
        simulated: the responses were computed, not measured.
        ceiling: highest Pearson r the noise allows, or how it is made from repeats; else the ROI table's column.
        ceiling_source: how ceilings were made.
    """

    name: str = ""
    citation: str = ""
    licence: str = ""
    about: str = ""
    version: str = "1"
    simulated: bool = False
    ceiling: Annotated[
        float | Literal["ncsnr", "split-half"] | None, Parameter(metavar="R|ncsnr|split-half", show_choices=False)
    ] = None
    ceiling_source: str = "given with the data"


@Parameter(name="*", group="Folds")
@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How stimuli are split.

    Args:
        groups: stimulus column with groups that folds must not split. folds: shuffled (of independent stimuli),
        groups (never split), contiguous (in the table's order), column (fold). n_folds: how many. seed: of shuffled
        folds.
    """

    groups: Annotated[str | None, Parameter(metavar="COLUMN")] = None
    folds: Literal["shuffled", "groups", "contiguous", "column"] | None = None
    n_folds: int = 5
    seed: Seed = 0


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


def build(
    folder: Path,
    /,
    *,
    tables: Tables = Tables(),
    facts: Facts = Facts(),
    split: Folds = Folds(),
    images: ImageOptions = ImageOptions(),
    overwrite: bool = False,
) -> int:
    r"""Your own tables -> a benchmark folder.

    From plain tables, or from images of the brain, to a verified benchmark folder, which every command and callback
    takes in place of a name.

      ontogeny data build my-benchmark --stimuli stimuli.csv \
          --responses s1=s1.npy s2=s2.npy --rois s1=s1_rois.csv s2=s2_rois.csv \
          --citation "Us (2026)" --licence CC-BY-4.0 --about "How the responses were made."

      ontogeny data build my-benchmark --stimuli images/ --table sub-01_events.tsv \
          --betas sub-01_stat-beta_statmap.nii.gz --atlas sub-01_dseg.nii.gz \
          --citation "Us (2026)" --licence CC-BY-4.0 --about "How the betas were made."

      ontogeny data build my-benchmark --bids derivatives/ --stimuli images/ ...      all subjects, found by their names

    stimuli    .csv, .tsv or .parquet with stimulus_id and text, or stimulus_id and image (paths beside the table); or a
               folder of pictures, called by their file names and ordered by the numbers in them (2.png before 10.png);
               photographs are turned as their EXIF says. Other columns are kept.
    responses  .npy or .safetensors (tensor "responses"), stimuli x voxels with rows in the order of the stimuli, or
               repeats x stimuli x voxels (NaN where a stimulus has fewer repeats): the mean is scored, the repeats
               are kept. Or a table with stimulus_id and one column a voxel: then rows are matched by id. Columns
               without a name, and those that tables use otherwise (onset, run, repeat, ...), are no voxels; what
               was taken is listed.
    rois       a table with one row a voxel: roi [, ceiling] [, x, y, z, ...]; empty and 0 are no region. Without a
               table all voxels are one ROI.
    geometry   in place of voxels: SUBJECT:ROI=rdm.npy, stimuli x stimuli; the vector of its pairs, as pdist gives
               it; or sessions x stimuli x stimuli, of which the mean is taken. A diagonal that is not 0
               (crossnobis) is set to 0.
    images     4-D NIfTI (or CIFTI, GIFTI) with one volume a row of the table; each voxel is z-scored within run,
               repeats are averaged and kept. A run is of a subject, session, task, acquisition and run (sub-, ses-,
               task-, acq-, run- in the names of images and tables, or columns of the table); images and tables must
               agree. The folder remembers where each voxel lies: `ontogeny map` paints scores back.

    Responses are stored as float32. The same inputs give the same bytes, in whatever order the stimuli come (only for
    contiguous folds does their order count). Everything that does not fit is refused by name.

    Args:
        folder: the folder to make.
        overwrite: replace a benchmark folder that is there.
    """
    from ontogeny.datasets.folder.metrics_json import metric_from_json
    from ontogeny.datasets.own_data.build_benchmark import Split
    from ontogeny.datasets.own_data.build_benchmark import build as made_of

    built = made_of(
        _stimuli(tables, images),
        about=_about(facts, folder, images),
        responses={**_files("--responses", tables.responses), **given_images(images)},
        rois=_files("--rois", tables.rois),
        geometries=_geometries(tables.geometry),
        split=Split(
            how=split.folds or ("groups" if split.groups else "shuffled"),
            groups=split.groups,
            n_folds=split.n_folds,
            seed=split.seed,
        ),
        metrics=[metric_from_json({"metric": name}, "--metric") for name in tables.metric],
        drop_bad=tables.drop_bad_voxels,
    )
    made = built.write(folder, overwrite=overwrite)
    show_folder(made)
    for word, note in built.notes:
        say(f"{word:<12} {note}")
    return verify_here(made)


def _about(facts: Facts, folder: Path, images: ImageOptions) -> About:
    from ontogeny.datasets.own_data.bids_derivatives import bids_facts
    from ontogeny.datasets.own_data.build_benchmark import About

    found = {} if images.bids is None else bids_facts(images.bids)
    return About(
        name=facts.name or folder.resolve().name,
        citation=facts.citation or found.get("citation", ""),
        licence=facts.licence or found.get("licence", ""),
        about=facts.about,
        version=facts.version,
        simulated=facts.simulated,
        ceiling=facts.ceiling,
        ceiling_source=facts.ceiling_source,
    )


def _stimuli(tables: Tables, images: ImageOptions) -> Path:
    if tables.stimuli is not None:
        return tables.stimuli
    if images.bids is None:
        raise ConfigError("--stimuli is missing: a table of stimuli, or a folder of pictures")
    return images.bids / "stimuli"


def _geometries(given: Sequence[str]) -> dict[tuple[str, str], Path]:
    out = {}
    for key, file in _files("--geometry", given).items():
        subject, colon, roi = key.partition(":")
        if not colon:
            raise ConfigError(f"--geometry: expected SUBJECT:ROI=FILE, got {key!r}={str(file)!r}")
        out[subject, roi] = file
    return out


def atlas(
    name: str,
    options: Pairs = (),
    /,
    *,
    out: Annotated[Path, Parameter(metavar="FOLDER")],
) -> None:
    """Fetch an atlas through nilearn.

    (pip install '.[nilearn]'): a label image and its table, as --atlas takes them. Nothing is downloaded but by this
    command; what nilearn has in its folder already is used.

      ontogeny data atlas schaefer2018 n_rois=100 resolution_mm=2 --out atlases/
      ontogeny data atlas harvard-oxford atlas_name=cort-maxprob-thr25-2mm --out atlases/
      ontogeny data atlas destrieux-surface --out atlases/              fsaverage5, both hemispheres

    An atlas lies in a template's space. `ontogeny data build --resample` puts it on the grid of betas in that same
    space; betas in a subject's own space need an atlas in that space.

    Args:
        name: schaefer2018, yeo2011, harvard-oxford, destrieux2009, destrieux-surface, aal, ...
        options: nilearn's own options of this atlas.
        out: folder to write to.
    """
    from ontogeny.neuroimaging.atlases import fetch_atlas

    given = {key: int(value) if value.isdigit() else value for key, value in _pairs("options", options).items()}
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

    files = {name: _by_subject(name, getattr(given, name)) for name in ("betas", "table", "atlas")}
    found: dict[str, Images] = {}
    if given.bids is not None:
        found = bids_images(
            given.bids,
            subjects=given.subject,
            betas=_pairs("--select", given.select),
            atlas=_pairs("--select-atlas", given.select_atlas),
            with_atlas=not given.atlas,
        )
    elif given.betas:
        found = {subject: Images(betas=paths, table=(), atlas=()) for subject, paths in files["betas"].items()}
    elif given.table:
        found = {subject: Images(betas=(), table=(), atlas=()) for subject in files["table"]}
    if "" in found:
        raise ConfigError(
            f"whose is {(files['betas'] or files['table'])[''][0]}? Write SUBJECT=FILE, or name it sub-SUBJECT_..."
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


def _by_subject(option: str, given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
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


def _files(option: str, given: Sequence[str]) -> dict[str, Path]:
    return {key: Path(file) for key, file in _pairs(option, given, what="SUBJECT=FILE").items()}


def _pairs(option: str, given: Sequence[str], *, what: str = "KEY=VALUE") -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (key, equals, value) in zip(given, pairs, strict=True):
        if not (key and equals and value):
            raise ConfigError(f"{option}: expected {what}, got {text!r}")
        if [other for other, _, _ in pairs].count(key) > 1:
            raise ConfigError(f"{option}: {key!r} is given twice")
    return {key: value for key, _, value in pairs}
