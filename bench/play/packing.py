"""The data of a player as few bytes: a header of JSON and the numbers behind it, all of it deflated.

Numbers of frames are kept as differences between frames: positions, which are 16-bit steps already, by differences of
differences (matter goes on as it went). Differences wrap, are folded so that small ones of either sign are small, and stand
axis by axis, their low bytes first and their high bytes behind, which deflate finds easier. Poses become 16-bit steps on the
way: places by the film's extent, quaternions between -1 and 1; each states its step. Everything else comes back as it was.

player.js reads the same form (`unpacked`).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...contracts import MisuseError
from ...contracts.strict_json import parse
from .. import record
from .film import LEVELS, hull, packed, unpacked

Array = NDArray[Any]
MAGIC = b"HFF1"
KINDS = {"driven": "<u1", "mass": "<f4", "faces": "<u4", "body": "<i4", "box_offset": "<f4", "obstacle_position": "<f4"}
"""Plain numbers of a player's data, by name."""
ORDER = 2
"""How often differences are taken."""
MAX_BYTES = 256 * 2**20
"""Of what a packed film may unfold to."""
MAX_HEADER = 2**20


def pack(data: Mapping[str, Any]) -> bytes:
    """The data of `player_data` as bytes."""
    blocks: list[bytes] = []
    header = dict(data)
    for name, kind in KINDS.items():
        if data[name] is not None:
            header[name] = _placed(blocks, unpacked(data[name], kind).tobytes())
    header["films"] = [_packed_film(film, data["frames"], data["axes"], blocks) for film in data["films"]]
    text = json.dumps(record.strict(header), allow_nan=False, separators=(",", ":")).encode()
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
    header, blocks = _parted(content, MAX_BYTES)
    data = dict(header)
    try:
        for name in KINDS:
            data[name] = None if header[name] is None else packed(np.frombuffer(_block(blocks, header[name]), "u1"))
        data["films"] = [_unpacked_film(film, header["frames"], header["axes"], blocks) for film in header["films"]]
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise MisuseError(f"a packed film does not hold what it says: {error!r}") from error
    return data


def header_of(content: bytes) -> dict[str, Any]:
    """What a packed film says of itself, without its numbers; raises MisuseError as `unpack` does."""
    return _parted(content, MAX_HEADER + 8)[0]


def _parted(content: bytes, most: int) -> tuple[dict[str, Any], bytes]:
    """Header and blocks of a packed film, of which no more than so many bytes are unfolded."""
    try:
        whole = zlib.decompressobj().decompress(content, most)
    except zlib.error as error:
        raise MisuseError(f"not a packed film: {error}") from error
    if whole[:4] != MAGIC or len(whole) < 8:
        raise MisuseError(f"not a packed film; it must begin with {MAGIC.decode()}")
    (length,) = struct.unpack_from("<I", whole, 4)
    header = parse(whole[8 : 8 + length], "the header of a packed film")
    if not isinstance(header, dict):
        raise MisuseError("a packed film's header must be an object")
    return header, whole[8 + length :]


def _block(blocks: bytes, where: Mapping[str, Any]) -> bytes:
    found = blocks[where["at"] : where["at"] + where["bytes"]]
    if len(found) != where["bytes"]:
        raise ValueError("it ends early")
    return found


def _unpacked_film(film: Mapping[str, Any], frames: int, axes: int, blocks: bytes) -> dict[str, Any]:
    entry = dict(film) | {"position": packed(_unfolded(_block(blocks, film["position"]), frames, axes))}
    if "pose" in film:
        steps = _unfolded(_block(blocks, film["pose"]), frames, 7)
        pose = np.asarray(film["pose"]["low"]) + steps * np.asarray(film["pose"]["step"])
        entry["pose"] = packed(np.where(steps > LEVELS, np.nan, pose).astype("<f4"))
    return entry


def _unfolded(content: bytes, frames: int, channels: int) -> Array:
    """The numbers (T, N, C) of `_folded`."""
    low, high = np.frombuffer(content, "u1").reshape(2, channels, frames, -1).astype(np.int64)
    folded = (low + 256 * high).transpose(1, 2, 0)
    change = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    for _ in range(ORDER):
        change = change.cumsum(0)
    return (change % 2**16).astype("<u2")
