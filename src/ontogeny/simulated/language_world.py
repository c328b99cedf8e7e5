"""planted-language: sentences of a small grammar with meaning, and voxels that follow form, word class or meaning.

A sentence says who does what to which thing where. The things are of six kinds. In the training text a sentence is
often followed by what is said of such a thing ("it tasted sweet ."), and half of the verbs fit one kind only, so that a
model that learns to predict words learns the kinds. In the stimuli the verbs fit every kind: the kind is in the thing's
name alone, and folds hold out whole names. So an untrained model cannot tell the kind of a held-out name, and a trained
one can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ontogeny.simulated.voxel_responses import PlantedWorld, plant, standardised
from ontogeny.stimuli import StimulusSet, surface_features

__all__ = ["KINDS", "planted_language", "sentences", "training_sentences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Things of one kind: their names, verbs that fit them alone (base and past form), and what is said of them."""

    things: tuple[str, ...]
    verbs: tuple[tuple[str, str], ...]
    said: tuple[str, ...]


KINDS: Mapping[str, _Kind] = {
    "food": _Kind(
        things=("apple", "bread", "cheese", "carrot", "soup", "cake", "melon", "rice"),
        verbs=(("eat", "ate"), ("cook", "cooked")),
        said=("it tasted sweet", "it smelled fresh", "it was delicious"),
    ),
    "animal": _Kind(
        things=("dog", "horse", "goat", "rabbit", "duck", "lion", "mouse", "sheep"),
        verbs=(("feed", "fed"), ("tame", "tamed")),
        said=("it slept quietly", "it ran away", "it was hungry"),
    ),
    "vehicle": _Kind(
        things=("car", "train", "bus", "truck", "wagon", "boat", "bicycle", "plane"),
        verbs=(("drive", "drove"), ("park", "parked")),
        said=("it stopped suddenly", "it moved fast", "it needed fuel"),
    ),
    "clothing": _Kind(
        things=("coat", "hat", "shirt", "scarf", "glove", "boot", "dress", "sock"),
        verbs=(("wear", "wore"), ("sew", "sewed")),
        said=("it felt warm", "it fitted well", "it was woollen"),
    ),
    "instrument": _Kind(
        things=("piano", "drum", "flute", "violin", "guitar", "trumpet", "harp", "cello"),
        verbs=(("play", "played"), ("tune", "tuned")),
        said=("it sounded lovely", "it rang loudly", "it was musical"),
    ),
    "plant": _Kind(
        things=("rose", "oak", "fern", "tulip", "pine", "ivy", "moss", "lily"),
        verbs=(("water", "watered"), ("prune", "pruned")),
        said=("it grew slowly", "it bloomed early", "it had leaves"),
    ),
}
_WHO = ("girl", "boy", "woman", "man", "teacher", "doctor", "farmer", "child", "queen", "baker")
_VERBS = (("see", "saw"), ("find", "found"), ("like", "liked"), ("want", "wanted"), ("draw", "drew"), ("lose", "lost"))
_WHERE = ("garden", "house", "street", "village", "market", "school", "valley", "square")
_FRAMES = ("plain", "fronted", "question", "cleft", "exclaimed", "report")
_FILLERS = ("", "today", "very early today", "again", "once again after a long time")


def _sentence(frame: str, who: str, verb: tuple[str, str], thing: str, where: str, filler: str) -> str:
    """One sentence; `frame` is its syntactic pattern."""
    base, past = verb
    tail = f" {filler}" if filler else ""
    return {
        "plain": f"the {who} {past} the {thing} in the {where}{tail} .",
        "fronted": f"in the {where} , the {who} {past} the {thing}{tail} .",
        "question": f"did the {who} {base} the {thing} in the {where}{tail} ?",
        "cleft": f"it was the {who} who {past} the {thing} in the {where}{tail} .",
        "exclaimed": f"how the {who} {past} the {thing} in the {where}{tail} !",
        "report": f"they said that the {who} {past} the {thing} in the {where}{tail} .",
    }[frame]


def _draw(rng: np.random.Generator, kind: str, thing: str, *, telling: bool) -> tuple[str, str]:
    """A sentence about `thing`, and its frame; `telling` takes a verb that fits this kind alone."""
    verbs = KINDS[kind].verbs if telling else _VERBS
    frame = str(rng.choice(_FRAMES))
    who, where, filler = (str(rng.choice(words)) for words in (_WHO, _WHERE, _FILLERS))
    return _sentence(frame, who, verbs[int(rng.integers(len(verbs)))], thing, where, filler), frame


def sentences(seed: int) -> Iterator[str]:
    """Training text without end: one or two sentences at a time, of which the second tells what such things do."""
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    while True:
        kind = names[int(rng.integers(len(names)))]
        thing = str(rng.choice(KINDS[kind].things))
        text, _ = _draw(rng, kind, thing, telling=bool(rng.random() < 0.5))
        yield f"{text} {rng.choice(KINDS[kind].said)} ." if rng.random() < 0.8 else text


def training_sentences(seed: int, n: int) -> list[str]:
    """The first `n` texts of `sentences(seed)`."""
    return list(islice(sentences(seed), n))


def planted_language(seed: int = 0, n_stimuli: int = 288) -> PlantedWorld:
    """The planted language world.

    Args:
        seed: of sentences, voxels and noise.
        n_stimuli: sentences, the 48 things in turn.

    Returns:
        Sentences grouped by thing, four simulated subjects, ROIs "surface form", "word class" and "meaning".
    """
    rng = np.random.default_rng(seed)
    pairs = [(kind, thing) for kind, about in KINDS.items() for thing in about.things]
    drawn = [(kind, thing, *_draw(rng, kind, thing, telling=False)) for kind, thing in _cycle(pairs, n_stimuli)]
    stimuli = StimulusSet(
        name="planted-language (simulated)",
        modality="text",
        ids=tuple(f"sentence-{i:03d}-{thing}" for i, (_, thing, _, _) in enumerate(drawn)),
        inputs=tuple(text for _, _, text, _ in drawn),
        groups=tuple(thing for _, thing, _, _ in drawn),
    )
    _, surface = surface_features(stimuli)
    truth = {
        "surface form": standardised(surface),
        "word class": standardised(_one_hot([frame for _, _, _, frame in drawn], _FRAMES)),
        "meaning": standardised(_one_hot([kind for kind, _, _, _ in drawn], tuple(KINDS))),
    }
    expected = {
        "surface form": "readable from the untrained model on, above all where tokens are averaged",
        "word class": "readable early: its function words are tokens of their own",
        "meaning": "at chance in the untrained model, rises in the blocks as the model learns to predict words",
    }
    assemblies = plant(stimuli.name, stimuli.ids, truth, rng=rng)
    return PlantedWorld(stimuli=stimuli, assemblies=assemblies, truth=truth, expected=expected)


def _cycle(pairs: list[tuple[str, str]], n: int) -> list[tuple[str, str]]:
    return [pairs[i % len(pairs)] for i in range(n)]


def _one_hot(labels: list[str], names: tuple[str, ...]) -> np.ndarray:
    return np.asarray([[float(label == name) for name in names] for label in labels])
