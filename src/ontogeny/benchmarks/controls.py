"""Controls: what stands beside the layers, so that a score can be read; one option, by name.

random features          as many numbers as the model's widest layer has, drawn once: what width alone scores
permuted stimuli         the model's features against the responses to other stimuli: chance, by the same code. Of time
                         series each story is shifted in a circle instead, so that neighbours stay alike
surface                  the stimuli's own surface (length and punctuation, or pixels), without a model
permuted within groups   responses permuted among the stimuli of one group: what groups alone carry (category, story)
random tokens            the same model reads the same tokens, dealt out anew: what lengths alone carry (AlKhamissi et
                         al. 2025, arXiv 2503.01830); one more forward pass a probe
split leak               nothing but each stimulus' place among its neighbours: scores above chance where folds leak
held-out layer           the best layer chosen on one half of the stimuli and scored on the other

The untrained model is no option: it is step 0 of every record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ontogeny.errors import ConfigError, DataError, nearest
from ontogeny.record import Score

__all__ = [
    "CONTROLS",
    "DEFAULT",
    "averaged",
    "circular_shifts",
    "held_out_layer",
    "orders",
    "parse_controls",
    "within_groups",
]

PERMUTED = "permuted stimuli"
WITHIN = "permuted within groups"
DEFAULT = ("random features", PERMUTED, "surface")
CONTROLS = (*DEFAULT, WITHIN, "random tokens", "split leak", "held-out layer")
SEED = 20080092


def parse_controls(given: bool | str | Sequence[str]) -> tuple[str, ...]:
    """Names of controls.

    Args:
        given: True for random features, permuted stimuli and the surface; False for none; or names.

    Raises:
        ConfigError: no control of that name.
    """
    if isinstance(given, bool):
        return DEFAULT if given else ()
    names = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for name in names:
        if name not in CONTROLS:
            raise ConfigError(
                f"controls are True, False or names, and there is no control {name!r}. {nearest(str(name), CONTROLS)}"
            )
    return tuple(name for name in CONTROLS if name in names)


def orders(n_stimuli: int, n: int) -> list[np.ndarray]:
    """So many permutations of all stimuli, frozen."""
    rng = np.random.default_rng(SEED)
    return [rng.permutation(n_stimuli) for _ in range(n)]


def circular_shifts(groups: Sequence[str] | None, n_stimuli: int, n: int) -> list[np.ndarray]:
    """So many orders of contiguous stimuli, frozen: each group is shifted in a circle, by a fifth of it at least.

    Neighbouring volumes are alike; permuted freely they would not be, and chance would look narrower than it is.
    """
    rng = np.random.default_rng((SEED, 2))
    labels = np.asarray(groups if groups is not None else [""] * n_stimuli)
    out = []
    for _ in range(n):
        order = np.arange(n_stimuli)
        for group in np.unique(labels):
            rows = np.flatnonzero(labels == group)
            least = max(1, len(rows) // 5)
            order[rows] = np.roll(rows, int(rng.integers(least, max(len(rows) - least, least) + 1)))
        out.append(order)
    return out


def within_groups(groups: Sequence[str] | None, n: int, *, owner: str) -> list[np.ndarray]:
    """So many permutations that leave every stimulus in its group, frozen.

    Raises:
        DataError: there are no groups, or none with two stimuli.
    """
    if groups is None or len(set(groups)) == len(groups):
        what = "has no groups" if groups is None else "has one stimulus a group"
        raise DataError(
            f"'permuted within groups' needs stimuli that share a group, but {owner} {what}; give its StimulusSet "
            "groups=..., or leave this control out"
        )
    rng = np.random.default_rng((SEED, 1))
    labels = np.asarray(groups)
    out = []
    for _ in range(n):
        order = np.arange(len(labels))
        for group in np.unique(labels):
            rows = np.flatnonzero(labels == group)
            order[rows] = rng.permutation(rows)
        out.append(order)
    return out


def averaged(controls: Sequence[Score], over: str) -> list[Score]:
    """One row a key: the mean, and what the mean is of.

    Args:
        controls: rows with values; a note is kept.
        over: what rows of one key differ in, e.g. "permutations and layers".
    """
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for score in controls:
        groups.setdefault(score.key, []).append(score)
    return [
        replace(
            group[0],
            value=_mean([s.value for s in group]),
            chance=_mean([s.chance for s in group]),
            ceiling=None,
            ceiling_lower=None,
            n_features=max(s.n_features for s in group),
            note="; ".join(filter(None, [f"mean over {len(group)} {over}", group[0].note])),
        )
        for group in groups.values()
    ]


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([v for v in values if v is not None]))


def held_out_layer(first: Sequence[Score], second: Sequence[Score]) -> list[Score]:
    """What the best layer scores on stimuli that did not choose it.

    The highest of many layers is too high: of 12 layers of noise, by 1.6 standard deviations. Here the layer of each
    ROI, metric and pooling is the one with the highest mean over subjects on one half of the stimuli, and its score is
    that on the other half; then the other way round; the mean of the two is the value. Selection and estimate are on
    independent data (Kriegeskorte et al. 2009, Nature Neuroscience 12, 535).

    Args:
        first: alignment rows of one half of the stimuli.
        second: of the other half.

    Returns:
        One row per subject, ROI, metric and pooling: kind "control", layer "held-out layer". Each half has half the
        stimuli, so that a metric that is fitted (ridge) scores lower than on all.
    """
    halves = [_tables(first), _tables(second)]
    out: list[Score] = []
    for curve in halves[0]:
        if curve not in halves[1]:
            continue
        chosen = [_highest(half[curve]) for half in halves]
        parts = [_of_layer(halves[1][curve], chosen[0]), _of_layer(halves[0][curve], chosen[1])]
        note = f"{chosen[0]} and {chosen[1]}, each chosen on one half of the stimuli, scored on the other"
        for subject in parts[0]:
            pair = [part[subject] for part in parts if subject in part]
            if len(pair) == 2:
                out += [_joined(pair, note=f"{note}; of {len(halves[0][curve])} layers")]
    return out


_Layers = Mapping[str, Mapping[str, Score]]


def _tables(rows: Sequence[Score]) -> dict[tuple[str, str, str], dict[str, dict[str, Score]]]:
    """ROI, metric and pooling -> layer -> subject -> row."""
    out: dict[tuple[str, str, str], dict[str, dict[str, Score]]] = {}
    for s in rows:
        out.setdefault((s.roi, s.metric, s.pooling), {}).setdefault(s.layer, {})[s.subject] = s
    return out


def _highest(layers: _Layers) -> str:
    return max(layers, key=lambda layer: _mean([s.value for s in layers[layer].values()]))


def _of_layer(layers: _Layers, layer: str) -> Mapping[str, Score]:
    return layers.get(layer, {})


def _joined(pair: Sequence[Score], *, note: str) -> Score:
    bounds: dict[str, Any] = {}
    for name in ("value", "chance", "ceiling", "ceiling_lower"):
        known = [getattr(s, name) for s in pair]
        bounds[name] = None if None in known else _mean(known)
    n = min(s.n_stimuli for s in pair)
    wide = max(s.n_features for s in pair)
    return replace(pair[0], kind="control", layer="held-out layer", n_stimuli=n, n_features=wide, note=note, **bounds)
