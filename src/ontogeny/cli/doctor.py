"""`ontogeny doctor`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from ontogeny._display import fitted
from ontogeny._import_string import import_from_string
from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Names
from ontogeny.cli._watch_options import given, watch_options

__all__ = ["doctor"]

_OPTIONS = (
    "tokenizer",
    "transform",
    "metrics",
    "layers",
    "pooling",
    "module",
    "call",
    "truncation",
    "batch_size",
    "image_type",
)
_MADE: Any = watch_options(*_OPTIONS)
if TYPE_CHECKING:
    Reading: TypeAlias = Any
else:
    Reading = _MADE
NOTHING: Any = _MADE()


def doctor(
    benchmark: Names,
    *,
    model: Annotated[str | None, Parameter(metavar="ADDRESS")] = None,
    reading: Reading = NOTHING,
    details: bool = False,
) -> int:
    """What would be read, does it fit, what does it cost.

    Before training: can the benchmark be relied on, which layers would be read and how large they are, what the
    untrained model and the stimuli's own surface score already, and how long one probe takes. Writes nothing. What
    speaks against a benchmark is shown at once, the statistics where nothing does with --details.

      ontogeny doctor kriegeskorte2008
      ontogeny doctor my-benchmark --model my_module:make_model --tokenizer my_module:tokenizer

    Without --model it examines the benchmark alone. With --details:

      pairing    do rows of responses and stimuli belong together? Those of a shuffled subject agree with no other
      split      does position alone score above chance? Then the folds leak
      power      effective number of stimuli (autocorrelation, groups), and the smallest r that it can detect
      ROI        voxels, how ceilings were made (always); for each metric its ceiling, the confound baseline, the
                 spread of random features, and from which value on a model can be distinguished from chance

    and of a benchmark folder, also with --model:

      files      do all have the sha256 that benchmark.json lists?
      repeats    do odd and even repeats of a stimulus agree? If not, one is in another order, or all is noise
      left out   voxels that the folder does not hold, and why

    With --model whatever the model, tokenizer or transform raises is a line "finding": the stimulus, its length, and
    what to do. It ends with the lines to copy into a script, and with exit code 1 where there is a finding.

    Args:
        benchmark: names (see `ontogeny data list`), or folders.
        model: module:attribute, a model or a function that makes one.
        details: statistics, and how the model is read.
    """
    from ontogeny.datasets import load
    from ontogeny.monitoring.preflight import MORE, describe_benchmark

    beside = "".join(f"{line}\n" for name in benchmark for line in _of_folder(name)).rstrip("\n")
    if model is None:
        lines = [line for one in benchmark for line in describe_benchmark(load(one).prepare(), details=details)]
        say("\n".join(fitted([*lines, *([] if details else [MORE])])))
        obstacles: Any = ()
    else:
        made = import_from_string(model)
        with tempfile.TemporaryDirectory() as scratch:
            options = {**given(reading), "details": details}
            found = _examined([load(name) for name in benchmark], made, model, options, Path(scratch) / "record")
        say(str(found))
        obstacles = found.obstacles
    if beside:
        say("\n".join(fitted(beside.splitlines())))
    return 1 if obstacles else 0


def _of_folder(benchmark: str) -> list[str]:
    """What only a folder can tell of itself."""
    from ontogeny.datasets import benchmark_names
    from ontogeny.datasets.folder.integrity import describe_folder

    folder = Path(benchmark).expanduser()
    return list(describe_folder(folder)) if benchmark not in benchmark_names() and folder.is_dir() else []


def _examined(benchmarks: list[Any], made: Any, address: str, options: dict[str, Any], record: Path) -> Any:
    """The report; making the model and tokenizing are the user's own code too."""
    from ontogeny.errors import ConfigError
    from ontogeny.monitoring import watch
    from ontogeny.monitoring.preflight import describe_benchmark, preflight
    from ontogeny.monitoring.preflight_report import ANYTHING, Obstacle, PreflightReport, failure, untokenized, ways

    details = options.pop("details")
    readers: dict[str, Any] = {name: options.pop(name) for name in ("tokenizer", "transform") if name in options}
    modalities = {benchmark.name: benchmark.read.modality for benchmark in benchmarks}
    needed = {"tokenizer" if modality == "text" else "transform" for modality in modalities.values()}
    if not needed <= readers.keys():
        watch(benchmarks, record=record, **options)  # says what is needed
    addresses: dict[str, Any] = {"model": address, **readers}
    try:
        model = _model(made, address)
        monitor = watch(benchmarks, record=record, **options, **readers)
        return preflight(monitor, model, addresses=addresses, details=details)
    except ConfigError:
        raise
    except ANYTHING as error:
        tokenizer = import_from_string(readers.get("tokenizer")) if ":" in readers.get("tokenizer", "") else None
        texts = [one for one in benchmarks if modalities[one.name] == "text"] or benchmarks
        what = untokenized(texts[0].read, tokenizer) or Obstacle(what=failure(error))
        lines = tuple(line for one in benchmarks for line in describe_benchmark(one.prepare()))
        found = ways(modalities, options, addresses=addresses)
        return PreflightReport(lines=lines, obstacles=(what,), ways=found)


def _model(made: Any, address: str) -> Any:
    """The model at an address, or the one that is made there."""
    from torch import nn

    from ontogeny.errors import ProbeError

    model = made if isinstance(made, nn.Module) else made()
    if not isinstance(model, nn.Module):
        raise ProbeError(f"--model {address} gave a {type(model).__name__}, expected a torch module")
    return model
