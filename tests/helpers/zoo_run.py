"""The part of the zoo that has timm, torchvision, peft and sentence-transformers, in a process of its own.

A torchvision of PyPI cannot load its operators beside a torch for the CPU, so their schemas, which no model here calls,
are defined by hand. Prints one JSON object: library -> family -> what is wrong with its references, and with what is
read. A library that is not installed is left out.

    PYTHONPATH=.venv/timm:. python -m tests.helpers.zoo_run [LIBRARY ...]
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings

import torch

from tests.helpers import zoo_checks
from tests.helpers.zoo import Family
from tests.helpers.zoo_libraries import LIBRARIES, families


def operators() -> torch.library.Library | None:
    """What torchvision asks for as it is imported; None where somebody else has defined it."""
    try:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms() -> Tensor")
    except RuntimeError:
        return None
    return library


def found(family: Family) -> dict[str, list[str]]:
    try:
        references = zoo_checks.alike(family)
        references += zoo_checks.hidden_states_differ(family) if family.hidden else []
        return {"references": references, "read": zoo_checks.problems(family)}
    except Exception as error:  # noqa: BLE001 - one family must not hide the others
        return {"references": [f"{type(error).__name__}: {error}"], "read": []}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    kept = operators()
    warnings.simplefilter("ignore")
    installed = [name for name in names or LIBRARIES if importlib.util.find_spec(name) is not None]
    result = {name: {each: found(family) for each, family in families(name).items()} for name in installed}
    del kept
    sys.stdout.write("\n" + json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
