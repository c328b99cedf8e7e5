"""Atlases by name, fetched by nilearn when asked; written as a label image with its table, which `read_space` takes."""

from __future__ import annotations

import inspect
import re
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DataError, DatasetNotFoundError, nearest, require
from ontogeny.neuroimaging.image_grids import Surface, nibabel
from ontogeny.neuroimaging.packaged_atlases import PACKAGED, packaged_atlas
from ontogeny.neuroimaging.voxel_masks import Space, table_beside

__all__ = ["ATLASES", "atlas_options", "fetch_atlas"]

# What nilearn offers with one label per voxel (or vertex). HCP-MMP1, and Yeo's networks on surfaces: PACKAGED.
ATLASES: dict[str, str] = {
    "schaefer2018": "fetch_atlas_schaefer_2018",
    "yeo2011": "fetch_atlas_yeo_2011",
    "harvard-oxford": "fetch_atlas_harvard_oxford",
    "juelich": "fetch_atlas_juelich",
    "destrieux2009": "fetch_atlas_destrieux_2009",
    "destrieux-surface": "fetch_atlas_surf_destrieux",
    "aal": "fetch_atlas_aal",
    "basc2015": "fetch_atlas_basc_multiscale_2015",
    "talairach": "fetch_atlas_talairach",
}


def fetch_atlas(name: str, out: str | Path, **options: Any) -> tuple[Path, ...]:
    """Download an atlas, unless nilearn has it already, and write it with the names of its labels.

    Args:
        name: one of `ATLASES`; or of `ontogeny.neuroimaging.packaged_atlases.PACKAGED`, which need no network.
        out: folder to write to.
        **options: nilearn's own, see `atlas_options`: e.g. n_rois=100, atlas_name="cort-maxprob-thr25-2mm", data_dir;
            of a packaged one on fsaverage density="164k", "41k" or "10k".

    Returns:
        The label image, in the atlas's own template space (named in the file's name); of a surface one a hemisphere of
        fsaverage5. A `.tsv` lies beside each, and nilearn's description with licence and citation in a `.txt`.

    Raises:
        DataError: no such atlas or option, or one with several labels a voxel.
        DatasetNotFoundError: it could not be downloaded, says what to get and where to put it; or its package is not
            installed.
        MissingExtraError: nilearn is not installed.
    """
    if name in PACKAGED:
        known = PACKAGED[name].options
        if unknown := sorted(options.keys() - set(known)):
            raise DataError(f"atlas {name!r} has {f'the options {known}' if known else 'no options'}, got {unknown}")
        return packaged_atlas(name, out, **options)
    atlas = _fetched(name, options)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "".join(f"_{key.replace('_', '')}-{_plain(options[key])}" for key in sorted(options) if key in _IN_NAME)
    stem = f"atlas-{_plain(name)}{suffix}_space-{_plain(str(atlas.template))}"
    (folder / f"{stem}_dseg.txt").write_text(str(atlas.description), encoding="utf-8")
    if name == "destrieux-surface":
        return tuple(_write_side(atlas, side, folder / f"{stem}_hemi-{side[0].upper()}") for side in ("left", "right"))
    return (_write_volume(atlas, folder / f"{stem}_dseg.nii.gz", name),)


def _fetched(name: str, options: dict[str, Any]) -> Any:
    """What nilearn's function gives."""
    known, fetcher = atlas_options(name), getattr(_datasets(), ATLASES[name])
    for option in options:
        if option not in known:
            raise DataError(f"atlas {name!r} has no option {option!r}. {nearest(option, known)}")
    missing = [option for option, default in known.items() if default is inspect.Parameter.empty]
    if set(missing) - options.keys():
        raise DataError(f"atlas {name!r} needs the option {missing[0]!r}, e.g. {_EXAMPLES.get(name, 'see nilearn')}")
    suffix = StringIO()
    try:
        with redirect_stdout(suffix), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\s*The following regions")  # which verbose=1 warns of
            return fetcher(**options, verbose=1)
    except ValueError as error:
        raise DataError(f"atlas {name!r} with {options}: {error}") from error
    except OSError as error:  # requests' errors are some too
        raise DatasetNotFoundError(
            f"atlas {name!r} could not be fetched ({str(error)[:_SHOWN]}){_by_hand(suffix.getvalue())}"
        ) from error


_SHOWN = 80  # of an error's text


def _by_hand(suffix: str) -> str:
    """What to do without a network: which file nilearn wanted, and where it looks for it."""
    address = re.findall(r"Downloading data from (\S+)", suffix)
    folder = re.findall(r"Dataset (?:created in|found in|directory found:|directory created:) (.+?)\s*$", suffix, re.M)
    if not address or not folder:
        return "; is there a network?"
    place, archive = Path(folder[-1]), address[-1].endswith((".zip", ".gz", ".tgz", ".tar"))
    return (
        f". Without a network get {address[-1]} elsewhere, {'unpack' if archive else 'put'} it into {place}, and give "
        f"data_dir={place.parent}; or give the label image and its table (TSV or FreeSurfer LUT) to --atlas and "
        f"--labels of data build. Atlases that packages ship: {', '.join(PACKAGED)}"
    )


_IN_NAME = ("n_rois", "yeo_networks", "resolution_mm", "n_networks", "thickness", "atlas_name", "resolution", "version")
_EXAMPLES = {
    "harvard-oxford": "atlas_name='cort-maxprob-thr25-2mm'",
    "juelich": "atlas_name='maxprob-thr25-2mm'",
    "talairach": "level_name='ba'",
}


def atlas_options(name: str) -> dict[str, Any]:
    """Options of an atlas -> their defaults (`inspect.Parameter.empty` where one must be given).

    Raises:
        DataError: no such atlas.
        MissingExtraError: nilearn is not installed.
    """
    if name not in ATLASES:
        raise DataError(f"nilearn has no atlas {name!r} that is known here. {nearest(name, [*ATLASES, *PACKAGED])}")
    given = inspect.signature(getattr(_datasets(), ATLASES[name])).parameters
    return {key: parameter.default for key, parameter in given.items() if key not in ("verbose", "resume")}


def _datasets() -> Any:
    return require("nilearn.datasets", "nilearn")


def _plain(value: Any) -> str:
    return "".join(letter for letter in str(value) if letter.isalnum())


def _names(atlas: Any) -> dict[int, str]:
    return {int(number): str(name) for number, name in zip(atlas.lut["index"], atlas.lut["name"], strict=True)}


def _write_volume(atlas: Any, path: Path, name: str) -> Path:
    if atlas.atlas_type != "deterministic":
        raise DataError(f"this version of atlas {name!r} has several labels a voxel; choose one with one, e.g. maxprob")
    image = nibabel().load(atlas.maps) if isinstance(atlas.maps, str | Path) else atlas.maps
    values = np.rint(np.squeeze(np.asarray(image.dataobj))).astype(np.int32)
    nibabel().Nifti1Image(values, image.affine).to_filename(path)
    rows = [f"{number}\t{label}\n" for number, label in _names(atlas).items()]
    table_beside(path).write_text("index\tname\n" + "".join(rows), encoding="utf-8")
    return path


def _write_side(atlas: Any, side: str, stem: Path) -> Path:
    values, names = np.asarray(atlas[f"map_{side}"]), _names(atlas)
    index = np.flatnonzero(values > 0)
    space = Space(
        grid=Surface(size=len(values), structure=f"Cortex{side.capitalize()}"),
        index=index,
        roi=tuple(names[int(values[vertex])] for vertex in index),
    )
    return space.write(stem.with_name(f"{stem.name}_dseg.func.gii"))
