"""Real models of timm, saved by timm as it writes a repository, served on the loopback, and loaded by `hub`.

Runs in a process of its own: a torchvision of PyPI cannot load its operators beside a torch for the CPU, so their
schemas, which timm never calls, are defined by hand. Prints one JSON object with what was found.

    PYTHONPATH=.venv/timm:. python -m tests.helpers.timm_run FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.helpers.hub_server import serving

SIZES = {
    "resnet": ("test_resnet", {"num_classes": 5}),
    "vit": ("vit_tiny_patch16_224", {"num_classes": 7, "img_size": 96, "depth": 2}),
}


def operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms() -> Tensor")
    return library


def repositories(timm, folder: Path):
    """timm's models, and repositories as timm writes them: safetensors, only .bin, half precision; and broken ones."""
    models, saved = {}, {}
    for seed, (name, (architecture, options)) in enumerate(SIZES.items()):
        torch.manual_seed(seed)
        model = models[name] = timm.create_model(architecture, pretrained=False, **options).eval()
        timm.models.save_for_hf(model, folder / name, safe_serialization=name == "resnet")
        saved[name] = {path.name: path.read_bytes() for path in sorted((folder / name).iterdir())}
    half = models["half"] = timm.create_model("test_resnet", num_classes=5).half().eval()
    timm.models.save_for_hf(half, folder / "half", safe_serialization=True)
    saved["half"] = {path.name: path.read_bytes() for path in sorted((folder / "half").iterdir())}
    broken = timm.create_model("test_resnet", num_classes=5)
    broken.fc.weight.data[0, 0] = float("nan")
    timm.models.save_for_hf(broken, folder / "nan", safe_serialization=True)
    saved["nan"] = {path.name: path.read_bytes() for path in sorted((folder / "nan").iterdir())}
    for name, change in {
        "typo": {"architecture": "test_resnett"},
        "remote": {"architecture": "hf-hub:tiny/resnet"},
        "tagged": {"architecture": "test_resnet.r160_in1k"},
        "classes": {"num_classes": 6, "model_args": {}},
        "foreign": {"model_args": {"checkpoint_path": str(folder / "evil.bin")}},
        "unknown_argument": {"model_args": {"depth_of_sea": 3}},
        "old": None,
    }.items():
        config = json.loads(saved["resnet"]["config.json"])
        if change is None:  # as timm wrote it before 0.9: all in one
            config = {**config["pretrained_cfg"], "architecture": config["architecture"], "num_classes": 5}
        saved[name] = {**saved["resnet"], "config.json": json.dumps({**config, **(change or {})}).encode()}
    config = json.loads(saved["vit"]["config.json"])
    del config["model_args"]["img_size"]  # as most repositories have it: only pretrained_cfg says the size
    saved["sized"] = {**saved["vit"], "config.json": json.dumps(config).encode()}
    return models, {f"tiny/{name}": {"main": files} for name, files in saved.items()}


def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, size=(200, 150, 3), dtype=np.uint8), rng.integers(0, 256, (64, 64), dtype=np.uint8)]
    return [Image.fromarray(array) for array in arrays]


def compared(timm, model, folder: Path, series) -> dict[str, object]:
    """One loaded model beside the one that was saved, and its transform beside what timm itself reads of the folder."""
    loaded, transform = series.load(1), series.transform(1)
    data = timm.data.resolve_data_config({}, model=timm.create_model(f"local-dir:{folder}"))
    own = timm.data.create_transform(**data, is_training=False)
    pictures = images()
    theirs = [own(picture.convert("RGB")) for picture in pictures]
    dtype = next(model.parameters()).dtype
    x = torch.stack(theirs).to(dtype)
    state, saved = loaded.state_dict(), model.state_dict()
    with torch.no_grad():
        one, other = loaded(x), model(x)
    return {
        "class": type(loaded).__name__,
        "dtype": str(next(loaded.parameters()).dtype),
        "training": loaded.training,
        "logits": torch.equal(one, other) and bool(one.std() > 0),
        "weights": state.keys() == saved.keys() and all(torch.equal(v, saved[n]) for n, v in state.items()),
        "shape": list(theirs[0].shape),
        "transform": all(torch.equal(transform(p), t) for p, t in zip(pictures, theirs, strict=True)),
        "arrays": torch.equal(transform(np.asarray(pictures[0])), theirs[0]),
    }


def scored(series, folder: Path) -> dict[str, object]:
    """Through the one door."""
    from ontogeny import watch
    from ontogeny.replay import replay
    from tests.helpers.benchmarks import image_benchmark

    monitor = watch(image_benchmark(), record=folder / "record", transform=series.transform(1))
    walked = replay(series, monitor)
    rows = monitor.record.select(kind="alignment")
    return {"whole": walked.whole, "lines": walked.lines(), "layers": sorted({row.layer for row in rows})}


def main(folder: Path) -> None:
    with serving({}) as server:
        os.environ |= {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home")}
        kept = operators()
        import timm

        from ontogeny.errors import OntogenyError
        from ontogeny.replay import hub

        models, served = repositories(timm, folder)
        server.repositories.update(served)

        def series(name: str, **loading):
            naming = {"steps": [1], "revisions": "step{step}", "cache_dir": folder / "ours"}
            server.repositories[f"tiny/{name}"]["step1"] = server.repositories[f"tiny/{name}"]["main"]
            return hub(f"tiny/{name}", **naming, **loading)

        found: dict[str, object] = {"timm": timm.__version__}
        found |= {name: compared(timm, model, folder / name, series(name)) for name, model in models.items()}
        found["old"] = compared(timm, models["resnet"], folder / "resnet", series("old"))
        found["sized"] = compared(timm, models["vit"], folder / "vit", series("sized"))
        found["half as float32"] = str(next(series("half", dtype="float32").load(1).parameters()).dtype)
        found["scored"] = {name: scored(series(name), folder / f"r-{name}") for name in SIZES}
        errors = {}
        for name, options in {
            **{broken: {} for broken in ("nan", "typo", "remote", "tagged", "classes", "foreign", "unknown_argument")},
            "resnet": {"device_map": "auto"},
        }.items():
            try:
                series(name, **options).load(1)
            except OntogenyError as error:
                errors[name] = f"{type(error).__name__}: {error}"
        found["errors"] = errors
        del kept
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
