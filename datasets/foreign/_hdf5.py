"""HDF5 files in other people's layouts: opened only after another process looked them over, and read by array."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...contracts import MisuseError
from .._files import one_line
from .._untrusted import require_harmless

ARRAY_BYTES = 4 << 30
"""Most that one array may take in memory."""
_sound: set[tuple[str, int, int]] = set()
"""Path, size and time of change of files that were looked over by this process."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, looked over once; raises MisuseError, in one line, for whatever is wrong with it."""
    try:
        about = path.stat()
        key = (str(path.resolve()), about.st_size, about.st_mtime_ns)
        if key not in _sound:
            require_harmless(path, foreign=True)
            _sound.add(key)
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise MisuseError(f"{path} cannot be read: {one_line(error)}") from error


def array(group: Any, name: str, shape: Sequence[int | None], kinds: str = "fiu") -> Any:
    """An array of a group, read whole; `shape` says which sizes must be what, None for any that is not zero.

    Raises MisuseError when it is missing, of another shape or kind, or too large.
    """
    found = group.get(name) if isinstance(group, h5py.Group) else None
    if not isinstance(found, h5py.Dataset):
        raise MisuseError(f"it holds no array {name!r}")
    expected = ", ".join("any" if size is None else str(size) for size in shape)
    fits = len(found.shape) == len(shape) and all(s is None or s == t for s, t in zip(shape, found.shape, strict=True))
    if not fits or 0 in found.shape or found.dtype.kind not in kinds:
        raise MisuseError(f"{name!r} is {found.dtype} of shape {found.shape}; numbers of shape ({expected}) are right")
    if math.prod(found.shape) * found.dtype.itemsize > ARRAY_BYTES:
        raise MisuseError(f"{name!r} takes more than {ARRAY_BYTES} bytes")
    return np.asarray(found[()])
