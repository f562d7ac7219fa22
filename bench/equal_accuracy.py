"""Speed-up at equal accuracy: how much time the cheapest simulator setting takes that errs no more than a contestant does.

    T_sim(ε)  = time of the cheapest setting on the Pareto front of (time, error) with error ≤ ε,
                between settings by straight lines in the logarithms of both
    S_acc     = T_sim(error of the contestant) / time of the contestant
    A_time    = error of the front at the contestant's time / error of the contestant

The reference stands on the front with its own error, the floor (bench/floor.py): what it differs by from its refined run. Errors
below the floor cannot be told apart, so all of them count as the floor; a contestant there is `at_floor`, and its rival is the
cheapest setting there. Without a floor the reference answers for an error of exactly zero alone.

Nothing is extrapolated. Where the front cannot answer, the figure is a bound and its flag says of which kind: "<", the contestant
errs more than the coarsest setting, so that an even cheaper one would do; ">", it errs less than the finest setting that has an
error, so that more than that one's time is needed. `dominated`: a setting is no slower and no less accurate, and better in one.
After McGreivy & Hakim 2024 (arXiv:2407.07218): equal accuracy, and an efficient rival.

Intervals are bootstraps over training seeds and scenes, the latter paired between contestant and settings, over the scenes of the
floor, and over timing samples of each; an end that falls on a draw in which the front could not answer is a bound as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .floor import SPLIT, samples_of
from .reduce import CONFIDENCE, DRAWS, reductions
from .score import Score

METRIC = "observable_error"
"""What is held equal: the error of the one field that is defined at every resolution."""
HEADLINE = "mean"
"""Over the whole horizon, as the time is that of a whole rollout; every shown frame stands beside it."""

LESS, MORE, EXACT = "<", ">", ""


@dataclass(frozen=True)
class Bounded:
    """A figure, or a bound on it."""

    value: float
    flag: str = EXACT
    """"" for a figure, "<" when it is at most the value, ">" when it is at least the value."""

    def to_dict(self) -> dict[str, float | str]:
        """Plain data for JSON."""
        return {"value": self.value, "flag": self.flag}


@dataclass(frozen=True)
class Front:
    """Settings that no other beats in both time and error, cheapest first: times rise, errors fall."""

    seconds: np.ndarray
    """(n,), positive."""
    error: np.ndarray
    """(n,), positive."""


def pareto(seconds: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray) -> Front:
    """The front of some settings; those without a positive, finite time and error are left out.

    A setting of no error (the reference against itself) has no logarithm, and is what bounds beyond the front are about.
    """
    time, wrong = np.asarray(seconds, float), np.asarray(error, float)
    fit = np.isfinite(time) & np.isfinite(wrong) & (time > 0) & (wrong > 0)
    time, wrong = time[fit], wrong[fit]
    order = np.lexsort((wrong, time))
    time, wrong = time[order], wrong[order]
    best = np.concatenate([[np.inf], np.minimum.accumulate(wrong)[:-1]]) if len(wrong) else wrong
    kept = wrong < best
    return Front(time[kept], wrong[kept])


def time_at(front: Front, error: float) -> Bounded:
    """T_sim: time [s] of the cheapest setting that errs no more than this; a bound outside the front.

    NaN, flagged ">", for an empty front.
    """
    if not len(front.error):
        return Bounded(float("nan"), MORE)
    if error >= front.error[0]:
        # At the coarsest setting's own error the answer is that setting; above it, something cheaper.
        return Bounded(float(front.seconds[0]), EXACT if error == front.error[0] else LESS)
    if error < front.error[-1]:
        return Bounded(float(front.seconds[-1]), MORE)
    return Bounded(_between(-np.log(front.error), np.log(front.seconds), -np.log(error)))


def error_at(front: Front, seconds: float) -> Bounded:
    """Error of the front at a time [s]; a bound outside it: ">" before its cheapest setting, "<" after its dearest."""
    if not len(front.error):
        return Bounded(float("nan"), LESS)
    if seconds < front.seconds[0]:
        return Bounded(float(front.error[0]), MORE)
    if seconds >= front.seconds[-1]:
        return Bounded(float(front.error[-1]), EXACT if seconds == front.seconds[-1] else LESS)
    return Bounded(_between(np.log(front.seconds), np.log(front.error), np.log(seconds)))


def _between(x: np.ndarray, y: np.ndarray, at: float) -> float:
    """The straight line between the two neighbours, exponentiated; x rises."""
    return float(np.exp(np.interp(at, x, y)))


def dominated(
    seconds: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray, mine: tuple[float, float]
) -> bool:
    """Whether some setting takes no more time and errs no more than (time, error), and betters one of them."""
    time, wrong = np.asarray(seconds, float), np.asarray(error, float)
    as_good = (time <= mine[0]) & (wrong <= mine[1])
    better = (time < mine[0]) | (wrong < mine[1])
    return bool((as_good & better).any())


@dataclass(frozen=True)
class Measured:
    """What is known of a contestant or of a setting: its errors and its times."""

    errors: np.ndarray
    """A value a scene, the same scenes for all, (B,), or a training seed and scene, (S, B)."""
    seconds: np.ndarray
    """Timing samples of the same work for all [s], (n,)."""


@dataclass(frozen=True)
class Truth:
    """What is known of the reference itself."""

    seconds: np.ndarray
    """Timing samples of the same work [s], (n,)."""
    floor: np.ndarray
    """Its own error, a value a scene of some scenes, (F,); empty where it was not measured."""


@dataclass(frozen=True)
class EqualAccuracy:
    """One contestant against a ladder."""

    speedup: Bounded
    """S_acc."""
    low: Bounded
    high: Bounded
    """Ends of its interval."""
    error_ratio: Bounded
    """A_time: above one the front errs more in the same time."""
    dominated: bool
    at_floor: bool
    """Its error is no more than the reference's own."""

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON: value, low and high with flags, the error ratio at equal time, dominated, at_floor."""
        return {
            "value": self.speedup.value,
            "low": self.low.value,
            "high": self.high.value,
            "flag": self.speedup.flag,
            "low_flag": self.low.flag,
            "high_flag": self.high.flag,
            "error_ratio_equal_time": self.error_ratio.to_dict(),
            "dominated": self.dominated,
            "at_floor": self.at_floor,
        }


@dataclass(frozen=True)
class _Draws:
    """Times and errors of a contestant and of all that it is held against, drawn D times; errors are no lower than the floor."""

    seconds: np.ndarray
    """Of the contestant, (D,)."""
    error: np.ndarray
    rivals_seconds: np.ndarray
    """Of the settings, and of the reference where it was timed, (D, K)."""
    rivals_error: np.ndarray

    @property
    def speedups(self) -> list[Bounded]:
        """S_acc of each draw."""
        needed, flags = times_at(self.rivals_seconds, self.rivals_error, self.error)
        return [Bounded(t, f) for t, f in zip((needed / self.seconds).tolist(), flags, strict=True)]


def times_at(seconds: np.ndarray, errors: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """T_sim on many fronts at once: seconds and errors (D, K) of settings, wanted (D,) → seconds (D,) and flags; see `time_at`.

    For an error of zero, the time of what makes none.
    """
    order = np.lexsort((errors, seconds), axis=-1)
    time, error = (np.take_along_axis(x, order, -1) for x in (seconds, errors))
    none = np.where(error == 0, time, np.inf).min(-1)
    error = np.where(np.isfinite(time) & np.isfinite(error) & (time > 0) & (error > 0), error, np.inf)
    before = np.concatenate([np.full((len(error), 1), np.inf), np.minimum.accumulate(error, -1)[:, :-1]], -1)
    front = error < before
    good, coarse = front & (error <= wanted[:, None]), front & (error > wanted[:, None])
    rows = np.arange(len(time))
    fine, rough = good.argmax(-1), _last(coarse)
    found = np.where(front.any(-1), time[rows, _last(front)], np.nan)
    flags = np.full(len(time), MORE, dtype=object)
    alone = good.any(-1) & ~coarse.any(-1)
    found = np.where(good.any(-1), time[rows, fine], found)
    flags[alone] = np.where(error[rows, fine] == wanted, EXACT, LESS)[alone]
    both = np.flatnonzero(good.any(-1) & coarse.any(-1))
    i, j = fine[both], rough[both]
    share = np.log(error[both, j] / wanted[both]) / np.log(error[both, j] / error[both, i])
    found[both] = time[both, j] * (time[both, i] / time[both, j]) ** share
    flags[both] = EXACT
    exact = (wanted == 0) & np.isfinite(none)
    return np.where(exact, none, found), np.where(exact, EXACT, flags).tolist()


def _last(mask: np.ndarray) -> np.ndarray:
    """The last column in which each row of a mask (D, K) holds."""
    found: np.ndarray = mask.shape[1] - 1 - mask[:, ::-1].argmax(-1)
    return found


def equal_accuracy(
    mine: Measured, ladder: Mapping[str, Measured], truth: Truth | None = None, *, seed: int = 0
) -> EqualAccuracy | None:
    """A contestant against the settings of a ladder and the reference; None without a setting or without an error."""
    rungs = list(ladder.values())
    answers = mine.errors.mean() > 0 or truth is not None
    if not rungs or not np.isfinite(mine.errors).all() or not answers:
        return None
    low, high = _ends(_drawn(mine, rungs, truth, np.random.default_rng(seed)).speedups)
    here = _measured(mine, rungs, truth)
    times, errors, own = here.rivals_seconds[0], here.rivals_error[0], (float(here.seconds[0]), float(here.error[0]))
    at_floor = truth is not None and len(truth.floor) > 0 and bool(mine.errors.mean() <= truth.floor.mean())
    at = error_at(pareto(times, errors), own[0])
    ratio = Bounded(at.value / own[1] if own[1] else float("inf"), at.flag)
    return EqualAccuracy(here.speedups[0], low, high, ratio, dominated(times, errors, own), at_floor=at_floor)


def _measured(mine: Measured, rungs: Sequence[Measured], truth: Truth | None) -> _Draws:
    """What was measured, as the one draw that it is."""
    timed = [one.seconds for one in (mine, *rungs)] + ([] if truth is None else [truth.seconds])
    floor = truth.floor.mean() if truth is not None and len(truth.floor) else 0.0
    return _held_up(
        np.array([[np.median(seconds) for seconds in timed]]),
        np.array([[one.errors.mean() for one in (mine, *rungs)]]),
        np.array([floor]),
    )


def _drawn(mine: Measured, rungs: Sequence[Measured], truth: Truth | None, rng: np.random.Generator) -> _Draws:
    """Resampled: the same scenes for all, seeds of each, scenes of the floor on their own, timing samples of each."""
    number = np.atleast_2d(mine.errors).shape[1]
    scenes = rng.integers(0, number, (DRAWS, number))
    timed, errors = list[np.ndarray](), list[np.ndarray]()
    for one in (mine, *rungs):
        timed.append(_medians(one.seconds, rng))
        errors.append(_means(np.atleast_2d(one.errors), scenes, rng))
    floors = np.zeros(DRAWS)
    if truth is not None:
        timed.append(_medians(truth.seconds, rng))
        if len(truth.floor):
            floors = truth.floor[rng.integers(0, len(truth.floor), (DRAWS, len(truth.floor)))].mean(1)
    return _held_up(np.stack(timed, 1), np.stack(errors, 1), floors)


def _held_up(seconds: np.ndarray, errors: np.ndarray, floor: np.ndarray) -> _Draws:
    """Draws with errors no lower than the floor (D,); where there are more times than errors, the last are the reference's."""
    if seconds.shape[1] > errors.shape[1]:
        errors = np.concatenate([errors, floor[:, None]], 1)
    errors = np.maximum(errors, floor[:, None])
    return _Draws(seconds[:, 0], errors[:, 0], seconds[:, 1:], errors[:, 1:])


