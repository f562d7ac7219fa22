"""The board in a few lines: who errs least where, and whether anyone beats the simulator at equal accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .board_text import escaped, sections, text_of
from .leaderboard import Entry, error, shown

LEARNED = ("specialist", "generalist", "hybrid")
"""Kinds of contestants that were trained, baselines aside."""
HEADINGS = (
    "",
    "errs least of the specialists",
    "of the generalists",
    "fastest at equal accuracy",
    "beats the simulator",
    "pays after",
)
SAYS = {"yes": "**yes**", "no": "no", "open": "open", "untimed": "not timed"}


def beats(equal: Mapping[str, Any] | None) -> str:
    """ "yes", "no", "open" or "untimed", from S_acc with its interval and bounds: faster than the simulator at equal accuracy?

    A lower end above one is a yes, an upper end below one a no; ends that are bounds towards the other side decide nothing.
    """
    if equal is None or equal.get("value") is None or equal["value"] <= 0:
        return "untimed"
    low, high = (equal["value"] if equal.get(end) is None else equal[end] for end in ("low", "high"))
    flag = equal.get("flag", "")
    if high < 1 and ">" not in (flag, equal.get("high_flag")):
        return "no"
    return "yes" if low > 1 and "<" not in (flag, equal.get("low_flag")) else "open"


def table(entries: Sequence[Entry]) -> list[str]:
    """Lines of a table in Markdown, a row for each table of the board; none where nothing was learned."""
    rows = [[title, *_row(part)] for title, part in sections(entries).items() if any(map(_learned, part))]
    if not rows:
        return []
    lines = ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS), *lines]


def _learned(entry: Entry) -> bool:
    return entry.row["kind"] in LEARNED and shown(entry.row, entry.floor) is not None


def _row(part: Sequence[Entry]) -> list[str]:
    """All but the title of a row."""
    held = [e for e in part if _learned(e)]
    fastest = max((e for e in held if _speed_up(e) > 0), key=_speed_up, default=None)
    return [
        *(_named(_first(held, kind), lambda e: f"{text_of(shown(e.row, e.floor))} m") for kind in LEARNED[:2]),
        _named(fastest, lambda e: f"{text_of({**e.row['speedup_equal_accuracy'], 'dominated': False})} ×"),
        SAYS[beats(None if fastest is None else fastest.row["speedup_equal_accuracy"])],
        "–" if fastest is None else text_of(fastest.row["break_even_rollouts"]),
    ]


def _first(held: Sequence[Entry], kind: str) -> Entry | None:
    return min((e for e in held if e.row["kind"] == kind), key=lambda e: error(e.row, e.floor), default=None)


def _speed_up(entry: Entry) -> float:
    """S_acc, zero where there is none; of a bound, the bound."""
    equal = entry.row["speedup_equal_accuracy"]
    return 0.0 if equal is None or equal.get("value") is None else float(equal["value"])


def _named(entry: Entry | None, figure: Callable[[Entry], str]) -> str:
    return "–" if entry is None else f"{entry.row['model']}: {figure(entry)}"
