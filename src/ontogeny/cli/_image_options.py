"""Options of `ontogeny data build` for images of the brain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.errors import ConfigError, nearest

if TYPE_CHECKING:
    from ontogeny.datasets.own_data.image_files import Images

__all__ = ["add_atlas", "add_images", "given_images"]

_ATLAS = """\
Fetch an atlas through nilearn (pip install '.[nilearn]'): a label image and its table, as --atlas takes them.
Nothing is downloaded but by this command; what nilearn has in its folder already is used.

  ontogeny data atlas schaefer2018 n_rois=100 resolution_mm=2 --out atlases/
  ontogeny data atlas harvard-oxford atlas_name=cort-maxprob-thr25-2mm --out atlases/
  ontogeny data atlas destrieux-surface --out atlases/              fsaverage5, both hemispheres

An atlas lies in a template's space. `ontogeny data build --resample` puts it on the grid of betas in that same space;
betas in a subject's own space need an atlas in that space.
"""

_OF = "[SUBJECT=]FILE"


def add_images(parser: Any) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "images of the brain, in place of --responses and --rois",
        "FILE is of the subject in its name (sub-01_...), of SUBJECT in SUBJECT=FILE, or (table, atlas) of all.",
    )
    group.add_argument("--betas", nargs="+", default=[], metavar=_OF, help="4-D, one or one a run; NIfTI, CIFTI, GIFTI")
    group.add_argument("--table", nargs="+", default=[], metavar=_OF, help="stimulus_id and run, one row a volume")
    group.add_argument("--atlas", nargs="+", default=[], metavar=_OF, help="label image; of surfaces one a hemisphere")
    group.add_argument("--labels", type=Path, help="index and name (default: in the atlas, or the .tsv beside it)")
    group.add_argument("--regions", nargs="+", default=[], metavar="ROI", help="which of the atlas's (default: all)")
    group.add_argument("--bids", type=Path, metavar="DIR", help="find all this in BIDS derivatives, by name")
    group.add_argument("--subjects", nargs="+", default=[], help="with --bids, which (default: all)")
    group.add_argument(
        "--select", nargs="+", default=[], metavar="KEY=VALUE", help="with --bids, in the betas' names: space=T1w"
    )
    group.add_argument("--select-atlas", nargs="+", default=[], metavar="KEY=VALUE", help="in the atlas's name")
    group.add_argument(
        "--resample", action="store_true", help="put the atlas on the betas' grid, nearest neighbour; kept in made_by"
    )
    group.add_argument("--no-zscore", action="store_true", help="do not z-score each voxel within each run")
    group.add_argument(
        "--blocks",
        type=int,
        metavar="SHIFT",
        help="time series, a table row a volume: averages of blocks, moved by so "
        "many volumes (about 5 s; 0 where labels were moved)",
    )
    group.add_argument(
        "--order",
        choices=["rows", "onset"],
        default="checked",
        help="of the volumes within a run: that of the table's rows, whatever its onsets say; or that of the onsets "
        "(default: that of the rows, refused where onsets fall)",
    )
    group.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="what the table calls rows in which no stimulus was shown: fixation, n/a (an empty cell)",
    )
    group.add_argument("--shared", action="store_true", help="only the stimuli that all subjects saw")
    group.add_argument("--voxelwise", action="store_true", help="each voxel a region of its own: a curve a voxel")


def add_atlas(verbs: Any) -> None:
    """Add `ontogeny data atlas`."""
    parser = verbs.add_parser(
        "atlas",
        help="fetch an atlas through nilearn",
        description=_ATLAS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", help="schaefer2018, yeo2011, harvard-oxford, destrieux2009, destrieux-surface, aal, ..."
    )
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="nilearn's own options of this atlas")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.set_defaults(run=_atlas)


def _atlas(arguments: argparse.Namespace) -> int:
    from ontogeny.neuroimaging.atlases import fetch_atlas

    given = {
        key: int(value) if value.isdigit() else value for key, value in _pairs("options", arguments.options).items()
    }
    for path in fetch_atlas(arguments.name, arguments.out, **given):
        sys.stdout.write(f"wrote {path}\n")
    sys.stdout.write("licence and whom to cite are in the .txt beside it\n")
    return 0


def given_images(arguments: argparse.Namespace) -> dict[str, Images]:
    """Subject -> images; empty where the command line has none.

    Raises:
        ConfigError: a file whose subject is not said, a subject without betas.
        DataError: see `bids_images`.
    """
    from ontogeny.datasets.own_data.bids_derivatives import bids_images
    from ontogeny.datasets.own_data.image_files import Images

    files = {name: _by_subject(name, getattr(arguments, name)) for name in ("betas", "table", "atlas")}
    found: dict[str, Images] = {}
    if arguments.bids is not None:
        found = bids_images(
            arguments.bids,
            subjects=arguments.subjects,
            betas=_pairs("--select", arguments.select),
            atlas=_pairs("--select-atlas", arguments.select_atlas),
            with_atlas=not arguments.atlas,
        )
    elif arguments.betas:
        found = {subject: Images(betas=paths, table=(), atlas=()) for subject, paths in files["betas"].items()}
    elif arguments.table:
        found = {subject: Images(betas=(), table=(), atlas=()) for subject in files["table"]}
    if "" in found:
        raise ConfigError(
            f"whose is {(files['betas'] or files['table'])[''][0]}? Write SUBJECT=FILE, or name it sub-SUBJECT_..."
        )
    for option in ("betas", "table", "atlas"):
        for subject in files[option].keys() - {"", *found}:
            raise ConfigError(f"--{option} names subject {subject!r}, which has no betas. {nearest(subject, found)}")
    return {subject: _completed(subject, images, files, arguments) for subject, images in found.items()}


def _completed(
    subject: str, images: Images, files: dict[str, dict[str, tuple[Path, ...]]], arguments: argparse.Namespace
) -> Images:
    from ontogeny.neuroimaging.volume_matching import RowRules

    own = {name: files[name].get(subject) or files[name].get("") for name in files}
    return replace(
        images,
        betas=own["betas"] or images.betas,
        table=own["table"] or images.table,
        atlas=own["atlas"] or images.atlas,
        labels=arguments.labels,
        regions=tuple(arguments.regions),
        resample=arguments.resample,
        zscore=not arguments.no_zscore,
        blocks=arguments.blocks,
        voxelwise=arguments.voxelwise,
        shared=arguments.shared,
        rules=RowRules(order=arguments.order, leave_out=tuple(arguments.leave_out)),
    )


def _by_subject(option: str, given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    from ontogeny.neuroimaging.bids_names import bids_name

    out: dict[str, tuple[Path, ...]] = {}
    for text in given:
        key, equals, file = text.partition("=")
        if equals and not (key and file):
            raise ConfigError(f"--{option}: expected SUBJECT=FILE or FILE, got {text!r}")
        path = Path(file if equals else text)
        subject = key.removeprefix("sub-") if equals else bids_name(path).entities.get("sub", "")
        out[subject] = (*out.get(subject, ()), path)
    return out


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (key, equals, value) in zip(given, pairs, strict=True):
        if not (key and equals and value):
            raise ConfigError(f"{option}: expected KEY=VALUE, got {text!r}")
        if [other for other, _, _ in pairs].count(key) > 1:
            raise ConfigError(f"{option}: {key!r} is given twice")
    return {key: value for key, _, value in pairs}
