"""A metric as the harness sees it: a file of bench/metrics, checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..contracts import Domain, MisuseError, Trajectory, registry
from ..contracts.card import knows

Curve = Callable[[Trajectory, Trajectory, Domain], Tensor]
Parts = Callable[[Trajectory, Trajectory, Domain], dict[str, Tensor]]


@dataclass(frozen=True)
class Metric:
    """One file of bench/metrics."""

    name: str
    version: int
    unit: str
    better: str
    """"lower" or "higher"."""
    domains: tuple[str, ...]
    curve: Curve
    parts: Parts | None
    """Counts that a micro-average sums, where a mean of the curve would be wrong."""
    running: Callable[[dict[str, Tensor]], Tensor] | None
    """The curve of such counts."""
    judges: str
    """What is held against the truth: "rollout", or "reconstruction", which only some models have."""

    @property
    def id(self) -> str:
        """Name and version, as written in records."""
        return f"{self.name}@{self.version}"

    def evaluate(self, truth: Trajectory, predicted: Trajectory, domain: Domain) -> dict[str, np.ndarray]:
        """Curves (T, B) by metric id, in float64; counts, where there are any, under "id/part"."""
        if self.parts is None or self.running is None:
            found = {self.id: self.curve(truth, predicted, domain)}
        else:
            counts = self.parts(truth, predicted, domain)
            found = {self.id: self.running(counts), **{f"{self.id}/{n}": x for n, x in counts.items()}}
        return {name: values.double().cpu().numpy() for name, values in found.items()}


def metric(name: str) -> Metric:
    """One metric by name, with or without "@version"; MisuseError when there is none such."""
    bare, _, version = name.partition("@")
    file = registry.module("bench.metrics", bare, "metric")
    if version and version != str(file.VERSION):
        raise MisuseError(f"metric {name!r} is not of this hedgefox, which has {bare}@{file.VERSION}")
    if file.BETTER not in ("lower", "higher"):
        raise MisuseError(f"metric {bare}: BETTER is {file.BETTER!r}; lower or higher is right")
    judges = getattr(file, "JUDGES", "rollout")
    if judges not in ("rollout", "reconstruction"):
        raise MisuseError(f"metric {bare}: JUDGES is {judges!r}; rollout or reconstruction is right")
    parts: Parts | None = getattr(file, "parts", None)
    running = getattr(file, "running", None)
    said = (int(file.VERSION), file.UNIT, file.BETTER, tuple(file.DOMAINS), file.curve)
    return Metric(bare, *said, parts, running, judges)


def metrics_for(domain: str) -> list[Metric]:
    """All metrics that are defined for a kind of physics, by name."""
    every = [metric(name) for name in registry.names("bench.metrics")]
    return [m for m in every if knows(m.domains, domain)]


def every_metric() -> list[Metric]:
    """All metrics there are."""
    return [metric(name) for name in registry.names("bench.metrics")]
