"""Two records of one track: what got faster or slower, better or worse, beyond its interval.

Many things are compared at once, and all intervals together must hold with 95 %. Half of the 5 % goes to errors and half to speeds
(there are far fewer of those, from few samples), and within a half every comparison gets the same share (Bonferroni). Holm's
procedure would find a little more, but gives no intervals; here every row shows the interval that its verdict follows from, and the
level holds however rows depend on each other (all speeds of a domain share the timing of one reference). What is equal on both
sides without any spread cannot be a false alarm and is not counted. Ends are those of `paired.Effect`.

Errors are held against each other scene by scene where the data are the same. Times are compared as ratios to the reference of
the same record, never as seconds: a machine that was busy as a whole slows both. So a reference that itself got slower shows as
everything else getting faster; its seconds stand beside.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import MisuseError
from . import curves
from . import record as records
from .paired import Effect, difference, linearised_f1, ratio_of_ratios
from .reduce import CONFIDENCE, reductions
from .score import Score

BAD = ("worse", "slower", "failed")
"""Verdicts that fail a build. An improvement does not, nor does what was added or removed."""
GOOD = ("better", "faster")
ALL_SHOWN = "position_rmse"
"""The metric that is compared at frames as well."""
FRAMES = ("1", "20", "last", "mean")
ROUNDING = 1e-6
"""Errors are computed from positions in float32: a smaller relative difference is none."""
SETTINGS = ("size", "timing_samples", "timing_sample_seconds", "timing_batches")
"""What of a track must be equal for timings to be compared."""

Place = tuple[str, str, str]
"""Domain, split and model."""


@dataclass(frozen=True)
class Side:
    """One of the two records, with its curves by place where it has them."""

    record: Mapping[str, Any]
    curves: Mapping[Place, Sequence[Score]]

    def about(self, domain: str) -> Mapping[str, Any]:
        """What the record says of a domain."""
        return next((d for d in self.record["domains"] if d["name"] == domain), {})

    @property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        """Metrics by name without version."""
        return {m["id"].partition("@")[0]: m for m in self.record["metrics"]}

    @property
    def scores(self) -> dict[Place, Mapping[str, Any]]:
        """Summaries by place."""
        return {(s["domain"], s["split"], s["model"]): s for s in self.record["scores"]}

    @property
    def speeds(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Timings by domain and model, those of the first seed."""
        return {(s["domain"], s["model"]): s for s in reversed(self.record["speed"])}


@dataclass(frozen=True)
class Row:
    """One comparison: what it is of, what either side says, and how much differs."""

    what: str
    """"accuracy", "speed", "size", "failure" or "presence"."""
    domain: str | None
    split: str | None
    model: str | None
    measure: str
    at: str | None = None
    old: Any = None
    new: Any = None
    effect: Effect | None = None
    """New less old; for a speed the logarithm of new over old."""
    better: str = "lower"
    verdict: str | None = None
    """Set where no interval is asked for one."""
    note: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def regression(old: Path, new: Path) -> dict[str, Any]:
    """What changed from one record of a track to another.

    Returns `rows`, those that changed first, each with `what`, `domain`, `split`, `model`, `measure`, `at` (a frame, or "mean"),
    `old`, `new`, `effect` with `low` and `high` (new less old; for speeds new over old), `verdict` and `note`; how many rows have
    each verdict under `verdicts`, and of those that do not hold under `worse`, `slower` and `failed`; `comparisons` of either kind,
    over which the level of 95 % is kept; `settings` of the track that differ; and `seconds`, absolute times, which are not judged.

    Raises MisuseError for a folder without a record and for records of different tracks.
    """
    a, b = _read(old), _read(new)
    tracks = [side.record["track"] for side in (a, b)]
    if tracks[0]["name"] != tracks[1]["name"]:
        raise MisuseError(
            f"{old} is of track {tracks[0]['name']!r} and {new} of {tracks[1]['name']!r}; two of one track are right"
        )
    found = [*_presence(a, b), *_failures(a, b), *_accuracy(a, b), *_speed(a, b), *_sizes(a, b)]
    number = Counter(row.what for row in found if row.effect is not None and row.effect.varies)
    judged = sorted((_judged(row, (1 - CONFIDENCE) / 2 / max(number[row.what], 1)) for row in found), key=_order)
    count = Counter(row["verdict"] for row in judged)
    return {
        "old": str(old),
        "new": str(new),
        "track": tracks[0]["name"],
        "settings": {
            k: [t.get(k) for t in tracks] for k in {**tracks[0], **tracks[1]} if _differ(tracks[0], tracks[1], k)
        },
        "comparisons": dict(number),
        **{verdict: count[verdict] for verdict in BAD},
        "verdicts": dict(count),
        "rows": judged,
        "seconds": _seconds(a, b),
    }


