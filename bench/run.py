"""The whole pipeline: generate → train → score → probe → speed → record → board → report, for every domain and contestant.

Each stage is resumable: finished results are reused when their inputs (code, data, weights, track, device) are the same, and a
run that was killed goes on where it stood. A contestant that fails is in the record's failures; the others go on.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts import Domain, MisuseError, Model, Recipe, Track, registry
from ..contracts import track as track_named
from ..contracts.deadline import Deadline
from ..contracts.model import offers_features
from ..contracts.track import on_device
from . import environment
from ._assemble import failure, write_record
from ._hashes import folder_hash
from ._marks import Mark, at_work, followed
from ._parts import Unit, probe_one, score_unit, train_one, traveller, travels
from ._stages import Done, score_stage, stage
from ._trainings import Training, trainings
from ._watch import Watch, probe_job, training_title
from .contestants import Contestant, spread, surrogate_names
from .floor import floor_one
from .play import stored
from .report import report
from .score import Score
from .timing.clock import Effort
from .timing.speed import speed_case
from .tuned import for_run

if TYPE_CHECKING:
    from ..datasets import Workers
    from ..surrogates._base import Tuned

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, of how much)."""

MAX_PROCESSES = 8
COLLAPSED = "collapsed: its latents carry nothing"
OOD_RUNGS = 1
"""Rungs of the ladder scored on out-of-distribution splits; on `test` all are."""


def run(
    track: str | Track,
    out: str | Path,
    domains: Sequence[str | Domain] | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
    timed: bool = True,
    until: float | None = None,
    tuned: str | Path | None = None,
) -> Path:
    """Run a track from nothing to a report in `out`; returns that folder. `domains` defaults to all there are.

    `seeds` replaces the track's training seeds, `only` the learned models and baselines that compete: what it asks of a model is
    the same, so that its record is ranked with other records of the track. Not `timed`, a run measures accuracy alone, so that
    other work may go on beside it; a board takes timings from another record of the track. `device` is by default that of the
    track's machine; a track of a GPU on a named CPU is rehearsed (`contracts.track.rehearsal`).

    `until`: seconds of the wall clock after which it stops, at the end of a job or within a training or a data set, and raises
    TimeUp. What is finished is stored, and the same call goes on, also on another machine with a copy of the folder.

    `tuned`: what `hedgefox tune` wrote, whose batch sizes and learning rates are trained with; of other models the presets'.

    Leaves data/, weights/, stages/, films/, record.json, curves.parquet and report/. Raises MisuseError for an unknown track,
    domain or device, for a model of the track's that does not exist, for no or a repeated seed, and when the folder holds another
    run's data.
    """
    chosen = track_named(track) if isinstance(track, str) else track
    if seeds is not None:
        chosen = dataclasses.replace(chosen, training_seeds=_distinct(seeds))
    if only is not None:
        chosen = dataclasses.replace(chosen, only=tuple(dict.fromkeys(only)))
    chosen, device = on_device(chosen, device, environment.has_cuda())
    environment.require_device(device)
    kinds = [registry.domain(d) for d in (registry.names("simulators") if domains is None else domains)]
    if not kinds:
        raise MisuseError("a run needs at least one domain; give none to run all")
    for name in (*chosen.variants, *chosen.only, *chosen.without):
        registry.model(name)
    made = Pipeline(chosen, Path(out), kinds, device, progress or (lambda what, done, total: None), timed)
    made.deadline = Deadline.after(until)
    if tuned is not None:
        made.tuned = for_run(
            tuned, chosen, [(job.name, job.domain) for job in trainings(chosen, [k.name for k in kinds])]
        )
    return made.execute()


def _distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) < len(seeds):
        raise MisuseError(f"training seeds {list(seeds)}; at least one, and each once, is right")
    return tuple(seeds)


