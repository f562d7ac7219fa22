"""Which records may stand beside each other, and which are parts of one: the same track, data and metrics, other training seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FIXED = ("name", "size", "machine", "trajectories", "training_steps")
"""Of a track: what decides which data there are and how long is trained. The rest says how hard is measured, and on which seeds."""
MEASURED = ("training_data_seconds", "floor")
"""Of what a record says of a domain: what was measured, not what was fixed."""


def comparable(record: Mapping[str, Any], domain: str) -> str:
    """Equal for records whose errors in a domain may be ranked together: same suite, metrics, track, generator and data."""
    metrics = sorted(m["id"] for m in record["metrics"])
    return _key(record["suite"]["version"], metrics, fixed(record["track"]), about(record, domain))


def timed_alike(record: Mapping[str, Any], domain: str) -> str:
    """Equal for records whose timings may stand beside each other's scores: same code, track, generator and machine."""
    held = about(record, domain)
    machine = [record["device"], record["environment"]["cpu_model"], record["environment"].get("device_name")]
    return _key(record["suite"]["version"], fixed(record["track"]), held["generator_version"], held["recipe"], machine)


def about(record: Mapping[str, Any], domain: str) -> dict[str, Any]:
    """What a record says of a domain, but for what was measured."""
    held = next(d for d in record["domains"] if d["name"] == domain)
    return {name: value for name, value in held.items() if name not in MEASURED}


def fixed(track: Mapping[str, Any]) -> dict[str, Any]:
    """What a track fixes of data and training; the seconds of one that fixes those, which older records do not know."""
    held = {name: track.get(name) for name in FIXED}
    return held | ({"training_seconds": track["training_seconds"]} if track.get("training_seconds") else {})


def _key(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)
