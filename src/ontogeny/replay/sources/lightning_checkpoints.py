"""The `.ckpt` files that Lightning wrote: raw weights, or averaged ones where WeightAveraging was used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from torch import nn

from ontogeny.errors import CheckpointError, ConfigError, WeightsError
from ontogeny.replay._loading.model_factory import Factory, make, resolve
from ontogeny.replay._loading.process_state import undisturbed
from ontogeny.replay._loading.state_dict import State, fills, load_into, read, stripped
from ontogeny.replay._step_inference import Count, is_weights_name
from ontogeny.replay.checkpoint_series import CheckpointSeries, chosen
from ontogeny.replay.sources._recognized_files import recognised, same_state

__all__ = ["Which", "is_lightning", "lightning"]

Which = Literal["raw", "ema"]
_MADE_WITH: WeakKeyDictionary[nn.Module, Mapping[str, Any]] = WeakKeyDictionary()


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
        (state, options), where = self._content(step), self.where(step)
        with undisturbed():
            model = load_into(make(resolve(self.model), options, where), state, where)
        _MADE_WITH[model] = options
        return model

    def reload(self, model: nn.Module, step: int) -> bool:
        """Whether a model of another step could be brought to this one: made with the same, and filled by its file."""
        state, options = self._content(step)
        if not (_equal(_MADE_WITH.get(model), options) and fills(model, state)):
            return False
        with undisturbed():
            load_into(model, state, self.where(step))
        return True

    def _content(self, step: int) -> tuple[State, Mapping[str, Any]]:
        """Weights of a step, and what its module was made with."""
        where = self.where(step)
        content = read(Path(where), allow=self.allow)
        state = stripped(_state(content, self.weights, where), self.prefix, where)
        return state, content.get("hyper_parameters") or {}


def _equal(made_with: Any, options: Any) -> bool:
    """Whether hyperparameters are known to be the same: arrays among them do not say so in one word."""
    try:
        return bool(made_with == options)
    except (ValueError, TypeError, RuntimeError):
        return False


def lightning(
    folder: str | os.PathLike[str],
    *,
    model: Factory,
    weights: Which = "raw",
    prefix: str = "",
    tokens_per_step: int | None = None,
    step: int | None = None,
    name: str = "",
    allow: Sequence[Any] = (),
) -> CheckpointSeries:
    """Lightning checkpoints in a folder. They are the user's own: nothing is downloaded, nothing deleted.

    The step is the checkpoint's own `global_step`, whatever its file is called; a name that says another step is a
    problem. `last.ckpt` is left out where another file has the same weights.

    Args:
        folder: with .ckpt files, or one such file.
        model: class, function or "module:attr" that makes the module; a class gets the hyperparameters that were saved
            (`save_hyperparameters`). A model is copied. For files that hold an adapter's weights alone it is with its
            base weights and the adapter put on as in training.
        weights: "raw": as trained; "ema": as averaged by `WeightAveraging` or `EMAWeightAveraging`, whose callback
            moves the raw weights to "current_model_state".
        prefix: take only weights that begin with this ("net."), and cut it off.
        tokens_per_step: tokens of one optimizer update.
        step: of the one file, whatever its name and content say.
        name: of the series; the folder's where empty.
        allow: classes that a checkpoint may hold beside tensors and plain Python (hyperparameters).

    Raises:
        CheckpointError: no such folder, or no checkpoint in it that can be used.
        ConfigError: no such model, or other words for `weights`.
    """
    root = Path(folder)
    if weights not in ("raw", "ema"):
        raise ConfigError(f"weights is 'raw' or 'ema', got {weights!r}")
    files = [root] if root.is_file() else _of_folder(root)
    if not files:
        raise CheckpointError(f"there is no .ckpt file in {root}; give the folder that ModelCheckpoint wrote to")
    if step is not None and len(files) > 1:
        raise ConfigError(f"step= is of one checkpoint, and {root} has {len(files)}; give the file")
    resolve(model)

    def look(path: Path) -> tuple[Count, State]:
        content = read(path, allow=allow)
        return _step(content, str(path)), _state(content, weights, str(path))

    found = recognised(files, look, step=step, reads_names=False)
    if not found.at:
        raise CheckpointError(f"no checkpoint in {root} can be used: {'; '.join(map(str, found.problems[:3]))}")
    title = name or root.resolve().name
    source = _Files(name=title, at=found.at, model=model, weights=weights, prefix=prefix, allow=tuple(allow))
    return CheckpointSeries(
        name=title,
        steps=tuple(found.at),
        tokens=tuple(at * tokens_per_step for at in found.at) if tokens_per_step is not None else (),
        load=source.load,
        where=source.where,
        reload=source.reload,
        problems=found.problems,
        notes=found.notes,
    )


def _of_folder(root: Path) -> list[Path]:
    """The .ckpt files, or where a run has another extension, what may be weights."""
    return sorted(root.glob("*.ckpt")) or [path for path in sorted(root.glob("*")) if is_weights_name(path.name)]


def is_lightning(content: Mapping[str, Any]) -> bool:
    """Whether Lightning wrote a file."""
    return "pytorch-lightning_version" in content


def _step(content: Mapping[str, Any], where: str) -> Count:
    step = content.get("global_step")
    if not isinstance(step, int):
        raise WeightsError(f"{where}: has no global_step; it is no Lightning checkpoint (use files() for plain ones)")
    return Count(number=step, unit="updates", by="its global_step")


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
    if updates > 1 and same_state(raw, averaged):
        raise WeightsError(
            f"{where}: has the average ({updates} updates) in place of the raw weights, as when saved after training "
            "ended; ask for weights='ema', or use an earlier file"
        )
    return raw  # type: ignore[no-any-return]
