"""A sealed round: what several runs trained, and what users bring, scored on states that did not exist while they were made.

Enter the weights, derive the seal from their hashes (bench/seal.py), make the test splits from it on the spot, then score and
time everyone as a run does: contestants, baselines, ladder and reference on the same states. The record says what entered, so that
anyone can derive the seal again and make the same states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts import Domain, MisuseError, registry
from ..contracts.track import track_of
from . import environment
from . import record as records
from ._hashes import folder_hash
from ._metric import every_metric
from .alike import fixed
from .contestants import Contestant, resolve, surrogate_names
from .entries.admission import films_on_the_spot, require_admissible
from .run import COLLAPSED, Pipeline, Progress
from .seal import seal_of, seed_of

if TYPE_CHECKING:
    from ..datasets import Workers

TRAINING = ("train", "valid")


def play_round(
    entries: Sequence[str | Path],
    out: str | Path,
    *,
    domains: Sequence[str | Domain] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    timed: bool = True,
) -> Path:
    """Play a sealed round in `out` and return that folder: data/, stages/, record.json, curves.parquet, report/.

    `entries` are folders of finished runs of one track, with their weights, and Python files of models (bench/entries/). Each
    training seed of a model that the runs hold is entered; `domains` default to those of the runs. Not `timed`, accuracy alone is
    measured.

    Raises MisuseError without a run, for runs of different tracks or that hold the same training twice, and for a folder without
    weights; CheckFailed when a file's model breaks the contract of a model.
    """
    environment.require_device(device)
    runs = [Path(e) for e in entries if not str(e).endswith(".py")]
    files = [Path(e) for e in entries if str(e).endswith(".py")]
    if not runs:
        raise MisuseError("a round needs the folder of at least one finished run; its track is that of the round")
    read = [records.read(folder) for folder in runs]
    if any(fixed(r["track"]) != fixed(read[0]["track"]) for r in read):
        named = ", ".join(sorted({r["track"]["name"] for r in read}))
        raise MisuseError(f"the runs are of different tracks ({named}, or versions of one); a round is of one track")
    names = list(dict.fromkeys(d["name"] for r in read for d in r["domains"]))
    kinds = [registry.domain(d) for d in (names if domains is None else domains)]
    return Round(
        runs, read, files, Path(out), kinds, device, progress or (lambda what, done, total: None), timed
    ).execute()


class Round(Pipeline):
    """One call of `play_round`."""

    def __init__(
        self,
        runs: Sequence[Path],
        read: Sequence[Mapping[str, Any]],
        files: Sequence[Path],
        out: Path,
        domains: list[Domain],
        device: str,
        tell: Progress,
        timed: bool,
    ) -> None:
        seeds = sorted({seed for r in read for seed in r["track"]["training_seeds"]})
        track = dataclasses.replace(track_of(read[0]["track"]), training_seeds=tuple(seeds))
        super().__init__(track, out, domains, device, tell, timed)
        self.runs, self.read, self.files = runs, read, files

    def prepare(self, workers: Workers) -> None:
        """Everyone who competes first, then states that follow from who that is."""
        entered = [row for domain in self.domains for row in self.enter(domain)]
        version, metrics = environment.suite_version(), [m.id for m in every_metric()]
        domains = [
            {"name": d.name, "generator_version": d.version, "recipe": dataclasses.asdict(self.recipe(d))}
            for d in self.domains
        ]
        seal = seal_of(version, dataclasses.asdict(self.track), domains, metrics, entered)
        self.round = {"seal": seal, "entered": entered}
        self.track = dataclasses.replace(self.track, root_seed=seed_of(seal))
        self.generate(workers)

    def splits(self) -> list[str]:
        """Nothing is trained in a round."""
        return [s for s in self.track.trajectories if s not in TRAINING]

    def enter(self, domain: Domain) -> list[dict[str, Any]]:
        """Gather who competes in a domain; returns what entered, with the hashes that the seal is made of."""
        found, entered = self.solvers(domain), list[dict[str, Any]]()
        found += [Contestant(model) for model in _untrained(domain.name, self.track)]
        for contestant, digest in [*self.trained_ones(domain), *self.brought(domain)]:
            row = {"domain": domain.name, "model": contestant.name, "seed": contestant.seed, "sha256": digest}
            if any((e["model"], e["seed"]) == (row["model"], row["seed"]) for e in entered):
                raise MisuseError(f"{contestant.key} is entered twice in {domain.name}; give each training once")
            self.weights[f"{domain.name}/{contestant.key}"] = digest
            entered.append(row)
            found.append(contestant)
        self.contestants[domain.name] = found
        return entered

    def trained_ones(self, domain: Domain) -> Iterator[tuple[Contestant, str]]:
        """What the runs trained on a domain, with the hash of its weights; what collapsed is a failure and does not compete."""
        from .. import surrogates

        for run in self.runs:
            folders = sorted(path.parent for path in run.glob("weights/*/*/seed-*/model.json"))
            if not folders:
                raise MisuseError(f"{run} holds no weights; give the folder of a run with its weights/")
            for folder in (f for f in folders if domain.name in f.parent.parent.name.split("+")):
                model = surrogates.load(folder, self.device)
                if model.card.collapsed:
                    self.fail("enter", domain.name, COLLAPSED, model=model.card.name, seed=model.card.seed)
                else:
                    digest = folder_hash(folder)
                    yield Contestant(model, model.card.seed, weights_sha256=digest), digest

    def brought(self, domain: Domain) -> Iterator[tuple[Contestant, str]]:
        """The models of users' files, checked, with the hash of the file."""
        recipe = self.recipe(domain)
        for file in self.files:
            contestant = resolve(str(file), domain, recipe, size=self.track.size, device=self.device)
            require_admissible(contestant, films_on_the_spot(domain, recipe, self.track.root_seed, self.device), recipe)
            assert contestant.source_sha256 is not None
            yield contestant, contestant.source_sha256

    def probe(self, workers: Workers) -> None:
        """Probes are fitted on training films, which a round does not have."""

    def training_data(self) -> dict[str, float]:
        """As the runs have it, the newest first."""
        dated = sorted(self.read, key=lambda r: r["created"])
        held = {d["name"]: d.get("training_data_seconds") for r in dated for d in r["domains"]}
        return {name: seconds for name, seconds in held.items() if seconds is not None}


def _untrained(domain: str, track: Any) -> Iterator[Any]:
    """The baselines that nothing is learned for."""
    from .. import surrogates

    for name in surrogate_names(domain, track):
        if not surrogates.trainable(name):
            yield surrogates.create(name, domain, size=track.size, seed=0)
