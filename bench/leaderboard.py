"""The leaderboard: rows made from records and nothing else, ranked only among what is comparable."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import SPLITS
from .alike import comparable as alike
from .alike import timed_alike
from .pool import read_pooled
from .seal import sealed, verified

SHOWN = ("1", "5", "20", "50", "last")

FIELDS = (
    "track",
    "domain",
    "split",
    "model",
    "kind",
    *(f"position_rmse_{name}" for name in SHOWN),
    "trust_horizon",
    "speedup_equal_accuracy",
    "speedup_reference",
    "latency_ms",
    "throughput_nodes_per_s",
    "parameters",
    "bytes",
    "peak_memory_bytes",
    "break_even_rollouts",
    "diverged_share",
    "seeds",
    "round",
    "metrics",
)
"""The fields of a row, the same for every contestant; what does not apply is None."""


@dataclass(frozen=True)
class Entry:
    """A row of the board, where it stands, and what it may be compared with."""

    row: dict[str, Any]
    comparable: str
    """Equal for rows made with the same suite, metrics, data and generator."""
    timed: str
    """Equal for rows whose timings may stand beside each other: same code, track, generator and machine."""
    made: str
    """When its record was made."""
    score: Mapping[str, Any]
    """Of the record: what the row's errors are from."""
    card: Mapping[str, Any]
    """Of the first training seed."""
    speed: Mapping[str, Any] | None
    manifests: Mapping[str, str | None]
    """Hash of the data of each domain of the record."""
    folders: tuple[str, ...] = ()
    """Where its records lie; several where training seeds were pooled."""
    floor: Mapping[str, Any] | None = None
    """The reference's own error in this domain and split, where it was measured."""
    rank: str = "–"
    """A place, or an interval of places where intervals overlap; "–" for what is not ranked."""


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all records under a folder, sorted by domain, split and position RMSE at frame 20.

    Raises MisuseError when the folder holds no record, or one of another version.
    """
    return [e.row for e in board(folder)]


def board(folder: Path) -> list[Entry]:
    """As `rows`, with ranks."""
    return board_of(read_pooled(folder))


def board_of(read: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """The board of records already read: sorted and ranked within each domain and split.

    The newest record sets what is ranked; rows of other versions are shown and not ranked.
    """
    dated = sorted(read, key=lambda r: r["created"])
    speeds = {(timed_alike(r, s["domain"]), s["domain"], s["model"]): s for r in dated for s in reversed(r["speed"])}
    entries = [entry for r in dated for entry in _entries(r, speeds)]
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_section(entry), []).append(entry)
    return [e for key in sorted(groups) for e in _ranked(sorted(groups[key], key=lambda e: error(e.row, e.floor)))]


def _section(entry: Entry) -> tuple[Any, ...]:
    """What is shown in one table, in the order of tables: a track, domain and split, sealed rounds first."""
    row = entry.row
    split = SPLITS.index(row["split"]) if row["split"] in SPLITS else len(SPLITS)
    return row["track"], row["domain"], split, row["split"], row["round"] is None


def error(row: Mapping[str, Any], floor: Mapping[str, Any] | None = None) -> float:
    """What rows are sorted by: the value of `shown`, infinite without any."""
    held = shown(row, floor)
    return math.inf if held is None else float(held["value"])


def shown(row: Mapping[str, Any], floor: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The estimate that rows are sorted and ranked by: position RMSE at frame 20, at the last frame of a shorter horizon.

    Where the reference and its refined run have parted by then, an earlier frame: beyond, pointwise truth is uncertain.
    """
    found: dict[str, Any] | None = row[f"position_rmse_{ranked_at(row, floor)}"]
    return found


def ranked_at(row: Mapping[str, Any], floor: Mapping[str, Any] | None = None) -> str:
    """Name of the frame that rows are ranked by."""
    usual = "20" if row["position_rmse_20"] else "last"
    parts_at = None if floor is None else floor["parts_at"]
    if parts_at is None or (usual == "20" and parts_at > 20):
        return usual
    return "5" if parts_at > 5 and row["position_rmse_5"] else "1"


