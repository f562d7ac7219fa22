"""How fast windows are read, beside the floor, and what the layout of shards does to it: python -m hedgefox.bench.reading DATA

DATA is the folder of one domain's data set, whose split `train` is read. Two tables are printed, as Markdown:

windows   windows a second from device memory, from files in the system's cache, and from files dropped from it; beside each the
          floor: the bytes of a window's positions and velocities at the bandwidth of a plain copy, or of reading the same
          files from beginning to end.
layouts   the same arrays written in chunks of other sizes and with compression: windows a second, bytes on disk, time of writing
          and of reading everything.

Rounds go through all candidates in turn and medians are taken, so that ratios are within one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from .. import datasets
from ..contracts import Trajectory

LENGTH, BATCH = 6, 16
"""Frames of a window, as particle_gnn reads them, and windows of a batch."""
ROUNDS = 5
SECONDS = 0.4
"""Of each candidate in a round, at least."""
SCENES = 32
"""Trajectories that the layouts are written with, at most."""
FIELDS = ("position", "velocity")


@dataclass(frozen=True)
class Layout:
    """How an array (T, N, D) is stored."""

    chunk: int | None
    """Bytes of a chunk, rounded to whole frames; None for one chunk an array."""
    filters: Mapping[str, Any]
    """As h5py takes them."""
    name: str

    def rows(self, array: np.ndarray) -> int:
        """Frames of a chunk."""
        if self.chunk is None:
            return len(array)
        return min(len(array), max(1, self.chunk // (array.nbytes // len(array))))


KINDS: Sequence[tuple[str, dict[str, Any]]] = (
    ("none", {}),
    ("lzf", {"compression": "lzf", "shuffle": True}),
    ("gzip 1", {"compression": "gzip", "compression_opts": 1, "shuffle": True}),
)
LAYOUTS = [
    Layout(size, kind, f"{size >> 10} KiB, {name}" if size else f"whole, {name}")
    for size in (1 << 14, 1 << 16, 1 << 18, 1 << 19, None)
    for name, kind in KINDS
]
"""What is tried; the format's own is 512 KiB, none."""


@dataclass(frozen=True)
class Found:
    """Both tables."""

    about: str
    windows: list[dict[str, Any]]
    layouts: list[dict[str, Any]]


def measure(folder: Path, out: Path) -> Found:
    """Read a data set in all ways; what is written goes to `out`, and away. Raises MisuseError for what is no data set."""
    film = datasets.load(folder, "train")
    scene, nodes = film.scene, film.scene.n_nodes / film.scene.n_scenes
    shape = f"{scene.n_scenes} trajectories, {film.n_frames} frames, {nodes:.0f} nodes, {scene.dim}D"
    about = f"{scene.domain}: {shape}; windows of {LENGTH} frames, batches of {BATCH}"
    return Found(about, _windows(folder, film), _layouts(film, out))


def _windows(folder: Path, film: Trajectory) -> list[dict[str, Any]]:
    """From memory and from disk."""
    window_bytes = _window_bytes(film)
    files = sorted(folder.glob("train-*.h5"))
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rng = torch.Generator().manual_seed(0)
    with datasets.StoredWindows(folder, "train", LENGTH, hashed=False) as stored:
        ways: dict[str, Callable[[], float]] = {}
        floors: dict[str, Callable[[], float]] = {}
        for device in devices:
            held = datasets.Windows(film.to(device), LENGTH)
            ways[f"memory, {device}"] = lambda held=held: _rate(lambda: held.batch(rng, BATCH), device=held.film.device)  # type: ignore[misc]
            floors[f"memory, {device}"] = lambda device=device: _copied(device)  # type: ignore[misc]
        ways["disk, cached"] = lambda: _rate(lambda: stored.batch(rng, BATCH))
        floors["disk, cached"] = lambda: _read_through(files)
        ways["disk, dropped from the cache"] = lambda: _rate(
            lambda: stored.batch(rng, BATCH), before=lambda: _drop(files)
        )
        floors["disk, dropped from the cache"] = lambda: _read_through(files, drop=True)
        rates, bandwidths = _in_turn(ways), _in_turn(floors)
    return [
        {
            "from": name,
            "windows/s": rates[name],
            "floor [windows/s]": bandwidths[name] / window_bytes,
            "times the floor": bandwidths[name] / window_bytes / rates[name],
            "bandwidth [GB/s]": bandwidths[name] / 1e9,
        }
        for name in ways
    ]