def _means(errors: np.ndarray, scenes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of errors (seeds, scenes) over drawn scenes (D, scenes), and over seeds drawn anew where there are several."""
    seeds = rng.integers(0, len(errors), (len(scenes), len(errors)))
    means: np.ndarray = errors[seeds[:, :, None], scenes[:, None, :]].mean((1, 2))
    return means


def _medians(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    medians: np.ndarray = np.median(seconds[rng.integers(0, len(seconds), (DRAWS, len(seconds)))], axis=1)
    return medians


def _ends(drawn: Sequence[Bounded]) -> tuple[Bounded, Bounded]:
    """The interval's ends: quantiles of the values, each with the flag of the draw that it falls on."""
    order = sorted(drawn, key=lambda b: b.value)
    tail = (1 - CONFIDENCE) / 2
    low, high = (order[round(share * (len(order) - 1))] for share in (tail, 1 - tail))
    return low, high


def with_equal_accuracy(
    speed: Sequence[Mapping[str, Any]],
    scores: Sequence[Score],
    floors: Mapping[str, Mapping[str, Any] | None] | None = None,
    split: str = SPLIT,
) -> list[dict[str, Any]]:
    """Timing entries with their speed-up at equal accuracy against the timed settings of their domain, where both are known.

    The errors are those of the split, over all training seeds; the reference itself is not compared. `floors` are the
    references' own errors by domain, as bench/floor.py gives them.
    """
    errors = _errors([s for s in scores if s.split == split and s.failure is None])
    held = {name: samples_of(floor, METRIC) for name, floor in (floors or {}).items()}
    return [
        {**entry, "speedup_equal_accuracy": _of_entry(entry, speed, errors, held.get(entry["domain"], {}))}
        for entry in speed
    ]


def _errors(scores: Sequence[Score]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """By domain and model: values (seeds, scenes) for every reduction of METRIC that is defined."""
    held: dict[tuple[str, str], list[dict[str, np.ndarray | None]]] = {}
    for score in scores:
        curve = next((c for name, c in score.curves.items() if name.startswith(f"{METRIC}@")), None)
        if curve is not None:
            held.setdefault((score.domain, score.model), []).append(reductions(curve))
    return {who: _stacked(seeds) for who, seeds in held.items()}


def _stacked(seeds: Sequence[Mapping[str, np.ndarray | None]]) -> dict[str, np.ndarray]:
    held = {name: [v for s in seeds if (v := s[name]) is not None] for name in seeds[0]}
    return {name: np.stack(values) for name, values in held.items() if values}


def _of_entry(
    entry: Mapping[str, Any],
    speed: Sequence[Mapping[str, Any]],
    errors: Mapping[tuple[str, str], dict[str, np.ndarray]],
    floor: Mapping[str, np.ndarray],
) -> dict[str, Any] | None:
    mine = errors.get((entry["domain"], entry["model"]))
    if mine is None or entry["kind"] == "reference":
        return None
    rivals = [s for s in speed if s["domain"] == entry["domain"]]
    rungs = [s for s in rivals if s["kind"] == "ladder"]
    reference = next((s for s in rivals if s["kind"] == "reference"), None)

    def at(horizon: str) -> dict[str, Any] | None:
        known = {r["model"]: errors.get((r["domain"], r["model"]), {}).get(horizon) for r in rungs}
        ladder = {r["model"]: Measured(e, _samples(r)) for r in rungs if (e := known[r["model"]]) is not None}
        truth = None if reference is None else Truth(_samples(reference), floor.get(horizon, np.empty(0)))
        found = equal_accuracy(Measured(mine[horizon], _samples(entry)), ladder, truth)
        return None if found is None else found.to_dict()

    found = {horizon: at(horizon) for horizon in mine}
    headline = found.get(HEADLINE)
    return None if headline is None else {**headline, "horizon": HEADLINE, "by_frame": found}


def _samples(entry: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(entry["latency"]["samples_s"], float)
