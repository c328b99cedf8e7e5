"""What the weights of the series `tiny` belong to: its network, its transform, and its held-out task.

ontogeny replay tiny --benchmark planted-vision --task ontogeny.replay.tiny:held_out
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ontogeny.monitoring import HeldOutLoss
from ontogeny.monitoring.heldout.loss import Measured
from ontogeny.simulated.vision_world import training_images

__all__ = ["dataset", "held_out", "network", "pixels"]


def pixels(image: Any) -> Float[Tensor, "3 height width"]:
    """A picture as the network takes it, from -1 to 1."""
    return torch.as_tensor(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def network() -> nn.Sequential:
    """A CNN of 6,000 parameters with four stages, at the weights that it starts from."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)),
    )


def dataset(seed: int, n: int) -> tuple[Float[Tensor, "images 3 height width"], Int[Tensor, " images"]]:
    """Pictures of the simulated world and what each shows.

    Args:
        seed: of the pictures.
        n: how many.
    """
    images, labels = training_images(seed=seed, n=n)
    return torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long()


def held_out(model: nn.Module) -> list[Measured]:
    """The task at the weights of a model: loss and accuracy on 500 pictures of another seed than training's."""
    return list(HeldOutLoss(batches=[dataset(2, 500)])(model))