def _in_turn(ways: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Median of each over rounds through all."""
    told: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            told[name].append(way())
    return {name: statistics.median(values) for name, values in told.items()}


def _rate(
    draw: Callable[[], object], before: Callable[[], None] | None = None, device: torch.device | None = None
) -> float:
    """Windows a second of a way to draw batches, what is done before each not counted."""
    spent, number = 0.0, 0
    while spent < SECONDS:
        if before is not None:
            before()
        start = time.perf_counter()
        draw()
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize()
        spent += time.perf_counter() - start
        number += BATCH
    return number / spent


def _window_bytes(film: Trajectory) -> float:
    total = sum(int(getattr(film, f).nbytes) for f in FIELDS)
    return total * LENGTH / film.n_frames / film.scene.n_scenes


def _copied(device: str) -> float:
    """Bytes a second that a copy within a device's memory moves."""
    block = torch.empty(1 << 26, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    start = time.perf_counter()
    target.copy_(block)
    if device != "cpu":
        torch.cuda.synchronize()
    return block.numel() / (time.perf_counter() - start)


def _read_through(files: Sequence[Path], drop: bool = False) -> float:
    """Bytes a second of reading files from beginning to end."""
    if drop:
        _drop(files)
    buffer, total, start = bytearray(1 << 20), 0, time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while got := file.readinto(buffer):
                total += got
    return total / (time.perf_counter() - start)


def _drop(files: Sequence[Path]) -> None:
    """Ask the system to forget files that it holds in memory."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


# Layouts


def _layouts(film: Trajectory, out: Path) -> list[dict[str, Any]]:
    parts = [film.select([b]) for b in range(min(SCENES, film.scene.n_scenes))]
    arrays = [{name: getattr(part, name).numpy() for name in FIELDS} for part in parts]
    raw = sum(x.nbytes for fields in arrays for x in fields.values())
    with tempfile.TemporaryDirectory(dir=out) as folder:
        paths = {layout.name: Path(folder) / f"{k}.h5" for k, layout in enumerate(LAYOUTS)}
        written = {layout.name: _write(paths[layout.name], arrays, layout) for layout in LAYOUTS}
        cached = _in_turn({name: lambda path=path: _drawn(path) for name, path in paths.items()})  # type: ignore[misc]
        dropped = _in_turn({name: lambda path=path: _drawn(path, drop=True) for name, path in paths.items()})  # type: ignore[misc]
        everything = _in_turn({name: lambda path=path: raw / _all_read(path) for name, path in paths.items()})  # type: ignore[misc]
        sizes = {name: path.stat().st_size / raw for name, path in paths.items()}
    return [
        {
            "chunk": layout.name,
            "frames a chunk": layout.rows(arrays[0]["position"]),
            "windows/s cached": cached[layout.name],
            "windows/s dropped": dropped[layout.name],
            "all [GB/s]": everything[layout.name] / 1e9,
            "written [GB/s]": raw / written[layout.name] / 1e9,
            "bytes over raw": sizes[layout.name],
        }
        for layout in LAYOUTS
    ]


def _write(path: Path, arrays: Sequence[Mapping[str, np.ndarray]], layout: Layout) -> float:
    """Write a file and force it to the disk; the seconds that takes."""
    start = time.perf_counter()
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for k, fields in enumerate(arrays):
            for name, array in fields.items():
                chunks = (layout.rows(array), *array.shape[1:])
                file.create_dataset(f"{k:06d}/{name}", data=array, chunks=chunks, fletcher32=True, **layout.filters)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start


def _drawn(path: Path, drop: bool = False) -> float:
    """Windows a second drawn at random from a file."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "r") as file:
        names = sorted(file)
        frames = len(file[names[0]]["position"])

        def batch() -> None:
            for name, start in zip(rng.choice(names, BATCH), rng.integers(0, frames - LENGTH + 1, BATCH), strict=True):
                for field in FIELDS:
                    file[name][field][start : start + LENGTH]

        return _rate(batch, before=(lambda: _drop([path])) if drop else None)


def _all_read(path: Path) -> float:
    """Seconds of reading every array of a file, from the cache."""
    start = time.perf_counter()
    with h5py.File(path, "r") as file:
        for name in file:
            for field in FIELDS:
                file[name][field][()]
    return time.perf_counter() - start


def text(found: Found) -> str:
    """Both tables as Markdown."""
    return f"{found.about}\n\n{_table(found.windows)}\n\n{_table(found.layouts)}\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*head, *("| " + " | ".join(map(_cell, row.values())) + " |" for row in rows)])


def _cell(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def main() -> None:
    """Measure and print."""
    import sys

    parser = argparse.ArgumentParser(description="How fast windows are read.")
    parser.add_argument("data", type=Path, help="folder of one domain's data set")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=asked.data.parent) as out:
        sys.stdout.write(text(measure(asked.data, Path(out))))


if __name__ == "__main__":
    main()
