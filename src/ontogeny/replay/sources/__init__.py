"""Where checkpoints come from: each a function that returns a `CheckpointSeries`."""

from __future__ import annotations

from ontogeny.replay.sources.any_on_disk import absent, is_place, on_disk
from ontogeny.replay.sources.hf_trainer_checkpoints import hf_trainer
from ontogeny.replay.sources.hub_revisions import finished, hub, repositories
from ontogeny.replay.sources.lightning_checkpoints import lightning
from ontogeny.replay.sources.weight_files import files

__all__ = ["absent", "files", "finished", "hf_trainer", "hub", "is_place", "lightning", "on_disk", "repositories"]
