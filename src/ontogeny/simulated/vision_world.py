"""planted-vision: pictures of shapes, and voxels that follow contrast energy, shape or category.

Twelve shapes at any place, size, turn and colour, on a textured ground. Four categories hold three shapes each, chosen
so that shapes of a category do not look alike: pixels do not tell the category, a classifier has to learn it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import gaussian_filter, sobel

from ontogeny.simulated.voxel_responses import PlantedWorld, plant, standardised
from ontogeny.stimuli import StimulusSet

__all__ = ["CATEGORIES", "SHAPES", "planted_vision", "training_images"]

_SIZE = 32
_OF_PICTURES = {
    "contrast energy": "rises most in the middle stages, and is lost again towards the output",
    "shape": "rises with training in the late stages, less than category",
    "category": "at chance in the untrained network, rises with accuracy, most in the last stage and the head",
}
_OF_CAPTIONS = {
    "contrast energy": "near chance: a caption tells of it no more than size and shade",
    "shape": "above chance in any model that tells words apart, untrained too: the caption names it",
    "category": "at chance in a model that never learnt which shapes belong together",
}
Plane = Float[np.ndarray, "height width"]
Image = UInt8[np.ndarray, "height width 3"]


def _polygon(corners: int) -> Callable[[Plane, Plane], np.ndarray]:
    def inside(x: Plane, y: Plane) -> np.ndarray:
        sector = np.pi / corners
        angle = np.mod(np.arctan2(y, x), 2 * sector) - sector
        return np.asarray(np.hypot(x, y) * np.cos(angle) < np.cos(sector))

    return inside


def _star(x: Plane, y: Plane) -> np.ndarray:
    return np.asarray(np.hypot(x, y) < 0.65 + 0.35 * np.cos(5 * np.arctan2(y, x)))


SHAPES: Mapping[str, Callable[[Plane, Plane], np.ndarray]] = {
    "disc": lambda x, y: np.hypot(x, y) < 0.85,
    "ring": lambda x, y: (np.hypot(x, y) < 1.0) & (np.hypot(x, y) > 0.6),
    "triangle": _polygon(3),
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.75,
    "frame": lambda x, y: (np.maximum(abs(x), abs(y)) < 0.85) & (np.maximum(abs(x), abs(y)) > 0.5),
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.25) & (np.maximum(abs(x), abs(y)) < 1.0),
    "bar": lambda x, y: (abs(x) < 1.1) & (abs(y) < 0.28),
    "twin bars": lambda x, y: (abs(x) < 1.0) & (abs(abs(y) - 0.5) < 0.2),
    "star": _star,
    "crescent": lambda x, y: (np.hypot(x, y) < 1.0) & (np.hypot(x - 0.45, y) > 0.8),
    "corner": lambda x, y: (np.maximum(abs(x), abs(y)) < 0.9) & ((x < -0.35) | (y < -0.35)),
    "two discs": lambda x, y: np.hypot(abs(x) - 0.62, y) < 0.42,
}
CATEGORIES: tuple[tuple[str, str, str], ...] = (
    ("disc", "cross", "corner"),
    ("triangle", "ring", "twin bars"),
    ("square", "star", "two discs"),
    ("frame", "crescent", "bar"),
)
_CATEGORY_OF = {shape: number for number, shapes in enumerate(CATEGORIES) for shape in shapes}


def _draw(shape: str, rng: np.random.Generator) -> tuple[Image, str]:
    """One picture, the shape at a random place, size, turn, colour and contrast on a texture; and its caption."""
    axis = np.arange(_SIZE) - (_SIZE - 1) / 2
    place = rng.uniform(-5, 5, size=2)
    size, turn = rng.uniform(6.5, 10), rng.uniform(-0.5, 0.5)
    columns, rows = np.meshgrid(axis - place[0], axis - place[1])
    x = (np.cos(turn) * columns + np.sin(turn) * rows) / size
    y = (np.cos(turn) * rows - np.sin(turn) * columns) / size
    mask = gaussian_filter(SHAPES[shape](x, y).astype(np.float64), 0.5)[:, :, None]
    ground, ink = rng.uniform(0.15, 0.85, size=(2, 3))
    contrast = rng.uniform(0.35, 0.6) * rng.choice([-1, 1])
    ink = np.clip(ground + contrast + 0.15 * (ink - 0.5), 0, 1)
    texture = gaussian_filter(rng.standard_normal((_SIZE, _SIZE)), rng.uniform(0.5, 2.5))
    texture = rng.uniform(0, 0.12) * texture / texture.std()
    picture = ground + mask * (ink - ground) + texture[:, :, None]
    caption = _caption(shape, place, size, light=bool(contrast > 0), left=bool(turn < 0))
    return np.asarray(np.clip(picture, 0, 1) * 255).round().astype(np.uint8), caption


def _caption(shape: str, place: np.ndarray, size: float, *, light: bool, left: bool) -> str:
    across, down = ("left" if place[0] < 0 else "right"), ("upper" if place[1] < 0 else "lower")
    how = f"a {'small' if size < 8.25 else 'large'} {'light' if light else 'dark'} {shape}"
    return f"{how} at the {down} {across}, turned to the {'left' if left else 'right'}"


def contrast_energy(images: UInt8[np.ndarray, "stimuli height width 3"]) -> Float[np.ndarray, "stimuli features"]:
    """Root mean square luminance gradient in four directions at two scales: stimuli x 8, wherever in the picture."""
    grey = images.mean(axis=3) / 255.0
    energies = []
    for scale in (0.0, 2.0):
        blurred = gaussian_filter(grey, (0, scale, scale))
        across, down = sobel(blurred, axis=2), sobel(blurred, axis=1)
        planes = (across, down, (across + down) / np.sqrt(2), (across - down) / np.sqrt(2))
        energies += [np.sqrt((plane**2).mean(axis=(1, 2))) for plane in planes]
    out: Float[np.ndarray, "stimuli features"] = np.stack(energies, axis=1)
    return out


def training_images(seed: int, n: int) -> tuple[UInt8[np.ndarray, "images height width 3"], Int[np.ndarray, " images"]]:
    """Labelled pictures without end: the first `n` of this seed.

    Returns:
        Pictures 32 x 32 x 3, and the number of each one's category (0-3).
    """
    rng = np.random.default_rng([seed, 1])
    names = list(SHAPES)
    shapes = [names[i] for i in rng.integers(len(names), size=n)]
    return np.stack([_draw(shape, rng)[0] for shape in shapes]), np.asarray([_CATEGORY_OF[s] for s in shapes])


def planted_vision(seed: int = 0, n_stimuli: int = 120, *, captions: bool = False) -> PlantedWorld:
    """The planted vision world.

    Args:
        seed: of pictures, voxels and noise.
        n_stimuli: pictures, the 12 shapes in turn.
        captions: what is read are captions of the pictures, which name shape, size, shade, place and turn; the
            responses are the same.

    Returns:
        Pictures or captions, four simulated subjects, ROIs "contrast energy", "shape" and "category".
    """
    rng = np.random.default_rng([seed, 0])
    names = list(SHAPES)
    shapes = [names[i % len(names)] for i in range(n_stimuli)]
    pictures, texts = zip(*(_draw(shape, rng) for shape in shapes), strict=True)
    ids = tuple(f"picture-{i:03d}-{shape.replace(' ', '-')}" for i, shape in enumerate(shapes))
    one_hot = np.eye(len(names))[[names.index(s) for s in shapes]]
    categories = np.eye(len(CATEGORIES))[[_CATEGORY_OF[s] for s in shapes]]
    truth = {
        "contrast energy": standardised(contrast_energy(np.stack(pictures))),
        "shape": standardised(one_hot),
        "category": standardised(categories),
    }
    assemblies = plant("planted-vision (simulated)", ids, truth, rng=rng)
    stimuli = StimulusSet(
        name="planted-captions (simulated)" if captions else "planted-vision (simulated)",
        modality="text" if captions else "image",
        ids=ids,
        inputs=texts if captions else pictures,
    )
    return PlantedWorld(
        stimuli=stimuli, assemblies=assemblies, truth=truth, expected=_OF_CAPTIONS if captions else _OF_PICTURES
    )
