"""The user's estimator: checked before training, cloned for each fit, named by its parameters."""

from __future__ import annotations

import copy
import inspect
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ontogeny._arrays import digest, digest_of
from ontogeny._messages import has_to_pass
from ontogeny.errors import MetricError
from ontogeny.metrics.encoding_models._pls import fast_pls, pls_predict

__all__ = ["HeldOut", "Rows", "Voxels", "check", "fresh", "predict", "separable", "takes_several", "text_of"]

_SEED = 20080092
_FEATURES = 64
_PER_VOXEL_SOLVERS = ("svd", "eigenvalues", "random_search")
Rows = Float[np.ndarray, "stimuli features"]
HeldOut = Float[np.ndarray, "held_out features"]
Voxels = Float[np.ndarray, "stimuli *voxels"]


def text_of(value: Any) -> str:
    """An estimator by its class and the parameters that differ from their defaults; steps of a pipeline in a row.

    Raises:
        MetricError: a parameter that has no text of its own, so that two runs could not be distinguished.
    """
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {digest(value)[:6]}" if value.size > 8 else text_of(value.tolist())
    if isinstance(value, list | tuple):
        return f"[{', '.join(text_of(part) for part in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {text_of(part)}' for key, part in value.items())}}}"
    if isinstance(value, slice):
        return ":".join("" if part is None else str(part) for part in (value.start, value.stop))
    if isinstance(value, np.generic):
        return repr(value.item())
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    return _object_text(value)


def _object_text(value: Any) -> str:
    if type(value).__name__ == "FrozenEstimator":  # of sklearn.frozen: cloned as it was fitted, on whatever stimuli
        fitted = sorted((name, part) for name, part in vars(value.estimator).items() if name.endswith("_"))
        return f"{text_of(value.estimator)} fitted before {digest_of(_flat(fitted))[:6]}"
    if isinstance(steps := getattr(value, "steps", None), list):
        return " > ".join(text_of(step) for _, step in steps)
    return f"{type(value).__name__}({', '.join(_parameters(value))})"


def _flat(fitted: Any) -> Iterator[Any]:
    """Names, numbers and arrays of what was fitted, one after the other."""
    if isinstance(fitted, list | tuple):
        for part in fitted:
            yield from _flat(part)
    else:
        yield fitted.toarray() if hasattr(fitted, "toarray") else fitted


def _parameters(value: Any) -> list[str]:
    """Those that are not the default, as name=value."""
    given = value.get_params(deep=False) if hasattr(value, "get_params") else dict(getattr(value, "__dict__", {}))
    if not hasattr(value, "get_params") and not given and " at 0x" in repr(value):
        raise MetricError(
            f"{type(value).__name__} has no get_params and no attributes, so that its options cannot be recorded; "
            "inherit from sklearn.base.BaseEstimator"
        )
    defaults = {name: p.default for name, p in inspect.signature(type(value)).parameters.items()}
    if type(value).__module__.startswith("sklearn."):  # splitters keep more than their parameters
        more = [
            n
            for n, part in given.items()
            if n.startswith("_") or (n not in defaults and (part is None or part is False))
        ]
        given = {name: part for name, part in given.items() if name not in more}
    texts = {name: text_of(part) for name, part in sorted(given.items())}
    return [f"{name}={text}" for name, text in texts.items() if name not in defaults or text_of(defaults[name]) != text]


def fresh(estimator: Any) -> Any:
    """An unfitted copy, whose random numbers start from one seed where none is given."""
    if not hasattr(estimator, "get_params"):
        return copy.deepcopy(estimator)
    from sklearn.base import clone

    made = clone(estimator)
    seeds = {n: v for n, v in made.get_params(deep=True).items() if n.rpartition("__")[2] == "random_state"}
    return made.set_params(**{name: _SEED for name, value in seeds.items() if value is None})


def takes_several(estimator: Any) -> bool:
    """Whether it is fitted to several voxels at once; scikit-learn's say so, others are tried.

    A search of scikit-learn's (`GridSearchCV`) takes what it searches takes, though it says that it does not.
    """
    if type(estimator).__module__.startswith("sklearn.model_selection."):
        return takes_several(estimator.estimator)
    if hasattr(estimator, "__sklearn_tags__"):
        from sklearn.utils import get_tags

        return bool(get_tags(estimator).target_tags.multi_output)
    rng = np.random.default_rng(_SEED)
    x, y = rng.standard_normal((40, 6)), rng.standard_normal((40, 3))
    try:
        return bool(np.shape(_quietly(fresh(estimator), x, y, x)) == (40, 3))
    except Exception:  # noqa: BLE001 - whatever it raises, it does not take them
        return False


