"""What is behind the columns of time: raw samples, the ladder's front, and the costs that must be paid back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..break_even import rollouts
from ..equal_accuracy import HEADLINE, METRIC, Front, pareto, time_at, with_equal_accuracy
from ..floor import samples_of
from ..reduce import ratio_of_medians, reductions
from . import sources as _sources
from .explained import Behind, Evidence

UNTIMED = Evidence({"samples": {"reason": "no record holds a timing of this contestant"}})
FACTS = (
    "batch",
    "nodes",
    "repeats",
    "warmup_calls",
    "steady",
    "first_call_s",
    "median_s",
    "q25_s",
    "q75_s",
    "core_median_s",
)


def latency(behind: Behind) -> Evidence:
    """The samples of one scene."""
    speed = behind.entry.speed
    if speed is None:
        return UNTIMED
    return Evidence(_timing(behind, speed["latency"]), 1e3 * float(np.median(speed["latency"]["samples_s"])))


def throughput(behind: Behind) -> Evidence:
    """The samples at the best batch, and the batches tried."""
    speed = behind.entry.speed
    if speed is None:
        return UNTIMED
    best = speed["throughput"]
    parts = _timing(behind, best) | {"batches tried": list(best["tried"])}
    return Evidence(parts, best["nodes"] * speed["frames"] / max(float(np.median(best["samples_s"])), 1e-12))


def memory(behind: Behind) -> Evidence:
    """What the driver said; one figure, no samples."""
    speed = behind.entry.speed
    return UNTIMED if speed is None else Evidence({"timing": _where(behind)})


def _timing(behind: Behind, timing: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {"sample": k, "wall [s]": wall, "cores [s]": core}
        for k, (wall, core) in enumerate(zip(timing["samples_s"], timing["core_samples_s"], strict=True))
    ]
    facts = {n: timing[n] for n in FACTS if n in timing} | {"flags": list(timing.get("flags") or [])}
    return {"samples": rows, "timing": _where(behind) | facts}


def _where(behind: Behind) -> dict[str, Any]:
    """The record and the machine that a timing is from, and the seed of the weights."""
    speed = behind.entry.speed
    assert speed is not None
    folder, record = _sources.timed_in(behind.read, speed)
    machine = record["environment"].get("device_name") or record["environment"]["cpu_model"]
    return {"record": folder.name, "machine": machine, "device": record["device"], "weights of seed": speed["seed"]}


# -- ratios ------------------------------------------------------------------------------------------------------------


def reference(behind: Behind) -> Evidence:
    """The samples of the contestant and of the reference."""
    found = reference_estimate(behind)
    return found if found.recomputed is None else Evidence(found.parts, found.recomputed["value"], found.notes)


def reference_estimate(behind: Behind) -> Evidence:
    """As `reference`, with the interval."""
    speed = behind.entry.speed
    if speed is None:
        return UNTIMED
    _, record = _sources.timed_in(behind.read, speed)
    rivals = [s for s in record["speed"] if s["domain"] == speed["domain"] and s["kind"] == "reference"]
    if not rivals:
        return Evidence({"samples": {"reason": "the reference was not timed beside it"}})
    over, under = rivals[0]["latency"]["samples_s"], speed["latency"]["samples_s"]
    ratio = ratio_of_medians(np.array(over), np.array(under)).to_dict()
    parts = {"reference [s]": _listed(over), "contestant [s]": _listed(under), "timing": _where(behind)}
    return Evidence(parts, ratio)


def _listed(seconds: Sequence[float]) -> dict[str, Any]:
    return {"median": float(np.median(seconds)), "samples": list(seconds)}


# -- equal accuracy ----------------------------------------------------------------------------------------------------

SPLIT = "test"
"""Whose errors are held equal, whatever split the row is of: timings are of its starts."""


def equal_accuracy(behind: Behind) -> Evidence:
    """The ladder's points and front, and where the contestant's error falls on it."""
    speed = behind.entry.speed
    if speed is None:
        return UNTIMED
    if speed["speedup_equal_accuracy"] is None:
        return Evidence(
            {"samples": {"reason": "the reference is not compared, nor what has no error on the split test"}}
        )
    domain, model = speed["domain"], speed["model"]
    source = _sources.timed_in(behind.read, speed)
    group = _group(behind, source)
    held, record = _sources.scores(group, domain=domain, split=SPLIT), source[1]
    floor = _floor(group, domain)
    errors = {name: float(v.mean()) for name, v in _errors(held).items()}
    rivals = ("ladder", "reference")
    timed = [s for s in record["speed"] if s["domain"] == domain and (s["kind"] in rivals or s["model"] == model)]
    least = float(v.mean()) if (v := samples_of(floor, METRIC).get(HEADLINE)) is not None else 0.0
    points = [
        {"setting": s["model"], "time [s]": s["latency"]["median_s"], "error": max(errors[s["model"]], least)}
        for s in timed
        if s["kind"] in rivals and s["model"] in errors
    ]
    own = {"setting": model, "time [s]": speed["latency"]["median_s"], "error": max(errors[model], least)}
    made = with_equal_accuracy(timed, held, {domain: floor})
    again = next(e for e in made if e["model"] == model and e["seed"] == speed["seed"])
    own_facts = {"own error": errors[model], "floor, the reference's own error": least or "not measured"}
    read_off = _read_off(points, own) | own_facts | _where(behind)
    parts = {"the simulator's settings": _on_front(points), "contestant": read_off}
    note = f"errors are {METRIC}, averaged over the horizon and the scenes of split {SPLIT!r}, whatever split the row is of"
    return Evidence(parts, again["speedup_equal_accuracy"], (note,))


def _group(behind: Behind, timed: _sources.Source) -> list[_sources.Source]:
    """Whose errors count beside a timing: those of all records that were pooled, newest first, or of the timed one alone."""
    pooled = [s for s in reversed(behind.read) if str(s[0]) in behind.entry.folders]
    return pooled if len(pooled) > 1 else [timed]


def _floor(group: Sequence[_sources.Source], domain: str) -> Mapping[str, Any] | None:
    """The reference's own error in a domain, from the newest record that measured it."""
    every = [d.get("floor") for _, record in group for d in record["domains"] if d["name"] == domain]
    return next((floor for floor in every if floor is not None), None)


