"""Names of weights: what wrappers add to them, and in words why those of a file are not those of a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ontogeny.extraction.wrappers import without_wrappers

__all__ = ["Left", "few", "front_of", "misfit", "unwrapped"]

T = TypeVar("T")

_FRONT = "module."
_ADAPTER = re.compile(
    r"(^|[._])(lora_|ia3_l|hada_|lokr_|oft_|boft_|vera_|adalora_|modules_to_save)|^base_model\.model\."
)


def unwrapped(state: Mapping[str, T]) -> dict[str, T]:
    """By names without what wrappers add: compile, FSDP and checkpointing anywhere, `module.` where all begin so."""
    plain = {without_wrappers(name): value for name, value in state.items()}
    if len(plain) < len(state):
        plain = dict(state)
    while plain and all(name.startswith(_FRONT) for name in plain):
        plain = {name.removeprefix(_FRONT): value for name, value in plain.items()}
    return plain


def misfit(missing: Sequence[str], extra: Sequence[str], *, common: int = 1) -> str:
    """Which weights a file lacks and which the model does not have, and what to do.

    Args:
        missing: names that only the model has.
        extra: names that only the file has.
        common: how many names both have.
    """
    parts = [f"missing {len(missing)}: {few(missing)}"] if missing else []
    parts += [f"unexpected {len(extra)}: {few(extra)}"] if extra else []
    return f"{'; '.join(parts)}. {_advice(missing, extra, common)}"


def _advice(missing: Sequence[str], extra: Sequence[str], common: int) -> str:
    if "n_averaged" in extra:
        return (
            "These are weights that torch's AveragedModel averaged, not those of training: if you want them, let "
            "model= return AveragedModel(...) of the model"
        )
    if any(_ADAPTER.search(name) for name in extra):
        return (
            "These are weights of a model with an adapter (LoRA or the like) on it: let model= return the model with "
            "its base weights and the adapter put on as in training (peft.get_peft_model)"
        )
    if front := front_of(extra, missing):
        return f"Without {front!r} in front the names fit: give prefix={front!r}"
    if front := front_of(missing, extra):
        return (
            f"The model has {front!r} in front of these names: let model= make what is called {front.rstrip('.')!r} in "
            "it, which these weights belong to and whose layers are then named without it"
        )
    if not common:
        return "No name is common to both: they are of another model. Choose the model that belongs to these weights"
    return "Choose the model, key or prefix that belongs to these weights"


def front_of(longer: Collection[str], shorter: Collection[str]) -> str:
    """What stands before each of the shorter names in the longer ones; "" where nothing does."""
    if not shorter or not longer:
        return ""
    first, longest = min(shorter, key=len), set(longer)
    fronts = {name.removesuffix(first) for name in longer if name.endswith(f".{first}")}
    return next((f for f in sorted(fronts, key=len) if all(f"{f}{name}" in longest for name in shorter)), "")


class Left(NamedTuple):
    """What did not meet when transformers loaded a model: names that only it has, that only the file has, and sizes."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    sizes: tuple[str, ...]

    def reason(self, *, given: Collection[str] = (), extra: bool = True) -> str:
        """In words, "" where all met.

        Args:
            given: names that are filled otherwise.
            extra: whether what only the file has counts.
        """
        missing = [name for name in self.missing if name not in given]
        sizes = [text for text in self.sizes if text.partition(":")[0] not in given]
        more = self.extra if extra else ()
        reasons = [f"other shapes: {few(sizes)}"] if sizes else []
        reasons += [misfit(missing, more)] if missing or more else []
        return "; ".join(reasons)


def few(names: Sequence[str]) -> str:
    """The first four."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
