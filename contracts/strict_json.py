"""JSON from anywhere: strict (RFC 8259), bounded in size and depth, and wrong in one line.

Python's own reader takes NaN, lets the last of two equal names win, and ends in a RecursionError on a deep nest. Here these are
refused, and so are numbers that no float holds, and texts that are not Unicode.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .errors import MisuseError

MOST_BYTES = 64 << 20
"""Of a file, unless its reader says otherwise."""
MOST_DEEP = 64
"""Levels of lists and objects. What hedgefox writes has fewer than ten."""
MOST_DIGITS = 80
"""Of a whole number: enough for 256 bits."""


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The data in a JSON file; raises MisuseError for a file that is missing, no regular file, too large, or not strict JSON."""
    return parse(read_bytes(path, most), str(path))


def read_object(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """As `read_json`, for a file that must hold an object."""
    found = read_json(path, most)
    if not isinstance(found, dict):
        raise MisuseError(f"{path} holds a {type(found).__name__}; an object is right")
    return found


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file; raises MisuseError for what is none (a pipe would wait for ever) and for too many of them."""
    try:
        if not path.is_file():
            raise MisuseError(f"{path} is {'not a file' if path.exists() else 'not there'}")
        if (size := path.stat().st_size) > most:
            raise MisuseError(f"{path} has {size} bytes; at most {most} is right")
        return path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path} cannot be read: {error.strerror or error}") from error


def parse(content: bytes | str, where: str) -> Any:
    """The data of a JSON text; raises MisuseError that says where it is from when it is not strict JSON."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refused, parse_int=_whole, parse_float=_number
        )
    except RecursionError:
        raise MisuseError(f"{where} is not JSON that can be read: it is nested more than {MOST_DEEP} deep") from None
    except ValueError as error:
        raise MisuseError(f"{where} is not JSON: {error}") from error
    _require_shallow(found, where)
    # A lone surrogate comes by an escape alone: the bytes were UTF-8.
    if "\\u" in text:
        _require_unicode(found, where)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice[:80]!r} stands twice")
    return found


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:80]} is too large")
    return value


def _require_shallow(found: Any, where: str) -> None:
    level = [found]
    for _ in range(MOST_DEEP):
        level = [child for each in level if isinstance(each, dict | list) for child in _children(each)]
        if not level:
            return
    raise MisuseError(f"{where} is not JSON that can be read: it is nested more than {MOST_DEEP} deep")


def _children(each: dict[str, Any] | list[Any]) -> list[Any]:
    values = each.values() if isinstance(each, dict) else each
    return [value for value in values if isinstance(value, dict | list)]


def _require_unicode(found: Any, where: str) -> None:
    todo = [found]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            todo += [*each, *each.values()]
        elif isinstance(each, list):
            todo += each
        elif isinstance(each, str) and not each.isascii():
            try:
                each.encode("utf-8")
            except UnicodeEncodeError as error:
                raise MisuseError(f"{where} is not JSON: it holds half a character ({error.reason})") from error
