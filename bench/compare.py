"""Two contestants side by side: the card factors in which they differ first, then their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from . import leaderboard
from . import record as records

FACTORS = ("objective", "learning_algorithm", "architecture")
"""What comes first on a card, and so first here."""


def compare(a: str, b: str, folder: Path) -> dict[str, Any]:
    """How two contestants of the records under a folder differ.

    Returns `differ` (card field → the two values, the three factors first) and `rows`: for every track, domain and split
    that both were scored on, their leaderboard rows under "a" and "b".

    Raises MisuseError for a model that the records do not hold.
    """
    read = [records.read(path) for path in records.find(folder)]
    cards = {c["card"]["name"]: c["card"] for r in read for c in r["contestants"]}
    for name in (a, b):
        if name not in cards:
            raise MisuseError(
                f"no model {name!r} in the records under {folder}; one of {', '.join(sorted(cards))} is right"
            )
    fields = [*FACTORS, *(f for f in cards[a] if f not in FACTORS)]
    differ = {f: [cards[a].get(f), cards[b].get(f)] for f in fields if cards[a].get(f) != cards[b].get(f)}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in leaderboard.board_of(read):
        where = (entry.row["track"], entry.row["domain"], entry.row["split"])
        for side, name in (("a", a), ("b", b)):
            if entry.row["model"] == name:
                rows.setdefault(where, {})[side] = entry.row
    return {"a": a, "b": b, "differ": differ, "rows": [pair for pair in rows.values() if len(pair) == 2 or a == b]}
