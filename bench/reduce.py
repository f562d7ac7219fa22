"""From curves to numbers: the one place where frames and scenes are averaged.

A curve (T, B) holds a value per new frame and scene. A reduction picks a frame or averages over them, giving a value a scene;
an estimate averages those over scenes (and training seeds) and says how sure that is.

The value of an estimate is the plain mean, in which a diverged scene stands with its capped error. Beside it stand the
interquartile mean and the 90th percentile. The first says what a usual rollout errs, and is blind to a quarter of them: trimming
must never hide diverged rollouts, so it is never the value, nothing is ranked by it, and the 90th percentile, which sees them as
soon as they are a tenth, is always given with it.

How often the intervals hold the truth was measured by simulation: docs/measure.md.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FRAMES = (1, 5, 20, 50)
"""New frames at which errors are shown, counted from 1; the last frame is shown as well."""

DRAWS = 1000
"""Resamples of a bootstrap."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean (or a ratio) and its bootstrap interval. The ends are None where one scene alone cannot tell."""

    value: float
    low: float | None
    high: float | None
    iqm: float | None = None
    """Interquartile mean of the same values; None for what is no mean of values, such as a ratio."""
    p90: float | None = None
    """90th percentile of the same values, linear between them; None as above."""

    def to_dict(self) -> dict[str, float | None]:
        """Plain data for JSON; interquartile mean and 90th percentile only where there are any."""
        beside = {"iqm": self.iqm, "p90": self.p90}
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return ends | {name: x for name, x in beside.items() if x is not None}


def shown_frames(n_frames: int) -> dict[str, int]:
    """Names and numbers (from 1) of the frames shown of a horizon; those past its end are left out."""
    return {str(k): k for k in FRAMES if k <= n_frames} | {"last": n_frames}


def reductions(curve: np.ndarray) -> dict[str, np.ndarray | None]:
    """A value a scene for every reduction: frames "1", "5", "20", "50", "last" and "mean" over the horizon.

    curve (T, B) → each (B,), or None where the horizon is shorter. Undefined frames (NaN) do not enter the mean.
    """
    shown = shown_frames(curve.shape[0])
    picked = {name: curve[shown[name] - 1] if name in shown else None for name in [*map(str, FRAMES), "last"]}
    return {**picked, "mean": mean_defined(curve, 0)}


def mean_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over one axis of what is not NaN; NaN where nothing is defined."""
    defined = ~np.isnan(values)
    count = defined.sum(axis)
    total = np.where(defined, values, 0.0).sum(axis)
    mean: np.ndarray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def trust_horizon(position_rmse: np.ndarray, threshold: float) -> np.ndarray:
    """Frames until the position RMSE (T, B) [m] first exceeds the threshold, the whole horizon if it never does, shape (B,).

    NaN for a scene whose error is undefined.
    """
    broken = position_rmse > threshold
    frames = np.where(broken.any(0), broken.argmax(0), position_rmse.shape[0]).astype(np.float64)
    return np.where(np.isnan(position_rmse).any(0), np.nan, frames)


def estimate(values: np.ndarray, *, seed: int = 0) -> Estimate | None:
    """Mean over seeds and scenes with its interval, interquartile mean and 90th percentile; None if nothing is defined.

    values (seeds, scenes), NaN where undefined: such a scene is left out for all seeds. Seeds and scenes are resampled together,
    scenes paired across seeds, by a generator of its own, so that the same seed gives the same interval.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    values = values[:, ~np.isnan(values).any(0)]
    if values.size == 0:
        return None
    mean, beside = float(values.mean()), (interquartile_mean(values), float(np.percentile(values, 90)))
    if values.shape[1] < 2:
        return Estimate(mean, None, None, *beside)
    drawn = _resampled_sums(values, seed) / values.size
    return Estimate(mean, *_ends(drawn), *beside)


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half of all values, a quarter trimmed from each side.

    A value that lies across the edge of a quarter counts with the part that lies inside, so it is defined for any number of values
    from one on (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", trims whole values).
    """
    ordered = np.sort(values, axis=None)
    edges = np.linspace(0, 1, ordered.size + 1).clip(0.25, 0.75)
    return float(np.diff(edges) @ ordered / 0.5)


def micro_f1(parts: Mapping[str, np.ndarray], *, seed: int = 0) -> Estimate | None:
    """F1 of counts summed over everything, each of tp, fp, fn (seeds, scenes); None when there is nothing to count."""
    counts = {name: np.atleast_2d(values) for name, values in parts.items()}
    value = float(_f1(counts["tp"].sum(), counts["fp"].sum(), counts["fn"].sum()))
    if np.isnan(value):
        return None
    if counts["tp"].shape[1] < 2:
        return Estimate(value, None, None)
    drawn = {n: _resampled_sums(x, seed) for n, x in counts.items()}
    scores = _f1(drawn["tp"], drawn["fp"], drawn["fn"])
    return Estimate(value, *_ends(scores[~np.isnan(scores)]))


def _f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    whole = np.asarray(2 * tp + fp + fn, dtype=np.float64)
    score: np.ndarray = np.divide(2 * tp, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return score


def ratio_of_medians(over: np.ndarray, under: np.ndarray, *, seed: int = 0) -> Estimate:
    """Median of one list of timing samples over the median of another, each resampled on its own."""
    rng = np.random.default_rng(seed)
    above, below = (np.median(x[rng.integers(0, len(x), (DRAWS, len(x)))], axis=1) for x in (over, under))
    value = float(np.median(over) / np.median(under))
    if min(len(over), len(under)) < 2:
        return Estimate(value, None, None)
    return Estimate(value, *_ends(above / below))


def _resampled_sums(values: np.ndarray, seed: int) -> np.ndarray:
    """Sums of values (seeds, scenes) over resampled seeds and scenes together, (DRAWS,)."""
    rows, columns = _resamples(values.shape[0], values.shape[1], seed)
    sums: np.ndarray = ((rows @ values) * columns).sum(1)
    return sums


@functools.lru_cache(maxsize=64)
def _resamples(n_seeds: int, n_scenes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each scene is drawn in each resample, (DRAWS, seeds) and (DRAWS, scenes)."""
    rng = np.random.default_rng(seed)
    return _often(rng, n_seeds), _often(rng, n_scenes)


def _often(rng: np.random.Generator, number: int) -> np.ndarray:
    picked = rng.integers(0, number, (DRAWS, number))
    often = np.zeros((DRAWS, number))
    np.add.at(often, (np.arange(DRAWS)[:, None], picked), 1.0)
    return often


def _ends(drawn: np.ndarray) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)
