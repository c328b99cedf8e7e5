"""Watch a LightningCLI run: the callback stands in the YAML file, no line of code changes.

    python recipes/lightning_cli.py fit --config configs/lightning_cli.yaml
    python recipes/lightning_cli.py fit --config configs/lightning_cli.yaml --trainer.max_steps 500

`transform` and `batches` in the file are addresses, "module:attribute"; the module is this one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))  # so that `lightning_run` is found from everywhere
from lightning_run import Module, dataset, pixels

__all__ = ["Data", "Module", "held_out", "main", "pixels"]


class Data(pl.LightningDataModule):
    def __init__(self, images: int = 2000, batch_size: int = 64) -> None:
        super().__init__()
        self.images, self.batch_size = images, batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(dataset(1, self.images), batch_size=self.batch_size, shuffle=True)


def held_out() -> list:
    return list(DataLoader(dataset(2, 500), batch_size=250))


def main(argv=None) -> None:
    LightningCLI(Module, Data, args=argv, save_config_callback=None)


if __name__ == "__main__":
    main()
