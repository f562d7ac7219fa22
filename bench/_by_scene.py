"""What the records of one track hold of each contestant, scene by scene: its card, and its error at one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import ModelCard
from . import curves
from . import record as records
from .reduce import CONFIDENCE

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
    """The contestants of every track under a folder: training seeds of records with the same code and data stand together.

    Where several records of a track have unlike code or data, only the newest of them and its equals are taken. Records without
    curves are left out.
    """
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    held = [(path, records.read(path)) for path in records.find(folder)]
    for path, record in sorted(held, key=lambda pair: pair[1]["created"], reverse=True):
        alike = found.setdefault(record["track"]["name"], [])
        if not alike or _same(alike[0][1], record):
            alike.append((path, record))
    every = [_scenes(name, sorted(alike, key=lambda p: _seeds(p[1]))) for name, alike in found.items()]
    return [scenes for scenes in every if scenes.errors]


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether the scenes of two records are the same and their errors measured alike."""

    def of(record: Mapping[str, Any]) -> Any:
        return (
            [(d["name"], d["generator_version"], d.get("data_manifest")) for d in record["domains"]],
            sorted(m["id"] for m in record["metrics"]),
            record["suite"]["version"],
            record.get("round"),
        )

    return bool(of(a) == of(b))


def _seeds(record: Mapping[str, Any]) -> list[int]:
    return list(record["track"]["training_seeds"])


def _scenes(track: str, held: Sequence[tuple[Path, Mapping[str, Any]]]) -> Scenes:
    rows: dict[Who, dict[int | None, np.ndarray]] = {}
    made = Scenes(track)
    for path, record in held:
        for entry in record["contestants"]:
            made.cards.setdefault((entry["domain"], entry["card"]["name"]), ModelCard.from_dict(entry["card"]))
        if record.get("curves") is None or not (path / record["curves"]).is_file():
            continue
        for score in curves.read(path / record["curves"]):
            curve = next((c for name, c in score.curves.items() if name.startswith(f"{METRIC}@")), None)
            if score.split == SPLIT and curve is not None:
                values = curve[min(FRAME, len(curve)) - 1]
                rows.setdefault((score.domain, score.model), {}).setdefault(score.seed, values)
    for who, seeds in rows.items():
        values = np.stack(list(seeds.values()))
        if who in made.cards and np.isfinite(values).all():
            made.errors[who] = values
    return made


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
