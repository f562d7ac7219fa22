"""Generate: simulate what a track asks for and publish it shard by shard, so that a kill at any moment loses little.

A shard is written as .tmp, closed, forced to the disk, read back, renamed, and only then named in the manifest. The same
command looks at what is there and goes on; on complete data it does nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ..contracts import Domain, HedgefoxError, MisuseError, Track
from ..contracts.strict_json import parse
from ._estimate import require_room
from ._files import TMP, append_line, drop_torn_line, locked, publish, read_lines, write_text, writing
from ._job import Job, Progress, checked
from ._manifest import MANIFEST, Entry, append, entry_of, hash_of, read_manifest
from ._overlap import overlapped
from ._plan import CARD, Plan, Shard, read_plan, require_same_config, text_of
from ._pool import Result, Task, Workers, portable, simulated
from ._provenance import commit
from ._record import film_of
from ._shard import Place, ShardWriter, opened, records, require_sound
from ._statistics import Accumulator, Statistics, statistics, write_statistics

COSTS = "costs.jsonl"


def generate(
    domain: str | Domain,
    track: Track | str,
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    siblings: int = 1,
    workers: int | Workers = 1,
    device: str = "cpu",
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Simulate a track's data for one domain into `out`/DOMAIN; returns that folder.

    `splits` limits the work to some of the track's splits. Of each start that the track asks for, `siblings` trajectories
    are made: the plain sample, and others that differ from it in one parameter or in the script. `workers` processes
    simulate, one writes; the data do not depend on their number. Workers given as an object are left running, for others.
    `progress(done, total)` is told the trajectories finished. The same call resumes what was killed, and complete data are
    left untouched.

    Raises MisuseError, before anything is written, for a split, size, device or number of workers that does not exist,
    for siblings of what cannot vary, for a folder that holds other data or is in use, and for data whose frames alone are more
    than the disk has room for, unless `force`; and, leaving what is finished, when the disk is full.
    """
    job = checked(domain, track, Path(out), splits, siblings, workers, device, progress)
    if _is_complete(job):
        if progress:
            total = sum(s.stop - s.first for s in job.shards())
            progress(total, total)
        return job.folder
    if not force:
        require_room(job)
    with writing(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext() if job.workers is workers else job.workers, locked(job.folder):
        _prepare(job)
        _fill(job)
        _write_statistics(job)
    return job.folder


def seconds(folder: str | Path, splits: Sequence[str] | None = None) -> float:
    """Time that the trajectories of a data set took to simulate [s], that of workers side by side counted once.

    Of all splits, or of those named. Raises MisuseError for lines that do not say it.
    """
    path, total = Path(folder) / COSTS, 0.0
    for number, line in enumerate(read_lines(path)[0], start=1):
        try:
            cost = parse(line, f"{path} line {number}")
            if splits is None or cost["split"] in splits:
                total += float(cost["seconds"] / cost["workers"])
        except (KeyError, TypeError, ArithmeticError) as error:
            raise MisuseError(f"{path} line {number} does not say what a group cost: {error!r}") from error
    return total


def _is_complete(job: Job) -> bool:
    """True when nothing is left to do, told without writing, so that finished data may lie on a read-only disk."""
    if not (job.folder / CARD).exists() or job.missing() or read_lines(job.folder / MANIFEST)[1]:
        return False
    return not any(job.folder.glob("*" + TMP)) and not _statistics_due(job)


def _prepare(job: Job) -> None:
    """Remove what a kill left half done, now that nobody else can be at work here."""
    with writing(job.folder):
        for path in job.folder.glob("*" + TMP):
            path.unlink()
    drop_torn_line(job.folder / MANIFEST)
    drop_torn_line(job.folder / COSTS)
    if (job.folder / CARD).exists():
        # Another process may have written it between the plan and the lock.
        require_same_config(job.folder, read_plan(job.folder), job.plan.config)
    else:
        write_text(job.folder / CARD, text_of(job.plan))


def _fill(job: Job) -> None:
    """Make the missing shards, in order: simulated by this thread or its workers, written by another."""
    missing = job.missing()
    if not missing:
        return
    with contextlib.closing(simulated(_tasks(job, missing), job.workers)) as results:
        overlapped(results, functools.partial(_write_all, job, missing))


def _write_all(job: Job, missing: Sequence[Shard], results: Iterator[Result]) -> None:
    """Write and publish shards from the results of their groups as they come."""
    total = sum(s.stop - s.first for s in job.shards())
    done = total - sum(s.stop - s.first for s in missing)
    known = {entry.path: entry for entry in read_manifest(job.folder)}
    for shard in missing:
        done = _write_shard(job, shard, results, done, total)
        _publish(job, shard, known.get(shard.name))


def _tasks(job: Job, shards: Sequence[Shard]) -> Iterator[Task]:
    source = portable(job.domain, job.workers)
    for shard in shards:
        for indices in shard.groups():
            yield Task(source, job.recipe, shard.split, indices, job.track.root_seed, job.device, job.plan.siblings)


def _write_shard(job: Job, shard: Shard, results: Iterator[Result], done: int, total: int) -> int:
    """Write one shard as .tmp from the next results; returns the trajectories finished so far."""
    path = job.folder / (shard.name + TMP)
    with ShardWriter(path, job.plan.root_attributes(shard.split)) as writer:
        for indices in shard.groups():
            if job.progress:
                job.progress(done, total)
            result = next(results)
            for index, record, variation in zip(indices, result.records, result.variations, strict=True):
                writer.add(record, Place(index, job.plan.siblings, variation), str(job.track.root_seed))
            done += len(indices)
            append_line(job.folder / COSTS, _cost(job, shard, indices, result))
    if job.progress:
        job.progress(done, total)
    return done


def _publish(job: Job, shard: Shard, before: Entry | None) -> None:
    """Prove a finished .tmp, name it, and enter it in the manifest."""
    temporary, final = job.folder / (shard.name + TMP), job.folder / shard.name
    require_sound(temporary)
    publish(temporary, final)
    with writing(final):
        entry = entry_of(job.folder, job.plan, shard)
    if before is None:
        append(job.folder, entry)
    elif (entry.bytes, entry.sha256) != (before.bytes, before.sha256):
        raise HedgefoxError(
            f"{final} was made again and has SHA-256 {entry.sha256[:12]}…; {MANIFEST} says {before.sha256[:12]}…: "
            "another machine type or library version made it"
        )


@functools.cache
def _machine() -> dict[str, str | int]:
    """What this machine is, never its name, and the commit of the source tree where there is one."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit() or "",
    }


def _cost(job: Job, shard: Shard, indices: range, result: Result) -> dict[str, str | int | float]:
    frames = sum(record.n_frames for record in result.records)
    node_frames = sum(record.n_frames * record.sizes["node"] for record in result.records)
    where = torch.cuda.get_device_name(job.device) if job.device.startswith("cuda") else "cpu"
    spent = {
        "seconds": round(result.seconds, 6),
        "frames": frames,
        "node_frames": node_frames,
        "workers": job.workers.number,
    }
    return {"split": shard.split, "first": indices.start, "stop": indices.stop, **spent, "device": where, **_machine()}


def _training_entries(job: Job) -> list[Entry]:
    """The training shards' entries, or none while one is missing."""
    entries = {e.path: e for e in read_manifest(job.folder)}
    names = [s.name for s in job.plan.shards("train")] if "train" in job.plan.splits else []
    return [entries[n] for n in names] if all(n in entries for n in names) else []


def _statistics_due(job: Job) -> bool:
    """True when the training split is complete and stats.json is not about it."""
    entries = _training_entries(job)
    if not entries:
        return False
    try:
        return statistics(job.folder).manifest != hash_of(entries)
    except MisuseError:
        return True


def _write_statistics(job: Job) -> None:
    if _statistics_due(job):
        write_statistics(job.folder, compute_statistics(job.folder, job.plan, _training_entries(job)))


def compute_statistics(folder: Path, plan: Plan, entries: Sequence[Entry]) -> Statistics:
    """Go through the training shards once, in order."""
    accumulator = Accumulator(plan.card["parameter_units"])
    for entry in entries:
        with opened(folder / entry.path) as file:
            for record in records(file):
                accumulator.add(film_of(record))
    return accumulator.result(hash_of(list(entries)))
