"""Which axes of a layer's output are space, of a layer that sees pictures.

Where a model takes pictures of two sizes, the axes that grow are. Where it takes one size only, two signs that know
nothing of each other have to agree, and none may speak against: places and channels of a map that a convolution made,
or of the patches; height and width that are alike, in square pictures; the sizes of the layer's own parameters.
Otherwise the layer is refused. Names of classes are no signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ontogeny.extraction._rehearsal.axes import Axes

__all__ = ["Maps", "space_axes"]

Shape = Sequence[int]
Places = tuple[int, ...]

_FLAT = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_OF_LINES = (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d)
_COARSER = (1, 2, 4, 8, 16)
_EXTRA = 5


@dataclass(slots=True)
class Maps:
    """Channels and grids of places that a forward pass went through, as far as their order is beyond doubt.

    Args:
        pixels: shape of the pictures, batch first.
        seen: channels and grid of each.
    """

    pixels: tuple[int, ...]
    seen: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Note what convolutions, poolings and the first linear layer over patches make inside."""
        of_lines = _OF_LINES if len(self.pixels) < 4 else ()
        with ExitStack() as hooks:
            for module in model.modules():
                if isinstance(module, (*_FLAT, *of_lines)):
                    hooks.callback(module.register_forward_hook(self._map).remove)
                elif isinstance(module, nn.Linear):
                    hooks.callback(module.register_forward_hook(self._patches).remove)
            yield

    def _map(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and output.shape[0] == self.pixels[0]:
            self.seen.add((output.shape[1], tuple(output.shape[2:])))

    def _patches(self, _module: nn.Module, args: Any, output: Any) -> None:
        """Of a layer whose input has all numbers of a picture, a row for each of its square patches."""
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if given is None or given.ndim not in (3, 4) or len(self.pixels) != 4 or given.shape[0] != self.pixels[0]:
            return
        places, numbers = math.prod(given.shape[1:-1]), given.shape[-1]
        for grid in self.grids():
            whole = places * numbers == math.prod(self.pixels[1:])
            if whole and math.prod(grid) == places and tuple(given.shape[1:-1]) in (grid, (places,)):
                self.seen.add((output.shape[-1], grid))

    def grids(self) -> set[tuple[int, ...]]:
        """Grids of places that square patches would make of the pictures."""
        if len(self.pixels) != 4:
            return set()
        height, width = self.pixels[-2:]
        sizes = [p for p in range(1, min(height, width) + 1) if height % p == width % p == 0]
        return {(height // p, width // p) for p in sizes}

    def has(self, channels: int, sizes: Shape) -> bool:
        """Whether a map of these channels has a grid of these sizes, or in a row."""
        return any(channels == c and _fits(sizes, grid) for c, grid in self.seen)

    def has_coarser(self, channels: int, sizes: Shape) -> bool:
        """Whether a map has such a grid once it is made coarser by as much as it has more channels."""
        return any(channels == c * by and _fits(sizes, grid, by=by) for c, grid in self.seen for by in _COARSER)

    def has_part(self, channels: int, sizes: Shape) -> bool:
        """Whether a map of these channels has more places than this row of them, as masked autoencoders leave."""
        return len(sizes) == 1 and any(channels == c and 1 < sizes[0] < math.prod(grid) for c, grid in self.seen)

    def could_have(self, sizes: Shape) -> bool:
        """Whether a map, of any channels, or a coarser one has such a grid; where none was seen, patches."""
        unclear = {grid for c, grid in self.seen if [c] == list(sizes)}  # as many as its channels: those, it may be
        grids = {grid for _, grid in self.seen} - unclear if self.seen else self.grids()
        return any(_fits(sizes, grid, by=by) for grid in grids for by in _COARSER)


def _fits(sizes: Shape, grid: Shape, *, by: int = 1) -> bool:
    """The grid made coarser, or its places in a row; unless coarser, behind a few that are no places in the picture."""
    coarser = [-(-n // by) for n in grid]
    if len(sizes) == 1:
        return 0 <= sizes[0] - math.prod(coarser) <= (_EXTRA if by == 1 else 0) and math.prod(coarser) > 1
    return list(sizes) == coarser


def space_axes(shape: Shape, larger: Shape | None, batch: int, module: nn.Module, maps: Maps) -> Axes:
    """Of a layer that sees pictures.

    Args:
        shape: of its output.
        larger: for pictures of twice the height and width; None where the model could not see these.
        batch: the axis of the stimuli.
        module: the layer, whose parameters are looked at where the shapes do not tell.
        maps: that the forward pass went through.
    """
    others = [i for i in range(len(shape)) if i != batch]
    if len(others) <= 1:
        return Axes(batch=batch)
    moved = []
    if larger is not None and len(larger) == len(shape):
        moved = [i for i in others if shape[i] != larger[i]]
    if not moved:
        moved = list(_agreed(shape, others, module, maps) or ())
    if len(moved) == len(others) - 1 or (moved and len(others) > 3):
        return Axes(batch=batch, positions=tuple(moved))
    why = "the model takes pictures of one size" if larger is None else "they do not grow with the pictures"
    return Axes(
        batch=batch,
        positions=None,
        why=f"it is not clear which axes of its output {tuple(shape)} are space, since {why}; pass "
        "pooling='flatten', or a function (output, mask) -> stimuli x features",
    )


def _agreed(shape: Shape, others: list[int], module: nn.Module, maps: Maps) -> Places | None:
    """The axes of space that two signs agree on, with none against.

    Rows of tokens with features in two axes (heads) are thought of too, so that they are not taken for a map.
    """
    rows = [(i,) for i in others[:-1]] if len(others) == 3 else []
    features = {
        places: math.prod(shape[i] for i in others if i not in places)
        for places in (tuple(others[1:]), tuple(others[:-1]), *rows)
    }
    mapped, certain = _by_maps(shape, features, maps)
    thought_of = {places: n for places, n in features.items() if places not in rows or places in mapped}
    by_shape, by_parameters = _by_shape(shape, others, maps), _by_parameters(thought_of, module)
    if certain and len(mapped) > 1:
        votes = [by_parameters] if by_parameters in mapped else []
        weight = 1
    else:
        votes, weight = mapped if len(mapped) == 1 else [], 1 + certain
    signs = [*votes * weight, *(sign for sign in (by_shape, by_parameters) if sign is not None)]
    several = certain and len(mapped) > 1 and not votes
    return signs[0] if len(signs) > 1 and len(set(signs)) == 1 and not several else None


def _by_maps(shape: Shape, features: Mapping[Places, int], maps: Maps) -> tuple[list[Places], bool]:
    """Where the places of a map could be; and whether its channels are found as well: these are two signs."""

    def all_of(has: Callable[[int, Shape], bool]) -> list[Places]:
        return [places for places, n in features.items() if has(n, [shape[i] for i in places])]

    if exact := all_of(maps.has):
        return exact, True
    loose = (maps.has_coarser, lambda _, sizes: maps.could_have(sizes), maps.has_part)
    return next((found for has in loose if (found := all_of(has))), []), False


def _by_shape(shape: Shape, others: list[int], maps: Maps) -> Places | None:
    """Height and width are alike and channels are not, where pictures are square; one feature alone is none."""
    if len(others) == 2 and min(a := shape[others[0]], b := shape[others[1]]) == 1 < max(a, b):
        return (others[0],) if a == 1 else (others[1],)
    if len(others) != 3 or (len(maps.pixels) > 3 and maps.pixels[-1] != maps.pixels[-2]):
        return None
    a, b, c = (shape[i] for i in others)
    if b == c != a:
        return tuple(others[1:])
    return tuple(others[:2]) if a == b != c else None


def _by_parameters(features: Mapping[Places, int], module: nn.Module) -> Places | None:
    """Norms act on channels, and so does whatever has the last parameters."""
    owners = [m for m in module.modules() if list(m.parameters(recurse=False))]
    sizes = {p.numel() for m in owners for p in m.parameters(recurse=False) if _scales(m)}
    sizes = sizes or {getattr(m, "out_features", getattr(m, "out_channels", -1)) for m in owners[-1:]}
    fitting = [places for places, n in features.items() if n in sizes]
    return fitting[0] if len(fitting) == 1 else None


def _scales(module: nn.Module) -> bool:
    """Whether its parameters are one number for each channel, as those of norms."""
    return all(p.ndim == 1 for p in module.parameters(recurse=False))