def holds(found: Mapping[str, Any]) -> bool:
    """Whether nothing got worse or slower, and nothing fails that did not."""
    return not any(found[verdict] for verdict in BAD)


def disagreements(old: Path, new: Path) -> list[dict[str, Any]]:
    """The rows with any verdict other than "same": none for two runs of one command that agree within their intervals."""
    return [row for row in regression(old, new)["rows"] if row["verdict"] != "same"]


def _read(folder: Path) -> Side:
    record = records.read(folder)
    path = None if record["curves"] is None else folder / record["curves"]
    held: dict[Place, list[Score]] = {}
    for s in curves.read(path) if path is not None and path.is_file() else []:
        held.setdefault((s.domain, s.split, s.model), []).append(s)
    return Side(record, held)


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], name: str) -> bool:
    return bool(a.get(name) != b.get(name))


# -- verdicts ----------------------------------------------------------------------------------------------------------


def _judged(row: Row, share: float) -> dict[str, Any]:
    """A row as plain data, its interval one that misses with probability `share`."""
    ends = row.effect.ends(share) if row.effect is not None else None
    value, (low, high) = (None if row.effect is None else row.effect.value), ends or (None, None)
    if row.what == "speed":
        value, low, high = (None if x is None else math.exp(x) if x < 700 else math.inf for x in (value, low, high))
    return {
        **{name: getattr(row, name) for name in ("what", "domain", "split", "model", "measure", "at", "old", "new")},
        "effect": value,
        "low": low,
        "high": high,
        "verdict": row.verdict or _verdict(row, ends),
        "note": row.note,
        **row.more,
    }


def _verdict(row: Row, ends: tuple[float, float] | None) -> str:
    assert row.effect is not None
    if row.what == "accuracy" and abs(row.effect.value) <= ROUNDING * max(abs(row.old), abs(row.new)):
        return "same"
    if ends is None:
        return "undecided"
    if ends[0] <= 0 <= ends[1]:
        return "same"
    good, bad = ("faster", "slower") if row.what == "speed" else ("better", "worse")
    return good if (row.effect.value < 0) == (row.better == "lower") else bad


def _order(row: Mapping[str, Any]) -> tuple[int, str]:
    """What changed comes first, the bad before the good."""
    ranks = [*BAD, *GOOD, "changed", "removed", "added", "not comparable", "undecided", "same"]
    return ranks.index(row["verdict"]), row["what"]


# -- what is there at all ----------------------------------------------------------------------------------------------


def _presence(a: Side, b: Side) -> Iterator[Row]:
    """What is in one record only; metrics and domains that cannot be compared."""
    for domain, split, model in {**a.scores, **b.scores}:
        if verdict := _one_sided((domain, split, model) in a.scores, (domain, split, model) in b.scores):
            yield Row("presence", domain, split, model, "scores", verdict=verdict)
    for domain, model in {**a.speeds, **b.speeds}:
        if verdict := _one_sided((domain, model) in a.speeds, (domain, model) in b.speeds):
            yield Row("presence", domain, None, model, "timing", verdict=verdict)
    for name in {**a.metrics, **b.metrics}:
        ids = [None if name not in side.metrics else side.metrics[name]["id"] for side in (a, b)]
        verdict = _one_sided(ids[0] is not None, ids[1] is not None)
        if verdict or ids[0] != ids[1]:
            said = verdict or "not comparable"
            yield Row("presence", None, None, None, name, old=ids[0], new=ids[1], verdict=said)
    for domain in _common_domains(a, b):
        if reason := _unlike(a, b, domain):
            yield Row("presence", domain, None, None, "scenes", verdict="not comparable", note=reason)


