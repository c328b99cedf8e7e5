"""Where in the brain the regions of shipped real sets are: a sketch, where an atlas is at hand."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ontogeny.errors import DatasetNotFoundError, MissingExtraError
from ontogeny.report.figures import Figure, Picture, file_stem
from ontogeny.report.study import Study

if TYPE_CHECKING:
    from ontogeny.neuroimaging.voxel_masks import Space

__all__ = ["Places", "places_of", "sketch", "sketches"]

_ATLAS = "hcp-mmp1-fsaverage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Areas of HCP-MMP1.0 (Glasser et al. 2016, Nature 536, 171-178) that stand for a region.

    Args:
        areas: their names there.
        sides: "L", "R" or both.
        why: who says that these areas are the region, or come near to it.
    """

    areas: tuple[str, ...]
    sides: str = "LR"
    why: str = ""


_SAME = "areas of the same name in Glasser et al. 2016"
_RETINOTOPIC = {name: Places(areas=(name,), why=_SAME) for name in ("V1", "V2", "V3")} | {
    "hV4": Places(areas=("V4",), why="V4 of Glasser et al. 2016"),
    "FFA": Places(areas=("FFC",), why="the fusiform face complex of Glasser et al. 2016"),
}
_IT = Places(
    areas=("V8", "VVC", "PIT", "FFC", "VMV1", "VMV2", "VMV3"),
    why="the ventral visual areas in front of V4 (Glasser et al. 2016, supplement), where Kriegeskorte et al. 2008 "
    "chose each subject's own most visually responsive voxels",
)
_LANGUAGE = Places(
    areas=tuple(
        ["55b", "PSL", "SFL", "STV", "44", "45", "IFJa", "IFSp", "STGa", "A5", "STSda", "STSdp", "TPOJ1", "TGv"]
    ),
    sides="L",
    why="the left language network of Ji et al. 2019, NeuroImage 185, 35-57, where the set's own regions are each "
    "participant's, chosen by a sentence localizer",
)
_SETS: Mapping[str, Mapping[str, Places]] = {
    "kriegeskorte2008": {"human IT": _IT},
    "tuckute2024": {"language network (LH)": _LANGUAGE},
    "algonauts2023": _RETINOTOPIC,
    "nsd2022": _RETINOTOPIC,
}


def places_of(study: Study) -> dict[str, Places]:
    """Region -> where it is, of a shipped real set; empty where its regions are no places that are known."""
    known = next((places for name, places in _SETS.items() if study.benchmark.startswith(name)), {})
    about = study.runs[0].record.header["benchmarks"].get(study.benchmark, {})
    rois = () if about.get("simulated", True) else (region.roi for region in study.regions)
    return {roi: known[roi] for roi in rois if roi in known}


def sketch(study: Study, places: Mapping[str, Places]) -> Picture:
    """Each region's areas in the colour of its alignment at the last step, from chance to the ceiling.

    Args:
        study: of one benchmark.
        places: of `places_of`.

    Raises:
        DatasetNotFoundError: the atlas is not at hand; says how to get it.
        MissingExtraError: nilearn is not installed.
    """
    from ontogeny.neuroimaging.packaged_atlases import packaged_atlas
    from ontogeny.neuroimaging.voxel_masks import read_space
    from ontogeny.report.brain_surface import Scale, surface_picture

    with tempfile.TemporaryDirectory() as folder:
        spaces = [read_space(path) for path in packaged_atlas(_ATLAS, folder, density="10k")]
    levels = {region.roi: region.level for region in study.regions if region.roi in places}
    values = [
        _painted(space, side, {roi: (places[roi], level.value) for roi, level in levels.items()})
        for space, side in zip(spaces, "LR", strict=True)
    ]
    one = study.key.level
    low = 0.0 if math.isnan(one.chance) else one.chance
    top = one.ceiling_lower if math.isfinite(one.ceiling_lower) else one.ceiling
    ends = (low, top if math.isfinite(top) else max(level.value for level in levels.values()))
    whys: dict[str, list[str]] = {}
    for roi in levels:
        whys.setdefault(places[roi].why, []).append(roi)
    named = "; ".join(f"{', '.join(rois)}: {why}" for why, rois in whys.items())
    caption = (
        f"Schematic: where the regions lie, not where this set was measured. {named}. Colour: {study.metric} at the "
        "last step, from chance to the ceiling's lower edge; grey: no region. fsaverage5; areas of HCP-MMP1.0 (Glasser "
        "et al. 2016)."
    )
    about = (file_stem(study.benchmark, study.metric, "where"), "Where in the brain (schematic)", caption)
    frames = {f"{study.benchmark}, last step": values}
    return surface_picture(frames, spaces, about, scale=Scale(unit=one.unit or study.metric, ends=ends))


def _painted(space: Space, side: str, found: Mapping[str, tuple[Places, float]]) -> np.ndarray:
    of = {area: value for places, value in found.values() if side in places.sides for area in places.areas}
    return np.asarray([of.get(area, math.nan) for area in space.roi])


def sketches(study: Study) -> tuple[list[Figure | Picture], list[str]]:
    """The sketch of a study, or a sentence on what it lacks; neither where its regions are no known places.

    Args:
        study: of one benchmark.
    """
    places = places_of(study)
    if not places:
        return [], []
    try:
        return [sketch(study, places)], []
    except (DatasetNotFoundError, MissingExtraError) as error:
        return [], [f"A sketch of where {', '.join(places)} lies in the brain is drawn once an atlas is here: {error}"]
