"""Planted leads: pairs of curves over training whose lead is known, or that have none.

Both curves are rises in log step with fluctuations on top. The null kinds share their half-gain point and their drive's
timing, and differ in noise, shape, overshoot: what a test of "alignment leads" must not mistake for a lead. Truths are
taken from the noise-free curves, not from the parameters they were drawn with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import LagError, nearest

__all__ = ["KINDS", "NULLS", "PlantedLead", "half_point", "planted_lead", "pythia_steps"]

Curve = Float[np.ndarray, " steps"]

KINDS: Mapping[str, str] = {
    "null_white": "one trend, independent white noise",
    "null_ar": "one trend, independent AR(.6) noise",
    "null_common_a_smooth": "one trend and one stochastic drive, alignment measured with less noise",
    "null_common_p_smooth": "one trend and one stochastic drive, performance measured with less noise",
    "null_common_equal": "one trend and one stochastic drive, equal noise",
    "null_walk": "independent random walks",
    "null_walk_drift": "independent random walks with drift",
    "null_width": "one half-gain point, one curve three times as wide",
    "null_asymmetry": "one half-gain point, asymmetry 3 against .2",
    "null_overshoot": "alignment overshoots after its rise and comes back",
    "null_dip": "alignment dips after its rise and comes back",
    "null_late_rise": "both rise once more late, as after a learning-rate drop",
    "null_overshoot_late_rise": "alignment overshoots, and both rise once more late",
    "p_leads_fluctuation": "alignment follows performance's fluctuations k checkpoints later",
    "p_leads_trend": "performance's rise is k checkpoints earlier",
    "lead_fluctuation": "performance follows alignment's fluctuations k checkpoints later",
    "lead_latent": "both see one fluctuating drive, performance k checkpoints later",
    "lead_trend": "alignment's rise is k checkpoints earlier",
    "lead_both": "rise and fluctuations k checkpoints earlier",
    "artefact_metric": "performance is the fourth power of what alignment sees",
    "artefact_ema": "performance is logged through a moving average",
    "null_opposed": "one trend, one stochastic drive with opposite signs",
    "null_shared_white": "one trend, white noise that both share, AR(.6) noise of each",
    "null_shared_slow": "one trend, white noise that both share, AR(.85) noise of each",
    "null_shared_width": "one half-gain point, one curve three times as wide, one drive",
    "null_shared_asymmetry": "one half-gain point, asymmetry 3 against .2, one drive",
    "null_shared_overshoot": "alignment overshoots after its rise and comes back, one drive",
    "null_shared_dip": "alignment dips after its rise and comes back, one drive",
    "null_uneven": "one trend, independent noise that grows or shrinks over training",
    "null_heavy": "one trend, independent noise of Student's t with 3 degrees of freedom",
    "null_spikes": "one trend, rare spikes that both share, independent noise",
    "null_fading": "one trend, one drive that fades over training",
    "null_loadings": "one trend, one drive whose share falls in alignment and grows in performance",
    "lead_trend_shared": "alignment's rise is k checkpoints earlier, one drive",
    "lead_trend_shared_white": "alignment's rise is k checkpoints earlier, shared white noise, AR(.6) noise of each",
    "null_shared_unequal": "one trend, one drive, three times as strong in alignment",
}
NULLS = tuple(kind for kind in KINDS if kind.startswith("null_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedLead:
    """One simulated pair.

    Args:
        steps: optimizer updates, rising.
        alignment: one value per step.
        performance: one value per step, higher is better.
        lead_log10: log10 of performance's half-gain step + 1 less that of alignment (noise-free);
            NaN for random walks, which have no such point, and for artefacts.
        lead_checkpoints: by how many checkpoints fluctuations of alignment are earlier, 0 where they are not.
    """

    steps: Int[np.ndarray, " steps"]
    alignment: Curve
    performance: Curve
    lead_log10: float
    lead_checkpoints: int


def pythia_steps(n: int) -> Int[np.ndarray, " steps"]:
    """`n` of Pythia's 154 checkpoints (0, powers of 2 to 512, every 1000 to 143000), denser early."""
    every = np.asarray([0, *(2**i for i in range(10)), *range(1000, 144000, 1000)])
    if n >= len(every):
        return every
    grid = np.linspace(0, np.log10(143001), 4 * n)
    if n >= 30:
        late = np.linspace(np.log10(1001), np.log10(143001), n - 11)
        even = np.log10(np.linspace(1001, 143001, n - 11))
        chosen = np.unique(_nearest(every, 0.7 * late + 0.3 * even))
        picked = set(every[:11].tolist()) | set(every[chosen].tolist())
    else:
        picked = set(every[np.unique(_nearest(every, np.linspace(0, grid[-1], n)))].tolist())
    spare = iter(np.setdiff1d(every[11:], list(picked)).tolist())
    while len(picked) < n:
        picked.add(next(spare))
    return np.asarray(sorted(picked)[:n])


