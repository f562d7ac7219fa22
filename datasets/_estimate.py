"""Estimate: what a generate will cost in time and bytes, from a timed sample, before anything is written.

A few groups of the largest split are simulated and written to a folder that is removed. Their cost for a node and a frame, and what
a file holds beside its frames, are applied to all that is missing, whose nodes are counted on sampled starts:

    core-seconds = Σ_splits trajectories · nodes · frames · r,   ln r ± t₀.₉₇₅(k-1) s/√k  of k groups' ln(seconds / node-frames)

once for simulating and once for writing, whose sum is told. How much of the writing lies under the next simulation depends on the
machine: where one process does both, the time is that of one after the other, and the interval begins where nothing is left of it.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..contracts import Domain, MisuseError, Recipe, Track
from ._files import sha256_file, sync
from ._job import Job, checked
from ._plan import GROUP, Plan
from ._pool import Task, Workers, portable, run
from ._record import Record, film_of
from ._shard import Place, ShardWriter, require_sound
from ._statistics import Accumulator

STARTS = 4
"""Starts whose nodes are counted, of each split."""
FEWEST, MOST = 3, 5
"""Groups that are simulated, within the patience and at most."""
PATIENCE = 10.0
"""Time after which no further group is begun, once there are enough [s]. The fewest together are made smaller to take no more
than about twice this, down to one trajectory each."""
MARGIN = 1 << 20
"""Bytes that the manifest, the costs and the statistics may take beside the shards."""


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Interval:
        """Each end and the middle multiplied."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def plus(self, other: Interval | float) -> Interval:
        """Each end and the middle raised."""
        more = other if isinstance(other, Interval) else Interval(other, other, other)
        return Interval(self.value + more.value, self.low + more.low, self.high + more.high)


@dataclass(frozen=True)
class Estimate:
    """What is still to be made of a data set, and what that costs."""

    domain: str
    track: str
    device: str
    workers: int
    trajectories: int
    """Not yet in finished shards."""
    shards: int
    bytes: int
    """On disk, of what is missing."""
    free_bytes: int
    """Of the disk that `out` is on."""
    core_seconds: Interval
    """Processor time of simulating and of writing, all workers together [s]."""
    wall_seconds: Interval
    """From start to end with these workers on this machine [s]."""
    sampled_trajectories: int
    sampled_seconds: float
    """What this estimate took [s]."""
    how: str

    @property
    def fits(self) -> bool:
        """Whether the disk can hold it."""
        return self.bytes + MARGIN <= self.free_bytes


@dataclass(frozen=True)
class _Sample:
    """What was simulated to find out."""

    group: int
    """Trajectories of a group."""
    first_seconds: float
    """A first group's time beyond the others': compiling."""
    wall: Interval
    """Seconds a node and frame."""
    core: Interval
    records: list[Record]
    writing: Interval
    """Seconds to write, read back and hash a trajectory of the sample."""
    writing_core: Interval
    """Processor time of the same [s]."""
    statistics: float
    """Seconds to take a trajectory of the sample into the statistics."""
    beside: float
    """Bytes of a trajectory that are not frames."""

    @property
    def node_frames(self) -> float:
        """Of a trajectory of the sample."""
        return sum(r.n_frames * r.sizes["node"] for r in self.records) / len(self.records)


def estimate(
    domain: str | Domain,
    track: Track | str,
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    siblings: int = 1,
    workers: int | Workers = 1,
    device: str = "cpu",
) -> Estimate:
    """What `generate` with these arguments would still have to do: nothing is written to `out`. Raises as `generate` does."""
    began = time.perf_counter()
    job = checked(domain, track, Path(out), splits, siblings, workers, device, None)
    missing = job.missing()
    number = {s: sum(x.stop - x.first for x in missing if x.split == s) for s in job.splits}
    number = {split: n for split, n in number.items() if n}
    if not number:
        nothing, free = Interval(0.0, 0.0, 0.0), free_bytes(job.folder)
        how = "nothing is missing"
        return Estimate(
            job.domain.name, job.track.name, device, job.workers.number, 0, 0, 0, free, nothing, nothing, 0, 0.0, how
        )
    sample = _sampled(job, max(number, key=lambda s: number[s]))
    sizes = {split: _sizes(job.domain, job.recipe, job.plan, split, job.track.root_seed) for split in number}
    node_frames = sum(n * sizes[split].node_frames for split, n in number.items())
    stored = sum(n * (sizes[split].frame_bytes + sample.beside) for split, n in number.items())
    share, training = node_frames / sample.node_frames, number.get("train", 0)
    core = sample.core.times(node_frames)
    whole = core.plus(sample.writing_core.times(share)).plus(sample.statistics * min(training, share))
    return Estimate(
        domain=job.domain.name,
        track=job.track.name,
        device=device,
        workers=job.workers.number,
        trajectories=sum(number.values()),
        shards=len(missing),
        bytes=round(stored),
        free_bytes=free_bytes(job.folder),
        core_seconds=whole,
        wall_seconds=_wall(job, sample, node_frames, core, training),
        sampled_trajectories=len(sample.records),
        sampled_seconds=time.perf_counter() - began,
        how=_how(sample, job),
    )


def _how(sample: _Sample, job: Job) -> str:
    groups = len(sample.records) // sample.group
    beside = f"; with {job.workers.number} workers, shared out evenly" if job.workers.elsewhere else ""
    return f"{groups} groups of {sample.group} timed here, by node and frame; 95 % t-interval over the groups{beside}"


