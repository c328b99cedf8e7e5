"""DiskFeatureCache: features on disk by the hash of the weights, so that the same weights are read once."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny._arrays import digest
from ontogeny.errors import CheckpointError, require
from ontogeny.extraction.features import Features, Site
from ontogeny.extraction.probe import Probe

__all__ = ["DiskFeatureCache", "kept_files", "read_kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFeatureCache:
    """A folder of features, one safetensors file for each weights and way of reading them.

    The key is made of the weights actually loaded (not of any name), the inputs actually given (token ids, pixels), the
    layers, the poolings and the version of torch. So other responses, regions or metrics on the same stimuli need no
    forward pass; other stimuli, another tokenizer or changed weights do.

    Args:
        folder: made when missing; may be shared, and deleted at any time.
    """

    folder: Path

    def features(self, probe: Probe, model: nn.Module, weights: str) -> Features:
        """What the probe reads from the model with weights of this hash: looked up, or read now and kept.

        Args:
            probe: how the model is read.
            model: with these weights.
            weights: their hash.

        Raises:
            CheckpointError: the folder cannot be written to.
        """
        reading = probe.fingerprint(model)
        if reading is None:
            return probe(model)
        path = Path(self.folder) / f"{digest(weights, reading, torch.__version__)}.safetensors"
        found = _read(path, probe)
        if found is None:
            found = probe(model)
            _write(path, found, weights)
        return found


def kept_files(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """Hash of the weights -> the files that a `DiskFeatureCache` keeps of them, one for each way of reading.

    Raises:
        CheckpointError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f"there is no folder of features {folder}; `ontogeny replay --features` makes one")
    out: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        found = _opened(path, about_only=True)
        if found is not None:
            out.setdefault(found[0]["weights"], []).append(path)
    return out


def read_kept(path: Path) -> Features:
    """The features in a file of `kept_files`.

    Raises:
        CheckpointError: it has been deleted, or is not whole.
    """
    start, found = time.perf_counter(), _opened(path)
    if found is None:
        raise CheckpointError(f"{path} cannot be read as features; delete it, and replay the checkpoint once more")
    about, values = found
    refused = {Site(layer, pooling): why for layer, pooling, why in about["refused"]}
    seconds = time.perf_counter() - start
    return Features(stimulus_ids=tuple(about["stimuli"]), values=values, refused=refused, seconds=seconds)


def _read(path: Path, probe: Probe) -> Features | None:
    """None where there is no whole file, or one of before features were kept with the ids of their stimuli."""
    try:
        found = read_kept(path)
    except CheckpointError:
        return None
    return found if found.stimulus_ids == tuple(probe.stimuli.ids) else None


def _opened(path: Path, *, about_only: bool = False) -> tuple[dict[str, Any], dict[Site, Tensor]] | None:
    safetensors = require("safetensors", "hub")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            about = json.loads(file.metadata()["ontogeny"])
            sites = () if about_only else about["sites"]
            values = {Site(*site): file.get_tensor(str(i)) for i, site in enumerate(sites)}
        known = {"weights", "stimuli", "refused"} <= set(about)
        return (about, values) if known and all(len(x) == len(about["stimuli"]) for x in values.values()) else None
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
        return None


def _write(path: Path, features: Features, weights: str) -> None:
    torch_files = require("safetensors.torch", "hub")
    about = {
        "weights": weights,
        "stimuli": features.stimulus_ids,
        "sites": [list(site) for site in features.values],
        "refused": [[*site, why] for site, why in features.refused.items()],
    }
    tensors: dict[str, Tensor] = {str(i): x.detach().cpu().contiguous() for i, x in enumerate(features.values.values())}
    scratch = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch_files.save_file(tensors, str(scratch), metadata={"ontogeny": json.dumps(about)})
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise CheckpointError(f"features cannot be kept in {path.parent}: {error}; choose another folder") from error
