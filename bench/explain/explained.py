"""What explaining a cell works with, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..leaderboard import Entry
from ..score import Score
from .sources import Source, scores


@dataclass(frozen=True)
class Behind:
    """A cell of the board and where to look for what is behind it."""

    entry: Entry
    entries: Sequence[Entry]
    """The whole board."""
    read: Sequence[Source]
    """Every record, oldest first."""
    found: Sequence[Source]
    """Those that the row is from, newest first."""
    column: str

    def scores(self) -> list[Score]:
        """The row's curves, a score a training seed; raises MisuseError for a record without its curves."""
        row = self.entry.row
        return scores(self.found, domain=row["domain"], split=row["split"], model=row["model"])


@dataclass(frozen=True)
class Evidence:
    """What was found: facts and lists by title, and the figure made again from the samples."""

    parts: dict[str, Any]
    """A mapping (facts) or a list of rows each."""
    recomputed: Any = None
    """None where a record keeps no samples of the figure."""
    notes: Sequence[str] = field(default=())
