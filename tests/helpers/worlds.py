"""How many simulated worlds a rate is estimated from: all before a release, a third at each change."""

from __future__ import annotations

import os

__all__ = ["worlds"]


def worlds(n: int) -> range:
    """Seeds: `n` with ONTOGENY_LONG=1, else a third of them."""
    return range(n if "ONTOGENY_LONG" in os.environ else -(-n // 3))
