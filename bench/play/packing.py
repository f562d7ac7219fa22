"""The data of a player as few bytes: a header of JSON and the numbers behind it, all of it deflated.

Numbers of frames are kept as differences between frames: positions, which are 16-bit steps already, by differences of
differences (matter goes on as it went). Differences wrap, are folded so that small ones of either sign are small, and stand
axis by axis, their low bytes first and their high bytes behind, which deflate finds easier. Poses become 16-bit steps on the
way: places by the film's extent, quaternions between -1 and 1; each states its step. Everything else comes back as it was.

A film may come from anywhere. What it may take is settled by its header, before its numbers are unfolded: no more than a player
shows, each block of the size that the numbers of nodes, axes and frames give it, one behind the other.

player.js reads the same form (`unpacked`).
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contracts import MisuseError
from ...contracts.strict_json import parse
from .. import record
from .film import LEVELS, MAX_FILMS, hull, packed, unpacked

Array = NDArray[Any]
MAGIC = b"HFF1"
KINDS = {"driven": "<u1", "mass": "<f4", "faces": "<u4", "body": "<i4", "box_offset": "<f4", "obstacle_position": "<f4"}
"""Plain numbers of a player's data, by name."""
ORDER = 2
"""How often differences are taken."""
MAX_BYTES = 64 * 2**20
"""Of the numbers of a packed film. Six films of the largest scenes that hedgefox has take 33 MiB."""
MAX_HEADER = 2**20
SIZE = {"driven": ("nodes", 1), "mass": ("nodes", 4), "body": ("nodes", 4), "box_offset": ("frames", "axes", 4)}
"""Bytes of plain numbers whose size the header's counts give; of faces and obstacles any number may be there."""


