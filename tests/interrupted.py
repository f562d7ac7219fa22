"""Generate under attack, as a process of its own: python interrupted.py kill OUT KILLS SEED | full OUT

`kill`  kill -9 a generate at random moments, over and over, until KILLS have landed; print what came of it each time the
        data were complete, and of one that was left alone.
`full`  let the disk be full (no file may grow past a limit), then resume with the limit lifted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from hedgefox import datasets
from hedgefox.contracts import HedgefoxError, Recipe, Track, Trajectory
from hedgefox.contracts.track import smoke
from hedgefox.datasets import _plan
from hedgefox.tests.attacked import attacked
from hedgefox.tests.ballistic import Ballistic

TRACK: Track = dataclasses.replace(smoke(), trajectories={"train": 18, "valid": 2, "long": 1})


class Slow(Ballistic):
    """Ballistic, with time for a kill inside every group."""

    def simulate(
        self, recipe: Recipe, split: str, indices: Sequence[int], root_seed: int, device: str = "cpu", siblings: int = 1
    ) -> Trajectory:
        time.sleep(0.003)
        return super().simulate(recipe, split, indices, root_seed, device, siblings)


class Sleepy(Ballistic):
    """Ballistic, whose simulator takes a minute."""

    def simulate(
        self,
        recipe: Recipe,
        split: str,
        indices: Sequence[int],
        root_seed: int,
        device: str = "cpu",
        siblings: int = 1,
    ) -> Trajectory:
        print("at work", file=sys.stderr, flush=True)
        time.sleep(60)
        return super().simulate(recipe, split, indices, root_seed, device, siblings)


class Deadly(Ballistic):
    """Ballistic, whose simulator takes its process down with it."""

    def simulate(
        self, recipe: Recipe, split: str, indices: Sequence[int], root_seed: int, device: str = "cpu", siblings: int = 1
    ) -> Trajectory:
        os._exit(9)


def kill(out: Path, kills: int, seed: int) -> dict[str, object]:
    found = attacked(lambda: datasets.generate(Slow(), TRACK, out), digest, out, kills, seed, patience=0.6)
    return {**found, "problems": [str(p) for p in datasets.verify(out / "ballistic")]}


def digest(out: Path) -> dict[str, object]:
    folder = out / "ballistic"
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in ("costs.jsonl", ".lock")}
    return {
        "hash": datasets.manifest_hash(folder),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }


def full(out: Path) -> dict[str, object]:
    lifted = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, lifted[1]))
    try:
        datasets.generate(Slow(), TRACK, out)
        said = "nothing"
    except HedgefoxError as error:
        said = str(error)
    left = sorted(p.name for p in (out / "ballistic").iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, lifted)
    datasets.generate(Slow(), TRACK, out)
    return {"said": said, "left": left, "problems": [str(p) for p in datasets.verify(out / "ballistic")]}


def sleep(out: Path) -> None:
    # A shell that starts things in the background has them ignore interruptions.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Under its package's name, since that is where a worker finds it.
        from hedgefox.tests.interrupted import Sleepy as Named

        datasets.generate(Named(), TRACK, out, workers=2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)


def main() -> None:
    torch.set_num_threads(1)
    _plan.GROUPS_PER_SHARD = 1
    how, out = sys.argv[1], Path(sys.argv[2])
    if how == "sleep":
        sleep(out)
        return
    print(json.dumps(kill(out, int(sys.argv[3]), int(sys.argv[4])) if how == "kill" else full(out)))


if __name__ == "__main__":
    main()
