"""Speed-up at equal accuracy on fronts with known answers: monotone, free of scale, never extrapolated."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hedgefox.bench.equal_accuracy import (
    Bounded,
    Measured,
    Truth,
    dominated,
    equal_accuracy,
    error_at,
    pareto,
    time_at,
    times_at,
)

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


def truth(seconds: float, floor: float | None = None) -> Truth:
    return Truth(np.full(5, seconds), np.empty(0) if floor is None else np.full(4, floor))


def test_a_reference_with_a_sleep_in_it_gets_what_the_sleep_implies() -> None:
    slept = exact(400.0 + 100.0, 0.0)
    for known in (truth(400.0), truth(400.0, 0.002)):
        found = equal_accuracy(slept, rungs(), known)
        assert found is not None
        assert found.speedup == near(400 / 500)
        assert found.dominated
        assert found.at_floor == bool(len(known.floor))


def test_below_the_floor_nothing_can_be_told_apart() -> None:
    """The setting of error 0.01 is at a floor of 0.02 and is the cheapest there; the reference is dearer and no better."""
    for error in (0.0, 0.005, 0.02):
        found = equal_accuracy(exact(50.0, error), rungs(), truth(400.0, 0.02))
        assert found is not None
        assert found.speedup == near(100.0 / 50.0)
        assert found.at_floor
        assert not found.dominated
    above = equal_accuracy(exact(50.0, 0.05), rungs(), truth(400.0, 0.02))
    assert above is not None
    assert not above.at_floor
    assert 10 / 50 < above.speedup.value < 100 / 50


def test_with_a_floor_the_front_reaches_the_reference() -> None:
    """A floor below all settings ends the front: nothing is a bound upwards any more."""
    bare, ended = (equal_accuracy(exact(1.0, 0.001), rungs(), truth(1000.0, floor)) for floor in (None, 0.0005))
    assert bare is not None
    assert ended is not None
    assert bare.speedup == Bounded(100.0, ">")
    assert ended.speedup.flag == ""
    assert 100 < ended.speedup.value < 1000


def test_the_floor_only_ever_helps_the_rival() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        seconds, error = random_front(rng)
        ladder = rungs(tuple(seconds), tuple(error))
        mine = exact(1.0, float(np.exp(rng.normal())))
        low, high = sorted(np.exp(rng.normal(-1, 1, 2)))
        ends = [equal_accuracy(mine, ladder, truth(1e3, floor)) for floor in (low, high)]
        if all(e is not None and e.at_floor for e in ends):
            assert ends[1].speedup.value <= ends[0].speedup.value * (1 + 1e-12)  # type: ignore[union-attr]


def test_many_fronts_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    seconds, errors = (np.exp(rng.normal(0, 1, (400, 6))) for _ in range(2))
    errors[rng.random(errors.shape) < 0.1] = 0.0
    errors[rng.random(errors.shape) < 0.05] = np.nan
    seconds[:, 1] = seconds[:, 0]  # equal times
    errors[::7, 2] = errors[::7, 3]
    wanted = np.where(rng.random(400) < 0.3, errors[:, 4], np.exp(rng.normal(0, 2, 400)))
    wanted = np.where(np.isfinite(wanted) & (wanted > 0), wanted, 0.5)
    found, flags = times_at(seconds, errors, wanted)
    assert set(flags) == {"", "<", ">"}
    for k in range(400):
        alone = time_at(pareto(seconds[k], errors[k]), float(wanted[k]))
        assert flags[k] == alone.flag
        assert found[k] == pytest.approx(alone.value, nan_ok=True)


def test_seeds_that_differ_widen_the_interval() -> None:
    ladder, scenes = rungs(), np.full(8, 0.1)
    alike = Measured(np.stack([scenes, scenes, scenes]), np.full(5, 10.0))
    apart = Measured(np.stack([0.5 * scenes, scenes, 1.5 * scenes]), np.full(5, 10.0))
    one, other = equal_accuracy(alike, ladder), equal_accuracy(apart, ladder)
    assert one is not None
    assert other is not None
    assert one.speedup == other.speedup == near(1.0)
    assert one.high.value - one.low.value < 1e-9
    assert other.low.value < 0.8
    assert other.high.value > 1.2


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
