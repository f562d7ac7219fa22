"""TFRecord files, without TensorFlow: framing, checksums, and the two protocol buffers that physics sets are stored in.

    file      = record*
    record    = length (u64) · masked CRC-32C of the length (u32) · payload · masked CRC-32C of the payload (u32), little-endian
    payload   = tf.train.Example         {1: Features}
              | tf.train.SequenceExample {1: context, a Features; 2: FeatureLists}
    Features  = {1: map<string, Feature>};  FeatureLists = {1: map<string, {1: Feature*}>}
    Feature   = {1: BytesList} | {2: FloatList} | {3: Int64List}, each {1: value*}, numbers packed or not

One record is in memory at a time. Lengths are held against the file before anything is read, so that a damaged one cannot ask
for more memory than the file has bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...contracts import MisuseError
from ._crc32c import crc32c, masked

Value = list[bytes] | list[float] | list[int]
_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
MAX_VALUES = 1 << 28
"""Numbers or texts in one feature."""


@dataclass(frozen=True)
class Example:
    """One record, taken apart."""

    context: dict[str, Value]
    """Features by name; of a plain Example all of them."""
    lists: dict[str, list[Value]] = field(default_factory=dict)
    """Of a SequenceExample, by name, one feature a step."""


class Damaged(Exception):
    """Bytes that are no record; the text says why."""


def records(path: Path) -> Iterator[bytes]:
    """The payloads of a TFRecord file in order, each checked; raises MisuseError, naming file and record, for a damaged one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        number = 0
        while file.tell() < size:
            try:
                yield _record(file.read, size - file.tell())
            except Damaged as error:
                raise MisuseError(f"{path}, record {number}: {error}") from error
            number += 1


def count(path: Path) -> int:
    """How many records a file has, by its lengths alone; raises MisuseError where one leads out of the file."""
    size, number, at = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            try:
                at += _HEADER.size + _length(file.read(_HEADER.size), size - at) + _FOOTER.size
            except Damaged as error:
                raise MisuseError(f"{path}, record {number}: {error}") from error
            number += 1
    return number


def _length(header: bytes, left: int) -> int:
    if len(header) < _HEADER.size:
        raise Damaged("the file ends within a record's length")
    length, check = _HEADER.unpack(header)
    if masked(crc32c(header[:8])) != check:
        raise Damaged("the checksum of its length does not match: this is no TFRecord file, or it is damaged")
    if length > left - _HEADER.size - _FOOTER.size:
        raise Damaged(f"it claims {length} bytes; the file has {left} left")
    return int(length)


def _record(read: Callable[[int], bytes], left: int) -> bytes:
    length = _length(read(_HEADER.size), left)
    payload = read(length)
    if masked(crc32c(payload)) != _FOOTER.unpack(read(_FOOTER.size))[0]:
        raise Damaged("the checksum of its content does not match: the file is damaged")
    return payload


def examples(path: Path) -> Iterator[Example]:
    """The records of a file, taken apart; raises MisuseError, naming file and record, for one that is no Example."""
    for number, payload in enumerate(records(path)):
        try:
            yield parse(payload)
        except Damaged as error:
            raise MisuseError(f"{path}, record {number}: {error}") from error


def parse(payload: bytes) -> Example:
    """Take an Example or a SequenceExample apart; raises Damaged."""
    context: dict[str, Value] = {}
    lists: dict[str, list[Value]] = {}
    for number, value in _messages(memoryview(payload)):
        if number == 1:
            context.update((name, _feature(entry)) for name, entry in _entries(value))
        elif number == 2:
            lists.update((name, [_feature(f) for _, f in _messages(entry)]) for name, entry in _entries(value))
    return Example(context, lists)


def _entries(features: memoryview) -> Iterator[tuple[str, memoryview]]:
    """The pairs of a map from texts to messages."""
    for _, entry in _messages(features):
        parts = dict(_messages(entry))
        try:
            yield bytes(parts.get(1, memoryview(b""))).decode(), parts.get(2, memoryview(b""))
        except UnicodeDecodeError as error:
            raise Damaged("the name of a feature is no text") from error


def _feature(message: memoryview) -> Value:
    """The list in a feature; an empty one when it holds none."""
    for number, value in _messages(message):
        if number == 1:
            return [bytes(text) for _, text in _messages(value)]
        if number == 2:
            return _floats(value)
        if number == 3:
            return _integers(value)
    return []


def _floats(message: memoryview) -> list[float]:
    found: list[float] = []
    for number, kind, value in _fields(message):
        if number != 1 or kind not in (_BYTES, _FIXED32) or len(value) % 4:
            raise Damaged("a list of floats holds something else")
        found += np.frombuffer(value, "<f4").tolist()
    return found


def _integers(message: memoryview) -> list[int]:
    found: list[int] = []
    for number, kind, value in _fields(message):
        if number != 1 or kind not in (_BYTES, _VARINT):
            raise Damaged("a list of integers holds something else")
        at = 0
        while at < len(value):
            item, at = _varint(value, at)
            found.append(item - (1 << 64) if item >= 1 << 63 else item)
    return found


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that are themselves messages or texts; raises Damaged when another kind stands there."""
    for number, kind, value in _fields(data):
        if kind != _BYTES:
            raise Damaged(f"field {number} is of wire type {kind}; a message was expected")
        yield number, value


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and bytes of each field of a message."""
    at, seen = 0, 0
    while at < len(data):
        key, start = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            _, stop = _varint(data, start)
        elif kind == _BYTES:
            length, start = _varint(data, start)
            stop = start + length
        elif kind in (_FIXED32, _FIXED64):
            stop = start + (4 if kind == _FIXED32 else 8)
        else:
            raise Damaged(f"it has a field of wire type {kind}: no tf.train.Example")
        seen += 1
        if stop > len(data) or seen > MAX_VALUES or key >> 3 == 0:
            raise Damaged("a field leads out of its message: no tf.train.Example")
        yield key >> 3, kind, data[start:stop]
        at = stop


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned integer of 7 bits a byte, lowest first, and where the next begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Damaged("it ends within a number: no tf.train.Example")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise Damaged("it holds a number of more than 10 bytes: no tf.train.Example")
