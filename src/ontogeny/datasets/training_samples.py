"""Training samples for the demo: paragraphs of books, and a sample of CIFAR-10."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from ontogeny.datasets.data_paths import find_file
from ontogeny.datasets.pinned_datasets import SOURCES, Source, find_source
from ontogeny.errors import DataError, nearest, require
from ontogeny.stimuli import as_rgb

__all__ = ["training_images", "training_text"]


def training_text(name: str = "books") -> list[str]:
    """Paragraphs to train a language model on, in the order of the file.

    Raises:
        DataError: not the name of a training text, or a file that cannot be read; names it.
        DatasetNotFoundError: the file is not on this machine.
    """
    path = find_file(_of_kind(name, "training text"), "books.txt.gz")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            paragraphs = [line.strip() for line in stream if line.strip()]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as gzipped text ({error}); it may be cut short") from error
    if not paragraphs:
        raise DataError(f"{path}: expected a paragraph per line, got none")
    return paragraphs


def training_images(
    name: str = "cifar10-sample", *, split: str = "train"
) -> tuple[UInt8[np.ndarray, "images 32 32 3"], Int[np.ndarray, " images"], tuple[str, ...]]:
    """Pictures to train an image model on.

    Returns:
        Images (uint8, N x 32 x 32 x 3), labels (class numbers), class names by number.

    Raises:
        DataError: not the name of training images, another split, or a file that cannot be read; names it.
        DatasetNotFoundError: the file is not on this machine.
        MissingExtraError: `datasets` is not installed.
    """
    source = _of_kind(name, "training images")
    if split not in ("train", "test"):
        raise DataError(f"{name}: split is 'train' or 'test', got {split!r}")
    path = find_file(source, f"cifar10_{split}.parquet")
    table = _table(path)
    missing = [column for column in ("image", "label", "class") if column not in table.column_names]
    if missing:
        raise DataError(f"{path}: columns {missing} are missing, got {table.column_names}")
    labels = np.asarray(table["label"], dtype=np.int64)
    images = _decode(path, table)
    return images, labels, _class_names(path, labels, list(table["class"]))


def _of_kind(name: str, kind: str) -> Source:
    names = [s.name for s in SOURCES if s.kind == kind]
    if name not in names:
        raise DataError(f"no {kind} is called {name!r}. {nearest(name, names)}")
    return find_source(name)


def _table(path: Path) -> Any:
    """The Parquet file as a Hugging Face data set in memory; its own cache is a folder that is thrown away."""
    datasets = require("datasets", "datasets")
    silent = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return datasets.Dataset.from_parquet(str(path), cache_dir=scratch, keep_in_memory=True)
    except (datasets.exceptions.DatasetGenerationError, ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); it may be cut short") from error
    finally:
        if not silent:
            datasets.enable_progress_bars()


def _decode(path: Path, table: Any) -> UInt8[np.ndarray, "images 32 32 3"]:
    datasets = require("datasets", "datasets")
    try:
        decoded = table.cast_column("image", datasets.Image())["image"]
        images = np.stack([as_rgb(image, str(path)) for image in decoded])
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: its pictures cannot be decoded to one size ({error})") from error
    if images.shape[1:] != (32, 32, 3) or images.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 pictures of 32 x 32 x 3, got {images.dtype} {images.shape[1:]}")
    return images


def _class_names(path: Path, labels: Int[np.ndarray, " images"], names: list[str]) -> tuple[str, ...]:
    pairs = dict(zip(labels.tolist(), names, strict=True))
    consistent = all(pairs[label] == name for label, name in zip(labels.tolist(), names, strict=True))
    if not consistent or sorted(pairs) != list(range(len(pairs))):
        raise DataError(f"{path}: label and class should name the same classes 0 .. n - 1, got {sorted(pairs.items())}")
    return tuple(pairs[label] for label in range(len(pairs)))
