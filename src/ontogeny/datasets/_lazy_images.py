"""Pictures that stay in their files until they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Shaped
from typing_extensions import override

from ontogeny.errors import DataError
from ontogeny.stimuli import as_rgb

__all__ = ["KINDS", "PictureFiles", "read_picture"]

KINDS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class PictureFiles(Sequence[Any]):
    """Pictures as their files, decoded one by one when they are read.

    Args:
        paths: one per picture.

    Raises:
        DataError: files that are not there, or of another kind; says how many and names the first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DataError(f"{len(missing)} of {len(paths)} pictures are not there, e.g. {missing[0]}")
        if other := [path for path in paths if path.suffix.lower() not in KINDS]:
            raise DataError(f"{other[0]}: expected a file of kind {', '.join(KINDS)}, got {other[0].suffix!r}")
        self._paths = tuple(paths)

    @override
    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Shaped[np.ndarray, "height width 3"]: ...
    @overload
    def __getitem__(self, index: slice) -> PictureFiles: ...
    @override
    def __getitem__(self, index: int | slice) -> Shaped[np.ndarray, "height width 3"] | PictureFiles:
        """One picture (uint8 RGB)."""
        if isinstance(index, slice):
            return PictureFiles(self._paths[index])
        return read_picture(self._paths[index])


def read_picture(path: Path) -> Shaped[np.ndarray, "height width 3"]:
    """Pixels as uint8 RGB, turned as EXIF says: what every viewer shows.

    Raises:
        DataError: no such file, not a picture, several in one file, or transparent parts or more than 8 bits.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{path} has {image.n_frames} pictures (frames, pages); save the one that was shown")
            return as_rgb(image, str(path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be decoded as a picture ({error})") from error
