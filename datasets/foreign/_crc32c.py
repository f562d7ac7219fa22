"""CRC-32C (Castagnoli), which TFRecord files carry, at hundreds of megabytes a second in numpy.

A CRC without its inversions is linear over GF(2): of a joined text AB it is what n_B zero bytes make of the CRC of A, plus that
of B. So the bytes are cut into many lanes of equal length, all lanes go through the byte table side by side, and neighbours are
joined in pairs until one is left. Zero bytes in front change nothing, so the first lane may be filled up.

Source: RFC 3720, appendix B.4 (polynomial and check values).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41 with its bits in reverse order."""
MOST_LANES = 1 << 16
LEAST_LANE_BYTES = 512


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of some bytes."""
    if len(data) >= LEAST_LANE_BYTES:
        return int(_after_zeros(0xFFFFFFFF, len(data)) ^ _linear(data) ^ 0xFFFFFFFF)
    state, table = 0xFFFFFFFF, _plain_table()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TFRecord files store it: turned right by 15 bits and moved by a constant, so that CRCs of CRCs do not degenerate."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _table() -> Words:
    """What one byte does to a CRC of zero, (256,)."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


@functools.cache
def _plain_table() -> list[int]:
    """The same as plain numbers, which are faster one at a time."""
    return [int(value) for value in _table()]


@functools.cache
def _pairs() -> Words:
    """What two bytes do to a CRC of zero, (65536,)."""
    first = _table()[np.arange(1 << 16) & 0xFF] ^ (np.arange(1 << 16, dtype=np.uint32) >> 8)
    twice: Words = _table()[first & 0xFF] ^ (first >> 8)
    return twice


def _linear(data: bytes | memoryview) -> int:
    """The CRC without its inversions."""
    lanes = 1
    while 2 * lanes <= min(MOST_LANES, len(data) // LEAST_LANE_BYTES):
        lanes *= 2
    length = 2 * -(-len(data) // (2 * lanes))
    padded = np.zeros(lanes * length, dtype=np.uint8)
    padded[padded.size - len(data) :] = np.frombuffer(data, dtype=np.uint8)
    states = np.zeros(lanes, dtype=np.uint32)
    for column in np.ascontiguousarray(padded.view("<u2").reshape(lanes, length // 2).T):
        states = _pairs()[states.astype(np.uint16) ^ column] ^ (states >> 16)
    return _joined(states, length)


def _joined(state: Words, length: int) -> int:
    """One CRC from those of lanes (a power of two) of `length` bytes each."""
    while state.size > 1:
        state = _applied(_zeros(length), state[0::2]) ^ state[1::2]
        length *= 2
    return int(state[0])


def _after_zeros(state: int, count: int) -> int:
    return int(_applied(_zeros(count), np.array([state], dtype=np.uint32))[0])


def _applied(columns: Words, state: Words) -> Words:
    """A linear map, given by what it makes of each of the 32 bits, of many CRCs."""
    out = np.zeros_like(state)
    for bit in range(32):
        out ^= np.where((state >> np.uint32(bit)) & 1, columns[bit], np.uint32(0)).astype(np.uint32)
    return out


@functools.lru_cache(maxsize=256)
def _zeros(count: int) -> Words:
    """What `count` zero bytes make of each bit of a CRC, (32,), by repeated squaring."""
    bits: Words = (np.uint32(1) << np.arange(32, dtype=np.uint32)).astype(np.uint32)
    if count == 0:
        return bits
    if count == 1:
        once: Any = _table()[bits & 0xFF] ^ (bits >> 8)
        return np.asarray(once, dtype=np.uint32)
    half = _zeros(count // 2)
    whole = _applied(half, half)
    return _applied(_zeros(1), whole) if count % 2 else whole
