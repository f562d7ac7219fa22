"""Regenerate: any trajectory again from what a data set says of itself, and how far it is from the stored one.

dataset.json holds domain, generator version, recipe and root seed; the manifest the versions of the libraries. The trajectory's
whole group is simulated, as `generate` did, and one is taken. With equal versions on the machine type that made the data, it is
the stored one bit for bit. Elsewhere arithmetic rounds otherwise, and the motion of many bodies lets any difference grow: then
frame 0 must agree within START and the frames up to EARLY within NEAR of the box diagonal; later frames are only told.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..contracts import NEVER, Domain, MisuseError, Trajectory
from ._film import load_record
from ._manifest import read_manifest
from ._plan import GROUP, Plan, Shard, read_plan
from ._pool import Task, Workers, portable, run
from ._provenance import differences
from ._record import Record, film_of
from ._verify import maker_of

START, NEAR = 1e-5, 1e-3
"""Shares of the box diagonal that frame 0 and the frames up to EARLY may be off where versions or machine differ."""
EARLY = 5


@dataclass(frozen=True)
class Regenerated:
    """A trajectory made again, and what it is beside the stored one."""

    film: Trajectory
    """The trajectory, a batch of one on the CPU."""
    stored: bool
    """Whether the stored one is there to be compared with."""
    same: bool
    """Equal to the stored one bit for bit, labels and parameters included."""
    start: float | None
    """Largest difference of a position at frame 0, as a share of the box diagonal; None with nothing to compare with."""
    early: float | None
    """The same over the frames up to EARLY."""
    whole: float | None
    """The same over all frames before divergence."""
    versions: tuple[str, ...]
    """How this machine's libraries differ from those that made the data."""
    known: bool
    """Whether the manifest says which libraries made the data; those of before it was noted do not."""

    @property
    def holds(self) -> bool:
        """Whether it is what it should be: the same bits where nothing differs, else within the tolerance."""
        if not self.stored or self.same:
            return True
        alike = self.known and not self.versions
        return not alike and self.start is not None and self.start <= START and (self.early or 0.0) <= NEAR

    @property
    def what(self) -> str:
        """The outcome in one line."""
        if not self.stored:
            return "made again; the stored one is not there to compare with"
        if self.same:
            return "bit for bit the stored one"
        if self.start is None:
            return "of another form than the stored one"
        off = f"off by {self.start:.1e} of the box diagonal at frame 0, {self.early:.1e} to frame {EARLY}, {self.whole:.1e} in all"
        why = "; ".join(self.versions) or ("with the same versions" if self.known else "its versions were not noted")
        bound = f"at most {START:.0e} and {NEAR:.0e} is right where versions or machines differ, else the same bits"
        return f"{off} ({why}); {bound}"


def regenerate(folder: str | Path, split: str, index: int, domain: Domain | None = None) -> Regenerated:
    """Make a trajectory of a data set again, and compare it with the stored one where its shard is there.

    Needs dataset.json, and manifest.jsonl for the versions; the shard may be gone. `domain` is by default the one of the data's
    name. Raises MisuseError for a trajectory that the data set does not have, and where this hedgefox has not the domain in the
    generator version of the data, which it names; CheckFailed for a shard whose bytes are not those of the manifest.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    shard = _shard_of(folder, plan, split, index)
    maker, then = _maker(plan, domain), str(plan.config.get("device"))
    here = then if then == "cpu" or torch.cuda.is_available() else "cpu"
    made = _made(plan, shard, index, maker, here)
    entry = next((e for e in read_manifest(folder) if e.path == shard.name), None)
    stored = load_record(folder / shard.name, entry, index - shard.first) if entry else None
    versions = [f"on {then} then, on {here} here"] if here != then else []
    versions += differences(entry.made_with) if entry else []
    return _compared(made, stored, tuple(versions), known=bool(entry and entry.made_with))


def drawn_at_random(folder: str | Path, number: int) -> list[tuple[str, int]]:
    """Split and index of so many trajectories of a data set, all different, of splits that are begun; fewer where there are fewer.

    A split is drawn as often as it has trajectories.
    """
    plan, begun = read_plan(Path(folder)), {e.split for e in read_manifest(Path(folder))}
    counts = {split: plan.card["splits"][split]["trajectories"] for split in plan.splits if split in begun}
    total = sum(counts.values())
    return [_place(counts, k) for k in sorted(random.sample(range(total), min(number, total)))]


def _place(counts: Mapping[str, int], number: int) -> tuple[str, int]:
    """Split and index of the trajectory of that number, all splits counted through."""
    for split, held in counts.items():
        if number < held:
            return split, number
        number -= held
    raise MisuseError(f"there is no trajectory {number}")


def _shard_of(folder: Path, plan: Plan, split: str, index: int) -> Shard:
    if split not in plan.splits:
        raise MisuseError(f"{folder} has no split {split!r}; it has {', '.join(plan.splits)}")
    for shard in plan.shards(split):
        if shard.first <= index < shard.stop:
            return shard
    last = plan.card["splits"][split]["trajectories"] - 1
    raise MisuseError(f"{folder} has no trajectory {index} in {split}; it has 0 to {last}")


def _maker(plan: Plan, given: Domain | None) -> Domain:
    domain = maker_of(plan, given)
    if domain is None:
        name, number = plan.config["domain"], plan.config["generator_version"]
        raise MisuseError(
            f"this hedgefox has no domain {name!r} in generator version {number}; the manifest names the release that has it"
        )
    return domain


def _made(plan: Plan, shard: Shard, index: int, domain: Domain, device: str) -> Record:
    config = plan.config
    if config.get("group") != GROUP:
        raise MisuseError(
            f"the data were made in groups of {config.get('group')}; this hedgefox makes groups of {GROUP}"
        )
    indices = next(group for group in shard.groups() if index in group)
    source = portable(domain, Workers(1))
    task = Task(source, plan.recipe, shard.split, indices, config["root_seed"], device, plan.siblings)
    return run(task).records[index - indices.start]


def _compared(made: Record, stored: Record | None, versions: tuple[str, ...], known: bool) -> Regenerated:
    film = film_of(made)
    if stored is None:
        return Regenerated(film, False, False, None, None, None, versions, known)
    if made.arrays["position"].shape != stored.arrays["position"].shape:
        return Regenerated(film, True, False, None, None, None, versions, known)
    scene, other = film.scene, film_of(stored)
    off = scene.minimum_image(film.position - other.position).norm(dim=-1) / scene.diagonal[0]
    ends = [r.n_frames if r.diverged_at == NEVER else r.diverged_at for r in (made, stored)]
    start, early, whole = (_most(off[: min(stop, *ends)]) for stop in (1, EARLY + 1, made.n_frames))
    return Regenerated(film, True, equal(made, stored), start, early, whole, versions, known)


def _most(off: torch.Tensor) -> float:
    return float(off.max()) if off.numel() else 0.0


def equal(a: Record, b: Record) -> bool:
    """Whether two records are the same, bit for bit."""
    if (a.domain, a.frame_interval, dict(a.sizes), a.diverged_at) != (
        b.domain,
        b.frame_interval,
        dict(b.sizes),
        b.diverged_at,
    ):
        return False
    if a.arrays.keys() != b.arrays.keys() or a.parameters.keys() != b.parameters.keys():
        return False
    parameters = all(
        np.asarray(a.parameters[n]).tobytes() == np.asarray(b.parameters[n]).tobytes() for n in a.parameters
    )
    return parameters and a.crc32() == b.crc32() and all(_same(a.arrays[n], b.arrays[n]) for n in a.arrays)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
