"""Writers of other people's layouts, after their documentation and readers and with nothing of hedgefox."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


# -- TFRecord and protocol buffers, bit by bit -------------------------------------------------------------------------


def castagnoli(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def mask(crc: int) -> int:
    turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return (turned + 0xA282EAD8) % (1 << 32)


def frame(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    checks = [struct.pack("<I", mask(castagnoli(part))) for part in (length, payload)]
    return length + checks[0] + payload + checks[1]


def varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def bytes_feature(*texts: bytes) -> bytes:
    return field(1, b"".join(field(1, text) for text in texts))


def int_feature(*values: int) -> bytes:
    return field(3, field(1, b"".join(varint(value) for value in values)))


def features(entries: Mapping[str, bytes]) -> bytes:
    return b"".join(field(1, field(1, name.encode()) + field(2, value)) for name, value in entries.items())


def sequence_example(context: Mapping[str, bytes], lists: Mapping[str, Sequence[bytes]]) -> bytes:
    steps = {name: b"".join(field(1, step) for step in each) for name, each in lists.items()}
    return field(1, features(context)) + field(2, features(steps))


def example(entries: Mapping[str, bytes]) -> bytes:
    return field(1, features(entries))


# -- motion ------------------------------------------------------------------------------------------------------------


def lattice(count: int, dim: int, low: float, high: float) -> Array:
    """`count`^dim points."""
    axis = low + (high - low) * (np.arange(count) + 0.5) / count
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1).reshape(-1, dim)


def swirl(frames: int, dim: int = 2, count: int = 5, seed: int = 0) -> Array:
    """Particles in a box from 0 to 1, going around its sides: (T, N, dim) float32, wrapped."""
    rng = np.random.default_rng(seed)
    start = lattice(count, dim, 0.0, 1.0)
    speed = 0.03 * np.sin(2 * np.pi * start[:, ::-1]) + 0.02 + 0.002 * rng.standard_normal(start.shape)
    return np.mod(start + np.arange(frames)[:, None, None] * speed, 1.0).astype(np.float32)


def falling(frames: int, dim: int = 2, count: int = 4, seed: int = 0) -> Array:
    """Particles that fall from rest, (T, N, dim) float32."""
    rng = np.random.default_rng(seed)
    start = lattice(count, dim, 0.3, 0.7) + 0.01 * rng.standard_normal((count**dim, dim))
    fall = np.zeros(dim)
    fall[1] = -1e-4
    return (start + 0.5 * np.arange(frames)[:, None, None] ** 2 * fall).astype(np.float32)


# -- LagrangeBench -----------------------------------------------------------------------------------------------------

LAGRANGEBENCH: dict[str, Any] = {
    "case": "LDC", "solver": "SPH", "dim": 2, "dx": 0.2, "dt": 0.0004, "t_end": 5.0, "viscosity": 0.01, "write_every": 100,
    "sequence_length_train": 39, "num_trajs_train": 2, "sequence_length_test": 59, "num_trajs_test": 1, "num_particles_max": 25,
    "periodic_boundary_conditions": [True, True, True], "bounds": [[0.0, 1.0], [0.0, 1.0]],
    "default_connectivity_radius": 0.29, "vel_mean": [0.02, 0.02], "vel_std": [0.02, 0.02], "acc_mean": [0.0, 0.0],
    "acc_std": [1.0, 1.0],
}  # fmt: skip


def lagrangebench(
    folder: Path, films: Mapping[str, Sequence[tuple[Array, Array]]], metadata: Mapping[str, Any] | None = None
) -> Path:
    """A folder of films (position, particle_type) by split; position is stored with gzip, as the suite's own writer does."""
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps({**LAGRANGEBENCH, **(metadata or {})}))
    for split, each in films.items():
        with h5py.File(folder / f"{split}.h5", "w") as file:
            for number, (position, kind) in enumerate(each):
                file.create_dataset(f"{number:05d}/particle_type", data=kind)
                file.create_dataset(f"{number:05d}/position", data=position, dtype=np.float32, compression="gzip")
    return folder


def lid_driven(folder: Path, frames: int = 40) -> Path:
    """A small periodic set with a still and a moving wall, in three splits; test films make two pieces of 26 frames."""
    kind = np.zeros(25, dtype=np.int64)
    kind[:3], kind[20:] = 1, 2
    films = {}
    for split, seed, length in (("train", 0, frames), ("valid", 2, 60), ("test", 4, 60)):
        films[split] = [(still(swirl(length, seed=seed + k), kind), kind) for k in range(2 if split == "train" else 1)]
    return lagrangebench(folder, films)


def still(position: Array, kind: Array) -> Array:
    """The same film, its solid walls at rest."""
    out = position.copy()
    out[:, kind == 1] = out[:1, kind == 1]
    return out


# -- DeepMind's particles ----------------------------------------------------------------------------------------------

GNS: dict[str, Any] = {
    "bounds": [[0.1, 0.9], [0.1, 0.9]], "sequence_length": 20, "default_connectivity_radius": 0.15, "dim": 2, "dt": 0.0025,
    "vel_mean": [0.0, -0.001], "vel_std": [0.001, 0.001], "acc_mean": [0.0, -0.0001], "acc_std": [0.0001, 0.0001],
}  # fmt: skip


def gns_example(position: Array, kind: Array, key: int, context: Array | None = None) -> bytes:
    lists = {"position": [bytes_feature(step.astype("<f4").tobytes()) for step in position]}
    if context is not None:
        lists["step_context"] = [bytes_feature(step.astype("<f4").tobytes()) for step in context]
    head = {"key": int_feature(key), "particle_type": bytes_feature(kind.astype("<i8").tobytes())}
    return sequence_example(head, lists)


def gns(
    folder: Path, films: Mapping[str, Sequence[tuple[Array, Array]]], metadata: Mapping[str, Any] | None = None
) -> Path:
    """A folder of films (position, particle_type) by split."""
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps({**GNS, **(metadata or {})}))
    for split, each in films.items():
        whole = b"".join(frame(gns_example(position, kind, key)) for key, (position, kind) in enumerate(each))
        (folder / f"{split}.tfrecord").write_bytes(whole)
    return folder


def water_drop(folder: Path) -> Path:
    """A small set of water with a wall, in three splits; films of 21 frames and unlike numbers of particles."""
    films = {}
    for split, seed, counts in (("train", 0, (4, 3)), ("valid", 2, (4,)), ("test", 4, (3, 4))):
        films[split] = [(falling(21, count=n, seed=seed + n), water(n * n)) for n in counts]
    return gns(folder, films)


def water(nodes: int) -> Array:
    """Types of particles: water, the last two a wall."""
    kind = np.full(nodes, 5, dtype=np.int64)
    kind[-2:] = 3
    return kind
