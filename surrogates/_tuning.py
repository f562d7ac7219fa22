"""One trial of a tuning: a short training with one batch size and one learning rate, and what its rollouts on `valid` are worth.

Judged as trainings keep weights: position error of rollouts on `valid` as a share of constant velocity's, averaged over domains
(`_training.Panel`). A trial that cannot be ranked is a result like the others: its loss ceased to be finite, its latents collapsed,
its batch did not fit into the device's memory.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ._base import Run, Surrogate
from ._store import learn
from ._training import CHECKPOINT, LOG, RATIO, Panel, Plan, TrainingFailed, one_thread

FINISHED, DIVERGED, COLLAPSED, TOO_LARGE = "finished", "diverged", "collapsed", "out of memory"
MARKS = 4
"""Rollouts on `valid` in a trial of a fixed time. As many as a training has would take most of a tenth of its time."""
OUTCOMES = (FINISHED, DIVERGED, COLLAPSED, TOO_LARGE)


@dataclass(frozen=True)
class Trial:
    """What came of one pair of settings."""

    batch_size: int
    """Windows of each domain in a step."""
    learning_rate: float
    outcome: str
    """One of OUTCOMES; what is not finished is not ranked."""
    error: float | None = None
    """Rollout error on `valid` over constant velocity's; None where there was nothing to judge."""
    steps: int = 0
    """Optimiser steps that were made; of a trial that broke off, unknown and 0."""
    device_seconds: float = 0.0
    """Device time that it took [s], of a CPU core-seconds."""
    steps_per_second: float | None = None
    """Median between looks at the losses; of several stages the first."""
    windows_per_second: float | None = None
    """Training windows read in that time, of all domains."""
    note: str = ""
    """Why it was not ranked."""


def trial(run: Run) -> Trial:
    """Train for the run's track with the run's settings, and judge what came of it. An interrupted trial resumes.

    Leaves the log in `run.out`, but neither weights nor checkpoints. Raises TimeUp, with a checkpoint, at the run's deadline.
    """
    began = run.clock()
    asked: dict[str, Any] = {name: run.settings[name] for name in ("batch_size", "learning_rate")}
    try:
        model = learn(dataclasses.replace(run, marks=MARKS))
        found = _judged(model, run)
    except TrainingFailed as failed:
        found = {"outcome": DIVERGED, "note": str(failed), "device_seconds": run.clock() - began}
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        found = {"outcome": TOO_LARGE, "note": "the batch did not fit", "device_seconds": run.clock() - began}
    for path in [p for name in ("weights.safetensors", "model.json", CHECKPOINT) for p in run.out.rglob(name)]:
        path.unlink()
    return Trial(**asked, **found)


def _judged(model: Surrogate[Any], run: Run) -> dict[str, Any]:
    """What a finished training is worth, and how fast it was."""
    card = model.card
    panel = Panel({name: data.valid for name, data in run.domains.items()}, card.history, Plan(0, 0, 0.0))
    with one_thread(), torch.no_grad():
        error = float(panel.entry(model)[RATIO])
    pace = _steps_per_second(run.out)
    size = int(model.settings["batch_size"])  # type: ignore[arg-type]
    return {
        "outcome": COLLAPSED if card.collapsed else FINISHED,
        "note": "its latents carry nothing" if card.collapsed else "",
        "error": error,
        "steps": card.training_steps,
        "device_seconds": card.training_device_seconds,
        "steps_per_second": pace,
        "windows_per_second": None if pace is None else pace * size * len(run.domains),
    }


def _steps_per_second(folder: Path) -> float | None:
    """Median of what the first stage's log says; None where it was too short for a look."""
    for path in sorted(folder.rglob(LOG)):
        said = [json.loads(line).get("steps_per_second") for line in path.read_text(encoding="utf-8").splitlines()]
        return statistics.median([s for s in said if s is not None] or [0.0]) or None
    return None
