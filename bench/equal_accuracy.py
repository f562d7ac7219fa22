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

Intervals are bootstraps over scenes, paired between contestant and settings, over those of the floor, and over timing samples of
each; an end that falls on a draw in which the front could not answer is a bound as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """A value a scene, the same scenes for all, (B,)."""
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
class _Points:
    """Times and errors of a contestant and of everything that it is held against, errors no lower than the floor."""

    mine: tuple[float, float]
    settings: tuple[tuple[float, float], ...]
    """The ladder, and the reference where it was timed."""

    @property
    def front(self) -> Front:
        return pareto([t for t, _ in self.settings], [e for _, e in self.settings])

    @property
    def speedup(self) -> Bounded:
        exact = [t for t, e in self.settings if e == 0]
        # No error at all: the answer is what makes none, the reference.
        needed = Bounded(min(exact)) if exact and self.mine[1] == 0 else time_at(self.front, self.mine[1])
        return Bounded(needed.value / self.mine[0], needed.flag)

    @property
    def error_ratio(self) -> Bounded:
        at = error_at(self.front, self.mine[0])
        return Bounded(at.value / self.mine[1] if self.mine[1] else float("inf"), at.flag)


def equal_accuracy(
    mine: Measured, ladder: Mapping[str, Measured], truth: Truth | None = None, *, seed: int = 0
) -> EqualAccuracy | None:
    """A contestant against the settings of a ladder and the reference; None without a setting or without an error."""
    rungs = list(ladder.values())
    answers = mine.errors.mean() > 0 or truth is not None
    if not rungs or not np.isfinite(mine.errors).all() or not answers:
        return None
    rng = np.random.default_rng(seed)
    low, high = _ends([points.speedup for points in _drawn(mine, rungs, truth, rng)])
    here = _points(_centre(mine), [_centre(r) for r in rungs], *_centre_of_truth(truth))
    times, errors = ([point[k] for point in here.settings] for k in (0, 1))
    at_floor = truth is not None and len(truth.floor) > 0 and bool(mine.errors.mean() <= truth.floor.mean())
    return EqualAccuracy(
        here.speedup, low, high, here.error_ratio, dominated(times, errors, here.mine), at_floor=at_floor
    )


def _points(
    mine: tuple[float, float], rungs: Sequence[tuple[float, float]], reference: float | None, floor: float
) -> _Points:
    settings = [*rungs, *([] if reference is None else [(reference, floor)])]
    return _Points((mine[0], max(mine[1], floor)), tuple((t, max(e, floor)) for t, e in settings))


def _centre(one: Measured) -> tuple[float, float]:
    return float(np.median(one.seconds)), float(one.errors.mean())


def _centre_of_truth(truth: Truth | None) -> tuple[float | None, float]:
    if truth is None:
        return None, 0.0
    return float(np.median(truth.seconds)), float(truth.floor.mean()) if len(truth.floor) else 0.0


def _drawn(
    mine: Measured, rungs: Sequence[Measured], truth: Truth | None, rng: np.random.Generator
) -> Iterator[_Points]:
    """Resampled points: the same scenes for all, those of the floor on their own, timing samples of each."""
    scenes = rng.integers(0, len(mine.errors), (DRAWS, len(mine.errors)))
    everyone = [
        list(zip(_medians(one.seconds, rng), one.errors[scenes].mean(1).tolist(), strict=True))
        for one in (mine, *rungs)
    ]
    references: list[float | None] = [None] * DRAWS if truth is None else list(_medians(truth.seconds, rng))
    floors = [0.0] * DRAWS
    if truth is not None and len(truth.floor):
        floors = truth.floor[rng.integers(0, len(truth.floor), (DRAWS, len(truth.floor)))].mean(1).tolist()
    for own, *others, reference, floor in zip(*everyone, references, floors, strict=True):
        yield _points(own, others, reference, floor)


def _medians(seconds: np.ndarray, rng: np.random.Generator) -> list[float]:
    picked = rng.integers(0, len(seconds), (DRAWS, len(seconds)))
    medians: list[float] = np.median(seconds[picked], axis=1).tolist()
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

    The errors are those of the split, of several training seeds their mean; the reference itself is not compared. `floors` are the
    references' own errors by domain, as bench/floor.py gives them.
    """
    errors = _errors([s for s in scores if s.split == split and s.failure is None])
    held = {name: samples_of(floor, METRIC) for name, floor in (floors or {}).items()}
    return [
        {**entry, "speedup_equal_accuracy": _of_entry(entry, speed, errors, held.get(entry["domain"], {}))}
        for entry in speed
    ]


def _errors(scores: Sequence[Score]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """By domain and model: a value a scene for every reduction of METRIC that is defined."""
    held: dict[tuple[str, str], list[dict[str, np.ndarray | None]]] = {}
    for score in scores:
        curve = next((c for name, c in score.curves.items() if name.startswith(f"{METRIC}@")), None)
        if curve is not None:
            held.setdefault((score.domain, score.model), []).append(reductions(curve))
    return {who: _mean_of_seeds(seeds) for who, seeds in held.items()}


def _mean_of_seeds(seeds: Sequence[Mapping[str, np.ndarray | None]]) -> dict[str, np.ndarray]:
    held = {name: [v for s in seeds if (v := s[name]) is not None] for name in seeds[0]}
    return {name: np.mean(np.stack(values), axis=0) for name, values in held.items() if values}


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
