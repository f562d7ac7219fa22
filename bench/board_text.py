"""The board for people: its columns, the text of a figure, tables in Markdown."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from .leaderboard import Entry, shown
from .record import write_text

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

LEFT_OUT = ("position_rmse_1", "spread", "trust_horizon", "bytes", "peak_memory_bytes", "seeds")
"""Columns that pages are spared, and that come last in a terminal; `--json` and the report have them all."""


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


def cell(value: Any, no: str = "no") -> str:
    """A short text for any plain value; `no` is the word for what does not hold."""
    if isinstance(value, bool):
        return "yes" if value else no
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, Mapping) and "value" not in value:
        return ", ".join(f"{k} {cell(v, no)}" for k, v in value.items()) or "–"
    return text_of(value)


def timing(measured: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table of timings, from what a record holds of one contestant's speed."""
    best = measured["throughput"]
    return {
        "model": measured["model"],
        "latency_ms": 1e3 * measured["latency"]["median_s"],
        "core_time_ms": 1e3 * measured["latency"]["core_median_s"],
        "best_batch": best["batch"],
        "nodes_per_s": best["nodes_per_s"],
        "speedup_reference": measured["speedup_reference"],
        "peak_memory_bytes": measured["peak_memory_bytes"],
        "flags": ", ".join(measured["latency"].get("flags", [])),
    }


TIMING_HEADINGS = {
    "latency_ms": "latency [ms]",
    "core_time_ms": "core time [ms]",
    "best_batch": "best batch",
    "nodes_per_s": "nodes/s",
    "speedup_reference": "× reference",
    "peak_memory_bytes": "peak memory [bytes]",
}
"""What people read above the columns of `timing`; other names stand as they are."""


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
    """The board as a page in Markdown, a table a track, domain and split."""
    lines = ["# Leaderboard", "", NOTE]
    for title, part in sections(entries).items():
        lines += ["", f"## {title}", "", *_table(part, HEADINGS)]
    return "\n".join(lines) + "\n"


def _table(part: Sequence[Entry], headings: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of one table, its caption before it."""
    told = caption(part)
    rows = ["| " + " | ".join(escaped(c) for c in cells(e, headings)) + " |" for e in part]
    return [
        *([told, ""] if told else []),
        "| " + " | ".join(h for _, h in headings) + " |",
        "|" + "---|" * len(headings),
        *rows,
    ]


def escaped(text: str) -> str:
    """Text that stays text in Markdown: no cell ends early, no markup of a model's name is followed."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


BEGIN, END = "<!-- board:begin -->", "<!-- board:end -->"


def write_into(page: Path, entries: Sequence[Entry], first: Sequence[str] = ()) -> None:
    """Put the tables of a board between the marks BEGIN and END of a page in Markdown, in the place of what stands there.

    The lines `first` come before them; where there are such, each table is folded under its title. A page is no archive: columns
    of LEFT_OUT and settings of the ladder that were not timed are left out.

    Raises MisuseError for a page without the two marks.
    """
    headings = [h for h in HEADINGS if h[0] not in LEFT_OUT]
    kept = [e for e in entries if e.row["kind"] != "ladder" or e.row["latency_ms"] is not None]
    parts = [["", *first]] if first else []
    for title, part in sections(kept).items():
        lines = ["", *_table(part, headings)]
        parts.append(_folded(title, lines) if first else ["", f"**{title}**", *lines])
    write_text(page, between_marks(page, BEGIN, END, "\n".join(line for part in parts for line in part) + "\n"))


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines of Markdown that open when their title is asked for."""
    return ["", f"<details><summary>{html.escape(title)}: all contestants</summary>", *lines, "", "</details>"]


def between_marks(page: Path, begin: str, end: str, inside: str) -> str:
    """The text of a page with what stands between two marks replaced; raises MisuseError where it lacks the marks."""
    before, first, rest = page.read_text(encoding="utf-8").partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last):
        raise MisuseError(f"{page} lacks the marks {begin} and {end}; what is made goes between them")
    return before + first + inside + last + after


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
