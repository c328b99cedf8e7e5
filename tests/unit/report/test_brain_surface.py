"""Maps on the cortex: what is seen where, MNI volumes at their place, a unit on every scale."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ontogeny.errors import DataError
from ontogeny.neuroimaging.image_grids import Surface, Volume
from ontogeny.neuroimaging.voxel_masks import Space

datasets = pytest.importorskip("nilearn.datasets")
surface = pytest.importorskip("nilearn.surface")

from ontogeny.report._cortex import cortex_of  # noqa: E402
from ontogeny.report.brain_surface import Scale, surface_picture  # noqa: E402

ABOUT = ("name", "title", "caption")
VIEW, HEAD = (580, 380), 52  # pixels


def space_of(side: str, where) -> tuple[Space, np.ndarray]:
    points = surface.load_surf_mesh(datasets.fetch_surf_fsaverage("fsaverage5")[f"infl_{side}"]).coordinates
    index = np.flatnonzero(where(points))
    return Space(grid=Surface(size=10242, structure=side), index=index, roi=("a",) * len(index)), points


def coloured(picture, frame: int = 0) -> dict[str, np.ndarray]:
    """View -> where it has a colour."""
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    high = pixels.shape[0] // len(picture.frames)
    own = pixels[frame * high : (frame + 1) * high]
    views = {}
    for place, name in enumerate(("left lateral", "right lateral", "left medial", "right medial")):
        top, start = HEAD + place // 2 * VIEW[1], place % 2 * VIEW[0]
        views[name] = np.ptp(own[top : top + VIEW[1], start : start + VIEW[0]], axis=2) > 60
    return views


def test_the_back_of_the_left_hemisphere_is_where_nilearn_draws_it():
    space, points = space_of("left", lambda p: p[:, 1] < p[:, 1].min() + 30)
    picture = surface_picture({"step 1": [points[space.index, 1]]}, [space], ABOUT, scale=Scale(unit="mm"))
    views = coloured(picture)
    assert picture.width == 692
    assert not views["right lateral"].any()
    assert not views["right medial"].any()
    _, lateral = np.nonzero(views["left lateral"])
    _, medial = np.nonzero(views["left medial"])
    assert lateral.min() > 0.6 * VIEW[0]  # seen from the left, the back is at the right
    assert medial.max() < 0.4 * VIEW[0]


def test_the_front_of_the_right_hemisphere_is_at_the_right_when_seen_from_outside():
    space, points = space_of("right", lambda p: p[:, 1] > p[:, 1].max() - 30)
    picture = surface_picture({"a": [points[space.index, 1]]}, [space], ABOUT, scale=Scale(unit="mm"))
    _, lateral = np.nonzero(coloured(picture)["right lateral"])
    assert lateral.min() > 0.6 * VIEW[0]


def test_frames_share_one_scale_and_what_is_not_sure_is_hatched():
    space, points = space_of("left", lambda p: p[:, 1] < 0)
    values = -points[space.index, 1]
    frames = {"step 1": [values * 0 + values.min()], "step 2": [values]}
    picture = surface_picture(frames, [space], ABOUT, scale=Scale(unit="r"))
    assert picture.frames == ("step 1", "step 2")
    sure = coloured(picture, 1)["left lateral"].sum()
    unsure = [np.ones(len(values), dtype=bool)]
    hatched = surface_picture(frames, [space], ABOUT, scale=Scale(unit="r"), unsure=unsure)
    assert 0.5 < coloured(hatched, 1)["left lateral"].sum() / sure < 0.8  # a third is white


def volume(*centres: tuple[float, float, float]) -> Space:
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = [-90, -126, -72]
    shape = (61, 73, 61)
    mm = affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]
    near = [np.linalg.norm(mm - np.asarray(centre)[:, None], axis=0) < 12 for centre in centres]
    index = np.flatnonzero(np.any(near, axis=0))
    roi = tuple(str(int(np.argmax([one[i] for one in near]))) for i in index)
    return Space(grid=Volume(shape=shape, affine=affine), index=index, roi=roi)


def test_an_mni_volume_lands_on_the_vertices_at_its_place():
    space = volume((-46.0, 24.0, 16.0), (10.0, -92.0, 2.0))  # left frontal, right occipital
    left, right = cortex_of([space], mni=True)
    there = datasets.fetch_surf_fsaverage("fsaverage5")
    for cortex, centre, label in ((left, (-46, 24, 16), "0"), (right, (10, -92, 2), "1")):
        pial = surface.load_surf_mesh(there[f"pial_{cortex.side}"]).coordinates
        hit = np.flatnonzero(cortex.voxel >= 0)
        assert len(hit) > 50
        assert np.linalg.norm(pial[hit] - np.asarray(centre), axis=1).max() < 20
        assert {space.roi[i] for i in cortex.voxel[hit]} == {label}
    with pytest.raises(DataError, match="--mni"):
        cortex_of([space])


def test_a_scale_has_a_unit_and_a_mesh_its_size():
    with pytest.raises(DataError, match="needs its unit"):
        Scale(unit="")
    odd = Space(grid=Surface(size=99, structure="left"), index=np.arange(3), roi=("a",) * 3)
    with pytest.raises(DataError, match="a surface of 99 vertices needs a mesh"):
        cortex_of([odd])
    space, _ = space_of("left", lambda p: p[:, 1] < 0)
    with pytest.raises(DataError, match="no vertex of the cortex has a value"):
        surface_picture({"a": [np.full(len(space), np.nan)]}, [space], ABOUT, scale=Scale(unit="r"))
