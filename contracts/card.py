"""ModelCard: what a contestant is, its three factors first. A model without a card is not scored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import MisuseError


def knows(domains: Sequence[str], domain: str) -> bool:
    """Whether what states these domains (a card, a model's file, a metric) knows a kind of physics; "*" knows all.

    Of names joined by "+", as a training over several domains has them, it has to know every one.
    """
    return "*" in domains or all(part in domains for part in domain.split("+"))


KINDS = ("reference", "ladder", "baseline", "specialist", "generalist", "hybrid")


@dataclass(frozen=True)
class ModelCard:
    """Objective, learning algorithm and architecture, then everything needed to compare two contestants fairly."""

    name: str
    kind: str
    """One of KINDS."""
    objective: str
    """What is optimised, e.g. "next-step acceleration, mean squared error"; "none" for a solver."""
    learning_algorithm: str
    """How it is optimised, e.g. "Adam"; "least squares"; "none"."""
    architecture: str
    """What carries the prediction, e.g. "encode-process-decode graph network"."""
    domains: tuple[str, ...]
    """Kinds of physics it can continue; ("*",) for all."""
    history: int = 1
    """Frames of the past that it reads; the contract test holds it to that."""
    parameters: int = 0
    """Number of learned parameters."""
    bytes: int = 0
    """Bytes of the learned parameters as stored."""
    seed: int | None = None
    """Training seed; None when nothing is drawn."""
    training_data: str | None = None
    """SHA-256 of the manifest it was trained on."""
    learned: tuple[str, ...] = ()
    """Domains that it was trained on; empty where nothing was, and on cards of before this was noted. Of other domains that a
    training was given, it measured units alone."""
    shots: Mapping[str, int] = field(default_factory=dict)
    """By domain, how many training trajectories it saw where those were only some, after or without learning others."""
    training_steps: int = 0
    training_device_seconds: float = 0.0
    """Device time that training took [s]; on a CPU, core-seconds."""
    tuning_device_seconds: float | None = None
    """Device time of all trainings that chose its settings [s]; None where its makers did not record it."""
    batch_size: int | None = None
    """Windows of each domain in a training step; None where there are no steps, and on cards of before this was noted."""
    learning_rate: float | None = None
    """Highest learning rate; None as above."""
    tuning: str = ""
    """How batch size and learning rate were chosen by measurement; empty for those of its preset."""
    oracle: bool = False
    """True when it uses parameters that the split hides."""
    size_of: str = ""
    """Of a model that is another in a different size: that one's name; empty for the model itself."""
    equal: str = ""
    """What such a model has equal to the one that it is a size of: "data" (as many steps) or "compute" (as long a training)."""
    collapsed: bool = False
    """True when its latents collapsed in training: it is kept off the board."""
    health: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of latents, by domain: deviation, effective_rank, rank_share, prediction (prediction error over persistence error)."""
    baseline: str = ""
    """What a prediction is a residual to, where it is one, e.g. "persistence"."""
    licence: str = "Apache-2.0"
    source: str = ""
    """Paper or reference the method comes from."""
    notes: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MisuseError(f"card kind {self.kind!r} is unknown; one of {', '.join(KINDS)} is right")
        if not self.name:
            raise MisuseError("a card needs a name")
        if self.history < 1:
            raise MisuseError(f"card {self.name}: history is {self.history} frames; it must be at least 1")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        health = {domain: dict(figures) for domain, figures in self.health.items()}
        listed = {"domains": list(self.domains), "learned": list(self.learned)}
        return {**plain, **listed, "shots": {**self.shots}, "health": health}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ModelCard:
        """Inverse of `to_dict`; raises MisuseError when a field is unknown or missing."""
        known = {f.name for f in dataclasses.fields(ModelCard)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise MisuseError(f"model card has unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
        for name, value in data.items():
            if not _IS[name](value):
                raise MisuseError(f"model card: {name} is {value!r}; {_RIGHT[_IS[name]]} is right")
        try:
            lists: dict[str, Any] = {
                name: tuple(data[name]) for name in ("domains", "learned") if name == "domains" or name in data
            }
            return ModelCard(**{**data, **lists})
        except (TypeError, KeyError) as error:
            raise MisuseError(f"model card is incomplete: {error}") from error


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _amount(value: Any) -> bool:
    return _seconds(value)


def _by_domain(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_text(k) and _count(v) for k, v in value.items())


def _figures(value: Any) -> bool:
    """Figures by name, by domain; one that was not finite is null."""
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        return False
    return all(v is None or type(v) in (int, float) for held in value.values() for v in held.values())


def _maybe(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def allowed(value: Any) -> bool:
        return value is None or kind(value)

    _RIGHT[allowed] = f"{_RIGHT[kind]} or nothing"
    return allowed


_RIGHT: dict[Callable[[Any], bool], str] = {
    _text: "a text",
    _texts: "a list of texts",
    _count: "a whole number (no negative numbers)",
    _flag: "true or false",
    _seconds: "a time in seconds",
    _amount: "a number (no negative numbers)",
    _by_domain: "a whole number for each domain",
    _figures: "figures by name, by domain",
}
_IS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("domains", "learned"), _texts),
    **dict.fromkeys(("history", "parameters", "bytes", "training_steps"), _count),
    "batch_size": _maybe(_count),
    "learning_rate": _maybe(_amount),
    **dict.fromkeys(("oracle", "collapsed"), _flag),
    "seed": _maybe(_count),
    "training_data": _maybe(_text),
    "training_device_seconds": _seconds,
    "tuning_device_seconds": _maybe(_seconds),
    "shots": _by_domain,
    "health": _figures,
    **dict.fromkeys(
        ("name", "kind", "objective", "learning_algorithm", "architecture", "size_of", "equal", "baseline"), _text
    ),
    **dict.fromkeys(("licence", "source", "notes", "tuning"), _text),
}
"""What each field of a card that comes from a file may be."""
