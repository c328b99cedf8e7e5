"""Plain files of weights: a template that says the step (`ep{count}.pt`), a file, or a folder of files.

Without a template the step is what a file holds (nanoGPT's `iter_num`, timm's `epoch`) or what its name says.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ontogeny.errors import CheckpointError, ConfigError, WeightsError
from ontogeny.replay._loading.find_state_dict import inner
from ontogeny.replay._loading.model_factory import Factory, make, resolve
from ontogeny.replay._loading.process_state import undisturbed
from ontogeny.replay._loading.state_dict import State, damage, fills, load_into, metadata, read, stripped
from ontogeny.replay._step_inference import SUFFIXES, Count, by_content, is_weights_name
from ontogeny.replay.checkpoint_series import UPDATES, CheckpointProblem, CheckpointSeries, chosen
from ontogeny.replay.sources._recognized_files import Found, recognised
from ontogeny.replay.step_templates import Naming, known_tokens, named

__all__ = ["files"]

_PIECE = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """One file a step, and how a model is made of it."""

    name: str
    at: Mapping[int, Path]
    model: Factory
    key: str | None
    prefix: str
    allow: tuple[Any, ...]

    def where(self, step: int) -> str:
        """The file of a step."""
        return str(chosen(self.at, step, self.name))

    def load(self, step: int) -> nn.Module:
        """The model at a step, in eval mode."""
        state, where = self._state(step), self.where(step)
        with undisturbed():
            return load_into(make(resolve(self.model), {}, where), state, where)

    def reload(self, model: nn.Module, step: int) -> bool:
        """Whether a model of another step could be brought to this one: its file fills all of it."""
        state = self._state(step)
        if not fills(model, state):
            return False
        with undisturbed():
            load_into(model, state, self.where(step))
        return True

    def read_ahead(self, step: int) -> None:
        """Have the file of a step in the system's cache, so that loading it does not wait for the disk."""
        piece = bytearray(_PIECE)
        with Path(self.where(step)).open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass

    def _state(self, step: int) -> State:
        where = self.where(step)
        return stripped(inner(read(Path(where), allow=self.allow), self.key, where), self.prefix, where)