def _one_sided(old: bool, new: bool) -> str | None:
    return None if old == new else "removed" if old else "added"


def _common_domains(a: Side, b: Side) -> list[str]:
    return [d["name"] for d in a.record["domains"] if b.about(d["name"])]


def _unlike(a: Side, b: Side, domain: str) -> str | None:
    """Why errors in a domain do not mean the same in both, if so."""
    for name in ("recipe", "frame_interval"):
        if _differ(a.about(domain), b.about(domain), name):
            return f"another {name.replace('_', ' ')}"
    return None


def _failures(a: Side, b: Side) -> Iterator[Row]:
    """What fails now and did not."""

    def named(f: Mapping[str, Any]) -> tuple[Any, ...]:
        return f["stage"], f["domain"], f["split"], f["model"]

    before = {named(f) for f in a.record["failures"]}
    for f in b.record["failures"]:
        if named(f) not in before:
            yield Row("failure", f["domain"], f["split"], f["model"], f["stage"], verdict="failed", note=f["error"])


def _sizes(a: Side, b: Side) -> Iterator[Row]:
    cards = [
        {(c["domain"], c["card"]["name"]): c["card"] for c in reversed(side.record["contestants"])} for side in (a, b)
    ]
    for (domain, model), old in cards[0].items():
        if (new := cards[1].get((domain, model))) is not None:
            for name in ("parameters", "bytes"):
                verdict = "changed" if _differ(old, new, name) else "same"
                yield Row("size", domain, None, model, name, None, old[name], new[name], verdict=verdict)


# -- accuracy ----------------------------------------------------------------------------------------------------------


def _accuracy(a: Side, b: Side) -> Iterator[Row]:
    known = [name for name in a.metrics if name in b.metrics and a.metrics[name]["id"] == b.metrics[name]["id"]]
    alike = {domain for domain in _common_domains(a, b) if _unlike(a, b, domain) is None}
    for place, old in a.scores.items():
        new = b.scores.get(place)
        if new is not None and place[0] in alike:
            for name in known:
                for at in FRAMES if name == ALL_SHOWN else ("mean",):
                    yield from _error(a, b, place, (old, new), a.metrics[name], at)


def _error(
    a: Side, b: Side, place: Place, scores: Sequence[Mapping[str, Any]], metric: Mapping[str, Any], at: str
) -> Iterator[Row]:
    """One metric of one contestant on one split: at most one row."""
    named = metric["id"]
    held = [(s["values"].get(named) or {}).get(at) for s in scores]
    if held[0] is None or held[1] is None:
        if verdict := _one_sided(held[0] is not None, held[1] is not None):
            yield Row("accuracy", *place, named, at, held[0], held[1], verdict=verdict)
        return
    matrices = [_matrix(side.curves.get(place, ()), named, at) for side in (a, b)]
    paired = _same_data(a, b, place[0])
    effect = _from_summaries(held, scores)
    if matrices[0] is not None and matrices[1] is not None:
        paired = paired and matrices[0].shape[1] == matrices[1].shape[1]
        effect = difference(matrices[1], matrices[0], paired=paired) or effect
    else:
        paired = False
    seeds = [[s for s in score["seeds"] if s is not None] for score in scores]
    yield Row(
        "accuracy", *place, named, at, held[0]["value"], held[1]["value"], effect, metric["better"],
        note="one training seed: its luck is not in the interval" if min(map(len, seeds)) == 1 else "",
        more={"paired": paired, "unit": metric["unit"]},
    )  # fmt: skip


def _same_data(a: Side, b: Side, domain: str) -> bool:
    """Whether scenes of a domain are the same, so that each has its pair."""
    names = ("data_manifest", "generator_version")
    return a.about(domain).get("data_manifest") is not None and not any(
        _differ(a.about(domain), b.about(domain), name) for name in names
    )


