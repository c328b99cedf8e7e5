"""Old paths and names that keep working for one release, with a warning: `ontogeny.series` is `ontogeny.record`."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from typing_extensions import override

__all__ = ["install", "renamed"]

_MODULES: dict[str, str] = {
    "ontogeny.assembly": "ontogeny.brain.assembly",
    "ontogeny.benchmark": "ontogeny.benchmarks",
    "ontogeny.ceilings": "ontogeny.brain.noise_ceiling",
    "ontogeny.curves": "ontogeny.record.series",
    "ontogeny.datasets.bids": "ontogeny.datasets.own_data.bids_derivatives",
    "ontogeny.datasets.building": "ontogeny.datasets.own_data.build_benchmark",
    "ontogeny.datasets.plain": "ontogeny.datasets._lazy_images",
    "ontogeny.datasets.store": "ontogeny.datasets.data_paths",
    "ontogeny.demo": "ontogeny.cli.demo_training",
    "ontogeny.demo.language": "ontogeny.cli.demo_training.train_language",
    "ontogeny.demo.vision": "ontogeny.cli.demo_training.train_vision",
    "ontogeny.diagnosis": "ontogeny.monitoring.preflight_report",
    "ontogeny.doctor": "ontogeny.monitoring.preflight",
    "ontogeny.imaging": "ontogeny.neuroimaging",
    "ontogeny.imaging.atlases": "ontogeny.neuroimaging.atlases",
    "ontogeny.imaging.bids": "ontogeny.neuroimaging.bids_names",
    "ontogeny.imaging.grids": "ontogeny.neuroimaging.image_grids",
    "ontogeny.imaging.maps": "ontogeny.neuroimaging.score_maps",
    "ontogeny.imaging.sheets": "ontogeny.neuroimaging.table_files",
    "ontogeny.imaging.space": "ontogeny.neuroimaging.voxel_masks",
    "ontogeny.imaging.stories": "ontogeny.neuroimaging.story_features",
    "ontogeny.imaging.tables": "ontogeny.neuroimaging.event_tables",
    "ontogeny.imaging.words": "ontogeny.neuroimaging.story_words",
    "ontogeny.lag.maps": "ontogeny.lag.roi_layer_map",
    "ontogeny.lag.pair": "ontogeny.lag.pairwise",
    "ontogeny.lag.runs": "ontogeny.lag.across_runs",
    "ontogeny.lag.words": "ontogeny.lag.lead_text",
    "ontogeny.logs": "ontogeny.record.task_logs",
    "ontogeny.metrics.banded": "ontogeny.metrics.ridge.unique_variance",
    "ontogeny.metrics.encoding": "ontogeny.metrics.ridge.ridge",
    "ontogeny.metrics.neighbours": "ontogeny.metrics.neighbors",
    "ontogeny.metrics.shen2026": "ontogeny.benchmarks.shen2026",
    "ontogeny.metrics.view": "ontogeny.metrics.layer_geometry",
    "ontogeny.monitor": "ontogeny.monitoring.monitor",
    "ontogeny.published": "ontogeny.findings.published",
    "ontogeny.replay.kept": "ontogeny.extraction.feature_cache",
    "ontogeny.report.across": "ontogeny.report.findings.across_models_section",
    "ontogeny.report.brain": "ontogeny.report.brain_figures",
    "ontogeny.report.depth": "ontogeny.report.findings.depth_section",
    "ontogeny.report.leads": "ontogeny.report.lead_figures",
    "ontogeny.report.modality": "ontogeny.report.findings.modality_section",
    "ontogeny.report.scale": "ontogeny.report.findings.scale_section",
    "ontogeny.schedule": "ontogeny.monitoring.schedule",
    "ontogeny.scores": "ontogeny.record.score",
    "ontogeny.series": "ontogeny.record.record",
    "ontogeny.sinks.wandb": "ontogeny.sinks.wandb_sink",
    "ontogeny.task": "ontogeny.monitoring.heldout.loss",
    "ontogeny.watching": "ontogeny.monitoring.monitor",
    "ontogeny.worlds": "ontogeny.simulated",
    "ontogeny.worlds.language": "ontogeny.simulated.language_world",
    "ontogeny.worlds.leads": "ontogeny.simulated.planted_leads",
    "ontogeny.worlds.planting": "ontogeny.simulated.voxel_responses",
    "ontogeny.worlds.vision": "ontogeny.simulated.vision_world",
}


def renamed(module: str, names: dict[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that knows names of before.

    Args:
        module: its name.
        names: before -> now.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", f"{module}.{names[name]}")
        return getattr(sys.modules[module], names[name])

    return find


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of before are those of now, not copies of them."""

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of the modules in the table, and of no others."""
        return importlib.util.spec_from_loader(fullname, self) if fullname in _MODULES else None

    @override
    def create_module(self, spec: ModuleSpec) -> None:
        """As usual; `exec_module` puts another one in its place."""

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Put the module of now in the place of the one of before."""
        name = module.__name__
        _warn(name, _MODULES[name])
        sys.modules[name] = importlib.import_module(_MODULES[name])


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes in the next release", DeprecationWarning, stacklevel=3)


def install() -> None:
    """Once a process."""
    if not any(type(finder) is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
