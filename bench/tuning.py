"""Batch size and learning rate by measurement: short, equal trainings over a grid, judged by rollouts on `valid`.

Each trial gets the same share of the track's training budget: seconds of the device where the track fixes the time, else steps.
Nine trials of a tenth cost nine tenths of one training. The rate of a trial falls over its own budget, so that a trial is a whole
training in small; still, a short training favours higher rates than a long one. At equal steps a larger batch costs more time; at
equal time it makes fewer steps.
Of jepa the rate of the first stage is tried; its read-out keeps its own.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts import MisuseError, Track, registry
from ..contracts import track as track_named
from ..contracts.card import knows
from ..contracts.deadline import Deadline
from ..contracts.track import on_device
from . import environment
from ._trainings import Training, trainings
from .record import dumps, strict, write_text
from .tuned import FILE, FORMAT, SETTINGS, VERSION, read_tunings
from .verbs import data_config, data_sets, training_track

if TYPE_CHECKING:
    from ..surrogates._base import Data, Setting
    from ..surrogates._tuning import Trial

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, of how much)."""

SHARE = 0.1
"""Of the track's training budget, what a trial gets by default."""
BATCHES, RATES = (0.25, 1.0, 4.0), (1 / 3, 1.0, 3.0)
"""Default grid: times the preset's batch size and learning rate."""
LEARNED = ("train", "valid")


@dataclass(frozen=True)
class Budget:
    """What each trial may spend: steps, or device-seconds."""

    steps: int | None
    seconds: float | None
    share: float
    """Of the track's own training budget of that kind."""

    def of(self, track: Track) -> Track:
        """The track with this budget for a training."""
        return dataclasses.replace(track, training_steps=self.steps or 0, training_seconds=self.seconds or 0.0)


def budget(track: Track, steps: int | None = None, seconds: float | None = None) -> Budget:
    """Of a track's trial: what is asked for, by default a tenth of a training. Raises MisuseError when both are given."""
    if steps is not None and seconds is not None:
        raise MisuseError(f"a trial of {steps} steps and of {seconds:g} s; give one of --steps and --seconds")
    if seconds is None and (steps is not None or not track.training_seconds):
        steps = max(1, round(SHARE * track.training_steps)) if steps is None else steps
        return Budget(steps, None, steps / track.training_steps if track.training_steps else 0.0)
    seconds = SHARE * track.training_seconds if seconds is None else seconds
    return Budget(None, seconds, seconds / track.training_seconds if track.training_seconds else 0.0)


def grid(
    preset: Mapping[str, Setting], batches: Sequence[int] | None = None, rates: Sequence[float] | None = None
) -> list[tuple[int, float]]:
    """The pairs that are tried, batch size and learning rate, in order."""
    size, rate = float(preset["batch_size"]), float(preset["learning_rate"])  # type: ignore[arg-type]
    sizes = {max(1, round(factor * size)) for factor in BATCHES} if not batches else set(batches)
    heights = {float(f"{factor * rate:.3g}") for factor in RATES} if not rates else set(rates)
    return list(itertools.product(sorted(sizes), sorted(heights)))


