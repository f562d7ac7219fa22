"""A record put together from what was measured: the same form for a whole run, a score alone and a timing alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts import Domain, Track
from . import curves, environment
from . import record as records
from ._metric import every_metric
from .break_even import with_break_even
from .contestants import Contestant
from .equal_accuracy import with_equal_accuracy
from .score import Score
from .summary import summarise


def failure(stage: str, domain: str, error: str, **where: Any) -> dict[str, Any]:
    """One entry of a record's failures; `where` may say split, model and seed."""
    blank = {"split": None, "model": None, "seed": None}
    return {"stage": stage, "domain": domain, **blank, **where, "error": error[:500]}


def failures_of(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The failures among some scores."""
    lost = [s for s in scores if s.failure is not None]
    return [failure("score", s.domain, s.failure or "", split=s.split, model=s.model, seed=s.seed) for s in lost]


def write_record(
    folder: Path | None,
    *,
    track: Track,
    device: str,
    domains: Sequence[Domain],
    manifests: Mapping[str, str],
    contestants: Mapping[str, Sequence[Contestant]],
    scores: Sequence[Score],
    speed: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
    failures: Sequence[Mapping[str, Any]],
    probes: Sequence[Mapping[str, Any]] = (),
    data_seconds: Mapping[str, float] | None = None,
    floors: Mapping[str, Mapping[str, Any] | None] | None = None,
    round: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Build a record, write it and the curves into `folder` unless that is None, and return it.

    Mappings are by domain name; `manifests` lacks the domains whose data were not read from disk, `data_seconds` those of which it
    is not known what the training data took to simulate, `floors` those whose reference was not held against its refined run;
    `round` is the seal of a sealed round and what entered it.
    """
    cards = {(name, c.name): c.model.card.to_dict() for name, found in contestants.items() for c in found}
    timed = with_break_even(with_equal_accuracy(speed, scores, floors), cards, data_seconds or {})
    made = records.new(
        track=dataclasses.asdict(track),
        command=environment.command(),
        device=device,
        environment=environment.environment(device),
        versions=environment.versions(),
        metrics=[{"id": m.id, "unit": m.unit, "better": m.better, "domains": list(m.domains)} for m in every_metric()],
        domains=[
            _about(d, track, manifests.get(d.name), (data_seconds or {}).get(d.name), (floors or {}).get(d.name))
            for d in domains
        ],
        contestants=[
            {"domain": name, "seed": c.seed, "card": c.model.card.to_dict(), **c.about}
            for name, found in contestants.items()
            for c in found
        ],
        scores=[row for d in domains for row in _summary(d, contestants[d.name], scores)],
        speed=timed,
        probes=list(probes),
        stages=[{"name": n, "seconds": s, "budget": track.stage_budget.get(n)} for n, s in seconds.items()],
        failures=list(failures),
        round=None if round is None else dict(round),
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        curves.write(folder / records.CURVES, scores)
        records.write(folder, made)
    return made


def _summary(domain: Domain, contestants: Sequence[Contestant], scores: Sequence[Score]) -> list[dict[str, Any]]:
    kinds = {c.name: c.model.card.kind for c in contestants}
    return summarise([s for s in scores if s.domain == domain.name], kinds, every_metric(), domain.trust_threshold)


def _about(
    domain: Domain,
    track: Track,
    manifest: str | None,
    data_seconds: float | None,
    floor: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "name": domain.name,
        "generator_version": domain.version,
        "data_manifest": manifest,
        "training_data_seconds": data_seconds,
        "frame_interval": domain.frame_interval,
        "trust_threshold": domain.trust_threshold,
        "observable": domain.observable_name,
        "floor": floor,
        "recipe": dataclasses.asdict(domain.recipe(track.size)),
    }
