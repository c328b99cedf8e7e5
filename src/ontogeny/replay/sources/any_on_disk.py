"""What lies on disk -> a series: a template of names, a file, a folder of files, checkpoint folders, or one of them.

Nothing here asks the hub: a place that does not exist is an error that lists what lies there.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ontogeny.errors import CheckpointError, ConfigError, WeightsError, nearest
from ontogeny.replay._loading.checkpoint_folder import adapters_in, weight_files
from ontogeny.replay._loading.state_dict import read
from ontogeny.replay._step_inference import SUFFIXES, by_folder, is_weights_name
from ontogeny.replay.checkpoint_series import CheckpointSeries
from ontogeny.replay.sources.hf_trainer_checkpoints import hf_checkpoint, hf_trainer
from ontogeny.replay.sources.lightning_checkpoints import Which, is_lightning, lightning
from ontogeny.replay.sources.weight_files import files
from ontogeny.replay.step_templates import Naming

__all__ = ["absent", "is_place", "on_disk"]

_SHOWN = 8
_LOOKED_AT = 2000


def on_disk(
    place: str | os.PathLike[str],
    *,
    key: str | None = None,
    prefix: str = "",
    weights: Which = "raw",
    naming: Naming | None = None,
    step: int | None = None,
    allow: tuple[Any, ...] = (),
    **loading: Any,
) -> CheckpointSeries:
    """The checkpoints at a place, whatever wrote them: a Trainer, Lightning, accelerate, timm, nanoGPT, torch.save.

    Args:
        place: a file, a folder, or a folder and a template of file names ("runs/a/ep{count}.pt").
        key: see `files`.
        prefix: see `files`.
        weights: "raw" or "ema", of Lightning checkpoints.
        naming: how many updates an epoch has; see `Naming`.
        step: of a single checkpoint, where neither its name nor its content says it.
        allow: see `files`.
        **loading: see `Loading`; `model` is needed where a file holds weights alone.

    Raises:
        CheckpointError: nothing there, or nothing that can be used.
        ConfigError: no model, or an option that does not belong to what lies there.
    """
    path = Path(place).expanduser()
    plain: dict[str, Any] = {"key": key, "prefix": prefix, "naming": naming, "step": step, "allow": allow}
    if "{" in path.name and not path.exists():
        if step is not None:
            raise ConfigError(f"step= (--step) is of one checkpoint, and {path} is a template; leave one of them out")
        return files(path, **_weights_alone(path, loading, weights, key), **plain)
    if not path.exists():
        raise CheckpointError(absent(place))
    if path.is_file() and not is_weights_name(path.name):
        raise CheckpointError(f"{path} is no file of weights ({' '.join(SUFFIXES)}). {_lying(path.parent)}")
    if path.is_dir() and (found := _folders(path, weights, naming, step, loading)) is not None:
        return found
    one = path if path.is_file() else next((p for p in sorted(path.iterdir()) if is_weights_name(p.name)), None)
    if one is None:
        raise CheckpointError(f"{path} has no checkpoints. {_lying(path)}")
    if _of_lightning(path, allow):
        _refuse(path, key=key)
        advice = {"weights": weights, "prefix": prefix, "step": step, "allow": allow}
        return lightning(path, model=_model(path, loading), **advice)  # type: ignore[arg-type]
    return files(path, **_weights_alone(path, loading, weights, key), **plain)


def _folders(
    path: Path, weights: Which, naming: Naming | None, step: int | None, loading: Mapping[str, Any]
) -> CheckpointSeries | None:
    """The checkpoint folders in a folder, or the folder that is one; None where it is neither."""
    below = sorted(child.name for child in path.iterdir() if child.is_dir())
    updates, counts = _templates(path, below)
    if not updates and not counts and not _is_checkpoint(path):
        return None
    _only_raw(weights)
    if not updates and not counts:
        return hf_checkpoint(path, naming=naming, step=step, **loading)
    if step is not None:
        raise ConfigError(f"step= (--step) is of one checkpoint, and {path} has several; give one of them")
    known = replace(naming or Naming(templates=()), templates=tuple(updates or counts))
    found = hf_trainer(path, names=known, **loading)
    if updates and counts:
        others = ", ".join(template.replace("{count}", "N") for template in counts)
        note = f"folders {others} say no optimizer updates and are left out"
        return replace(found, notes=(*found.notes, note))
    return found


def _templates(path: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Templates of the folders in a folder that are checkpoints: those that say updates, those that count else."""
    updates: dict[str, None] = {}
    counts: dict[str, None] = {}
    for name in names:
        count = by_folder(name)
        if count is None or (count.unit != "updates" and not _is_checkpoint(path / name)):
            continue
        place = "{step}" if count.unit == "updates" else "{count}"
        template = re.sub(rf"{count.number}(?!.*\d)", place, name)
        if "{" in template:
            (updates if count.unit == "updates" else counts)[template] = None
    return list(updates), list(counts)