def pack(data: Mapping[str, Any]) -> bytes:
    """The data of `player_data` as bytes."""
    blocks: list[bytes] = []
    header = dict(data)
    for name, kind in KINDS.items():
        if data[name] is not None:
            header[name] = _placed(blocks, unpacked(data[name], kind).tobytes())
    header["films"] = [_packed_film(film, data["frames"], data["axes"], blocks) for film in data["films"]]
    text = json.dumps(record.strict(header), allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER or (size := sum(map(len, blocks))) > MAX_BYTES:
        raise MisuseError(
            f"these films take {size >> 20} MiB; a player shows at most {MAX_BYTES >> 20}: fewer nodes or frames"
        )
    deflate = zlib.compressobj(9, strategy=zlib.Z_FILTERED)
    return deflate.compress(MAGIC + struct.pack("<I", len(text)) + text + b"".join(blocks)) + deflate.flush()


def _placed(blocks: list[bytes], content: bytes) -> dict[str, int]:
    """Put a block behind the others; where it is."""
    at = sum(map(len, blocks))
    blocks.append(content)
    return {"at": at, "bytes": len(content)}


def _packed_film(film: Mapping[str, Any], frames: int, axes: int, blocks: list[bytes]) -> dict[str, Any]:
    """A film's entry with its numbers moved to the blocks."""
    levels = unpacked(film["position"], "<u2").reshape(frames, -1, axes)
    entry = dict(film) | {"position": _placed(blocks, _folded(levels))}
    if "pose" in film:
        pose = unpacked(film["pose"], "<f4").astype(float).reshape(frames, -1, 7)
        low, step = _pose_scale(pose)
        steps = np.where(np.isfinite(pose), np.rint((np.nan_to_num(pose) - low) / step), LEVELS + 1).astype("<u2")
        at = _placed(blocks, _folded(steps))
        entry["pose"] = at | {"low": low.tolist(), "step": step.tolist()}
    return entry


def _pose_scale(pose: Array) -> tuple[Array, Array]:
    """Least value and step of each of the seven numbers of poses (T, bodies, 7)."""
    ends = zip(hull(pose[..., :3]), (-1.0, 1.0), strict=True)
    low, high = (np.append(end, np.full(4, limit)) for end, limit in ends)
    return low, np.where(high > low, (high - low) / LEVELS, 1.0)


def _folded(steps: Array) -> bytes:
    """Numbers (T, N, C) of 16 bits as second differences over time, folded, by channel, low bytes first."""
    change = steps.astype(np.int64)
    for _ in range(ORDER):
        change = np.diff(change, axis=0, prepend=np.zeros((1, *change.shape[1:]), np.int64))
    wrapped = (change + 2**15) % 2**16 - 2**15
    folded = np.where(wrapped < 0, -2 * wrapped - 1, 2 * wrapped).transpose(2, 0, 1)
    return (folded & 255).astype("u1").tobytes() + (folded >> 8).astype("u1").tobytes()


def unpack(content: bytes) -> dict[str, Any]:
    """The data of `player_data` again, poses to within half of their step; raises MisuseError for bytes that are no packed film."""
    header, begin = _header(content)
    size = _declared(header)
    whole = _unfolded_bytes(content, begin + size)
    if len(whole) < begin + size:
        raise MisuseError(
            f"a packed film does not hold what it says: it ends early, {begin + size - len(whole)} bytes are missing"
        )
    blocks, data = memoryview(whole)[begin:], dict(header)
    try:
        for name in KINDS:
            data[name] = None if header[name] is None else packed(np.frombuffer(_block(blocks, header[name]), "u1"))
        data["films"] = [_unpacked_film(film, header["frames"], header["axes"], blocks) for film in header["films"]]
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise MisuseError(f"a packed film does not hold what it says: {error!r}") from error
    return data


def header_of(content: bytes) -> dict[str, Any]:
    """What a packed film says of itself, without its numbers; raises MisuseError as `unpack` does."""
    header, _ = _header(content)
    _declared(header)
    return header


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a packed film, and where its numbers begin; no more than a header is unfolded."""
    whole = _unfolded_bytes(content, MAX_HEADER + 8)
    if whole[:4] != MAGIC or len(whole) < 8:
        raise MisuseError(f"not a packed film; it must begin with {MAGIC.decode()}")
    (length,) = struct.unpack_from("<I", whole, 4)
    header = parse(whole[8 : 8 + length], "the header of a packed film")
    if not isinstance(header, dict):
        raise MisuseError("a packed film's header must be an object")
    return header, 8 + length


def _unfolded_bytes(content: bytes, most: int) -> bytes:
    """The first bytes of a packed film, no more than so many."""
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error as error:
        raise MisuseError(f"not a packed film: {error}") from error


def _declared(header: Mapping[str, Any]) -> int:
    """Bytes of the numbers that a header declares; raises MisuseError where they are not what its own counts need, or too many."""
    try:
        films = header["films"]
        if not isinstance(films, list) or not 1 <= len(films) <= MAX_FILMS:
            raise ValueError(f"a player shows 1 to {MAX_FILMS} films")
        plain = [(header[name], _size(header, name)) for name in KINDS if header[name] is not None]
        numbers = _product(header, ("frames", "nodes", "axes", 2))
        parts = [part for film in films for part in ((film["position"], numbers), *_pose_of(film, header["frames"]))]
        end = 0
        for where, right in (*plain, *parts):
            if (
                where["at"] != end
                or type(where["bytes"]) is not int
                or where["bytes"] < 0
                or right not in (None, where["bytes"])
            ):
                raise ValueError(
                    f"{where!r} is not {'any number of' if right is None else right} bytes behind the first {end}"
                )
            end += where["bytes"]
        if end > MAX_BYTES:
            raise ValueError(f"its numbers take {end} bytes; at most {MAX_BYTES} are right")
        return end
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise MisuseError(f"a packed film does not hold what it says: {str(error)[:200]}") from error


def _size(header: Mapping[str, Any], name: str) -> int | None:
    return _product(header, SIZE[name]) if name in SIZE else None


def _product(header: Mapping[str, Any], factors: Sequence[str | int]) -> int:
    """Of counts that the header names, and numbers."""
    counts = [header[f] if isinstance(f, str) else f for f in factors]
    if not all(type(count) is int and 0 < count <= MAX_BYTES for count in counts):
        raise ValueError(f"its counts are {counts!r}; positive whole numbers are right")
    return math.prod(counts)


def _pose_of(film: Mapping[str, Any], frames: int) -> list[tuple[Mapping[str, Any], int | None]]:
    """Where a film's poses are, of any number of bodies, if it has any."""
    if "pose" not in film:
        return []
    where = film["pose"]
    if where["bytes"] % (2 * 7 * frames):
        raise ValueError(f"{where['bytes']} bytes are no whole number of bodies over {frames} frames")
    return [(where, None)]


def _block(blocks: memoryview, where: Mapping[str, Any]) -> memoryview:
    return blocks[where["at"] : where["at"] + where["bytes"]]


def _unpacked_film(film: Mapping[str, Any], frames: int, axes: int, blocks: memoryview) -> dict[str, Any]:
    entry = dict(film) | {"position": packed(_unfolded(_block(blocks, film["position"]), frames, axes))}
    if "pose" in film:
        steps = _unfolded(_block(blocks, film["pose"]), frames, 7)
        pose = np.empty(steps.shape, "<f4")
        for k, (low, step) in enumerate(zip(film["pose"]["low"], film["pose"]["step"], strict=True)):
            pose[..., k] = np.where(steps[..., k] > LEVELS, np.nan, low + steps[..., k] * step)
        entry["pose"] = packed(pose)
    return entry


def _unfolded(content: memoryview, frames: int, channels: int) -> Array:
    """The numbers (T, N, C) of `_folded`; all in 16 bits, which wrap as the differences do."""
    low, high = np.frombuffer(content, "u1").reshape(2, channels, frames, -1)
    folded = low.astype("<u2")
    folded |= high.astype("<u2") << 8
    change = np.where(folded % 2, ~(folded // 2), folded // 2)
    for _ in range(ORDER):
        change = change.cumsum(1, dtype="<u2")
    return change.transpose(1, 2, 0)
