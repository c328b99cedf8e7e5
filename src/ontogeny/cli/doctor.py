"""`ontogeny doctor`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ontogeny._import_string import import_from_string
from ontogeny.cli._model_options import add_reading_options, reading_options

__all__ = ["add_parser"]

_ABOUT = """\
Before training: can the benchmark be relied on, which layers would be read and how large they are, what the untrained
model and the stimuli's own surface score already, and how long one probe takes. Writes nothing.

Without --model it examines the benchmark alone:

  pairing    do rows of responses and stimuli belong together? A subject whose rows were shuffled agrees with nobody
  split      does position alone score above chance? Then the folds leak
  worth      how many independent stimuli a correlation rests on (autocorrelation, groups), and what it can show
  ROI        voxels, how ceilings were made; then for each metric its ceiling, the confound baseline, the spread of
             random features, and from which value on a model can be told from chance

and of a benchmark folder, also with --model:

  files      do all have the sha256 that benchmark.json lists?
  repeats    do odd and even repeats of a stimulus agree? If not, one is in another order, or all is noise
  left out   voxels that the folder does not hold, and why

With --model whatever the model, tokenizer or transform raises is a line "finding": the stimulus, its length, and what
to do. It ends with the lines to copy into a script, and with exit code 1 where there is a finding.

  ontogeny doctor kriegeskorte2008
  ontogeny doctor my-benchmark --model my_module:make_model --tokenizer my_module:tokenizer
"""


def add_parser(commands: Any) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "doctor",
        help="what would be read, does it fit, what does it cost",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", help="name of a benchmark (see `ontogeny data list`), or its folder")
    parser.add_argument("--model", help="module:attribute, a model or a function that makes one")
    parser.add_argument("--tokenizer", help="module:attribute, a name or a folder, for text")
    parser.add_argument("--transform", help="module:attribute, image -> tensor, for images")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets import benchmark_names, load
    from ontogeny.datasets.folder.integrity import describe_folder
    from ontogeny.monitoring.preflight import describe_benchmark

    folder = Path(arguments.benchmark).expanduser()
    own = arguments.benchmark not in benchmark_names() and folder.is_dir()
    beside = "".join(f"{line}\n" for line in describe_folder(folder)) if own else ""
    if arguments.model is None:
        lines = describe_benchmark(load(arguments.benchmark).prepare())
        sys.stdout.write("\n".join(lines) + "\n" + beside)
        return 0
    made = import_from_string(arguments.model)
    with tempfile.TemporaryDirectory() as scratch:
        found = _examined(arguments, made, Path(scratch) / "record")
    sys.stdout.write(f"{found}\n{beside}")
    return 1 if found.obstacles else 0


def _examined(arguments: argparse.Namespace, made: Any, record: Path) -> Any:
    """The report; making the model and tokenizing are the user's own code too."""
    from ontogeny.datasets import load
    from ontogeny.errors import ConfigError
    from ontogeny.monitoring import watch
    from ontogeny.monitoring.preflight import describe_benchmark, preflight
    from ontogeny.monitoring.preflight_report import ANYTHING, Obstacle, PreflightReport, failure, untokenized, ways

    benchmark, options = load(arguments.benchmark), reading_options(arguments)
    addresses = {name: told for name in ("model", "tokenizer", "transform") if (told := getattr(arguments, name))}
    readers = {name: told for name, told in addresses.items() if name != "model"}
    modality = benchmark.read.modality
    if ("tokenizer" if modality == "text" else "transform") not in readers:
        watch(benchmark, record=record, **options)  # says what is needed
    try:
        model = _model(made, arguments.model)
        monitor = watch(benchmark, record=record, **options, **readers)
        return preflight(monitor, model, addresses=addresses)
    except ConfigError:
        raise
    except ANYTHING as error:
        tokenizer = import_from_string(readers.get("tokenizer")) if ":" in readers.get("tokenizer", "") else None
        what = untokenized(benchmark.read, tokenizer) or Obstacle(what=failure(error))
        lines = tuple(describe_benchmark(benchmark.prepare()))
        return PreflightReport(
            lines=lines, obstacles=(what,), ways=ways({benchmark.name: modality}, options, addresses=addresses)
        )


def _model(made: Any, address: str) -> Any:
    """The model at an address, or the one that is made there."""
    from torch import nn

    from ontogeny.errors import ProbeError

    model = made if isinstance(made, nn.Module) else made()
    if not isinstance(model, nn.Module):
        raise ProbeError(f"--model {address} gave a {type(model).__name__}, expected a torch module")
    return model
