"""Films that a run keeps of itself: of every split the worst, median and best scene, of the truth and of who stands out.

The rule is that of `hedgefox play` (bench/play/pick.py). All scenes of a split are continued together, by the contestants as
they were scored, so that what is looked at later is the models' real answer. One packed file a scene:
FOLDER/films/DOMAIN-SPLIT-RULE.film.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...contracts import registry
from .._parts import Traveller, Unit, packed, solvers, unpacked
from .._stages import stage
from ..contestants import Contestant
from ..score import Score, answer_of, prepare
from ..timing.speed import timing_threads
from . import packing
from .film import Shown, player_data
from .pick import METRIC, RULES, pick, reason, standouts

if TYPE_CHECKING:
    from ...datasets import Workers

FOLDER = "films"
SUFFIX = ".film"
LEVELS = 4094
"""Steps between the least and the greatest coordinate of a kept film: a fraction of a pixel on a screen."""


@dataclass(frozen=True)
class Plan:
    """What of one split is kept."""

    travellers: tuple[Traveller, ...]
    """Who is shown beside the truth."""
    by: str
    """The contestant by whose errors scenes are picked."""
    errors: tuple[float, ...]
    """Its position RMSE [m] on each scene, mean over frames."""

    @property
    def scenes(self) -> dict[str, int]:
        """The number of the scene by rule; of fewer than three scenes some are one."""
        return {rule: pick(np.array(self.errors), rule) for rule in RULES}


def planned(scores: Sequence[Score], contestants: Sequence[Contestant]) -> Plan | None:
    """What to keep of a split, by its scores; None where nobody was scored beside the reference.

    Scenes are picked by the first who is shown and was scored there, else by the best of all.
    """
    errors = _errors(scores)
    kinds = {c.name: c.model.card.kind for c in contestants}
    ranked = [(kinds[name], name, float(np.mean(held))) for name, held in errors.items() if kinds[name] != "reference"]
    if not ranked:
        return None
    names = standouts(ranked, [c.name for c in contestants if c.model.card.kind == "ladder"])
    by = next((n for n in names if n in errors), min(ranked, key=lambda row: (row[2], row[1]))[1])
    shown = tuple(packed(_first_seed(contestants, name)) for name in names)
    return Plan(shown, by, tuple(float(e) for e in errors[by][0]))


def _errors(scores: Sequence[Score]) -> dict[str, np.ndarray]:
    """Mean position RMSE [m] over frames by name, a row a training seed, the lowest first (S, B)."""
    rows: dict[str, list[np.ndarray]] = {}
    for score in sorted(scores, key=lambda s: -1 if s.seed is None else s.seed):
        for metric in (m for m in score.curves if m.startswith(METRIC)):
            rows.setdefault(score.model, []).append(score.curves[metric].mean(0))
    return {name: np.stack(held) for name, held in rows.items()}


def _first_seed(contestants: Sequence[Contestant], name: str) -> Contestant:
    """The contestant of a name; of several seeds, the lowest."""
    return min((c for c in contestants if c.name == name), key=lambda c: -1 if c.seed is None else c.seed)


def film_stage(
    stages: Path, inputs: Mapping[str, Any], unit: Unit, plan: Plan | None, folder: Path, workers: Workers
) -> dict[str, Any]:
    """As `_stages.stage`, for the films of one split: the names of their files under "files", the seconds they "took" where they
    were made, and the "error" that kept them from being made. Files that were lost since are made again."""
    domain = registry.domain(unit.domain).name
    name = f"films-{domain}-{unit.split}"

    def work() -> dict[str, Any]:
        for rule in RULES:  # none of another run may be left where this one fails
            (folder / file_name(domain, unit.split, rule)).unlink(missing_ok=True)
        try:
            names, took = workers.submit(keep, unit, plan, folder).result() if plan is not None else ([], 0.0)
            return {"files": names, "took": took, "error": None}
        except Exception as error:  # a film that cannot be made is a result
            return {"files": [], "took": 0.0, "error": f"{type(error).__name__}: {error}"}

    result: dict[str, Any] = stage(stages, name, inputs, work).result
    if all((folder / file).is_file() for file in result["files"]):
        return result
    (stages / f"{name}.json").unlink()
    return dict(stage(stages, name, inputs, work).result)


def file_name(domain: str, split: str, rule: str) -> str:
    """Of one film."""
    return f"{domain}-{split}-{rule}{SUFFIX}"


def keep(unit: Unit, plan: Plan, folder: Path) -> tuple[list[str], float]:
    """Continue the scenes of a plan and write them into `folder`; returns the files' names and the seconds it took."""
    started = time.perf_counter()
    scenes = sorted(set(plan.scenes.values()))
    with timing_threads(torch.device(unit.device)):
        shown = _continued(unit, plan, scenes)
    names = [_keep_one(unit, plan, folder, shown, rule, scenes.index(number)) for rule, number in plan.scenes.items()]
    return names, time.perf_counter() - started


def _keep_one(unit: Unit, plan: Plan, folder: Path, shown: Sequence[Shown], rule: str, place: int) -> str:
    """Write one scene, the one at a place among those that were continued."""
    domain, number, errors = registry.domain(unit.domain).name, plan.scenes[rule], np.array(plan.errors)
    data = player_data(
        f"{domain}, {unit.split}, scene {number}",
        shown,
        scene=place,
        first_frame=unit.recipe.past,
        note=reason(errors, number, rule, unit.split, plan.by),
        levels=LEVELS,
    )
    picked = {
        "rule": rule,
        "split": unit.split,
        "scene": number,
        "of": len(errors),
        "by": plan.by,
        "error": errors[number],
    }
    name = file_name(domain, unit.split, rule)
    _write(folder / name, packing.pack(data | {"picked": picked}))
    return name


def _continued(unit: Unit, plan: Plan, scenes: Sequence[int]) -> list[Shown]:
    """Truth and contestants on some scenes of a split, as one film each."""
    from ...datasets import load

    domain = registry.domain(unit.domain)
    solver = next(iter(solvers(unit.domain, unit.recipe, unit.device).values()))
    film = load(unit.data, unit.split, unit.device).select(scenes)
    case = prepare(domain, unit.split, film, unit.recipe, device=unit.device, reference=solver)
    models = [unpacked(t, unit).model for t in plan.travellers]
    truth = Shown(solver.card.name, "truth", case.truth)
    return [truth, *(Shown(m.card.name, m.card.kind, answer_of(case, m)) for m in models)]


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
