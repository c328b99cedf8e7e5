"""Your own NIfTI in, a model watched while it trains, maps of the brain out.

    python recipes/own_nifti.py --folder my_lab --subject 01 --record runs/own_nifti

The folder holds (made up where none is given, with the same files):

    sub-01_stat-beta_statmap.nii.gz   4-D, one volume a presentation
    sub-01_events.tsv                 stimulus_id and run, one row a volume; a stimulus shown again appears again
    sub-01_dseg.nii.gz, .tsv          atlas on the same grid, its table (index, name); images/<stimulus_id>.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import ontogeny
from ontogeny.datasets.folder import read_spaces
from ontogeny.datasets.own_data.bids_derivatives import bids_images
from ontogeny.datasets.own_data.build_benchmark import About, build
from ontogeny.neuroimaging import score_map
from ontogeny.report import write_report
from ontogeny.report.brain_figures import rise_map
from ontogeny.simulated.vision_world import training_images


def make_up(folder: Path) -> Path:
    """A simulated lab: the planted world's voxels in a small volume, each picture shown twice in two runs."""
    import nibabel

    world = ontogeny.load("planted-vision")
    brain, rng = world.assemblies[0], np.random.default_rng(0)
    names, affine = list(dict.fromkeys(brain.roi)), np.diag([-3.0, 3.0, 3.0, 1.0])
    shape = (12, 12, -(-len(brain.roi) // 144))
    labels, order = np.zeros(shape, np.int16), [rng.permutation(len(world.stimuli)) for _ in range(2)]
    labels.ravel()[: len(brain.roi)] = [names.index(roi) + 1 for roi in brain.roi]
    betas = np.zeros((*shape, 2 * len(world.stimuli)), np.float32)
    shown = brain.responses[np.concatenate(order)]
    betas[labels > 0] = (100 + 5 * shown + rng.standard_normal(shown.shape)).T
    (folder / "images").mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(betas, affine).to_filename(folder / "sub-01_stat-beta_statmap.nii.gz")
    nibabel.Nifti1Image(labels, affine).to_filename(folder / "sub-01_dseg.nii.gz")
    table = "".join(f"{i}\t{name}\n" for i, name in enumerate(names, 1))
    (folder / "sub-01_dseg.tsv").write_text(f"index\tname\n{table}")
    rows = [f"{world.stimuli.ids[i]}\t{run}\n" for run, ids in enumerate(order, 1) for i in ids]
    (folder / "sub-01_events.tsv").write_text("stimulus_id\trun\n" + "".join(rows))
    for stimulus, picture in zip(world.stimuli.ids, world.stimuli.inputs, strict=True):
        Image.fromarray(np.asarray(picture)).save(folder / "images" / f"{stimulus}.png")
    return folder


def build_folder(lab: Path, subject: str, out: Path, *, simulated: bool) -> Path:
    """NIfTI, atlas and table -> a verified benchmark folder; `ontogeny data build --bids LAB` does the same."""
    found = bids_images(lab, subjects=[subject])  # or {"01": Images(betas=..., table=..., atlas=...)}
    about = About(
        name="own-nifti",
        citation="whom to cite",
        licence="whose terms",
        about="how the betas were made",
        simulated=simulated,
    )
    return build(lab / "images", about=about, responses=found, drop_bad=True).write(out, overwrite=True)


def pixels(image) -> torch.Tensor:
    return torch.as_tensor(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="your data; made up where not given")
    parser.add_argument("--subject", default="01")
    parser.add_argument("--record", type=Path, default=Path("runs/own_nifti"))
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args(argv)

    lab = args.folder or make_up(args.record / "lab")
    folder = build_folder(lab, args.subject, args.record / "benchmark", simulated=args.folder is None)
    images, labels = training_images(seed=1, n=2000)
    x, y = torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long()
    conv = [nn.Sequential(nn.Conv2d(i, o, 3, stride=2), nn.ReLU()) for i, o in ((3, 16), (16, 32))]
    model = nn.Sequential(*conv, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    monitor = ontogeny.watch(folder, record=args.record, transform=pixels)
    monitor(model, 0)  # before the first update
    for step in range(1, args.steps + 1):
        rows = torch.randint(0, len(x), (64,))
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor(model, step)  # probes when the schedule says so
    monitor.finish(model, args.steps)

    # The way back; `ontogeny map RECORD --space FOLDER` does the same.
    (space,) = read_spaces(folder)[args.subject]
    one = {"metric": "ridge-gcv", "subject": args.subject}
    score_map(monitor.record, space, step=args.steps, **one).to_filename(args.record / "map.nii.gz")
    risen = rise_map(monitor.record, space, **one)
    risen.image.to_filename(args.record / "t50.nii.gz")
    for region in risen.regions:
        print(region.roi, region.why_not or "half-way at step {:.0f} ({:.0f} to {:.0f})".format(*region.step), sep=": ")
    print(write_report(args.record, spaces=[folder]).html)


if __name__ == "__main__":
    main()
