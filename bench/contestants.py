"""Who competes on a domain: the reference, its ladder, and every surrogate that knows the kind of physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import Domain, MisuseError, Model, Recipe, Track, registry
from ..contracts.card import knows

REFERENCE = "reference"
"""Name under which the reference simulator is asked for."""


@dataclass(frozen=True)
class Contestant:
    """A model and the training seed that made it (None when nothing is drawn)."""

    model: Model
    seed: int | None = None

    @property
    def name(self) -> str:
        """The name on its card."""
        return self.model.card.name

    @property
    def key(self) -> str:
        """Name and seed, unique within a domain."""
        return self.name if self.seed is None else f"{self.name}#{self.seed}"


def surrogate_names(domain: str, track: Track | None = None) -> list[str]:
    """Full names of the surrogates that compete on a track and whose file says that they know this kind of physics.

    Without a track, of all files and variants. Raises MisuseError for a name of the track's that does not exist.
    """
    plain = registry.model_names()
    if track is None:
        competing = [full for name in plain for full in (name, *_surrogates().variants(name))]
    else:
        named = track.only or (*(name for name in plain if name not in track.without), *track.variants)
        competing = list(dict.fromkeys(named))
    return [name for name in competing if knows(registry.model(name).DOMAINS, domain)]


def spread(names: list[str], number: int) -> list[str]:
    """`number` of the names, spread evenly from first to last: the middle one if only one is asked for."""
    if number >= len(names):
        return names
    if number < 2:
        return [names[len(names) // 2]][:number]
    return [names[round(k * (len(names) - 1) / (number - 1))] for k in range(number)]


def resolve(spec: str, domain: Domain, recipe: Recipe, *, size: str, device: str, seed: int = 0) -> Contestant:
    """A contestant from what a user typed: "reference", a rung of the ladder, a surrogate that needs no training, a folder.

    Raises MisuseError naming what exists, or saying that the model must be trained first.
    """
    if spec == REFERENCE or spec == domain.reference(recipe, device).card.name:
        return Contestant(domain.reference(recipe, device))
    if Path(spec).is_dir():
        model = _surrogates().load(Path(spec), device)
        return Contestant(model, model.card.seed)
    ladder: Mapping[str, Model] = domain.ladder(recipe, device)
    if spec in ladder:
        return Contestant(ladder[spec])
    known = surrogate_names(domain.name)
    if spec not in known:
        choices = ", ".join([REFERENCE, *ladder, *known])
        raise MisuseError(
            f"unknown model {spec!r} for {domain.name}; one of {choices}, or a folder of weights, is right"
        )
    if _surrogates().trainable(spec):
        raise MisuseError(f"model {spec!r} must be trained first; give the folder that `hedgefox train` wrote")
    return Contestant(_surrogates().create(spec, domain.name, size=size, seed=seed))


def _surrogates() -> Any:
    from .. import surrogates

    return surrogates