def _errors(held: Sequence[Any]) -> dict[str, np.ndarray]:
    """Mean over training seeds of each scene's error, by model."""
    found: dict[str, list[np.ndarray]] = {}
    for score in held:
        curve = _sources.with_metric(score, METRIC)
        if curve is not None and (value := reductions(curve)[HEADLINE]) is not None:
            found.setdefault(score.model, []).append(value)
    return {model: np.mean(np.stack(v), axis=0) for model, v in found.items()}


def _front(points: Sequence[Mapping[str, Any]]) -> Front:
    return pareto([p["time [s]"] for p in points], [p["error"] for p in points])


def _on_front(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    front = _front(points)
    kept = set(zip(front.seconds.tolist(), front.error.tolist(), strict=True))
    rows = [{**p, "on the front": (p["time [s]"], p["error"]) in kept} for p in points]
    return sorted(rows, key=lambda r: r["time [s]"])


def _read_off(points: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> dict[str, Any]:
    """Where the contestant's error falls on the front, the time there, and the ratio."""
    front, error = _front(points), own["error"]
    needed = time_at(front, error)
    better = [p["setting"] for p in points if p["time [s]"] <= own["time [s]"] and p["error"] <= error]
    return {
        "error": error,
        "time [s]": own["time [s]"],
        "falls": _between(front, points, error),
        "T_sim [s]": needed.value,
        "ratio": needed.value / own["time [s]"],
        "flag": needed.flag or "none: a figure",
        "dominated by": [name for name in better if name != own["setting"]],
    }


def _between(front: Front, points: Sequence[Mapping[str, Any]], error: float) -> str:
    names = {(p["time [s]"], p["error"]): p["setting"] for p in points}
    named = [names[at] for at in zip(front.seconds.tolist(), front.error.tolist(), strict=True)]
    if not named:
        return "nowhere: no setting was timed and scored"
    if error > front.error[0]:
        return f"above that of the coarsest setting on the front, {named[0]}: a cheaper one would do, the ratio is at most this"
    if error < front.error[-1]:
        return f"below that of the finest setting timed, {named[-1]}: more time is needed, the ratio is at least this"
    if error in front.error:
        return f"on {named[front.error.tolist().index(error)]}"
    k = int(np.searchsorted(-front.error, -error))
    return f"between {named[k - 1]} and {named[k]}, by a straight line in the logarithms of error and time"


# -- break-even --------------------------------------------------------------------------------------------------------


def break_even(behind: Behind) -> Evidence:
    """The costs and the two times."""
    speed = behind.entry.speed
    if speed is None:
        return UNTIMED
    held = speed.get("break_even")
    if held is None:
        why = "no training, no figure at equal accuracy, or no record of what the data took"
        return Evidence({"samples": {"reason": why}})
    equal, own = speed["speedup_equal_accuracy"], speed["latency"]["median_s"]
    simulator, costs = equal["value"] * own, held["costs"]
    facts = {
        **costs,
        "all costs [s]": sum(costs.values()),
        "contestant's rollout [s]": own,
        "simulator's at equal accuracy [s]": simulator,
        "flag of that": equal["flag"] or "none: a figure",
        "saved a rollout [s]": simulator - own,
        "of a generalist, with its share of the costs": held["share"],
    }
    again = rollouts(sum(costs.values()), own, simulator, equal["flag"])
    return Evidence({"costs and times": facts, "timing": _where(behind)}, again)
