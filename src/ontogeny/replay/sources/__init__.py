"""Where checkpoints come from: each a function that returns a `CheckpointSeries`."""

from __future__ import annotations

from ontogeny.replay.sources.files import files
from ontogeny.replay.sources.hf_trainer import hf_trainer
from ontogeny.replay.sources.hub import finished, hub, repositories
from ontogeny.replay.sources.lightning import lightning

__all__ = ["files", "finished", "hf_trainer", "hub", "lightning", "repositories"]
