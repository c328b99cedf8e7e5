"""Two processes of FSDP1 in a plain loop: `torchrun --nproc-per-node 2 -m tests.distributed.fsdp1_run FOLDER KINDS`.

Each of KINDS, separated by commas, is trained twice from the same start, watched and without: "orig" and "flat" (the
user's parameters are kept, or not), "checkpointed", "mixed" (bfloat16), "grad_op" (gradients are sharded alone),
"hybrid", "one_unit", "parts" (the blocks alone are units), "breaks" (a forward pass is left in its middle, and
that of one rank alone in one probe).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision, ShardingStrategy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from ontogeny import HeldOutLoss, watch
from ontogeny.errors import ConfigError
from ontogeny.extraction.weights import weights_hash
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import tiny_gpt, token_rows, tokenizer

CPU = torch.device("cpu")
HALF = MixedPrecision(torch.bfloat16, torch.bfloat16, torch.bfloat16)


class Breaks:
    """Fails in the middle of a forward pass: of single stimuli, and on the second rank when step 2 is read."""

    step = 0

    def __call__(self, module, args):
        if len(args[0]) == 1 and not module.training:
            raise RuntimeError("no stimulus is read alone")
        if dist.get_rank() == 1 and not module.training and self.step == 2:
            raise RuntimeError("this rank ran out of memory, say")


def sharded(kind: str) -> nn.Module:
    options: dict[str, Any] = {"use_orig_params": kind != "flat", "device_id": CPU}
    if kind != "one_unit":
        options["auto_wrap_policy"] = ModuleWrapPolicy({GPT2Block})
    if kind == "mixed":
        options["mixed_precision"] = HALF
    if kind == "grad_op":
        options["sharding_strategy"] = ShardingStrategy.SHARD_GRAD_OP
    if kind == "hybrid":
        options["sharding_strategy"] = ShardingStrategy.HYBRID_SHARD
        options["device_mesh"] = init_device_mesh("cpu", (1, 2), mesh_dim_names=("replicate", "shard"))
    inner = tiny_gpt(dropout=0.1)
    if kind == "breaks":
        inner.transformer.h[1].register_forward_pre_hook(Breaks())
    if kind == "parts":
        for index, block in enumerate(inner.transformer.h):
            inner.transformer.h[index] = FullyShardedDataParallel(block, use_orig_params=True, device_id=CPU)
        for name, parameter in inner.named_parameters():
            parameter.requires_grad_(".h." in name)  # what is in no unit is averaged by nobody
        return inner
    model = FullyShardedDataParallel(inner, **options)
    if kind == "checkpointed":
        apply_activation_checkpointing(model, check_fn=lambda module: isinstance(module, GPT2Block))
    return model


HANDLES = (
    *("_training_state", "_prefetched", "_needs_pre_forward_unshard", "_needs_pre_backward_unshard"),
    *("_pre_forward_order_index", "_post_forward_index", "process_group", "_use_full_prec_in_eval"),
)


def facts(model: nn.Module) -> dict[str, Any]:
    """All that FSDP1 keeps for the next step, as far as its sources tell."""
    found: dict[str, Any] = {}
    for i, unit in enumerate(FullyShardedDataParallel.fsdp_modules(model)):
        handle, order = unit._handle, unit._exec_order_data
        flat = handle.flat_param
        found |= {f"{i}.{name}": getattr(handle, name) for name in HANDLES}
        found |= {f"{i}.state": unit.training_state, f"{i}.root": unit._is_root, f"{i}.hooks": len(unit._forward_hooks)}
        found |= {f"{i}.order": (order._iter, [*order.handles_pre_forward_order], [*order.handles_post_forward_order])}
        found |= {f"{i}.shard": (flat.data_ptr(), flat.shape, flat.tolist())}
        if handle.uses_sharded_strategy:
            found |= {f"{i}.whole": handle._get_padded_unsharded_flat_param().untyped_storage().nbytes()}
        found |= {f"{i}.grad": None if flat.grad is None else flat.grad.tolist()}
    for name, parameter in model.named_parameters():
        grad = None if parameter.grad is None else parameter.grad.tolist()
        found[name] = (id(parameter), parameter.data_ptr(), parameter.shape, parameter.requires_grad, grad)
    return found


def train(model: Any, monitor: Any, out: Path, moved: set[str]) -> list[float]:
    """Five steps, read at 0, 2, 4 and 5; the consolidated weights of each are saved where it is watched.

    Facts that a probe has changed are added to `moved`.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    rows = torch.stack([row["input_ids"] for row in token_rows(64, seed=dist.get_rank())])
    losses: list[float] = []
    torch.manual_seed(3)
    if monitor is not None:
        monitor(model, 0)
    for step in range(1, 6):
        for half in (0, 1):
            batch = rows[8 * step + 4 * half :][:4]
            loss = model(input_ids=batch, labels=batch).loss
            loss.backward()
            losses.append(loss.item())
        if isinstance(model, FullyShardedDataParallel):
            model.clip_grad_norm_(1.0)
        optimizer.step()
        if monitor is not None:
            Breaks.step = step
            before = facts(model)
            monitor(model, step)
            after = facts(model)
            moved |= {name for name in before | after if before.get(name) != after.get(name)}
            state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
            if dist.get_rank() == 0:
                torch.save(state, out / f"step{step}.pt")
        optimizer.zero_grad(set_to_none=step % 2 == 0)
    return losses


def refused(monitor: Any, model: Any) -> str:
    """What is said of the model inside the outermost unit; nothing is where there is none."""
    try:
        monitor.check(model.module if isinstance(model, FullyShardedDataParallel) else model)
    except ConfigError as error:
        return str(error)
    return ""


def main(folder: str, kinds: str) -> None:
    dist.init_process_group("gloo")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    held_out = torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])
    found = {}
    for kind in kinds.split(","):
        out = Path(folder) / kind
        out.mkdir(parents=True, exist_ok=True)
        bare = train(sharded(kind), None, out, set())
        model = sharded(kind)
        monitor = watch(
            text_benchmark(),
            record=out / "record",
            tokenizer=tokenizer,
            pooling="mean",
            schedule="every:2",
            batch_size=7,
            probe_timeout=18,  # 3 s for weights
            task=HeldOutLoss(batches=[{"input_ids": held_out}]),
        )
        inside = refused(monitor, model)
        layers = monitor.check(model)
        moved: set[str] = set()
        losses = train(model, monitor, out, moved)
        monitor.finish(model, 5)
        found[kind] = {
            "bare": bare,
            "watched": losses,
            "latest": list(monitor.latest),
            "layers": layers,
            "moved": sorted(moved),
            "inside": inside + refused(monitor, model),
            "by_sha256": weights_hash(model, like="0" * 16),
        }
    (Path(folder) / f"rank{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
