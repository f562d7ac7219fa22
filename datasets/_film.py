"""Films in memory: a whole split on a device, or one file for looking at."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..contracts import CheckFailed, MisuseError, Trajectory, stack
from ..contracts.siblings import Variation
from ._files import TMP, publish, sha256_file
from ._manifest import MANIFEST, Entry, read_manifest
from ._plan import Plan, read_plan
from ._record import Record, events_of, film_of, records_of
from ._shard import Place, Row, ShardWriter, index_of, mismatch, opened, records, require_sound
from ._untrusted import require_harmless


def load(folder: str | Path, split: str, device: str | torch.device = "cpu") -> Trajectory:
    """The whole of a split as one batch on `device`: position (T, N, D) [m], velocity [m/s], the scenes, their script.

    Scene b is trajectory b of the split. Every shard is hashed before it is opened.

    Raises MisuseError when the split is not there or not finished, CheckFailed when a shard is not what the manifest says.
    """
    folder = Path(folder)
    films = [film for path in _finished(folder, read_plan(folder), split) for film in _films(path)]
    return stack(films).to(device)


def load_one(folder: str | Path, split: str, index: int, device: str | torch.device = "cpu") -> Trajectory:
    """One trajectory of a split as a batch of one; only its shard is hashed and opened. Raises as `load` does."""
    path = _finished(Path(folder), read_plan(Path(folder)), split, index)[0]
    with opened(path) as file:
        found = next(r for r, row in zip(records(file), index_of(file), strict=True) if row["index"] == index)
        return film_of(found).to(device)


def events(folder: str | Path, split: str) -> dict[str, Tensor]:
    """The labels of a split as its simulator gave them, each (T, B), bool: scene b as `load` has it, frames from 0 on.

    Raises as `load` does.
    """
    folder = Path(folder)
    labels = [events_of(record) for path in _finished(folder, read_plan(folder), split) for record in _records(path)]
    return {name: torch.stack([each[name] for each in labels], dim=1) for name in labels[0]}


@dataclass(frozen=True)
class Sibling:
    """What one trajectory of a split is among its siblings."""

    group: int
    """Trajectories of one group share a start."""
    variant: int
    """0 is the plain sample; each other differs from it in one thing."""
    variation: Variation


def siblings(folder: str | Path, split: str) -> list[Sibling]:
    """Who is whose sibling, one entry a scene in the order of `load`. Raises as `load` does."""
    folder = Path(folder)
    rows = [row for path in _finished(folder, read_plan(folder), split) for row in _rows(path)]
    return [Sibling(row["group"], row["variant"], Variation(row["varied"], row["value"])) for row in rows]


def _finished(folder: Path, plan: Plan, split: str, index: int | None = None, *, hashed: bool = True) -> list[Path]:
    """The files of a split, or the one with a trajectory, each proved to have the bytes that the manifest names if `hashed`."""
    entries = {entry.path: entry for entry in read_manifest(folder)}
    there = sorted({entry.split for entry in entries.values()})
    if split not in plan.splits or split not in there:
        raise MisuseError(f"{folder} has no split {split!r}; it has {', '.join(there) or 'none yet'}")
    shards = [s for s in plan.shards(split) if index is None or s.first <= index < s.stop]
    if not shards:
        last = plan.card["splits"][split]["trajectories"] - 1
        raise MisuseError(f"{folder} has no trajectory {index} in {split}; it has 0 to {last}")
    missing = [shard.name for shard in shards if shard.name not in entries]
    if missing:
        raise MisuseError(
            f"{folder}: split {split} is not finished, {missing[0]} is missing; generate it again to resume"
        )
    for shard in shards if hashed else ():
        _require_hash(folder / shard.name, entries[shard.name])
    return [folder / shard.name for shard in shards]


def _require_hash(path: Path, entry: Entry) -> None:
    if not path.is_file():
        raise CheckFailed(f"{path} is gone, but {MANIFEST} names it; generate it again")
    if (found := sha256_file(path)) != entry.sha256:
        raise CheckFailed(
            f"{path} has SHA-256 {found[:12]}…; {MANIFEST} says {entry.sha256[:12]}…: delete it, generate again"
        )


def _films(path: Path) -> list[Trajectory]:
    return [film_of(record) for record in _records(path)]


def _records(path: Path) -> list[Record]:
    with opened(path) as file:
        return list(records(file))


def _rows(path: Path) -> list[Row]:
    with opened(path) as file:
        return index_of(file)


def load_record(path: Path, entry: Entry, number: int) -> Record | None:
    """The trajectory of that number in a shard, or None where the shard is not there; raises CheckFailed for other bytes."""
    if not path.is_file():
        return None
    _require_hash(path, entry)
    with opened(path) as file:
        return next(itertools.islice(records(file), number, None))


def save(film: Trajectory, path: str | Path) -> None:
    """Write a film to one HDF5 file, a group a scene, replacing what is there. Raises MisuseError when it cannot."""
    path = Path(path)
    temporary = path.with_name(path.name + TMP)
    root: dict[str, str | int | float] = {
        "split": "",
        "domain": film.scene.domain,
        "frame_interval": film.scene.frame_interval,
    }
    with ShardWriter(temporary, root) as shard:
        for index, record in enumerate(records_of(film)):
            shard.add(record, Place(index), seed="")
    require_sound(temporary)
    publish(temporary, path)


def read(path: str | Path, *, own: bool = False) -> Trajectory:
    """The film in a file made by `save`, or all trajectories of one shard, on the CPU, float for float.

    The file may come from anywhere: it is read through by another process, under limits, before it is opened here, unless
    the caller's `own` says that this very program has just written it. Raises MisuseError, in one line, for whatever is
    wrong with it.
    """
    path = Path(path)
    if not own:
        require_harmless(path)
    films = []
    with opened(path, own=own) as file:
        for record, row in zip(records(file), index_of(file), strict=True):
            films.append(film_of(record))
            if what := mismatch(record, row):
                raise MisuseError(what)
        return stack(films)
