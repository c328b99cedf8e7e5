"""Sinks by name, address or object."""

from __future__ import annotations

import pytest
from tests.helpers.models import TinyCNN, transform

from ontogeny import watch
from ontogeny.errors import ConfigError
from ontogeny.sinks.registry import as_sinks
from ontogeny.sinks.wandb_sink import WandbSink


class Kept:
    def __init__(self, factor=1.0):
        self.factor, self.rows = factor, []

    def write(self, step, metrics):
        self.rows.append((step, self.factor * len(metrics)))


KEPT = Kept(3.0)


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ("wandb", [WandbSink]),
        ("wandb(most_details=9)", [WandbSink]),
        (KEPT, [Kept]),
        ([KEPT, "wandb"], [Kept, WandbSink]),
        (f"{__name__}:KEPT", [Kept]),
        (f"{__name__}:Kept", [Kept]),
        ((), []),
    ],
)
def test_what_names_a_sink(given, kinds):
    assert [type(sink) for sink in as_sinks(given)] == kinds


def test_an_address_takes_options():
    (sink,) = as_sinks(f"{__name__}:Kept(factor=2.5)")
    assert sink.factor == 2.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("wandp", "no sink is called 'wandp'. Did you mean 'wandb'"),
        ("wandb(most=1)", "refuses its options: TypeError"),
        (3, r"a sink has write\(step, metrics\), got 3; names: wandb"),
        (Kept, r"a sink has write\(step, metrics\), got <class"),
        (f"{__name__}:None_", "has no 'None_'"),
    ],
)
def test_what_is_no_sink(given, said):
    with pytest.raises(ConfigError, match=said):
        as_sinks(given)


def test_a_monitor_takes_an_address(image_benchmark, tmp_path):
    KEPT.rows.clear()
    monitor = watch(
        image_benchmark, record=tmp_path / "r", transform=transform, controls=False, sinks=f"{__name__}:KEPT"
    )
    monitor(TinyCNN(), 0)
    assert [step for step, _ in KEPT.rows] == [0]
