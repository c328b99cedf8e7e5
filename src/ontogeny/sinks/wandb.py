"""Weights & Biases: a running run, on its own step axis."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["WandbSink"]


class WandbSink:
    """A Weights & Biases run; the one that is there where none is given, nothing where there is none.

    Args:
        run: what `wandb.init` gave.
    """

    name = "Weights & Biases"

    def __init__(self, run: Any = None) -> None:
        self._run = run

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one probe."""
        run = self._run or getattr(sys.modules.get("wandb"), "run", None)
        if run is not None:
            run.define_metric("alignment/step", hidden=True)
            run.define_metric("alignment/*", step_metric="alignment/step")
            run.log({**metrics, "alignment/step": step})
