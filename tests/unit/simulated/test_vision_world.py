"""planted-vision: pictures of shapes."""

from __future__ import annotations

import numpy as np

from ontogeny.simulated.vision_world import CATEGORIES, SHAPES, contrast_energy, planted_vision, training_images


def test_every_shape_has_one_category():
    assert sorted(shape for shapes in CATEGORIES for shape in shapes) == sorted(SHAPES)


def test_training_pictures_are_the_same_for_a_seed_and_balanced():
    images, labels = training_images(seed=3, n=600)
    again, _ = training_images(seed=3, n=600)
    assert images.shape == (600, 32, 32, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert np.bincount(labels, minlength=4).min() > 100
    assert not np.array_equal(images[:5], training_images(seed=4, n=5)[0])


def test_stimuli_are_not_training_pictures():
    stimuli = planted_vision(seed=1).stimuli.inputs
    train, _ = training_images(seed=1, n=200)
    assert not any(np.array_equal(s, t) for s in stimuli for t in train)


def test_contrast_energy_grows_with_contrast_and_forgets_place_and_colour():
    picture = np.full((1, 32, 32, 3), 100, dtype=np.uint8)
    picture[0, 10:20, 8:16] = 140
    stronger = picture.copy()
    stronger[0, 10:20, 8:16] = 180
    moved = np.roll(picture, 5, axis=1)
    base, more, elsewhere = (contrast_energy(p)[0] for p in (picture, stronger, moved))
    np.testing.assert_allclose(more, 2 * base, rtol=1e-6)
    np.testing.assert_allclose(elsewhere, base, rtol=1e-2)
    assert contrast_energy(np.full((1, 32, 32, 3), 77, dtype=np.uint8)).max() == 0


def test_pictures_of_one_shape_differ_in_place_size_and_colour():
    world = planted_vision(n_stimuli=48)
    discs = [np.asarray(p) for p, i in zip(world.stimuli.inputs, world.stimuli.ids, strict=True) if i.endswith("disc")]
    assert len(discs) == 4
    assert all(not np.array_equal(discs[0], other) for other in discs[1:])


def test_same_seed_same_world():
    one, same = planted_vision(seed=5, n_stimuli=24), planted_vision(seed=5, n_stimuli=24)
    assert one.stimuli.fingerprint() == same.stimuli.fingerprint()
    assert one.stimuli.fingerprint() != planted_vision(seed=6, n_stimuli=24).stimuli.fingerprint()
    assert set(one.truth) == set(one.expected) == {"contrast energy", "shape", "category"}