class Pipeline:
    """One call of `run`: what it was asked for, and what it has found so far. A round (bench/round.py) fills it otherwise."""

    def __init__(
        self, track: Track, out: Path, domains: list[Domain], device: str, tell: Progress, timed: bool = True
    ) -> None:
        self.track, self.out, self.domains, self.device = track, out, domains, device
        self.watch = Watch(self, tell)
        self.tell = self.watch.tell
        self.timed = timed
        self.stages = out / "stages"
        self.seconds: dict[str, float] = {}
        self.failures: list[dict[str, Any]] = []
        self.contestants: dict[str, list[Contestant]] = {}
        self.weights: dict[str, str] = {}
        self.data: dict[str, Path] = {}
        self.scores: list[Score] = []
        self.floors: dict[str, dict[str, Any] | None] = {}
        self.probes: list[dict[str, Any]] = []
        self.speed: list[dict[str, Any]] = []
        self.code = environment.source_hash()
        self.deadline = Deadline()
        self.tuned: Mapping[tuple[str, str], Tuned] = {}
        """By model and domains, settings that trials chose."""
        self.round: dict[str, Any] | None = None
        """Of a sealed round: its seal, and what entered it."""

    def execute(self) -> Path:
        """Do all of it; returns the folder."""
        self.out.mkdir(parents=True, exist_ok=True)
        with self.watch:
            self.measure()
            started = time.perf_counter()
            with self.watch.job("record"):
                self.record()
            with self.watch.job("report"):
                report(self.out)
            self.seconds["report"] = time.perf_counter() - started
        return self.out

    def measure(self) -> None:
        """All that the record is made of."""
        from ..datasets import Workers

        with Workers(self.processes()) as workers:
            self.prepare(workers)
            self.score(workers)
            self.floor(workers)
            self.probe(workers)
            self.film(workers)
        # Nothing else runs while clocks do.
        for domain in self.domains if self.timed else ():
            self.time(domain)

    def prepare(self, workers: Workers) -> None:
        """Data, and everyone who competes on them."""
        self.generate(workers)
        self.train(workers)

    def processes(self) -> int:
        """How many simulate, train and score: one a core, but only this one on a GPU, for little work or for what cannot travel."""
        from ..datasets import worth_starting

        small = not worth_starting(len(self.domains) * sum(self.track.trajectories.values()))
        if small or self.device != "cpu" or not all(travels(d) for d in self.domains):
            return 1
        return min(environment.cores(), MAX_PROCESSES)

    def took(self, name: str, inputs: Any, started: float, parts: float) -> None:
        """Note what a stage took: by the clock, or, where some of it was done before, at least what its parts did."""
        wall = max(time.perf_counter() - started, parts)
        self.seconds[name] = stage(self.stages, name, {"all": inputs}, lambda: wall).result

    def fail(self, stage_name: str, domain: str, error: str, **where: Any) -> None:
        """Note what went wrong; the others go on."""
        self.failures.append(failure(stage_name, domain, error, **where))
        self.watch.fail(self.failures[-1])

    def recipe(self, domain: Domain) -> Recipe:
        """How large a domain's scenes are on this track."""
        return domain.recipe(self.track.size)

    def inputs(self, domain: Domain, **more: Any) -> dict[str, Any]:
        """What a stage about one domain depends on."""
        from ..datasets import manifest_hash

        track = dataclasses.asdict(self.track)
        held = {"code": self.code, "track": track, "device": self.device, "data": manifest_hash(self.data[domain.name])}
        return held | {"domain": domain.name, "version": domain.version, **more}

    # -- generate ------------------------------------------------------------------------------------------------------

    def splits(self) -> list[str]:
        """The splits that are made."""
        return list(self.track.trajectories)

    def generate(self, workers: Workers) -> None:
        """Make or complete the data of every domain."""
        from ..datasets import generate, manifest_hash, seconds

        def one(domain: Domain) -> Path:
            def tell(done: int, total: int) -> None:
                self.tell(f"generate {domain.name}", done, total)
                if done < total:
                    self.deadline.check()

            data, name = self.out / "data", f"generate-{domain.name}"
            with at_work(self.stages / name):
                folder = generate(
                    domain,
                    self.track,
                    data,
                    splits=self.splits(),
                    workers=workers,
                    device=self.device,
                    progress=tell,
                )
            stage(self.stages, name, {"data": manifest_hash(folder)}, lambda: seconds(folder))
            return folder

        started = time.perf_counter()
        folders = workers.together([functools.partial(one, d) for d in self.domains])
        self.data = {d.name: folder for d, folder in zip(self.domains, folders, strict=True)}
        made = {name: manifest_hash(folder) for name, folder in self.data.items()}
        self.took("generate", made, started, sum(seconds(folder) for folder in folders))

    # -- train ---------------------------------------------------------------------------------------------------------

    def train(self, workers: Workers) -> None:
        """Train what the track asks for, and gather everyone who competes."""
        started = time.perf_counter()
        jobs = trainings(self.track, [d.name for d in self.domains])
        results = workers.together([functools.partial(self.trained, workers, job) for job in jobs])
        models = {job: self.model(job, result) for job, result in zip(jobs, results, strict=True)}
        for domain in self.domains:
            found = self.solvers(domain)
            for name in surrogate_names(domain.name, self.track):
                found += self.competing(domain.name, name, models)
            self.contestants[domain.name] = found
        self.took("train", self.weights, started, sum(r for r in results if isinstance(r, float)) / workers.number)

    def solvers(self, domain: Domain) -> list[Contestant]:
        """The reference and its ladder."""
        recipe = self.recipe(domain)
        solvers = [domain.reference(recipe, self.device), *domain.ladder(recipe, self.device).values()]
        return [Contestant(s) for s in solvers]

    def trained(self, workers: Workers, job: Training) -> float | Exception:
        """Seconds that a training took, now or when it was done; or why there is none."""
        out, mark = self.out / "weights" / job.folder, Mark(self.stages / job.stage)

        def tell(done: int, total: int, *loss: float) -> None:
            mark(done, total)
            self.tell(training_title(job), done, total)

        self.deadline.check()
        data = {name: self.data[name] for name in job.domains}
        # A function that tells does not travel; a mark does, and is followed.
        told = mark if workers.elsewhere else tell
        tuned = self.tuned.get((job.name, job.domain))
        task = (job.name, data, self.track, job.seed, out, self.device, told, self.deadline, tuned)
        try:
            took = followed(workers.submit(train_one, *task), mark, tell)
        except Exception as error:  # a contestant that cannot be trained is a result
            mark.fail(error)
            return error
        tell(self.track.training_extent, self.track.training_extent)
        seconds: float = stage(self.stages, job.stage, {"weights": folder_hash(out)}, lambda: took).result
        return seconds

    def model(self, job: Training, result: float | Exception) -> Model | str:
        """What a training made, loaded once for all of its domains; or why it does not compete."""
        from .. import surrogates

        out = self.out / "weights" / job.folder
        try:
            if isinstance(result, Exception):
                raise result
            model = surrogates.load(out, self.device)
        except Exception as error:  # nor does one whose weights cannot be read back
            return f"{type(error).__name__}: {error}"
        if model.card.collapsed:
            return COLLAPSED
        self.weights |= {f"{domain}/{job.name}#{job.seed}": folder_hash(out) for domain in job.domains}
        return model

    def competing(self, domain: str, name: str, models: Mapping[Training, Model | str]) -> list[Contestant]:
        """What competes in a domain under a surrogate's name: one, or one a seed; failures are noted."""
        from .. import surrogates

        if not surrogates.trainable(name):
            return [Contestant(surrogates.create(name, domain, size=self.track.size, seed=0))]
        made = []
        for job in (job for job in models if job.name == name and domain in job.domains):
            model = models[job]
            if isinstance(model, str):
                self.fail("train", domain, model, model=name, seed=job.seed)
            else:
                digest = self.weights[f"{domain}/{name}#{job.seed}"]
                made.append(Contestant(model, job.seed, weights_sha256=digest))
        return made

    # -- score ---------------------------------------------------------------------------------------------------------

    def score(self, workers: Workers) -> None:
        """Hold every contestant against the truth of every split."""
        started = time.perf_counter()
        units = [(d, s) for d in self.domains for s in self.track.trajectories if s not in ("train", "valid")]
        parts = workers.together([functools.partial(self.scored, workers, *unit) for unit in units])
        self.scores = [score for part, _ in parts for score in part]
        for s in (s for s in self.scores if s.failure is not None):
            self.fail("score", s.domain, s.failure or "", split=s.split, model=s.model, seed=s.seed)
        busy = sum(s.seconds for s in self.scores) / workers.number
        self.took("score", [inputs for _, inputs in parts], started, busy)

    def scored(self, workers: Workers, domain: Domain, split: str) -> tuple[list[Score], dict[str, Any]]:
        """The scores of one split, and what they depend on."""
        self.deadline.check()
        everyone = self.contestants[domain.name]
        chosen = everyone if split == "test" else _with_rungs(everyone, OOD_RUNGS)
        name = f"score-{domain.name}-{split}"
        unit = self.unit(domain, split, "score")
        inputs = self.inputs(domain, split=split, contestants=self.identities(domain, chosen))

        def work() -> list[Score]:
            return score_unit(unit, chosen, workers, lambda k, n: self.tell(f"score {domain.name} {split}", k, n))

        scores = score_stage(self.stages, name, inputs, work)[0]
        self.tell(f"score {domain.name} {split}", 1, 1)
        return scores, inputs

    def unit(self, domain: Domain, split: str, stage_name: str) -> Unit:
        """One split of a domain as a worker gets it."""
        truth = self.stages / f"{stage_name}-{domain.name}-{split}.h5"
        return Unit(traveller(domain), split, self.data[domain.name], self.recipe(domain), self.device, truth)

    def identities(self, domain: Domain, chosen: Sequence[Contestant]) -> list[list[str]]:
        """Who is meant, by name, seed and weights."""
        return [[c.key, self.weights.get(f"{domain.name}/{c.key}", "")] for c in chosen]

    # -- floor ---------------------------------------------------------------------------------------------------------

    def floor(self, workers: Workers) -> None:
        """Hold the reference of every domain against its refined run."""
        started, scenes = time.perf_counter(), self.track.floor_scenes
        if not scenes or "test" not in self.track.trajectories:
            return
        found = workers.together([functools.partial(self.floored, workers, d, scenes) for d in self.domains])
        self.floors = {d.name: done.result["floor"] for d, done in zip(self.domains, found, strict=True)}
        for domain, done in zip(self.domains, found, strict=True):
            if done.result["error"] is not None:
                self.fail("floor", domain.name, done.result["error"])
        busy = sum((floor or {"seconds": 0.0})["seconds"] for floor in self.floors.values()) / workers.number
        self.took("floor", [self.inputs(d, scenes=scenes) for d in self.domains], started, busy)

    def floored(self, workers: Workers, domain: Domain, scenes: int) -> Done:
        """The floor of one domain, or why there is none."""
        self.deadline.check()

        def work() -> dict[str, Any]:
            task = (traveller(domain), self.data[domain.name], self.recipe(domain), self.device, scenes)
            try:
                return {"floor": workers.submit(floor_one, *task).result(), "error": None}
            except Exception as error:  # a refined run that cannot be made is a result
                return {"floor": None, "error": f"{type(error).__name__}: {error}"}

        done = stage(self.stages, f"floor-{domain.name}", self.inputs(domain, scenes=scenes), work)
        self.tell(f"floor of {domain.name}", 1, 1)
        return done

    # -- probe ---------------------------------------------------------------------------------------------------------

    def probe(self, workers: Workers) -> None:
        """Ask the features of every model that offers some what can be read off them."""
        started = time.perf_counter()
        asked = [(d, c) for d in self.domains for c in self.contestants[d.name] if offers_features(c.model)]
        if not asked or not self.track.probed:
            return
        self.watch.plan(probe_job(d.name, c) for d, c in asked)
        found = workers.together([functools.partial(self.probed, workers, *each) for each in asked])
        for (domain, contestant), (done, _) in zip(asked, found, strict=True):
            who = {"model": contestant.name, "seed": contestant.seed}
            self.probes += [{"domain": domain.name, **who, **row} for row in done.result["rows"]]
            if done.result["error"] is not None:
                self.fail("probe", domain.name, done.result["error"], **who)
        # What each took where it was done: the stages beside them also waited for a free process.
        busy = sum(done.result["took"] for done, _ in found) / workers.number
        self.took("probe", [inputs for _, inputs in found], started, busy)

    def probed(self, workers: Workers, domain: Domain, contestant: Contestant) -> tuple[Done, dict[str, Any]]:
        """What one model's features know of one domain, and what that depends on."""
        self.deadline.check()
        job = probe_job(domain.name, contestant)
        inputs = self.inputs(domain, contestants=self.identities(domain, [contestant]))

        def work() -> dict[str, Any]:
            task = (traveller(domain), self.data[domain.name], self.device, contestant.model)
            try:
                rows, took = workers.submit(probe_one, *task).result()
                return {"rows": rows, "took": took, "error": None}
            except Exception as error:  # features that cannot be made are a result
                return {"rows": [], "took": 0.0, "error": f"{type(error).__name__}: {error}"}

        done = stage(self.stages, job.name, inputs, work)
        self.tell(job.title, 1, 1)
        return done, inputs

    # -- films ---------------------------------------------------------------------------------------------------------

    def film(self, workers: Workers) -> None:
        """Keep films of every split's worst, median and best scene, to be looked at."""
        started = time.perf_counter()
        if not self.track.films:
            return
        units = [(d, s) for d in self.domains for s in self.track.trajectories if s not in ("train", "valid")]
        found = workers.together([functools.partial(self.filmed, workers, *unit) for unit in units])
        for (domain, split), (result, _) in zip(units, found, strict=True):
            if result["error"] is not None:
                self.fail("films", domain.name, result["error"], split=split)
        self.took("films", [inputs for _, inputs in found], started, sum(r["took"] for r, _ in found) / workers.number)

    def filmed(self, workers: Workers, domain: Domain, split: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was kept of one split, and what that depends on."""
        self.deadline.check()
        everyone, mine = self.contestants[domain.name], (domain.name, split)
        inputs = self.inputs(domain, split=split, contestants=self.identities(domain, everyone))
        plan = stored.planned([s for s in self.scores if (s.domain, s.split) == mine], everyone)
        unit = self.unit(domain, split, "films")
        result = stored.film_stage(self.stages, inputs, unit, plan, self.out / stored.FOLDER, workers)
        self.tell(f"films of {domain.name} {split}", 1, 1)
        return result, inputs

    # -- speed ---------------------------------------------------------------------------------------------------------

    def time(self, domain: Domain) -> None:
        """Time the contestants of a domain against each other, of several training seeds the first."""
        self.deadline.check()
        from ..datasets import load

        seeds = {c.seed for c in self.contestants[domain.name] if c.seed is not None}
        once = [c for c in self.contestants[domain.name] if c.seed is None or c.seed == min(seeds)]
        chosen = _with_rungs(once, self.track.timed_rungs)
        recipe, effort = self.recipe(domain), Effort(self.track.timing_samples, self.track.timing_sample_seconds)

        def work() -> dict[str, Any]:
            self.tell(f"time {domain.name}", 0, 3)
            film = load(self.data[domain.name], "test", self.device)
            entries, failed = speed_case(
                film.frames(0, recipe.past),
                recipe.horizon,
                chosen,
                effort,
                batches=self.track.timing_batches,
                progress=lambda k, n: self.tell(f"time {domain.name}", k, n),
            )
            return {"entries": entries, "failed": failed}

        done = stage(
            self.stages,
            f"speed-{domain.name}",
            self.inputs(domain, contestants=self.identities(domain, chosen)),
            work,
        )
        self.tell(f"time {domain.name}", 1, 1)
        self.seconds["speed"] = self.seconds.get("speed", 0.0) + done.seconds
        self.speed += [{"domain": domain.name, **e} for e in done.result["entries"]]
        for key, error in done.result["failed"].items():
            contestant = next(c for c in chosen if c.key == key)
            self.fail("speed", domain.name, error, model=contestant.name, seed=contestant.seed)

    # -- record --------------------------------------------------------------------------------------------------------

    def training_data(self) -> dict[str, float]:
        """What the data that training reads took to simulate [s], by domain."""
        from ..datasets import seconds

        return {d.name: seconds(self.data[d.name], ("train", "valid")) for d in self.domains}

    def record(self) -> None:
        """Write the record of all that was found."""
        from ..datasets import manifest_hash

        write_record(
            self.out,
            track=self.track,
            device=self.device,
            manifests={d.name: manifest_hash(self.data[d.name]) for d in self.domains},
            domains=self.domains,
            contestants=self.contestants,
            scores=self.scores,
            probes=self.probes,
            floors=self.floors,
            speed=self.speed,
            seconds=self.seconds,
            failures=self.failures,
            data_seconds=self.training_data(),
            round=self.round,
        )


def _with_rungs(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """The contestants with only so many rungs of the ladder, spread evenly."""
    kept = set(spread([c.key for c in contestants if c.model.card.kind == "ladder"], number))
    return [c for c in contestants if c.model.card.kind != "ladder" or c.key in kept]
