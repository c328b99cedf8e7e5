"""Names of layers, less the parts that all of them share."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["short_names"]


def short_names(names: Sequence[str], among: Sequence[str]) -> list[str]:
    """Names without the parts at both ends that all layers have in common: "transformer.h.3.mlp" is "3".

    Args:
        names: to be shortened.
        among: all layers of the model.

    Example:
        >>> layers = ["transformer.h.0.mlp", "transformer.h.1.mlp"]
        >>> short_names(layers, layers)
        ['h.0', 'h.1']
    """
    parts = [name.split(".") for name in among]
    if len(parts) < 2:
        return list(names)
    shortest = min(map(len, parts)) - 1
    head = next((i for i in range(shortest) if len({p[i] for p in parts}) > 1), shortest)
    tail = next((i for i in range(shortest - head) if len({p[-1 - i] for p in parts}) > 1), shortest - head)
    if head and all(re.fullmatch(r"\d+", ".".join(p[head : len(p) - tail])) for p in parts):
        head -= 1
    cut = {".".join(p): ".".join(p[head : len(p) - tail]) for p in parts}
    return [cut.get(name, name) for name in names]
