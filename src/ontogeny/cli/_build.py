"""`ontogeny data build`: a benchmark folder from plain tables, or from images of the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ontogeny.cli._benchmark_folder import show_folder, verify_here
from ontogeny.cli._image_options import ImageOptions, files_of, given_images
from ontogeny.cli._output import say
from ontogeny.cli._story_options import StoryOptions, built_stories
from ontogeny.cli._unused_options import refuse_unused
from ontogeny.cli._vocabulary import Names, Seed
from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.datasets.own_data.build_benchmark import About, Images, Split
    from ontogeny.metrics import Metric

__all__ = ["build"]

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
        metric: by name, ridge, rsa, cka, ..., with options as in "ridge(rule='loo')".
        drop_bad_voxels: leave out NaN, constant and unlabelled voxels.
    """

    stimuli: Path | None = None
    responses: _FileOfSubject = ()
    rois: _FileOfSubject = ()
    geometry: _Rdms = ()
    metric: Annotated[Names, Parameter(alias="--metrics")] = ()
    drop_bad_voxels: bool = False


@Parameter(name="*", group="What the numbers do not tell")
@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the numbers do not tell.

    Args:
        name: stable name, part of every score's key; the folder's where not given.
        citation: whom to cite.
        licence: under which terms the data come.
        about: how the responses were made, one paragraph.
        version: grows when scores change.
        simulated: the responses were computed, not measured.
        ceiling: highest Pearson r the noise allows, or made from repeats or the other subjects; else the ROI table's.
        ceiling_source: how ceilings were made.
        primary: ROI, ROI:METRIC or ROI:METRIC:LAYER whose curve was declared beforehand as the answer.
    """

    name: str = ""
    citation: str = ""
    licence: str = ""
    about: str = ""
    version: str = "1"
    simulated: bool = False
    ceiling: Annotated[
        float | Literal["ncsnr", "split-half", "between-subjects"] | None,
        Parameter(metavar="R|ncsnr|split-half|between-subjects", show_choices=False),
    ] = None
    ceiling_source: str = "given with the data"
    primary: Annotated[str, Parameter(metavar="ROI:METRIC:LAYER")] = ""


@Parameter(name="*", group="Folds")
@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How stimuli are split.

    Args:
        groups: stimulus column with groups that folds must not split.
        folds: shuffled (stimuli are independent), groups (never split), contiguous (blocks in order), column (fold).
        n_folds: how many.
        seed: of shuffled folds.
        own_stimuli: subjects saw (or heard) different stimuli: score each on its own, with the same folds for all.
    """

    groups: Annotated[str | None, Parameter(metavar="COLUMN")] = None
    folds: Literal["shuffled", "groups", "contiguous", "column"] | None = None
    n_folds: int = 5
    seed: Seed = 0
    own_stimuli: bool = False


