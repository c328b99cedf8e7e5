"""Features on disk, found again by the hash of the weights alone."""

from __future__ import annotations

import json
from collections import OrderedDict

import pytest
import safetensors
import safetensors.torch
import torch

from ontogeny.errors import CheckpointError
from ontogeny.extraction import Probe
from ontogeny.extraction.feature_cache import DiskFeatureCache, kept_files, read_kept
from ontogeny.stimuli import StimulusSet


def model():
    return torch.nn.Sequential(OrderedDict(table=torch.nn.Embedding(30, 4)))


def probe():
    texts = tuple(f"word {i}" for i in range(12))
    stimuli = StimulusSet(name="twelve", modality="text", ids=tuple(f"s{i}" for i in range(12)), inputs=texts)
    return Probe(stimuli=stimuli, reader=lambda text: [int(text.split()[1])], layers=["table"], pooling="last")


def test_kept_features_are_found_by_weights_with_their_stimuli(tmp_path):
    read, made = probe(), model()
    found = DiskFeatureCache(folder=tmp_path).features(read, made, "a" * 32)
    (path,) = kept_files(tmp_path)["a" * 32]
    again = read_kept(path)
    assert again.stimulus_ids == found.stimulus_ids == tuple(f"s{i}" for i in range(12))
    assert all(torch.equal(again.values[site], x) for site, x in found.values.items())


def test_a_file_of_before_is_read_once_more_and_then_found(tmp_path):
    read, made, cache = probe(), model(), DiskFeatureCache(folder=tmp_path)
    cache.features(read, made, "b" * 32)
    (path,) = tmp_path.iterdir()
    with safetensors.safe_open(str(path), framework="pt") as file:
        about = json.loads(file.metadata()["ontogeny"])
        tensors = {"0": file.get_tensor("0")}
    old = {name: about[name] for name in ("sites", "refused")}
    safetensors.torch.save_file(tensors, str(path), metadata={"ontogeny": json.dumps(old)})
    assert kept_files(tmp_path) == {}
    with pytest.raises(CheckpointError, match="delete it, and replay the checkpoint once more"):
        read_kept(path)
    cache.features(read, made, "b" * 32)
    assert kept_files(tmp_path) == {"b" * 32: [path]}


def test_what_is_no_folder_of_features_is_refused_and_what_is_broken_passed_over(tmp_path):
    with pytest.raises(CheckpointError, match="there is no folder of features .*gone; `ontogeny replay --features`"):
        kept_files(tmp_path / "gone")
    (tmp_path / "torn.safetensors").write_bytes(b"half")
    assert kept_files(tmp_path) == {}
