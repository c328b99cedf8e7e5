"""Ridge encoding at 5000 stimuli, 1024 features, 10 000 voxels beside its peers: minutes, so only where it is named."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from tests.timings import Row
from tests.timings.encoding import rows_of


def rows() -> Iterator[Row]:
    warnings.filterwarnings("ignore", category=UserWarning)
    yield from rows_of(5000, 1024, 10_000, kfold=False)
