"""Making a model leaves this process as it was: random states, default type, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ontogeny.extraction.random_state import same_randomness

__all__ = ["undisturbed"]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the random states of Python, numpy and torch, torch's default type and its grad mode back at the end.

    A GPU that this process has not used yet is left alone, since asking for its state would begin to use it.
    """
    dtype, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    used: bool = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    try:
        with same_randomness(gpu=used):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
