"""Curve: what a physics check measured along time or space, beside what physics says; plain numbers, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MEASURED, EXPECTED, PUBLISHED = "measured", "expected", "published"
ROLES = (MEASURED, EXPECTED, PUBLISHED)
"""Of the simulator, of a closed form (or another code), and read off a publication."""


@dataclass(frozen=True)
class Line:
    """One line or one set of points of a curve, x and y of equal length."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    role: str
    """One of ROLES."""
    joined: bool = True
    """False for points that no line should join."""


@dataclass(frozen=True)
class Curve:
    """What a row's number was reduced from: the lines of one drawing, and what its axes are, with units."""

    x_label: str
    y_label: str
    lines: tuple[Line, ...] = field(default_factory=tuple)
    logarithmic: bool = False
    """Whether the y axis is logarithmic."""


def line(name: str, x: Iterable[Any], y: Iterable[Any], *, role: str = MEASURED, joined: bool = True) -> Line:
    """A line from any sequences of numbers (lists, arrays, tensors of one axis)."""
    return Line(name, tuple(float(v) for v in x), tuple(float(v) for v in y), role, joined)
