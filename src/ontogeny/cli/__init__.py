"""The command line: one file per verb, a function with a typed signature, imported when it is called."""

from __future__ import annotations

import logging
import os
import select
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import App, CycloptsError, Group, Parameter, UnknownCommandError, UnusedCliTokensError

from ontogeny import __version__
from ontogeny._messages import printable
from ontogeny._messages import say as remark
from ontogeny.cli._output import PlainOutput
from ontogeny.errors import OntogenyError, nearest

__all__ = ["main", "parse"]

_GROUPS = {
    "A first session": ("demo", "replay", "report"),
    "Before training": ("doctor", "data"),
    "What came out": ("lag", "record", "findings", "map"),
    "Elsewhere": ("wandb",),
}
_VERBS = {
    "demo": ("demo:demo", "Train two small models, watched, and write the report (a few minutes)."),
    "replay": ("replay:replay", "Score a series of saved checkpoints; `replay tiny` needs no file."),
    "report": ("report:report", "The answer, figures and one offline page from a record."),
    "doctor": ("doctor:doctor", "What would be read, does it fit, what does it cost."),
    "data": ("data:app", "List, get, build, show, verify and export data sets."),
    "lag": ("lag:lag", "Which is first, alignment or the task."),
    "record": ("record:app", "What a record holds, and questions to it."),
    "findings": ("findings:app", "Better models, modalities, regions, depth, scale, when."),
    "map": ("brain_map:brain_map", "Scores of a record back in the brain."),
    "wandb": ("wandb:app", "Charts, pages and records on Weights & Biases."),
}
_EXAMPLES = """\
start here:
  ontogeny demo                          two small models, a few minutes, a page to look at
  ontogeny replay tiny --benchmark planted-vision --record runs/tiny        a series that comes along
  ontogeny report runs/tiny              the answer, and one offline page

then:
  ontogeny data list                     which brain data are here
  ontogeny doctor tuckute2024 --model my_module:make_model --tokenizer my_module:tokenizer
  ontogeny replay out/ --benchmark tuckute2024      the checkpoint-N folders of a Hugging Face Trainer
  ontogeny record show runs/a            what it holds; best, query and compact are there too
  ontogeny report runs/a --watch         the page while training runs
  ontogeny map runs/a --space my-benchmark          scores back in the brain, as NIfTI
  ontogeny lag runs/a --roi IT --layer head --metric rsa-correlation-spearman
  ontogeny findings across --published shen2026     do better models align better?
  ontogeny wandb log runs/a --project brains

in a training script:
  from ontogeny.callbacks.lightning import AlignmentCallback      # or .transformers
  trainer = L.Trainer(callbacks=[AlignmentCallback("kriegeskorte2008", transform=tf, record="runs/a")])
"""
_EPILOGUES = {
    "lag": """\
what the lines of --details mean:
  trend lead        which curve first reaches half of its own gain. 2.0× fewer steps: alignment needs half as many.
                    Refused where a plateau was not observed, where there is no rise, or with fewer than 12
                    checkpoints. Where a curve overshoots or dips, a lead is claimed only if it holds for every
                    shape that may describe it.
  fluctuation lead  whether checkpoint-to-checkpoint fluctuations of alignment come first. Needs 30 checkpoints; its
                    null allows any drive that both share, however unequal their noise.
  p(A leads)        one-sided p of "alignment is not earlier"; p(P leads) the other way. A verdict needs p < .025.
  uniform           the direction holds at 25, 50 and 75 % of the gain.
  Granger, usual    the test as people know it, on the levels, and how often it rejects in replicates of your own
                    series in which nothing leads. Where that is far above 5 %, its p means nothing.
  re-pairing        (5 runs or more) whether alignment of one run also leads performance of another.
"""
}
_OLD_SPELLINGS = {("findings",): ("--rois", "--roi"), ("data", "get"): ("--to", "--out")}
_EVERYWHERE = Group("With every verb")
_PIPE_CLOSED = 141  # what a shell says of a program that SIGPIPE ended
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a command line asks for: a verb with its arguments, and how much is said beside its answer."""

    run: partial[Any]
    quiet: bool = False
    verbose: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error is one clear line and exit code 2.

    Where its output is read no further (`ontogeny data list | head -1`), it ends without a word, exit code 141.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError as error:
        return _PIPE_CLOSED if _is_closed() else _refused(words, error)
    return code


def _run(words: list[str]) -> int:
    verbose = False
    try:
        call = parse(words)
        verbose = call.verbose
        with redirect_stdout(cast("Any", PlainOutput(sys.stdout))), _loudness(call):
            return int(call.run() or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever happens is one line; -v shows where
        return _refused(words, error, verbose=verbose)


def parse(words: Sequence[str]) -> Call:
    """The call that a command line asks for; help is printed at once.

    Raises:
        CycloptsError: it asks for nothing that there is.
    """
    app = _app(_verb(words))
    how = {"exit_on_error": False, "print_error": False, "console": _console(words)}
    command, bound, _ = app.meta.parse_args(_respelled(words), **how)
    call = command(*bound.args, **bound.kwargs)
    return call if isinstance(call, Call) else Call(run=partial(int))


def _app(verb: str | None) -> App:
    """All verbs; the one that is called speaks for itself, of the others no more than a line is needed."""
    app = App(
        name="ontogeny",
        version=f"ontogeny {__version__}",
        help="Watch a model become brain-like while it trains.",
        help_epilogue=None if verb else _EXAMPLES,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=_shown, allow_repeating=True),
    )
    groups = [Group(title, sort_key=place) for place, title in enumerate(_GROUPS)]
    for name, (place, about) in _VERBS.items():
        group = next(group for group in groups if name in _GROUPS[group.name])
        more = {"help_epilogue": _EPILOGUES[name]} if name in _EPILOGUES else {}
        app.command(f"ontogeny.cli.{place}", name=name, help=None if name == verb else about, group=group, **more)

    @app.meta.default
    def common(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        config: Annotated[Path | None, Parameter(group=_EVERYWHERE)] = None,
        quiet: Annotated[bool, Parameter(alias="-q", group=_EVERYWHERE)] = False,
        verbose: Annotated[bool, Parameter(alias="-v", group=_EVERYWHERE)] = False,
    ) -> Call:
        """What every verb takes.

        Args:
            tokens: the verb and its words.
            config: YAML file whose keys are the names of the verb's options, with _ for -; the command line wins.
            quiet: nothing but the answer and errors: no progress, no warnings.
            verbose: what is done, and where an error came from.
        """
        if config is not None:
            from ontogeny.cli._yaml_config import YamlConfig

            app.config = (YamlConfig(config),)
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        return Call(run=partial(command, *bound.args, **bound.kwargs), quiet=quiet, verbose=verbose)

    return app


def _verb(words: Sequence[str]) -> str:
    return next((word for word in words if word in _VERBS), "")


def _shown(default: Any) -> str | None:
    """What the help says of a default; nothing where the option is simply absent."""
    if default in (None, "", ()) or default is False:
        return None
    return " ".join(default) if isinstance(default, tuple) else str(default)


def _console(words: Sequence[str]) -> Any:
    """Where help goes, as wide as the examples are where it goes into a file; rich is imported for help alone."""
    if sys.stdout.isatty() or (_verb(words) and not {"-h", "--help"} & set(words)):
        return None
    from rich.console import Console

    return Console(width=120)


def _respelled(words: Sequence[str]) -> list[str]:
    """Spellings of the last release, which work for one more."""
    asked = tuple(word for word in words if not word.startswith("-"))
    out = list(words)
    for verbs, (old, new) in _OLD_SPELLINGS.items():
        if asked[: len(verbs)] != verbs:
            continue
        for place, word in enumerate(out):
            if word.partition("=")[0] == old:
                out[place] = new + word.removeprefix(old)
                remark(
                    f"warning: {old} of ontogeny {' '.join(verbs)} is now {new}; the old name goes in the next release"
                )
    return out


@contextmanager
def _loudness(call: Call) -> Iterator[None]:
    """-q: standard error goes nowhere, but for an error. -v: what other libraries log is shown."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.name != "ontogeny")  # its lines are shown in any case
    root, level = logging.getLogger(), logging.getLogger().level
    with ExitStack() as stack:
        if call.quiet:
            stack.enter_context(redirect_stderr(stack.enter_context(Path(os.devnull).open("w"))))
        if call.verbose:
            stack.callback(root.removeHandler, handler)
            stack.callback(root.setLevel, level)
            root.addHandler(handler)
            root.setLevel(logging.INFO)
        yield


def _refused(words: Sequence[str], error: Exception, *, verbose: bool = False) -> int:
    """One line of what went wrong, in the words of the command line."""
    verb = _verb(words)
    command = f"ontogeny {verb}".rstrip()
    if isinstance(error, CycloptsError):
        error.verbose = False
        unknown = isinstance(error, UnknownCommandError) and not verb
        more = f"takes no further words: {' '.join(error.unused_tokens or ())}."
        text = more if isinstance(error, UnusedCliTokensError) else str(error)
        message = _no_verb(words) if unknown else f"{text} See `{command} --help`"
    elif isinstance(error, OntogenyError | OSError):
        message = str(error)
    else:
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = (
            f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno}; all of it with -v)"
        )
    if verbose:
        traceback.print_exception(error)
    sys.stderr.write(f"{command}: {' '.join(line.strip() for line in printable(message).splitlines())}\n")
    return 2


def _no_verb(words: Sequence[str]) -> str:
    word = next((word for word in words if not word.startswith("-")), "")
    return f"there is no command {word!r}. {nearest(word, _VERBS)}"


def _is_closed() -> bool:
    """Whether the reader of our output is gone; if so what is left of it goes nowhere, also at exit."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