def _matrix(group: Sequence[Score], metric: str, at: str) -> np.ndarray | None:
    """Values (seeds, scenes) of a metric, whose mean is what the record shows; None without curves."""
    if not group or any(metric not in s.curves for s in group):
        return None
    if f"{metric}/tp" in group[0].curves:
        sums = {n: np.stack([s.curves[f"{metric}/{n}"].sum(0) for s in group]) for n in ("tp", "fp", "fn")}
        return linearised_f1(sums)
    values = [reductions(s.curves[metric])[at] for s in group]
    return np.stack([v for v in values if v is not None])


def _from_summaries(held: Sequence[Any], scores: Sequence[Mapping[str, Any]]) -> Effect:
    """A difference from two estimates alone, for a record without curves: their intervals are 95 % ones."""
    value = held[1]["value"] - held[0]["value"]
    if any(h["low"] is None for h in held):
        return Effect(value, ())
    parts = [((h["high"] - h["low"]) / (2 * 1.96)) ** 2 for h in held]
    return Effect(value, tuple((v, max(s["scenes"] - 1, 1)) for v, s in zip(parts, scores, strict=True)))


# -- speed -------------------------------------------------------------------------------------------------------------


def _speed(a: Side, b: Side) -> Iterator[Row]:
    """Latency and throughput of every contestant over the reference of its own record."""
    for domain in _common_domains(a, b):
        ours = [{m: s for (d, m), s in side.speeds.items() if d == domain} for side in (a, b)]
        common = [m for m in ours[0] if m in ours[1]]
        references = [next((s for s in side.values() if s["kind"] == "reference"), None) for side in ours]
        reason = _timed_unlike(a, b, domain) or ("no reference was timed" if None in references else None)
        if reason is not None:
            if common:
                yield Row("speed", domain, None, None, "timing", verdict="not comparable", note=reason)
            continue
        for model in common:
            entries = [side[model] for side in ours]
            if entries[0]["kind"] != "reference":
                yield from (_ratio(domain, model, entries, references, name) for name in ("latency", "throughput"))


def _timed_unlike(a: Side, b: Side, domain: str) -> str | None:
    """Why times in a domain cannot be compared, if so."""
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("device", a.record, b.record),
        *((name, a.record["environment"], b.record["environment"]) for name in ("cpu_model", "device_name")),
        *((name, a.record["track"], b.record["track"]) for name in SETTINGS),
        *((name, a.about(domain), b.about(domain)) for name in ("recipe", "generator_version")),
    ]
    unlike = [name.replace("_", " ") for name, old, new in pairs if _differ(old, new, name)]
    return f"another {', '.join(unlike)}" if unlike else None


def _ratio(domain: str, model: str, entries: Sequence[Any], references: Sequence[Any], name: str) -> Row:
    said = ("speed", domain, None, model, name)
    work = [[(e["frames"], e[name]["nodes"]) for e in side] for side in (entries, references)]
    if name == "latency" and any(old != new for old, new in work):
        return Row(*said, verdict="not comparable", note="another scene or horizon was timed")
    costs = [[_per_node(e, name) for e in side] for side in (entries, references)]
    effect = ratio_of_ratios((costs[0][1], costs[0][0]), (costs[1][1], costs[1][0]))
    old, new = (float(np.median(costs[0][k]) / np.median(costs[1][k])) for k in (0, 1))
    if name == "latency":
        return Row(*said, None, old, new, effect)
    # Throughput is work over time, so the larger the better.
    turned = Effect(-effect.value, effect.parts)
    return Row(*said, None, 1 / old, 1 / new, turned, "higher")


def _per_node(entry: Mapping[str, Any], name: str) -> list[float]:
    """Seconds of each sample; for a throughput, over the nodes and frames that its own batch advanced."""
    work = 1 if name == "latency" else entry[name]["nodes"] * entry["frames"]
    return [s / work for s in entry[name]["samples_s"]]


def _seconds(a: Side, b: Side) -> list[dict[str, Any]]:
    """Median latencies in seconds, for people to see and not judged: they depend on what else the machine did."""
    return [
        {"domain": domain, "model": model, "old": old["latency"]["median_s"], "new": new["latency"]["median_s"]}
        for (domain, model), old in a.speeds.items()
        if (new := b.speeds.get((domain, model))) is not None
    ]
