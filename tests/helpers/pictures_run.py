"""torchvision's own transforms on pictures: what a probe reads is what they give for the PIL image of a file.

Runs in a process of its own, see `tests.helpers.timm_run`. Prints one JSON object with what was found.

    PYTHONPATH=.venv/timm:. python -m tests.helpers.pictures_run
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import torch
from PIL import Image

from tests.helpers.timm_run import operators


def validation(T, v2) -> dict[str, object]:
    mean, std = [0.5] * 3, [0.25] * 3
    scaled = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    return {
        "v1": T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor(), T.Normalize(mean, std)]),
        "v2": v2.Compose([v2.Resize(40), v2.CenterCrop(32), *scaled]),
        "v2, tensors first": v2.Compose([scaled[0], v2.Resize(40), v2.CenterCrop(32), *scaled[1:]]),
        "grey": T.Compose([T.Grayscale(), T.Resize(40), T.CenterCrop(32), T.ToTensor()]),
        "of arrays": T.Compose([T.ToPILImage(), T.Resize(40), T.CenterCrop(32), T.ToTensor()]),
    }


def training(T, v2) -> dict[str, object]:
    return {
        "crop": T.Compose([T.RandomResizedCrop(32, scale=(0.2, 1)), T.ToTensor()]),
        "flip": T.Compose([T.Resize((32, 32)), T.RandomHorizontalFlip(), T.ToTensor()]),
        "of arrays": T.Compose([T.ToPILImage(), T.RandomCrop(32), T.ToTensor()]),
        "v2 colours": v2.Compose([v2.Resize((32, 32)), v2.ColorJitter(0.4), v2.ToImage(), v2.ToDtype(torch.float32)]),
        "v2 augmented": v2.Compose([v2.TrivialAugmentWide(), v2.Resize((32, 32)), v2.PILToTensor()]),
    }


def main() -> None:
    kept = operators()
    from torchvision import transforms as T  # noqa: N812
    from torchvision.transforms import v2

    from ontogeny import StimulusSet
    from ontogeny.extraction._pil_images import is_random
    from ontogeny.extraction.model_inputs import make_inputs

    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((50, 70, 3), (64, 48, 3), (45, 45), (90, 41, 3))]
    files = [Image.fromarray(array).convert("RGB") for array in arrays]
    stimuli = StimulusSet(name="t", modality="image", ids=("a", "b", "c", "d"), inputs=arrays)

    def read(transform, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
        torch.manual_seed(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (batch,) = make_inputs(stimuli, transform).batches(9)
        return batch.inputs["pixels"], [str(one.message) for one in caught if "two answers" in str(one.message)]

    found: dict[str, object] = {}
    for name, transform in validation(T, v2).items():
        given = [np.asarray(file) for file in files] if name == "of arrays" else files
        got, said = read(transform)
        theirs = torch.stack([transform(one) for one in given])
        found[name] = {"equal": torch.equal(got, theirs), "shape": list(got.shape), "said": said}
        found[name]["random"] = is_random(transform, files)
    for name, transform in training(T, v2).items():
        (one, said), (other, _) = read(transform, 0), read(transform, 1)
        found[f"training: {name}"] = {"alike": torch.equal(one, other), "said": said}
        found[f"training: {name}"]["random"] = is_random(transform, files)
    del kept
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
