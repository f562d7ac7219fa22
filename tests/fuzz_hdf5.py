"""Mutations of HDF5 files: of bytes with the checksums of the metadata made right again, and of objects through h5py.

The format's 1.10 form ends every piece of metadata in Jenkins' lookup3 over it. A blind change is therefore found at once, and a
fuzzer that does not mend the checksum tests nothing behind it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .fuzz_bytes import EXTREMES, mangled

MASK = 0xFFFFFFFF


def _rotated(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & MASK


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hashlittle with a starting value of zero (lookup3, 2006): the three words of its state take turns."""
    s = [(0xDEADBEEF + len(data)) & MASK] * 3
    at, left = 0, len(data)
    while left > 12:
        _add(s, data[at : at + 12])
        for j, k in enumerate((4, 6, 8, 16, 19, 4)):
            p, q, r = j % 3, (j + 2) % 3, (j + 1) % 3
            s[p] = ((s[p] - s[q]) & MASK) ^ _rotated(s[q], k)
            s[q] = (s[q] + s[r]) & MASK
        at, left = at + 12, left - 12
    if left:
        _add(s, data[at:].ljust(12, b"\0"))
        for j, k in enumerate((14, 11, 25, 16, 4, 14, 24)):
            p, q = (j + 2) % 3, (j + 1) % 3
            s[p] = ((s[p] ^ s[q]) - _rotated(s[q], k)) & MASK
    return s[2]


def _add(s: list[int], twelve: bytes) -> None:
    for i, word in enumerate(struct.unpack("<III", twelve)):
        s[i] = (s[i] + word) & MASK


