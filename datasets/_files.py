"""Files that survive a kill: atomic replacement, appended lines that may tear, a lock, hashes, errors in one line."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from ..contracts.strict_json import read_bytes

TMP = ".tmp"
"""Ending of a file under way. Nothing with this ending is ever read."""

MOST_BYTES = 512 << 20
"""Of a file of lines."""
MOST_LINES = 2_000_000
"""A line tells of a whole shard or group."""
_BLOCK = 1 << 20


def canonical(data: Any) -> str:
    """Strict JSON with one spelling: sorted keys, no spaces, no NaN. Hashes of settings are taken over this."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_text(text: str) -> str:
    """SHA-256 of a text, as hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal; raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def one_line(error: BaseException) -> str:
    """What an exception says, without HDF5's pages of context: the system's words where it has a number."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or an unwritable folder into one line; raises MisuseError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        why = f"cannot write {path}: {one_line(error)}"
        raise MisuseError(f"{why}; once that is put right, the same command resumes") from error


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name: afterwards either the old file is there or the whole new one, never a part."""
    with writing(final):
        sync(temporary)
        temporary.replace(final)
        sync(final.parent)


def write_text(path: Path, text: str) -> None:
    """Replace a small file atomically; raises MisuseError."""
    temporary = path.with_name(path.name + TMP)
    with writing(path):
        temporary.write_text(text, encoding="utf-8")
    publish(temporary, path)


def append_line(path: Path, data: dict[str, Any]) -> None:
    """Append one line of JSON and force it to the disk. A kill may tear it; `read_lines` sees that."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(canonical(data) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> tuple[list[str], str]:
    """The whole lines of a file, and what a torn append left after the last of them ("" when nothing).

    Raises MisuseError for what is no regular file, or far too large a one.
    """
    if not path.exists():
        return [], ""
    content = read_bytes(path, MOST_BYTES)
    if (number := content.count(b"\n")) > MOST_LINES:
        raise MisuseError(f"{path} has {number} lines; at most {MOST_LINES} is right")
    *whole, torn = content.decode("utf-8", errors="replace").split("\n")
    return whole, torn


def drop_torn_line(path: Path) -> None:
    """Cut off what a kill left of an appended line."""
    whole, torn = read_lines(path)
    if torn:
        write_text(path, "".join(line + "\n" for line in whole))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep two writers out of one folder; the system frees the lock of a killed process. Raises MisuseError."""
    path = folder / ".lock"
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MisuseError(
                f"another process is writing to {folder}; wait for it or choose another folder"
            ) from error
        yield
    finally:
        os.close(descriptor)
