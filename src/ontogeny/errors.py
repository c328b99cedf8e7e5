"""Every error this package raises on purpose.

    OntogenyError
    ├── DataError (ValueError)           stimuli, responses or files that cannot be used
    │   ├── AlignmentIdError             ids missing, doubled, or not shared
    │   ├── DatasetNotFoundError         a named set or one of its files is not on this machine
    │   └── ChecksumError                a file is not the pinned one
    ├── ProbeError (RuntimeError)        the model could not be read
    │   ├── LayerNotFoundError           no layer of that name
    │   └── FeatureError                 a layer gave something that is not stimuli x features, or NaN
    ├── MetricError (ValueError)         a metric cannot use these responses or options
    │   └── TooLargeError                what it needs does not fit in memory
    ├── RecordError (RuntimeError)       a record cannot be opened or continued
    ├── CheckpointError (RuntimeError)   a checkpoint cannot be found or listed
    │   ├── DownloadError                it cannot be downloaded, or what came is not what was announced
    │   │   └── UnreachableError         no answer came
    │   └── WeightsError                 its weights cannot be read, do not fit the model, or are not finite
    ├── LagError (ValueError)            series that cannot be analysed at all (as opposed to `Untestable`)
    ├── ConfigError (ValueError)         a file or argument that does not describe an object
    └── MissingExtraError (ImportError)  an optional library is not installed

A message says what was expected, what came, and what to do.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "AlignmentIdError",
    "CheckpointError",
    "ChecksumError",
    "ConfigError",
    "DataError",
    "DatasetNotFoundError",
    "DownloadError",
    "FeatureError",
    "LagError",
    "LayerNotFoundError",
    "MetricError",
    "MissingExtraError",
    "OntogenyError",
    "ProbeError",
    "RecordError",
    "TooLargeError",
    "UnreachableError",
    "WeightsError",
    "in_words",
    "nearest",
    "require",
]


class OntogenyError(Exception):
    """Root of the tree."""


class DataError(OntogenyError, ValueError):
    """Stimuli, responses or files that cannot be used."""


class AlignmentIdError(DataError):
    """Ids missing, doubled, or not shared."""


class DatasetNotFoundError(DataError):
    """A named set, or one of its files, is not on this machine."""


class ChecksumError(DataError):
    """A file is not the pinned one."""


class ProbeError(OntogenyError, RuntimeError):
    """The model could not be read."""


class LayerNotFoundError(ProbeError):
    """No layer of that name."""


class FeatureError(ProbeError):
    """A layer gave something that is not stimuli x features, or NaN."""


class MetricError(OntogenyError, ValueError):
    """A metric cannot use these responses or options."""


class TooLargeError(MetricError):
    """What is asked for does not fit in memory."""


class RecordError(OntogenyError, RuntimeError):
    """A record cannot be opened or continued."""


class CheckpointError(OntogenyError, RuntimeError):
    """A checkpoint cannot be found or listed."""


class DownloadError(CheckpointError):
    """A checkpoint cannot be downloaded, or what came is not what was announced."""


class UnreachableError(DownloadError):
    """No answer came: without a network, or in HF_HUB_OFFLINE."""


class WeightsError(CheckpointError):
    """Weights that cannot be read, do not fit the model, or are not finite."""


class LagError(OntogenyError, ValueError):
    """Series that cannot be analysed at all."""


class ConfigError(OntogenyError, ValueError):
    """A file or argument that does not describe an object."""


class MissingExtraError(OntogenyError, ImportError):
    """An optional library is not installed."""


def in_words(columns: Mapping[str, Any]) -> str:
    """What was asked for by name, for a message.

    Example:
        >>> in_words({"roi": "IT", "layer": ["h.1", "h.2"], "kind": "alignment"})
        "roi 'IT', layer 'h.1' or 'h.2'"
    """
    several = {name: want if isinstance(want, list | tuple) else [want] for name, want in columns.items()}
    choices = [f"{name} {' or '.join(map(repr, want))}" for name, want in several.items() if want != ["alignment"]]
    return ", ".join(choices) or "alignment"


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which of `choices` is nearest to `name`, as the end of an error message."""
    known = [c for c in choices if c]
    folded = {c.casefold(): c for c in reversed(known)}
    close = [folded[c] for c in difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.5)]
    if close:
        return "Did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(repr(c) for c in known[:12])
    return f"Choices: {shown}{', ...' if len(known) > 12 else ''}." if known else "There are none."


def require(module: str, extra: str) -> Any:
    """Import an optional library, or say which extra installs it.

    Raises:
        MissingExtraError: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs {module.split('.')[0]!r}, which is not installed: in ontogeny's checkout, "
            f"pip install '.[{extra}]'"
        ) from error
