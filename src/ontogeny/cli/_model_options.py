"""Options that say how a model is read, the same in every verb that reads one."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_reading_options", "reading_options"]

_NAMES = ("layers", "pooling", "module", "call", "truncation", "image_type", "batch_size")


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Give a command `--layers`, `--pooling`, `--module`, `--call`, `--truncation`, `--image-type`, `--batch-size`."""
    poolings = "mean, mean_text, last, cls, spatial_mean, flatten"
    parser.add_argument("--layers", nargs="+", help="names, globs, auto, embeddings, surprisal (default: auto)")
    parser.add_argument("--pooling", nargs="+", default=[], help=poolings)
    parser.add_argument("--module", help="name of the submodule that is read, as in named_modules()")
    parser.add_argument("--call", help="module:attribute, a function (module, batch) that runs the forward pass")
    parser.add_argument("--truncation", type=int, help="longest text in tokens; what is longer is cut at its end")
    parser.add_argument("--batch-size", type=int, help="stimuli per forward pass (default: 64)")
    parser.add_argument("--image-type", choices=("pil", "array"), help="what the transform is given (default: pil)")


def reading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those that were given, by the names of `watch`."""
    return {name: value for name in _NAMES if (value := getattr(arguments, name)) not in (None, [])}
