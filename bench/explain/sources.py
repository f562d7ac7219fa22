"""Which records a row of the board is from, and the curves behind it. What is pooled bench/pool.py decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from .. import curves
from .. import record as records
from ..leaderboard import Entry
from ..score import Score

Source = tuple[Path, Mapping[str, Any]]
"""A record and the folder that it lies in."""


def every(folder: Path) -> list[Source]:
    """The records under a folder, oldest first."""
    found = [(path, records.read(path)) for path in records.find(folder)]
    return sorted(found, key=lambda s: (s[1]["created"], str(s[0])))


def sources(read: Sequence[Source], entry: Entry) -> list[Source]:
    """The records that a row is from, newest first; one that adds no training seed of this model to the newer ones is left out."""
    row = entry.row
    where = (row["domain"], row["split"], row["model"])
    held = [s for s in reversed(read) if str(s[0]) in entry.folders and score_of(s[1], *where)]
    kept, seen = list[Source](), set[int | None]()
    for source in held:
        added = set(score_of(source[1], *where)["seeds"]) - seen
        if added:
            kept.append(source)
            seen |= added
    return kept


def timed_in(read: Sequence[Source], speed: Mapping[str, Any]) -> Source:
    """The newest record that holds a timing. Figures that errors enter may have been made anew since; samples never are."""

    def holds(record: Mapping[str, Any]) -> bool:
        return any(all(s[n] == speed[n] for n in ("domain", "model", "latency")) for s in record["speed"])

    return next(s for s in reversed(read) if holds(s[1]))


def score_of(record: Mapping[str, Any], domain: str, split: str, model: str) -> dict[str, Any]:
    """The record's summary of one contestant on one split; empty without one."""
    where = (domain, split, model)
    return next((s for s in record["scores"] if (s["domain"], s["split"], s["model"]) == where), {})


def scores(found: Sequence[Source], **only: str) -> list[Score]:
    """The curves of some records, newest first: of each contestant and training seed the newest ones, sorted by seed.

    Raises MisuseError for a record whose curves are not beside it.
    """
    held: dict[tuple[Any, ...], Score] = {}
    for folder, record in found:
        for score in curves.read(curves_path(folder, record), **only):
            held.setdefault((score.domain, score.split, score.model, score.seed), score)
    return sorted(held.values(), key=lambda s: -1 if s.seed is None else s.seed)


def curves_path(folder: Path, record: Mapping[str, Any]) -> Path:
    """Where a record's curves lie; raises MisuseError when they are not there."""
    name: str | None = record["curves"]
    # Of a record from elsewhere no path is followed: curves lie beside it.
    if name is None or Path(name).name != name or not (folder / name).is_file():
        raise MisuseError(f"the record in {folder} is without its curves; its samples are in {name or records.CURVES}")
    return folder / name


def with_metric(score: Score, name: str) -> Any:
    """The curve (T, B) of a metric by its name without version; None without it."""
    return next((c for m, c in score.curves.items() if m.split("@")[0] == name and "/" not in m), None)
