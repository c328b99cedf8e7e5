"""rsatoolbox: an assembly is a `Dataset`, geometries of one stimulus set are `RDMs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import squareform

from ontogeny._arrays import upper
from ontogeny._memory import require_memory, square
from ontogeny.brain import Assembly, Geometry
from ontogeny.errors import DataError, nearest, require
from ontogeny.neuroimaging.table_files import is_missing

__all__ = ["dataset_from_rsatoolbox", "dataset_to_rsatoolbox", "rdms_from_rsatoolbox", "rdms_to_rsatoolbox"]


def dataset_to_rsatoolbox(assembly: Assembly) -> Any:
    """An `rsatoolbox.data.Dataset`: stimulus_id is an observation's descriptor, roi and ceiling are a channel's.

    Args:
        assembly: one subject's responses.
    """
    channels: dict[str, Any] = {"roi": list(assembly.roi)}
    if assembly.ceiling is not None:
        channels["ceiling"] = np.asarray(assembly.ceiling)
    return require("rsatoolbox.data", "interchange").Dataset(
        measurements=assembly.responses,
        descriptors={
            "name": assembly.name,
            "subject": assembly.subject,
            "ceiling_source": assembly.ceiling_source,
        },
        obs_descriptors={"stimulus_id": list(assembly.stimulus_ids)},
        channel_descriptors=channels,
    )


def dataset_from_rsatoolbox(
    dataset: Any, *, subject: str | None = None, stimulus: str = "stimulus_id", roi: str = "roi"
) -> Assembly:
    """An assembly of a `Dataset`; average its repeats first (`rsatoolbox.data.average_dataset_by`).

    Args:
        dataset: observations x channels.
        subject: whose; default its descriptor "subject".
        stimulus: the observations' descriptor that names the stimulus.
        roi: the channels' descriptor that names the region.

    Raises:
        DataError: a descriptor is missing, NaN, or constant voxels.
        AlignmentIdError: a stimulus twice.
    """
    values = np.asarray(dataset.measurements)
    subject_name = subject if subject is not None else _text(_one(dataset.descriptors, "subject", "the dataset"))
    ceiling = dataset.channel_descriptors.get("ceiling")
    return Assembly(
        name=_text(dataset.descriptors.get("name", "rsatoolbox dataset")),
        subject=subject_name,
        stimulus_ids=_texts(_one(dataset.obs_descriptors, stimulus, "the observations")),
        responses=values if values.dtype.kind == "f" else values.astype(np.float64),
        roi=_texts(_one(dataset.channel_descriptors, roi, "the channels")),
        ceiling=None if ceiling is None else np.asarray(ceiling, dtype=np.float64),
        ceiling_source=_text(dataset.descriptors.get("ceiling_source", "not known")),
    )


def rdms_to_rsatoolbox(geometries: Sequence[Geometry]) -> Any:
    """`rsatoolbox.rdm.RDMs`, one a geometry, all in the order of the first one's stimuli.

    Args:
        geometries: of the same stimuli.

    Raises:
        DataError: no geometry.
        AlignmentIdError: a stimulus that one of them lacks.
    """
    if not geometries:
        raise DataError("there is no geometry to convert; give at least one")
    ids = geometries[0].stimulus_ids
    aligned = [geometry.align(ids) for geometry in geometries]
    whole = f"{len(geometries)} RDMs of {len(ids):,} stimuli"
    require_memory(len(geometries) * square(len(ids)), whole, instead="convert some geometries at a time")
    pairs = [upper(np.asarray(g.rdm)) for g in aligned]
    return require("rsatoolbox.rdm", "interchange").RDMs(
        dissimilarities=np.stack(pairs),
        rdm_descriptors={
            "name": [g.name for g in aligned],
            "subject": [g.subject for g in aligned],
            "roi": [g.roi for g in aligned],
            "n_voxels": [g.n_voxels for g in aligned],
        },
        pattern_descriptors={"stimulus_id": list(ids)},
    )


def rdms_from_rsatoolbox(
    rdms: Any, *, subject: str = "subject", roi: str = "roi", stimulus: str = "stimulus_id"
) -> tuple[Geometry, ...]:
    """Geometries of `RDMs`.

    Args:
        rdms: any number of them.
        subject: the RDMs' descriptor that names the subject.
        roi: the RDMs' descriptor that names the region.
        stimulus: the patterns' descriptor that names the stimulus.

    Raises:
        DataError: a descriptor is missing, or an RDM that holds NaN.
    """
    ids = _texts(_one(rdms.pattern_descriptors, stimulus, "the patterns"))
    subjects = _texts(_one(rdms.rdm_descriptors, subject, "the RDMs"))
    rois = _texts(_one(rdms.rdm_descriptors, roi, "the RDMs"))
    require_memory(
        len(rois) * square(len(ids)), f"{len(rois)} RDMs of {len(ids):,} stimuli", instead="convert some at a time"
    )
    names = _texts(rdms.rdm_descriptors.get("name", ["rsatoolbox RDM"] * len(rois)))
    counts = [int(n) for n in rdms.rdm_descriptors.get("n_voxels", [0] * len(rois))]
    return tuple(
        Geometry(
            name=names[row],
            subject=subjects[row],
            roi=rois[row],
            stimulus_ids=ids,
            rdm=squareform(np.asarray(pairs)),
            n_voxels=counts[row],
        )
        for row, pairs in enumerate(rdms.get_vectors())
    )


def _one(descriptors: Mapping[str, Any], name: str, owner: str) -> Any:
    if name not in descriptors:
        raise DataError(f"{owner} have no descriptor {name!r}. {nearest(name, [str(key) for key in descriptors])}")
    return descriptors[name]


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(value) for value in values)


def _text(value: Any) -> str:
    if is_missing(value):
        raise DataError(f"a descriptor that names something is empty ({value!r}); fill it in before converting")
    return value.decode() if isinstance(value, bytes) else str(value)