def separable(estimator: Any) -> bool:
    """Whether a voxel's fit is the same whatever voxels are fitted beside it, as of the known ridges."""
    last = getattr(estimator, "steps", [(None, estimator)])[-1][1]
    kind, options = type(last), getattr(last, "solver_params", None) or {}
    if kind.__module__.startswith("himalaya."):
        return options.get("local_alpha", True) is True and getattr(last, "solver", "") in _PER_VOXEL_SOLVERS
    if not kind.__module__.startswith("sklearn.linear_model."):
        return False
    return kind.__name__ in ("LinearRegression", "Ridge") or getattr(last, "alpha_per_target", False) is True


def predict(
    estimator: Any, x: Rows, y: Voxels, held_out: HeldOut, *, where: str, keep: bool = False
) -> Float[np.ndarray, "held_out *voxels"]:
    """Fit a fresh copy to `x` and `y`, and predict; `keep` predictions of what did not converge.

    Raises:
        MetricError: it fails, does not converge, or gives NaN or another shape; names the estimator and the fold.
    """
    name = text_of(estimator)
    try:
        out = np.asarray(_quietly(fresh(estimator), x, y, held_out, keep=keep), dtype=np.float64)
    except BaseException as error:  # SystemExit of an estimator's own ends no training
        if has_to_pass(error):
            raise
        size = f"{len(x)} stimuli x {x.shape[1]} features"
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise MetricError(f"{name} failed in {where} ({size}): {text}") from error
    expected = (len(held_out), *y.shape[1:])
    if out.shape != expected and out.size == np.prod(expected):
        out = out.reshape(expected)
    if out.shape != expected:
        raise MetricError(f"{name} should predict {expected} in {where} (stimuli x voxels), got {out.shape}")
    if not np.isfinite(out).all():
        raise MetricError(f"{name} predicts NaN or infinity in {where}")
    return out


def _quietly(estimator: Any, x: Rows, y: Voxels, held_out: HeldOut, *, keep: bool = False) -> Any:
    """What does not converge is an error unless kept; its other warnings are its own."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not keep:
            warnings.simplefilter("error", ConvergenceWarning)
        if fast_pls(estimator) and y.ndim == 2 and (out := pls_predict(estimator, x, y, held_out)) is not None:
            return out
        estimator.fit(x, y)
        predicted = estimator.predict(held_out)
        return predicted.detach().cpu() if isinstance(predicted, torch.Tensor) else predicted


def check(estimator: Any, y: Float[np.ndarray, "stimuli voxels"]) -> None:
    """Try it on random features: whatever it does that a metric may not is refused by name.

    Args:
        estimator: of scikit-learn's kind.
        y: training responses, stimuli x a few voxels.

    Raises:
        MetricError: no fit or predict; it changes its input; it draws from a global random state.
    """
    name = type(estimator).__name__
    if isinstance(estimator, type):
        raise MetricError(
            f"Encoding takes an estimator, got the class {estimator.__name__}; write {estimator.__name__}()"
        )
    if missing := [what for what in ("fit", "predict") if not callable(getattr(estimator, what, None))]:
        raise MetricError(f"Encoding takes an estimator with fit and predict, but {name} has no {missing[0]}")
    shared = [n for n, v in _deep(estimator).items() if isinstance(v, np.random.RandomState | np.random.Generator)]
    if shared:
        raise MetricError(f"{name}: {shared[0]} is a generator, which every fit moves on; pass a number")
    x = np.random.default_rng(_SEED).standard_normal((len(y), _FEATURES))
    one = y if takes_several(estimator) else y[:, 0]
    answers = [_under_seed(seed, estimator, x.copy(), one.copy()) for seed in (1, 2)]
    if any(isinstance(answer, BaseException) for answer in answers):
        return  # refused with its reason where it fails on the features of a model
    if not np.array_equal(answers[0], answers[1], equal_nan=True):
        raise MetricError(
            f"{name} depends on the global random state of numpy or Python, so that two scores of the same features "
            "would differ; give it a random_state"
        )


def _deep(estimator: Any) -> dict[str, Any]:
    return dict(estimator.get_params(deep=True)) if hasattr(estimator, "get_params") else {}


def _under_seed(seed: int, estimator: Any, x: Rows, y: Voxels) -> Any:
    """Predictions, or the error; global random states are as before afterwards.

    Raises:
        MetricError: it changed its input.
    """
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    given = x.copy(), y.copy()
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        answer = _quietly(fresh(estimator), x, y, x)
    except BaseException as error:  # for the caller to see
        if has_to_pass(error):
            raise
        return error
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])
    if not (np.array_equal(x, given[0]) and np.array_equal(y, given[1])):
        raise MetricError(f"{type(estimator).__name__} changes the features or responses that it is fitted to")
    return answer
