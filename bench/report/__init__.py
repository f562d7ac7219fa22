"""The report: one folder that opens from disk, made from records and nothing else. No network, no script from elsewhere.

    records, curves, cards ─► board.py, headline.py, charts/*.py ─► data ─► templates/*.j2, assets/report.js ─► index.html
    kept films ─► films.py ─► assets/films/*.js, loaded by assets/players.js when chosen

Python decides what is shown and computes every number; the page only draws, sorts and hides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .. import board_text, leaderboard
from .. import record as records
from ..pool import read_pooled
from . import films, page


def report(folder: Path, out: Path | None = None, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write index.html, its assets and LEADERBOARD.md for all records under a folder; returns the page.

    They go to `out`, FOLDER/report by default. `progress(done, total)` is told the steps: records read, board made, page written.
    Raises MisuseError when there is no record.
    """
    tell = progress or (lambda done, total: None)
    tell(0, 3)
    read = read_pooled(folder)
    tell(1, 3)
    entries = leaderboard.board_of(read)
    tell(2, 3)
    target = folder / "report" if out is None else out
    records.write_text(target / "LEADERBOARD.md", board_text.markdown(entries))
    page.copy_assets(target / "assets")
    records.write_text(
        target / "index.html", page.render(folder, read, entries, films.players(folder, target / "assets"))
    )
    return target / "index.html"
