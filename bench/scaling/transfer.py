"""Transfer and breadth: one network trained on several sets of domains, and what that does to each domain.

    matrix    error / constant velocity's, by what was learned (rows) and in which domain (columns)
    breadth   the same, by how many domains were learned, in domains that are among them
    few       error with a few trajectories after learning other domains / error with the same few alone

Contestants belong together when architecture and objective on their cards are the same; what each learned its card says as well
(`learned`, and `shots` where of a domain only some trajectories were seen). Of a domain that is not among them a contestant was
told units alone: what it errs there is a measurement, not a failure. Intervals are bootstraps over scenes, the same for all
contestants of a domain, and over training seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import ModelCard
from ..reduce import DRAWS
from .by_scene import FRAME, METRIC, SPLIT, Resampled, Scenes, Who, interval, read

RIVAL = "constant_velocity"
"""Whose error is the unit, so that domains can stand beside each other."""

NETWORKS = ("specialist", "generalist")
"""Kinds of contestants that are asked what they learned; baselines are fitted for each domain by themselves."""


@dataclass(frozen=True)
class Lot:
    """One network after one choice of what to learn, in all domains that it was scored in."""

    model: str
    learned: tuple[str, ...]
    shots: tuple[tuple[str, int], ...]
    domains: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"model": self.model, "learned": list(self.learned), "shots": dict(self.shots)}


def survey(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """`matrix`, `breadth` and `few` of the records under a folder; empty where no network learned several sets of domains."""
    found: dict[str, list[dict[str, Any]]] = {"matrix": [], "breadth": [], "few": []}
    for scenes in read(folder):
        for name, rows in transfer(scenes).items():
            found[name] += rows
    return found


def transfer(scenes: Scenes, *, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The three tables of one track.

    Rows of `matrix`: model, learned, shots, `errors` by domain; of `breadth`: domain, `breadth`, models, `error`; of `few`:
    domain, shots, few, scratch, and `ratio`. Errors and ratios are value, low, high; errors over constant velocity's.
    """
    drawn = Resampled(scenes.errors, DRAWS, seed)
    made: dict[str, list[dict[str, Any]]] = {"matrix": [], "breadth": [], "few": []}
    for lots in networks(scenes):
        made["matrix"] += [{**lot.to_dict(), "errors": _errors(drawn, lot)} for lot in lots]
        made["breadth"] += _breadth(drawn, lots)
        made["few"] += _few(drawn, lots)
    said = {"track": scenes.track, "metric": METRIC, "frame": FRAME, "split": SPLIT}
    return {name: [{**said, **row} for row in rows] for name, rows in made.items()}


def networks(scenes: Scenes) -> list[list[Lot]]:
    """Contestants that differ in what they learned alone, by network; only networks that learned at least two sets of domains."""
    found: dict[tuple[str, str], dict[Lot, list[str]]] = {}
    for (domain, name), card in scenes.cards.items():
        known = {(domain, name), (domain, RIVAL)} <= set(scenes.errors)
        if known and card.learned and not card.size_of and card.kind in NETWORKS:
            key = Lot(name, card.learned, tuple(sorted(card.shots.items())), ())
            found.setdefault(_network(card), {}).setdefault(key, []).append(domain)
    every = [
        sorted((Lot(k.model, k.learned, k.shots, tuple(d)) for k, d in lots.items()), key=_order)
        for lots in found.values()
    ]
    return [lots for lots in every if len({lot.learned for lot in lots if not lot.shots}) > 1]


def _network(card: ModelCard) -> tuple[str, str]:
    return card.architecture, card.objective


def _order(lot: Lot) -> tuple[Any, ...]:
    return bool(lot.shots), len(lot.learned), lot.learned, lot.model


def _errors(drawn: Resampled, lot: Lot) -> dict[str, dict[str, float]]:
    return {domain: _ratio(drawn, [(domain, lot.model)], [(domain, RIVAL)]) for domain in lot.domains}


def _ratio(drawn: Resampled, over: Sequence[Who], under: Sequence[Who]) -> dict[str, float]:
    """Mean error of some contestants over that of others, with its interval."""
    value = float(np.mean([drawn.mean(who) for who in over]) / np.mean([drawn.mean(who) for who in under]))
    above, below = (np.mean([drawn.means(who) for who in side], axis=0) for side in (over, under))
    return {"value": value, **interval(above / below)}


def _breadth(drawn: Resampled, lots: Sequence[Lot]) -> list[dict[str, Any]]:
    """Of several contestants of one breadth, such as the two pairs that a domain is in, the mean."""
    whole = [lot for lot in lots if not lot.shots]
    made = []
    for domain in dict.fromkeys(d for lot in whole for d in lot.domains):
        knowing = [lot for lot in whole if domain in lot.learned and domain in lot.domains]
        for breadth in sorted({len(lot.learned) for lot in knowing}):
            models = [lot.model for lot in knowing if len(lot.learned) == breadth]
            error = _ratio(drawn, [(domain, model) for model in models], [(domain, RIVAL)])
            made.append({"domain": domain, "breadth": breadth, "models": models, "error": error})
    return made


def _few(drawn: Resampled, lots: Sequence[Lot]) -> list[dict[str, Any]]:
    """Below one, what was learned before was worth something."""
    return [
        {
            "domain": domain,
            "shots": shots,
            "few": few.to_dict(),
            "scratch": scratch.model,
            "ratio": _ratio(drawn, [(domain, few.model)], [(domain, scratch.model)]),
        }
        for domain, shots, few, scratch in _pairs(lots)
    ]


def _pairs(lots: Sequence[Lot]) -> Iterator[tuple[str, int, Lot, Lot]]:
    """Domain, shots, who learned others before, and who did not."""
    for scratch in lots:
        if len(scratch.shots) != 1 or scratch.learned != (scratch.shots[0][0],):
            continue
        domain, shots = scratch.shots[0]
        for few in lots:
            both = domain in few.domains and domain in scratch.domains
            if both and few.shots == scratch.shots and len(few.learned) > 1:
                yield domain, shots, few, scratch
