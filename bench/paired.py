"""Two measurements held against each other: how much differs, and how sure that is.

`paired_difference` is the difference of two errors with its 95 % bootstrap interval. An `Effect` is for many comparisons at once:
all of them together must hold at 95 %, so each needs ends far out in the tails, which neither a thousand resamples nor the few
samples of a timing can show. Its ends are those of Student's t around the same difference, with the variance of each thing that
varies (scenes, the seeds of either side, the samples of each timing) and their degrees of freedom pooled after Satterthwaite (1946,
"An approximate distribution of estimates of variance components"). Few seeds or samples widen it by as much as so few deserve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .reduce import DRAWS, Estimate, _ends


def paired_difference(a: np.ndarray, b: np.ndarray, *, seed: int = 0) -> Estimate | None:
    """mean(a) - mean(b) of two arrays (seeds, scenes) on the same scenes, with its 95 % interval; None if nothing is defined.

    Scenes are resampled together for both, the seeds of each on their own; a scene with an undefined value (NaN) on either side is
    left out. The generator is its own: the same seed gives the same interval.
    """
    a, b = _defined_in_both(a, b)
    if a.size == 0:
        return None
    value = float(a.mean() - b.mean())
    if a.shape[1] < 2:
        return Estimate(value, None, None)
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, a.shape[1], (DRAWS, a.shape[1]))
    drawn = [x[rng.integers(0, len(x), (DRAWS, len(x)))[:, :, None], scenes[:, None, :]].mean((1, 2)) for x in (a, b)]
    return Estimate(value, *_ends(drawn[0] - drawn[1]))


def _defined_in_both(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (a, b))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} scenes against {b.shape[1]}; pairs need the same scenes on both sides")
    kept = ~(np.isnan(a).any(0) | np.isnan(b).any(0))
    return a[:, kept], b[:, kept]


@dataclass(frozen=True)
class Effect:
    """A difference, and the variances of its independent parts with their degrees of freedom."""

    value: float
    parts: tuple[tuple[float, int], ...]
    """(variance, degrees of freedom) of each part; none where one value alone cannot tell."""

    @property
    def varies(self) -> bool:
        """Whether it could have come out otherwise, as far as the data say."""
        return any(variance > 0 for variance, _ in self.parts)

    def ends(self, share: float) -> tuple[float, float] | None:
        """The two-sided interval that misses with probability `share`; None without any part."""
        from scipy.special import stdtrit

        if not self.parts:
            return None
        whole = math.fsum(variance for variance, _ in self.parts)
        if whole == 0:
            return self.value, self.value
        freedom = whole**2 / math.fsum(variance**2 / n for variance, n in self.parts)
        half = float(stdtrit(freedom, 1 - share / 2)) * math.sqrt(whole)
        return self.value - half, self.value + half


def difference(new: np.ndarray, old: np.ndarray, *, paired: bool) -> Effect | None:
    """mean(new) - mean(old) of two arrays (seeds, scenes); `paired` where the scenes are the same. None if nothing is defined.

    What varies beside seeds and scenes is in the spread of both, so it counts twice: rather too wide than too narrow. One seed a
    side leaves the spread over seeds out: it cannot be known.
    """
    if paired:
        new, old = _defined_in_both(new, old)
    else:
        new, old = (x[:, ~np.isnan(x).any(0)] for x in (new, old))
    if min(new.size, old.size) == 0:
        return None
    over_scenes = [new.mean(0) - old.mean(0)] if paired else [new.mean(0), old.mean(0)]
    value = float(new.mean() - old.mean())
    if any(len(x) < 2 for x in over_scenes):
        return Effect(value, ())
    over_seeds = [x.mean(1) for x in (new, old) if len(x) > 1]
    return Effect(value, tuple((float(x.var(ddof=1)) / len(x), len(x) - 1) for x in [*over_scenes, *over_seeds]))


def linearised_f1(counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The micro-averaged F1 of counts tp, fp, fn, each (seeds, scenes), as values (seeds, scenes) whose mean it is.

    F1 is a ratio of sums, N / D with N = 2 TP and D = 2 TP + FP + FN. A scene's value is F1 + (N_i - F1 D_i) / mean(D), whose
    spread over scenes is that of the ratio to first order (Cochran 1977, "Sampling techniques", chapter 2). NaN where there is
    nothing to count.
    """
    tp, fp, fn = (np.asarray(counts[name], dtype=np.float64) for name in ("tp", "fp", "fn"))
    over, under = 2 * tp, 2 * tp + fp + fn
    if under.sum() == 0:
        return np.full(tp.shape, np.nan)
    f1 = over.sum() / under.sum()
    value: np.ndarray = f1 + (over - f1 * under) / under.mean()
    return value


def ratio_of_ratios(
    over: tuple[Sequence[float], Sequence[float]], under: tuple[Sequence[float], Sequence[float]], *, seed: int = 0
) -> Effect:
    """Logarithm of (median a / median b) / (median c / median d) of four lists of timing samples, (a, b) over (c, d).

    The variance of each logarithm of a median is found by resampling its raw samples.
    """
    four = [np.asarray(x, dtype=np.float64) for x in (*over, *under)]
    signs = (1, -1, -1, 1)
    value = math.fsum(sign * math.log(np.median(x)) for sign, x in zip(signs, four, strict=True))
    if any(len(x) < 2 for x in four):
        return Effect(value, ())
    rng = np.random.default_rng(seed)
    return Effect(value, tuple((_variance_of_log_median(x, rng), len(x) - 1) for x in four))


def _variance_of_log_median(samples: np.ndarray, rng: np.random.Generator) -> float:
    n = len(samples)
    drawn = np.median(samples[rng.integers(0, n, (DRAWS, n))], axis=1)
    # Resampled values stand as many times closer together as n - 1 is to n.
    return float(np.log(drawn).var(ddof=1)) * n / (n - 1)
