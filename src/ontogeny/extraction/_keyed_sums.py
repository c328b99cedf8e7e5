"""Keyed sums of a tensor's bits, where the tensor lies: the same eight numbers on every device.

The bits are read as 16-bit numbers x, 512 in a row. Each row becomes eight sums of k x, with k of 16 bits (a product of
matrices in double precision, in which every sum is exact: |k x| < 2^31, 512 of them < 2^40). The rows' sums, as 64-bit
integers with keys of 64 bits, add up to eight numbers modulo 2^64. All keys are fixed: SplitMix64 of their places.

Two tensors that differ in a row have the same eight sums there for at most one key in 2^16 each, so for one choice of
the keys in 2^128; that rows which differ add up to the same is rarer still (2^-23 each at most, 2^-184).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["keyed_sums"]

_SUMS, _ROW = 8, 512
_BYTES = 2 * _ROW
_BLOCK = {"cpu": 2**10}
_ROWS = 2**14
_SECOND = 2**40
_GOLDEN, _MIX, _MIX_AGAIN = -7046029254386353131, -4658895280553007687, -7723592293110705685


def keyed_sums(tensor: Tensor) -> Tensor:
    """Eight 64-bit sums over the bytes of a dense tensor, on its device; no random number is drawn.

    Args:
        tensor: any type and shape; where the device has no double precision or no 70 MB left, it is brought to the CPU.

    Returns:
        Of 8 numbers, int64.
    """
    with torch.no_grad():
        flat = _bytes(tensor)
        if flat.device.type not in ("cpu", "cuda"):
            return _total(flat.cpu())
        try:
            return _total(flat)
        except torch.OutOfMemoryError:
            return _total(flat.cpu())


def _total(flat: Tensor) -> Tensor:
    """Of bytes in a row."""
    whole = flat.numel() // _BYTES * _BYTES
    total = torch.zeros(_SUMS, dtype=torch.int64, device=flat.device)
    for start in range(0, whole, _ROWS * _BYTES):
        total += _summed(flat[start : min(start + _ROWS * _BYTES, whole)], start // _BYTES)
    if whole < flat.numel():
        end = flat.new_zeros(_BYTES)
        end[: flat.numel() - whole] = flat[whole:]
        total += _summed(end, whole // _BYTES)
    return total


def _bytes(tensor: Tensor) -> Tensor:
    """In a row, where every 16 bits can be read as a number."""
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    flat = plain.as_strided(plain.shape, (1,)).view(torch.uint8)  # one number may have any stride
    return flat.clone() if flat.storage_offset() % 2 else flat


def _summed(flat: Tensor, first: int) -> Tensor:
    """Of whole rows, of which the first has this place."""
    rows = flat.view(torch.int16).view(-1, _ROW)
    size = _BLOCK.get(flat.device.type, len(rows))
    keys = _row_keys(flat.device)
    sums = torch.cat([keys @ some.double().T for some in torch.split(rows, size)], dim=1).long()
    places = torch.arange(first * _SUMS, (first + len(rows)) * _SUMS, device=flat.device).view(-1, _SUMS)
    return (sums.T * _mixed(places + _SECOND)).sum(dim=0)


@lru_cache(maxsize=16)
def _row_keys(device: torch.device) -> Tensor:
    """Sums x numbers of a row, 0 to 2^16 - 1."""
    places = torch.arange(_SUMS * _ROW, device=device).view(_SUMS, _ROW)
    return (_mixed(places) & 0xFFFF).double()


def _mixed(places: Tensor) -> Tensor:
    """SplitMix64 (Steele, Lea and Flood 2014), modulo 2^64."""
    z = (places + 1) * _GOLDEN
    z = (z ^ _shifted(z, 30)) * _MIX
    z = (z ^ _shifted(z, 27)) * _MIX_AGAIN
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, by: int) -> Tensor:
    """To the right, with zeros on the left."""
    return (z >> by) & ((1 << (64 - by)) - 1)
