"""The Well (Ohana et al. 2024, arXiv:2412.00568): fields on grids, fifteen terabytes of them.

    data/train/*.hdf5, data/valid/…, data/test/…      or the files of one split in one folder; stats.yaml beside data/
    /                 @dataset_name @grid_type @n_spatial_dims @n_trajectories @simulation_parameters, and each parameter
    /dimensions       @spatial_dims; time (T,) or (B, T); x, y, z, each @sample_varying
    /boundary_conditions/NAME   @bc_type PERIODIC | WALL | OPEN, in any case
    /scalars          @field_names; each @sample_varying @time_varying
    /t0_fields, /t1_fields, /t2_fields   @field_names; each @sample_varying @time_varying @dim_varying
                      [B][T] + the axes that vary + components: none, D, and D × D (or D·D in one)

A field on a grid is no Scene: no node moves, and there may be tensors on it. So these sets are read as arrays with their
coordinates, one trajectory at a time, and neither trained on nor scored. What is constant along samples, time or an axis is spread
out (a view, no copy), so that every field of a `Grid` is (T, X, Y[, Z][, components]).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ...contracts import MisuseError
from ._hdf5 import ARRAY_BYTES, opened

SPLITS = ("train", "valid", "test")
BOUNDARIES = ("PERIODIC", "WALL", "OPEN")
MAX_AXES = 3

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """One trajectory: fields over time on a grid."""

    time: Array
    """Instants, (T,)."""
    coordinates: dict[str, Array]
    """Places of the grid lines by axis, in the order of the fields' axes."""
    fields: dict[str, Array]
    """By name, (T, X, Y[, Z][, components])."""
    scalars: dict[str, Array]
    """By name, () or (T,)."""
    boundaries: dict[str, str]
    """Kind of each boundary by name: PERIODIC, WALL or OPEN."""


class TheWell:
    """One folder in The Well's layout. Raises MisuseError where there is no file of it."""

    layout = "the_well"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.splits = tuple(split for split in SPLITS if self.files(split))
        if not self.splits:
            raise MisuseError(f"{folder} holds no data/train, data/valid or data/test with HDF5 files")

    def files(self, split: str) -> list[Path]:
        """The files of a split, sorted."""
        within = self.folder / "data" / split
        return sorted([*within.glob("*.h5"), *within.glob("*.hdf5")])

    def trajectories(self, split: str, frames: slice = slice(None)) -> Iterator[Grid]:
        """The trajectories of a split, in the order of its files; of each only `frames` are read.

        Raises MisuseError for an unknown split and, naming file and array, for what is not in the layout.
        """
        if split not in self.splits:
            raise MisuseError(f"{self.folder} has no split {split!r}; it has {', '.join(self.splits)}")
        for path in self.files(split):
            with opened(path) as file:
                for sample in range(_count(file, path)):
                    try:
                        yield _grid(file, sample, frames)
                    except MisuseError as error:
                        raise MisuseError(f"{path}, trajectory {sample}: {error}") from error

    def described(self) -> dict[str, Any]:
        """What the set is, as plain data: for `hedgefox inspect`."""
        path = self.files(self.splits[0])[0]
        with opened(path) as file:
            names = {f"t{order}": _names(file, f"t{order}_fields") for order in range(3)}
            about = {k: _text(file.attrs.get(k, "")) for k in ("dataset_name", "grid_type")}
            spatial = {axis: int(file["dimensions"][axis].shape[-1]) for axis in _axes(file)}
            frames, scalars = int(file["dimensions"]["time"].shape[-1]), _names(file, "scalars")
            parameters = {k: _plain(file.attrs[k]) for k in _texts(file.attrs.get("simulation_parameters", []))}
            boundaries = _boundaries(file)
        return {
            "layout": self.layout,
            **about,
            "splits": {split: len(self.files(split)) for split in self.splits},
            "frames": frames,
            "grid": spatial,
            "fields": names,
            "scalars": scalars,
            "parameters of the first file": parameters,
            "boundaries": boundaries,
            "notes": ["numbers of splits are files", "fields on a grid are read as arrays: no Scene holds them"],
        }


def _count(file: Any, path: Path) -> int:
    found = file.attrs.get("n_trajectories")
    if found is None or np.ndim(found) != 0 or not 0 < int(found) < 1 << 32:
        raise MisuseError(f"{path}: @n_trajectories is {found!r}; a whole number above zero is right")
    return int(found)


