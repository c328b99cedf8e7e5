"""Replay: any saved series of checkpoints, loaded one after the other.

series = hub("EleutherAI/pythia-70m-deduped", revisions="step{step}", tokens_per_step=2_097_152)
monitor = ontogeny.watch("tuckute2024", record="runs/pythia", tokenizer="EleutherAI/pythia-70m-deduped")
walked = replay(series, monitor)        # the same rows as a live run, in the same record
"""

from __future__ import annotations

from ontogeny.logs import read_task_log
from ontogeny.replay.asking import Plan, plan
from ontogeny.replay.engines import Engine, Here, Local, Ray
from ontogeny.replay.kept import KeptFeatures
from ontogeny.replay.manifests import Manifest, find_manifest, load_manifest, read_manifest
from ontogeny.replay.measuring import CheckpointResult
from ontogeny.replay.model_tables import missing_records, model_table, performance_and_alignment
from ontogeny.replay.models import Model, ModelList, read_models
from ontogeny.replay.naming import Naming
from ontogeny.replay.pretrained import Loading, check_vocabulary
from ontogeny.replay.series import CheckpointSeries, Problem
from ontogeny.replay.sources import files, finished, hf_trainer, hub, lightning, on_disk, repositories
from ontogeny.replay.walk import ReplayReport, replay, replay_many

__all__ = [
    "CheckpointResult",
    "CheckpointSeries",
    "Engine",
    "Here",
    "KeptFeatures",
    "Loading",
    "Local",
    "Manifest",
    "Model",
    "ModelList",
    "Naming",
    "Plan",
    "Problem",
    "Ray",
    "ReplayReport",
    "check_vocabulary",
    "files",
    "find_manifest",
    "finished",
    "hf_trainer",
    "hub",
    "lightning",
    "load_manifest",
    "missing_records",
    "model_table",
    "on_disk",
    "performance_and_alignment",
    "plan",
    "read_manifest",
    "read_models",
    "read_task_log",
    "replay",
    "replay_many",
    "repositories",
]
