"""Speed-up at equal accuracy on fronts with known answers: monotone, free of scale, never extrapolated."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hedgefox.bench.equal_accuracy import Bounded, Measured, dominated, equal_accuracy, error_at, pareto, time_at

SECONDS, ERROR = (1.0, 10.0, 100.0), (1.0, 0.1, 0.01)
"""Error falls as one over time."""


def rungs(
    seconds: tuple[float, ...] = SECONDS, error: tuple[float, ...] = ERROR, scenes: int = 8
) -> dict[str, Measured]:
    return {str(k): exact(s, e, scenes) for k, (s, e) in enumerate(zip(seconds, error, strict=True))}


def exact(seconds: float, error: float, scenes: int = 8) -> Measured:
    return Measured(np.full(scenes, error), np.full(5, seconds))


def near(value: float) -> Any:
    """A figure, not a bound, about this large."""
    return Bounded(pytest.approx(value))  # type: ignore[arg-type]


def random_front(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n = int(rng.integers(1, 9))
    return np.exp(rng.normal(0, 2, n)), np.exp(rng.normal(0, 2, n))


def test_a_front_holds_what_no_other_beats() -> None:
    front = pareto([1, 2, 3, 3, 4, np.nan, 5, 0.5], [1, 2, 0.5, 0.4, 0.4, 0.1, 0.0, np.inf])
    assert front.seconds.tolist() == [1, 3]
    assert front.error.tolist() == [1, 0.4]
    assert not len(pareto([], []).error)


def test_between_settings_by_straight_lines_in_logarithms() -> None:
    front = pareto(SECONDS, ERROR)
    assert time_at(front, 0.1) == near(10.0)
    assert time_at(front, 10**-1.5) == near(10**1.5)
    assert error_at(front, 10**0.5) == near(10**-0.5)


def test_outside_the_front_there_are_bounds_and_their_directions() -> None:
    front = pareto(SECONDS, ERROR)
    assert time_at(front, 2.0) == Bounded(1.0, "<")
    assert time_at(front, 0.001) == Bounded(100.0, ">")
    assert error_at(front, 0.5) == Bounded(1.0, ">")
    assert error_at(front, 500.0) == Bounded(0.01, "<")
    assert time_at(front, 1.0) == Bounded(1.0)
    assert time_at(front, 0.01) == near(100.0)
    assert np.isnan(time_at(pareto([], []), 1.0).value)


def test_time_is_monotone_in_error_and_within_the_front() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        front = pareto(*random_front(rng))
        asked = np.sort(np.exp(rng.normal(0, 3, 30)))
        times = [time_at(front, float(e)).value for e in asked]
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(times))
        assert min(times) >= front.seconds[0] - 1e-12
        assert max(times) <= front.seconds[-1] + 1e-12


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        seconds, error = random_front(rng)
        at, scale, unit = np.exp(rng.normal(0, 2)), *np.exp(rng.normal(0, 2, 2))
        plain, other = time_at(pareto(seconds, error), at), time_at(pareto(scale * seconds, unit * error), unit * at)
        if plain.flag == other.flag:  # on the edge itself rounding may tip either way
            assert other.value == pytest.approx(scale * plain.value, rel=1e-9)


def test_the_answer_lies_between_the_settings_next_to_it() -> None:
    """No more than the cheapest setting that is as accurate takes, no less than the dearest of the front that is not."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        seconds, error = random_front(rng)
        at, front = float(np.exp(rng.normal())), pareto(seconds, error)
        found = time_at(front, at)
        if found.flag == "":
            assert found.value <= seconds[error <= at].min() * (1 + 1e-12)
            assert found.value >= front.seconds[front.error > at].max(initial=0.0) * (1 - 1e-12)


def test_dominated_means_no_worse_in_both_and_better_in_one() -> None:
    assert dominated(SECONDS, ERROR, (20.0, 0.2))
    assert dominated(SECONDS, ERROR, (10.0, 0.2))
    assert not dominated(SECONDS, ERROR, (10.0, 0.1))
    assert not dominated(SECONDS, ERROR, (5.0, 0.5))


def test_a_coarse_setting_entered_as_a_contestant_gets_one() -> None:
    found = equal_accuracy(exact(10.0, 0.1), rungs())
    assert found is not None
    assert found.speedup == near(1.0)
    assert found.error_ratio.value == pytest.approx(1.0)
    assert not found.dominated


@pytest.mark.parametrize("slower", [0.1, 2.0, 7.0])
def test_the_speed_up_is_what_the_times_imply(slower: float) -> None:
    found = equal_accuracy(exact(10.0 * slower, 0.1), rungs())
    assert found is not None
    assert found.speedup.value == pytest.approx(1 / slower)
    assert found.dominated == (slower > 1)
    assert [found.low, found.high] == [near(1 / slower), near(1 / slower)]


def test_bounds_keep_their_flags_and_nothing_is_made_up() -> None:
    coarse, fine = equal_accuracy(exact(0.1, 5.0), rungs()), equal_accuracy(exact(1.0, 1e-4), rungs())
    assert coarse is not None
    assert fine is not None
    assert (coarse.speedup, fine.speedup) == (Bounded(10.0, "<"), Bounded(100.0, ">"))
    assert (coarse.high.flag, fine.low.flag) == ("<", ">")
    assert equal_accuracy(exact(1.0, 0.0), rungs()) is None
    assert equal_accuracy(exact(1.0, float("nan")), rungs()) is None
    assert equal_accuracy(exact(1.0, 1.0), {}) is None


def test_intervals_repeat_and_cover_what_they_should() -> None:
    """Errors of scenes with a spread of a quarter, paired; the truth is that the contestant is twice as fast."""
    covered = 0
    for k in range(60):
        rng = np.random.default_rng(k)
        scene = np.exp(0.25 * rng.normal(size=24))

        def noisy(seconds: float, error: float, rng: np.random.Generator = rng, scene: np.ndarray = scene) -> Measured:
            return Measured(
                error * scene * np.exp(0.1 * rng.normal(size=24)), seconds * np.exp(0.02 * rng.normal(size=12))
            )

        ladder = {str(s): noisy(s, 1 / s) for s in (1.0, 3.0, 10.0, 30.0)}
        mine = noisy(5.0, 0.1)
        found, again = equal_accuracy(mine, ladder, seed=3), equal_accuracy(mine, ladder, seed=3)
        assert found == again
        assert found is not None
        covered += found.low.value <= 2.0 <= found.high.value
    assert 50 <= covered <= 60
