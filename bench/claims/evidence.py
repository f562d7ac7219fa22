"""What claims are judged by: the board, the curves and the probes of all records, and how two contestants are told apart."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import MisuseError
from .. import curves, leaderboard
from ..explain import sources as _sources
from ..leaderboard import Entry
from ..pool import pooled
from ..reduce import DRAWS, Estimate, _ends, reductions
from ..score import Score

SUPPORTED, REFUTED, UNDECIDED, UNTESTED, MIXED = "supported", "refuted", "undecided", "untested", "mixed"

FEW_SEEDS = 3
"""With fewer training seeds than this an interval says nothing of how trainings differ."""
SEED_SPREAD = 0.1
"""Share of the error by which equal trainings have been seen to differ: two runs of one training, 9 % (results/LOG.md)."""

LEARNED = ("specialist", "generalist", "hybrid")


@dataclass(frozen=True)
class Figure:
    """A number that a verdict rests on."""

    track: str
    domain: str
    split: str
    what: str
    value: Mapping[str, Any] | float | None
    """An estimate with its interval, or a plain number."""
    seeds: str = ""
    """Training seeds behind it."""
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the records say of a claim."""

    status: str
    why: str
    by_domain: Mapping[str, str] = field(default_factory=dict)
    """The verdict in each domain that was tested."""
    figures: Sequence[Figure] = ()
    tracks: Sequence[str] = ()
    """Those that it was decided on."""
    device: str = ""
    """What was timed on, where times decide."""


@dataclass(frozen=True)
class Difference:
    """Error of one contestant less that of another on the same scenes, as a share of the other's error."""

    share: Estimate
    seeds: tuple[int, int]
    """Training seeds of either; 0 for what is not trained."""

    def decided(self, margin: float = 0.0) -> int:
        """1: errs more by over `margin` (a share); -1: errs less than that; 0: undecided.

        Where a side has fewer than FEW_SEEDS training seeds, the whole interval must clear SEED_SPREAD as well.
        """
        low, high = self.share.low, self.share.high
        if low is None or high is None:
            return 0
        slack = SEED_SPREAD if any(0 < n < FEW_SEEDS for n in self.seeds) else 0.0
        return 1 if low > margin + slack else -1 if high < margin - slack else 0


