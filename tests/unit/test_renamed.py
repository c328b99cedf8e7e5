"""Paths and names of before keep working for one release, with a warning."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import pytest

from ontogeny import _renamed


@pytest.mark.parametrize("old", sorted(_renamed._MODULES))
def test_a_module_of_before_is_the_one_of_now(old):
    sys.modules.pop(old, None)
    with warnings.catch_warnings(record=True) as caught:  # also of the folder above it, where that has moved too
        warnings.simplefilter("always")
        found = importlib.import_module(old)
    told = [str(one.message) for one in caught if one.category is DeprecationWarning]
    assert [text for text in told if text.startswith(f"{old} is now {_renamed._MODULES[old]}")], told
    assert found is importlib.import_module(_renamed._MODULES[old])


def test_an_address_that_users_wrote_still_leads_somewhere():
    code = "from ontogeny.task import HeldOutLoss; import ontogeny; assert HeldOutLoss is ontogeny.HeldOutLoss"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert "ontogeny.task is now ontogeny.monitoring.heldout.loss" in done.stderr


@pytest.mark.parametrize(
    ("face", "old", "new"),
    [
        ("ontogeny.metrics", "LayerView", "LayerGeometry"),
        ("ontogeny.benchmarks", "Pieces", "StimulusMapping"),
        ("ontogeny.sinks", "short_names", "metric_keys"),
        ("ontogeny.replay", "KeptFeatures", "DiskFeatureCache"),
        ("ontogeny.datasets.folder", "Space", "FolderSpace"),
    ],
)
def test_a_name_of_before_is_the_one_of_now(face, old, new):
    module = importlib.import_module(face)
    with pytest.warns(DeprecationWarning, match=f"{face}.{old} is now {face}.{new}"):
        assert getattr(module, old) is getattr(module, new)
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing
