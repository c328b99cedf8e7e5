"""A state that was saved by content, to be put back in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeGuard

from ontogeny.extraction.state._containers import SavedTogether
from ontogeny.extraction.state._entry import CannotRestoreError, Saved
from ontogeny.extraction.state._kinds import joined
from ontogeny.extraction.state._random import SavedRandom
from ontogeny.extraction.state._stand_ins import is_unused, stand_in
from ontogeny.extraction.state._values import SavedArray, SavedTensor, is_parameter
from ontogeny.extraction.state._walk import Walk, quietly

__all__ = ["SavedState"]

_TOGETHER = 64


class SavedState:
    """What was reached from some objects, ready to be put back.

    Args:
        roots: models, or anything else.
        copied: whether the values of a tensor or array are copied, asked for each; the others are watched for changes
            alone.

    Attributes:
        lost: name -> why it could not be put back.
        changed: ids of tensors and arrays that were different.
        unchecked: whether some of them were left out when the rest was put back last.

    Example:
        >>> import torch
        >>> layer = torch.nn.BatchNorm1d(2)
        >>> saved = SavedState(layer)
        >>> _ = layer(torch.rand(4, 2))
        >>> sorted(saved.restore())
        ['num_batches_tracked', 'running_mean', 'running_var']
        >>> layer.num_batches_tracked.item()
        0
    """

    def __init__(self, *roots: Any, copied: Callable[[Any], bool] = lambda _: True) -> None:
        self.lost: dict[str, str] = {}
        self.changed: set[int] = set()
        self.unchecked = False
        self._walk = Walk(roots, copied)
        self._standing = self._walk.standing
        entries = [entry for _, entry in self._walk.entries]
        self._constant = {place: id(entry.live) for place, entry in enumerate(entries) if _is_constant(entry)}
        fit = [(place, entry) for place, entry in enumerate(entries) if SavedTogether.fits(entry)]
        self._alone = sorted(set(range(len(entries))) - {place for place, _ in fit})
        parts = [fit[start : start + _TOGETHER] for start in range(0, len(fit), _TOGETHER)]
        self._together = [([place for place, _ in part], SavedTogether([one for _, one in part])) for part in parts]

    def __contains__(self, item: Any) -> bool:
        return id(item) in self._walk.seen

    @property
    def fragile(self) -> bool:
        """Whether anything was reached that can be copied but not wound back."""
        return bool(self._walk.fragile)

    @property
    def generators(self) -> list[SavedRandom]:
        """Of random numbers, that were reached."""
        return self._walk.generators

    def reached(self) -> list[Any]:
        """Every object that was reached."""
        return list(self._walk.seen.values())

    def restore(self, *, parameters: set[int] | None = None, rest: bool = False) -> list[str]:
        """Put everything back; what cannot be is in `lost`, by name, with the reason.

        Args:
            parameters: ids of those that are looked at, and of other tensors without a copy; None for all.
            rest: put back what is left out otherwise, and nothing else.

        Returns:
            Names of what was different, "module.attribute"; it can be called again.
        """
        changed: dict[str, None] = {}
        unused = {name for (name, _), item in zip(self._walk.fragile, self._standing, strict=True) if is_unused(item)}
        with quietly():
            for name, entry in self._of(parameters, rest=rest):
                try:
                    different = entry.restore()
                except CannotRestoreError as error:
                    self.lost[name] = str(error)
                except Exception as error:  # noqa: BLE001 - named, and the others are put back all the same
                    self.lost[name] = f"{type(error).__name__}: {error}"
                else:
                    if different and isinstance(entry, SavedTensor | SavedArray):
                        self.changed.add(id(entry.live))
                    changed.update(dict.fromkeys(joined(name, key) if key != "" else name for key in different))
        return [name for name in changed if name not in unused]

    def _of(self, parameters: set[int] | None, *, rest: bool) -> Iterator[tuple[str, Saved]]:
        """The entries that are put back, in their order."""
        known = {place for place, live in self._constant.items() if parameters is not None and live not in parameters}
        if rest:
            places = sorted(known)
        else:
            changed = [places for places, saved in self._together if not saved.unchanged()]
            places = sorted({*chain(self._alone, *changed)} - known)
        for place in places:
            yield self._walk.entries[place]

    def stand_in(self, originals: list[Any] | None = None) -> list[Any]:
        """Put copies in place of what can be copied but not wound back, such as iterators.

        What cannot be copied either gets a `Tripwire` in its place. `restore` puts back what was saved; `put`, what
        stood there in between.

        Args:
            originals: what the copies are made of; by default what stands there now.

        Returns:
            The originals.
        """
        originals = self._standing if originals is None else originals
        pairs = zip(self._walk.fragile, originals, strict=True)
        self.put([stand_in(name, original) for (name, _), original in pairs])
        return originals

    def put(self, standing: list[Any]) -> None:
        """Put these in place of what can be copied but not wound back."""
        self._standing = standing
        for (_, put), item in zip(self._walk.fragile, standing, strict=True):
            put(item)


def _is_constant(entry: Saved) -> TypeGuard[SavedTensor | SavedArray]:
    """A parameter, or what is so large that it has no copy."""
    return is_parameter(entry) or (isinstance(entry, SavedTensor | SavedArray) and entry.total is not None)
