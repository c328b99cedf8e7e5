"""Pictures that stay in their files until they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Shaped
from typing_extensions import override

from ontogeny.datasets.plain import read_picture
from ontogeny.errors import DataError

__all__ = ["PictureFiles"]


class PictureFiles(Sequence[Any]):
    """Pictures as their files, decoded one by one when they are read.

    Args:
        paths: one a picture.

    Raises:
        DataError: files that are not there; says how many and names the first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DataError(f"{len(missing)} of {len(paths)} pictures are not there, e.g. {missing[0]}")
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
