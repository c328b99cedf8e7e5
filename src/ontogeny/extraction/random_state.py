"""The random states of Python, numpy and torch, and torch's global settings: kept, seeded, put back."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from ontogeny.extraction import _interrupts

__all__ = ["GlobalState", "same_randomness", "seed_everything"]

P = ParamSpec("P")
R = TypeVar("R")


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
        self._settings = [read() for read, _ in _SETTINGS] if gpu else []

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
        for (read, write), before in zip(_SETTINGS, self._settings, strict=False):
            if read() != before:
                write(before)


def seed_everything(seed: int) -> None:
    """Begin the random states of Python, numpy, torch and of GPUs in use anew, as every process would."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if _gpu_is_used():
        torch.cuda.manual_seed_all(seed)


def _gpu_is_used() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _autocast() -> tuple[Any, ...]:
    """Whether and in which type, per device; whether casts are kept, and within how many contexts."""
    kinds = ("cpu", "cuda") if _gpu_is_used() else ("cpu",)
    devices = tuple((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds)
    torch.autocast_increment_nesting()
    return devices, torch.is_autocast_cache_enabled(), torch.autocast_decrement_nesting()


def _set_autocast(before: tuple[Any, ...]) -> None:
    devices, cached, depth = before
    for kind, enabled, dtype in devices:
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)
    torch.set_autocast_cache_enabled(cached)
    while (now := _autocast()[-1]) != depth:
        (torch.autocast_increment_nesting if now < depth else torch.autocast_decrement_nesting)()
    if depth == 0:
        torch.clear_autocast_cache()


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (_autocast, _set_autocast),
    (_deterministic, lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1])),
    (torch.get_num_threads, torch.set_num_threads),
    (lambda: torch.backends.cudnn.benchmark, partial(setattr, torch.backends.cudnn, "benchmark")),
    (lambda: torch.backends.cudnn.deterministic, partial(setattr, torch.backends.cudnn, "deterministic")),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: dict(os.environ), _set_environment),
    (np.geterr, lambda before: np.seterr(**before)),
)


class same_randomness:  # noqa: N801 - a context manager and decorator, used like a function
    """Put random states and global settings back at the end; Ctrl-C waits while that is done.

    Args:
        gpu: the GPUs' too, which waits for what they are doing: not to be asked at every step.
        seed: what they start from meanwhile; None: they go on.
    """

    def __init__(self, *, gpu: bool = True, seed: int | None = None) -> None:
        self._gpu, self._seed = gpu, seed

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Around each call of a function."""

        @functools.wraps(function)
        def around(*args: P.args, **options: P.kwargs) -> R:
            with same_randomness(gpu=self._gpu, seed=self._seed):
                return function(*args, **options)

        return around

    @_interrupts.entering
    def __enter__(self) -> None:
        self._before = GlobalState(gpu=self._gpu)
        if self._seed is not None:
            seed_everything(self._seed)

    @_interrupts.leaving
    def __exit__(self, *_raised: object) -> None:
        self._before.restore()
