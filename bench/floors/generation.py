"""Data generation: a small fluid data set from its recipe to verified shards on disk.

Bytes: those of the simulator's substeps (fluid.py) for every frame and the substeps that relax a start, and every byte on disk
written once and read once, for it is hashed. Operations: those of the substeps. What is left above the floor and above the
simulator itself is sampling, writing, hashing and checking.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

from ...contracts import Track, track
from ...datasets import generate, load
from ...simulators.fluid import DOMAIN
from ._path import Asked, HotPath
from .fluid import pair_operations, pairs, particle_bytes


def paths(asked: Asked) -> list[HotPath]:
    """A few small scenes of fluid; many on a GPU."""
    number = asked.size(2, 4, 64)
    size = "xs" if asked.quick or not asked.cuda else "s"
    chosen = dataclasses.replace(track("smoke"), size=size, trajectories={"train": number})
    held = _made(chosen, asked)
    film = load(held / DOMAIN.name, "train")
    written = sum(p.stat().st_size for p in held.rglob("*") if p.is_file())
    shutil.rmtree(held)
    solver = DOMAIN.reference(DOMAIN.recipe(size)).solver
    substeps = (film.n_frames - 1) * solver.settings.substeps + solver.settings.relaxation_steps
    particles = film.scene.n_nodes * substeps
    met = substeps * pairs(solver, film.position[0], film.scene.scene_ptr)
    moved = particles * particle_bytes(film.scene.dim) + 2 * written
    about = f"{number} fluid trajectories of size {size}, {film.n_frames} frames, {written} B on disk"
    operations = float(met * pair_operations(film.scene.dim))

    def make() -> None:
        shutil.rmtree(_made(chosen, asked))

    frames = float(number * film.n_frames)
    return [
        HotPath(
            "data generation", about, "scene-frames", frames, moved, operations, make, particles, "particle-substeps"
        )
    ]


def _made(chosen: Track, asked: Asked) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hedgefox-floors-"))
    generate(DOMAIN, chosen, folder, device=asked.device)
    return folder