def _grid(file: Any, sample: int, frames: slice) -> Grid:
    axes = _axes(file)
    dimensions = file["dimensions"]
    coordinates = {axis: _taken(dimensions[axis], sample, None, (None,)) for axis in axes}
    sizes = tuple(len(line) for line in coordinates.values())
    time = _taken(dimensions["time"], sample, None, (None,))[frames]
    fields = {}
    for order in range(3):
        for name in _names(file, f"t{order}_fields"):
            fields[name] = _field(file[f"t{order}_fields"], name, order, sample, frames, sizes, len(time))
    scalars = {name: _scalar(file["scalars"], name, sample, frames) for name in _names(file, "scalars")}
    return Grid(time, coordinates, fields, scalars, _boundaries(file))


def _field(
    group: Any, name: str, order: int, sample: int, frames: slice, sizes: tuple[int, ...], n_frames: int
) -> Array:
    data = _dataset(group, name)
    varies = np.atleast_1d(np.asarray(data.attrs.get("dim_varying", [True] * len(sizes)), dtype=bool))
    if varies.shape != (len(sizes),):
        raise MisuseError(f"{name}: @dim_varying has {varies.size} entries for {len(sizes)} axes")
    stored = tuple(size for size, there in zip(sizes, varies, strict=True) if there)
    found = _taken(data, sample, frames, None)
    timed = bool(data.attrs.get("time_varying", False))
    lead = found.shape[: 1 if timed else 0]
    rest = found.shape[len(lead) + len(stored) :]
    axes = len(sizes)
    components: list[list[tuple[int, ...]]] = [[()], [(axes,)], [(axes, axes), (axes**2,)]]
    if (
        found.shape[len(lead) : len(lead) + len(stored)] != stored
        or rest not in components[order]
        or (timed and lead != (n_frames,))
    ):
        raise MisuseError(f"{name} has shape {data.shape}, which is no t{order} field on a grid of {sizes}")
    spread = iter(stored)
    shape = (*(lead or (1,)), *(next(spread) if there else 1 for there in varies), *rest)
    return np.broadcast_to(found.reshape(shape), (n_frames, *sizes, *rest))


def _scalar(group: Any, name: str, sample: int, frames: slice) -> Array:
    found = _taken(_dataset(group, name), sample, frames, None)
    if found.ndim > 1:
        raise MisuseError(f"the scalar {name} has shape {found.shape}; () or (frames,) is right")
    return found


def _taken(data: Any, sample: int, frames: slice | None, shape: tuple[None, ...] | None) -> Array:
    """What a data set holds of one sample and of some frames."""
    index: tuple[Any, ...] = ()
    if bool(data.attrs.get("sample_varying", False)):
        if not data.shape or sample >= data.shape[0]:
            raise MisuseError(f"{data.name} has shape {data.shape}; there is no sample {sample}")
        index += (sample,)
    if frames is not None and bool(data.attrs.get("time_varying", False)):
        index += (frames,)
    if data.dtype.kind not in "fiu":
        raise MisuseError(f"{data.name} is of type {data.dtype}; numbers are right")
    if math.prod(data.shape[len(index) :]) * data.dtype.itemsize > ARRAY_BYTES:
        raise MisuseError(
            f"{data.name} takes more than {ARRAY_BYTES} bytes a frame or a trajectory; ask for fewer frames"
        )
    found = np.asarray(data[index])
    if shape is not None and (found.ndim != len(shape) or not found.size):
        raise MisuseError(f"{data.name} has shape {data.shape}; a row of numbers is right")
    return found


def _dataset(group: Any, name: str) -> Any:
    data = group.get(name)
    if not isinstance(data, h5py.Dataset):
        raise MisuseError(f"@field_names of {group.name} names {name!r}, which is not there")
    return data


def _axes(file: Any) -> list[str]:
    found = _texts(file["dimensions"].attrs.get("spatial_dims", []))
    if not 1 <= len(found) <= MAX_AXES or not all(isinstance(file["dimensions"].get(a), h5py.Dataset) for a in found):
        raise MisuseError(f"/dimensions@spatial_dims is {found}; 1 to {MAX_AXES} axes that are there are right")
    return found


def _names(file: Any, group: str) -> list[str]:
    return _texts(file[group].attrs.get("field_names", [])) if group in file else []


def _boundaries(file: Any) -> dict[str, str]:
    found = {}
    for name, group in file.get("boundary_conditions", {}).items():
        kind = _text(group.attrs.get("bc_type", "")).upper()
        if kind not in BOUNDARIES:
            raise MisuseError(
                f"/boundary_conditions/{name}@bc_type is {kind!r}; one of {', '.join(BOUNDARIES)} is right"
            )
        found[name] = kind
    return found


def _texts(value: Any) -> list[str]:
    """An attribute of texts; a lone text is a list of one, as some files have it."""
    return [_text(item) for item in np.atleast_1d(np.asarray(value, dtype=object)).ravel()]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else _text(value)