def files(
    pattern: str | os.PathLike[str],
    *,
    model: Factory,
    key: str | None = None,
    prefix: str = "",
    naming: Naming | None = None,
    step: int | None = None,
    name: str = "",
    allow: Sequence[Any] = (),
) -> CheckpointSeries:
    """Files of weights. They are the user's own: nothing is downloaded, nothing deleted.

    Args:
        pattern: folder and template of the names, "runs/a/ep{count}.pt"; or a file; or a folder of files. In a template
            `{step}` counts optimizer updates, `{count}` anything else; say with `naming` how many updates one count
            has, else the counts stand for steps. Without a template the step is the file's `global_step`, `iter_num`
            or `step`, or that of its name; else its `epoch`, which is a count.
        model: class, function, or "module:attr" that makes the model, or a model, which is copied. For files that hold
            the weights of an adapter alone it is with its base weights and the adapter put on as in training.
        key: where in a file the state dict is ("state_dict", "state.model"); inferred from the content where not given.
        prefix: take only weights that begin with this ("net."), and cut it off; `module.` and `_orig_mod.` go by
            themselves.
        naming: more about the names; its templates are replaced by the pattern's.
        step: of the one file, whatever its name and content say.
        name: of the series; the folder's where empty, or the file's.
        allow: classes that a file may hold beside tensors and plain Python.

    Raises:
        CheckpointError: no such folder, or no file like that.
        ConfigError: no such model, or a step for several files.
    """
    path = Path(pattern)
    known = naming or Naming(templates=())
    reads = _Content(key=key, allow=tuple(allow))
    if "{" in path.name and not path.exists():
        root, known = path.parent, replace(known, templates=(path.name,))
        found = _by_template(path, known, reads)
    else:
        root, known = path, replace(known, templates=())
        found = recognised(_at(path, step), reads.look, naming=known, step=step)
    if not found.at and root is path:
        raise CheckpointError(f"no checkpoint in {path} can be used: {'; '.join(map(str, found.problems[:3]))}")
    resolve(model)
    title = name or root.resolve().name
    source = _Files(name=title, at=found.at, model=model, key=key, prefix=prefix, allow=tuple(allow))
    return CheckpointSeries(
        name=title,
        steps=tuple(found.at),
        tokens=known_tokens(token_count[0] for file in found.at.values() if (token_count := known.read(file.name))),
        load=source.load,
        where=source.where,
        read_ahead=source.read_ahead,
        reload=source.reload,
        problems=found.problems,
        unit=found.unit,
        notes=found.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """How a file is looked into."""

    key: str | None
    allow: tuple[Any, ...]

    def look(self, path: Path) -> tuple[Count | None, State]:
        """What it says of its step, and its weights."""
        content = read(path, allow=self.allow)
        return self.count(path, content), inner(content, self.key, str(path))

    def count(self, path: Path, content: Mapping[str, Any]) -> Count | None:
        """What it says of its step; a state dict alone says nothing, whatever its buffers are called."""
        if path.suffix == ".safetensors":
            return by_content(metadata(path))
        return None if all(isinstance(value, Tensor) for value in content.values()) else by_content(content)


def _at(path: Path, step: int | None) -> list[Path]:
    """The file, or those of a folder that may be weights."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"there is no file or folder {path}")
    found = [p for p in path.iterdir() if p.is_file() and is_weights_name(p.name)]
    if not found:
        raise CheckpointError(f"{path} has no files of weights ({' '.join(SUFFIXES)}); it has {_few(path)}")
    if step is not None and len(found) > 1:
        raise ConfigError(f"step= (--step) is of one checkpoint, and {path} has {len(found)}; give the file")
    return found


def _by_template(path: Path, naming: Naming, reads: _Content) -> Found:
    """Files whose names a template reads; what they hold is compared, and the template counts."""
    root, template = path.parent, path.name
    if not root.is_dir():
        raise CheckpointError(f"there is no folder {root}")
    found, problems = named(_like(root, template), naming)
    if not found:
        raise CheckpointError(f"{root} has no file like {template}; it has {_few(root)}")
    torn = {step: reason for step, one in found.items() if (reason := damage(root / one.name))}
    bad = [
        CheckpointProblem(kind="damaged", what=str(root / found[s].name), step=s, reason=f"{r}; left out")
        for s, r in torn.items()
    ]
    at = {step: root / one.name for step, one in found.items() if step not in torn}
    notes = [
        note for step, file in at.items() if naming.unit == UPDATES and (note := _contradiction(file, step, reads))
    ]
    return Found(at=at, problems=(*problems, *bad), notes=tuple(notes), unit=naming.unit)


def _contradiction(path: Path, step: int, reads: _Content) -> str:
    """How the content says another step than the name does; only files that need not be read whole are asked."""
    if path.suffix != ".safetensors" and not zipfile.is_zipfile(path):
        return ""
    try:
        inside = reads.count(path, {} if path.suffix == ".safetensors" else read(path, allow=reads.allow))
    except WeightsError:
        return ""  # said when it is loaded
    if inside is None or inside.unit != "updates" or inside.number == step:
        return ""
    return f"{path.name}: {inside}, the template step {step}, which counts"


def _like(root: Path, template: str) -> list[str]:
    """Files that begin and end as the template does."""
    begins, ends = template.partition("{")[0], template.rpartition("}")[2]
    return [p.name for p in root.iterdir() if p.is_file() and p.name.startswith(begins) and p.name.endswith(ends)]


def _few(folder: Path) -> str:
    shown = sorted(p.name for p in folder.iterdir())
    return (", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")) or "nothing"
