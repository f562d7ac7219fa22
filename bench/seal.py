"""Sealed tests: the states that a round is scored on are drawn from a seed that exists only after training has ended.

    seal = SHA-256 of (suite version, track, domains with generator version and recipe, metric versions, hashes of all weights)

The simulators are the test set, so a test can be made when all weights are known, and nobody can have trained on it: changing one
bit of one weight changes every state. The seed of the round is the seal's first 60 bits. Anyone derives it again from the record,
makes the same states from it and compares their manifest hash. Trying weights until a lucky seal comes costs a whole round a try,
and buys no more than the noise of sampling, which the intervals show.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..contracts import MisuseError
from .alike import fixed

DIGITS = 15
"""Hexadecimal digits of the seal that make the seed: 60 bits, which every reader holds exactly."""


def seal_of(
    version: str,
    track: Mapping[str, Any],
    domains: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    entered: Sequence[Mapping[str, Any]],
) -> str:
    """The seal, 64 hexadecimal digits; the order of domains, metrics and entries does not matter.

    `domains` give name, generator_version and recipe; `entered` domain, model, seed and sha256 of all that was trained or brought.
    """
    task = {
        "version": version,
        "track": fixed(track),
        "domains": sorted([d["name"], d["generator_version"], d["recipe"]] for d in domains),
        "metrics": sorted(metrics),
        "entered": sorted([e["domain"], e["model"], str(e["seed"]), e["sha256"]] for e in entered),
    }
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()


def seed_of(seal: str) -> int:
    """The root seed of a round's states."""
    return int(seal[:DIGITS], 16)


def derived(record: Mapping[str, Any]) -> str:
    """The seal as it follows from what a record of a round says."""
    metrics = [m["id"] for m in record["metrics"]]
    return seal_of(record["suite"]["version"], record["track"], record["domains"], metrics, record["round"]["entered"])


def sealed(record: Mapping[str, Any]) -> str | None:
    """The seal of a record of a round, None for a record of public tests."""
    held: Mapping[str, str] | None = record.get("round")
    return None if held is None else held["seal"]


def checked(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's seal and the one that follows from what entered, with what to make the same states from."""
    if sealed(record) is None:
        raise MisuseError("the record is not of a sealed round; `hedgefox round` makes one")
    return {
        "seal": sealed(record),
        "derived": derived(record),
        "root_seed": record["track"]["root_seed"],
        "entered": len(record["round"]["entered"]),
        "manifests": {d["name"]: d["data_manifest"] for d in record["domains"]},
        "holds": verified(record),
    }


def verified(record: Mapping[str, Any]) -> bool:
    """Whether a record's seal, if it has one, follows from what entered the round, and its states from the seal."""
    seal = sealed(record)
    return seal is None or (seal == derived(record) and record["track"]["root_seed"] == seed_of(seal))