def interval(row: Mapping[str, Any], floor: Mapping[str, Any] | None = None) -> tuple[float, float, float] | None:
    """Value, low and high end of the error that a row is ranked by; None without one, or where a single scene gives no ends."""
    held = shown(row, floor)
    return None if held is None or held["low"] is None else (held["value"], held["low"], held["high"])


def _ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Give places to the contestants of one domain and split; overlapping intervals share an interval of places."""
    current = entries and max(entries, key=lambda e: e.made).comparable
    placed = []
    spans = {
        id(e): found
        for e in entries
        if e.comparable == current and e.row["kind"] != "reference" and (found := interval(e.row, e.floor)) is not None
    }
    for e in entries:
        rank = "–"
        if id(e) in spans:
            _, low, high = spans[id(e)]
            best = 1 + sum(other[2] < low for other in spans.values())
            worst = sum(other[1] <= high for other in spans.values())
            rank = str(best) if best == worst else f"{best}–{worst}"
        placed.append(dataclasses.replace(e, rank=rank))
    return placed


def _entries(record: Mapping[str, Any], speeds: Mapping[tuple[str, str, str], Any]) -> list[Entry]:
    """The rows of one record; a speed may come from another record made under the same conditions."""
    cards = {(c["domain"], c["card"]["name"]): c["card"] for c in reversed(record["contestants"])}
    manifests = {d["name"]: d["data_manifest"] for d in record["domains"]}
    own = {(s["domain"], s["model"]): s for s in reversed(record["speed"])}
    made = []
    # A round whose seal does not follow from what entered it is shown, and ranked with nobody.
    broken = "" if verified(record) else f"broken seal of {record['created']}: "
    for score in record["scores"]:
        who = (score["domain"], score["model"])
        key, timed = broken + alike(record, score["domain"]), timed_alike(record, score["domain"])
        speed = own.get(who) or speeds.get((timed, *who))
        row = _row(record, score, cards[who], speed)
        folders, floor = tuple(record.get("folders", ())), _floor(record, score)
        made.append(Entry(row, key, timed, record["created"], score, cards[who], speed, manifests, folders, floor))
    return made


def _row(
    record: Mapping[str, Any], score: Mapping[str, Any], card: Mapping[str, Any], speed: Mapping[str, Any] | None
) -> dict[str, Any]:
    position = next((m for m in score["values"] if m.startswith("position_rmse@")), None)
    errors = score["values"][position] if position else dict.fromkeys(SHOWN)
    seeds = [s for s in score["seeds"] if s is not None]
    trusted = score["trust_horizon"]
    ratio = None if speed is None else speed["speedup_reference"]
    others = {m: v["mean"] for m, v in score["values"].items() if m != position}
    return {
        "track": record["track"]["name"],
        "domain": score["domain"],
        "split": score["split"],
        "model": score["model"],
        "kind": score["kind"],
        **{f"position_rmse_{name}": errors[name] for name in SHOWN},
        "trust_horizon": trusted and trusted["value"],
        "speedup_equal_accuracy": None if speed is None else speed["speedup_equal_accuracy"],
        "speedup_reference": ratio and ratio["value"],
        "latency_ms": None if speed is None else 1e3 * speed["latency"]["median_s"],
        "throughput_nodes_per_s": None if speed is None else speed["throughput"]["nodes_per_s"],
        "parameters": card["parameters"],
        "bytes": card["bytes"],
        "peak_memory_bytes": None if speed is None else speed["peak_memory_bytes"],
        "break_even_rollouts": ((speed or {}).get("break_even") or {}).get("full"),
        "diverged_share": score["diverged_share"],
        "seeds": len(seeds) or None,
        "round": sealed(record),
        "metrics": others | {"trust_horizon@1": trusted, "speedup_reference@1": ratio},
    }


def _floor(record: Mapping[str, Any], score: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The floor under a row: measured on the test split, it says nothing of others."""
    held = next(d for d in record["domains"] if d["name"] == score["domain"]).get("floor")
    return held if score["split"] == "test" else None
