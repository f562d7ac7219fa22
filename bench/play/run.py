"""A finished run's folder → films to be shown: the reference and some contestants continue one scene of the run's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...contracts import Domain, MisuseError, Model, Recipe, Trajectory, registry
from ...contracts.nearest import one_of
from .. import record
from ..contestants import resolve
from ..score import answer_of, prepare
from .again import made_again
from .film import Shown
from .pick import RULES, pick, reason, scene_errors, standouts

METRIC = "position_rmse@1"


@dataclass(frozen=True)
class Choice:
    """What of a run is shown, and why."""

    shown: list[Shown]
    """Truth first; each film of one scene."""
    scene: int
    """Its number in the split."""
    first_frame: int
    """Number of the films' first frame, counted from the start of the stored film."""
    note: str


def of_run(
    folder: str | Path,
    domain: str,
    split: str = "test",
    models: Sequence[str] = (),
    scene: str = "median",
    device: str = "cpu",
) -> Choice:
    """Truth made again by the reference, and contestants from the run's weights, on one scene of a split.

    `models` defaults to the best generalist, the best specialist and the coarsest rung. `scene` is a number, or worst, median
    or best by the first model's position RMSE in the run's curves. Raises MisuseError for what the run does not hold.
    """
    folder = Path(folder)
    held = record.read(folder)
    kind, recipe = registry.domain(domain), _recipe(held, domain)
    names = list(models) or default_models(held, domain, split)
    made = [_model(folder, held, kind, recipe, name, device) for name in names]
    number, why = _scene(folder, domain, split, names[0], scene)
    case = prepare(kind, split, _film(folder, held, kind, recipe, split, number, device), recipe, device=device)
    shown = [Shown(case.domain.reference(recipe, device).card.name, "truth", case.truth)]
    shown += [Shown(name, model.card.kind, answer_of(case, model)) for name, model in zip(names, made, strict=True)]
    return Choice(shown, number, recipe.past, why)


def _recipe(held: Mapping[str, Any], domain: str) -> Recipe:
    found = {d["name"]: d["recipe"] for d in held["domains"]}
    if domain not in found:
        raise MisuseError(f"the run has no domain {domain!r}; {one_of(domain, found)}")
    return Recipe(**found[domain])


def default_models(held: Mapping[str, Any], domain: str, split: str) -> list[str]:
    """Names of the best generalist, the best specialist and the coarsest rung of a record, by mean position RMSE on the split."""
    mine = [s for s in held["scores"] if s["domain"] == domain and s["split"] == split]
    rungs = [c["card"]["name"] for c in held["contestants"] if c["domain"] == domain and c["card"]["kind"] == "ladder"]
    names = standouts(((s["kind"], s["model"], _mean_error(s)) for s in mine), rungs)
    if not names:
        raise MisuseError(f"the run scored nobody on {domain} {split} beside the reference; name a model with --model")
    return names


def _mean_error(score: Mapping[str, Any]) -> float:
    estimate = (score["values"].get(METRIC) or {}).get("mean")
    return float("inf") if estimate is None or estimate["value"] is None else float(estimate["value"])


def _model(folder: Path, held: Mapping[str, Any], domain: Domain, recipe: Recipe, name: str, device: str) -> Model:
    """A contestant of the run by its name; of several seeds, the lowest."""
    known = [c for c in held["contestants"] if c["domain"] == domain.name and c["card"]["name"] == name]
    if not known:
        there = dict.fromkeys(c["card"]["name"] for c in held["contestants"] if c["domain"] == domain.name)
        raise MisuseError(f"the run has no model {name!r} on {domain.name}; {one_of(name, there)}")
    weights = [path for c in known for path in _weights(folder, domain.name, name, c.get("seed"))]
    spec = str(weights[0]) if weights else name
    return resolve(spec, domain, recipe, size=held["track"]["size"], device=device).model


def _weights(folder: Path, domain: str, name: str, seed: int | None) -> list[Path]:
    """Folders of weights of a model and seed that were trained on the domain, alone or among others."""
    if seed is None or Path(name).name != name:
        return []
    trained = sorted(path for path in (folder / "weights").glob("*") if domain in path.name.split("+"))
    return [path for each in trained if (path := each / name / f"seed-{seed}").is_dir()]


def _scene(folder: Path, domain: str, split: str, model: str, scene: str) -> tuple[int, str]:
    """The scene's number, and in words how it was chosen."""
    if scene.isdecimal():
        return int(scene), f"Scene {scene} of {split}, chosen by number."
    if scene not in RULES:
        raise MisuseError(f"scene {scene!r} is unknown; a number or one of {', '.join(RULES)} is right")
    errors = scene_errors(folder, domain, split, model)
    number = pick(errors, scene)
    return number, reason(errors, number, scene, split, model)


def _film(
    folder: Path, held: Mapping[str, Any], domain: Domain, recipe: Recipe, split: str, scene: int, device: str
) -> Trajectory:
    """One scene of the run's data, made again where they are not beside it."""
    from ...datasets import load

    if not (folder / "data" / domain.name).exists():
        return made_again(held, domain, recipe, split, scene, device)
    film = load(folder / "data" / domain.name, split)
    if scene >= film.scene.n_scenes:
        raise MisuseError(f"{split} of {domain.name} has no scene {scene}; it has 0 to {film.scene.n_scenes - 1}")
    return film.select([scene]).to(device)