class Evidence:
    """Everything under a folder of records, read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read = _sources.every(folder)
        self.pooled = pooled(self.read)
        self.entries = leaderboard.board_of(self.pooled)
        self._curves: dict[tuple[str, ...], dict[str, np.ndarray] | None] = {}
        self._scores: dict[Path, dict[tuple[str, str, str], list[Score]]] = {}

    @functools.cached_property
    def tracks(self) -> list[str]:
        """Names of tracks, those with the most training steps first."""
        steps = {r["track"]["name"]: r["track"]["training_steps"] for r in self.pooled}
        return sorted(steps, key=lambda name: (-steps[name], name))

    @functools.cached_property
    def places(self) -> dict[tuple[str, str, str], dict[str, Entry]]:
        """By track, domain and split: the newest entry of each contestant."""
        found: dict[tuple[str, str, str], dict[str, Entry]] = {}
        for e in sorted(self.entries, key=lambda e: e.made):
            found.setdefault((e.row["track"], e.row["domain"], e.row["split"]), {})[e.row["model"]] = e
        return dict(sorted(found.items()))

    def on(self, track: str, split: str = "test") -> dict[str, dict[str, Entry]]:
        """By domain, the contestants of a track on a split."""
        return {domain: held for (t, domain, s), held in self.places.items() if (t, s) == (track, split)}

    def records_of(self, *entries: Entry) -> tuple[str, ...]:
        """Where the records of some entries lie, below the folder."""
        paths = {Path(f) for e in entries for f in e.folders}
        return tuple(sorted(p.relative_to(self.folder).as_posix() if p != self.folder else "." for p in paths))

    def device(self, entry: Entry) -> str:
        """The device of an entry's timing."""
        assert entry.speed is not None
        return str(_sources.timed_in(self.read, entry.speed)[1]["device"])

    def samples(self, entry: Entry, metric: str, reduction: str) -> np.ndarray | None:
        """Values (seeds, scenes) of a metric at a shown frame, from curves; None without curves or without the metric."""
        row = entry.row
        key = (row["track"], row["domain"], row["split"], row["model"], entry.made, metric)
        if key not in self._curves:
            self._curves[key] = self._reduced(entry, metric)
        held = self._curves[key]
        return None if held is None else held.get(reduction)

    def _reduced(self, entry: Entry, metric: str) -> dict[str, np.ndarray] | None:
        row, held = entry.row, dict[int | None, Score]()
        for source in _sources.sources(self.read, entry):
            for score in self._held(*source).get((row["domain"], row["split"], row["model"]), []):
                held.setdefault(score.seed, score)
        known = [c for s in held.values() if (c := _sources.with_metric(s, metric)) is not None]
        if not known:
            return None
        every = [reductions(c) for c in known]
        return {n: np.stack([r[n] for r in every]) for n in every[0] if every[0][n] is not None}  # type: ignore[misc]

    def _held(self, folder: Path, record: Mapping[str, Any]) -> Mapping[tuple[str, str, str], list[Score]]:
        """The curves of one record, read once."""
        if folder not in self._scores:
            found = self._scores.setdefault(folder, {})
            try:
                for s in curves.read(_sources.curves_path(folder, record)):
                    found.setdefault((s.domain, s.split, s.model), []).append(s)
            except MisuseError:  # a record without its curves has figures and no samples
                pass
        return self._scores[folder]

    @functools.cached_property
    def size_ratios(self) -> list[dict[str, Any]]:
        """What sweeps of sizes say, as bench/scaling/size_law.py."""
        from ..scaling.size_law import survey

        return survey(self.folder)["ratios"]

    def difference(self, a: Entry, b: Entry, reduction: str | None = None) -> Difference | None:
        """How much more `a` errs than `b`, paired by scene, at the frame that they are ranked by; None where not on one footing."""
        if a.comparable != b.comparable:
            return None
        frame = reduction or leaderboard.ranked_at(a.row, a.floor)
        left, right = (self.samples(e, "position_rmse", frame) for e in (a, b))
        if left is None or right is None or left.shape[1] != right.shape[1]:
            return None
        if not right.mean() > 0:
            return None
        return Difference(relative(left, right), (a.row["seeds"] or 0, b.row["seeds"] or 0))

    def ratio(self, entry: Entry, over: str, under: str, reduction: str) -> Estimate | None:
        """Mean of one metric over the mean of another of the same contestant, scenes and seeds resampled together."""
        top, bottom = (self.samples(entry, name, reduction) for name in (over, under))
        if top is None or bottom is None or not bottom.mean() > 0:
            return None
        value = float(top.mean() / bottom.mean())
        if top.shape[1] < 2:
            return Estimate(value, None, None)
        rng = np.random.default_rng(0)
        seeds = rng.integers(0, top.shape[0], (DRAWS, top.shape[0]))[:, :, None]
        scenes = rng.integers(0, top.shape[1], (DRAWS, top.shape[1]))[:, None, :]
        drawn = top[seeds, scenes].mean((1, 2)) / bottom[seeds, scenes].mean((1, 2))
        return Estimate(value, *_ends(drawn))

    def figure(self, entry: Entry, what: str, value: Any, *others: Entry) -> Figure:
        """A figure of an entry, or of it beside others."""
        every = (entry, *others)
        told = [str(e.row["seeds"] or "–") for e in every]
        seeds = " / ".join(told if len(told) < FEW_SEEDS else sorted(set(told)))
        row = entry.row
        return Figure(row["track"], row["domain"], row["split"], what, value, seeds, self.records_of(*every))

    def compared(self, a: Entry, b: Entry, difference: Difference) -> Figure:
        """The figure of a difference."""
        frame = leaderboard.ranked_at(a.row, a.floor)
        what = f"error of {a.row['model']} less that of {b.row['model']}, share of the latter, frame {frame}"
        return self.figure(a, what, difference.share.to_dict(), b)


def relative(a: np.ndarray, b: np.ndarray) -> Estimate:
    """mean(a) / mean(b) - 1 of two arrays (seeds, scenes) on the same scenes, positive, with its interval.

    Scenes are resampled together for both, the seeds of each on their own, as in bench/paired.py. A ratio of resampled means, and
    not a difference over a fixed mean, stays above -1 as errors do.
    """
    value = float(a.mean() / b.mean() - 1)
    if a.shape[1] < 2:
        return Estimate(value, None, None)
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, a.shape[1], (DRAWS, a.shape[1]))[:, None, :]
    top, bottom = (x[rng.integers(0, len(x), (DRAWS, len(x)))[:, :, None], scenes].mean((1, 2)) for x in (a, b))
    return Estimate(value, *_ends(top[bottom > 0] / bottom[bottom > 0] - 1))


def best(entries: Iterable[Entry]) -> Entry | None:
    """The one that errs least, by what the board sorts by; the name breaks ties."""
    known = [e for e in entries if leaderboard.shown(e.row, e.floor) is not None]
    return min(known, key=lambda e: (leaderboard.error(e.row, e.floor), e.row["model"]), default=None)


def of_kind(held: Mapping[str, Entry], *kinds: str) -> list[Entry]:
    """The entries of some kinds, by name."""
    return [held[name] for name in sorted(held) if held[name].row["kind"] in kinds]


def joined(by_domain: Mapping[str, str]) -> str:
    """One status for several domains: the common one, or MIXED."""
    found = set(by_domain.values())
    return UNTESTED if not found else found.pop() if len(found) == 1 else MIXED


def told(by_domain: Mapping[str, str]) -> str:
    """What holds where, in words."""
    where: dict[str, list[str]] = {}
    for domain, said in by_domain.items():
        where.setdefault(said, []).append(domain)
    return "; ".join(f"{said} in {_listed(names)}" for said, names in where.items())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def agreed(signs: Iterable[int]) -> str:
    """Of several comparisons, 1 for and -1 against: decided where at least one is and none is decided the other way."""
    found = set(signs) - {0}
    return UNDECIDED if len(found) != 1 else SUPPORTED if found == {1} else REFUTED