def pieces(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of pieces of metadata whose last four bytes are their checksum: the superblock and object headers."""
    found = [(0, 48)]
    at = data.find(b"OHDR")
    while at >= 0 and at + 16 < len(data):
        flags = data[at + 5]
        skip = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        stop = skip + width + int.from_bytes(data[skip : skip + width], "little") + 4
        if stop <= len(data):
            found.append((at, stop))
        at = data.find(b"OHDR", at + 4)
    return found


def resealed(rng: random.Random, data: bytes) -> bytes:
    """Metadata changed, its checksum made right again."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        begin, stop = rng.choice(pieces(data))
        at = rng.randrange(begin + 4, stop - 4)
        width = rng.choice((1, 1, 2, 4, 8))
        if rng.random() < 0.5:
            changed[at] ^= 1 << rng.randrange(8)
        else:
            value = (rng.choice(EXTREMES) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            changed[at : at + width] = value
        changed = changed[: len(data)]
        changed[stop - 4 : stop] = struct.pack("<I", lookup3(bytes(changed[begin : stop - 4])))
    return bytes(changed)


# -- objects -----------------------------------------------------------------------------------------------------------


def _any(rng: random.Random, file: Any, kind: type) -> Any:
    """Some object of a kind in the file."""
    names: list[str] = []
    file.visititems(lambda name, thing: names.append(name) if isinstance(thing, kind) else None)
    return file[rng.choice(sorted(names))]


def _values(rng: random.Random, file: Any) -> None:
    data = _any(rng, file, h5py.Dataset)
    if data.size and data.dtype.kind in "fiu" and data.shape:
        place = tuple(rng.randrange(n) for n in data.shape)
        limits = np.iinfo(data.dtype) if data.dtype.kind in "iu" else np.finfo(data.dtype)
        wild = [limits.max, limits.min, 0, 1, 2] + ([np.nan, np.inf] if data.dtype.kind == "f" else [])
        data[place] = rng.choice(wild)


def _retyped(rng: random.Random, file: Any) -> None:
    data = _any(rng, file, h5py.Dataset)
    name, values = data.name, data[()]
    del file[name]
    kind = rng.choice(("<f8", ">f4", "<f2", "<i4", "|i1", "<u8", "|S8", "<c8", "?"))
    try:
        file.create_dataset(name, data=np.asarray(values).astype(kind))
    except (TypeError, ValueError):
        file.create_dataset(name, data=np.zeros(3, kind))


def _reshaped(rng: random.Random, file: Any) -> None:
    data = _any(rng, file, h5py.Dataset)
    name, kind, shape = data.name, data.dtype, list(data.shape or (1,))
    del file[name]
    k = rng.randrange(len(shape))
    shape[k] = rng.choice((0, 1, 2, shape[k] + 1, max(0, shape[k] - 1), 1000))
    file.create_dataset(name, shape=rng.choice((tuple(shape), tuple(shape[::-1]), (), (1, *shape))), dtype=kind)


def _gone(rng: random.Random, file: Any) -> None:
    del file[_any(rng, file, rng.choice((h5py.Dataset, h5py.Group))).name]


def _renamed(rng: random.Random, file: Any) -> None:
    name = _any(rng, file, rng.choice((h5py.Dataset, h5py.Group))).name
    file.move(
        name, rng.choice(("x", "é̈", "a b", "..", "__init__", "n" * 2000, name + "x", "events/new", "traj/999999"))
    )


def _attribute(rng: random.Random, file: Any) -> None:
    thing = rng.choice((file, _any(rng, file, h5py.Group)))
    names = list(thing.attrs) or ["format"]
    name = rng.choice([*names, "extra", "é"])
    values: list[Any] = [
        -1, 0, 1 << 62, np.uint64((1 << 64) - 1), np.nan, np.inf, 1e308, np.bytes_(b""), np.bytes_(b"x" * 3000),
        np.bytes_(b"\xff\n"), np.zeros(0), np.zeros((3, 3)), "text", np.float16(1), h5py.Empty("f4"), np.array([True]),
        np.complex64(1), file["traj"].ref,
    ]  # fmt: skip
    if name in thing.attrs:
        del thing.attrs[name]
    if rng.random() < 0.8:
        thing.attrs[name] = rng.choice(values)


def _link(rng: random.Random, file: Any) -> None:
    name = _any(rng, file, rng.choice((h5py.Dataset, h5py.Group))).name
    if rng.random() < 0.5:
        del file[name]
    else:
        name += "_"
    outside = (h5py.ExternalLink("/etc/passwd", "/"), h5py.ExternalLink("../other.h5", "/x"))
    file[name] = rng.choice((*outside, h5py.SoftLink(name), h5py.SoftLink("/"), h5py.SoftLink("/nowhere")))


def _twice(rng: random.Random, file: Any) -> None:
    thing = _any(rng, file, h5py.Group)
    thing["again"] = file["/"] if rng.random() < 0.5 else _any(rng, file, h5py.Group)


def _stored(rng: random.Random, file: Any) -> None:
    """An array replaced by one that is stored in a way that leaves the file, or unfolds to more than it."""
    data = _any(rng, file, h5py.Dataset)
    name, shape = data.name, data.shape or (1,)
    del file[name]
    how = rng.randrange(8)
    if how == 0:
        layout = h5py.VirtualLayout(shape=(4,), dtype="<f4")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(4,))
        file.create_virtual_dataset(name, layout)
    elif how == 1:
        file.create_dataset(name, shape=(4,), dtype="<f4", external=[("/etc/passwd", 0, 16)])
    elif how == 2:
        file.create_dataset(name, shape=(1 << rng.choice((28, 40, 60)),), chunks=(1024,), dtype="<f4")
    elif how == 3:
        file.create_dataset(
            name, data=np.zeros(1 << 22, "<f4"), chunks=(1 << 20,), compression="gzip", compression_opts=9
        )
    elif how == 4:
        file.create_dataset(name, shape=shape, dtype="<f4", compression="lzf", shuffle=True)
    elif how == 5:
        file.create_dataset(name, shape=(4,), maxshape=(None,), chunks=(1 << 28,), dtype="<f4")
    elif how == 6:
        file.create_dataset(name, (2,), dtype=rng.choice((h5py.vlen_dtype("<f4"), h5py.string_dtype(), h5py.ref_dtype)))
    else:
        file.create_dataset(name, (2,), dtype=np.dtype([("a", "<i8"), ("b", h5py.string_dtype())]))


def _nested(rng: random.Random, file: Any) -> None:
    file.create_group("/".join("d" for _ in range(rng.choice((30, 800)))))


CHANGES: tuple[Callable[[random.Random, Any], None], ...] = (
    _values, _values, _retyped, _reshaped, _gone, _renamed, _attribute, _attribute, _link, _twice, _stored, _stored, _nested,
)  # fmt: skip


def written(rng: random.Random, data: bytes, path: Path) -> None:
    """A changed HDF5 file at `path`."""
    how = rng.random()
    if how < 0.25:
        path.write_bytes(mangled(rng, data))
    elif how < 0.55:
        path.write_bytes(resealed(rng, data))
    else:
        path.write_bytes(data)
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            for _ in range(rng.choice((1, 1, 1, 2))):
                try:
                    rng.choice(CHANGES)(rng, file)
                except (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError):
                    continue  # two changes that do not go together: the first stands
