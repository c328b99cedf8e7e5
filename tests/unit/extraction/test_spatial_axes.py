"""Axes of pictures in models that take pictures of one size only: right, or refused; never a guess."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ontogeny import Probe, StimulusSet
from ontogeny.extraction.features import Site

SIZE = 32
RNG = np.random.default_rng(0)
PICTURES = StimulusSet(
    name="p",
    modality="image",
    ids=tuple(f"p{i}" for i in range(9)),
    inputs=[RNG.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(9)],
)


def pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


class OneSize(nn.Module):
    """A stem of patches and one block, of pictures of one size.

    Args:
        channels: of the stem.
        patch: height and width of a patch.
        block: what is read.
        order: of the axes that it is given: "bct", "btc", "bchw" or "bhwc"; with heads "bthd"; "part": 5 places alone.
    """

    def __init__(self, channels, patch, block, order="btc"):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, channels, patch, patch)
        self.block, self.order = block, order

    def forward(self, x):
        if x.shape[-1] != SIZE:
            raise ValueError("pictures of one size")
        x = self.stem(x)
        ordered = {
            "bct": lambda: x.flatten(2),
            "btc": lambda: x.flatten(2).transpose(1, 2),
            "part": lambda: x.flatten(2).transpose(1, 2)[:, ::3][:, :5],
            "part mixed": lambda: x.flatten(2)[:, :, ::3][:, :, :5],
            "bchw": lambda: x,
            "bhwc": lambda: x.permute(0, 2, 3, 1),
            "bthd": lambda: x.flatten(2).transpose(1, 2).unflatten(2, (4, -1)),
        }[self.order]()
        return self.block(ordered)


class Unfolded(nn.Module):
    """Patches are cut by hand, and there is no convolution."""

    def __init__(self, channels, patch, block):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.patch, self.block = nn.Linear(3 * patch**2, channels), patch, block

    def forward(self, x):
        x = self.embed(nn.functional.unfold(x, self.patch, stride=self.patch).transpose(1, 2))
        return self.block(x) if x.shape[1] == (SIZE // self.patch) ** 2 else 1 / 0


class Mixes(nn.Module):
    """Over the places, by a linear layer on the last axis."""

    def __init__(self, places):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(places), nn.Linear(places, places))

    def forward(self, x):
        return x + self.inner(x)


class Last(nn.Module):
    """Over channels, in the last place for a while."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x):
        return x + self.inner(self.norm(x.movedim(1, -1))).movedim(-1, 1)


def normed(channels):
    return nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))


def mean(x: Tensor, order: str) -> Tensor:
    """Over places, of one stimulus."""
    return {
        "part": lambda: x[0].mean(0),
        "bct": lambda: x[0].mean(1),
        "btc": lambda: x[0].mean(0),
        "bchw": lambda: x[0].mean((1, 2)),
        "bhwc": lambda: x[0].mean((0, 1)),
        "bthd": lambda: x[0].mean(0).flatten(),
    }[order]()


def read(model, layer="block"):
    found = Probe(stimuli=PICTURES, reader=pixels, layers=[layer])(model)
    return found.values.get(Site(layer, "spatial_mean")), found.refused.get(Site(layer, "spatial_mean"), "")


def right(model, order, layer="block"):
    rows = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _a, out: rows.append(mean(out, order)))
    with torch.no_grad():
        for picture in PICTURES.inputs:
            model.eval()(pixels(picture)[None])
    handle.remove()
    return torch.stack(rows)


CLEAR = {
    "tokens and a norm": lambda: (OneSize(24, 8, normed(24)), "btc"),
    "as many tokens as patches of another size": lambda: (OneSize(64, 8, normed(64)), "btc"),
    "patches without a convolution": lambda: (Unfolded(64, 8, normed(64)), "btc"),
    "few of the places, as masked autoencoders keep": lambda: (OneSize(24, 8, normed(24), "part"), "part"),
    "a map": lambda: (OneSize(24, 4, nn.Conv2d(24, 12, 1), "bchw"), "bchw"),
    "a map, channels last": lambda: (OneSize(24, 4, normed(24), "bhwc"), "bhwc"),
    "wider": lambda: (OneSize(24, 8, nn.Linear(24, 50)), "btc"),
    "no parameters": lambda: (OneSize(24, 8, nn.GELU()), "btc"),
}
UNCLEAR = {
    "mixing 64 places of 64 channels": lambda: OneSize(64, 4, Mixes(64), "bct"),
    "mixing 64 places of 32 channels": lambda: OneSize(32, 4, Mixes(64), "bct"),
    "a convolution over 16 places": lambda: OneSize(24, 8, nn.Conv1d(16, 16, 1)),
    "the same without a stem": lambda: Unfolded(24, 8, nn.Conv1d(16, 16, 1)),
    "16 places of 16 channels": lambda: OneSize(16, 8, nn.Linear(16, 16)),
    "8 x 8 places of 8 channels": lambda: OneSize(8, 4, Last(8), "bchw"),
    "the same, channels last": lambda: OneSize(8, 4, normed(8), "bhwc"),
    "16 tokens of 4 heads of 4": lambda: OneSize(16, 8, nn.Linear(4, 4), "bthd"),
    "64 tokens of 4 heads of 4": lambda: OneSize(16, 4, nn.Linear(4, 4), "bthd"),
    "from 16 places to 64, of 16 channels": lambda: OneSize(16, 8, nn.Linear(16, 64), "bct"),
    "from 16 places to 24": lambda: OneSize(64, 8, nn.Linear(16, 24), "bct"),
    "mixing few of the places": lambda: OneSize(24, 8, normed(5), "part mixed"),
    "a batch norm over places": lambda: OneSize(32, 4, nn.BatchNorm1d(64)),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_two_signs_agree_on_is_read(name):
    model, order = CLEAR[name]()
    found, refused = read(model)
    assert refused == ""
    torch.testing.assert_close(found, right(model, order), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_signs_differ_on_is_refused_with_what_helps(name):
    model = UNCLEAR[name]()
    found, refused = read(model)
    assert found is None
    assert "not clear which axes" in refused
    assert "pass pooling='flatten', or a function" in refused
    flat = Probe(stimuli=PICTURES, reader=pixels, layers=["block"], pooling="flatten")(model)
    with torch.no_grad():
        whole = model.eval()(torch.stack([pixels(picture) for picture in PICTURES.inputs]))
    torch.testing.assert_close(flat.values[Site("block", "flatten")], whole.flatten(1), rtol=1e-4, atol=1e-5)
