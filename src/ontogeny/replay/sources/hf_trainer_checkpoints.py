"""The `checkpoint-N` folders that a Hugging Face Trainer wrote, or folders like them under other names."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny.errors import CheckpointError, WeightsError
from ontogeny.replay._loading.checkpoint_folder import defect
from ontogeny.replay._loading.open_checkpoint import load_folder, reload_folder
from ontogeny.replay._loading.pretrained import Loading, load_tokenizer, load_transform, own_factory
from ontogeny.replay._step_inference import Count, agreed, by_folder
from ontogeny.replay.checkpoint_series import CheckpointProblem, CheckpointSeries, chosen
from ontogeny.replay.sources._recognized_files import step_of, unit_of
from ontogeny.replay.step_templates import Naming, known_tokens, named

__all__ = ["hf_checkpoint", "hf_trainer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folders:
    """One folder per step, and how a model is made of it."""

    name: str
    at: Mapping[int, Path]
    loading: Loading

    def where(self, step: int) -> str:
        """The folder of a step."""
        return str(chosen(self.at, step, self.name))

    def load(self, step: int) -> nn.Module:
        """The model at a step, in eval mode."""
        return load_folder(Path(self.where(step)), self.loading, self.where(step))

    def reload(self, model: nn.Module, step: int) -> bool:
        """Whether a model of another step could be brought to this one."""
        return reload_folder(model, Path(self.where(step)), self.loading, self.where(step))

    def tokenizer(self, step: int) -> Any:
        """The tokenizer beside the weights of a step."""
        return load_tokenizer(Path(self.where(step)), self.loading, self.where(step))

    def transform(self, step: int) -> Any:
        """The function image -> tensor that belongs to the weights of a step."""
        return load_transform(Path(self.where(step)), self.where(step))


def hf_trainer(
    folder: str | os.PathLike[str],
    *,
    names: str | Sequence[str] | Naming = "checkpoint-{step}",
    tokens_per_step: int | None = None,
    name: str = "",
    **loading: Any,
) -> CheckpointSeries:
    """The checkpoints in a Trainer's output folder. They are the user's own: nothing is downloaded, nothing deleted.

    A folder that was half-written when training was killed is named as a problem, as are checkpoints that
    `save_total_limit` has deleted since; the rest is there. Folders that hold an adapter alone (LoRA, by peft) are read
    on their base model, with the adapter put on and not merged, so that layers have the names that they had live.

    Args:
        folder: `output_dir` of the run.
        names: how the folders in it say the step; "step{step}" for revisions of a repository that lie side by side.
        tokens_per_step: tokens of one optimizer update.
        name: of the series; the folder's where empty.
        **loading: see `Loading`; model= a function or "module:attr" for a model that is not of transformers, and
            for adapters the base, where adapter_config.json names none that is on this machine.

    Raises:
        CheckpointError: no such folder, or no checkpoint in it.
        ConfigError: an unknown option.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CheckpointError(f"there is no folder {root}; give the output_dir of a Trainer")
    how = Loading.of(loading)
    naming = Naming.of(names, tokens_per_step=tokens_per_step)
    begins = tuple(template.partition("{")[0] for template in naming.templates)
    found, problems = named((p.name for p in root.iterdir() if p.is_dir() and p.name.startswith(begins)), naming)
    if not found:
        raise CheckpointError(f"{root} has no folder {' or '.join(naming.templates)}; give the output_dir of a Trainer")
    config = own_factory(how.model) is None
    bad = [p for step, one in found.items() if (p := _problem(root / one.name, step, config=config))]
    at = {step: root / one.name for step, one in found.items() if step not in {p.step for p in bad}}
    title = name or root.resolve().name
    source = _Folders(name=title, at=at, loading=how)
    return CheckpointSeries(
        name=title,
        steps=tuple(at),
        tokens=known_tokens(found[step] for step in at),
        load=source.load,
        where=source.where,
        reload=source.reload,
        tokenizer=source.tokenizer,
        transform=source.transform,
        problems=(*problems, *bad, *_gaps(root, at, found)),
        unit=naming.unit,
    )


def hf_checkpoint(
    folder: str | os.PathLike[str],
    *,
    naming: Naming | None = None,
    step: int | None = None,
    name: str = "",
    **loading: Any,
) -> CheckpointSeries:
    """One folder with weights as a series of one checkpoint: of a Trainer, of accelerate, or of `save_pretrained`.

    Args:
        folder: with the weights.
        naming: how many updates an epoch has, where the folder's name says epochs.
        step: where neither trainer_state.json nor the folder's name says it, or in place of these.
        name: of the series; the folder's where empty.
        **loading: see `Loading`.

    Raises:
        CheckpointError: it cannot be used, or does not say its step.
        ConfigError: an unknown option.
    """
    root, how, known = Path(folder).resolve(), Loading.of(loading), naming or Naming(templates=())
    if fault := defect(root, config=own_factory(how.model) is None):
        raise CheckpointError(f"{folder} {fault.reason}")
    count = _count(root, step, str(folder))
    at, title = {step_of(count, known): Path(folder)}, name or root.name
    source = _Folders(name=title, at=at, loading=how)
    return CheckpointSeries(
        name=title,
        steps=tuple(at),
        load=source.load,
        where=source.where,
        reload=source.reload,
        tokenizer=source.tokenizer,
        transform=source.transform,
        unit=unit_of([count], known),
        notes=(f"step from {count.by}",) if step is None else (),
    )


def _count(root: Path, step: int | None, where: str) -> Count:
    """The step of one folder."""
    if step is not None:
        return Count(number=step, unit="updates", by="what was given")
    trainer_state = _state(root).get("global_step")
    inside = (
        Count(number=trainer_state, unit="updates", by="its trainer_state.json")
        if isinstance(trainer_state, int)
        else None
    )
    try:
        return agreed(by_folder(root.name), inside)
    except WeightsError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _problem(folder: Path, step: int, *, config: bool) -> CheckpointProblem | None:
    if fault := defect(folder, config=config):
        return CheckpointProblem(kind=fault.kind, what=str(folder), step=step, reason=f"{fault.reason}; left out")
    trainer_state = _state(folder).get("global_step", step)
    if trainer_state != step:
        reason = (
            f"its trainer_state.json says step {trainer_state}, its name {step}: was it renamed? Give it the name of "
            "its step; left out"
        )
        return CheckpointProblem(kind="unusable", what=str(folder), step=step, reason=reason)
    return None


def _gaps(root: Path, at: Mapping[int, Path], found: Container[int]) -> list[CheckpointProblem]:
    """Steps at which the Trainer saved, by its own save_steps, and which are gone."""
    last = max(at, default=0)
    every = _state(at[last]).get("save_steps") if last else None
    if not isinstance(every, int) or every < 1 or any(step % every for step in at if step != last):
        return []
    missing = [step for step in range(every, last, every) if step not in found]
    if not missing:
        return []
    shown = ", ".join(map(str, missing[:6])) + (", ..." if len(missing) > 6 else "")
    reason = f"{len(missing)} checkpoints, one every {every} steps, are gone ({shown}): save_total_limit deletes them"
    return [CheckpointProblem(kind="gap", what=str(root), reason=reason)]


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
