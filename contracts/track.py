"""Track: what a leaderboard fixes. Data, training budget, timing effort and machine class; presets are functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .errors import MisuseError


@dataclass(frozen=True)
class Track:
    """The fixed part of a competition: two results on one track are comparable."""

    name: str
    size: str
    """Scene size that each domain's `recipe` is asked for, and model size that each surrogate is built in."""
    machine: str
    """"cpu" or "cuda": the class of device that results are timed on."""
    trajectories: Mapping[str, int]
    """Number of trajectories of each split."""
    training_steps: int
    """Optimiser steps of a trained model. CPU tracks fix the steps, so that a run can be repeated exactly."""
    training_ceiling: float
    """Device time that the steps may take [s]; passing it is reported, never cut."""
    training_seeds: tuple[int, ...]
    timing_samples: int
    """Timing samples of each contestant."""
    timing_sample_seconds: float
    """A sample repeats the rollout until it takes at least this long [s]."""
    timing_batches: tuple[int, ...]
    """Batch sizes tried for throughput."""
    timed_rungs: int
    """How many rungs of each ladder are timed."""
    root_seed: int = 20260901
    stage_budget: Mapping[str, float] = field(default_factory=dict)
    """Seconds each stage of `hedgefox run` should take on 2 quiet CPU cores, all domains together."""
    variants: tuple[str, ...] = ()
    """Full names (FILE-VARIANT) of the variants that compete, besides the models under their plain names."""
    only: tuple[str, ...] = ()
    """When not empty, the full names of all learned models and baselines that compete; `variants` then adds none."""


def smoke() -> Track:
    """For CI: seconds a model on a CPU. Too small to rank anything."""
    return Track(
        name="smoke",
        size="xs",
        machine="cpu",
        trajectories={"train": 4, "valid": 2, "test": 2, "long": 1},
        training_steps=40,
        training_ceiling=30.0,
        training_seeds=(0,),
        timing_samples=2,
        timing_sample_seconds=0.0,
        timing_batches=(1, 2),
        timed_rungs=1,
        stage_budget={"generate": 10, "train": 10, "score": 15, "speed": 15},
    )


def quick() -> Track:
    """A newcomer's first run: three domains in about 6 minutes on 2 quiet CPU cores, at most 10 on busy ones."""
    return Track(
        name="quick",
        size="s",
        machine="cpu",
        trajectories={"train": 48, "valid": 8, "test": 32, "more": 8, "material": 8, "shape": 8, "long": 8},
        training_steps=1500,
        training_ceiling=120.0,
        training_seeds=(0,),
        timing_samples=4,
        timing_sample_seconds=0.1,
        timing_batches=(1, 4),
        timed_rungs=3,
        stage_budget={"generate": 60, "train": 130, "score": 120, "speed": 75},
    )


TRACKS: Mapping[str, Callable[[], Track]] = {"smoke": smoke, "quick": quick}


def track(name: str) -> Track:
    """A track by name; raises MisuseError naming those that exist."""
    if name not in TRACKS:
        raise MisuseError(f"unknown track {name!r}; one of {', '.join(TRACKS)} is right")
    return TRACKS[name]()
