"""planted-language: a grammar, its training text, its stimuli."""

from __future__ import annotations

from itertools import islice

import numpy as np

from ontogeny.simulated.language_world import KINDS, planted_language, sentences, training_sentences

THINGS = {thing: kind for kind, about in KINDS.items() for thing in about.things}


def test_things_are_single_words_of_one_kind_each():
    assert len(THINGS) == sum(len(about.things) for about in KINDS.values()) == 48
    assert all(thing.isalpha() for thing in THINGS)


def test_training_text_has_no_end_and_starts_the_same():
    assert training_sentences(seed=3, n=50) == list(islice(sentences(3), 50))
    assert training_sentences(seed=3, n=50) == training_sentences(seed=3, n=500)[:50]
    assert training_sentences(seed=3, n=50) != training_sentences(seed=4, n=50)


def test_every_training_text_is_about_a_known_thing_and_all_things_occur():
    texts = training_sentences(seed=0, n=3000)
    found = [set(text.split()) & THINGS.keys() for text in texts]
    assert all(found)
    assert set().union(*found) == THINGS.keys()


def test_what_is_said_afterwards_fits_the_kind_and_no_other():
    said = {phrase: kind for kind, about in KINDS.items() for phrase in about.said}
    assert len(said) == sum(len(about.said) for about in KINDS.values())
    told = 0
    for text in training_sentences(seed=0, n=2000):
        for phrase, kind in said.items():
            if text.endswith(f"{phrase} ."):
                told += 1
                assert kind in {THINGS[word] for word in text.split() if word in THINGS}
    assert told > 1000


def test_stimuli_hold_nothing_that_tells_the_kind_but_the_name():
    """Every word of the stimuli that is no name occurs with several kinds; telling verbs and phrases do not occur."""
    world = planted_language()
    kinds_of: dict[str, set[str]] = {}
    for text, thing in zip(world.stimuli.inputs, world.stimuli.groups, strict=True):
        for word in set(text.split()) - {thing}:
            kinds_of.setdefault(word, set()).add(THINGS[thing])
    frequent = {w: k for w, k in kinds_of.items() if sum(w in t.split() for t in world.stimuli.inputs) > 20}
    assert frequent
    assert all(len(k) == len(KINDS) for k in frequent.values())
    telling = {form for about in KINDS.values() for verb in about.verbs for form in verb}
    assert not telling & kinds_of.keys()


def test_stimuli_are_grouped_by_the_name():
    world = planted_language(n_stimuli=96)
    assert all(group in text.split() for group, text in zip(world.stimuli.groups, world.stimuli.inputs, strict=True))
    assert len(set(world.stimuli.groups)) == 48


def test_same_seed_same_world():
    one, same, other = planted_language(seed=5), planted_language(seed=5), planted_language(seed=6)
    assert one.stimuli == same.stimuli
    assert one.stimuli.inputs != other.stimuli.inputs
    assert all(np.array_equal(a.responses, b.responses) for a, b in zip(one.assemblies, same.assemblies, strict=True))
    assert set(one.truth) == set(one.expected) == {"surface form", "word class", "meaning"}
