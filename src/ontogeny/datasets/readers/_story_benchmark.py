"""What the public sets of stories have in common: words read in windows, volumes, folds that keep stories whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ontogeny.benchmarks import Benchmark, StimulusMapping
from ontogeny.brain import Assembly
from ontogeny.datasets.manual_datasets import Elsewhere
from ontogeny.metrics import Ridge, make_folds
from ontogeny.neuroimaging.story_words import Story, story_pieces

__all__ = ["story_benchmark"]

_FOLDS = 5


def story_benchmark(
    about: Elsewhere,
    stories: Sequence[Story],
    assemblies: Callable[[StimulusMapping], Sequence[Assembly]],
    *,
    name: str,
    text: str,
    **reading: Any,
) -> Benchmark:
    """Stories and what makes the assemblies of their volumes -> a benchmark.

    Args:
        about: the set.
        stories: in order.
        assemblies: of the mapping from words to volumes.
        name: of the benchmark.
        text: how it was made, with {n} stories and {how} they are read.
        **reading: options of `story_pieces`: context, response, between.
    """
    pieces = story_pieces(stories, name=name, **reading)
    return Benchmark(
        name=name,
        version="2",
        citation=about.citation,
        licence=about.terms,
        about=text.format(n=len(stories), how=pieces.how),
        simulated=False,
        stimuli=pieces.stimuli,
        pieces=pieces,
        assemblies=tuple(assemblies(pieces)),
        metrics=(Ridge(rule="kfold"),),
        folds=make_folds(len(pieces.stimuli), n_folds=min(_FOLDS, len(stories)), groups=pieces.stimuli.groups, seed=0),
    )