def _wall(job: Job, sample: _Sample, node_frames: float, core: Interval, training: int) -> Interval:
    """Simulating, on the cores there are, and writing, beside it or after it; then the statistics, alone."""
    share = node_frames / sample.node_frames
    simulating = sample.wall.times(node_frames)
    if job.workers.elsewhere:
        cores = min(os.cpu_count() or 1, job.workers.number) if job.workers.here else job.workers.number
        at_best, whole = core.times(1 / cores), simulating.times(1 / job.workers.number)
        simulating = at_best if at_best.value > whole.value else whole
    writing = sample.writing.times(share)
    spent = writing if writing.value > simulating.value else simulating
    if not job.workers.elsewhere and job.device == "cpu":
        spent = replace(simulating.plus(writing), low=spent.low)
    return spent.plus(sample.first_seconds + sample.statistics * min(training, share))


def _sampled(job: Job, split: str) -> _Sample:
    """Simulate, write and read some groups of a split, whether or not the track has so many."""
    until = time.perf_counter() + PATIENCE
    walls: list[float] = []
    cores: list[float] = []
    kept: list[Record] = []
    source = portable(job.domain, job.workers)
    first, warm = (
        run(Task(source, job.recipe, split, range(1), job.track.root_seed, job.device)).seconds for _ in range(2)
    )
    size = min(GROUP, max(1, int(2 * PATIENCE / (FEWEST * warm))))
    while len(walls) < FEWEST or (len(walls) < MOST and time.perf_counter() < until):
        indices = range(len(walls) * size, (len(walls) + 1) * size)
        before = time.process_time()
        result = run(Task(source, job.recipe, split, indices, job.track.root_seed, job.device, job.plan.siblings))
        node_frames = sum(r.n_frames * r.sizes["node"] for r in result.records)
        walls.append(result.seconds / node_frames)
        cores.append((time.process_time() - before) / node_frames)
        kept += result.records
    writing, writing_core, stored = _written(job, split, kept, size)
    accumulator, start = Accumulator(job.domain.parameter_units), time.perf_counter()
    for record in kept:
        accumulator.add(film_of(record))
    statistics = (time.perf_counter() - start) / len(kept)
    beside = stored - sum(_frame_bytes(r) for r in kept) / len(kept)
    return _Sample(
        size, max(0.0, first - warm), _mean(walls), _mean(cores), kept, writing, writing_core, statistics, beside
    )


def _written(job: Job, split: str, kept: Sequence[Record], size: int) -> tuple[Interval, Interval, float]:
    """Seconds, processor time and bytes of writing a trajectory, as `generate` does it, somewhere else: a file a group."""
    seconds: list[float] = []
    cores: list[float] = []
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(kept), size):
            start, spent, path = time.perf_counter(), time.process_time(), Path(folder) / f"{first}.h5"
            with ShardWriter(path, job.plan.root_attributes(split)) as writer:
                for index, record in enumerate(kept[first : first + size]):
                    writer.add(record, Place(index), str(job.track.root_seed))
            require_sound(path)
            sync(path)
            sha256_file(path)
            seconds.append((time.perf_counter() - start) / size)
            cores.append((time.process_time() - spent) / size)
            sizes.append(path.stat().st_size)
    return _mean(seconds), _mean(cores), sum(sizes) / len(kept)


def _mean(rates: Sequence[float]) -> Interval:
    """Geometric mean of positive numbers, with its 95 % t-interval."""
    from scipy.stats import t

    logs = [math.log(max(r, 1e-15)) for r in rates]
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    half = float(t.ppf(0.975, len(logs) - 1)) * spread / math.sqrt(len(logs))
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


@dataclass(frozen=True)
class _Sizes:
    """Of a split's trajectories, on average over sampled starts."""

    node_frames: float
    frame_bytes: float


def _sizes(domain: Domain, recipe: Recipe, plan: Plan, split: str, root_seed: int) -> _Sizes:
    starts = [domain.sample_start(recipe, split, index, root_seed).scene for index in range(STARTS)]
    frames = recipe.n_frames(split)
    nodes = sum(s.n_nodes for s in starts) / STARTS
    # Positions and velocities; poses and twists of bodies. All float32.
    numbers = sum(2 * s.n_nodes * s.dim + 13 * int(s.body_ptr[-1]) for s in starts) / STARTS
    return _Sizes(frames * nodes, 4 * frames * numbers)


def _frame_bytes(record: Record) -> int:
    return sum(
        record.arrays[name].nbytes for name in ("position", "velocity", "pose", "twist") if name in record.arrays
    )


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk on which a folder is, or will be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def require_room(job: Job) -> None:
    """Raise MisuseError when the frames alone of what is missing exceed what the disk has free."""
    missing = job.missing()
    seed = job.track.root_seed
    need = 0.0
    for split in dict.fromkeys(s.split for s in missing):
        number = sum(s.stop - s.first for s in missing if s.split == split)
        need += number * _sizes(job.domain, job.recipe, job.plan, split, seed).frame_bytes
    if need > (free := free_bytes(job.folder)):
        raise MisuseError(
            f"{job.folder} needs {_gigabytes(need)} for its frames alone; the disk has {_gigabytes(free)} free: choose another "
            "disk or fewer trajectories, or force it"
        )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
