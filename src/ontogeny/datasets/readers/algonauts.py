"""Algonauts 2023: photographs of the Natural Scenes Dataset x vertices of one participant's visual cortex."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from tqdm import tqdm

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets._lazy_images import PictureFiles
from ontogeny.datasets.manual_datasets import find_elsewhere, folder_of
from ontogeny.errors import DataError, nearest
from ontogeny.metrics import Ridge, make_folds
from ontogeny.stimuli import StimulusSet

__all__ = ["REGIONS", "load_algonauts"]

# Kind of mask -> its regions, numbered from 1. The files that say so are serialised Python objects, which are not read.
REGIONS: dict[str, tuple[str, ...]] = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}
_JOINED = {
    "V1": ("V1v", "V1d"),
    "V2": ("V2v", "V2d"),
    "V3": ("V3v", "V3d"),
    "FBA": ("FBA-1", "FBA-2"),
    "FFA": ("FFA-1", "FFA-2"),
    "VWFA": ("VWFA-1", "VWFA-2"),
}
_HEMISPHERES = ("lh", "rh")
_NAME = re.compile(r"train-(\d+)_nsd-(\d+)\.png")
_AT_ONCE = 256
_ABOUT = (
    "{n} of {every} training photographs of {subject}; subjects saw different ones, so that each is a benchmark of its "
    "own. Responses are the published ones, of vertices of the visual cortex; {dropped} vertices with NaN or "
    "without variance left out. Regions overlap where their maps do. {known}"
)


def load_algonauts(
    *,
    folder: str | os.PathLike[str] | None = None,
    subject: str = "subj01",
    rois: Sequence[str] = ("V1", "V2", "V3", "hV4", "ventral"),
    images: int | None = 1000,
    apart: bool = False,
    ceilings: str | os.PathLike[str] | None = None,
) -> Benchmark:
    """Photographs and the vertices of one subject.

    Args:
        folder: with `subj01` and so on; where not given, `algonauts2023` in a data folder.
        subject: "subj01" to "subj08".
        rois: names of `REGIONS`, or V1, V2, V3, FBA, FFA, VWFA, which join their parts.
        images: so many, drawn by a fixed seed; None: all.
        apart: keep the hemispheres apart, as "lh V1" and "rh V1".
        ceilings: a folder with `lh_noise_ceiling.npy` and `rh_noise_ceiling.npy` of your own, the highest Pearson r
            of each vertex (0-1); the published training data have none.

    Raises:
        DataError: a file or option that cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
    """
    about = find_elsewhere("algonauts2023")
    place = _subject(folder_of(about.name, folder), subject)
    ids, photos = _photos(place / "training_split" / "training_images")
    rows = _drawn(len(ids), images)
    known = None if ceilings is None else Path(ceilings).expanduser()
    parts = [_hemisphere(place, side, rois, rows, known, len(ids)) for side in _HEMISPHERES]
    assembly, dropped = _assembly(parts, subject, tuple(ids[row] for row in rows), rois, apart=apart)
    name = f"{about.name}-{subject}"
    note = "Ceilings are the user's own." if known else "No ceiling comes with the training data: not known."
    return Benchmark(
        name=name,
        version="1",
        citation=about.citation,
        licence=about.terms,
        about=_ABOUT.format(n=len(rows), every=len(ids), subject=subject, dropped=dropped, known=note),
        simulated=False,
        stimuli=StimulusSet(
            name=name,
            modality="image",
            ids=assembly.stimulus_ids,
            inputs=PictureFiles([photos[row] for row in rows]),
        ),
        assemblies=(assembly,),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(rows), n_folds=5, seed=0),
    )


def _subject(folder: Path, subject: str) -> Path:
    here = sorted(path.name for path in folder.glob("subj*") if path.is_dir())
    if subject not in here:
        raise DataError(f"{folder}: there is no subject {subject!r}. {nearest(subject, here)}")
    return folder / subject


def _photos(folder: Path) -> tuple[list[str], list[Path]]:
    """Ids by number in the Natural Scenes Dataset, and files, in the order of the rows."""
    every = [(int(m[1]), f"nsd-{m[2]}", path) for path in folder.glob("*.png") if (m := _NAME.fullmatch(path.name))]
    found = {number: (one, path) for number, one, path in every}
    if len(found) < len(every):
        raise DataError(f"{folder}: {len(every)} pictures have {len(found)} numbers; unpack the folder anew")
    if not found:
        raise DataError(f"{folder}: there are no pictures train-0001_nsd-00013.png and so on")
    absent = sorted(set(range(1, len(found) + 1)) - set(found))
    if absent:
        raise DataError(f"{folder}: pictures are numbered from 1 without gaps, but train-{absent[0]:04d} is missing")
    ordered = [found[number] for number in sorted(found)]
    return [one for one, _ in ordered], [path for _, path in ordered]


def _drawn(n: int, images: int | None) -> Shaped[np.ndarray, " images"]:
    if images is None or images == n:
        return np.arange(n)
    if not 1 <= images <= n:
        raise DataError(f"images should be 1 to {n}, or None for all, got {images}")
    return np.sort(np.random.default_rng(0).permutation(n)[:images])


def _array(path: Path, dimensions: int, kinds: str) -> Shaped[np.ndarray, "..."]:
    """An array of numbers, mapped into memory; nothing but numbers is read."""
    if not path.is_file():
        raise DataError(f"{path} is not there; unpack the whole folder of the subject")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as an array of numbers ({error}); it may be cut short") from error
    if array.ndim != dimensions or array.dtype.kind not in kinds:
        raise DataError(f"{path}: expected {dimensions} dimension(s) of numbers, got {array.shape} of {array.dtype}")
    return np.asarray(array) if dimensions == 1 else array


def _kinds(rois: Sequence[str]) -> dict[str, tuple[tuple[str, int], ...]]:
    """Region -> the (kind of mask, number) of its parts."""
    where = {name: (kind, place + 1) for kind, names in REGIONS.items() for place, name in enumerate(names)}
    if isinstance(rois, str) or not rois:
        raise DataError(f"rois should be a list of regions, got {rois!r}")
    for roi in rois:
        if roi not in where and roi not in _JOINED:
            raise DataError(f"algonauts2023 has no ROI {roi!r}. {nearest(roi, [*_JOINED, *where])}")
    return {roi: tuple(where[part] for part in _JOINED.get(roi, (roi,))) for roi in rois}


def _hemisphere(
    place: Path, side: str, rois: Sequence[str], rows: np.ndarray, known: Path | None, images: int
) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray | None]:
    """The (region, vertex) of each column, images x columns, and a ceiling per column."""
    path = place / "training_split" / "training_fmri" / f"{side}_training_fmri.npy"
    responses = _array(path, 2, "f")
    if len(responses) != images:
        raise DataError(f"{path}: {len(responses)} rows but {images} pictures; is the folder unpacked whole?")
    columns = [
        (f"{side} {roi}", int(vertex))
        for roi, parts in _kinds(rois).items()
        for vertex in np.flatnonzero(_mask(place, side, parts, responses.shape[1]))
    ]
    chosen, back = np.unique([vertex for _, vertex in columns], return_inverse=True)
    blocks = np.array_split(rows, max(1, -(-len(rows) // _AT_ONCE)))
    bar = tqdm(blocks, desc=f"{place.name} {side}", unit="block", disable=None)
    chosen = chosen.astype(np.intp)
    values = np.concatenate([responses[block][:, chosen] for block in bar])[:, back]
    if known is None:
        return columns, values, None
    ceiling = _array(known / f"{side}_noise_ceiling.npy", 1, "f")
    if ceiling.shape != responses.shape[1:] or not ((ceiling >= 0) & (ceiling <= 1)).all():
        raise DataError(
            f"{known / side}_noise_ceiling.npy: expected {responses.shape[1]} Pearson r of 0 to 1, one a vertex, got "
            f"{len(ceiling)} from {ceiling.min():.3g} to {ceiling.max():.3g}"
        )
    return columns, values, ceiling[chosen][back]


def _mask(place: Path, side: str, parts: tuple[tuple[str, int], ...], vertices: int) -> np.ndarray:
    inside = np.zeros(vertices, dtype=bool)
    for kind, number in parts:
        path = place / "roi_masks" / f"{side}.{kind}_challenge_space.npy"
        numbers = _array(path, 1, "iuf")
        if len(numbers) != vertices:
            raise DataError(f"{path}: {len(numbers)} vertices, but the responses have {vertices}")
        if numbers.min() < 0 or numbers.max() > len(REGIONS[kind]):
            raise DataError(
                f"{path}: regions are numbered 0 to {len(REGIONS[kind])}, got {numbers.min()} to {numbers.max()}"
            )
        inside |= numbers == number
    return inside


def _assembly(
    parts: Sequence[tuple[list[tuple[str, int]], np.ndarray, np.ndarray | None]],
    subject: str,
    ids: tuple[str, ...],
    rois: Sequence[str],
    *,
    apart: bool,
) -> tuple[Assembly, int]:
    columns = [column for part, _, _ in parts for column in part]
    regions = np.array([label.split(" ", 1)[1] for label, _ in columns], dtype=object)
    values = np.concatenate([part for _, part, _ in parts], axis=1)
    usable = usable_voxels(values)
    for roi in rois:
        if not usable[regions == roi].any():
            why = "every vertex of it holds NaN or is constant" if (regions == roi).any() else "no vertex lies in it"
            raise DataError(f"algonauts2023, {subject}, ROI {roi!r}: {why}; leave it out of rois=[...]")
    known = [ceiling for _, _, ceiling in parts if ceiling is not None]
    dropped = {(columns[at][0][:2], columns[at][1]) for at in np.flatnonzero(~usable)}
    assembly = Assembly(
        name="algonauts2023, BOLD",
        subject=subject,
        stimulus_ids=ids,
        responses=values[:, usable],
        roi=tuple(columns[at][0] if apart else str(regions[at]) for at in np.flatnonzero(usable)),
        ceiling=np.concatenate(known)[usable].astype(np.float64) if known else None,
        ceiling_source="given by the user, one a vertex" if known else "not known",
    )
    return assembly, len(dropped)
