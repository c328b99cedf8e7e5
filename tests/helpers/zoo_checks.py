"""What a probe reads of a family of models, held against the family's references."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny import Probe
from tests.helpers.zoo import EMBEDDINGS, PLACES, Family, by_glob, named, reference, run_one
from tests.helpers.zoo_stimuli import WORLDS

RELATIVE = 2e-4


def distance(x: Tensor, y: Tensor) -> float:
    """The largest relative distance of a stimulus's features."""
    if x.shape != y.shape:
        return float("inf")
    return float(((x - y).norm(dim=1) / y.norm(dim=1).clamp_min(1e-12)).nan_to_num(float("inf")).max())


def read(family: Family, model: nn.Module, batch_size: int) -> Any:
    """What the package reads of this family."""
    world = WORLDS[family.world]()
    probe = Probe(
        stimuli=world.stimuli,
        reader=world.reader,
        pooling=list(world.poolings),
        batch_size=batch_size,
        **family.options,
    )
    return probe(model)


def problems(family: Family) -> list[str]:
    """What is wrong with what a probe reads of a family; nothing where all is right."""
    model = family.model()
    try:
        found = read(family, model, 64)
        torch.manual_seed(1)  # a model that draws numbers as it is read would show
        again = read(family, model, 7)
    except Exception as error:  # noqa: BLE001 - what a user would see, whatever it is
        if family.error is not None and family.error[0] in str(error):
            return []
        return [f"not read: {type(error).__name__}: {error}"]
    modules = dict(model.named_modules())
    layers = [site.layer for site in found.values]
    known = {name for name in layers if name == EMBEDDINGS or name.partition("[")[0] in modules}
    known |= {EMBEDDINGS, *family.blocks}
    wrong = [f"{name}: there is no such module" for name in dict.fromkeys(layers) if name not in known]
    right = reference(family, known)
    return wrong + _values(found, again, right, known) + _coverage(family, found)


def _values(found: Any, again: Any, right: Mapping[tuple[str, str], Tensor], known: set[str]) -> list[str]:
    wrong = []
    for site, x in found.values.items():
        if site.layer not in known:
            continue
        expected = right.get((site.layer, site.pooling))
        if expected is None:
            wrong.append(f"{site}: no such features, but {tuple(x.shape)} were read")
        elif (far := distance(x, expected)) > RELATIVE:
            wrong.append(f"{site}: {tuple(x.shape)} is {far:.2g} away from the reference {tuple(expected.shape)}")
        elif site not in again.values:
            wrong.append(f"{site}: lost in batches of 7: {again.refused.get(site)}")
        elif (far := distance(again.values[site], x)) > RELATIVE:
            wrong.append(f"{site}: {far:.2g} between batches of 64 and of 7")
    return wrong


def _coverage(family: Family, found: Any) -> list[str]:
    """Layers that are neither read nor refused for a known reason, refusals without one, and layers of other parts."""
    poolings = WORLDS[family.world]().poolings
    got = {(site.layer, site.pooling) for site in (*found.values, *found.refused)}
    choices = []
    for blocks in (family.blocks, *family.alternatives):
        wanted = {
            (layer, how)
            for layer in (*([EMBEDDINGS] if family.entrance and family.exact else []), *blocks)
            for how in poolings
        }
        wrong = [f"{layer}@{how}: not read" for layer, how in sorted(wanted - got)]
        if family.exact:
            wrong += [f"{layer}@{how}: 'auto' should not read this" for layer, how in sorted(got - wanted)]
        choices.append(wrong)
    refused = [
        f"{site}: refused: {why}"
        for site, why in found.refused.items()
        if not any(fnmatchcase(str(site), glob) for glob in family.refusals)
    ]
    return min(choices, key=len) + refused


def _flat(family: Family, name: str, x: Tensor) -> Tensor:
    """Places x features of a layer's output or of one of the model's own hidden states, batch first."""
    axes = by_glob(family.axes, name)
    return PLACES["btd" if x.ndim == 3 and x.shape[0] == 1 else axes](x)


def alike(family: Family) -> list[str]:
    """Layers whose references say too little: hardly different between stimuli, or none at all for a block."""
    found = reference(family, {EMBEDDINGS, *family.blocks})
    wrong = [f"{name}: no reference" for name in family.blocks if not any(key[0] == name for key in found)]
    for (name, pooling), x in found.items():
        apart = (x - x.mean(dim=0)).norm(dim=1).median() / x.norm(dim=1).median()
        if not apart > 50 * RELATIVE:
            wrong.append(f"{name}@{pooling}: stimuli differ by {apart:.2g} of a vector's length")
    return wrong


def hidden_states_differ(family: Family) -> list[str]:
    """Where what enters the blocks by the hooks is not what the model itself calls its hidden states."""
    model, world = family.model(), WORLDS[family.world]()
    names = [name.partition("[")[0] for name in family.blocks]
    wrong = []
    for x in world.tensors[-2:]:
        calls, output = run_one(family, model, x, dict.fromkeys(names), output_hidden_states=True)
        by_name = named(calls)
        states = [s for s in getattr(output, family.hidden) if isinstance(s, Tensor)]
        for place, name in enumerate((EMBEDDINGS, *family.blocks[:-1])[family.late :]):
            mine, theirs = (_flat(family, name, value) for value in (by_name[name], states[place]))
            mine = mine[: len(theirs)] if family.padded else mine
            if mine.shape != theirs.shape or not torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6):
                wrong.append(f"{family.name}: {name}: {tuple(mine.shape)}, {tuple(theirs.shape)}")
    return wrong
