"""The step of a checkpoint that no template names: what its name says, what it holds, and whether the two agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from typing_extensions import override

from ontogeny.errors import WeightsError

__all__ = ["SUFFIXES", "Count", "agreed", "by_content", "by_folder", "by_name", "is_weights_name", "stem"]

Unit = Literal["updates", "epochs", "numbers"]

SUFFIXES = (".pth.tar", ".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".tar")
_TRAINING = re.compile(r"(optimizer|scheduler|scaler|rng_state|random_states|training_args|sampler)\b.*", re.IGNORECASE)
_INSIDE: tuple[tuple[str, Unit], ...] = (
    ("global_step", "updates"),
    ("iter_num", "updates"),
    ("step", "updates"),
    ("epoch", "epochs"),
)
_UPDATES = re.compile(r"(?<![a-z])(?:global_?)?(?:steps?|iter(?:ation)?s?|updates?)[-_=]?(\d+)(k?)(?![a-z\d])", re.I)
_EPOCHS = re.compile(r"(?<![a-z])(?:epochs?|ep)[-_=]?(\d+)(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:^|[-_.= ]|checkpoint|ckpt|model|weights)(\d+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How far training was.

    Args:
        number: of these.
        unit: "updates": optimizer updates; "epochs"; "numbers": of what is not known.
        by: who says so, for messages: "its name", "its iter_num".
    """

    number: int
    unit: Unit
    by: str

    @override
    def __str__(self) -> str:
        """Who says what: "its name says step 400"."""
        what = {"updates": "step", "epochs": "epoch", "numbers": "number"}[self.unit]
        return f"{self.by} says {what} {self.number}"


def is_weights_name(name: str) -> bool:
    """Whether a file of this name may hold a model's weights, and not an optimizer's state."""
    return name.casefold().endswith(SUFFIXES) and _TRAINING.match(name) is None


def stem(name: str) -> str:
    """A file's name without the suffix of weights, which may have two parts."""
    suffix = next((end for end in SUFFIXES if name.casefold().endswith(end)), "")
    return name[: len(name) - len(suffix)]


def by_name(name: str) -> Count | None:
    """What a name without its suffix says: "epoch=1-step=400", "ep3", "ckpt_7"; None where nothing.

    A step counts before an epoch, and either before a number at the end.
    """
    if found := _UPDATES.search(name):
        return Count(number=int(found[1]) * (1000 if found[2] else 1), unit="updates", by="its name")
    if found := _EPOCHS.search(name):
        return Count(number=int(found[1]), unit="epochs", by="its name")
    found = _NUMBER.search(name)
    return Count(number=int(found[1]), unit="numbers", by="its name") if found else None


def by_folder(name: str) -> Count | None:
    """As `by_name`, of a folder: the number of a Trainer's "checkpoint-500" is its step."""
    found = re.fullmatch(r"checkpoint-(\d+)", name)
    return Count(number=int(found[1]), unit="updates", by="its name") if found else by_name(name)


def by_content(content: Mapping[str, Any]) -> Count | None:
    """What a file says: `global_step`, `iter_num`, `step`, else `epoch`; None where it has none of these."""
    for key, unit in _INSIDE:
        if (number := _whole(content.get(key))) is not None:
            return Count(number=number, unit=unit, by=f"its {key}")
    return None


def _whole(value: Any) -> int | None:
    """A number that is none below zero and has no fraction, also as a tensor or, in safetensors, as a text."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 0:
        return None
    return int(value)


def agreed(name: Count | None, inside: Count | None) -> Count:
    """What counts of the two: optimizer updates before epochs, epochs before a number, the content before the name.

    Raises:
        WeightsError: neither says anything, or both say the same thing differently.
    """
    known_counts = [count for count in (inside, name) if count is not None]
    if not known_counts:
        raise WeightsError(
            "neither its name nor its content says a step; say it with step= (--step), or, of files, how names "
            "say it with a template: 'FOLDER/NAME{step}.pt'"
        )
    if (
        len(known_counts) == 2
        and known_counts[0].unit == known_counts[1].unit
        and known_counts[0].number != known_counts[1].number
    ):
        raise WeightsError(
            f"{known_counts[1]}, {known_counts[0]}: was it renamed? Give it the name of its step, or say which counts: "
            "step= (--step), or a template with {step} or {count} for the name's number"
        )
    return min(known_counts, key=lambda count: ("updates", "epochs", "numbers").index(count.unit))


def one_unit(counts: Iterable[Count]) -> Unit:
    """The unit that a series has: updates where any checkpoint says them."""
    return min((count.unit for count in counts), key=("updates", "epochs", "numbers").index)
