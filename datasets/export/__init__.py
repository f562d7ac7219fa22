"""Data sets written in other people's layouts, and the cards that describe them: one file a layout. See docs/foreign.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ...contracts import MisuseError
from . import cards, huggingface, lagrangebench

Progress = Callable[[int, int], None]
Writer = Callable[[Path, Path, str, Progress | None], list[str]]

LAYOUTS: Mapping[str, Writer] = {
    "lagrangebench": lagrangebench.write,
    "huggingface": huggingface.write,
    "card": cards.write,
}
"""By name: what writes a data set's folder into another one, for a URL, and says what was left out."""


def export(
    folder: str | Path, layout: str, out: str | Path, *, url: str = "", progress: Progress | None = None
) -> list[str]:
    """Write a data set that `generate` made into `out` in another layout; returns what the layout cannot hold, a sentence each.

    "card" writes README.md and croissant.json alone, of the data set as it is; "huggingface" writes them beside its files. `url` is
    where the data will lie, for the cards. One trajectory is in memory at a time.

    Raises MisuseError for an unknown layout, for what is no finished data set or does not fit the layout, and for an `out` that is
    not empty; CheckFailed when a shard is not what the manifest says.
    """
    if layout not in LAYOUTS:
        raise MisuseError(f"unknown layout {layout!r}; one of {', '.join(LAYOUTS)} is right")
    source, target = Path(folder), Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MisuseError(f"{target} is not empty; give a folder that is, or does not exist")
    return LAYOUTS[layout](source, target, url, progress)
