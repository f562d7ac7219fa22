"""What one task's samples say: seconds per call, their spread, and flags for all that makes them less than they seem.

Nothing is retried and nothing is dropped: noise is shown. What each flag means, with its threshold:

    not_steady      the warm-up hit its ceiling before two calls in a row agreed within STEADY, and the first two samples, which
                    follow it, do not agree either (a slow task is called once to warm up, which can agree with nothing)
    few_samples     fewer samples than asked for or than ENOUGH_SAMPLES, or samples shorter than ENOUGH_SECONDS
    noisy           the quartiles are further apart than NOISY of the median
    drift           the medians of the first and second half of the samples differ by more than DRIFT of the whole median, and the
                    quartiles of the halves do not overlap; said of DRIFT_SAMPLES or more
    waiting         on a CPU, core-seconds are less than WAITING of the wall clock: the task slept, or other processes had the core
    throttled       the driver said, after a sample, that it holds the clock frequency down (power or heat)
    host_bound      the device did not work all the time: see `Timing.host_bound`
    foreign_stream  the device worked on after torch's stream was done: see `Timing.foreign_stream`
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

STEADY = 0.05
"""Warm-up ends when two calls in a row differ by less than this share."""

ENOUGH_SAMPLES = 30
ENOUGH_SECONDS = 0.1
"""What recorded tracks ask: 30 samples give an interval of about 1.3 % at 1 % noise, and 100 ms hide the clock's own cost."""

LEEWAY = 0.9
"""Repeats are planned from one call, so that a sample may come out shorter than planned by this factor."""

NOISY, DRIFT, WAITING = 0.10, 0.05, 0.8
DRIFT_SAMPLES = 8
"""With fewer, the quartiles of two halves part by chance too often (2 of 70 times at 8 samples, 2 of 6 at 4)."""

EVENTS_MISS = 0.05
"""Share of the wall clock that the device may be without work, or torch's events without the device's work."""


@dataclass
class Timing:
    """Raw and summed-up seconds per call of one task."""

    first_call: float
    """The very first call, compilation included [s]."""
    warmup_calls: int
    steady: bool
    """False when the warm-up hit its ceiling before two calls agreed."""
    repeats: int
    """Calls in one sample."""
    wanted: int
    """Samples to be taken: as many as asked for, or what the ceiling on time allows."""
    samples: list[float] = field(default_factory=list)
    """Wall-clock seconds per call, one entry a sample."""
    cpu_samples: list[float] = field(default_factory=list)
    """Core-seconds per call, one entry a sample."""
    asked: int = 0
    """Samples asked for."""
    event_samples: list[float] = field(default_factory=list)
    """Seconds per call between two events on torch's current stream, one entry a sample; none on a CPU."""
    after_events: list[float] = field(default_factory=list)
    """Seconds per call that the device still worked after the second event had passed; none on a CPU."""
    busy: float | None = None
    """Seconds of one call in which any kernel of this process ran, on whatever stream; None where nothing can tell."""
    throttled: int = 0
    """Samples after which the driver said that it holds the clock frequency down."""

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.samples))

    @property
    def noise(self) -> float:
        """Distance of the quartiles over the median."""
        low, high = np.percentile(self.samples, [25, 75])
        return float(high - low) / max(self.median, 1e-12)

    @property
    def foreign_stream(self) -> bool:
        """More than EVENTS_MISS of the wall clock passed in the last synchronisation after the end event had been reached.

        Launching is over by then, so launch overhead cannot be why: kernels ran on a stream that torch does not know, as those
        of Warp and Taichi may. A time by torch's events alone would have missed them.
        """
        return bool(self.after_events) and _share(self.after_events, self.samples) > EVENTS_MISS

    @property
    def host_bound(self) -> bool:
        """The wall clock, less what was spent after the end event, exceeds the events or the busy time by EVENTS_MISS of itself.

        Events span the gaps between kernels, in which the device waits for the next launch: over a whole sample they nearly
        always agree with the wall clock. The busy time has no gaps in it, so that it is what shows launch overhead; it counts
        all streams, so that the whole wall clock is held against it.
        """
        if not self.event_samples:
            return False
        gap = np.array(self.samples) - np.array(self.after_events) - np.array(self.event_samples)
        idle = 0.0 if self.busy is None else 1 - self.busy / max(self.median, 1e-12)
        return max(_share(gap, self.samples), idle) > EVENTS_MISS

    @property
    def drift(self) -> float | None:
        """Median of the second half of the samples less that of the first, over the whole median; None of too few samples."""
        if len(self.samples) < DRIFT_SAMPLES:
            return None
        first, second = self._halves()
        return float(np.median(second) - np.median(first)) / max(self.median, 1e-12)

    def _halves(self) -> tuple[list[float], list[float]]:
        half = len(self.samples) // 2
        return self.samples[:half], self.samples[-half:]

    def _drifts(self) -> bool:
        drift = self.drift
        if drift is None or abs(drift) <= DRIFT:
            return False
        earlier, later = self._halves() if drift > 0 else self._halves()[::-1]
        return bool(np.percentile(earlier, 75) < np.percentile(later, 25))

    def _settled(self) -> bool:
        first, second = (*self.samples, *self.samples)[:2]
        agree = len(self.samples) > 1 and abs(first - second) <= STEADY * min(first, second)
        return self.steady or agree

    def _few(self) -> bool:
        few = len(self.samples) < max(self.asked, ENOUGH_SAMPLES)
        return few or self.median * self.repeats < LEEWAY * ENOUGH_SECONDS

    def _waits(self) -> bool:
        return not self.event_samples and float(np.median(self.cpu_samples)) < WAITING * self.median

    @property
    def flags(self) -> list[str]:
        """What is to be known of these samples; the module says what each flag means."""
        shown = {
            "not_steady": not self._settled(),
            "few_samples": self._few(),
            "noisy": self.noise > NOISY,
            "drift": self._drifts(),
            "waiting": self._waits(),
            "throttled": self.throttled > 0,
            "host_bound": self.host_bound,
            "foreign_stream": self.foreign_stream,
        }
        return [name for name, holds in shown.items() if holds]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON, the raw samples included; what only a device has is None without one."""
        low, high, late = np.percentile(self.samples, [25, 75, 95])
        return {
            "first_call_s": self.first_call,
            "compile_s": max(0.0, self.first_call - self.median),
            "warmup_calls": self.warmup_calls,
            "steady": self.steady,
            "repeats": self.repeats,
            "asked_samples": self.asked,
            "samples_s": self.samples,
            "core_samples_s": self.cpu_samples,
            "event_samples_s": self.event_samples or None,
            "after_events_s": self.after_events or None,
            "busy_s": self.busy,
            "median_s": self.median,
            "q25_s": float(low),
            "q75_s": float(high),
            "p95_s": float(late),
            "core_median_s": float(np.median(self.cpu_samples)),
            "noise": self.noise,
            "drift": self.drift,
            "flags": self.flags,
        }


def _share(part: list[float] | np.ndarray, whole: list[float]) -> float:
    return float(np.median(part)) / max(float(np.median(whole)), 1e-12)
