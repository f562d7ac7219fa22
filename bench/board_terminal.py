"""The board in a terminal: as many columns as its width holds, by importance; the others are named, and `--json` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .board_text import HEADINGS, LEFT_OUT, caption, cells, sections
from .leaderboard import Entry

IMPORTANT = (
    *("rank", "model", "position_rmse_20", "speedup_equal_accuracy", "latency_ms", "kind", "position_rmse_last"),
    *("speedup_reference", "throughput_nodes_per_s", "break_even_rollouts", "parameters", "diverged_share"),
    *LEFT_OUT,
)
"""Columns by what a reader misses most."""
GAP = 3
"""Characters between two columns."""
EMPTY = "–"

Column = list[str]
"""The texts of one column, its heading first; a line end folds a cell."""


def print_board(entries: Sequence[Entry], console: Any) -> None:
    """Print the board to a rich console; the same columns in each of its tables."""
    from rich.text import Text

    columns = _columns(entries)
    chosen = fitting(columns, console.width)
    if len(chosen) < len(columns):
        columns["speedup_equal_accuracy"] = [_folded(text) for text in columns["speedup_equal_accuracy"]]
        chosen = fitting(columns, console.width)
    numbers = {id(e): k for k, e in enumerate(entries)}
    for title, part in sections(entries).items():
        console.print(Text(title, style="bold"))
        console.print(_table([[columns[name][1 + numbers[id(e)]] for name in chosen] for e in part], chosen))
        if told := caption(part):
            console.print(Text(told, style="dim"))
        console.print()
    missed = [heading for name, heading in HEADINGS if name not in chosen and set(columns[name][1:]) != {EMPTY}]
    if missed:
        console.print(Text(f"Left out at this width: {', '.join(missed)}; --json has all.", style="dim"))


def _columns(entries: Sequence[Entry]) -> dict[str, Column]:
    """All that could be shown, by the column's name."""
    rows = [cells(e) for e in entries]
    return {name: [heading, *(row[k] for row in rows)] for k, (name, heading) in enumerate(HEADINGS)}


def _folded(text: str) -> str:
    return text.replace(" dominated", "\ndominated")


def fitting(columns: Mapping[str, Column], width: int) -> list[str]:
    """The names of the columns to show, in the board's order: by importance while they fit, none in which nothing stands."""
    from rich.cells import cell_len

    taken, left = set[str](), width + GAP
    for name in IMPORTANT:
        needed = GAP + max(cell_len(line) for text in columns[name] for line in text.split("\n"))
        if needed <= left and (set(columns[name][1:]) != {EMPTY} or name == "rank"):
            taken.add(name)
            left -= needed
    return [name for name, _ in HEADINGS if name in taken]


def _table(rows: Sequence[Sequence[str]], chosen: Sequence[str]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    headings = dict(HEADINGS)
    for name in chosen:
        table.add_column(Text(headings[name]), justify="left" if name in ("model", "kind") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    return table
