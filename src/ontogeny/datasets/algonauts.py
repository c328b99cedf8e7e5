"""Algonauts 2023: NSD photographs x surface vertices, already z-scored within session and averaged over repeats."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from ontogeny.assembly import Assembly, usable_voxels
from ontogeny.benchmark import Benchmark
from ontogeny.datasets.elsewhere import find_elsewhere, folder_of
from ontogeny.errors import DataError, nearest, require
from ontogeny.metrics import make_folds
from ontogeny.metrics.encoding import Ridge
from ontogeny.stimuli import StimulusSet

__all__ = ["ROI_NAMES", "ImageFiles", "load_algonauts"]

# The set's own tables (roi_masks/mapping_*.npy) are stored objects, which could run code; names 1, 2, ... stand here.
ROI_NAMES: dict[str, tuple[str, ...]] = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}
_NAME = re.compile(r"train-(\d+)_(nsd-\d+)\.png")


class ImageFiles(Sequence[Any]):
    """Image files as arrays (height x width x 3, uint8), each read when asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    @override
    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> ImageFiles: ...
    @override
    def __getitem__(self, index: int | slice) -> np.ndarray | ImageFiles:
        if isinstance(index, slice):
            return ImageFiles(self._paths[index])
        path = self._paths[index]
        try:
            with require("PIL.Image", "datasets").open(path) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise DataError(f"{path} cannot be read as an image ({error}); get it anew") from error


def load_algonauts(
    *,
    folder: str | os.PathLike[str] | None = None,
    subject: int = 1,
    atlas: str = "streams",
    rois: Sequence[str] | None = None,
) -> Benchmark:
    """One subject's training images; the test images' responses are not published.

    Args:
        folder: holds `subj01` to `subj08`; None: `algonauts2023` in a data folder.
        subject: 1 to 8; images differ between subjects.
        atlas: one of `ROI_NAMES`.
        rois: only these; only their vertices are read.

    Raises:
        DataError: files or options that cannot be used; names them.
        DatasetNotFoundError: the folder is not on this machine; says where to get it.
    """
    if atlas not in ROI_NAMES:
        raise DataError(f"algonauts2023: no atlas is called {atlas!r}. {nearest(atlas, ROI_NAMES)}")
    for roi in rois or ():
        if roi not in ROI_NAMES[atlas]:
            raise DataError(f"algonauts2023: {atlas} has no ROI {roi!r}. {nearest(roi, ROI_NAMES[atlas])}")
    root = folder_of("algonauts2023", folder) / f"subj{subject:02d}"
    images = _images(root / "training_split" / "training_images")
    halves = [_half(root, side, atlas, rois, len(images)) for side in ("lh", "rh")]
    values = np.concatenate([values for values, _ in halves], axis=1)
    labels = np.array([name for _, names in halves for name in names])
    if not labels.size:
        raise DataError(f"algonauts2023: subject {subject} has no vertex in the ROIs asked for")
    good = usable_voxels(values)
    if not good.any():
        raise DataError(f"algonauts2023: all {good.size} vertices of subject {subject} hold NaN or are constant")
    ids = tuple(images)
    known = find_elsewhere("algonauts2023")
    assembly = Assembly(
        name="algonauts2023, betas (z)",
        subject=root.name,
        stimulus_ids=ids,
        responses=values[:, good],
        roi=tuple(labels[good].tolist()),
        ceiling_source="not published with the set",
    )
    return Benchmark(
        name=f"algonauts2023-{root.name}",
        version="1",
        citation=known.citation,
        licence=known.terms,
        about=f"{known.title}: {len(ids)} training images; {int((~good).sum())} vertices dropped (constant or NaN).",
        simulated=False,
        stimuli=StimulusSet(name="algonauts2023", modality="image", ids=ids, inputs=ImageFiles(tuple(images.values()))),
        assemblies=(assembly,),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(ids), n_folds=5, seed=0),
    )


def _images(folder: Path) -> dict[str, Path]:
    """Id (`nsd-00013`) -> file, in the order of the responses' rows: the first number, from 1 without a gap."""
    found = {int(m[1]): (m[2], path) for path in folder.glob("*.png") if (m := _NAME.fullmatch(path.name))}
    missing = sorted(set(range(1, max(found, default=1) + 1)) - found.keys())
    if missing:
        raise DataError(f"{folder}: image train-{missing[0]:04d}_nsd-?.png is missing, and {len(missing) - 1} others")
    return dict(found[number] for number in sorted(found))


def _half(
    root: Path, side: str, atlas: str, rois: Sequence[str] | None, n: int
) -> tuple[Float[np.ndarray, "images vertices"], list[str]]:
    path = root / "training_split" / "training_fmri" / f"{side}_training_fmri.npy"
    mask = root / "roi_masks" / f"{side}.{atlas}_challenge_space.npy"
    values, labels = _array(path), _array(mask)
    if labels.ndim != 1 or values.shape != (n, len(labels)):
        raise DataError(f"{path}: expected images x vertices = {n} x {labels.size} ({mask.name}), got {values.shape}")
    names = dict(enumerate(ROI_NAMES[atlas], 1))
    unnamed = sorted({int(label) for label in np.unique(labels)} - names.keys() - {0})
    if unnamed:
        raise DataError(f"{mask}: labels {unnamed[:5]} have no name in {atlas}")
    of = [names.get(int(label), "") for label in labels]
    keep = [vertex for vertex, name in enumerate(of) if name and (rois is None or name in rois)]
    return np.asarray(values[:, keep], dtype=np.float32), [of[vertex] for vertex in keep]


def _array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise DataError(f"{path} is not there")
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read as an array of numbers ({error}); get it anew") from error
