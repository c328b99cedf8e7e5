"""The public surface: what is there, what importing it costs and does not pull in."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import transformers

import ontogeny
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import MissingExtraError, OntogenyError, nearest, require

SOURCE = Path(ontogeny.__file__).parent


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_pulls_in_no_trainer_tracker_or_plot_library():
    heavy = {"torch", "lightning", "transformers", "wandb", "altair", "matplotlib", "pandas", "datasets", "sklearn"}
    assert not loaded_by("import ontogeny") & heavy


def test_the_monitor_pulls_in_no_trainer_tracker_or_plot_library():
    heavy = {"lightning", "transformers", "wandb", "altair", "matplotlib", "pandas", "datasets", "sklearn"}
    assert not loaded_by("import ontogeny.monitoring.monitor") & heavy


def test_every_public_name_is_there_and_the_type_checkers_list_agrees():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body for alias in node.names}
    assert seen == set(ontogeny.__all__)
    assert sorted(ontogeny.__all__) == list(ontogeny.__all__)
    for name in ontogeny.__all__:
        assert getattr(ontogeny, name) is not None
    assert set(ontogeny.__all__) <= set(dir(ontogeny))
    with pytest.raises(AttributeError, match="has no attribute 'wach'"):
        _ = ontogeny.wach


def test_all_errors_belong_to_one_tree_and_its_drawing():
    from ontogeny import errors

    classes = {n: c for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, OntogenyError)}
    for name in classes:
        assert name in errors.__doc__


@pytest.mark.parametrize(
    ("ours", "base"), [(LightningCallback, pl.Callback), (TransformersCallback, transformers.TrainerCallback)]
)
def test_every_hook_of_a_callback_exists_in_the_trainer(ours, base):
    """A hook with a misspelt name would never be called, and nothing would say so."""
    hooks = [name for name in vars(ours) if name.startswith("on_") or name in ("setup", "teardown")]
    assert hooks
    for name in hooks:
        assert hasattr(base, name), name
        if base is pl.Callback:
            theirs, mine = (inspect.signature(getattr(c, name)).parameters for c in (base, ours))
            assert list(theirs) == list(mine)


def test_a_missing_extra_says_how_to_install_it():
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[report\]'"):
        require("no_such_library", "report")


def test_nearest_suggests_or_lists():
    assert nearest("lyer", ["layer", "roi"]) == "Did you mean 'layer'?"
    assert nearest("x", ["layer", "roi"]) == "Choices: 'layer', 'roi'."
    assert nearest("x", []) == "There are none."


def test_no_pickle_is_ever_loaded():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        parsed = text.replace("allow_pickle=False", "").replace(
            "pickletools", ""
        )  # which takes apart and calls nothing
        assert "pickle" not in parsed, path
        if "torch.load(" in text:
            assert "weights_only=True" in text, path
