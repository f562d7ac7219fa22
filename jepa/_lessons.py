"""Lessons: which domains a jepa learns, and in which order. Of the others it measures units and sees nothing else.

    learn            all training trajectories of these domains, together
    few, then        `shots` training trajectories of each of these, by themselves

By themselves, and not beside all that was learned before: a model that begins with these trajectories as drawn (no `learn`) then
differs in nothing but the weights that it begins with, window by window. What it costs, forgetting, shows in the other domains.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..contracts import MisuseError
from ..surrogates._base import Data, Run
from ..surrogates._symmetry import with_images
from ._settings import Settings


@dataclass(frozen=True)
class Lesson:
    """Both stages of a training on some domains."""

    name: str
    """Empty for the first, as its folders are named by their stages alone."""
    run: Run
    """The training's run, with the data of this lesson."""
    judged: bool
    """Whether the read-out's weights are chosen on `valid`: not where few trajectories are all that may be seen."""

    def folder(self, stage: str) -> str:
        """Name of the folder of one of its stages."""
        return f"{self.name}-{stage}" if self.name else stage


def learned(settings: Settings) -> tuple[str, ...]:
    """Names of the domains that a jepa of these settings learns from."""
    return tuple(sorted({*settings.learn, *settings.few})) or settings.domains


def lessons(settings: Settings, run: Run) -> list[Lesson]:
    """The lessons of a run, one after the other, films with their images.

    Raises MisuseError when the run lacks a domain that is to be learned, or the trajectories that are to be shown of it.
    """
    full = settings.learn or (() if settings.few else tuple(run.domains))
    lacking = sorted({*full, *settings.few} - set(run.domains))
    if lacking:
        raise MisuseError(f"{run.name} learns {lacking[0]}; the data are of {', '.join(run.domains)} alone")
    asked = [("", {d: run.domains[d] for d in full}, True)] if full else []
    if settings.few:
        asked.append(("few", {d: _some(run.domains[d], settings.shots, d) for d in settings.few}, False))
    return [Lesson(name, _of(run, held), judged) for name, held, judged in asked]


def _some(data: Data, shots: int, domain: str) -> Data:
    """The first trajectories of the split train alone."""
    there = data.train.scene.n_scenes
    if shots > there:
        raise MisuseError(f"{shots} trajectories of {domain} are to be shown; its split train has {there}")
    return dataclasses.replace(data, train=data.train.select(list(range(shots))))


def _of(run: Run, held: dict[str, Data]) -> Run:
    return dataclasses.replace(
        run, domains={d: dataclasses.replace(data, train=with_images(data.train)) for d, data in held.items()}
    )
