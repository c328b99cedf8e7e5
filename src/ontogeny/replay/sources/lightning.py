"""The `.ckpt` files that Lightning wrote: raw weights, or averaged ones where WeightAveraging was used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ontogeny.errors import CheckpointError, ConfigError, WeightsError
from ontogeny.replay.making import Factory, make, resolve
from ontogeny.replay.series import CheckpointSeries, Kind, Problem, chosen
from ontogeny.replay.state import DamagedError, State, load_into, read, stripped
from ontogeny.replay.undisturbed import undisturbed

__all__ = ["Which", "lightning"]

Which = Literal["raw", "ema"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """One checkpoint a step, and how a module is made of it."""

    name: str
    at: Mapping[int, Path]
    model: Factory
    weights: Which
    prefix: str
    allow: tuple[Any, ...]

    def where(self, step: int) -> str:
        """The file of a step."""
        return str(chosen(self.at, step, self.name))

    def load(self, step: int) -> nn.Module:
        """The module at a step, in eval mode."""
        where = self.where(step)
        content = read(Path(where), allow=self.allow)
        state = stripped(_state(content, self.weights, where), self.prefix, where)
        with undisturbed():
            return load_into(make(resolve(self.model), content.get("hyper_parameters") or {}, where), state, where)


def lightning(
    folder: str | os.PathLike[str],
    *,
    model: Factory,
    weights: Which = "raw",
    prefix: str = "",
    tokens_per_step: int | None = None,
    name: str = "",
    allow: Sequence[Any] = (),
) -> CheckpointSeries:
    """Lightning checkpoints in a folder. They are the user's own: nothing is downloaded, nothing deleted.

    The step is the checkpoint's own `global_step`, whatever its file is called. `last.ckpt` is left out where another
    file has the same weights.

    Args:
        folder: with .ckpt files.
        model: class, function or "module:attr" that makes the module; a class gets the hyperparameters that were saved
            (`save_hyperparameters`). A model is copied. For files that hold an adapter's weights alone it is with its
            base weights and the adapter put on as in training.
        weights: "raw": as trained; "ema": as averaged by `WeightAveraging` or `EMAWeightAveraging`, whose callback
            moves the raw weights to "current_model_state".
        prefix: take only weights that begin with this ("net."), and cut it off.
        tokens_per_step: tokens of one optimizer update.
        name: of the series; the folder's where empty.
        allow: classes that a checkpoint may hold beside tensors and plain Python (hyperparameters).

    Raises:
        CheckpointError: no such folder, or no checkpoint in it that can be used.
        ConfigError: no such model, or other words for `weights`.
    """
    root = Path(folder)
    if weights not in ("raw", "ema"):
        raise ConfigError(f"weights is 'raw' or 'ema', got {weights!r}")
    if not root.is_dir() or not any(root.glob("*.ckpt")):
        raise CheckpointError(f"there is no .ckpt file in {root}; give the folder that ModelCheckpoint wrote to")
    resolve(model)
    at, problems = _listed(root, weights, allow)
    if not at:
        raise CheckpointError(f"no checkpoint in {root} can be used: {'; '.join(map(str, problems[:3]))}")
    title = name or root.resolve().name
    source = _Files(name=title, at=at, model=model, weights=weights, prefix=prefix, allow=tuple(allow))
    return CheckpointSeries(
        name=title,
        steps=tuple(at),
        tokens=tuple(step * tokens_per_step for step in at) if tokens_per_step is not None else (),
        load=source.load,
        where=source.where,
        problems=tuple(problems),
    )


def _listed(root: Path, weights: Which, allow: Sequence[Any]) -> tuple[dict[int, Path], list[Problem]]:
    """Step -> file. Files are mapped, not read: only their directories are."""
    found: dict[int, Path] = {}
    problems: list[Problem] = []
    for path in sorted(root.glob("*.ckpt"), key=lambda p: (p.name.startswith("last"), p.name)):
        try:
            content = read(path, allow=allow)
            step, state = _step(content, str(path)), _state(content, weights, str(path))
        except WeightsError as error:
            reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
            kind: Kind = "damaged" if isinstance(error, DamagedError) else "unusable"
            problems.append(Problem(kind=kind, what=str(path), reason=f"{reason}; left out"))
            continue
        first = found.setdefault(step, path)
        if first != path and not _same(state, _state(read(first, allow=allow), weights, str(first))):
            reason = f"is step {step} with other weights than {first.name}, which is used"
            problems.append(Problem(kind="twice", what=str(path), step=step, reason=reason))
    return dict(sorted(found.items())), problems


def _step(content: Mapping[str, Any], where: str) -> int:
    step = content.get("global_step")
    if not isinstance(step, int):
        raise WeightsError(f"{where}: has no global_step; it is no Lightning checkpoint (use files() for plain ones)")
    return step


def _state(content: Mapping[str, Any], weights: Which, where: str) -> State:
    """Raw or averaged weights.

    A checkpoint saved after training ended has the average in both places, because the callback copies it into the
    model; then the raw weights are lost. Right after its first update the average is the raw weights.
    """
    averaged, raw = content.get("state_dict"), content.get("current_model_state")
    if not isinstance(averaged, Mapping):
        raise WeightsError(f"{where}: has no state_dict; it is no Lightning checkpoint (use files() for plain ones)")
    if weights == "ema":
        if raw is None:
            raise WeightsError(
                f"{where}: has no averaged weights: it was saved without WeightAveraging; ask for weights='raw'"
            )
        return averaged
    if raw is None:
        return averaged
    updates = int((content.get("averaging_state") or {}).get("n_averaged", 0))
    if updates > 1 and _same(raw, averaged):
        raise WeightsError(
            f"{where}: has the average ({updates} updates) in place of the raw weights, as when saved after training "
            "ended; ask for weights='ema', or use an earlier file"
        )
    return raw  # type: ignore[no-any-return]


def _same(one: State, other: State) -> bool:
    return set(one) == set(other) and all(torch.equal(value, other[name]) for name, value in one.items())