def _nearest(every: np.ndarray, logs: np.ndarray) -> np.ndarray:
    nearest: np.ndarray = np.abs(np.log10(every + 1)[None, :] - logs[:, None]).argmin(axis=1)
    return nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A noise-free curve in u = log10(step + 1), from 0 to 1, that is `middle` at half its gain."""

    middle: float
    width: float
    asymmetry: float = 1.0
    power_law: bool = False
    bump: tuple[float, float, float] = (0.0, 0.0, 1.0)
    late: float = 0.0

    def __call__(self, u: Curve) -> Curve:
        if self.power_law:
            exponent = 0.35 / self.width
            scale = (10**self.middle) / (2 ** (1 / exponent) - 1)
            rise = 1 - (1 + (10**u - 1) / scale) ** -exponent
        else:
            weight = 2**self.asymmetry - 1
            rise = (1 + weight * np.exp(-(u - self.middle) / self.width)) ** (-1 / self.asymmetry)
        height, after, spread = self.bump
        out: Curve = rise + height * np.exp(-0.5 * ((u - self.middle - after) / spread) ** 2)
        out += self.late / (1 + np.exp(-(u - self.middle - 1.2) / 0.06))
        return out


def half_point(shape: _Shape) -> float:
    """Place in u at which the noise-free curve first reaches half of its total gain."""
    u = np.linspace(0, 7, 7001)
    curve = shape(u)
    half = curve[0] + (curve[-1] - curve[0]) / 2
    index = int(np.argmax(curve >= half))
    return float(np.interp(half, curve[index - 1 : index + 1], u[index - 1 : index + 1]))


def _ar(rng: np.random.Generator, n: int, phi: float, sd: float) -> Curve:
    """A stationary AR(1) with standard deviation `sd`."""
    out = np.empty(n)
    out[0] = rng.standard_normal()
    for i in range(1, n):
        out[i] = phi * out[i - 1] + np.sqrt(1 - phi**2) * rng.standard_normal()
    return sd * out


def planted_lead(kind: str, n: int = 30, *, seed: int = 0, lead: int = 1, run: int = 0) -> PlantedLead:
    """One simulated pair of a kind.

    Args:
        kind: a key of `KINDS`.
        n: checkpoints, out of Pythia's 154.
        seed: of everything.
        lead: in checkpoints, where the kind has one.
        run: runs of one seed share their noise-free curves, and differ in all that is random.
    """
    if kind not in KINDS:
        raise LagError(f"there is no kind of planted lead {kind!r}. {nearest(kind, KINDS)}")
    key = [seed, n, list(KINDS).index(kind)]
    shape_rng, rng = np.random.default_rng(key), np.random.default_rng([*key, run + 1])
    steps = pythia_steps(n)
    u = np.log10(steps + 1.0)
    if kind.startswith("null_walk"):
        return _walks(rng, steps, drift=kind.endswith("drift"))
    shape_a, shape_p = _shapes(kind, shape_rng, u, lead)
    fluct_a, fluct_p, k = _fluctuations(kind, rng, n, lead)
    a, p = shape_a(u) + fluct_a, shape_p(u) + fluct_p
    if kind == "artefact_metric":
        p = np.clip(shape_p(u) + fluct_p, 0, None) ** 4
    if kind == "artefact_ema":
        p = _smoothed(p)
    gains, levels = shape_rng.uniform(0.05, 0.6, size=2), shape_rng.uniform(0, 0.3, size=2)
    return PlantedLead(
        steps=steps,
        alignment=levels[0] + gains[0] * a,
        performance=levels[1] + gains[1] * p,
        lead_log10=float("nan") if kind.startswith("artefact") else half_point(shape_p) - half_point(shape_a),
        lead_checkpoints=k,
    )


def _shapes(kind: str, rng: np.random.Generator, u: Curve, lead: int) -> tuple[_Shape, _Shape]:
    a = p = common = _Shape(
        middle=float(np.log10(rng.uniform(1000, 4000))),
        width=float(rng.uniform(0.18, 0.32)),
        asymmetry=float(rng.uniform(0.5, 1.8)),
        power_law=bool(rng.random() < 0.3),
    )
    if kind in ("null_width", "null_shared_width"):
        wide, narrow = (replace(common, width=factor * common.width) for factor in (1.8, 0.6))
        a, p = (wide, narrow) if rng.random() < 0.5 else (narrow, wide)
    if kind in ("null_asymmetry", "null_shared_asymmetry"):
        early, late = (replace(common, power_law=False, asymmetry=nu) for nu in (0.2, 3.0))
        a, p = (early, late) if rng.random() < 0.5 else (late, early)
    if kind.startswith(("null_overshoot", "null_dip", "null_shared_overshoot", "null_shared_dip")):
        sign = -1.0 if kind.endswith("dip") else 1.0
        bump = (sign * rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.25))
        a = replace(common, bump=bump)
    if kind.endswith("late_rise"):
        a, p = (replace(s, late=0.15) for s in (a, p))
    goal = half_point(p)
    if kind.startswith(("lead_trend", "lead_both", "p_leads_trend")):
        spacing = float(np.interp(goal, (u[1:] + u[:-1]) / 2, np.diff(u)))
        goal += lead * spacing * (1 if kind == "p_leads_trend" else -1)
    return _moved(a, goal), p


def _moved(shape: _Shape, goal: float) -> _Shape:
    """The same shape with its half-gain point at `goal`."""
    for _ in range(6):
        shape = replace(shape, middle=shape.middle + goal - half_point(shape))
    return shape


def _fluctuations(kind: str, rng: np.random.Generator, n: int, lead: int) -> tuple[Curve, Curve, int]:
    noise_a, noise_p = rng.uniform(0.03, 0.08), rng.uniform(0.015, 0.05)
    if kind == "null_ar":
        return _ar(rng, n, 0.6, noise_a), _ar(rng, n, 0.6, noise_p), 0
    if kind.startswith("null_common"):
        noise_a, noise_p = {"a_smooth": (0.01, 0.08), "p_smooth": (0.08, 0.01), "equal": (0.03, 0.03)}[kind[12:]]
        drive = _ar(rng, n, 0.7, 0.06)
        return drive + noise_a * rng.standard_normal(n), drive + noise_p * rng.standard_normal(n), 0
    if kind == "lead_latent":
        drive = _ar(rng, n + lead, 0.7, 0.06)
        a, p = drive[lead:], drive[:n]
        return a + 0.03 * rng.standard_normal(n), p + 0.03 * rng.standard_normal(n), lead
    if kind in ("lead_fluctuation", "lead_both", "p_leads_fluctuation"):
        first = _ar(rng, n + lead, 0.6, 0.06)
        second = _ar(rng, n, 0.3, 0.04) + 0.6 * first[:n]
        leader, follower = first[lead:], second
        pair = (leader, follower) if kind != "p_leads_fluctuation" else (follower, leader)
        return pair[0], pair[1], lead if kind != "p_leads_fluctuation" else -lead
    a, p = rng.standard_normal((2, n))
    if (shared := _shared(kind, rng, n)) is not None:
        return *_own_and_shared(kind, rng, (a, p), shared), 0
    if kind == "null_uneven":
        a, p = (x * np.exp(rng.uniform(-1, 1) * np.linspace(-1, 1, n)) for x in (a, p))
    if kind == "null_heavy":
        a, p = (rng.standard_t(3, n) / np.sqrt(3) for _ in range(2))
    return noise_a * a, noise_p * p, 0


def _shared(kind: str, rng: np.random.Generator, n: int) -> Curve | None:
    """What both curves have in common, at the same checkpoints; None where nothing."""
    if kind in ("null_shared_white", "null_shared_slow", "lead_trend_shared_white"):
        return np.asarray(0.05 * rng.standard_normal(n))
    if kind == "null_spikes":
        return np.asarray(0.2 * (rng.random(n) < 0.08) * rng.standard_normal(n))
    if kind == "null_fading":
        return _ar(rng, n, 0.7, 0.09) * np.linspace(1.5, 0.1, n)
    known = "shared" in kind or kind in ("null_opposed", "null_loadings")
    return _ar(rng, n, 0.7, 0.06) if known else None


def _own_and_shared(
    kind: str, rng: np.random.Generator, own: tuple[Curve, Curve], shared: Curve
) -> tuple[Curve, Curve]:
    """Noise of each and their drive."""
    n = len(shared)
    a, p = (0.03 * x for x in own)
    if kind in ("null_shared_white", "null_shared_slow", "lead_trend_shared_white"):
        a, p = (_ar(rng, n, 0.85 if kind.endswith("slow") else 0.6, 0.03) for _ in range(2))
    falls = np.linspace(1, 0.3, n) if kind == "null_loadings" else np.ones(n)
    grows = {"null_opposed": -falls, "null_shared_unequal": falls / 3}.get(kind, falls[::-1])
    return a + falls * shared, p + grows * shared


def _walks(rng: np.random.Generator, steps: Int[np.ndarray, " steps"], *, drift: bool) -> PlantedLead:
    n = len(steps)
    a, p = (np.cumsum(rng.standard_normal(n) + (0.3 if drift else 0.0)) for _ in range(2))
    return PlantedLead(steps=steps, alignment=a, performance=p, lead_log10=float("nan"), lead_checkpoints=0)


def _smoothed(values: Curve, keep: float = 0.5) -> Curve:
    out = values.copy()
    for i in range(1, len(out)):
        out[i] = keep * out[i - 1] + (1 - keep) * values[i]
    return out
