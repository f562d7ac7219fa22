"""Where a record is from: commands, versions, machine, stages with their budgets, failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Facts:
    """One record, or several pooled, in plain words."""

    title: str
    about: dict[str, str]
    stages: list[tuple[str, str, str, bool]]
    """Name, seconds, budget, and whether it took longer."""
    failures: list[dict[str, str]]
    cards: list[dict[str, str]]


def of(record: Mapping[str, Any]) -> Facts:
    """The facts of a record as `pool.read_pooled` gives it."""
    suite = record["suite"]
    about = {
        "made": record["created"],
        "from": ", ".join(Path(f).name for f in record["folders"]),
        "command": " ".join(str(part) for part in record["command"]),
        "hedgefox": f"{suite['version']}, commit {suite['commit'] or 'unknown'}",
        "device": record["device"],
        "training seeds": ", ".join(str(s) for s in record["track"]["training_seeds"]),
        **{name.replace("_", " "): value for name, value in record["environment"].items()},
        **record["versions"],
    }
    return Facts(
        f"{record['track']['name']}, {record['created']}",
        {name: str(value) for name, value in about.items() if value is not None},
        [_stage(s) for s in record["stages"]],
        [{name: "–" if value is None else str(value) for name, value in f.items()} for f in record["failures"]],
        _cards(record),
    )


def _stage(stage: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    budget = stage["budget"]
    over = budget is not None and stage["seconds"] > budget
    return stage["name"], f"{stage['seconds']:.1f} s", "–" if budget is None else f"{budget} s", over


def _cards(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the contestants' cards say of themselves, each name once."""
    names: tuple[str, ...] = (
        *("name", "kind", "objective", "learning_algorithm", "architecture", "parameters", "training_steps", "notes"),
    )
    found = {c["card"]["name"]: c["card"] for c in reversed(record["contestants"])}
    cards = [c for c in found.values() if c["kind"] not in ("reference", "ladder")]
    if any(c.get("tuning") for c in cards):
        names = (*names[:-1], "batch_size", "learning_rate", "tuning", names[-1])
    return [
        {n.replace("_", " "): str(c[n]) if c.get(n) not in (None, "") else "–" for n in names} for c in reversed(cards)
    ]
