"""Plain files of weights with a step in their names: `ep{count}.pt`, timm's `checkpoint-{count}.pth.tar`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny.errors import CheckpointError
from ontogeny.replay.making import Factory, make, resolve
from ontogeny.replay.naming import Naming, known_tokens, named
from ontogeny.replay.places import inner
from ontogeny.replay.series import CheckpointSeries, Problem, chosen
from ontogeny.replay.state import damage, load_into, read, stripped
from ontogeny.replay.undisturbed import undisturbed

__all__ = ["files"]


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
        where = self.where(step)
        state = stripped(inner(read(Path(where), allow=self.allow), self.key, where), self.prefix, where)
        with undisturbed():
            return load_into(make(resolve(self.model), {}, where), state, where)


def files(
    pattern: str | os.PathLike[str],
    *,
    model: Factory,
    key: str | None = None,
    prefix: str = "",
    naming: Naming | None = None,
    name: str = "",
    allow: Sequence[Any] = (),
) -> CheckpointSeries:
    """Files of weights. They are the user's own: nothing is downloaded, nothing deleted.

    Args:
        pattern: folder and template of the names, "runs/a/ep{count}.pt". `{step}` counts optimizer updates, `{count}`
            anything else; say with `naming` how many updates one count has, else the counts stand for steps.
        model: class, function, or "module:attr" that makes the model, or a model, which is copied. For files that hold
            the weights of an adapter alone it is with its base weights and the adapter put on as in training.
        key: where in a file the state dict is ("state_dict", "state.model"); told from the content where not given.
        prefix: take only weights that begin with this ("net."), and cut it off; `module.` and `_orig_mod.` go by
            themselves.
        naming: more about the names; its templates are replaced by the pattern's.
        name: of the series; the folder's where empty.
        allow: classes that a file may hold beside tensors and plain Python.

    Raises:
        CheckpointError: no such folder, or no file like that.
        ConfigError: no such model.
    """
    path = Path(pattern)
    root, template = path.parent, path.name
    if not root.is_dir():
        raise CheckpointError(f"there is no folder {root}")
    known = replace(naming, templates=(template,)) if naming else Naming(templates=(template,))
    found, problems = named(_like(root, template), known)
    if not found:
        raise CheckpointError(f"{root} has no file like {template}; it has {_few(p.name for p in root.iterdir())}")
    torn = {step: reason for step, one in found.items() if (reason := damage(root / one.name))}
    bad = [
        Problem(kind="damaged", what=str(root / found[s].name), step=s, reason=f"{r}; left out")
        for s, r in torn.items()
    ]
    at = {step: root / one.name for step, one in found.items() if step not in torn}
    title = name or root.resolve().name
    resolve(model)
    source = _Files(name=title, at=at, model=model, key=key, prefix=prefix, allow=tuple(allow))
    return CheckpointSeries(
        name=title,
        steps=tuple(at),
        tokens=known_tokens(found[step] for step in at),
        load=source.load,
        where=source.where,
        problems=(*problems, *bad),
        unit=known.unit,
    )


def _like(root: Path, template: str) -> list[str]:
    """Files that begin and end as the template does."""
    begins, ends = template.partition("{")[0], template.rpartition("}")[2]
    return [p.name for p in root.iterdir() if p.is_file() and p.name.startswith(begins) and p.name.endswith(ends)]


def _few(names: Any) -> str:
    shown = sorted(names)
    return (", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")) or "nothing"
