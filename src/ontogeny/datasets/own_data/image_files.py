"""One subject's image files: which they are, and what their names say against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ontogeny._atomic_write import natural_key
from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import RunKey, bids_name
from ontogeny.neuroimaging.bold_blocks import REST
from ontogeny.neuroimaging.event_tables import read_rows
from ontogeny.neuroimaging.image_opening import hemisphere, without_hemisphere
from ontogeny.neuroimaging.volume_matching import CHECKED, RowRules

__all__ = ["Images", "by_side", "refuse_text_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """One subject's images, in place of a file of responses.

    Args:
        betas: 4-D images (one, or one per run) or 3-D ones, in the order of the table; empty: the table's column `file`
            names them, beside the table. GIFTI of both hemispheres: `hemi-L` and `hemi-R` in the names.
        table: which stimulus each volume is of; one file, or one per run (see `ontogeny.neuroimaging.read_rows`).
        atlas: a label image; of surfaces one a hemisphere.
        labels: names of its labels; not needed where a `.tsv` lies beside it or it carries them.
        regions: which of its ROIs; all that have voxels where empty.
        resample: put the atlas on the betas' grid by nearest neighbour, and say so in the folder.
        zscore: each voxel within each run, before repeats are averaged.
        blocks: the images are time series and the table has a row a volume: z-score each run after taking out a line,
            then average each block of one stimulus, moved by so many volumes (see `block_average`). None: betas.
        voxelwise: each voxel a ROI of its own, so that a record holds a curve per voxel.
        shared: the benchmark is of the stimuli that this subject saw (and all others that say so); otherwise one that
            it did not see is refused.
        rules: the order of the volumes within a run, and what the table calls rows in which no stimulus was shown.
    """

    betas: tuple[Path, ...]
    table: tuple[Path, ...]
    atlas: tuple[Path, ...]
    labels: Path | None = None
    regions: tuple[str, ...] = ()
    resample: bool = False
    zscore: bool = True
    blocks: int | None = None
    voxelwise: bool = False
    shared: bool = False
    rules: RowRules = CHECKED

    def seen(self, known: Sequence[str]) -> set[str]:
        """Stimuli that were shown.

        Raises:
            DataError: one that is not known; or see `read_rows`.
        """
        rows = read_rows(self.table, stimuli=known if self.blocks is None else None, leave_out=self.rules.leave_out)
        return {row.stimulus_id for row in rows if not row.left_out} - ({REST} if self.blocks is not None else set())

    def written(self, known: Sequence[str]) -> dict[str, str]:
        """Stimulus -> what the tables call it; of time series, whose rows have labels, nothing.

        Raises:
            DataError: see `read_rows`.
        """
        rows = read_rows(self.table, stimuli=known, leave_out=self.rules.leave_out) if self.blocks is None else ()
        return {row.stimulus_id: row.written for row in rows if not row.left_out}


def by_side(subject: str, images: Images, files: Sequence[Path]) -> list[tuple[str, tuple[Path, ...], Path]]:
    """Prefix of ROIs, files (betas, time series) and atlas of each hemisphere; of a volume one with no prefix."""
    if not images.atlas:
        raise DataError(
            f"subject {subject!r} has images but no atlas (--atlas); give one for it, or one for all subjects"
        )
    _refuse_other_brains(subject, images, files)
    if len(images.atlas) == 1:
        return [("", tuple(files), images.atlas[0])]
    out = []
    for atlas in images.atlas:
        side = hemisphere(atlas)
        betas = tuple(path for path in files if hemisphere(path) == side)
        if not side or not betas:
            raise DataError(
                f"subject {subject!r}: of several atlases each is of one hemisphere, with hemi-L or hemi-R in its name "
                f"(or lh., rh.) and in those of its betas; got {atlas.name} and {[path.name for path in files][:4]}"
            )
        out.append((f"{side} ", betas, atlas))
    _refuse_other_sides(subject, out, files)
    return out


def _refuse_other_sides(
    subject: str, sides: Sequence[tuple[str, tuple[Path, ...], Path]], files: Sequence[Path]
) -> None:
    """A hemisphere that two atlases are of, a file of neither, and files of both in other orders."""
    taken = [path for _, betas, _ in sides for path in betas]
    if len({prefix for prefix, _, _ in sides}) < len(sides):
        raise DataError(f"subject {subject!r}: two atlases are of hemisphere {sides[0][0].strip()}; give one of each")
    if left := [path for path in files if path not in taken]:
        raise DataError(
            f"subject {subject!r}: {left[0].name} does not say which hemisphere it is of; say hemi-L or hemi-R, or lh. "
            "or rh., in its name"
        )
    names = [[without_hemisphere(path) for path in betas] for _, betas, _ in sides]
    for other in names[1:]:
        if other != names[0] and sorted(other) == sorted(names[0]):
            where = next(place for place, pair in enumerate(zip(*names, strict=True)) if len(set(pair)) > 1)
            one, two = (betas[where].name for _, betas, _ in sides)
            raise DataError(
                f"subject {subject!r}: files of the hemispheres come in other orders, {one} beside {two}; give both "
                "in the order of the table"
            )


def _refuse_other_brains(subject: str, images: Images, files: Sequence[Path]) -> None:
    """An atlas of another subject, betas in several spaces, an atlas in another space: names say so."""
    own_key = RunKey.of({"sub": subject})
    for path in images.atlas:
        if own_key.against(RunKey.of_file(path)):
            raise DataError(f"subject {subject!r}: atlas {path.name} is of another subject; give one of its own")
    spaces = {bids_name(path).entities.get("space", "not named"): path.name for path in files}
    if len(spaces) > 1:
        (one, first), (other, second) = list(spaces.items())[:2]
        raise DataError(f"subject {subject!r}: {first} is in space {one}, {second} in space {other}; choose one space")


def refuse_text_order(subject: str, images: Images, betas: tuple[Path, ...]) -> None:
    """Files as a shell lists them, 1, 10, 2, beside one table or one image: they would meet the rows of others."""
    for what, files, others, todo in (
        ("images", betas, images.table, "name them in the order of its rows, or in its column 'file'"),
        ("tables", images.table, betas, "name them in the order of its volumes"),
    ):
        falls = next((pair for pair in pairwise(files) if _falls(*pair)), None)
        fewer = len(others) == 1 or 0 < len(others) < len(files)
        if fewer and falls is not None and list(files) == sorted(files):
            raise DataError(
                f"subject {subject!r}: {what} come as a shell lists them, {falls[0].name} before {falls[1].name}, "
                f"beside the rows of {others[0].name}; {todo}"
            )


def _falls(one: Path, other: Path) -> bool:
    """Whether a number is what two paths differ in first, and it falls."""
    parts = zip(natural_key(str(one))[0], natural_key(str(other))[0], strict=False)
    first, second = next(((a, b) for a, b in parts if a != b), ("", ""))
    return isinstance(first, int) and isinstance(second, int) and first > second
