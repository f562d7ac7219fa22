"""Shard: an HDF5 file of whole trajectories, written once and byte-identical for equal input.

    /                     @format @format_version @domain @units @bounds @frame_interval … @complete (written last)
    /index                a table: trajectory, index, frames, nodes, diverged_at, crc32, group, variant, varied, value
    /traj/000000/         position, velocity (T, N, D), node_type, mass, …  @seed @index @status @diverged_at @n_node …
    /traj/000000/script/  box_offset, obstacle_position, node_position
    /traj/000000/events/  one array (T,) of zeros and ones for each event, made from the states
    /traj/000000/parameters  one attribute each

No times, random names, paths or variable-length strings go in. The file format is HDF5 1.10's, whose metadata carries
checksums too; every array that is not empty is chunked with fletcher32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ..contracts import NEVER, MisuseError
from ..contracts.siblings import PLAIN, Variation
from ._disk import Disk
from ._files import one_line, writing
from ._probe import Refused, inspect
from ._record import EVENTS, SCRIPT, Array, Record

FORMAT = "hedgefox"
FORMAT_VERSION = 2
"""Raised whenever a reader of the former version would misread a file."""
CHUNK_BYTES = 1 << 19
UNITS = (
    "position m; velocity m/s; pose m and quaternion xyzw; twist m/s and rad/s; mass kg; rest_position m; "
    "obstacle_size m; gravity m/s^2; bounds m; script m; frame_interval s"
)
_LIBVER = ("v110", "v110")
_COUNTS = ("trajectory", "index", "frames", "nodes", "diverged_at", "crc32", "group", "variant")
_INDEX = np.dtype([*((n, "<i8") for n in _COUNTS), ("varied", "S64"), ("value", "<f8")])

Row = dict[str, Any]
"""One trajectory's row of the index. Siblings share a `group`; `variant` counts them from 0, the plain sample; `varied` and
`value` are those of `contracts.siblings.Variation`."""


@dataclass(frozen=True)
class Place:
    """Where a trajectory stands in its split: its number, and among its siblings."""

    index: int
    siblings: int = 1
    variation: Variation = PLAIN

    @property
    def columns(self) -> Row:
        """Its columns of the index."""
        group, variant = divmod(self.index, self.siblings)
        said = {"varied": self.variation.varied, "value": self.variation.value}
        return {"index": self.index, "group": group, "variant": variant, **said}


class ShardWriter:
    """Writes one file, trajectory by trajectory. Leaving the block closes it; leaving it by an error removes it.

    Raises MisuseError, in one line, when the disk is full or the folder cannot be written.
    """

    def __init__(self, path: Path, root: Mapping[str, str | int | float]) -> None:
        self._path, self._rows = path, list[tuple[Any, ...]]()
        self._low: list[Array] = []
        self._high: list[Array] = []
        with writing(path):
            self._disk = Disk(path)
            self._file = h5py.File(self._disk, "w", libver=_LIBVER)
            _set(self._file, {"format": FORMAT, "format_version": FORMAT_VERSION, "units": UNITS, **root})
            self._trajectories = self._file.create_group("traj")

    def __enter__(self) -> ShardWriter:
        return self

    def add(self, record: Record, place: Place, seed: str) -> None:
        """Append one trajectory; `seed` is the root seed."""
        with writing(self._path):
            group = self._trajectories.create_group(f"{len(self._rows):06d}")
            status = "complete" if record.diverged_at == NEVER else "diverged"
            sizes = {f"n_{name}": size for name, size in record.sizes.items()}
            _set(
                group,
                {"seed": seed, "index": place.index, "status": status, "diverged_at": record.diverged_at, **sizes},
            )
            group.create_group(SCRIPT)
            group.create_group(EVENTS)
            for name, array in record.arrays.items():
                _create(group, name, array)
            parameters = group.create_group("parameters")
            for name, value in record.parameters.items():
                parameters.attrs[name] = value
            self._disk.require_no_error()
        self._low.append(record.arrays["bounds"][0, 0])
        self._high.append(record.arrays["bounds"][0, 1])
        row = {"trajectory": len(self._rows), **facts(record), **place.columns}
        self._rows.append(tuple(row[name].encode() if name == "varied" else row[name] for name in _INDEX.names or ()))

    def _finish(self) -> None:
        table = np.array(self._rows, dtype=_INDEX)
        self._file.create_dataset("index", data=table, chunks=table.shape, fletcher32=True, track_times=False)
        self._file.attrs["bounds"] = np.stack([np.min(self._low, axis=0), np.max(self._high, axis=0)])
        self._file.flush()
        self._file.attrs["complete"] = 1
        self._file.close()
        self._disk.require_no_error()
        self._disk.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with writing(self._path):
                    self._finish()
                return
        except MisuseError:
            self._discard()
            raise
        self._discard()

    def _discard(self) -> None:
        self._file.close()
        self._disk.close()
        self._path.unlink(missing_ok=True)


def _set(thing: Any, values: Mapping[str, str | int | float]) -> None:
    for name, value in values.items():
        # A fixed-length string: a variable-length one lies in a heap that readers must follow.
        thing.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def _create(group: Any, name: str, array: Array) -> None:
    if array.size == 0:
        group.create_dataset(name, data=array, track_times=False)
        return
    row_bytes = array.nbytes // array.shape[0]
    rows = min(array.shape[0], max(1, CHUNK_BYTES // row_bytes))
    group.create_dataset(name, data=array, chunks=(rows, *array.shape[1:]), fletcher32=True, track_times=False)


@contextlib.contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Any]:
    """The file, after its structure was looked over; raises MisuseError in one line for whatever is wrong with it.

    `own` leaves the looking out, for a file that this process has just written.
    """
    try:
        if not own:
            inspect(str(path), FORMAT, FORMAT_VERSION, read=False)
        with h5py.File(path, "r") as file:
            yield file
    except (MisuseError, Refused) as error:
        raise MisuseError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise MisuseError(f"{path} cannot be read: {one_line(error)}") from error


def attributes(thing: Any) -> dict[str, Any]:
    """Attributes as plain Python values."""
    return {name: _plain(value) for name, value in thing.attrs.items()}


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value.tolist()


def index_of(file: Any) -> list[Row]:
    """The rows of `/index`; raises MisuseError when it is not the table that this version writes."""
    table = file["index"][()]
    if table.dtype != _INDEX or table.ndim != 1:
        raise MisuseError(f"/index has columns {table.dtype.names}; {', '.join(_INDEX.names or ())} is right")
    rows = [dict(zip(_INDEX.names or (), row.tolist(), strict=True)) for row in table]
    return [{**row, "varied": row["varied"].decode(errors="replace")} for row in rows]


def records(file: Any) -> Iterator[Record]:
    """The trajectories of an open shard in order; raises MisuseError when the index and the groups differ."""
    rows = index_of(file)
    names = sorted(file["traj"])
    if names != [f"{k:06d}" for k in range(len(rows))]:
        raise MisuseError(f"/index names {len(rows)} trajectories; /traj holds {len(names)}, or under other names")
    for name in names:
        yield _record(file, file["traj"][name])


def _record(file: Any, group: Any) -> Record:
    things = dict(group.items())
    script, events, parameters = things.pop("script"), things.pop("events"), things.pop("parameters")
    arrays = {name: data[()] for name, data in things.items()}
    arrays |= {SCRIPT + name: data[()] for name, data in script.items()}
    arrays |= {EVENTS + name: data[()] for name, data in events.items()}
    found = dict(group.attrs.items())
    return Record(
        domain=file.attrs["domain"].decode(),
        frame_interval=float(file.attrs["frame_interval"]),
        arrays=arrays,
        parameters=dict(parameters.attrs.items()),
        sizes={n.removeprefix("n_"): int(v) for n, v in found.items() if n.startswith("n_")},
        diverged_at=int(found["diverged_at"]),
    )


def facts(record: Record) -> dict[str, int]:
    """The columns of the index that follow from the trajectory itself."""
    return {
        "frames": record.n_frames,
        "nodes": record.sizes["node"],
        "diverged_at": record.diverged_at,
        "crc32": record.crc32(),
    }


def mismatch(record: Record, row: Mapping[str, Any]) -> str | None:
    """What a trajectory and its row of the index disagree on, or None."""
    for name, value in facts(record).items():
        if row[name] != value:
            return f"trajectory {row['trajectory']}: {name} is {value}; the index says {row[name]}"
    return None


def require_sound(path: Path) -> None:
    """Read a file just written from beginning to end and hold it to its own index; raises MisuseError."""
    with opened(path, own=True) as file:
        for record, row in zip(records(file), index_of(file), strict=True):
            if what := mismatch(record, row):
                raise MisuseError(what)
