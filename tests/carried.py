"""Reference arrays of the simulators for a machine that has no CPU to make them on: python -m tests.carried DIR [SEED]

Writes, of each domain, a start and what the reference on this machine's CPU makes of it, as films. `tests/test_cuda.py` holds a GPU
to them where the variable CARRIED names DIR; the seed is fresh unless one is given, and stands in the folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from hedgefox.contracts import Trajectory, registry, stack
from hedgefox.datasets import read, save

DOMAINS = ("fluid", "cloth", "rigid")
FRAMES, PAST, SCENES = 5, 3, 2


def made(domain: str, seed: int) -> tuple[Trajectory, Trajectory]:
    """A past of some fresh scenes, and the reference's continuation on the CPU."""
    kind = registry.domain(domain)
    recipe = kind.recipe("xs")
    starts = stack([kind.sample_start(recipe, "train", k, seed) for k in range(SCENES)])
    solver = kind.reference(recipe)
    past = solver.rollout(starts, PAST)
    return past, solver.rollout(past, FRAMES)


def write(folder: Path, seed: int) -> None:
    """All domains into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        past, truth = made(domain, seed)
        save(past, folder / f"{domain}-past.h5")
        save(truth, folder / f"{domain}-truth.h5")
    (folder / "seed.json").write_text(json.dumps({"seed": seed}))


def carried(domain: str, seed: int) -> tuple[Trajectory, Trajectory]:
    """Those that the variable CARRIED names, else made here."""
    folder = os.environ.get("CARRIED")
    if not folder:
        return made(domain, seed)
    return read(Path(folder) / f"{domain}-past.h5", own=True), read(Path(folder) / f"{domain}-truth.h5", own=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big"))
