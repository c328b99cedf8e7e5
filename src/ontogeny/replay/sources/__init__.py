"""Where checkpoints come from: each a function that returns a `CheckpointSeries`."""

from __future__ import annotations

from ontogeny.replay.sources.files import files
from ontogeny.replay.sources.hf_trainer import hf_trainer
from ontogeny.replay.sources.hub import finished, hub, repositories
from ontogeny.replay.sources.lightning import lightning
from ontogeny.replay.sources.on_disk import absent, is_place, on_disk

__all__ = ["absent", "files", "finished", "hf_trainer", "hub", "is_place", "lightning", "on_disk", "repositories"]
