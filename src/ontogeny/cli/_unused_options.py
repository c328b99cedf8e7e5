"""Options of `ontogeny data build` that the data at hand do not use: refused, since nothing would happen by them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.cli._build import Tables
    from ontogeny.cli._image_options import ImageOptions
    from ontogeny.cli._story_options import StoryOptions

__all__ = ["refuse_unused"]

_BIDS = ("subject", "select", "select_atlas")
_BRAIN = ("atlas", "labels", "roi", "resample", "voxelwise")
_BETAS = ("betas", "table", "blocks", "order", "leave_out", "shared", "no_zscore")


def refuse_unused(tables: Tables, images: ImageOptions, stories: StoryOptions) -> None:
    """Refuse an option that has a meaning for another kind of data alone.

    Raises:
        ConfigError: names it, and what it is for.
    """
    if stories.words:
        _refuse(tables, ("stimuli", "geometry"), "not for stories (--words)")
        _refuse(images, (*_BETAS, "select_atlas"), "not for stories (--words)")
        if not (stories.bold or images.bids):
            _refuse(images, (*_BRAIN, *_BIDS), "for BOLD (--bold, --bids)")
    else:
        _refuse(stories, [field.name for field in fields(stories)], "for stories (--words)")
        if not (images.betas or images.table or images.bids):
            _refuse(
                images, [field.name for field in fields(images)], "for images of the brain (--betas, --table, --bids)"
            )
    if images.bids is None:
        _refuse(images, _BIDS, "for BIDS derivatives (--bids)")


def _refuse(options: Any, names: Collection[str], what: str) -> None:
    for field in fields(options):
        if field.name in names and getattr(options, field.name) != field.default:
            raise ConfigError(f"--{field.name.replace('_', '-')} is {what}")
