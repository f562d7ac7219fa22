"""What a foreign folder says of itself in a JSON file, read without trusting it: a complaint is one line that names the entry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from ...contracts.strict_json import read_object

MAX_BYTES = 16 << 20
"""Of a file that describes data; those published have a few kilobytes."""


@dataclass(frozen=True)
class Facts:
    """The entries of one JSON object."""

    path: Path
    entries: Mapping[str, Any]

    @staticmethod
    def read(path: Path) -> Facts:
        """The object in a file; raises MisuseError when it cannot be read or is none."""
        return Facts(path, read_object(path, MAX_BYTES))

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def number(self, name: str, default: float | None = None, *, positive: bool = False) -> float:
        """A finite number; raises MisuseError when there is none and no default."""
        value = self.entries.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(name, "a finite number")
        if positive and not value > 0:
            raise self.wrong(name, "a number above zero")
        return float(value)

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from low to high; raises MisuseError when there is none and no default."""
        value = self.entries.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A text, or the default where there is none."""
        value = self.entries.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def numbers(self, name: str, count: int) -> list[float]:
        """That many finite numbers; raises MisuseError otherwise."""
        found = _numbers(self.entries.get(name), count)
        if found is None:
            raise self.wrong(name, f"a list of {count} finite numbers")
        return found

    def bounds(self, dim: int) -> list[list[float]]:
        """`bounds`, lower and upper of each axis [m]; raises MisuseError when they are not that."""
        rows = self.entries.get("bounds")
        pairs = [_numbers(row, 2) for row in rows] if isinstance(rows, list) else []
        found = [pair for pair in pairs if pair is not None and pair[0] < pair[1]]
        if len(found) != len(pairs) or len(found) != dim:
            raise self.wrong("bounds", f"a list of {dim} pairs [lower, upper]")
        return found

    def wrong(self, name: str, right: str) -> MisuseError:
        """The complaint about one entry."""
        value = f"is {self.entries[name]!r:.80}" if name in self.entries else "is missing"
        return MisuseError(f"{self.path}: {name!r} {value}; {right} is right")


def _numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    fine = all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in value)
    return [float(x) for x in value] if fine else None
