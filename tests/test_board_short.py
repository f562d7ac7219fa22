"""The board in a few lines, against rows whose answers are plain to see."""

from __future__ import annotations

from typing import Any

import pytest
from hedgefox.bench import board_short
from hedgefox.bench.leaderboard import FIELDS, Entry


def figure(value: float, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, **more}


def entry(model: str, kind: str, off: float | None, equal: dict[str, Any] | None = None, **row: Any) -> Entry:
    held = dict.fromkeys(FIELDS) | {"track": "t", "domain": "fluid", "split": "test", "model": model, "kind": kind}
    held |= {"position_rmse_20": None if off is None else figure(off, off, off), "speedup_equal_accuracy": equal, **row}
    return Entry(held, "", "", "", {}, {}, None, {})


@pytest.mark.parametrize(
    ("equal", "right"),
    [
        (figure(2.0, 1.5, 2.5), "yes"),
        (figure(2.0, 0.9, 2.5), "open"),
        (figure(0.5, 0.4, 0.6), "no"),
        (figure(0.9, 0.8, 1.1), "open"),
        (figure(0.5, 0.4, 0.6, flag=">", high_flag=">"), "open"),
        (figure(2.0, 1.5, 2.5, flag="<", low_flag="<"), "open"),
        (figure(2.0, 1.5, 2.5, flag=">"), "yes"),
        (figure(0.5, 0.4, 0.6, flag="<"), "no"),
        (figure(2.0), "yes"),
        (None, "untimed"),
        ({"value": None, "low": None, "high": None, "flag": "never"}, "untimed"),
    ],
)
def test_who_beats_the_simulator(equal: dict[str, Any] | None, right: str) -> None:
    assert board_short.beats(equal) == right


def test_the_best_of_each_kind_and_the_fastest_at_equal_accuracy_are_named() -> None:
    part = [
        entry("solver", "reference", 0.0, figure(9.0, 8.0, 10.0)),
        entry("still", "baseline", 0.001, figure(50.0, 40.0, 60.0, flag="<")),
        entry("a_gnn", "specialist", 0.02, figure(0.5, 0.4, 0.6, dominated=True), break_even_rollouts=None),
        entry("b_gnn", "specialist", 0.03, figure(3.0, 2.0, 4.0), break_even_rollouts=380.0),
        entry("fox", "generalist", 0.025),
        entry("lost", "generalist", None, figure(99.0, 98.0, 100.0)),
    ]
    *_, row = board_short.table(part)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "fluid · test · t"
    assert cells[1].startswith("a_gnn: 0.02")
    assert cells[2].startswith("fox: 0.025")
    assert cells[3:] == ["b_gnn: 3 [2, 4] ×", "**yes**", "380"]


def test_where_nothing_was_learned_there_is_no_table() -> None:
    assert board_short.table([entry("solver", "reference", 0.0), entry("still", "baseline", 0.1)]) == []
    *_, row = board_short.table([entry("<b>fox|", "generalist", 0.1)])
    assert "&lt;b>fox\\|: 0.1" in row
    assert "not timed" in row
