"""Pieces of a run that worker processes can do: plain functions of things that travel. A run does them itself with one worker."""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..contracts import Domain, MisuseError, Model, Recipe, Track, registry
from ..contracts.deadline import Deadline
from ..contracts.model import Probed
from . import score as scoring
from .contestants import Contestant
from .score import Case, Score
from .timing.speed import timing_threads

if TYPE_CHECKING:
    from ..datasets import Workers

MIN_PART = 3
"""Fewest contestants that one piece of scoring is about: each piece reads the films and judges the truth anew."""


@dataclass(frozen=True)
class Unit:
    """One split of one domain, to be scored."""

    domain: str | Domain
    """By name where it has one."""
    split: str
    data: Path
    """The folder of the domain's data set."""
    recipe: Recipe
    device: str
    truth: Path
    """Where the reference's continuation is kept while contestants are held against it."""


def traveller(domain: Domain) -> str | Domain:
    """The domain by its name, where its file is found by that; else itself."""
    return domain.name if type(domain).__module__ == f"{registry.ROOT}.simulators.{domain.name}" else domain


def travels(domain: Domain) -> bool:
    """Whether a worker process can have the domain."""
    try:
        pickle.dumps(traveller(domain))
    except Exception:  # whatever keeps it from being packed
        return False
    return True


def score_unit(
    unit: Unit, contestants: Sequence[Contestant], workers: Workers, progress: Callable[[int, int], None]
) -> list[Score]:
    """Make a unit's truth, hold contestants against it in as many parts as keep the workers busy, and forget it."""
    workers.submit(make_truth, unit).result()
    number = min(2 * workers.number, -(-len(contestants) // MIN_PART)) if workers.number > 1 else 1
    parts = [contestants[k::number] for k in range(number)]
    waiting = [workers.submit(score_part, unit, [packed(c) for c in part]) for part in parts]
    held: dict[tuple[str, int | None], Score] = {}
    for k, each in enumerate(waiting):
        held |= {(s.model, s.seed): s for s in each.result()}
        progress(sum(len(p) for p in parts[: k + 1]), len(contestants))
    unit.truth.unlink()
    return [held[c.name, c.seed] for c in contestants]


Traveller = str | tuple[Model, int | None]
"""A contestant on its way: a solver goes by the name on its card, for it may hold what cannot travel; a surrogate as it is."""


def packed(contestant: Contestant) -> Traveller:
    """A contestant in the form that travels."""
    model = contestant.model
    return contestant.name if model.card.kind in ("reference", "ladder") else (model, contestant.seed)


def unpacked(traveller: Traveller, unit: Unit) -> Contestant:
    """The contestant of `packed`, where it arrived."""
    if not isinstance(traveller, str):
        return Contestant(*traveller)
    there = solvers(unit.domain, unit.recipe, unit.device)
    if traveller not in there:
        raise MisuseError(f"no solver is named {traveller!r}; there are {', '.join(there)}")
    return Contestant(there[traveller])


@functools.lru_cache(maxsize=8)
def solvers(domain: str | Domain, recipe: Recipe, device: str) -> dict[str, Model]:
    """The reference and its ladder by the names on their cards; kept, so that what they compiled is."""
    kind = registry.domain(domain)
    made: list[Model] = [kind.reference(recipe, device), *kind.ladder(recipe, device).values()]
    return {model.card.name: model for model in made}


def make_truth(unit: Unit) -> None:
    """Let the reference continue a split and keep what it says."""
    from ..datasets import load, save

    domain = registry.domain(unit.domain)
    solver = next(iter(solvers(unit.domain, unit.recipe, unit.device).values()))
    with timing_threads(torch.device(unit.device)):
        film = load(unit.data, unit.split, unit.device)
        case = scoring.prepare(domain, unit.split, film, unit.recipe, device=unit.device, reference=solver)
    unit.truth.parent.mkdir(parents=True, exist_ok=True)
    save(case.truth.to("cpu"), unit.truth)


def score_part(unit: Unit, travellers: Sequence[Traveller]) -> list[Score]:
    """Score some contestants on a split whose truth is made."""
    with timing_threads(torch.device(unit.device)):
        case = _case(unit, unit.truth.stat().st_mtime_ns)
        return scoring.score_case(case, [unpacked(t, unit) for t in travellers])


@functools.lru_cache(maxsize=1)
def _case(unit: Unit, written: int) -> Case:
    """The case of a unit, kept for its next part; `written` tells one truth from a later one."""
    from ..datasets import load, read

    past = load(unit.data, unit.split, unit.device).frames(0, unit.recipe.past)
    return Case(registry.domain(unit.domain), unit.split, past, read(unit.truth, own=True).to(unit.device))


def probe_one(domain: str | Domain, data: Path, device: str, model: Probed) -> tuple[list[dict[str, Any]], float]:
    """What can be read off a model's features on one domain's data: the rows of `probes.probe_all`, and the seconds it took."""
    from ..datasets import load
    from .probes import TRAIN_SCENES, probe_all

    started = time.perf_counter()
    with timing_threads(torch.device(device)):
        films = {split: load(data, split, device) for split in ("train", "valid", "test")}
        seen = films["train"]
        films["train"] = seen.select(range(min(TRAIN_SCENES, seen.scene.n_scenes)))
        rows = probe_all(films, registry.domain(domain), model.features(), model.card.history - 1)
    return rows, time.perf_counter() - started


def train_one(
    name: str, data: Mapping[str, Path], track: Track, seed: int, out: Path, device: str, progress: Any = None,
    deadline: Deadline | None = None, tuned: Any = None,
) -> float:  # fmt: skip
    """Train a model on the data sets of some domains and save it into `out`; returns the seconds it took."""
    from .. import surrogates

    started = time.perf_counter()
    if progress is not None:
        progress(0, track.training_extent)
    surrogates.train(
        name, data, track, seed=seed, out=out, device=device, progress=progress, deadline=deadline, tuned=tuned
    )
    return time.perf_counter() - started
