"""A simulator's checks drawn: what was measured along time or space beside the closed form, the paper or the other code.

The numbers below each title are the row's own, of the same run as the curve.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError, PhysicsCheck
from ...contracts.curve import EXPECTED, MEASURED, ROLES, Curve, Line
from ..board_text import between_marks
from ..record import write_text
from . import style

MOST_POINTS = 60
"""Of a cloud of points; of more, every k-th in order of x is drawn, and the legend says so."""
WIDTH, HEIGHT, LETTERS = 4.6, 3.5, 80
WIDE_NAME = 30
"""Letters of a name from which a legend has one column."""
TABLE = ("<!-- validate:begin -->", "<!-- validate:end -->")
PLOTS = ("<!-- plots:begin -->", "<!-- plots:end -->")


def draw(domain: str, rows: Sequence[PhysicsCheck], folder: Path) -> dict[str, Path]:
    """A file validate-DOMAIN-CHECK.svg for every row that carries a curve, by the row's name."""
    drawn: dict[str, Path] = {}
    for row in rows:
        if row.curve is not None:
            slug = re.sub("[^a-z0-9]+", "-", title(row).lower().replace(".", "")).strip("-")
            with style.card(WIDTH, HEIGHT) as figure:
                _panel(figure.subplots(), row, row.curve)
                drawn[row.name] = style.save(figure, folder / f"validate-{domain}-{slug}.svg")
    return drawn


def title(row: PhysicsCheck) -> str:
    """What was run: a row's name up to its colon, or to what it is divided by."""
    return row.name.partition(": ")[0].partition(" / ")[0]


def caption(row: PhysicsCheck) -> str:
    """A row in a line: what was measured, the band and its source."""
    unit = "" if row.unit == "1" else f" {row.unit}"
    return f"measured {number(row.measured)}{unit}, band {row.low:g} to {row.high:.4g}{unit}"


def number(value: float) -> str:
    """Four digits, or a power of ten."""
    return f"{value:.1e}" if value and abs(value) < 1e-3 else f"{value:.4g}"


def _panel(axes: Any, row: PhysicsCheck, curve: Curve) -> None:
    what, said = title(row), row.name.partition(": ")[2]
    below = textwrap.wrap(f"{said}: {caption(row)}" if said else caption(row), LETTERS)
    axes.set_title(what[0].upper() + what[1:], loc="left", fontsize=10, fontweight="bold", pad=8 + 9.5 * len(below))
    told = axes.text(0, 1.02, "\n".join(below), transform=axes.transAxes, fontsize=7.5, va="bottom",
                     color=style.MUTED if row.holds else "#a63c00")  # fmt: skip
    told.set_in_layout(False)
    before = dict.fromkeys(ROLES, 0)
    for each in curve.lines:
        _line(axes, each, before[each.role])
        before[each.role] += 1
    axes.set(xlabel=curve.x_label, ylabel=curve.y_label)
    if curve.logarithmic:
        axes.set_yscale("log")
        style.plain_logarithmic(axes.yaxis, (1.0, 2.0, 5.0))
    _equal_where_shapes(axes, curve)
    names = [each.name for each in curve.lines]
    columns = 1 if max(map(len, names)) > WIDE_NAME else 2
    axes.figure.legend(loc="outside lower center", ncols=columns, handlelength=1.6)


def _equal_where_shapes(axes: Any, curve: Curve) -> None:
    """A shape in space is drawn with equal scales."""
    if curve.x_label == "x [m]" and curve.y_label == "z [m]":
        axes.set_aspect("equal", adjustable="datalim")


def _line(axes: Any, each: Line, before: int) -> None:
    """Measured in colour, expected as a dark line, published as dark symbols: told apart without colour too."""
    x, y, name = list(each.x), list(each.y), each.name
    if each.role == MEASURED:
        hue = style.palette()[(0, 1, 2)[before % 3]]
        if each.joined:
            axes.plot(x, y, color=hue, linewidth=2.6, alpha=0.75, label=name, zorder=2)
            return
        k = -(-len(x) // MOST_POINTS)
        order = sorted(range(len(x)), key=lambda i: x[i])[::k]
        said = name if k == 1 else f"{name} (one of {k})"
        symbol = ("o", "s", "^")[before % 3]
        axes.plot([x[i] for i in order], [y[i] for i in order], symbol, color=hue, markersize=3.6, alpha=0.8,
                  markeredgewidth=0, label=said, zorder=2)  # fmt: skip
    elif each.role == EXPECTED:
        axes.plot(x, y, color=style.INK, linewidth=1.1, linestyle=("-", "--", ":")[before % 3], label=name, zorder=3)
    else:
        symbol = ("D", "^", "v")[before % 3]
        axes.plot(x, y, symbol, color=style.INK, markersize=4.5, markerfacecolor="white", markeredgewidth=1.0,
                  linestyle="-" if each.joined else "none", linewidth=0.7, label=name, zorder=4)  # fmt: skip


def table(rows: Sequence[PhysicsCheck], full: bool) -> str:
    """The rows as a table in Markdown."""
    lines = [
        f"| check{' (`--full`)' if full else ''} | measured | band | unit | expected | source |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = (r.name, number(r.measured), f"{r.low:g} to {r.high:.4g}", r.unit, r.expected, r.source)
        lines.append("| " + " | ".join(c.replace("|", "\\|").replace("<", "&lt;") for c in cells) + " |")
    return "\n".join(lines)


def write_table(page: Path, rows: Sequence[PhysicsCheck], full: bool) -> None:
    """Put the table between the marks TABLE of a domain's page, in the place of what stands there."""
    _write(page, TABLE, table(rows, full))


def write_plots(page: Path, rows: Sequence[PhysicsCheck], drawn: Mapping[str, Path], command: str) -> None:
    """Put the pictures between the marks PLOTS of a domain's page, in the place of what stands there."""
    shown = [f"![{alt(r)}]({_seen_from(page, drawn[r.name])})" for r in rows if r.name in drawn]
    _write(page, PLOTS, "\n".join(shown) + f"\n\nMade by `{command}`; the numbers are of the same run as the curves.")


def _write(page: Path, marks: tuple[str, str], inside: str) -> None:
    """Raises MisuseError for a page that is not there or lacks the marks."""
    if not page.is_file():
        raise MisuseError(f"{page} is not there; a page of the domain with the marks {' and '.join(marks)} is right")
    write_text(page, between_marks(page, *marks, f"\n{inside}\n"))


def _seen_from(page: Path, picture: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()


def alt(row: PhysicsCheck) -> str:
    """What a picture shows, for who cannot see it."""
    return f"{row.name}: {caption(row)}; {row.source}".replace("[", "(").replace("]", ")")