def _is_checkpoint(folder: Path) -> bool:
    """Whether a folder has a model's weights under the names of transformers, accelerate or peft."""
    names = [path.name for path in folder.iterdir()]
    return bool(weight_files(names) or adapters_in(folder) or (by_folder(folder.name) and "config.json" in names))


def _of_lightning(path: Path, allow: tuple[Any, ...]) -> bool:
    """Whether Lightning wrote the file, or the first in the folder that can be read."""
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        if not is_weights_name(file.name) or file.suffix == ".safetensors":
            continue
        try:
            return is_lightning(read(file, allow=allow))
        except WeightsError:
            continue
    return False


def _weights_alone(path: Path, loading: Mapping[str, Any], weights: Which, key: str | None) -> dict[str, Any]:
    if key is None:
        _only_raw(weights)
    return {"model": _model(path, loading)}


def _only_raw(weights: Which) -> None:
    """Refuse to write "ema" over weights that are not known to be averaged."""
    if weights != "raw":
        raise ConfigError(
            "--weights ema is for Lightning checkpoints, which hold both; for plain files say with --key where the "
            "averaged ones are (timm: --key state_dict_ema)"
        )


def _refuse(path: Path, *, key: str | None) -> None:
    if key is not None:
        raise ConfigError(f"{path} is of Lightning: choose by weights= (--weights raw or ema) in place of key= (--key)")


def _model(path: Path, loading: Mapping[str, Any]) -> Any:
    if not loading.get("model"):
        raise ConfigError(
            f"{path} holds weights alone: say with --model module:attribute which class or function makes the model"
        )
    return loading["model"]


def is_place(text: str) -> bool:
    """Whether a text means a place on disk, and no name of the hub: it is there, or it is written like one."""
    path = Path(text).expanduser()
    if path.exists() or "{" in path.name or text.startswith((".", "/", "~")) or is_weights_name(path.name):
        return True
    return text.count("/") > 1 or ("/" in text and path.parent.is_dir())


def absent(place: str | os.PathLike[str]) -> str:
    """In words that there is nothing at a place, and what lies nearest to it."""
    path = Path(place).expanduser()
    there = next(parent for parent in path.absolute().parents if parent.is_dir())
    close = nearest(path.name, [child.name for child in there.iterdir()]) if there == path.absolute().parent else ""
    close = f" {close}" if close.startswith("Did you mean") else ""
    return f"there is no {place} on this machine.{close} {_lying(there)}"


def _lying(folder: Path) -> str:
    """What lies in a folder, checkpoints first; and folders below that have some."""
    names = sorted(folder.iterdir(), key=lambda p: (not is_weights_name(p.name), by_folder(p.name) is None, p.name))
    shown = ", ".join(f"{p.name}{'/' if p.is_dir() else ''}" for p in names[:_SHOWN])
    shown += f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    deeper = [str(p.relative_to(folder)) for p in _below(folder)][:3]
    advice = f"; checkpoints lie in {' and '.join(deeper)}" if deeper else ""
    return f"{folder} has {shown or 'nothing'}{advice}"


def _below(folder: Path) -> list[Path]:
    """Folders up to three levels down that hold checkpoints, of the first places that are looked at."""
    found: dict[Path, None] = {}
    places = itertools.chain.from_iterable(folder.glob("/".join("*" * depth)) for depth in (2, 3, 4))
    for path in sorted(itertools.islice(places, _LOOKED_AT)):
        if is_weights_name(path.name) or re.fullmatch(r"checkpoint-\d+", path.name):
            found[path.parent] = None
    return list(found)
