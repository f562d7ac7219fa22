"""What the records of one track hold of each contestant, scene by scene: its card, and its error at one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import ModelCard
from .. import curves
from ..pool import read_pooled
from ..reduce import CONFIDENCE

METRIC, FRAME, SPLIT = "position_rmse", 20, "test"
"""What is compared: position RMSE [m] at frame 20, or at the last of a shorter horizon, on the split `test`."""

Who = tuple[str, str]
"""Domain and model."""


@dataclass(frozen=True)
class Scenes:
    """The contestants of one track, on the same scenes."""

    track: str
    cards: dict[Who, ModelCard] = field(default_factory=dict)
    """Of the first training seed."""
    errors: dict[Who, np.ndarray] = field(default_factory=dict)
    """(seeds, scenes), positive and finite for every scene."""

    def domains(self) -> list[str]:
        """Names of the domains, in order of appearance."""
        return list(dict.fromkeys(domain for domain, _ in self.errors))

    def models(self) -> list[str]:
        """Names of all contestants, in order of appearance."""
        return list(dict.fromkeys(model for _, model in self.errors))


def read(folder: Path) -> list[Scenes]:
    """The contestants of every track under a folder, training seeds of several records together (bench/pool.py).

    Of records of one track that are not alike, the newest. Those without curves are left out.
    """
    newest = {record["track"]["name"]: record for record in read_pooled(folder)}
    every = [_scenes(track, record) for track, record in newest.items()]
    return [scenes for scenes in every if scenes.errors]


def _scenes(track: str, record: Mapping[str, Any]) -> Scenes:
    made = Scenes(track)
    for entry in record["contestants"]:
        made.cards.setdefault((entry["domain"], entry["card"]["name"]), ModelCard.from_dict(entry["card"]))
    for who, seeds in _errors(record).items():
        values = np.stack([seeds[k] for k in sorted(seeds, key=lambda seed: -1 if seed is None else seed)])
        if who in made.cards and np.isfinite(values).all():
            made.errors[who] = values
    return made


def _errors(record: Mapping[str, Any]) -> dict[Who, dict[int | None, np.ndarray]]:
    """By contestant and seed, a value a scene; of a training that several records hold, the newest's."""
    found: dict[Who, dict[int | None, np.ndarray]] = {}
    metric = next((m["id"] for m in record["metrics"] if m["id"].startswith(f"{METRIC}@")), METRIC)
    for path in (Path(name) / str(record["curves"]) for name in reversed(record["folders"])):
        for score in curves.read(path, split=SPLIT, metric=metric) if path.is_file() else ():
            curve = score.curves[metric]
            found.setdefault((score.domain, score.model), {}).setdefault(score.seed, curve[min(FRAME, len(curve)) - 1])
    return found


# -- resampling --------------------------------------------------------------------------------------------------------


class Resampled:
    """Means over resampled seeds and scenes: the scenes of a domain are the same for all its contestants in every draw."""

    def __init__(self, errors: Mapping[Who, np.ndarray], draws: int, seed: int = 0) -> None:
        self.errors, self.draws = errors, draws
        self._rng = np.random.default_rng(seed)
        self._scenes: dict[tuple[str, int], np.ndarray] = {}
        self._means: dict[Who, np.ndarray] = {}

    def mean(self, who: Who) -> float:
        """Over all seeds and scenes."""
        return float(self.errors[who].mean())

    def means(self, who: Who) -> np.ndarray:
        """One mean a draw, (draws,): seeds of every contestant by themselves, scenes of a domain together."""
        if who not in self._means:
            values = self.errors[who]
            n_seeds, n_scenes = values.shape
            place = (who[0], n_scenes)
            if place not in self._scenes:
                self._scenes[place] = self._rng.integers(0, n_scenes, (self.draws, n_scenes))
            rows = self._rng.integers(0, n_seeds, (self.draws, n_seeds))
            self._means[who] = values[rows[:, :, None], self._scenes[place][:, None, :]].mean((1, 2))
        return self._means[who]


def interval(values: np.ndarray) -> dict[str, float]:
    """The ends, `low` and `high`, between which CONFIDENCE of the draws lie."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return {"low": float(low), "high": float(high)}
