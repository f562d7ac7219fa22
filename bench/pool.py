"""Several records of one track with different training seeds, taken as one: errors over all seeds, timing from one run.

What is pooled is alike in everything but the training seeds (bench/alike.py): the same data, so that scenes are paired. All errors
are summarised anew from the curves of all; a training that several records hold counts once, from the newest. Timings are never
pooled: machines differ from day to day, so ratios are within the newest record that has any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import curves
from . import record as records
from ._metric import every_metric
from .alike import comparable
from .break_even import with_break_even
from .equal_accuracy import with_equal_accuracy
from .score import Score
from .summary import summarise

Found = tuple[Path, Mapping[str, Any]]
"""A record and the folder that it lies in."""


def read_pooled(folder: Path) -> list[dict[str, Any]]:
    """All records under a folder, as `pooled`; raises MisuseError when it holds none, or one of another version."""
    return pooled([(path, records.read(path)) for path in records.find(folder)])


def pooled(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Records, those that differ in training seeds alone taken together, oldest first.

    Each says under "folders" which folders it is from. A record without its curves stays by itself.
    """
    groups: dict[tuple[Any, ...], list[Found]] = {}
    for folder, record in sorted(found, key=lambda f: (f[1]["created"], str(f[0]))):
        groups.setdefault(_part_of(folder, record), []).append((folder, record))
    return [_joined(sorted(group, key=lambda f: (f[1]["created"], str(f[0])))) for group in _merged(groups)]


def _merged(groups: Mapping[tuple[Any, ...], list[Found]]) -> list[list[Found]]:
    """The groups; one of some of another's domains, as `run --domain` leaves, is part of that one."""
    kept: dict[tuple[Any, ...], list[Found]] = {}
    for key, group in sorted(groups.items(), key=lambda item: -len(item[0])):
        whole = next((k for k in kept if set(key) < set(k)), key)
        kept.setdefault(whole, []).extend(group)
    return [kept[key] for key in groups if key in kept]


def _part_of(folder: Path, record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Equal for parts of one; what cannot be a part is known by its folder."""
    if not record["scores"] or record["curves"] is None or not (folder / record["curves"]).is_file():
        return (str(folder),)
    return tuple(sorted(comparable(record, d["name"]) for d in record["domains"]))


def _joined(group: Sequence[Found]) -> dict[str, Any]:
    most = max(len(record["domains"]) for _, record in group)
    newest = dict(next(record for _, record in reversed(group) if len(record["domains"]) == most))
    newest["folders"] = [str(folder) for folder, _ in group]
    if len({seed for _, r in group for seed in _trained(r)}) <= len(_trained(newest)):
        # No other record adds a training: the newest says it all.
        return newest | {"folders": [str(folder) for folder, r in group if len(r["domains"]) == most][-1:]}
    scores = _scores(group)
    contestants = list(
        {_who(c["domain"], c["card"]["name"], c["seed"]): c for _, r in group for c in r["contestants"]}.values()
    )
    timed = next((r for _, r in reversed(group) if r["speed"]), newest)
    floors = {d["name"]: d.get("floor") for _, r in group for d in r["domains"] if d.get("floor") is not None}
    return newest | {
        "contestants": contestants,
        "scores": [row for d in newest["domains"] for row in _summary(d, contestants, scores, [r for _, r in group])],
        "speed": _speed(timed, scores, floors),
        "domains": [d | {"floor": floors.get(d["name"])} for d in newest["domains"]],
        "probes": [p for _, r in group for p in r["probes"]],
        "failures": [f for _, r in group for f in r["failures"]],
        "device": timed["device"],
        "environment": timed["environment"],
    }


def _who(domain: str, model: str, seed: int | None) -> tuple[str, str, int | None]:
    return domain, model, seed


def _trained(record: Mapping[str, Any]) -> set[tuple[str, str, int | None]]:
    """The trainings that a record has scores of."""
    return {_who(s["domain"], s["model"], seed) for s in record["scores"] for seed in s["seeds"]}


def _scores(group: Sequence[Found]) -> list[Score]:
    """Every curve once: of each contestant, seed and split from the newest record that has it."""
    held: dict[tuple[str, str, str, int | None], Score] = {}
    for folder, record in group:
        for score in curves.read(folder / record["curves"]):
            held[score.domain, score.split, score.model, score.seed] = score
    return list(held.values())


def _summary(
    about: Mapping[str, Any],
    contestants: Sequence[Mapping[str, Any]],
    scores: Sequence[Score],
    read: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The rows of one domain, over all seeds."""
    domain = about["name"]
    kinds = {c["card"]["name"]: c["card"]["kind"] for c in contestants if c["domain"] == domain}
    known = [s for s in scores if s.domain == domain and s.model in kinds]
    rows = summarise(sorted(known, key=_by_seed), kinds, every_metric(), about["trust_threshold"])
    return [{**row, "diverged_share": _diverged(row, read)} for row in rows]


def _by_seed(score: Score) -> int:
    return -1 if score.seed is None else score.seed


def _diverged(row: Mapping[str, Any], read: Sequence[Mapping[str, Any]]) -> float:
    """Share of diverged scenes over all seeds; curves do not say, summaries do."""
    who = (row["domain"], row["split"], row["model"])
    held = [s for r in read for s in r["scores"] if (s["domain"], s["split"], s["model"]) == who]
    return float(np.average([s["diverged_share"] for s in held], weights=[len(s["seeds"]) for s in held]))


def _speed(
    timed: Mapping[str, Any], scores: Sequence[Score], floors: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The timings of one record, held against the errors of all seeds."""
    cards = {(c["domain"], c["card"]["name"]): c["card"] for c in timed["contestants"]}
    seconds = {d["name"]: s for d in timed["domains"] if (s := d.get("training_data_seconds")) is not None}
    return with_break_even(with_equal_accuracy(timed["speed"], scores, floors), cards, seconds)