def tune(
    models: Sequence[str],
    data: str | Path,
    out: str | Path,
    *,
    track: str | Track,
    domains: Sequence[str] | None = None,
    device: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    seconds: float | None = None,
    batches: Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    until: float | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Tune models on a track, without any all that it trains; returns the tunings, and keeps all in `out`/tuned.json.

    `data` is a data set or a folder of several; of a domain that is asked for and not there, train and valid are made. A model that
    learns one domain at a time is tuned on each by itself. `steps` or `seconds` are a trial's, by default a tenth of a training.
    The same call goes on where it stood: a finished trial is not done again. After `until` seconds it raises TimeUp.

    Raises MisuseError for unknown models and domains, for one that has nothing to tune, for data of another size than the
    track's, and where `out` holds trials of something else.
    """
    chosen, device = on_device(track_named(track) if isinstance(track, str) else track, device, environment.has_cuda())
    environment.require_device(device)
    chosen = dataclasses.replace(chosen, training_seeds=(seed,), only=tuple(models) or chosen.only)
    for name in chosen.only:
        registry.model(name)
    each, deadline = budget(chosen, steps, seconds), Deadline.after(until)
    tell = progress or (lambda what, done, total: None)
    held = _data(Path(data), chosen, _wanted(models, Path(data), domains), device, tell, deadline)
    training_track(held, chosen)
    jobs = _tunable(trainings(chosen, list(held)), chosen.size, models)
    made = []
    for job in jobs:
        task = _Task(job, chosen, each, {d: held[d] for d in job.domains}, device, Path(out), tell, deadline)
        made.append(task.tuned(batches, rates))
        _keep(Path(out), made[-1])
    return made


def _wanted(models: Sequence[str], folder: Path, domains: Sequence[str] | None) -> list[str]:
    """The domains that are asked for: as named, else those of the data, else all that the models know."""
    found = list(domains) if domains else list(data_sets(folder)) if folder.is_dir() and any(folder.iterdir()) else []
    known = found or registry.names("simulators")
    return [d for d in known if not models or any(knows(registry.model(m).DOMAINS, d) for m in models)]


def _data(
    folder: Path, track: Track, wanted: Sequence[str], device: str, tell: Progress, deadline: Deadline
) -> dict[str, Path]:
    """The data sets by domain; those that are not there, or not whole, are made."""
    from ..datasets import generate

    if not wanted:
        raise MisuseError(
            f"the models know nothing of the data in {folder}; name a domain that they know with --domain"
        )
    alone = (folder / "dataset.json").exists()
    found = data_sets(folder) if alone else {}
    held = {}
    for name in wanted:
        place = found.get(name, folder / name)
        mine = not place.exists() or data_config(place)["track"] == track.name
        if alone and name not in found:
            raise MisuseError(f"{folder} holds data of {', '.join(found)}; --domain says {name!r}")
        if mine and not alone:

            def told(done: int, total: int, name: str = name) -> None:
                tell(f"generate {name}", done, total)
                if done < total:
                    deadline.check()

            place = generate(name, track, folder, splits=LEARNED, device=device, progress=told)
        held[name] = place
    return held


def _tunable(jobs: Sequence[Training], size: str, asked: Sequence[str]) -> list[Training]:
    """The trainings that have a batch size and a learning rate; raises MisuseError for one that is asked for by name and has none,
    or that nothing is learned for, and where nothing is left."""
    from .. import surrogates

    kept = []
    for job in jobs:
        if all(name in surrogates.preset(job.name, job.domain, size) for name in SETTINGS):
            kept.append(job)
    for name in asked:
        if name not in {job.name for job in kept}:
            raise MisuseError(f"{name} has no batch size and learning rate to tune on these data")
    if not kept:
        raise MisuseError("the track trains nothing that has a batch size and a learning rate to tune")
    return kept


@dataclass(frozen=True)
class _Task:
    """The tuning of one training."""

    job: Training
    track: Track
    budget: Budget
    data: Mapping[str, Path]
    device: str
    out: Path
    tell: Progress
    deadline: Deadline

    def tuned(self, batches: Sequence[int] | None, rates: Sequence[float] | None) -> dict[str, Any]:
        """All trials, now or when they were done, and what they say."""
        from .. import surrogates

        preset = surrogates.preset(self.job.name, self.job.domain, self.track.size)
        pairs = grid(preset, batches, rates)
        found = [self.trial(k, len(pairs), *pair) for k, pair in enumerate(pairs)]
        return self.about(preset, found)

    def trial(self, number: int, of: int, batch_size: int, rate: float) -> Trial:
        """One trial, unless it was finished before."""
        from ..surrogates._base import Run
        from ..surrogates._store import claim
        from ..surrogates._tuning import trial

        place = self.out / "trials" / self.job.domain / self.job.name / f"batch-{batch_size}-rate-{rate:g}"
        settings: dict[str, Setting] = {"batch_size": batch_size, "learning_rate": rate}
        claim(place, self.claimed() | {"settings": settings})
        path, title = place / "trial.json", f"tune {self.job.name} on {self.job.domain}, trial {number + 1} of {of}"
        if path.exists():
            return _read(path)
        self.deadline.check()
        short = self.budget.of(self.track)

        def tell(done: int, total: int, *loss: float) -> None:
            self.tell(title, done, total)

        run = Run(
            self.job.name, self.held, short, self.job.seed, place, _device(self.device), tell, settings, deadline=self.deadline
        )  # fmt: skip
        found = trial(run)
        write_text(path, dumps(dataclasses.asdict(found)) + "\n")
        return found

    @functools.cached_property
    def held(self) -> Mapping[str, Data]:
        """What all trials read, once."""
        from ..surrogates._store import read_data

        return {name: read_data(folder, self.manifest, self.device) for name, folder in self.data.items()}

    @functools.cached_property
    def manifest(self) -> str:
        """SHA-256 over what the splits train and valid hold: others may be made later."""
        from ..datasets._manifest import hash_of, read_manifest
        from ..surrogates._base import manifest_of

        parts = {
            name: hash_of([e for e in read_manifest(folder) if e.split in LEARNED])
            for name, folder in self.data.items()
        }
        return manifest_of(parts)

    def claimed(self) -> dict[str, Any]:
        """What a trial's folder is for."""
        kept = {"steps": self.budget.steps, "seconds": self.budget.seconds, "device": _kind(self.device)}
        job = {"model": self.job.name, "domain": self.job.domain, "seed": self.job.seed, "data": self.manifest}
        return job | {"track": self.track.name, "size": self.track.size} | kept

    def about(self, preset: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Any]:
        """One entry of tuned.json."""
        ranked = sorted(trials, key=lambda t: (t.outcome != "finished", t.error if t.error is not None else 0.0))
        best = ranked[0] if ranked[0].outcome == "finished" else None
        usual = {name: preset[name] for name in SETTINGS}
        won = None if best is None else {name: getattr(best, name) for name in SETTINGS}
        changes = {n: [usual[n], won[n]] for n in SETTINGS if won[n] != usual[n]} if won else {}
        suite = {"version": environment.suite_version(), "commit": environment.commit()}
        entry = self.claimed() | {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "suite": suite,
            "versions": environment.versions(),
            "environment": environment.environment(self.device),
            "budget": dataclasses.asdict(self.budget),
            "preset": usual,
            "best": won,
            "changes": changes,
            "device_seconds": sum(t.device_seconds for t in trials),
            "trials": [dataclasses.asdict(t) for t in ranked],
        }
        held: dict[str, Any] = strict({k: v for k, v in entry.items() if k not in ("steps", "seconds")})
        return held


def _read(path: Path) -> Trial:
    """A trial that was finished before; raises MisuseError for a file of anything else."""
    from ..contracts.strict_json import read_object
    from ..surrogates._tuning import Trial

    try:
        return Trial(**read_object(path))
    except TypeError as error:
        raise MisuseError(f"{path} is no trial: {error}; delete it to try again") from error


def _device(device: str) -> Any:
    import torch

    return torch.device(device)


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _keep(out: Path, tuning: Mapping[str, Any]) -> None:
    """Put a tuning into the file, in the place of an earlier one of the same training on the same track."""
    path = out / FILE
    who = ("model", "domain", "track", "size")
    others = read_tunings(path) if path.exists() else []
    kept = [t for t in others if any(t[name] != tuning[name] for name in who)]
    content = {"format": FORMAT, "version": VERSION, "tunings": [*kept, tuning]}
    write_text(path, dumps(content) + "\n")


FAVOURED = {
    "steps": "at equal steps a larger batch costs more: compare device [s], or give every trial as long with --seconds",
    "seconds": "at equal time a short training favours smaller batches: more steps fit into it",
}
"""What a budget of a kind favours besides."""


def table(tuning: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials of a tuning as rows, the best first."""
    return [
        {
            "": mark,
            "batch": t["batch_size"],
            "rate": t["learning_rate"],
            "error / constant velocity": t["error"],
            "steps": t["steps"],
            "device [s]": t["device_seconds"],
            "steps/s": t["steps_per_second"],
            "windows/s": t["windows_per_second"],
            "outcome": t["outcome"] + (f": {t['note']}" if t["note"] else ""),
        }
        for t, mark in zip(tuning["trials"], _marks(tuning), strict=True)
    ]


def _marks(tuning: Mapping[str, Any]) -> Iterator[str]:
    """What stands before each trial: which is best, which is the preset."""
    for t in tuning["trials"]:
        here = {name: t[name] for name in SETTINGS}
        yield " ".join(word for word, held in (("best", tuning["best"]), ("preset", tuning["preset"])) if held == here)


def notes(tuning: Mapping[str, Any]) -> list[str]:
    """What a tuning says, in lines: its budget, what it would change, and what a short training cannot tell."""
    held = tuning["budget"]
    each = f"{held['steps']} steps" if held["steps"] else f"{held['seconds']:g} s of {tuning['device']}"
    share = f", {held['share']:.2g} of a training" if held["share"] else ""
    lines = [
        f"each of {len(tuning['trials'])} trials: {each}{share}; in all {tuning['device_seconds']:.0f} device-seconds"
    ]
    if tuning["best"] is None:
        return [*lines, "no trial came to its end: the preset stays"]
    changed = ", ".join(f"{n} {old:g} → {new:g}" for n, (old, new) in tuning["changes"].items())
    lines.append(f"would change in the preset: {changed or 'nothing'}")
    lines.append("a short training favours higher rates than a whole one: take a near tie as no difference")
    return [*lines, FAVOURED["steps" if held["steps"] else "seconds"]]