def build(
    folder: Path,
    /,
    *,
    tables: Tables = Tables(),
    facts: Facts = Facts(),
    split: Folds = Folds(),
    images: ImageOptions = ImageOptions(),
    stories: StoryOptions = StoryOptions(),
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
      ontogeny data build my-stories --words *.TextGrid --bold sub-*_bold.nii.gz --atlas dseg.nii.gz --tr 2 ...

    stimuli    .csv, .tsv or .parquet with stimulus_id and text, or stimulus_id and image (paths beside the table); or a
               folder of pictures, called by their file names and ordered by the numbers in them (2.png before 10.png);
               photographs are turned as their EXIF says. Other columns are kept.
    responses  .npy or .safetensors (tensor "responses"), stimuli x voxels with rows in the order of the stimuli, or
               repeats x stimuli x voxels (NaN where a stimulus has fewer repeats): the mean is scored, the repeats
               are kept. Or a table with stimulus_id and one column per voxel: then rows are matched by id. Columns
               without a name, and those that tables use otherwise (onset, run, repeat, ...), are no voxels; what
               was taken is listed.
    rois       a table with one row per voxel: roi [, ceiling] [, x, y, z, ...]; empty and 0 are no region. Without a
               table all voxels are one ROI.
    geometry   in place of voxels: SUBJECT:ROI=rdm.npy, stimuli x stimuli; the vector of its pairs, as pdist gives
               it; or sessions x stimuli x stimuli, of which the mean is taken. A diagonal that is not 0
               (crossnobis) is set to 0.
    images     4-D NIfTI (or CIFTI, GIFTI) with one volume a row of the table; each voxel is z-scored within run,
               repeats are averaged and kept. A run is of a subject, session, task, acquisition and run (sub-, ses-,
               task-, acq-, run- in the names of images and tables, or columns of the table); images and tables must
               agree. The folder remembers where each voxel lies: `ontogeny map` paints scores back.

    stories    --words in place of --stimuli: tables with word, onset, offset (or duration) [, story], or TextGrids,
               called as the stories are. Responses of each story: --responses SUBJECT:STORY=FILE (volumes x voxels);
               or --bold images, or --bids (fMRIPrep: --select space=T1w desc=preproc), with --atlas, by their names
               (sub-01_task-STORY_run-1_bold.nii.gz) or SUBJECT:STORY=FILE. Several files of one subject and story
               are repeats. Folds leave out stories; below three stories, blocks with gaps as long as the delays.
               Subjects who heard different stories: --own-stimuli.

    Responses are stored as float32. The same inputs give the same bytes, in whatever order the stimuli come (only for
    contiguous folds does their order count). Everything that does not fit is refused by name.

    Args:
        folder: the folder to make.
        overwrite: replace a benchmark folder that is there.
    """
    from ontogeny.datasets.own_data.build_benchmark import build as made_of

    refuse_unused(tables, images, stories)
    about, parted, metrics = _about(facts, folder, images), _split(split), _metrics(tables, stories)
    if stories.words:
        built = built_stories(stories, tables, images, about=about, split=parted, metrics=metrics)
    else:
        built = made_of(
            _stimuli(tables, images),
            about=about,
            responses=_responses(tables, images),
            rois=files_of("--rois", tables.rois),
            geometries=_geometries(tables.geometry),
            split=parted,
            metrics=metrics,
            drop_bad=tables.drop_bad_voxels,
        )
    made = built.write(folder, overwrite=overwrite)
    show_folder(made)
    for word, note in built.notes:
        say(f"{word:<12} {note}")
    return verify_here(made)


def _responses(tables: Tables, images: ImageOptions) -> dict[str, Path | Images]:
    plain, pictured = files_of("--responses", tables.responses), given_images(images)
    if both := sorted(plain.keys() & pictured.keys()):
        raise ConfigError(f"subject {both[0]!r} has --responses and images; give one of them")
    return {**plain, **pictured}


def _split(given: Folds) -> Split:
    from ontogeny.datasets.own_data.build_benchmark import Split

    return Split(
        how=given.folds or ("groups" if given.groups else "shuffled"),
        groups=given.groups,
        n_folds=given.n_folds,
        seed=given.seed,
        own=given.own_stimuli,
    )


def _metrics(tables: Tables, stories: StoryOptions) -> list[Metric]:
    """By name; of stories ridge chooses its penalty on other stories, unless its options are given."""
    from ontogeny.metrics.registry import as_metric

    names = ["ridge(rule='kfold')" if name == "ridge" and stories.words else name for name in tables.metric]
    return [as_metric(name) for name in names]


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
        primary=facts.primary,
    )


def _stimuli(tables: Tables, images: ImageOptions) -> Path:
    if tables.stimuli is not None:
        return tables.stimuli
    if images.bids is None:
        raise ConfigError("--stimuli is missing: a table of stimuli, or a folder of pictures")
    return images.bids / "stimuli"


def _geometries(given: Sequence[str]) -> dict[tuple[str, str], Path]:
    out = {}
    for key, file in files_of("--geometry", given).items():
        subject, colon, roi = key.partition(":")
        if not colon:
            raise ConfigError(f"--geometry: expected SUBJECT:ROI=FILE, got {key!r}={str(file)!r}")
        out[subject, roi] = file
    return out
