"""Mutations of files: blind ones of bytes, and ones that know JSON and safetensors. All is drawn from the generator given."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

Mutate = Callable[[random.Random, bytes], bytes]

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


class Trap:
    """Unpickling this leaves a file behind."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.mark, "w")


def strangers(mark: str) -> list[bytes]:
    """Files of other kinds under this file's name, pickles that would leave a mark among them."""
    trapped = pickle.dumps(Trap(mark))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", trapped)
        archive.writestr("archive/zeros", bytes(1 << 22))
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        b"", b"\0", trapped, packed.getvalue(), gzip.compress(bytes(1 << 22)), b"\x89HDF\r\n\x1a\n" + b"\xff" * 600,
        b"PAR1" + struct.pack("<I", 0xFFFFFFF0) + b"PAR1", b"PAR1PAR1", struct.pack("<Q", 1 << 62) + b"{}", deep,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"\xff\xfe[\0]\0", b"\xef\xbb\xbf{}", b"1" + b"0" * 10_000, b"\n" * 50_000,
        b"!!python/object/apply:os.system ['true']\n", b"import os\n", b"\x1b]0;title\x07{}", b"NaN", b'"\\ud800"', b"null",
    ]  # fmt: skip


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Blind damage: bits, lengths, blocks, numbers at extremes."""
    how = rng.choice((_flipped, _flipped, _cut, _longer, _blanked, _spliced, _extreme, _extreme))
    return how(rng, data) if data else b"\0"


def _flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _longer(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0", data, b"\n{}\n", rng.randbytes(rng.randrange(1, 4096))))


def _blanked(rng: random.Random, data: bytes) -> bytes:
    at, size = rng.randrange(len(data)), rng.choice((1, 8, 64, 4096))
    return data[:at] + rng.choice((b"\0", b"\xff")) * len(data[at : at + size]) + data[at + size :]


def _spliced(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[a : min(b, a + 4096)] + data[at + rng.choice((0, min(b, a + 4096) - a)) :]


def _extreme(rng: random.Random, data: bytes) -> bytes:
    """A number of some width at a place where one may stand becomes the least or the largest."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(data) - width)) // width * width
    return data[:at] + (rng.choice(EXTREMES) & ((1 << 8 * width) - 1)).to_bytes(width, "little") + data[at + width :]


# -- JSON --------------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 10**6, 1 << 31, 1 << 63, -(1 << 63), 1 << 64, 10**79, 0.5, -0.0, 1e-320, 1e308, "", " ",
    "../../../etc/passwd", "/dev/zero", "a\0b", "a\nb", "x" * 100_000, "é̈́ö‮", "𝔘", "\x1b[31m", "__class__", [], {}, [[]],
    [None], {"a": {}}, ["a"] * 5000, list(range(3000)), {"../x": 1}, "1", "nan", [0] * 3, "cpu", "train", 3, 8, 64, 1.5,
]  # fmt: skip
SPELLINGS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "+1", "0x1", "'a'", '"\\ud800"', '"\\u0000"', "9" * 5000,
    "[" * 500 + "]" * 500,
)  # fmt: skip


def json_changed(rng: random.Random, data: bytes) -> bytes:
    """A JSON text with one to three things in it changed: values, types, names, nests, spellings, or damaged blindly."""
    if rng.random() < 0.15:
        return mangled(rng, data)
    tree = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = _edited(rng, tree)
    text = json.dumps(tree)
    if rng.random() < 0.25:
        text = _misspelt(rng, text)
    return text.encode("utf-8", errors="surrogatepass")


