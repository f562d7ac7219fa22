"""The whole pipeline: generate → train → score → speed → record → board → report, for every domain and contestant.

Each stage is resumable: finished results are reused when their inputs (code, data, weights, track, device) are the same, and a
run that was killed goes on where it stood. A contestant that fails is in the record's failures; the others go on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..contracts import Domain, MisuseError, Recipe, Track, registry
from ..contracts import track as track_named
from . import environment
from ._assemble import failure, write_record
from ._stages import score_stage, stage
from .clock import Effort
from .contestants import Contestant, spread, surrogate_names
from .report import report
from .score import Score, prepare, score_case
from .speed import speed_case

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, of how much)."""

OOD_RUNGS = 2
"""Rungs of the ladder scored on out-of-distribution splits; on `test` all are."""


def run(
    track: str | Track,
    out: str | Path,
    domains: Sequence[str | Domain] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Run a track from nothing to a report in `out`; returns that folder. `domains` defaults to all there are.

    Leaves data/, weights/, stages/, record.json, curves.parquet and report/. Raises MisuseError for an unknown track,
    domain or device, and when the folder holds another run's data.
    """
    chosen = track_named(track) if isinstance(track, str) else track
    environment.require_device(device)
    kinds = [registry.domain(d) for d in (registry.names("simulators") if domains is None else domains)]
    if not kinds:
        raise MisuseError("a run needs at least one domain; give none to run all")
    return _Run(chosen, Path(out), kinds, device, progress or (lambda what, done, total: None)).execute()


class _Run:
    """One call of `run`: what it was asked for, and what it has found so far."""

    def __init__(self, track: Track, out: Path, domains: list[Domain], device: str, tell: Progress) -> None:
        self.track, self.out, self.domains, self.device, self.tell = track, out, domains, device, tell
        self.stages = out / "stages"
        self.seconds: dict[str, float] = {}
        self.failures: list[dict[str, Any]] = []
        self.contestants: dict[str, list[Contestant]] = {}
        self.weights: dict[str, str] = {}
        self.data: dict[str, Path] = {}
        self.scores: list[Score] = []
        self.speed: list[dict[str, Any]] = []
        self.code = environment.source_hash()

    def execute(self) -> Path:
        self.out.mkdir(parents=True, exist_ok=True)
        for domain in self.domains:
            self.generate(domain)
        for domain in self.domains:
            self.train(domain)
        for domain in self.domains:
            self.score(domain)
        for domain in self.domains:
            self.time(domain)
        started = time.perf_counter()
        self.record()
        report(self.out)
        self.seconds["report"] = time.perf_counter() - started
        return self.out

    def spent(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def fail(self, stage_name: str, domain: str, error: str, **where: Any) -> None:
        self.failures.append(failure(stage_name, domain, error, **where))

    def recipe(self, domain: Domain) -> Recipe:
        return domain.recipe(self.track.size)

    def inputs(self, domain: Domain, **more: Any) -> dict[str, Any]:
        from ..datasets import manifest_hash

        track = dataclasses.asdict(self.track)
        held = {"code": self.code, "track": track, "device": self.device, "data": manifest_hash(self.data[domain.name])}
        return held | {"domain": domain.name, "version": domain.version, **more}

    # -- generate ------------------------------------------------------------------------------------------------------

    def generate(self, domain: Domain) -> None:
        from ..datasets import generate, manifest_hash

        what = f"generate {domain.name}"
        started = time.perf_counter()
        self.data[domain.name] = generate(
            domain, self.track, self.out / "data", device=self.device, progress=lambda k, n: self.tell(what, k, n)
        )
        took = time.perf_counter() - started
        inputs = {"data": manifest_hash(self.data[domain.name])}
        self.spent("generate", stage(self.stages, f"generate-{domain.name}", inputs, lambda: took).result)

    # -- train ---------------------------------------------------------------------------------------------------------

    def train(self, domain: Domain) -> None:
        recipe = self.recipe(domain)
        solvers = [domain.reference(recipe, self.device), *domain.ladder(recipe, self.device).values()]
        found = [Contestant(s) for s in solvers]
        for name in surrogate_names(domain.name):
            found += self.trained(domain, name)
        self.contestants[domain.name] = found

    def trained(self, domain: Domain, name: str) -> list[Contestant]:
        from .. import surrogates

        if not surrogates.trainable(name):
            return [Contestant(surrogates.create(name, domain.name, size=self.track.size, seed=0))]
        made = []
        for seed in self.track.training_seeds:
            try:
                made.append(self.trained_once(domain, name, seed))
            except Exception as error:  # a contestant that cannot be trained is a result
                self.fail("train", domain.name, f"{type(error).__name__}: {error}", model=name, seed=seed)
        return made

    def trained_once(self, domain: Domain, name: str, seed: int) -> Contestant:
        from .. import surrogates

        what = f"train {name} on {domain.name}"
        out = self.out / "weights" / domain.name / name / f"seed-{seed}"
        started = time.perf_counter()
        model = surrogates.train(
            name,
            domain.name,
            self.data[domain.name],
            self.track,
            seed=seed,
            out=out,
            device=self.device,
            progress=lambda k, n, *loss: self.tell(what, k, n),
        )
        took = time.perf_counter() - started
        self.weights[f"{domain.name}/{name}#{seed}"] = _folder_hash(out)
        inputs = {"weights": _folder_hash(out)}
        self.spent("train", stage(self.stages, f"train-{domain.name}-{name}-{seed}", inputs, lambda: took).result)
        return Contestant(model, seed)

    # -- score ---------------------------------------------------------------------------------------------------------

    def score(self, domain: Domain) -> None:
        from ..datasets import load

        everyone = self.contestants[domain.name]
        for split in (s for s in self.track.trajectories if s not in ("train", "valid")):
            chosen = everyone if split == "test" else _with_rungs(everyone, OOD_RUNGS)
            what = f"score {domain.name} {split}"

            def work(split: str = split, chosen: list[Contestant] = chosen, what: str = what) -> list[Score]:
                film = load(self.data[domain.name], split, self.device)
                case = prepare(domain, split, film, self.recipe(domain), device=self.device)
                return score_case(case, chosen, progress=lambda k, n: self.tell(what, k, n))

            inputs = self.inputs(domain, split=split, contestants=self.identities(domain, chosen))
            scores, seconds = score_stage(self.stages, f"score-{domain.name}-{split}", inputs, work)
            self.spent("score", seconds)
            self.scores += scores
            for s in (s for s in scores if s.failure is not None):
                self.fail("score", domain.name, s.failure or "", split=split, model=s.model, seed=s.seed)

    def identities(self, domain: Domain, chosen: Sequence[Contestant]) -> list[list[str]]:
        return [[c.key, self.weights.get(f"{domain.name}/{c.key}", "")] for c in chosen]

    # -- speed ---------------------------------------------------------------------------------------------------------

    def time(self, domain: Domain) -> None:
        from ..datasets import load

        seeds = {c.seed for c in self.contestants[domain.name] if c.seed is not None}
        once = [c for c in self.contestants[domain.name] if c.seed is None or c.seed == min(seeds)]
        chosen = _with_rungs(once, self.track.timed_rungs)
        recipe, effort = self.recipe(domain), Effort(self.track.timing_samples, self.track.timing_sample_seconds)

        def work() -> dict[str, Any]:
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
        self.spent("speed", done.seconds)
        self.speed += [{"domain": domain.name, **e} for e in done.result["entries"]]
        for key, error in done.result["failed"].items():
            contestant = next(c for c in chosen if c.key == key)
            self.fail("speed", domain.name, error, model=contestant.name, seed=contestant.seed)

    # -- record --------------------------------------------------------------------------------------------------------

    def record(self) -> None:
        from ..datasets import manifest_hash

        write_record(
            self.out,
            track=self.track,
            device=self.device,
            manifests={d.name: manifest_hash(self.data[d.name]) for d in self.domains},
            domains=self.domains,
            contestants=self.contestants,
            scores=self.scores,
            speed=self.speed,
            seconds=self.seconds,
            failures=self.failures,
        )


def _with_rungs(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """The contestants with only so many rungs of the ladder, spread evenly."""
    kept = set(spread([c.key for c in contestants if c.model.card.kind == "ladder"], number))
    return [c for c in contestants if c.model.card.kind != "ladder" or c.key in kept]


def _folder_hash(folder: Path) -> str:
    """SHA-256 of a saved model's weights and description."""
    digest = hashlib.sha256()
    for name in ("weights.safetensors", "model.json"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
