"""A training under attack, and in two processes: python trained.py kill MODEL OUT KILLS SEED; torchrun … trained.py many MODEL OUT

`kill`  kill -9 a training at random moments, over and over, until KILLS have landed, each time going on from what it left; print
        what came of it each time it was finished, and of one that was left alone.
`many`  be one of several processes of a training, and keep its weights.

Each attempt is a fork of this process, which has imported everything but trained nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hedgefox.contracts import Trajectory, track
from hedgefox.jepa import jepa
from hedgefox.surrogates import _processes, _specialist, _store, _training, gns
from hedgefox.surrogates._base import Data, Run
from hedgefox.tests import particles, sheets, solids
from hedgefox.tests.attacked import attacked

FILMS = {"particle_gnn": particles.film, "mesh_gnn": sheets.film, "rigid_gnn": solids.film}
OFTEN: dict[str, Any] = {
    "check_every": 2,
    "checkpoint_every": 2,
    "valid_every": 8,
    "valid_scenes": 2,
    "valid_frames": 4,
}
"""Many checkpoints, so that most kills land in or between them."""


def films(model: str) -> dict[str, Trajectory]:
    if model in FILMS:
        name = {"particle_gnn": "fluid", "mesh_gnn": "cloth", "rigid_gnn": "rigid"}[model]
        # Bodies have to meet: there is nothing to learn from free flight.
        return {name: FILMS[model](6, 40 if name == "rigid" else 12, extra_script=8)}
    return {"cloth": sheets.film(4, 12, extra_script=8), "fluid": particles.film(4, 12, extra_script=8)}


def settings(model: str) -> dict[str, Any]:
    return (
        {"stride": 2, "leaps": 2, "horizon": 6, "history": 3, "batch_size": 4} if model == "jepa" else {"batch_size": 4}
    )


def run_of(model: str, out: Path, steps: int, **more: Any) -> Run:
    held = {domain: Data(film, film, "0" * 64) for domain, film in films(model).items()}
    chosen = dataclasses.replace(track("smoke"), training_steps=steps)
    return Run(model, held, chosen, 0, out, settings={**settings(model), **more})


@contextmanager
def planned(**changes: Any) -> Iterator[None]:
    """Train by plans that are changed in this way."""
    fit, modules = _training.fit, (_specialist, gns, jepa)

    def changed(model: Any, run: Run, plan: _training.Plan) -> None:
        fit(model, run, dataclasses.replace(plan, **changes))

    for module in modules:
        module.fit = changed  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.fit = fit  # type: ignore[attr-defined]


def last_weights(model: str, out: Path, steps: int, **more: Any) -> Any:
    """A trained model with the weights of its last step, whatever its rollouts were worth."""
    with planned(judged=False):
        return _store.learn(run_of(model, out, steps, **more))


def digest(out: Path) -> dict[str, object]:
    """What must be the same: the weights, and the log and the card but for times."""
    described = json.loads((out / "model.json").read_text())
    card = {k: v for k, v in described["card"].items() if "seconds" not in k and k != "notes"}
    logs = [line for path in sorted(out.rglob("log.jsonl")) for line in path.read_text().splitlines()]
    told = [{k: v for k, v in json.loads(line).items() if k != "steps_per_second"} for line in logs]
    return {
        "weights": hashlib.sha256((out / "model.json").with_name("weights.safetensors").read_bytes()).hexdigest(),
        "rest": hashlib.sha256(json.dumps([card, told], sort_keys=True).encode()).hexdigest(),
    }


def kill(model: str, out: Path, kills: int, seed: int) -> dict[str, object]:
    run = run_of(model, out, steps=16)
    return attacked(lambda: _store.learn(run), digest, out, kills, seed, patience=0.5)


def many(model: str, out: Path) -> None:
    with _processes.together(torch.device("cpu")):
        last_weights(model, out, steps=12)


def main() -> None:
    torch.set_num_threads(1)
    how, model, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if how == "many":
        many(model, out)
        return
    with planned(**OFTEN):
        print(json.dumps(kill(model, out, int(sys.argv[4]), int(sys.argv[5]))))


if __name__ == "__main__":
    main()
