"""How often intervals hold the truth, by simulation: what was measured is in docs/measure.md, and may not drift unseen.

Every count here is of independent draws from a fixed generator, so a share p of n has the standard error √(p (1 - p) / n); bands
are three of those to either side of what docs/measure.md says, whose own error is smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hedgefox.bench.paired import Effect, difference, linearised_f1, paired_difference, ratio_of_ratios
from hedgefox.bench.reduce import Estimate, estimate, interquartile_mean, micro_f1, ratio_of_medians

SCENES = 32
SPREAD = 0.8
"""Standard deviation of the logarithm of a scene's error."""
RESIDUAL = 0.3
"""Of what is neither scene nor seed, over that of scenes."""
DRAWN = 400

Interval = Callable[[np.ndarray, int], tuple[float, float]]


def matrix(rng: np.random.Generator, seeds: int, share: float) -> np.ndarray:
    """Scores (seeds, scenes) with a log-normal scene effect, and seed effects whose variance is `share` of that of scenes."""
    scene = np.exp(rng.normal(0, SPREAD, SCENES))
    made: np.ndarray = scene + around(rng, seeds, share)
    return made


def around(rng: np.random.Generator, seeds: int, share: float) -> np.ndarray:
    """What seeds and residuals add to the scenes, (seeds, scenes)."""
    scale = math.sqrt(math.expm1(SPREAD**2) * math.exp(SPREAD**2))
    seed = rng.normal(0, math.sqrt(share) * scale, (seeds, 1))
    noise: np.ndarray = seed + rng.normal(0, RESIDUAL * scale, (seeds, SCENES))
    return noise


MEAN = math.exp(SPREAD**2 / 2)


def ends(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def bootstrap(values: np.ndarray, seed: int) -> tuple[float, float]:
    return ends(estimate(values, seed=seed))


def ignoring_scenes(values: np.ndarray, seed: int) -> tuple[float, float]:
    """A wrong interval, planted: seeds are resampled and scenes are not."""
    return ends(estimate(values.mean(1, keepdims=True).T, seed=seed))


def coverage(interval: Interval, seeds: int, share: float, number: int = DRAWN) -> float:
    """In how many of so many draws the interval of the mean holds the true one."""
    rng, hits = np.random.default_rng([seeds, round(100 * share)]), 0
    for k in range(number):
        low, high = interval(matrix(rng, seeds, share), k)
        hits += low <= MEAN <= high
    return hits / number


def band(measured: float, number: int = DRAWN) -> tuple[float, float]:
    error = 3 * math.sqrt(measured * (1 - measured) / number)
    return measured - error, measured + error


def within(found: float, measured: float, number: int = DRAWN) -> bool:
    low, high = band(measured, number)
    return low <= found <= high


# -- the interval of a mean --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeds", "share", "measured"),
    [(1, 0.0, 0.914), (3, 0.0, 0.915), (3, 0.1, 0.882), (3, 1.0, 0.800), (1, 0.1, 0.614)],
)
def test_the_interval_of_a_mean_covers_as_measured(seeds: int, share: float, measured: float) -> None:
    assert within(coverage(bootstrap, seeds, share), measured)


def test_the_check_catches_an_interval_that_ignores_scenes() -> None:
    assert not within(coverage(ignoring_scenes, 3, 0.1), 0.882)
    assert not within(coverage(ignoring_scenes, 10, 0.1), 0.921)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    values = matrix(np.random.default_rng(0), 3, 0.1)
    np.random.seed(1)  # noqa: NPY002 - the generator of others
    first = estimate(values)
    np.random.seed(2)  # noqa: NPY002
    assert estimate(values) == first
    assert ends(estimate(values, seed=1)) != ends(first)


def test_seeds_and_scenes_are_resampled_together() -> None:
    """Variances add where both vary; alone, each gives its own."""
    rng = np.random.default_rng(3)
    of_seeds, of_scenes = rng.normal(0, 1, (8, 1)), rng.normal(0, 3, (1, 64))

    def width(values: np.ndarray) -> float:
        low, high = ends(estimate(values))
        return high - low

    alone = width(of_seeds + np.zeros((1, 64))), width(of_scenes + np.zeros((8, 1)))
    assert width(of_seeds + of_scenes) == pytest.approx(math.hypot(*alone), rel=0.06)


# -- what stands beside it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0], 1.5),
        # Of three thirds, the outer two lie with a twelfth of the whole inside the middle half.
        ([0.0, 1.0, 5.0], (0.0 / 12 + 1.0 / 3 + 5.0 / 12) / 0.5),
        ([1.0, 2.0, 3.0, 100.0], 2.5),
        ([4.0, 1.0, 3.0, 2.0, 9.0, 8.0, 7.0, 0.0], (2.0 + 3.0 + 4.0 + 7.0) / 4),
    ],
)
def test_the_interquartile_mean_is_that_of_the_middle_half(values: list[float], expected: float) -> None:
    assert interquartile_mean(np.array(values)) == pytest.approx(expected)


def test_trimming_does_not_hide_diverged_rollouts() -> None:
    values = np.ones((2, 10))
    values[:, 8:] = 100.0
    found = estimate(values)
    assert found is not None
    assert [found.value, found.iqm, found.p90] == pytest.approx([20.8, 1.0, 100.0])
    assert found.to_dict().keys() == {"value", "low", "high", "iqm", "p90"}
    assert ratio_of_medians(np.ones(4), np.ones(4)).to_dict().keys() == {"value", "low", "high"}


# -- the interval of a paired difference -------------------------------------------------------------------------------


