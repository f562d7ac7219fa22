"""Verify: prove that a dataset on disk is whole, unchanged, finite and alive, or say what is wrong with it.

A shard is opened only when its bytes are those that the manifest names and a probe in another process found nothing
against it: the manifest of a folder from elsewhere is from elsewhere too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contracts import Domain, HedgefoxError, MisuseError, registry
from ._contents import Looker
from ._drawn import Drawn
from ._files import TMP, read_lines, sha256_file
from ._manifest import MANIFEST, Entry, hash_of, read_manifest, seeds_of
from ._plan import CARD, Plan, Shard, read_plan
from ._statistics import STATS, Accumulator, difference, statistics
from ._untrusted import probe

BATCH = 32
"""Shards that one process is asked about: starting it costs as much as looking into several, and its names fill a command line."""
TOLD = 20
"""Missing shards of a split that are named one by one."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset."""

    path: str
    """File, relative to the dataset's folder."""
    what: str
    """What is wrong, in one line."""


def verify(
    folder: str | Path,
    domain: Domain | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    sample: int | None = None,
) -> list[Problem]:
    """Everything that is wrong with a dataset; an empty list when it is sound.

    Covers hashes and lengths, format version, configuration, manifest and index, missing and extra shards; of each trajectory
    finiteness, frames that stand still or come again, nodes that leap, siblings that differ in nothing or in more than they say,
    labels of events against the states, parameters and frame 0 against the seed and the split's ranges; of all together films
    and starts that are there twice, outliers, and stats.json against the data. Labels and starts are made again by `domain`, by
    default the one of the data's name; they are left alone where this hedgefox has no such domain, or another generator version
    of it. `sample` limits what is looked into to so many shards, drawn at random; all are hashed, statistics are not compared.
    `progress(done, total)` is told the shards whose bytes and those whose contents were looked at. Memory holds one batch of
    names and one trajectory, and about 250 bytes of each trajectory.

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
    maker = maker_of(plan, domain)
    looker = Looker(plan, maker, Drawn(plan, maker), accumulator)
    problems += _shards(folder, entries, looker, sample, progress or (lambda *told: None))
    # Statistics of data that are not there, not right or not all looked at cannot match; saying so again helps nobody.
    if not problems and sample is None:
        problems += _statistics_problems(folder, plan, entries, accumulator)
    return problems


def maker_of(plan: Plan, given: Domain | None) -> Domain | None:
    """Who can make starts and labels of these data again, if anybody: the domain in the generator version of the data.

    Raises MisuseError when the domain given is another.
    """
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
    for split in sorted(started & set(plan.splits)):
        missing = [shard.name for shard in plan.shards(split) if shard.name not in named]
        for name in missing[:TOLD]:
            yield Problem(name, f"it is not in {MANIFEST}, so the split {split} is not finished")
        if len(missing) > TOLD:
            yield Problem(MANIFEST, f"{len(missing) - TOLD} more shards of {split} are not in it")
    for name in sorted(named - planned):
        yield Problem(name, f"{MANIFEST} names it, but it is not part of this dataset")
    for path in sorted(folder.glob("*.h5")):
        if path.name not in named:
            yield Problem(path.name, f"it lies here but is not in {MANIFEST}")
    for path in sorted(folder.glob("*" + TMP)):
        yield Problem(path.name, "an interrupted generate left it; the same command removes it")


def _shards(
    folder: Path, entries: list[Entry], looker: Looker, sample: int | None, progress: Callable[[int, int], None]
) -> list[Problem]:
    """Hash every shard, and look into those whose bytes are right, or into a sample of them."""
    plan = looker.plan
    planned = {shard.name: shard for split in plan.splits for shard in plan.shards(split)}
    named = sorted((e for e in entries if e.path in planned), key=lambda e: e.path)
    looked = _sampled([e.path for e in named], sample)
    problems: list[Problem] = []
    done, total = 0, len(named) + len(looked)
    for batch in (named[k : k + BATCH] for k in range(0, len(named), BATCH)):
        sound: list[Shard] = []
        for entry in batch:
            progress(done, total)
            what = _entry_problem(folder, plan, planned[entry.path], entry)
            done += 1 if what is None or entry.path not in looked else 2
            if what is not None:
                problems.append(Problem(entry.path, what))
            elif entry.path in looked:
                sound.append(planned[entry.path])
        for shard, refused in zip(sound, probe([folder / s.name for s in sound]), strict=True):
            progress(done, total)
            done += 1
            found = [refused] if refused else looker.problems(folder / shard.name, shard)
            problems += [Problem(shard.name, what) for what in found]
    progress(total, total)
    return problems + [Problem(shard, what) for shard, what in looker.across.outliers()]


def _sampled(names: Sequence[str], number: int | None) -> set[str]:
    """So many of the shards, drawn at random; all of them for None."""
    if number is None or number >= len(names):
        return set(names)
    return set(random.sample(names, number))


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
