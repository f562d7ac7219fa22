"""Look into an HDF5 file without trusting it. Runs as a script of its own, under limits, and imports nothing of ours.

    python -I _probe.py SECONDS BYTES FORMAT VERSION FILE …   one line of JSON a file: {"refused": null or why}

Crafted files have crashed and hung HDF5 (h5py#1183, HDF5#1707, HDF5#6488), which no try/except catches. What is refused
by name: links that leave the file or loop, external, virtual and object data, filters other than fletcher32, and sizes
that the file cannot hold. Stored arrays are not compressed, so what they declare must fit into the file itself.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import h5py

FOREIGN = "*"
"""In place of a FORMAT: the file is in somebody else's layout. It has no header of ours, and may be compressed and hold texts."""
EXPANSION = 256
"""Most that a foreign file may declare, over its own size. Deflate can reach 1032; float data never come near."""
READ_THROUGH = 1 << 30
"""Foreign files larger than this [bytes] are not read through, only looked over: some sets have hundreds of gigabytes."""
MAX_CHUNK = 1 << 30

MAX_OBJECTS = 200_000
MAX_ATTRIBUTE_BYTES = 1 << 20
SLAB_BYTES = 32 << 20
PLAIN = (h5py.h5z.FILTER_FLETCHER32,)
PACKED = (*PLAIN, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF)
"""Filters that h5py itself brings: any other is a plug-in, code found beside data."""


class Refused(Exception):
    """The file is not what it should be; the text says why, in one line."""


def inspect(path: str, file_format: str, version: int, read: bool) -> None:
    """Raise Refused when a file is foreign, truncated, of another version, or uses what could harm its reader.

    `read` also reads every array through, so that a damaged chunk shows here.
    """
    foreign = file_format == FOREIGN
    try:
        size = os.path.getsize(path)
        with h5py.File(path, "r") as file:
            _walk(file, size, read and not (foreign and size > READ_THROUGH), foreign)
            if not foreign:
                _require_header(file, file_format, version)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise Refused(f"not a readable HDF5 file: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _require_header(file: Any, file_format: str, version: int) -> None:
    found = file.attrs.get("format")
    if not isinstance(found, bytes) or found.decode(errors="replace") != file_format:
        raise Refused(f"its format is {found!r}; {file_format!r} is right")
    theirs = file.attrs.get("format_version")
    if theirs != version:
        raise Refused(f"its format version is {theirs}; this hedgefox reads version {version}")
    if file.attrs.get("complete") != 1:
        raise Refused("it was not written to its end")


def _walk(file: Any, size: int, read: bool, foreign: bool) -> None:
    """Visit every object once, without recursion. Handles of the C library: h5py's own objects cost ten times as much."""
    root = h5py.h5g.open(file.id, b"/")
    declared, seen, todo = 0, {_address(root)}, [("", root)]
    while todo:
        path, group = todo.pop()
        _require_attributes(path, group, foreign)
        for name, thing in _children(path, group):
            address = _address(thing)
            if address in seen:
                raise Refused(f"{name} is linked twice")
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise Refused(f"it holds more than {MAX_OBJECTS} objects")
            if isinstance(thing, h5py.h5g.GroupID):
                todo.append((name, thing))
                continue
            if not isinstance(thing, h5py.h5d.DatasetID):
                raise Refused(f"{name} is neither a group nor a data set")
            declared += _require_dataset(name, thing, size, foreign)
            if declared > size * (EXPANSION if foreign else 1):
                raise Refused(f"it declares {declared} bytes of data in a file of {size}")
            if read:
                _read_through(h5py.Dataset(thing))


def _children(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for key in list(group):
        name = f"{path}/{key.decode(errors='replace')}"
        kind = group.links.get_info(key).type
        if kind != h5py.h5l.TYPE_HARD:
            what = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}.get(
                kind, "a foreign link"
            )
            raise Refused(f"{name} is {what}; only hard links are right")
        yield name, h5py.h5o.open(group, key)


def _address(thing: Any) -> int:
    return int(h5py.h5o.get_info(thing).addr)


def _require_attributes(name: str, thing: Any, foreign: bool) -> None:
    for k in range(h5py.h5a.get_num_attrs(thing)):
        attribute = h5py.h5a.open(thing, index=k)
        label = f"{name or '/'}@{attribute.name.decode(errors='replace')}"
        _require_type(label, attribute.get_type(), foreign)
        # An attribute of no elements, as empty lists of names are, has no storage to ask for.
        if attribute.get_space().get_select_npoints() and attribute.get_storage_size() > MAX_ATTRIBUTE_BYTES:
            raise Refused(f"{label} declares {attribute.get_storage_size()} bytes")


def _require_type(name: str, kind: Any, foreign: bool) -> None:
    """Numbers, fixed strings and tables of them; a variable-length or reference type follows pointers in the file.

    Foreign files may also hold texts of any length and enumerations, which h5py makes of truth values.
    """
    if foreign and kind.get_class() in (h5py.h5t.STRING, h5py.h5t.ENUM):
        return
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        for k in range(kind.get_nmembers()):
            _require_type(name, kind.get_member_type(k), foreign)
    elif kind.get_class() == h5py.h5t.STRING:
        if kind.is_variable_str():
            raise Refused(f"{name} holds variable-length strings")
    elif kind.get_class() == h5py.h5t.VLEN:
        raise Refused(f"{name} holds variable-length objects")
    elif kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        raise Refused(f"{name} is of type {type(kind).__name__}; numbers, fixed strings and tables of them are right")


def _require_dataset(name: str, data: Any, size: int, foreign: bool) -> int:
    """Check how one data set is stored; returns its declared bytes."""
    _require_attributes(name, data, foreign)
    kind, settings = data.get_type(), data.get_create_plist()
    _require_type(name, kind, foreign)
    layout = settings.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise Refused(f"{name} is a virtual data set")
    if settings.get_external_count():
        raise Refused(f"{name} keeps its data in an external file")
    filters, named = (PACKED, "gzip, lzf, shuffle or fletcher32") if foreign else (PLAIN, "only fletcher32")
    for k in range(settings.get_nfilters()):
        code = settings.get_filter(k)[0]
        if code not in filters:
            raise Refused(f"{name} uses filter {code}; {named} is right")
    declared = math.prod(data.shape or ()) * int(kind.get_size())
    chunk = math.prod(settings.get_chunk()) * int(kind.get_size()) if layout == h5py.h5d.CHUNKED else 0
    if max(declared, chunk) > size * (EXPANSION if foreign else 1) or chunk > MAX_CHUNK:
        raise Refused(f"{name} declares {max(declared, chunk)} bytes in a file of {size}")
    return declared


def _read_through(data: Any) -> None:
    if not data.size or not data.shape:
        return
    rows = max(1, SLAB_BYTES * data.shape[0] // (data.size * data.dtype.itemsize))
    for start in range(0, data.shape[0], rows):
        data[start : start + rows]


def _limit(seconds: int, n_bytes: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: list[str]) -> None:
    """Inspect each file named and say so at once: the file under way when the process dies is the guilty one."""
    seconds, n_bytes, file_format, version, *paths = arguments
    _limit(int(seconds), int(n_bytes))
    for path in paths:
        try:
            inspect(path, file_format, int(version), read=True)
            refused = None
        except Refused as error:
            refused = str(error)
        except MemoryError:
            refused = f"reading it takes more than {n_bytes} bytes of memory"
        sys.stdout.write(json.dumps({"refused": refused}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
