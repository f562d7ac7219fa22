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


HEADINGS = (
    ("rank", "rank"),
    ("model", "model"),
    ("kind", "kind"),
    ("position_rmse_1", "RMSE 1 [m]"),
    ("position_rmse_20", "RMSE 20 [m]"),
    ("position_rmse_last", "RMSE last [m]"),
    ("spread", "IQM · p90 [m]"),
    ("trust_horizon", "trusted [frames]"),
    ("latency_ms", "latency [ms]"),
    ("throughput_nodes_per_s", "nodes/s"),
    ("speedup_equal_accuracy", "× equal accuracy"),
    ("speedup_reference", "× reference"),
    ("break_even_rollouts", "pays after"),
    ("parameters", "parameters"),
    ("bytes", "bytes"),
    ("peak_memory_bytes", "peak memory"),
    ("seeds", "seeds"),
    ("diverged_share", "diverged"),
)
"""What the tables for people show, and under which heading."""

WIDE = 250
LEFT_OUT = ("position_rmse_1", "spread", "trust_horizon", "bytes", "peak_memory_bytes", "seeds")
"""Columns that a terminal of fewer than WIDE characters is spared; `--json`, the report and Markdown have them all."""


def cells(entry: Entry, headings: Sequence[tuple[str, str]] = HEADINGS) -> list[str]:
    """The text of a row under its headings."""
    held = {**entry.row, "rank": entry.rank, "spread": _spread(shown(entry.row, entry.floor))}
    held |= {name: _bytes(entry.row[name]) for name in ("bytes", "peak_memory_bytes")}
    return [text_of(held[name]) for name, _ in headings]


def _spread(held: Mapping[str, Any] | None) -> str | None:
    """Interquartile mean and 90th percentile beside the mean that is ranked: few bad scenes show as the distance between them."""
    if held is None or held.get("iqm") is None:
        return None
    return f"{held['iqm']:.3g} · {held['p90']:.3g}"


def _bytes(number: int | None) -> str | None:
    """A number of bytes in the unit that people read."""
    if number is None:
        return None
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number = number / 1000  # type: ignore[assignment]
    return f"{number:.3g} GB"


def text_of(value: Any) -> str:
    """A short text for any value of a row; "–" for what does not apply."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        if value["value"] is None:
            return str(value["flag"])
        ends = "" if value["low"] is None else f" [{_end(value, 'low')}, {_end(value, 'high')}]"
        return f"{value.get('flag', '')}{value['value']:.3g}{ends}{' dominated' if value.get('dominated') else ''}"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e5 else f"{value:.2e}"
    return str(value)


def _end(value: Mapping[str, Any], end: str) -> str:
    """One end of an interval, with the sign of a bound where it is one."""
    return f"{value.get(f'{end}_flag', '')}{value[end]:.2g}"


def sections(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The board cut into one table a track, domain and split, by title."""
    tables: dict[str, list[Entry]] = {}
    for e in entries:
        title = f"{e.row['domain']} · {e.row['split']} · {e.row['track']}"
        tables.setdefault(title if e.row["round"] is None else f"{title} · sealed", []).append(e)
    return tables


def caption(entries: Sequence[Entry]) -> str:
    """What a table's reader must know of its truth: the reference's own error, and beyond which frame nothing is ranked."""
    floor = next((e.floor for e in entries if e.floor is not None), None)
    if floor is None:
        return ""
    values: Mapping[str, Any] = next((v for m, v in floor["values"].items() if m.startswith("position_rmse@")), {})
    told = ", ".join(f"{text_of(values[name])} m at frame {name}" for name in ("1", "20", "last") if values.get(name))
    parted = (
        "" if floor["parts_at"] is None else f"; they part at frame {floor['parts_at']}, beyond which nothing is ranked"
    )
    return f"Floor: the reference differs from its refined run ({floor['solver']}, {floor['scenes']} scenes) by {told}{parted}."


def markdown(entries: Sequence[Entry]) -> str:
    """The board as Markdown, a table a domain and split."""
    lines = ["# Leaderboard", "", NOTE]
    for title, part in sections(entries).items():
        lines += [
            "",
            f"## {title}",
            "",
            *([told, ""] if (told := caption(part)) else []),
            "| " + " | ".join(h for _, h in HEADINGS) + " |",
            "|" + "---|" * len(HEADINGS),
        ]
        lines += ["| " + " | ".join(c.replace("|", "\\|") for c in cells(e)) + " |" for e in part]
    return "\n".join(lines) + "\n"


NOTE = (
    "Errors are means over scenes and training seeds with 95 % bootstrap intervals; overlapping intervals share places. “IQM "
    "· p90” are the interquartile mean and the 90th percentile of the error that is ranked: position RMSE at frame 20, or at "
    "an earlier frame where the reference and its refined run have parted by then. Latency is one whole rollout of one scene. "
    "“× equal accuracy” is the time of the cheapest timed setting of the simulator that errs no more, over that of the "
    "contestant: below one the simulator wins; “<” and “>” are bounds where the settings do not reach; “dominated” says that "
    "one of them is both faster and better. “× reference” is the plain ratio of latencies to the reference, not at equal "
    "accuracy. “Pays after” is the number of rollouts that pay back training data, training and compilation at equal "
    "accuracy."
)


def print_board(entries: Sequence[Entry], console: Any) -> None:
    """Print the board to a rich console."""
    from rich.table import Table
    from rich.text import Text

    shown_here = [h for h in HEADINGS if console.width >= WIDE or h[0] not in LEFT_OUT]
    for title, part in sections(entries).items():
        table = Table(title=Text(title), title_justify="left", caption=caption(part) or None, caption_justify="left")
        for name, heading in shown_here:
            table.add_column(Text(heading), justify="left" if name in ("model", "kind") else "right")
        for e in part:
            table.add_row(*(Text(c) for c in cells(e, shown_here)))
        console.print(table)
