"""Who competes on a domain: the reference, its ladder, every surrogate that knows the kind of physics, and what users enter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import Domain, MisuseError, Model, Recipe, Track, registry
from ..contracts.card import knows
from ..contracts.nearest import one_of
from ._hashes import folder_hash
from .entries import entry, given, predictions

REFERENCE = "reference"
"""Name under which the reference simulator is asked for."""


@dataclass(frozen=True)
class Contestant:
    """A model and the training seed that made it (None when nothing is drawn)."""

    model: Model
    seed: int | None = None
    source: Path | None = None
    """The user's own file that it was built from, if it was."""
    source_sha256: str | None = None
    """SHA-256 of that file's bytes."""
    weights_sha256: str | None = None
    """SHA-256 of the saved weights that it was read from, if it was."""
    exempt: tuple[str, ...] = ()
    """Checks of `check_model` that the file leaves out."""
    handed: bool = False
    """Whether it was given as an object."""

    @property
    def origin(self) -> Path | None:
        """Where a model that hedgefox has not made itself is written; None for the others."""
        return given.origin_of(self.model) if self.handed else self.source

    @property
    def name(self) -> str:
        """The name on its card."""
        return self.model.card.name

    @property
    def key(self) -> str:
        """Name and seed, unique within a domain."""
        return self.name if self.seed is None else f"{self.name}#{self.seed}"

    @property
    def about(self) -> Mapping[str, Any]:
        """What a record says of where it came from, beside its card."""
        hashes = {"source_sha256": self.source_sha256, "weights_sha256": self.weights_sha256}
        foretold = {"predictions": True} if isinstance(self.model, predictions.Predictions) else {}
        return {k: v for k, v in hashes.items() if v is not None} | foretold


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
    """A contestant from what a user typed: "reference", a rung of the ladder, a surrogate that needs no training, a folder of
    weights or of predictions, a Python file of the user's own.

    Raises MisuseError naming what exists, saying that the model must be trained first, or what is wrong with the file.
    """
    if spec.endswith(".py"):
        return _entered(Path(spec), domain, recipe, size, device, seed)
    if spec == REFERENCE or spec == domain.reference(recipe, device).card.name:
        return Contestant(domain.reference(recipe, device))
    if Path(spec).is_dir() and predictions.is_predictions(Path(spec)):
        foretold = predictions.load(Path(spec), domain.name)
        _require_new_name(spec, foretold.card.name, domain, recipe, device)
        return Contestant(foretold, foretold.card.seed)
    if Path(spec).is_dir():
        model = _surrogates().load(Path(spec), device)
        # The card lies in a file, which anybody may have edited.
        entry.require_card(Path(spec), model.card, domain.name)
        return Contestant(model, model.card.seed, weights_sha256=folder_hash(Path(spec)))
    ladder: Mapping[str, Model] = domain.ladder(recipe, device)
    if spec in ladder:
        return Contestant(ladder[spec])
    known = surrogate_names(domain.name)
    if spec not in known:
        files = ", a folder of weights or of predictions, or a Python file"
        if len(Path(spec).parts) > 1:
            raise MisuseError(f"{spec} is not right; it must be{files.removeprefix(',')} that is there")
        plain = [name for name in known if "-" not in name]
        choices = one_of(spec, [REFERENCE, *ladder, *plain], files, more=known)
        raise MisuseError(f"unknown model {spec!r} for {domain.name}; {choices}")
    if _surrogates().trainable(spec):
        raise MisuseError(f"model {spec!r} must be trained first; give the folder that `hedgefox train` wrote")
    return Contestant(_surrogates().create(spec, domain.name, size=size, seed=seed))


def handed_over(model: Model, domain: Domain, recipe: Recipe, device: str) -> Contestant:
    """A contestant from an object; raises MisuseError for one that says it is the simulator, or has the name of another's."""
    given.require_given(model, domain.name)
    if not given.is_own(model):
        _require_new_name(given.origin_of(model), model.card.name, domain, recipe, device)
    return Contestant(model, model.card.seed, handed=True)


def _entered(path: Path, domain: Domain, recipe: Recipe, size: str, device: str, seed: int) -> Contestant:
    """A contestant from a user's own file."""
    made = entry.load(path, domain.name, size=size, device=device, seed=seed)
    card = made.model.card
    _require_new_name(path, card.name, domain, recipe, device)
    return Contestant(made.model, card.seed, path, made.source_sha256, exempt=made.exempt)


def _require_new_name(origin: str | Path, name: str, domain: Domain, recipe: Recipe, device: str) -> None:
    """Two contestants of one name could not be told apart on a board."""
    taken = {REFERENCE, domain.reference(recipe, device).card.name, *domain.ladder(recipe, device)}
    if name in taken or name in surrogate_names(domain.name):
        raise MisuseError(
            f"{origin}: its card is named {name!r}, as a contestant of hedgefox is; change the card's name"
        )


def _surrogates() -> Any:
    from .. import surrogates

    return surrogates
