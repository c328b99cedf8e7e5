"""The random states of Python, numpy and torch, and torch's global settings: kept, seeded, put back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["GlobalState", "same_randomness", "seed_everything"]


class GlobalState:
    """The random states of Python, numpy and torch, and the settings of torch that a forward pass could change.

    Args:
        gpu: the GPUs' random states and the settings too, which takes longer: not to be asked at every step.
    """

    def __init__(self, *, gpu: bool = True) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002
        self._torch = torch.get_rng_state()
        self._devices = torch.cuda.get_rng_state_all() if gpu and _gpu_is_used() else None
        self._settings = _settings() if gpu else None

    def moved(self) -> bool:
        """Whether numbers were drawn on the CPU or a GPU since."""
        if not torch.equal(torch.get_rng_state(), self._torch) or random.getstate() != self._python:
            return True
        if not np.array_equal(np.random.get_state()[1], self._numpy[1]):  # type: ignore[index]  # noqa: NPY002
            return True
        if np.random.get_state()[2:] != self._numpy[2:]:  # type: ignore[index]  # noqa: NPY002
            return True
        if self._devices is None:
            return False
        return any(not torch.equal(a, b) for a, b in zip(torch.cuda.get_rng_state_all(), self._devices, strict=True))

    def restore(self) -> None:
        """Put all of them back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._devices is not None:
            torch.cuda.set_rng_state_all(self._devices)
        if self._settings is not None and _settings() != self._settings:
            _set(self._settings)


def seed_everything(seed: int) -> None:
    """Begin the random states of Python, numpy, torch and of GPUs in use anew, as every process would."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if _gpu_is_used():
        torch.cuda.manual_seed_all(seed)


def _gpu_is_used() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _settings() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
        cudnn.benchmark,
        cudnn.deterministic,
        torch.backends.mha.get_fastpath_enabled(),
        torch.get_float32_matmul_precision(),
        dict(os.environ),
        tuple(sorted(np.geterr().items())),
    )


def _set(settings: tuple[Any, ...]) -> None:
    dtype, grad, deterministic, warn_only, threads, benchmark, cudnn_deterministic, fused, products, around, errors = (
        settings
    )
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cudnn.deterministic = cudnn_deterministic
    torch.backends.mha.set_fastpath_enabled(fused)
    if torch.get_float32_matmul_precision() != products:
        torch.set_float32_matmul_precision(products)
    if dict(os.environ) != around:
        os.environ.clear()
        os.environ.update(around)
    np.seterr(**dict(errors))


@contextmanager
def same_randomness(*, gpu: bool = True, seed: int | None = None) -> Iterator[None]:
    """Put random states and global settings back at the end.

    Args:
        gpu: the GPUs' too, which waits for what they are doing: not to be asked at every step.
        seed: what they start from meanwhile; None: they go on.
    """
    before = GlobalState(gpu=gpu)
    try:
        if seed is not None:
            seed_everything(seed)
        yield
    finally:
        before.restore()
