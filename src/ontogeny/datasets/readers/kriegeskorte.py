"""Kriegeskorte et al. 2008: 92 object photographs x the geometry of human (and monkey) inferior temporal cortex."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float
from scipy.io.matlab import MatReadError
from scipy.spatial.distance import squareform

from ontogeny._arrays import Square
from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Geometry
from ontogeny.datasets.data_paths import find_file
from ontogeny.datasets.pinned_datasets import find_source
from ontogeny.errors import DataError
from ontogeny.metrics import CKA, RSA, make_folds
from ontogeny.stimuli import StimulusSet

__all__ = ["load_kriegeskorte", "read_monkey", "read_photographs", "read_sessions"]

_BRAIN = "92_brainRDMs.mat"
_SUPPLEMENT = "Kriegeskorte_Neuron2008_supplementalData.mat"
_N = 92
# The published group RDM is named hITvisStim_316vx, and equals the mean over these sessions and subjects exactly.
_VOXELS = 316
_ABOUT = (
    "92 photographs of isolated objects: faces and bodies of humans and animals, natural and artificial things. Human "
    "IT: 4 subjects x 2 fMRI sessions, dissimilarity 1 - Pearson r over 316 visually responsive voxels; each subject's "
    "geometry is the mean of the two sessions. Sessions of one subject agree little (Spearman .10 to .38), so one "
    "subject's curve is noisy: read the mean over subjects. Groups are the six published categories."
)
_MONKEY = " Monkey IT: the published RDM over 674 single neurons of two monkeys."


def load_kriegeskorte(*, monkey: bool = False) -> Benchmark:
    """The photographs, with one geometry per subject.

    Args:
        monkey: add the published monkey IT geometry as one more subject with an ROI of its own.

    Raises:
        DataError: a file that cannot be used.
        DatasetNotFoundError: a file is not on this machine.
    """
    source = find_source("kriegeskorte2008")
    name = f"{source.name}-monkey" if monkey else source.name
    supplement = find_file(source, _SUPPLEMENT)
    images, categories = read_photographs(supplement)
    ids = tuple(f"image-{number:02d}" for number in range(1, _N + 1))
    geometries = [
        _geometry(name, subject, "human IT", ids, rdms.mean(axis=0), n_voxels=_VOXELS)
        for subject, rdms in read_sessions(find_file(source, _BRAIN)).items()
    ]
    if monkey:
        geometries.append(_geometry(name, "monkeys", "monkey IT", ids, read_monkey(supplement), n_voxels=0))
    return Benchmark(
        name=name,
        version="1",
        citation=source.citation,
        licence=source.licence,
        about=_ABOUT + (_MONKEY if monkey else ""),
        simulated=False,
        stimuli=StimulusSet(name=source.name, modality="image", ids=ids, inputs=images, groups=categories),
        assemblies=tuple(geometries),
        metrics=(RSA(), CKA(debiased=True)),
        folds=make_folds(_N, n_folds=5, groups=categories, seed=0),
    )


def _geometry(name: str, subject: str, roi: str, ids: tuple[str, ...], rdm: Square, *, n_voxels: int) -> Geometry:
    return Geometry(name=name, subject=subject, roi=roi, stimulus_ids=ids, rdm=rdm, n_voxels=n_voxels)


def read_sessions(path: Path) -> dict[str, Float[np.ndarray, "sessions stimuli stimuli"]]:
    """Subject -> one RDM (1 - Pearson r) a session, from `92_brainRDMs.mat`.

    Raises:
        DataError: the file cannot be used; names it.
    """
    cells = _variable(path, "RDMs", ("RDM", "name"))
    if cells.ndim != 3:
        raise DataError(f"{path}: RDMs should be 1 x subjects x sessions, got {cells.shape}")
    out: dict[str, Float[np.ndarray, "sessions stimuli stimuli"]] = {}
    for row in cells[0]:
        subject = _text(row[0]["name"]).split("|")[1:2]
        if not subject or subject[0].strip() in out:
            raise DataError(f"{path}: names should be 'hIT | SUBJECT | Session: N', got {_text(row[0]['name'])!r}")
        out[subject[0].strip()] = np.stack([_square(path, cell["RDM"]) for cell in row])
    return out


def read_photographs(path: Path) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """The 92 photographs (uint8, 175 x 175 x 3) and their categories, from the supplemental data.

    Raises:
        DataError: the file cannot be used; names it.
    """
    cells = _variable(path, "stimuli_92objs", ("image", "category")).ravel()
    images = tuple(np.ascontiguousarray(cell["image"]) for cell in cells)
    wrong = [i.shape for i in images if i.ndim != 3 or i.shape[2] != 3 or i.dtype != np.uint8]
    if len(images) != _N or wrong:
        raise DataError(f"{path}: expected {_N} uint8 colour images, got {len(images)}, of them not so: {wrong[:3]}")
    return images, tuple(_text(cell["category"]) for cell in cells)


def read_monkey(path: Path) -> Square:
    """The published monkey IT RDM (1 - Pearson r over 674 neurons), from the supplemental data.

    Raises:
        DataError: the file cannot be used; names it.
    """
    for cell in _variable(path, "RDMs_mIT_hIT_fig1", ("RDM", "name")).ravel():
        if _text(cell["name"]).startswith("mIT"):
            pairs = np.asarray(cell["RDM"], dtype=np.float64).ravel()
            if pairs.size != _N * (_N - 1) // 2:
                raise DataError(f"{path}: the monkey RDM should have {_N * (_N - 1) // 2} pairs, got {pairs.size}")
            return _square(path, squareform(pairs))
    raise DataError(f"{path}: RDMs_mIT_hIT_fig1 has no RDM whose name starts with 'mIT'")


def _square(path: Path, values: Any) -> Square:
    rdm = np.asarray(values, dtype=np.float64)
    if rdm.shape != (_N, _N) or not np.isfinite(rdm).all():
        raise DataError(f"{path}: each RDM should be {_N} x {_N} and finite, got {rdm.shape} or NaN in it")
    return rdm


def _text(value: Any) -> str:
    return str(np.asarray(value).ravel()[0])


def _variable(path: Path, name: str, fields: tuple[str, ...]) -> Any:
    """One MATLAB struct array out of a version-5 file; nothing in such a file is run."""
    try:
        value = scipy.io.loadmat(path, variable_names=[name]).get(name)
    except (MatReadError, OSError, ValueError, TypeError, LookupError, NotImplementedError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a MATLAB file ({error}); it may be cut short, run "
            "`ontogeny data verify kriegeskorte2008`"
        ) from error
    if value is None or value.size == 0:
        raise DataError(f"{path}: variable {name!r} is missing; it may be cut short or another file")
    missing = [field for field in fields if field not in (value.dtype.names or ())]
    if missing:
        raise DataError(f"{path}: {name} should have the fields {list(fields)}, missing {missing}")
    return value