def json_lines_changed(rng: random.Random, data: bytes) -> bytes:
    """As `json_changed`, for lines of JSON."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    how = rng.randrange(8)
    if how == 0:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif how == 1:
        del lines[at]
    elif how == 2:
        rng.shuffle(lines)
    elif how == 3:
        return mangled(rng, data)
    else:
        lines[at] = json_changed(rng, lines[at])
    return b"\n".join(lines) + rng.choice((b"\n", b"\n", b"\n", b"", b"\r\n"))


def _edited(rng: random.Random, tree: Any) -> Any:
    """A tree with one place changed."""
    path: list[Any] = []
    here = tree
    while isinstance(here, dict | list) and here and (not path or rng.random() < 0.75):
        key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        path.append(key)
        here = here[key]
    if not path:
        return rng.choice(VALUES)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    _change(rng, holder, path[-1])
    return tree


def _change(rng: random.Random, holder: Any, key: Any) -> None:
    how = rng.randrange(10)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[rng.choice(("", "ключ", "a\0", "../x", "x" * 3000, "__proto__"))] = holder.pop(key)
    elif how == 2 and isinstance(holder, dict):
        holder[rng.choice(("extra", "path", "é"))] = rng.choice(VALUES)
    elif how == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] *= rng.choice((-1, 0, 2, 1000, 10**9, 0.5))
    elif how == 4:
        holder[key] = [holder[key]] * rng.choice((1, 2, 500))
    elif how == 5:
        nest: Any = holder[key]
        for _ in range(rng.choice((2, 70, 300))):
            nest = [nest]
        holder[key] = nest
    else:
        holder[key] = rng.choice(VALUES)


def _misspelt(rng: random.Random, text: str) -> str:
    """What json.dumps cannot write: a name twice, numbers that are none, half characters, comments."""
    how = rng.randrange(4)
    at = [k for k, c in enumerate(text) if c == ":"]
    if how == 0 and "{" in text:
        inner = text.index("{") + 1
        return (
            text[:inner]
            + rng.choice(('"a": 1, "a": 2, ', '"config": {}, "config": 1, ', '"format": 1, '))
            + text[inner:]
        )
    if how == 1 and at:
        place = rng.choice(at) + 1
        return text[:place] + " " + rng.choice(SPELLINGS) + ", " + '"zz":' + text[place:]
    if how == 2:
        return rng.choice(("// a\n", "/* */", "\ufeff", "\0")) + text
    return text + rng.choice((text, ",", "]", "}", "\0", " " * 50_000))


# -- safetensors -------------------------------------------------------------------------------------------------------


def tensors_changed(rng: random.Random, data: bytes) -> bytes:
    """A file of tensors with its length, its header or its numbers changed."""
    (length,) = struct.unpack_from("<Q", data)
    header, body = data[8 : 8 + length], data[8 + length :]
    how = rng.randrange(8)
    if how == 0:
        return mangled(rng, data)
    if how == 1:
        wrong = rng.choice((*EXTREMES, length - 1, length + 1, len(data), 100_000_001))
        return struct.pack("<Q", wrong & ((1 << 64) - 1)) + header + body
    if how == 2:
        return _assembled(header, _noisy(rng, body))
    if how == 3:
        return _assembled(json_changed(rng, header), body)
    return _assembled(_header_changed(rng, header), rng.choice((body, body, body[:-4], body + bytes(4), body + body)))


def _assembled(header: bytes, body: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def _noisy(rng: random.Random, body: bytes) -> bytes:
    """Numbers that are none."""
    changed = bytearray(body)
    for _ in range(rng.choice((1, 100))):
        at = rng.randrange(max(1, len(body) // 4)) * 4
        changed[at : at + 4] = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38)))
    return bytes(changed[: len(body)])


def _header_changed(rng: random.Random, header: bytes) -> bytes:
    tree = json.loads(header)
    names = [n for n in tree if n != "__metadata__"]
    name = rng.choice(names)
    entry, how = tree[name], rng.randrange(8)
    if how == 0:
        entry["dtype"] = rng.choice(("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X", None, 3))
    elif how == 1:
        entry["shape"] = rng.choice(
            ([], [0], [-1], [1 << 40], [1 << 63], [1] * 50, ["3"], None, [1.5], [*entry["shape"], 1])
        )
    elif how == 2:
        entry["shape"] = entry["shape"][::-1] + [1] * (len(entry["shape"]) == 1)
    elif how == 3:
        start, stop = entry["data_offsets"]
        entry["data_offsets"] = rng.choice(
            ([stop, start], [start, 1 << 63], [-1, stop], [start], [0, stop], [start, stop + 4], None)
        )
    elif how == 4:
        del tree[name]
    elif how == 5:
        tree[rng.choice(("extra", "../x", "é", "", "x" * 5000))] = tree.pop(name)
    elif how == 6:
        other = rng.choice(names)
        tree[name], tree[other] = tree[other], tree[name]
    else:
        tree["__metadata__"] = rng.choice(
            (None, {}, [], {"state": "{"}, {"state": "[]"}, {"state": 1}, {"state": "1e999"})
        )
    return json.dumps(tree).encode()
