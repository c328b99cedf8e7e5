"""The formulas of arXiv 2507.01966 and Huh et al. 2024, written out slowly: an oracle for the grid, and for its timing.

Nothing here comes from the package. Ties: what differs by less than 1e-9 of the largest counts as equal, and of equals
the lower row number is the nearer one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def z_scored(x: np.ndarray) -> np.ndarray:
    out = np.zeros(x.shape)
    for column in range(x.shape[1]):
        values = x[:, column].astype(float)
        if values.max() > values.min():
            out[:, column] = (values - values.mean()) / values.std(ddof=1)
    return out


def rbf(x: np.ndarray, sigma: float) -> np.ndarray:
    squared = np.stack([((x - row) ** 2).sum(axis=1) for row in x])
    return np.exp(-squared / (2 * sigma**2))


def hsic_biased(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    h = np.eye(len(k)) - 1 / len(k)
    return float(np.trace(k @ h @ l @ h))


def hsic_unbiased(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """Song et al. 2012, equation 5; the kernels need not be symmetric, tr(KL) is the sum of K times L transposed."""
    m = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones(m)
    product = k @ l
    cross = (one @ k @ one) * (one @ l @ one) / ((m - 1) * (m - 2))
    return float((np.trace(product) + cross - 2 / (m - 2) * (one @ product @ one)) / (m * (m - 3)))


def cka(x: np.ndarray, y: np.ndarray, sigma: float, hsic: Callable[[np.ndarray, np.ndarray], float]) -> float:
    k, l = rbf(x, sigma), rbf(y, sigma)  # noqa: E741
    return hsic(k, l) / (np.sqrt(hsic(k, k) * hsic(l, l)) + 1e-6)


def nearest(x: np.ndarray, k: int) -> list[list[int]]:
    likeness = x @ x.T
    out = []
    for i, row in enumerate(np.round(likeness / np.abs(likeness).max(), 9)):
        row[i] = -np.inf
        out.append(np.argsort(-row, kind="stable")[:k].tolist())
    return out


def mutual_knn(x: np.ndarray, y: np.ndarray, k: int) -> float:
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(nearest(x, k), nearest(y, k), strict=True)]))


def cycle_knn(x: np.ndarray, y: np.ndarray, k: int) -> float:
    of_x = [set(near) for near in nearest(x, k)]
    return float(np.mean([any(i in of_x[j] for j in near) for i, near in enumerate(nearest(y, k))]))


def cknna(x: np.ndarray, y: np.ndarray, k: int) -> float:
    kernels, masks = [x @ x.T, y @ y.T], []
    for side in (x, y):
        mask = np.zeros((len(x), len(x)))
        for i, near in enumerate(nearest(side, k)):
            mask[i, near] = 1
        masks.append(mask)

    def local(a: int, b: int) -> float:
        mask = masks[a] * masks[b]
        return hsic_unbiased(mask * kernels[a], mask * kernels[b])

    return local(0, 1) / (np.sqrt(local(0, 0) * local(1, 1)) + 1e-6)


def measure(name: str, x: np.ndarray, y: np.ndarray) -> float:
    """One measurement by the study's own name of it, standardising and all."""
    x, y = z_scored(x), z_scored(y)
    kind, number = name.rsplit("_", 1)
    if kind in ("cka", "unbiased_cka"):
        return cka(x, y, float(number), hsic_biased if kind == "cka" else hsic_unbiased)
    return {"mutual_knn": mutual_knn, "cycle_knn": cycle_knn, "cknna": cknna}[kind](x, y, int(number))
