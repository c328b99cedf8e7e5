"""StimulusMapping: inputs of a model (the words heard until a volume was taken) -> stimuli (volumes).

A model reads pieces (each word of a story with the words before it; each sentence of a concept), a benchmark's
responses are of stimuli (volumes; concepts). A frozen sparse matrix leads from the one to the other, so that a curve
moves only when the model moves. `ontogeny.neuroimaging.story_words` makes it for stories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from ontogeny._arrays import digest
from ontogeny._display import one_line
from ontogeny.errors import DataError
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.stimuli import StimulusSet, surface_features

__all__ = ["StimulusMapping"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StimulusMapping:
    """What a model reads in place of the stimuli, and how its features become those of the stimuli.

    Args:
        read: what the model reads, each once.
        stimuli: that have responses; their groups are z-scored apart.
        weights: (stimuli * delays) x pieces; the rows of one stimulus stand together, one a delay.
        delays: how many rows a stimulus has; the features at each stand side by side.
        zscore: z-score each feature within each group of stimuli, as responses of stories are; one that is constant
            there becomes 0.
        surface: pieces x features that need no model, for the baseline: their name and values.
        how: how the weights were made, in words.
        made_of: digest of all that the weights were computed from, which counts in the fingerprint in their place:
            sines differ in the last digit from one processor to the next. Empty: the weights count.

    Raises:
        DataError: sizes that do not fit each other, or weights that are not finite.
    """

    read: StimulusSet
    stimuli: StimulusSet
    weights: csr_array
    delays: int = 1
    zscore: bool = False
    surface: tuple[str, Float[np.ndarray, "pieces features"]]
    how: str
    made_of: str = ""

    __repr__ = one_line

    def __post_init__(self) -> None:
        owner = f"pieces of {self.stimuli.name!r}"
        if self.weights.shape != (len(self.stimuli) * self.delays, len(self.read)):
            raise DataError(
                f"{owner}: weights should be (stimuli * delays) x pieces = {len(self.stimuli)} * {self.delays} x "
                f"{len(self.read)}, got {self.weights.shape}"
            )
        if not np.isfinite(self.weights.data).all():
            raise DataError(f"{owner}: the weights hold NaN or infinity; check the times of words and volumes")
        if len(self.surface[1]) != len(self.read):
            raise DataError(f"{owner}: {len(self.read)} pieces but the surface has {len(self.surface[1])} rows")
        if self.zscore and self.stimuli.groups is None:
            raise DataError(f"{owner}: z-scores are within groups, and the stimuli have none; say zscore=False")

    @classmethod
    def mean(cls, parts: Sequence[Sequence[str]], *, stimuli: StimulusSet) -> StimulusMapping:
        """The mean over each stimulus' texts.

        Args:
            parts: the texts of each stimulus, in the order of `stimuli`.
            stimuli: that have responses.

        Raises:
            DataError: another number of stimuli, or one without a text.
        """
        if len(parts) != len(stimuli) or not all(parts):
            raise DataError(f"pieces of {stimuli.name!r}: give each of the {len(stimuli)} stimuli one text or more")
        texts = tuple(dict.fromkeys(text for some in parts for text in some))
        place = {text: column for column, text in enumerate(texts)}
        columns = [place[text] for some in parts for text in some]
        rows = [row for row, some in enumerate(parts) for _ in some]
        shares = [1 / len(some) for some in parts for _ in some]
        ids = tuple(f"text-{number:05d}" for number in range(1, len(texts) + 1))
        read = StimulusSet(name=f"{stimuli.name}, texts", modality="text", ids=ids, inputs=texts)
        return cls(
            read=read,
            stimuli=stimuli,
            weights=csr_array((shares, (rows, columns)), shape=(len(stimuli), len(texts))),
            surface=surface_features(read),
            how=f"mean over the texts of each stimulus, {len(texts)} in all",
        )

    def fingerprint(self) -> str:
        """Sixteen hex digits over the texts and the way from them to the stimuli."""
        way: tuple[Any, ...] = (self.made_of,)
        if not self.made_of:
            weights = self.weights.sorted_indices()
            way = (weights.data, weights.indices.astype(np.int64), weights.indptr.astype(np.int64))
        return digest(self.read.fingerprint(), self.stimuli.ids, self.delays, self.zscore, *self.surface, *way)

    def only(self, rows: Sequence[int] | np.ndarray) -> StimulusMapping:
        """The same for some of the stimuli, by row number; all texts are read."""
        kept = np.asarray(rows, dtype=np.int64)[:, None] * self.delays + np.arange(self.delays)
        return replace(self, stimuli=self.stimuli.only(rows), weights=self.weights[kept.ravel()])

    def joined(self, x: Float[Tensor, "pieces features"]) -> Float[Tensor, "stimuli delayed"]:
        """Features of the stimuli, float64 on the CPU: all features at the first delay, then at the next.

        Raises:
            DataError: another number of pieces.
        """
        if x.shape[0] != len(self.read):
            raise DataError(f"pieces of {self.stimuli.name!r}: expected {len(self.read)} rows, got {x.shape[0]}")
        values = self.weights @ x.detach().to("cpu", torch.float64).numpy()
        joined = values.reshape(len(self.stimuli), self.delays * x.shape[1])
        if self.zscore:
            labels = np.asarray(self.stimuli.groups)
            for group in np.unique(labels):
                rows = labels == group
                joined[rows] = _zscored(joined[rows])
        return torch.from_numpy(joined)

    def baseline(self) -> tuple[str, Float[np.ndarray, "stimuli features"]]:
        """The surface of the pieces, on the way that a layer's features go: name and values."""
        name, values = self.surface
        return name, self.joined(torch.as_tensor(np.asarray(values, dtype=np.float64))).numpy()

    def nuisance(self) -> Nuisance:
        """The same for `UniqueVariance(nuisance=...)`; its GCV wants responses that are not z-scored within groups."""
        name, values = self.baseline()
        return Nuisance(name=name, stimulus_ids=self.stimuli.ids, values=values)


def _zscored(x: Float[np.ndarray, "stimuli features"]) -> Float[np.ndarray, "stimuli features"]:
    still = np.ptp(x, axis=0) <= 1e-12 * np.abs(x).max(axis=0, initial=0)
    spread = np.where(still, 1.0, x.std(axis=0))
    return np.asarray(np.where(still, 0.0, (x - x.mean(axis=0)) / spread))
