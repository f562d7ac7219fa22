"""Disk: a file that HDF5 may write to although the disk is full.

HDF5 2.0 crashes the process (a segmentation fault while closing) when a write fails under it. So it never learns: the
first error is kept here, later writes are dropped, and whoever writes asks after every piece of work.
"""

from __future__ import annotations

from pathlib import Path


class Disk:
    """A new file, in the form that h5py takes as a file object. Raises OSError on opening, and when asked for its error."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def require_no_error(self) -> None:
        """Raise the first OSError that a write met."""
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        """Write all of the data, or keep the error and say that all were written."""
        rest = memoryview(data)
        try:
            while rest and self._error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the length, or keep the error."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size

    def readinto(self, buffer: memoryview) -> int:
        """Read at the place sought; what was never written reads as zeros."""
        got = self._file.readinto(buffer) or 0
        buffer[got:] = bytes(len(buffer) - got)
        return len(buffer)

    def read(self, size: int = -1) -> bytes:
        """Read at the place sought; h5py takes an object with this method for a file."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the place of the next read or write."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place of the next read or write."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
