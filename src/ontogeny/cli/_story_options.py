"""Stories, for `ontogeny data build`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from ontogeny.cli._image_options import ImageOptions, by_subject, files_of, pairs
from ontogeny.cli._vocabulary import Names
from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.cli._build import Tables
    from ontogeny.datasets.own_data.build_benchmark import About, Built, Split
    from ontogeny.metrics import Metric

__all__ = ["StoryOptions", "built_stories"]

_STORIES = Group("Stories, word by word, in place of --stimuli")


@Parameter(name="*", group=_STORIES)
@dataclass(frozen=True, slots=True, kw_only=True)
class StoryOptions:
    """Stories, word by word.

    Args:
        words: tables with word, onset, offset [, story], or TextGrids called as the stories are.
        bold: time series, one per story and repeat.
        tr: seconds from one volume to the next.
        delays: of responses, in volumes.
        context: words read before each word.
        stride: a causal model reads so many words in one forward pass; 1: each with CONTEXT words, a pass per word.
        between: what stands between two words; nothing for Chinese.
        word_features: columns of the words that are a baseline: surprisal, ...
        sound_onset: when the sound began, in seconds after the first volume of the files; negative: before it.
        trim: volumes cut at each story's start and end.
        drift: order of the polynomial taken out of each run first; 3 of --bold, none of --responses.
    """

    words: Annotated[tuple[Path, ...], Parameter(consume_multiple=1, metavar="FILE")] = ()
    bold: Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="[SUBJECT:STORY=]FILE")] = ()
    tr: Annotated[float | None, Parameter(metavar="SECONDS")] = None
    delays: Annotated[str, Parameter(metavar="N,N")] = "1,2,3,4"
    context: Annotated[int, Parameter(metavar="WORDS")] = 20
    stride: Annotated[int, Parameter(metavar="WORDS")] = 20
    between: str = " "
    word_features: Names = ()
    sound_onset: Annotated[float, Parameter(metavar="SECONDS", allow_leading_hyphen=True)] = 0.0
    trim: Annotated[tuple[int, int], Parameter(metavar="N N")] = (0, 0)
    drift: Annotated[int | None, Parameter(metavar="ORDER")] = None


def built_stories(
    given: StoryOptions, tables: Tables, images: ImageOptions, *, about: About, split: Split, metrics: Sequence[Metric]
) -> Built:
    """The benchmark that the command line asks for.

    Raises:
        ConfigError: options that do not go together.
        DataError: see `build_stories`.
    """
    from ontogeny.datasets.own_data.build_stories import build_stories
    from ontogeny.datasets.own_data.story_files import StoryDesign

    if given.tr is None:
        raise ConfigError("--tr is missing: seconds from one volume to the next")
    bold = [*given.bold, *_found(images)]
    if bool(bold) is bool(tables.responses):
        raise ConfigError("responses to stories: give --responses SUBJECT:STORY=FILE, or --bold or --bids with --atlas")
    design = StoryDesign(
        words=tuple(given.words),
        tr=given.tr,
        delays=_delays(given.delays),
        context=given.context,
        stride=given.stride,
        between=given.between,
        features=tuple(given.word_features),
        sound=given.sound_onset,
        trim=given.trim,
        drift=3 if given.drift is None and bold else given.drift,
    )
    runs = _runs(bold or tables.responses, design.words)
    return build_stories(
        design,
        runs,
        about=about,
        rois=files_of("--rois", tables.rois),
        images=_images(images, runs) if bold else None,
        split=split,
        metrics=metrics,
        drop_bad=tables.drop_bad_voxels,
    )


def _found(images: ImageOptions) -> list[str]:
    """Time series of BIDS derivatives, by their names: suffix bold, and what --select says (space, desc, res)."""
    from ontogeny.neuroimaging.bids_names import bids_files, bids_name

    if images.bids is None:
        return []
    filters: dict[str, Any] = {"suffix": "bold", **pairs("--select", images.select)}
    files = bids_files(images.bids, extension=(".nii.gz", ".nii", ".dtseries.nii", ".func.gii"), **filters)
    subjects = {subject.removeprefix("sub-") for subject in images.subject}
    return [str(path) for path in files if not subjects or bids_name(path).entities.get("sub") in subjects]


def _delays(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--delays: expected volumes, e.g. 1,2,3,4, got {text!r}") from error


def _runs(given: Sequence[str], words: Sequence[Path]) -> dict[str, dict[str, list[Path]]]:
    """Subject -> story -> files, in the order given; the story may be left out where there is one file of words."""
    from ontogeny.datasets.own_data.story_files import story_of
    from ontogeny.neuroimaging.bids_names import bids_name

    out: dict[str, dict[str, list[Path]]] = {}
    for text in given:
        key, equals, file = text.partition("=")
        path = Path(file if equals else text)
        subject, colon, story = key.partition(":") if equals else (bids_name(path).entities.get("sub", ""), ":", "")
        story = story if equals else bids_name(path).entities.get("task", "")
        if equals and not colon and len(words) == 1:
            story = story_of(words[0])
        if not subject or not story:
            raise ConfigError(
                f"whose, and of which story, is {path}? Write SUBJECT:STORY=FILE, or name it sub-SUBJECT_task-STORY_..."
            )
        out.setdefault(subject.removeprefix("sub-"), {}).setdefault(story, []).append(path)
    return out


def _images(given: ImageOptions, subjects: Mapping[str, Any]) -> dict[str, Any]:
    from ontogeny.datasets.own_data.image_files import Images

    atlases = by_subject("atlas", given.atlas)
    return {
        subject: Images(
            betas=(),
            table=(),
            atlas=atlases.get(subject) or atlases.get("", ()),
            labels=given.labels,
            regions=tuple(given.roi),
            resample=given.resample,
            voxelwise=given.voxelwise,
        )
        for subject in subjects
    }
