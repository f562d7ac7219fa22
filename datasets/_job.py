"""Job: one call of generate, checked before anything is written, and what of its plan is still missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..contracts import Domain, MisuseError, Recipe, Track, registry
from ..contracts import track as track_of
from ._manifest import MANIFEST, read_manifest
from ._plan import CARD, Plan, Shard, make_plan, read_plan, require_same_config, trajectories_per_shard
from ._pool import Workers

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """One call of generate, checked."""

    domain: Domain
    track: Track
    recipe: Recipe
    folder: Path
    plan: Plan
    splits: tuple[str, ...]
    workers: Workers
    device: str
    progress: Progress | None

    def shards(self) -> list[Shard]:
        return [shard for split in self.splits for shard in self.plan.shards(split)]

    def missing(self) -> list[Shard]:
        """Shards that are not both in the manifest and in place with their length; `verify` looks at the bytes."""
        entries = {e.path: e.bytes for e in read_manifest(self.folder)}
        return [s for s in self.shards() if _size(self.folder / s.name) != entries.get(s.name, -1)]


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def checked(
    domain: str | Domain,
    track: Track | str,
    out: Path,
    splits: Sequence[str] | None,
    siblings: int,
    workers: int | Workers,
    device: str,
    progress: Progress | None,
) -> Job:
    """The job that `generate` is asked for; raises MisuseError as it does."""
    kind = registry.domain(domain)
    chosen = track_of(track) if isinstance(track, str) else track
    pool = workers if isinstance(workers, Workers) else Workers(workers)
    if siblings < 1:
        raise MisuseError(f"{siblings} siblings; at least 1, the plain sample, is right")
    _require_device(device)
    recipe = kind.recipe(chosen.size)
    folder = out / kind.name
    plan = _planned(kind, chosen, recipe, folder, device, siblings)
    asked = plan.splits if splits is None else tuple(dict.fromkeys(splits))
    unknown = [s for s in asked if s not in plan.splits]
    if unknown or not asked:
        named = f"split {unknown[0]!r}" if unknown else "an empty list of splits"
        raise MisuseError(f"the track {chosen.name} has no data for {named}; it has {', '.join(plan.splits)}")
    return Job(kind, chosen, recipe, folder, plan, asked, pool, device, progress)


def _require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MisuseError(f"device {device!r} is not there; cpu always is") from error


def _planned(domain: Domain, track: Track, recipe: Recipe, folder: Path, device: str, siblings: int) -> Plan:
    """The plan that the folder already follows, or a new one; raises MisuseError when the folder follows another."""
    counts = {s: n for s, n in track.trajectories.items() if n > 0}
    for split in counts:
        domain.check_split(split, 0)
    if (folder / CARD).exists():
        stored = read_plan(folder)
        asked = make_plan(domain, track, recipe, device, siblings, dict.fromkeys(counts, 1))
        require_same_config(folder, stored, asked.config)
        return stored
    if (folder / MANIFEST).exists() or any(folder.glob("*.h5")):
        raise MisuseError(f"{folder} holds shards but no {CARD}, so it cannot be resumed; choose another folder")
    each = {split: trajectories_per_shard(domain, recipe, split, track.root_seed, siblings) for split in counts}
    if siblings > 1:
        # What cannot vary is told before anything is written: families of scenes take turns.
        for index in range(len(domain.families)):
            domain.sample_sibling(recipe, next(iter(counts)), index, 1, track.root_seed)
    return make_plan(domain, track, recipe, device, siblings, each)
