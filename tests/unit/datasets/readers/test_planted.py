"""The embedded worlds as benchmarks."""

from __future__ import annotations

import pytest

pytest.importorskip("ontogeny.simulated.language_world")
pytest.importorskip("ontogeny.simulated.vision_world")

from ontogeny.datasets import load  # the worlds are looked for first


@pytest.mark.parametrize("name", ["planted-language", "planted-vision", "planted-captions"])
def test_a_world_is_simulated_and_the_same_each_time(name: str) -> None:
    benchmark = load(name)
    assert benchmark.simulated
    assert benchmark.about.startswith("SIMULATED")
    assert benchmark.fingerprint() == load(name).fingerprint()
    assert benchmark.fingerprint() != load(name, seed=1).fingerprint()
    benchmark.prepare()
