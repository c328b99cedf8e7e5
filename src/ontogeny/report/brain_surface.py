"""Maps on both hemispheres, lateral and medial: pixels, one frame per map, all on one colour scale with its unit."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ontogeny._display import number
from ontogeny.errors import DataError, require
from ontogeny.neuroimaging.voxel_masks import Space
from ontogeny.report._cortex import Cortex, cortex_of
from ontogeny.report.figures import WIDTH, Picture

__all__ = ["Scale", "surface_picture"]

_PIXELS = 2  # a point
_VIEW, _BAR, _HEAD = (290, 190), 100, 26  # points: width and height of a view, width of the scale, height of the title
_VIEWS = (("left", "lateral"), ("right", "lateral"), ("left", "medial"), ("right", "medial"))
_FINE = 2  # drawn finer, then averaged
_HATCH = 10
Maps = Mapping[str, Sequence[Float[np.ndarray, " voxels"]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What colours mean.

    Args:
        unit: beside the colour scale; never empty.
        log: colours by log10 of value + 1.
        ends: of the scale; the lowest and highest value of all frames where not given.
    """

    unit: str
    log: bool = False
    ends: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.unit:
            raise DataError("a colour scale needs its unit")

    def of(self, values: np.ndarray) -> np.ndarray:
        """Where on the scale."""
        return np.asarray(np.log10(values + 1) if self.log else values)

    def text(self, place: float) -> str:
        """A place on the scale, as a number."""
        return f"{10**place - 1:,.0f}" if self.log else f"{number(round(place, 2) + 0.0)}"


def surface_picture(
    maps: Maps,
    spaces: Sequence[Space],
    about: tuple[str, str, str],
    *,
    scale: Scale,
    unsure: Sequence[Bool[np.ndarray, " voxels"]] | None = None,
    mesh: str | Path | None = None,
    mni: bool = False,
) -> Picture:
    """A frame per map: left and right, lateral above medial; grey: not scored, hatched: not sure.

    Args:
        maps: title of the frame -> one array per space, e.g. of `ontogeny.report.brain_figures.step_maps`.
        spaces: see `cortex_of`.
        about: name of the PNG file, title and caption.
        scale: of all frames.
        unsure: which voxels are hatched, one array per space.
        mesh: see `cortex_of`.
        mni: see `cortex_of`.

    Raises:
        DataError: see `cortex_of`; or no vertex has a value.
        MissingExtraError: nilearn is not installed.
    """
    colours = require("matplotlib", "nilearn").colormaps["viridis"]
    image = require("PIL.Image", "nilearn")
    both = {one.side: one for one in cortex_of(spaces, mesh=mesh, mni=mni)}
    full = {title: {side: scale.of(one.full(values)) for side, one in both.items()} for title, values in maps.items()}
    known = np.concatenate([v[np.isfinite(v)] for sides in full.values() for v in sides.values()])
    if not len(known):
        raise DataError("no vertex of the cortex has a value: is the volume in MNI space?")
    ends = scale.ends or (float(known.min()), float(known.max()))
    hatched = {side: _marked(one, unsure) for side, one in both.items()}
    views = [(_View.of(both[side], view), side) for side, view in _VIEWS]  # type: ignore[index]
    frames = []
    for title, sides in full.items():
        painted = [view.painted(sides[side], hatched[side], ends, colours) for view, side in views]  # type: ignore[index]
        frames.append(_frame(painted, title, ends, scale, colours))
    buffer = io.BytesIO()
    image.fromarray(np.concatenate(frames)).save(buffer, "PNG", optimize=True)  # a palette would tint the greys
    name, title, caption = about
    return Picture(name=name, title=title, caption=caption, png=buffer.getvalue(), frames=tuple(full))


def _marked(one: Cortex, unsure: Sequence[np.ndarray] | None) -> np.ndarray:
    found = np.zeros(len(one.points)) if unsure is None else one.full([np.asarray(mask, float) for mask in unsure])
    return np.nan_to_num(found) > 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """One hemisphere from one side: which face is seen at each pixel, and how it is lit."""

    one: Cortex
    seen: Int[np.ndarray, "rows columns"]
    light: Float[np.ndarray, " faces"]

    @classmethod
    def of(cls, one: Cortex, view: str) -> _View:
        """Looked at along x: laterally from outside, medially from the middle."""
        outside = -1.0 if one.side == "left" else 1.0
        look = outside if view == "lateral" else -outside  # x of the eye
        across, up, near = look * one.points[:, 1], one.points[:, 2], look * one.points[:, 0]
        wide, high = (part * _PIXELS * _FINE for part in _VIEW)
        size = max(np.ptp(across) / (0.94 * wide), np.ptp(up) / (0.94 * high))
        x = (across - (across.min() + across.max()) / 2) / size + wide / 2
        y = high / 2 - (up - (up.min() + up.max()) / 2) / size
        seen = _faces_at(np.stack([x, y], axis=1), near, one.faces, (wide, high))
        a, b, c = (one.points[one.faces[:, i]] for i in range(3))
        normal = np.cross(b - a, c - a)
        facing = np.abs(normal[:, 0]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
        return cls(one=one, seen=seen, light=0.62 + 0.38 * facing)

    def painted(self, values: np.ndarray, hatched: np.ndarray, ends: tuple[float, float], colours: Any) -> np.ndarray:
        """Pixels of one map."""
        faces = self.one.faces
        ordered = np.sort(values[faces], axis=1)  # NaN last: two regions that meet are not blended
        count = np.isfinite(ordered).sum(axis=1)
        middle = np.nan_to_num(np.where(count > 2, ordered[:, 1], ordered[:, 0]))
        place = np.clip((middle - ends[0]) / max(ends[1] - ends[0], 1e-12), 0, 1)
        grey = np.where(self.one.folds[faces].mean(axis=1) > 0, 0.62, 0.78)
        colour = np.where(count[:, None] > 1, np.asarray(colours(place))[:, :3], grey[:, None]) * self.light[:, None]
        pixels = np.ones((*self.seen.shape, 3))
        inside = self.seen >= 0
        pixels[inside] = colour[self.seen[inside]]
        stripes = (np.add.outer(np.arange(inside.shape[0]), np.arange(inside.shape[1])) // _HATCH) % 3 == 0
        unsure = inside & stripes & (hatched[faces].sum(axis=1) > 1)[self.seen]
        pixels[unsure] = 1.0
        rows, columns = (n // _FINE for n in inside.shape)
        small = pixels.reshape(rows, _FINE, columns, _FINE, 3).mean(axis=(1, 3))
        return np.asarray((255 * small).round().astype(np.uint8))


def _faces_at(
    points: Float[np.ndarray, "vertices 2"], near: np.ndarray, faces: Int[np.ndarray, "faces 3"], size: tuple[int, int]
) -> Int[np.ndarray, "rows columns"]:
    """The face at each pixel, the nearest last; -1 where there is none."""
    canvas = require("PIL.Image", "nilearn").new("I", size, -1)
    draw = require("PIL.ImageDraw", "nilearn").Draw(canvas)
    corners = points[faces].reshape(len(faces), 6)
    for face in np.argsort(near[faces].mean(axis=1), kind="stable").tolist():
        draw.polygon(corners[face].tolist(), fill=face)
    return np.asarray(canvas, dtype=np.int64)


def _frame(
    views: Sequence[np.ndarray], title: str, ends: tuple[float, float], scale: Scale, colours: Any
) -> np.ndarray:
    """Four views under a title, the colour scale with its unit at the right."""
    rows = [np.concatenate(views[:2], axis=1), np.concatenate(views[2:], axis=1)]
    drawn = np.concatenate(rows)
    canvas = np.full((drawn.shape[0] + _HEAD * _PIXELS, WIDTH * _PIXELS, 3), 255, dtype=np.uint8)
    top = _HEAD * _PIXELS
    canvas[top:, : drawn.shape[1]] = drawn
    left, high = drawn.shape[1] + 12 * _PIXELS, drawn.shape[0] - 90 * _PIXELS
    start = top + 50 * _PIXELS
    shades = (255 * np.asarray(colours(np.linspace(1, 0, high)))[:, None, :3]).astype(np.uint8)
    canvas[start : start + high, left : left + 14 * _PIXELS] = shades
    picture = require("PIL.Image", "nilearn").fromarray(canvas)
    pen = require("PIL.ImageDraw", "nilearn").Draw(picture)
    font = require("PIL.ImageFont", "nilearn").load_default(11 * _PIXELS)
    ink = (28, 40, 51)
    pen.text((0, 0), title, fill=ink, font=require("PIL.ImageFont", "nilearn").load_default(13 * _PIXELS))
    pen.multiline_text((left, top + 2 * _PIXELS), _broken(scale.unit), fill=ink, font=font)
    for part in (0.0, 0.5, 1.0):
        y = start + (1 - part) * high - 7 * _PIXELS
        pen.text((left + 18 * _PIXELS, y), scale.text(ends[0] + part * (ends[1] - ends[0])), fill=ink, font=font)
    for place, (side, view) in enumerate(_VIEWS):
        at = (place % 2 * _VIEW[0] * _PIXELS + 4, top + place // 2 * _VIEW[1] * _PIXELS + 4)
        pen.text(at, f"{side}, {view}", fill=(93, 109, 126), font=font)
    return np.asarray(picture)


def _broken(text: str, most: int = 13) -> str:
    """In lines that fit beside the brain."""
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < most else [lines[-1], word]
    return "\n".join(lines)
