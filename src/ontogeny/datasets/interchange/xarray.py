"""Brain-Score's assemblies: an xarray DataArray, presentation x neuroid, with stimulus_id, subject and region."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ontogeny.brain import Assembly
from ontogeny.errors import DataError, nearest, require
from ontogeny.neuroimaging.table_files import Sheet

__all__ = ["assemblies_from_xarray", "assembly_to_xarray", "read_netcdf"]


def assembly_to_xarray(
    assembly: Assembly, *, columns: Mapping[str, Shaped[np.ndarray, " voxels"]] | None = None
) -> Any:
    """One subject's responses as Brain-Score's `NeuroidAssembly(...)` takes them.

    Args:
        assembly: one subject's.
        columns: more coordinates of the voxels, one value each.

    Returns:
        `xarray.DataArray` with dimensions presentation x neuroid; coordinates stimulus_id; neuroid_id, subject, region
        [, ceiling]; attributes name and ceiling_source.
    """
    n = len(assembly.roi)
    neuroids: dict[str, Any] = {
        "neuroid_id": [f"{assembly.subject}.{voxel}" for voxel in range(n)],
        "subject": [assembly.subject] * n,
        "region": list(assembly.roi),
        **(columns or {}),
    }
    if assembly.ceiling is not None:
        neuroids["ceiling"] = np.asarray(assembly.ceiling)
    return require("xarray", "interchange").DataArray(
        np.asarray(assembly.responses),
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", list(assembly.stimulus_ids)),
            **{name: ("neuroid", values) for name, values in neuroids.items()},
        },
        name="responses",
        attrs={"assembly": assembly.name, "ceiling_source": assembly.ceiling_source},
    )


def assemblies_from_xarray(
    array: Any, *, name: str = "", stimulus: str = "stimulus_id", subject: str = "subject", region: str = "region"
) -> tuple[Assembly, ...]:
    """One assembly a subject, of a DataArray (Brain-Score's or `assembly_to_xarray`'s); average its repeats first.

    Args:
        array: dimensions presentation and neuroid, in either order; a time_bin of length 1 is dropped.
        name: of the assemblies; default the array's own.
        stimulus: the presentations' coordinate that names the stimulus.
        subject: the neuroids' coordinate that names the subject.
        region: the neuroids' coordinate that names the ROI.

    Raises:
        DataError: a dimension or coordinate is missing, or a subject's responses cannot be used.
        AlignmentIdError: a stimulus twice.
    """
    squeezed = array.squeeze("time_bin") if dict(array.sizes).get("time_bin") == 1 else array
    if set(squeezed.dims) != {"presentation", "neuroid"}:
        raise DataError(f"expected the dimensions presentation x neuroid, got {tuple(array.dims)}; average the others")
    values = np.asarray(squeezed.transpose("presentation", "neuroid").values)
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    ids = _coordinate(squeezed, stimulus, "presentation")
    subjects = np.array(_coordinate(squeezed, subject, "neuroid"), dtype=object)
    regions = np.array(_coordinate(squeezed, region, "neuroid"), dtype=object)
    ceilings = np.asarray(squeezed["ceiling"].values, dtype=np.float64) if "ceiling" in squeezed.coords else None
    out = []
    for one in dict.fromkeys(subjects.tolist()):
        voxels = subjects == one
        out.append(
            Assembly(
                name=name or str(array.attrs.get("assembly", array.name or "assembly")),
                subject=one,
                stimulus_ids=ids,
                responses=np.ascontiguousarray(values[:, voxels]),
                roi=tuple(regions[voxels].tolist()),
                ceiling=None if ceilings is None else ceilings[voxels],
                ceiling_source=str(array.attrs.get("ceiling_source", "not known")),
            )
        )
    return tuple(out)


def read_netcdf(path: Path) -> Any:
    """The assembly in a NetCDF file: an `xarray.DataArray` with the dimensions presentation and neuroid.

    Raises:
        DataError: the file cannot be read, or holds no such array, or several.
        MissingExtraError: xarray is not installed.
    """
    xarray = require("xarray", "interchange")
    try:
        with xarray.open_dataset(path) as opened:
            data = opened.load()
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise DataError(
            f"{path} cannot be read as NetCDF ({str(error).splitlines()[0]}); it may be cut short; NetCDF-4 files need "
            "h5netcdf: pip install '.[interchange]'"
        ) from error
    found = [value for value in data.data_vars.values() if {"presentation", "neuroid"} <= set(value.dims)]
    if len(found) != 1:
        raise DataError(
            f"{path}: expected one array with the dimensions presentation and neuroid, got {len(found)} among "
            f"{list(data.data_vars)}"
        )
    array = found[0]
    return array.squeeze("time_bin") if dict(array.sizes).get("time_bin") == 1 else array


def _coordinate(array: Any, name: str, dimension: str) -> tuple[str, ...]:
    if name not in array.coords or tuple(array[name].dims) != (dimension,):
        known = [str(key) for key in array.coords if tuple(array[key].dims) == (dimension,)]
        raise DataError(f"the {dimension}s have no coordinate {name!r}. {nearest(name, known)}")
    return Sheet(path=Path(f"the {dimension}s of this array"), columns={name: array[name].values.tolist()}).labels(name)
