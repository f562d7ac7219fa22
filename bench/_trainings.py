"""What a run trains: each model once a seed, on one domain or on all that it knows; and the name of what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contracts import Track, registry
from .contestants import surrogate_names


@dataclass(frozen=True)
class Training:
    """One model to be trained: on one domain, or, for one that learns them all at once, on every one that it knows."""

    domains: tuple[str, ...]
    """Names, sorted."""
    name: str
    seed: int

    @property
    def domain(self) -> str:
        """The names of its domains in one."""
        return "+".join(self.domains)

    @property
    def folder(self) -> Path:
        """Where its weights go, below weights/."""
        return Path(self.domain) / self.name / f"seed-{self.seed}"

    @property
    def stage(self) -> str:
        """Name of its stage."""
        return f"train-{self.domain}-{self.name}-{self.seed}"


def trainings(track: Track, domains: Sequence[str]) -> list[Training]:
    """Every training of a run, the long ones first, so that the short ones fill what is left."""
    from .. import surrogates

    knowing: dict[str, list[str]] = {}
    for domain in domains:
        for name in surrogate_names(domain, track):
            knowing.setdefault(name, []).append(domain)
    jobs, seeds = list[tuple[bool, bool, Training]](), track.training_seeds
    for name in filter(surrogates.trainable, knowing):
        known, each = knowing[name], surrogates.scope(name) == "each"
        parts = [(d,) for d in known] if each else [tuple(sorted(known))]
        baseline = registry.model(name).KIND == "baseline"
        jobs += [(each, baseline, Training(part, name, seed)) for part in parts for seed in seeds]
    return [job for *_, job in sorted(jobs, key=lambda entry: entry[:2])]
