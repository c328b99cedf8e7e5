"""State of the process that a forward pass can change: random states, modes of torch and numpy, environment."""

from __future__ import annotations

import decimal
import gc
import logging
import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as nn_module

__all__ = ["process_state"]


def process_state() -> dict[str, Any]:
    """Name -> value."""
    return {**_random(), **_torch(), **_python()}


def _random() -> dict[str, Any]:
    return {
        "random": repr(random.getstate()),
        "numpy.random": np.random.get_state(legacy=False),
        "torch random": torch.get_rng_state(),
    }


def _torch() -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    small = torch.full((1,), 1e-40) * 1.0
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        ),
        "autocast": [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")],
        "autocast cache": torch.is_autocast_cache_enabled(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "threads": torch.get_num_threads(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "mkldnn": torch.backends.mkldnn.enabled,
        "denormals": bool(small != 0),
        "print options": vars(torch._tensor_str.PRINT_OPTS).copy(),
        "global hooks": {name: list(value) for name, value in _global_hooks().items()},
        "function modes": len(torch.overrides._get_current_function_mode_stack()),
    }


def _global_hooks() -> dict[str, dict[int, Any]]:
    return {k: v for k, v in vars(nn_module).items() if k.startswith("_global") and isinstance(v, dict)}


def _python() -> dict[str, Any]:
    return {
        "numpy errors": np.geterr(),
        "numpy print options": {k: str(v) for k, v in np.get_printoptions().items()},
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "folder": str(Path.cwd()),
        "recursion limit": sys.getrecursionlimit(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "SIGINT": id(signal.getsignal(signal.SIGINT)),
        "excepthook": id(sys.excepthook),
        "warnings": [repr(entry) for entry in warnings.filters],
        "logging": (logging.root.level, logging.root.manager.disable),
        "decimal": decimal.getcontext().prec,
    }
