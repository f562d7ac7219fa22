"""Verify: prove that a dataset on disk is whole, unchanged, finite and alive, or say what is wrong with it.

A shard is opened only when its bytes are those that the manifest names and a probe in another process found nothing
against it: the manifest of a folder from elsewhere is from elsewhere too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import NEVER, Domain, HedgefoxError, MisuseError, NodeType, Trajectory, registry
from ..contracts.trajectory import _GROUP_OF as FRAME_GROUP_OF
from ._files import TMP, read_lines, sha256_file
from ._manifest import MANIFEST, Entry, hash_of, read_manifest, seeds_of
from ._plan import CARD, Plan, Shard, read_plan
from ._pool import one_thread
from ._record import EVENTS, Record, film_of, labels_of
from ._shard import attributes, index_of, mismatch, opened, records
from ._siblings import Family
from ._statistics import STATS, Accumulator, difference, statistics
from ._untrusted import probe

STILL = 1e-4
"""A frame that repeats the one before it, bit for bit, is a fault when its velocities say that a node moved by more than
this share of the box diagonal."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset."""

    path: str
    """File, relative to the dataset's folder."""
    what: str
    """What is wrong, in one line."""


def verify(
    folder: str | Path, domain: Domain | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """Everything that is wrong with a dataset; an empty list when it is sound.

    Covers hashes and lengths, format version, configuration, manifest and index, missing and extra shards, finiteness,
    frames that stand still, siblings that differ in nothing or in more than they say, labels of events against the states,
    and stats.json against the data. Labels are made again by `domain`, by default the one of the data's name; they are left
    alone where this hedgefox has no such domain, or another generator version of it. `progress(done, total)` is told the shards
    whose bytes, and then those whose contents were looked at.

    Raises MisuseError when there is no such folder, or the domain is not that of the data.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MisuseError(f"{folder} is not a folder; give one that `hedgefox generate` made")
    try:
        plan = read_plan(folder)
    except MisuseError as error:
        return [Problem(CARD, str(error))]
    try:
        entries = read_manifest(folder)
    except HedgefoxError as error:
        return [Problem(MANIFEST, str(error))]
    problems = list(_names(folder, plan, entries))
    accumulator = Accumulator(plan.card.get("parameter_units", {}))
    problems += _shards(folder, plan, entries, accumulator, _labeller(plan, domain), progress or (lambda *told: None))
    # Statistics of data that are not there or not right cannot match, and saying so again helps nobody.
    if not problems:
        problems += _statistics_problems(folder, plan, entries, accumulator)
    return problems


def _labeller(plan: Plan, given: Domain | None) -> Domain | None:
    """Who can make the labels of these data again, if anybody."""
    name = plan.config["domain"]
    if given is not None and given.name != name:
        raise MisuseError(f"the data are of domain {name!r}; the domain given is {given.name!r}")
    if given is None and name in registry.names("simulators"):
        given = registry.domain(name)
    return given if given is not None and given.version == plan.config["generator_version"] else None


def _names(folder: Path, plan: Plan, entries: list[Entry]) -> Iterator[Problem]:
    """What is there and should not be, and the other way round."""
    if read_lines(folder / MANIFEST)[1]:
        yield Problem(MANIFEST, "its last line is torn; the same generate command repairs it")
    if not entries:
        yield Problem(MANIFEST, "it names no shard")
    named = {entry.path for entry in entries}
    started = {entry.split for entry in entries}
    planned = {shard.name for split in plan.splits for shard in plan.shards(split)}
    for split in plan.splits:
        for shard in plan.shards(split):
            if split in started and shard.name not in named:
                yield Problem(shard.name, f"it is not in {MANIFEST}, so the split {split} is not finished")
    for name in sorted(named - planned):
        yield Problem(name, f"{MANIFEST} names it, but it is not part of this dataset")
    for path in sorted(folder.glob("*.h5")):
        if path.name not in named:
            yield Problem(path.name, f"it lies here but is not in {MANIFEST}")
    for path in sorted(folder.glob("*" + TMP)):
        yield Problem(path.name, "an interrupted generate left it; the same command removes it")


def _shards(
    folder: Path,
    plan: Plan,
    entries: list[Entry],
    accumulator: Accumulator,
    labeller: Domain | None,
    progress: Callable[[int, int], None],
) -> list[Problem]:
    planned = {shard.name: shard for split in plan.splits for shard in plan.shards(split)}
    problems: list[Problem] = []
    sound: list[Shard] = []
    named = sorted((e for e in entries if e.path in planned), key=lambda e: e.path)
    for k, entry in enumerate(named):
        progress(k, 2 * len(named))
        shard = planned[entry.path]
        what = _entry_problem(folder, plan, shard, entry)
        if what is None:
            sound.append(shard)
        else:
            problems.append(Problem(entry.path, what))
    for k, (shard, refused) in enumerate(zip(sound, probe([folder / s.name for s in sound]), strict=True)):
        progress(len(named) + k, 2 * len(named))
        found = [refused] if refused else _contents(folder / shard.name, plan, shard, accumulator, labeller)
        problems += [Problem(shard.name, what) for what in found]
    return problems


def _entry_problem(folder: Path, plan: Plan, shard: Shard, entry: Entry) -> str | None:
    """What is wrong with a line of the manifest or with the bytes it names."""
    expected = {"split": shard.split, "trajectories": shard.stop - shard.first, "seeds": seeds_of(plan, shard)}
    for name, value in expected.items():
        if getattr(entry, name) != value:
            return f"{MANIFEST} says {name} is {getattr(entry, name)}; {value} is right"
    path = folder / shard.name
    if not path.is_file():
        return f"{MANIFEST} names it, but it is missing"
    if (size := path.stat().st_size) != entry.bytes:
        return f"it has {size} bytes; {MANIFEST} says {entry.bytes}"
    if (digest := sha256_file(path)) != entry.sha256:
        return f"its SHA-256 is {digest[:12]}…; {MANIFEST} says {entry.sha256[:12]}…"
    return None


def _contents(path: Path, plan: Plan, shard: Shard, accumulator: Accumulator, labeller: Domain | None) -> list[str]:
    """What is wrong inside a shard; at most one thing a trajectory."""
    problems: list[str] = []
    family = Family(plan.siblings)
    try:
        with opened(path) as file:
            problems += _header(attributes(file), plan, shard)
            rows = index_of(file)
            if [row["index"] for row in rows] != list(range(shard.first, shard.stop)):
                problems.append(f"its index does not list the trajectories {shard.first} to {shard.stop - 1}")
            for row, record in zip(rows, records(file), strict=True):
                film, where = film_of(record), f"trajectory {row['trajectory']}"
                what = mismatch(record, row) or _said(where, _data(record) or family.problem(record, row))
                what = what or _said(where, _labels(record, film, labeller))
                if what:
                    problems.append(what)
                elif shard.split == "train":
                    accumulator.add(film)
    except HedgefoxError as error:
        problems.append(str(error).removeprefix(f"{path}: "))
    return problems


def _said(where: str, what: str | None) -> str | None:
    return f"{where}: {what}" if what else None


def _labels(record: Record, film: Trajectory, labeller: Domain | None) -> str | None:
    """Where the stored labels of events are not those that the states give."""
    if labeller is None:
        return None
    try:
        with one_thread():
            right = labels_of(film, labeller)
    except Exception as error:  # the states come from elsewhere: whatever a domain makes of them is a finding
        return f"its events cannot be made again: {type(error).__name__}: {error}"
    stored = {name: array for name, array in record.arrays.items() if name.startswith(EVENTS)}
    if set(stored) != set(right):
        return (
            f"it has labels of {', '.join(sorted(stored)) or 'nothing'}; {', '.join(sorted(right)) or 'none'} is right"
        )
    for name, label in right.items():
        if not np.array_equal(stored[name], label):
            frame = int((stored[name] != label).argmax())
            return f"{name} is {stored[name][frame]} at frame {frame}; the states give {label[frame]}"
    return None


def _header(found: dict[str, Any], plan: Plan, shard: Shard) -> Iterator[str]:
    for name, value in plan.root_attributes(shard.split).items():
        if found.get(name) != value:
            yield f"its {name} is {found.get(name)!r}; {CARD} says {value!r}"


def _data(record: Record) -> str | None:
    """The first thing wrong with the numbers of a trajectory."""
    return _not_finite(record) or _stands_still(record)


def _not_finite(record: Record) -> str | None:
    stop = record.n_frames if record.diverged_at == NEVER else record.diverged_at
    for name, array in record.arrays.items():
        if name not in FRAME_GROUP_OF:
            if not np.isfinite(array).all():
                return f"{name} is not finite"
            continue
        bad = ~np.isfinite(array[:stop]).reshape(stop, -1).all(1)
        if bad.any():
            return f"{name} is not finite at frame {int(bad.argmax())}"
        if not np.isnan(array[stop:]).all():
            return f"{name} goes on after frame {stop}, at which it diverged"
    for name, value in record.parameters.items():
        if not np.isfinite(value):
            return f"the parameter {name} is {value}"
    return None


def _stands_still(record: Record) -> str | None:
    """A film in which nothing moves, or a frame written twice."""
    stop = record.n_frames if record.diverged_at == NEVER else record.diverged_at
    free = record.arrays["node_type"] == NodeType.FREE
    position, velocity = (record.arrays[n][:stop, free] for n in ("position", "velocity"))
    if stop < 2 or not free.any():
        return None
    same = (position[1:] == position[:-1]).all(axis=(1, 2))
    if same.all():
        return f"no free node moves in its {stop} frames"
    lower, upper = record.arrays["bounds"][0]
    path = np.abs(velocity[1:]).max(axis=(1, 2)) * record.frame_interval / np.linalg.norm(upper - lower)
    stuck = same & (path > STILL)
    return f"frame {int(stuck.argmax()) + 1} repeats the one before it although nodes move" if stuck.any() else None


def _statistics_problems(folder: Path, plan: Plan, entries: list[Entry], accumulator: Accumulator) -> Iterator[Problem]:
    training = [e for e in entries if e.split == "train"]
    if not training:
        if (folder / STATS).exists():
            yield Problem(STATS, "there are no training data that it could be about")
        return
    try:
        what = difference(statistics(folder), accumulator.result(hash_of(training)))
    except HedgefoxError as error:
        what = str(error)
    if what:
        yield Problem(STATS, what)