def paired_coverage(seeds: int, share: float, number: int = DRAWN) -> float:
    """As `coverage`, of the difference of a model and one that errs a fifth more on the same scenes."""
    rng, hits = np.random.default_rng([seeds, 1]), 0
    for k in range(number):
        scene = np.exp(rng.normal(0, SPREAD, SCENES))
        a, b = (factor * scene + around(rng, seeds, share) for factor in (1.0, 1.2))
        low, high = ends(paired_difference(b, a, seed=k))
        hits += low <= 0.2 * MEAN <= high
    return hits / number


@pytest.mark.parametrize(("seeds", "share", "measured"), [(1, 0.0, 0.939), (3, 0.0, 0.989), (3, 0.1, 0.827)])
def test_the_interval_of_a_paired_difference_covers_as_measured(seeds: int, share: float, measured: float) -> None:
    assert within(paired_coverage(seeds, share), measured)


def test_pairs_leave_out_what_either_side_lacks_and_need_the_same_scenes() -> None:
    a, b = np.array([[1.0, np.nan, 3.0, 5.0]]), np.array([[0.0, 9.0, 1.0, np.nan], [0.0, 9.0, 1.0, 2.0]])
    found = paired_difference(a, b)
    assert found is not None
    assert found.value == pytest.approx(1.5)
    assert paired_difference(a[:, :1], b[:, :1]) == Estimate(1.0, None, None)
    assert paired_difference(a[:, 1:2], b[:, 1:2]) is None
    with pytest.raises(ValueError, match="4 scenes against 3"):
        paired_difference(a, b[:, :3])


# -- the interval of a ratio of times ----------------------------------------------------------------------------------


def times(rng: np.random.Generator, number: int, median: float = 1.0) -> np.ndarray:
    """Timing samples with 1 % of noise, one in twenty of them slow by half on average."""
    slow = rng.random(number) < 0.05
    samples: np.ndarray = (
        median * np.exp(rng.normal(0, 0.01, number)) * np.where(slow, 1 + rng.exponential(0.5, number), 1)
    )
    return samples


def ratio_coverage(samples: int, number: int = DRAWN) -> float:
    rng, hits = np.random.default_rng(samples), 0
    for k in range(number):
        low, high = ends(ratio_of_medians(times(rng, samples, 2.0), times(rng, samples), seed=k))
        hits += low <= 2.0 <= high
    return hits / number


@pytest.mark.parametrize(("samples", "measured"), [(3, 0.904), (5, 0.970), (10, 0.974), (30, 0.966)])
def test_the_interval_of_a_ratio_of_times_covers_as_measured(samples: int, measured: float) -> None:
    assert within(ratio_coverage(samples), measured)


# -- many comparisons at once ------------------------------------------------------------------------------------------


def false_alarms(made: Callable[[np.random.Generator], Effect | None], family: int, share: float, number: int) -> float:
    """In how many of so many families of comparisons, where nothing differs, some interval excludes zero."""
    rng, wrong = np.random.default_rng(family), 0
    for _ in range(number):
        found = [made(rng) for _ in range(family)]
        wrong += any((e := effect.ends(share)) and not e[0] <= 0 <= e[1] for effect in found if effect is not None)
    return wrong / number


def of_errors(rng: np.random.Generator) -> Effect | None:
    scene = np.exp(rng.normal(0, SPREAD, SCENES))
    return difference(scene + around(rng, 3, 0.3), scene + around(rng, 3, 0.3), paired=True)


def of_times(rng: np.random.Generator) -> Effect:
    a, b, c, d = (times(rng, 5).tolist() for _ in range(4))
    return ratio_of_ratios((a, b), (c, d))


@pytest.mark.parametrize(("made", "number"), [(of_errors, 150), (of_times, 25)])
def test_all_verdicts_together_hold_their_level(
    made: Callable[[np.random.Generator], Effect | None], number: int
) -> None:
    family = 20
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / number)
    assert false_alarms(made, family, 0.05 / family, number) <= allowed
    assert false_alarms(made, family, 0.3, number) > allowed, "a level that is not shared out is caught"


def test_unpaired_differences_are_wider_and_one_scene_tells_nothing() -> None:
    rng = np.random.default_rng(5)
    scene = np.exp(rng.normal(0, SPREAD, SCENES))
    a, b = scene + around(rng, 1, 0.0), scene + around(rng, 1, 0.0)
    spans = []
    for paired in (True, False):
        found = difference(a, b, paired=paired)
        assert found is not None
        assert found.value == pytest.approx(a.mean() - b.mean())
        low, high = found.ends(0.05) or (0.0, 0.0)
        spans.append(high - low)
    assert spans[1] > 1.5 * spans[0] > 0
    alone = difference(a[:, :1], b[:, :1], paired=True)
    assert alone is not None
    assert alone.ends(0.05) is None


def test_an_f1_of_sums_becomes_values_with_its_mean_and_its_spread() -> None:
    rng = np.random.default_rng(6)
    counts = {name: rng.poisson(rate, (1, 200)).astype(float) for name, rate in (("tp", 3.0), ("fp", 1.0), ("fn", 2.0))}
    values, direct = linearised_f1(counts), micro_f1(counts)
    assert direct is not None
    assert values.mean() == pytest.approx(direct.value)
    low, high = ends(direct)
    assert 2 * 1.96 * values.std(ddof=1) / math.sqrt(200) == pytest.approx(high - low, rel=0.12)
    assert np.isnan(linearised_f1({name: np.zeros((1, 3)) for name in counts})).all()
