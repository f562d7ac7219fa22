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


# -- MeshGraphNets -----------------------------------------------------------------------------------------------------


def mesh_example(arrays: Mapping[str, Array]) -> bytes:
    return example({name: bytes_feature(np.ascontiguousarray(values).tobytes()) for name, values in arrays.items()})


def meshgraphnets(
    folder: Path, films: Mapping[str, Sequence[Mapping[str, Array]]], frames: int, dt: float = 0.02, **fields: Any
) -> Path:
    """A folder of films by split, each an array a field, float32 or int32; the first axis tells static fields from dynamic ones."""
    folder.mkdir(parents=True)
    first = next(iter(films.values()))[0]
    features = {
        name: {
            "type": "static" if len(values) == 1 else "dynamic",
            "shape": [len(values), -1, values.shape[-1]],
            "dtype": str(values.dtype),
        }
        for name, values in first.items()
    }
    meta = {"dt": dt, "trajectory_length": frames, "features": {**features, **fields}, "field_names": list(first)}
    (folder / "meta.json").write_text(json.dumps(meta))
    for split, each in films.items():
        (folder / f"{split}.tfrecord").write_bytes(b"".join(frame(mesh_example(film)) for film in each))
    return folder


def triangles(count: int) -> Array:
    """The cells of a square lattice of count × count nodes, (1, C, 3) int32."""
    at = np.arange(count * count).reshape(count, count)
    corners = [at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]]
    a, b, c, d = (x.ravel() for x in corners)
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])[None].astype(np.int32)


def flag_film(frames: int, count: int = 4, seed: int = 0) -> dict[str, Array]:
    """A sheet held at two corners that swings, as in flag_simple."""
    rng = np.random.default_rng(seed)
    mesh = lattice(count, 2, 0.0, 1.0).astype(np.float32)
    kind = np.zeros((1, count * count, 1), dtype=np.int32)
    kind[0, [0, count - 1], 0] = 3
    still = np.concatenate([mesh, np.zeros((len(mesh), 1))], 1)
    swing = 0.05 * np.sin(0.3 * np.arange(frames))[:, None, None] * (still + 0.1 * rng.standard_normal(still.shape))
    swing[:, [0, count - 1]] = 0
    return {
        "cells": triangles(count),
        "mesh_pos": mesh[None],
        "node_type": kind,
        "world_pos": (still + swing).astype(np.float32),
    }


def flag(folder: Path, frames: int = 14) -> Path:
    films = {split: [flag_film(frames, seed=k)] for k, split in enumerate(("train", "valid", "test"))}
    return meshgraphnets(folder, films, frames)


def cylinder_film(frames: int, count: int = 4) -> dict[str, Array]:
    """A flow on a mesh that stands still, as in cylinder_flow."""
    mesh = lattice(count, 2, 0.0, 1.0).astype(np.float32)
    kind = np.zeros((1, count * count, 1), dtype=np.int32)
    kind[0, :count, 0], kind[0, -count:, 0] = 4, 5
    velocity = np.sin(mesh + 0.1 * np.arange(frames)[:, None, None]).astype(np.float32)
    pressure = velocity.sum(-1, keepdims=True)
    return {
        "cells": triangles(count), "mesh_pos": mesh[None], "node_type": kind, "velocity": velocity, "pressure": pressure,
    }  # fmt: skip


# -- The Well ----------------------------------------------------------------------------------------------------------


def the_well(folder: Path, samples: int = 2, frames: int = 5, bc_type: str = "periodic") -> dict[str, Array]:
    """A set of one file a split; returns the arrays of `train` in full, the sample first."""
    rng = np.random.default_rng(0)
    full = {
        "density": rng.random((samples, frames, 4, 3)).astype("f4"),
        "mask": np.repeat(rng.random((1, 1, 4, 1)).astype("f4"), 3, axis=3),
        "velocity": rng.random((samples, frames, 4, 3, 2)).astype("f4"),
        "stress": rng.random((samples, frames, 4, 3, 2, 2)).astype("f4"),
    }
    for split in ("train", "test"):
        (folder / "data" / split).mkdir(parents=True)
        with h5py.File(folder / "data" / split / "one.hdf5", "w") as file:
            file.attrs.update(
                {"dataset_name": "small", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": samples}
            )
            file.attrs["simulation_parameters"] = ["Re"]
            file.attrs["Re"] = 100.0
            _dimensions(file, frames)
            walls = file.create_group("boundary_conditions/x")
            walls.attrs.update({"associated_dims": ["x"], "associated_fields": [], "bc_type": bc_type})
            scalars = file.create_group("scalars")
            scalars.attrs["field_names"] = ["Re"]
            scalars["Re"] = 100.0
            scalars["Re"].attrs.update({"sample_varying": False, "time_varying": False})
            _field(file, "t0_fields", "density", full["density"], [True, True])
            _field(file, "t0_fields", "mask", full["mask"][0, 0, :, 0], [True, False], varying=False)
            _field(file, "t1_fields", "velocity", full["velocity"], [True, True])
            _field(file, "t2_fields", "stress", full["stress"], [True, True])
    return full


def _dimensions(file: Any, frames: int) -> None:
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = ["x", "y"]
    for name, values in (("time", np.arange(frames) * 0.1), ("x", np.linspace(0, 1, 4)), ("y", np.linspace(0, 1, 3))):
        group[name] = values.astype("f4")
        group[name].attrs.update({"sample_varying": False, "time_varying": False})


def _field(file: Any, group: str, name: str, values: Array, dims: list[bool], varying: bool = True) -> None:
    fields = file.require_group(group)
    fields.attrs["field_names"] = [*fields.attrs.get("field_names", []), name]
    fields[name] = values
    fields[name].attrs.update({"sample_varying": varying, "time_varying": varying, "dim_varying": dims})
