"""Pereira et al. 2018: sentences in passages x the language network (Brain-Score's file), and 180 concepts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy.spatial.distance import pdist, squareform

from ontogeny.benchmarks import Benchmark, StimulusMapping
from ontogeny.brain import Geometry
from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets.interchange.xarray import assemblies_from_xarray, read_netcdf
from ontogeny.datasets.manual_datasets import find_elsewhere, folder_of
from ontogeny.errors import DataError, nearest
from ontogeny.metrics import CKA, RSA, Ridge, make_folds
from ontogeny.stimuli import StimulusSet

__all__ = ["load_concepts", "load_pereira", "read_concepts"]

# What Brain-Score takes of the file with all atlases: voxels of the upper tenth, by these contrasts or none.
_LOWER = "90"
_CONTRASTS = ("nan", "None", "", "HminusE", "FIXminusH")
_TEXT = ("sentence", "stimulus")
_ABOUT = (
    "Sentences of short passages on one topic, read one at a time. BOLD of {atlas} voxels, participants who took part "
    "in the experiment {experiment}; {dropped} neuroids with NaN or without variance left out. Sentences of a passage "
    "follow each other, so folds keep passages whole: shuffled folds leak (Feghhi et al. 2024, arXiv 2406.01538). "
    "Ceilings are not part of the file."
)
_CONCEPTS = (
    "180 concepts, each read in 6 sentences (experiment 1). A concept's features are the mean over its sentences. "
    "Geometry: 1 - cosine between whole-brain responses that are centred over concepts, from principal components that "
    "are each participant's own. Participants agree little (RSA of one with the others .03): read the mean over them."
)


def load_pereira(
    *,
    folder: str | os.PathLike[str] | None = None,
    experiment: str = "384sentences",
    atlas: str = "language",
    region: str = "atlas",
    groups: str = "passage_index",
) -> Benchmark:
    """Sentences in passages, one experiment, one set of voxels a participant.

    Args:
        folder: with Brain-Score's file, or the file; where not given, `pereira2018` in a data folder.
        experiment: "384sentences" or "243sentences".
        atlas: of the file's voxels, where it has several.
        region: the neuroids' coordinate that names the ROI: "atlas" (all as one), or "roi".
        groups: the presentations' coordinate that folds keep whole: "passage_index", or "passage_category" (topics).

    Raises:
        DataError: a file or option that cannot be used.
        DatasetNotFoundError: it is not on this machine; says where to get it.
        MissingExtraError: xarray is not installed.
    """
    about, path = find_elsewhere("pereira2018"), _file(folder_of("pereira2018", folder))
    array = _chosen(read_netcdf(path), path, experiment, atlas)
    usable = usable_voxels(np.asarray(array.values))
    if not usable.any():
        raise DataError(f"{path}: no neuroid of experiment {experiment!r} and atlas {atlas!r} has finite responses")
    array = _with_region(array.isel(neuroid=np.flatnonzero(usable)), region, atlas)
    name = f"pereira2018-{experiment}"
    assemblies = assemblies_from_xarray(array, name=f"{name}, BOLD", region="_region")
    labels = tuple(f"{experiment} {value}" for value in _values(array, groups, "presentation", path))
    stimuli = StimulusSet(
        name=name,
        modality="text",
        ids=assemblies[0].stimulus_ids,
        inputs=_sentences(array, path),
        groups=labels,
    )
    return Benchmark(
        name=name,
        version="1",
        citation=about.citation,
        licence=about.terms,
        about=_ABOUT.format(atlas=atlas, experiment=experiment, dropped=int((~usable).sum())),
        simulated=False,
        stimuli=stimuli,
        assemblies=assemblies,
        metrics=(Ridge(rule="kfold"),),
        folds=make_folds(len(stimuli), n_folds=min(5, len(set(labels))), groups=labels, seed=0),
    )


def _file(place: Path) -> Path:
    if place.is_file():
        return place
    found = sorted(place.rglob("*ereira2018*.nc"))
    if len(found) != 1:
        named = ", ".join(path.name for path in found[:4]) or "none"
        raise DataError(f"{place}: expected one file *ereira2018*.nc, got {named}; give the file as folder=...")
    return found[0]


def _values(array: Any, name: str, dimension: str, path: Path) -> list[str]:
    if name not in array.coords or tuple(array[name].dims) != (dimension,):
        known = [str(key) for key in array.coords if tuple(array[key].dims) == (dimension,)]
        raise DataError(f"{path}: the {dimension}s have no coordinate {name!r}. {nearest(name, known)}")
    return [_plain(value) for value in array[name].values.tolist()]


def _plain(value: Any) -> str:
    """As text; a whole number without its point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _has(array: Any, name: str) -> bool:
    return name in array.coords and tuple(array[name].dims) == ("neuroid",)


