"""Means and spreads of the training data, for normalising: float64, merged shard by shard after Chan, Golub & LeVeque.

Float32 running sums have turned a true spread of 0.010 into 0.015 elsewhere. Only free nodes count, only frames before a
scene's divergence, and only the split `train`.

    δ = b̄ − ā,   mean = ā + δ n_b / n,   M = M_a + M_b + δ² n_a n_b / n
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..contracts import NEVER, MisuseError, Trajectory
from ..contracts.strict_json import read_json
from ._files import write_text

STATS = "stats.json"
UNITS = {
    "position": "m",
    "velocity": "m/s",
    "displacement": "m (difference of two frames)",
    "acceleration": "m (second difference of three frames)",
}


@dataclass(frozen=True)
class FieldStatistics:
    """One quantity over the training data, a value an axis."""

    unit: str
    count: int
    """Samples seen, each with all axes."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Population standard deviation: M / count, under the root."""
    min: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class Statistics:
    """Everything that normalising may know about the data; see `statistics`."""

    fields: Mapping[str, FieldStatistics]
    """position, velocity, displacement, acceleration, and each scene parameter under its own name."""
    parameter_names: tuple[str, ...]
    manifest: str
    """SHA-256 over the training shards' names and hashes: which data these are the statistics of."""

    @property
    def parameters(self) -> dict[str, FieldStatistics]:
        """The scene parameters alone."""
        return {name: self.fields[name] for name in self.parameter_names}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for strict JSON."""
        fields = {name: dict(vars(field)) for name, field in self.fields.items()}
        return {"fields": fields, "parameter_names": list(self.parameter_names), "manifest": self.manifest}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Statistics:
        """Inverse of `to_dict`; raises MisuseError when something is missing or of another kind."""
        try:
            fields = {name: _field(values) for name, values in data["fields"].items()}
            names = tuple(str(n) for n in data["parameter_names"])
            return Statistics(fields, names, str(data["manifest"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MisuseError(f"not statistics: {error!r}") from error


def _field(values: Mapping[str, Any]) -> FieldStatistics:
    rows = {name: tuple(float(x) for x in values[name]) for name in ("mean", "std", "min", "max")}
    return FieldStatistics(unit=str(values["unit"]), count=int(values["count"]), **rows)


class Accumulator:
    """Collects films one at a time; the order of the films decides the last bits, so keep it fixed."""

    def __init__(self, parameter_units: Mapping[str, str]) -> None:
        self._units = dict(parameter_units)
        self._moments: dict[str, _Moments] = {}

    def add(self, film: Trajectory) -> None:
        """Take in a film of one scene."""
        for name, samples in _samples(film):
            if samples.shape[0]:
                part = _Moments.of(samples)
                self._moments[name] = self._moments[name].merged(part) if name in self._moments else part

    def result(self, manifest: str) -> Statistics:
        """The statistics of all films taken in; raises MisuseError when a unit is not known."""
        units = {**self._units, **UNITS}
        unknown = sorted(set(self._moments) - set(units))
        if unknown:
            raise MisuseError(f"the domain states no unit for the parameter {unknown[0]!r}; add it to parameter_units")
        fields = {name: moments.field(units[name]) for name, moments in self._moments.items()}
        return Statistics(fields, tuple(n for n in fields if n not in UNITS), manifest)


@dataclass(frozen=True)
class _Moments:
    count: int
    mean: Tensor
    squares: Tensor
    """Sum of squared differences from the mean, M."""
    min: Tensor
    max: Tensor

    @staticmethod
    def of(samples: Tensor) -> _Moments:
        """Two passes over float64 samples (n, C)."""
        mean = samples.mean(0)
        return _Moments(samples.shape[0], mean, ((samples - mean) ** 2).sum(0), samples.amin(0), samples.amax(0))

    def merged(self, other: _Moments) -> _Moments:
        count = self.count + other.count
        delta = other.mean - self.mean
        return _Moments(
            count,
            self.mean + delta * (other.count / count),
            self.squares + other.squares + delta**2 * (self.count * other.count / count),
            torch.minimum(self.min, other.min),
            torch.maximum(self.max, other.max),
        )

    def field(self, unit: str) -> FieldStatistics:
        std = (self.squares / self.count).sqrt()
        rows = (tuple(x.tolist()) for x in (self.mean, std, self.min, self.max))
        return FieldStatistics(unit, self.count, *rows)


def _samples(film: Trajectory) -> Iterator[tuple[str, Tensor]]:
    """Float64 samples (n, C) of each quantity, over free nodes and frames before divergence."""
    scene, never = film.scene, film.diverged_at is None or int(film.diverged_at[0]) == NEVER
    stop = film.n_frames if never or film.diverged_at is None else int(film.diverged_at[0])
    position = film.position[:stop].to(torch.float64)
    displacement = scene.minimum_image(position[1:] - position[:-1])
    yield "position", _rows(film, position)
    yield "velocity", _rows(film, film.velocity[:stop].to(torch.float64))
    yield "displacement", _rows(film, displacement)
    yield "acceleration", _rows(film, displacement[1:] - displacement[:-1])
    for name, value in scene.parameters.items():
        known = value.to(torch.float64)
        yield name, known[torch.isfinite(known)].unsqueeze(-1)


def _rows(film: Trajectory, values: Tensor) -> Tensor:
    return values[:, film.scene.free].reshape(-1, values.shape[-1])


def write_statistics(folder: Path, stats: Statistics) -> None:
    """Write stats.json atomically."""
    write_text(folder / STATS, json.dumps(stats.to_dict(), indent=2, sort_keys=True, allow_nan=False) + "\n")


def statistics(folder: str | Path) -> Statistics:
    """The statistics of a dataset's training split; raises MisuseError when there are none or they are damaged."""
    path = Path(folder) / STATS
    if not path.is_file():
        raise MisuseError(f"{folder} has no {STATS}; it is written once the split train is complete")
    try:
        return Statistics.from_dict(read_json(path))
    except MisuseError as error:
        raise MisuseError(f"{path} is damaged: {error}") from error


def difference(stored: Statistics, computed: Statistics) -> str | None:
    """What two statistics disagree on by more than a few float64 roundings, or None."""
    if stored.manifest != computed.manifest:
        return f"they belong to other data ({stored.manifest[:12]}…, not {computed.manifest[:12]}…)"
    if set(stored.fields) != set(computed.fields):
        return f"they cover {', '.join(sorted(stored.fields))}; the data have {', '.join(sorted(computed.fields))}"
    for name, field in computed.fields.items():
        for key, value in vars(field).items():
            theirs = getattr(stored.fields[name], key)
            if not _close(theirs, value):
                return f"{name} {key} is {theirs}; the data give {value}"
    return None


def _close(a: Any, b: Any) -> bool:
    if not isinstance(a, tuple):
        return bool(a == b)
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(a, b, strict=True))
