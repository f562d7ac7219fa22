"""A scene of a recorded run whose data are not kept beside it: simulated again from its seed, and held against the run's curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import Domain, MisuseError, Recipe, Trajectory
from .. import curves, record
from .film import Shown
from .pick import METRIC, curves_file

CHECKED_FRAMES = 5
"""Frames on which errors are compared: later ones of a scene in chaos differ with the order of a sum."""
TOLERANCE = 0.01
"""Relative difference of their mean error."""


def made_again(
    held: Mapping[str, Any], domain: Domain, recipe: Recipe, split: str, scene: int, device: str
) -> Trajectory:
    """The stored film of one scene, as the record's seed gives it.

    Raises MisuseError for a scene that the track does not have, and where this hedgefox's generator is another version.
    """
    entry = next(d for d in held["domains"] if d["name"] == domain.name)
    if entry["generator_version"] != domain.version:
        raise MisuseError(
            f"the run's {domain.name} is of generator version {entry['generator_version']}, this hedgefox has "
            f"{domain.version}; without its data the scene cannot be made again"
        )
    number = held["track"]["trajectories"].get(split, 0)
    if scene >= number:
        raise MisuseError(f"{split} of {domain.name} has no scene {scene}; it has 0 to {number - 1}")
    return domain.simulate(recipe, split, [scene], held["track"]["root_seed"], device)


def require_recorded(
    folder: Path, domain: Domain, split: str, scene: int, shown: Sequence[Shown]
) -> dict[str, tuple[float, float]]:
    """Mean position RMSE [m] over the first frames by name, of each contestant shown and of the run's curves, which must agree.

    The truth comes first in `shown`. Raises MisuseError where a contestant errs otherwise than recorded: other data, other
    weights or other code.
    """
    from .._metric import metric

    name = next(m["id"] for m in record.read(folder)["metrics"] if m["id"].startswith(METRIC))
    truth, found = shown[0].film, {}
    for each in shown[1:]:
        ours = metric(name).evaluate(truth, each.film, domain)[name][:CHECKED_FRAMES, 0]
        now, then = float(ours.mean()), float(_recorded(folder, domain, split, scene, each.name, name).mean())
        if not abs(now - then) <= TOLERANCE * max(now, then):
            raise MisuseError(
                f"{each.name} on scene {scene} of {domain.name} {split} errs {now:.4g} m over the first {CHECKED_FRAMES} "
                f"frames; the run recorded {then:.4g} m: these are not its data, weights or code"
            )
        found[each.name] = (now, then)
    return found


def _recorded(folder: Path, domain: Domain, split: str, scene: int, model: str, metric: str) -> np.ndarray:
    path = folder / curves_file(folder)
    scores = curves.read(path, domain=domain.name, split=split, model=model, metric=metric)
    if not scores:
        raise MisuseError(f"{path} has no {metric} of {model!r} on {domain.name} {split}")
    first = min(scores, key=lambda s: -1 if s.seed is None else s.seed)
    return np.asarray(first.curves[metric])[:CHECKED_FRAMES, scene]
