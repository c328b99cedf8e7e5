"""Values as JSON takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """Nested dicts, lists, numbers and texts only: NumPy's numbers become Python's, those that are not finite None.

    Args:
        value: anything made of these.
        text: what is done to each text and key.

    Example:
        >>> import numpy as np
        >>> plain({"r": (np.float64(0.5), float("nan"))})
        {'r': [0.5, None]}
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, np.generic):
        return plain(value.item(), text)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list | tuple):
        return [plain(item, text) for item in value]
    if isinstance(value, dict | Mapping):  # the abstract class last: it takes ten times as long to ask
        return {text(str(key)): plain(item, text) for key, item in value.items()}
    return value
