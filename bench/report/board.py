"""The leaderboard as data for the page: tables, rows and cells, with what each is sorted, filtered and explained by."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..board_text import HEADINGS, caption, cells, sections
from ..leaderboard import Entry, ranked_at
from ..seal import verified

PHONE = (
    "kind",
    "position_rmse_1",
    "spread",
    "trust_horizon",
    "bytes",
    "peak_memory_bytes",
    "seeds",
    "position_rmse_last",
)
"""Columns that a narrow screen is spared at first; a box beside the table brings them back."""
ERRORS = tuple(name for name, _ in HEADINGS if name.startswith("position_rmse"))
NO_FIGURE = ("model", "kind", "seeds")
"""Columns with nothing to explain."""


@dataclass(frozen=True)
class Bar:
    """An interval drawn in its cell: places in percent of the cell's width."""

    left: float
    width: float
    value: float


@dataclass(frozen=True)
class Cell:
    """One cell: its figure, the interval beside it, and what it is sorted by (None: a placeholder, last)."""

    name: str
    text: str
    ends: str
    key: float | str | None
    bar: Bar | None = None
    dominated: bool = False

    @property
    def explained(self) -> bool:
        """Whether `hedgefox explain` knows it."""
        return self.key is not None and self.name not in NO_FIGURE


@dataclass(frozen=True)
class Row:
    """One contestant in one table; `reason` says why it has no place, empty for one that has."""

    model: str
    kind: str
    device: str
    address: str
    """What `hedgefox explain` is called with, but for the column."""
    reason: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """One track, domain and split."""

    title: str
    track: str
    domain: str
    split: str
    sealed: bool
    caption: str
    rows: list[Row]


def tables(entries: Sequence[Entry], read: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The board's sections, a table each."""
    devices = {(r["track"]["name"], r["created"]): device_of(r) for r in read}
    broken = {r["created"] for r in read if not verified(r)}
    return [_table(title, part, devices, broken) for title, part in sections(entries).items()]


def device_of(record: Mapping[str, Any]) -> str:
    """What a record was timed on: the name of its GPU, else the kind of device."""
    return str(record["environment"].get("device_name") or record["device"])


def _table(title: str, part: Sequence[Entry], devices: Mapping[tuple[str, str], str], broken: set[str]) -> Table:
    row = part[0].row
    scales = {name: _scale([e.row[name] for e in part]) for name in ERRORS}
    current = max(part, key=lambda e: e.made).comparable
    made = [_row(e, devices.get((e.row["track"], e.made), "–"), _reason(e, current, broken), scales) for e in part]
    return Table(title, row["track"], row["domain"], row["split"], row["round"] is not None, caption(part), made)


def _reason(entry: Entry, current: str, broken: set[str]) -> str:
    """Why a row has no place."""
    if entry.rank != "–":
        return ""
    if entry.row["kind"] == "reference":
        return "the truth itself"
    if entry.made in broken:
        return "its seal does not follow from what entered the round"
    if entry.comparable != current:
        return "made with another version of the suite, metrics or data than the newest record"
    return "a single scene, or no error, gives no interval to rank by"


def _row(entry: Entry, device: str, reason: str, scales: Mapping[str, tuple[float, float] | None]) -> Row:
    row = entry.row
    address = "/".join((row["track"], row["domain"], row["split"], row["model"])) + "/"
    texts = dict(zip((n for n, _ in HEADINGS), cells(entry), strict=True))
    made = [_cell(name, texts[name], entry, scales.get(name)) for name, _ in HEADINGS]
    return Row(row["model"], row["kind"], device, address, reason, made)


def _cell(name: str, text: str, entry: Entry, scale: tuple[float, float] | None) -> Cell:
    value = entry.rank if name == "rank" else entry.row.get(name)
    if text == "–":
        return Cell(name, text, "", None)
    if not isinstance(value, Mapping):
        return Cell(name, text, "", _key(name, value, entry))
    main, _, ends = text.removesuffix(" dominated").partition(" [")
    key = math.inf if value["value"] is None else float(value["value"])
    if math.isnan(key):
        return Cell(name, "–", "", None)
    return Cell(name, main, f"[{ends}" if ends else "", key, _bar(value, scale), bool(value.get("dominated")))


def _key(name: str, value: Any, entry: Entry) -> float | str | None:
    """What a plain cell is sorted by: a place by its first and then its last, a spread by its mean."""
    if name == "rank":
        first, *last = (int(n) for n in re.findall(r"\d+", str(value)))
        return first + (last[0] if last else first) / 1e5
    if name == "spread":
        held = entry.row[f"position_rmse_{ranked_at(entry.row, entry.floor)}"]
        return None if held is None else float(held["iqm"])
    if isinstance(value, str):
        return value
    return None if value is None or math.isnan(value) else float(value)


def _scale(held: Sequence[Mapping[str, Any] | None]) -> tuple[float, float] | None:
    """Logarithms of the least and the largest end of a column."""
    ends = [h[n] for h in held if h is not None for n in ("low", "high", "value") if h[n] is not None]
    known = [math.log10(e) for e in ends if e > 0 and math.isfinite(e)]
    return (min(known), max(known)) if known and max(known) > min(known) else None


def _bar(value: Mapping[str, Any], scale: tuple[float, float] | None) -> Bar | None:
    if scale is None or value["low"] is None or value["high"] is None:
        return None
    low, middle, high = (_place(value[n], scale) for n in ("low", "value", "high"))
    return Bar(round(low, 1), round(max(high - low, 1.0), 1), round(middle, 1))


def _place(value: float, scale: tuple[float, float]) -> float:
    """Where a value stands on a column's logarithmic scale, in percent."""
    if not value > 0:
        return 0.0
    return min(max(100 * (math.log10(value) - scale[0]) / (scale[1] - scale[0]), 0.0), 100.0)
