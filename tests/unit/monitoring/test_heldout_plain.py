"""Plain data in memory are read by copies of their items, however many there are and whatever a collator does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from ontogeny import HeldOutLoss
from ontogeny.monitoring.heldout._plain_datasets import in_memory


def greedy(features):
    """As collators of transformers do: takes keys out of the items, and writes into their tensors."""
    labels = [item.pop("labels") for item in features]
    for item in features:
        item["input_ids"].add_(100)
        item["nested"]["list"].append(1)
    return {"input_ids": torch.stack([item["input_ids"] for item in features]), "labels": torch.tensor(labels)}


def rows(n=12):
    return [{"input_ids": torch.arange(4) + i, "labels": i, "nested": {"list": [i]}} for i in range(n)]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", [list, tuple])
def test_items_of_a_list_are_as_they_were_and_the_loader_too(kind, shuffle):
    data = kind(rows())
    loader = DataLoader(data, batch_size=4, shuffle=shuffle, collate_fn=greedy)
    before = copy.deepcopy(data)
    kept = HeldOutLoss(loader, max_batches=2).batches
    assert len(kept) == 2
    assert [str(item) for item in data] == [str(item) for item in before]
    assert loader.dataset is data
    assert loader.sampler.data_source is data
    assert loader.batch_sampler.sampler is loader.sampler
    again = HeldOutLoss(loader, max_batches=2).batches
    assert torch.equal(kept[0]["input_ids"], again[0]["input_ids"])
    if not shuffle:
        assert kept[0]["labels"].tolist() == [0, 1, 2, 3]
        assert kept[1]["input_ids"][0].tolist() == [104, 105, 106, 107]


def test_tensors_and_parts_of_them_are_as_they_were():
    whole = TensorDataset(torch.arange(40.0).reshape(20, 2), torch.arange(20))

    def writing(items):
        for x, _ in items:
            x.zero_()
        return default_collate(items)

    for data in (whole, Subset(Subset(whole, range(4, 16)), [1, 2, 3, 5])):
        (first, labels), *_ = HeldOutLoss(DataLoader(data, batch_size=2, collate_fn=writing)).batches
        assert first.abs().sum() == 0
        assert labels.tolist() == [int(data[0][1]), int(data[1][1])]
    assert torch.equal(whole.tensors[0], torch.arange(40.0).reshape(20, 2))


def test_a_loader_is_put_back_where_reading_fails():
    data = [1, 2, 3]

    def broken(_):
        raise OSError("gone")

    loader = DataLoader(data, collate_fn=broken)
    with pytest.raises(OSError, match="gone"):
        HeldOutLoss(loader)
    assert loader.dataset is data


class Counting(Dataset):
    """Somebody's own: it counts how often it was read."""

    def __init__(self, n):
        self.values, self.read = list(range(n)), 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.read += 1
        return torch.tensor([float(self.values[index])]), self.values[index] % 2


def test_somebodys_own_data_set_is_put_back_and_its_size_is_counted():
    data = Counting(1000)
    HeldOutLoss(DataLoader(data, batch_size=4), max_batches=3)
    assert data.read == 0
    assert in_memory(DataLoader(data), 10_000) == (1002, 0)
    assert in_memory(DataLoader(data), 500)[0] > 500
    assert in_memory(DataLoader(rows()), 10_000) == (0, 0), "plain data are not kept as a whole"
    data.values = [torch.zeros(1000) for _ in range(10)]
    assert in_memory(DataLoader(data), 10_000) == (212, 40_000)