def _chosen(array: Any, path: Path, experiment: str, atlas: str) -> Any:
    """The experiment's presentations and the atlas' neuroids, presentation x neuroid."""
    experiments = _values(array, "experiment", "presentation", path)
    if experiment not in experiments:
        raise DataError(
            f"{path}: there is no experiment {experiment!r}. {nearest(experiment, sorted(set(experiments)))}"
        )
    keep = np.ones(array.sizes["neuroid"], dtype=bool)
    if _has(array, "atlas"):
        atlases = _values(array, "atlas", "neuroid", path)
        if atlas not in atlases:
            raise DataError(f"{path}: there is no atlas {atlas!r}. {nearest(atlas, sorted(set(atlases)))}")
        keep &= np.array(atlases) == atlas
    if _has(array, "atlas_selection_lower"):
        keep &= np.array(_values(array, "atlas_selection_lower", "neuroid", path)) == _LOWER
    if _has(array, "filter_strategy"):
        keep &= np.isin(np.array(_values(array, "filter_strategy", "neuroid", path)), _CONTRASTS)
    chosen = array.transpose("presentation", "neuroid")
    return chosen.isel(presentation=np.flatnonzero(np.array(experiments) == experiment), neuroid=np.flatnonzero(keep))


def _with_region(array: Any, region: str, atlas: str) -> Any:
    if region != "atlas" and not _has(array, region):
        known = ["atlas", *(str(key) for key in array.coords if tuple(array[key].dims) == ("neuroid",))]
        raise DataError(f"pereira2018: the neuroids have no coordinate {region!r}. {nearest(region, known)}")
    whole = [f"{atlas} network"] * array.sizes["neuroid"]
    labels = whole if region == "atlas" else [_plain(value) for value in array[region].values.tolist()]
    return array.assign_coords(_region=("neuroid", labels))


def _sentences(array: Any, path: Path) -> tuple[str, ...]:
    for name in _TEXT:
        if name in array.coords and tuple(array[name].dims) == ("presentation",):
            return tuple(str(value) for value in array[name].values.tolist())
    raise DataError(f"{path}: the presentations have no coordinate 'sentence' or 'stimulus', so there is no text")


def load_concepts(*, folder: str | os.PathLike[str] | None = None) -> Benchmark:
    """180 concepts, one geometry per participant.

    Args:
        folder: with `pereira180_pca.npz`; where not given, `pereira2018_concepts` in a data folder.

    Raises:
        DataError: the file cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
    """
    about = find_elsewhere("pereira2018_concepts")
    path = folder_of(about.name, folder)
    parts = read_concepts(path if path.is_file() else path / "pereira180_pca.npz")
    ids = tuple(str(concept) for concept in parts["concepts"])
    sentences = [[str(text).strip() for text in row] for row in parts["sentences"]]
    stimuli = StimulusSet(name=about.name, modality="text", ids=ids, inputs=tuple(" ".join(some) for some in sentences))
    return Benchmark(
        name=about.name,
        version="1",
        citation=about.citation,
        licence=about.terms,
        about=_CONCEPTS,
        simulated=False,
        stimuli=stimuli,
        pieces=StimulusMapping.mean(sentences, stimuli=stimuli),
        assemblies=tuple(
            Geometry(
                name=about.name,
                subject=str(subject),
                roi="whole brain",
                stimulus_ids=ids,
                rdm=squareform(pdist(components.astype(np.float64), "cosine")),
            )
            for subject, components in zip(parts["subjects"], parts["pcs"], strict=True)
        ),
        metrics=(RSA(), CKA(debiased=True)),
        folds=make_folds(len(ids), n_folds=5, seed=0),
    )


def read_concepts(path: Path) -> dict[str, np.ndarray]:
    """`pcs` (participants x concepts x components), `concepts`, `sentences` (concepts x 6), `subjects`.

    Raises:
        DataError: no such file, not such a file, or sizes that do not fit each other.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; see `pereira2018_concepts` in ontogeny.datasets.manual_datasets")
    tables = ("pcs", "concepts", "sentences", "subjects")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [name for name in tables if name not in file]
            parts = {name: file[name] for name in tables if name in file}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as arrays of numpy ({error}); it may be cut short") from error
    if missing:
        raise DataError(f"{path}: {missing} are missing; is it another file?")
    shape, n = parts["pcs"].shape, len(parts["concepts"])
    if len(shape) != 3 or shape[:2] != (len(parts["subjects"]), n) or parts["sentences"].shape[:1] != (n,):
        raise DataError(
            f"{path}: pcs should be participants x concepts x components = {len(parts['subjects'])} x {n} x any, and "
            f"sentences one row per concept, got {shape} and {parts['sentences'].shape}"
        )
    return parts
