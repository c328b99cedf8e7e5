"""Replay: any saved series of checkpoints, loaded one after the other.

series = hub("EleutherAI/pythia-70m-deduped", revisions="step{step}", tokens_per_step=2_097_152)
monitor = ontogeny.watch("tuckute2024", record="runs/pythia", tokenizer="EleutherAI/pythia-70m-deduped")
walked = replay(series, monitor)        # the same rows as a live run, in the same record

driver.py              replay(): every checkpoint scored, and written by the one Monitor
plan.py                what of a series is not in a record yet, and what it would take
checkpoint_series.py   CheckpointSeries: saved weights of one run, addressed by step
sources/               where checkpoints come from: the hub, a trainer's folders, files
step_templates.py      names of checkpoints -> steps; _step_inference.py: of those that no template names
engines/               where checkpoints are scored: here, in processes, on Ray; _worker.py: one of them
_prefetch.py           the next checkpoint is downloaded or read while this one is used
_loading/              from a checkpoint's files to a model
manifests.py           public series, one YAML file each; _strict_yaml.py
model_list.py          many finished models; model_tables.py, _performance_tables.py: beside how good they are
tiny.py                network, transform and task of the series `tiny`
"""

from __future__ import annotations

from ontogeny._renamed import renamed
from ontogeny.extraction.feature_cache import DiskFeatureCache
from ontogeny.record.task_logs import read_task_log
from ontogeny.replay._loading.pretrained import Loading, check_vocabulary
from ontogeny.replay._worker import CheckpointResult
from ontogeny.replay.checkpoint_series import CheckpointProblem, CheckpointSeries
from ontogeny.replay.driver import ReplayReport, replay, replay_many
from ontogeny.replay.engines import Engine, Here, Local, Ray
from ontogeny.replay.manifests import Manifest, find_manifest, load_manifest, read_manifest
from ontogeny.replay.model_list import Model, ModelList, read_models
from ontogeny.replay.model_tables import missing_records, model_table, performance_and_alignment
from ontogeny.replay.plan import Plan, plan
from ontogeny.replay.sources import files, finished, hf_trainer, hub, lightning, on_disk, repositories
from ontogeny.replay.step_templates import Naming

__all__ = [
    "CheckpointProblem",
    "CheckpointResult",
    "CheckpointSeries",
    "DiskFeatureCache",
    "Engine",
    "Here",
    "Loading",
    "Local",
    "Manifest",
    "Model",
    "ModelList",
    "Naming",
    "Plan",
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

__getattr__ = renamed(
    __name__,
    {
        "KeptFeatures": "DiskFeatureCache",
        "Problem": "CheckpointProblem",
        "Visit": "CheckpointResult",
        "Walk": "ReplayReport",
    },
)
