"""Names of volumes, held against the rows that are matched to them by order: beta_cat.nii is not of a row of "dog"."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import RUN_ENTITIES, bids_name
from ontogeny.neuroimaging.event_tables import Row
from ontogeny.neuroimaging.image_grids import Opened

__all__ = ["names_of", "refuse_other_names"]

# Before a number: it is that of a stimulus, not of a trial or run.
_NUMBERED = ("stim", "stimulus", "image", "img", "item", "cond", "condition", "pic", "picture")


def names_of(images: Sequence[Opened]) -> list[str]:
    """What names each volume: its map's name; of a file of one volume the file's name; "" where nothing does."""
    out: list[str] = []
    for image in images:
        own = image.path.name.removesuffix(bids_name(image.path).extension) if image.n_maps == 1 else ""
        maps = image.map_names if len(image.map_names) == image.n_maps else ("",) * image.n_maps
        out += [f"{own}_{name}".strip("_") for name in maps]
    return out


def refuse_other_names(rows: Sequence[Row], names: Sequence[str], stimuli: Sequence[str] = ()) -> None:
    """Refuse volumes whose names say that they are of another stimulus than their rows.

    Args:
        rows: one per volume, in the order of the volumes.
        names: see `names_of`. A stimulus that all of them name, or a number that may be one of anything, says nothing.
        stimuli: ids that are known besides.

    Raises:
        DataError: names the row and the volume.
    """
    known = {*stimuli, *(row.stimulus_id for row in rows)}
    named = [_named(name, known) for name in names]
    everywhere = set.intersection(*named) if named else set()
    for row, name, label in zip(rows, names, named, strict=True):
        others = sorted(label - everywhere - {row.stimulus_id})
        if others and row.stimulus_id not in label:
            raise DataError(
                f"{row.where} is of {row.stimulus_id!r}, but its volume is {name!r}, which names {others[0]!r}: rows "
                "and volumes are in other orders. Sort one of them, or name each row's image in a column 'file'; where "
                "names do not mean that, say order='rows' (--order rows)"
            )


def _named(name: str, known: set[str]) -> set[str]:
    """Stimuli whose ids stand in a name, between `_` or after `key-`."""
    words = unicodedata.normalize("NFC", name).split("_")
    found = set[str]()
    for start, word in enumerate(words):
        key, dash, value = word.partition("-")
        for stop in range(start + 1, len(words) + 1):
            more = words[start + 1 : stop]
            if not (span := "_".join([word, *more])).isdigit():
                found.add(span)
            if dash and key not in RUN_ENTITIES and (not value.isdigit() or key in _NUMBERED):
                found.add("_".join([value, *more]))
    return found & known
