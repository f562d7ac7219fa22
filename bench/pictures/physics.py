"""A simulator's checks drawn: what was measured along time or space beside the closed form, the paper or the other code.

The numbers below each title are the row's own, of the same run as the curve.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError, PhysicsCheck
from ...contracts.curve import EXPECTED, MEASURED, Curve, Line
from ..board_text import between_marks
from ..record import write_text
from . import style

MOST_POINTS = 90
"""Of a cloud of points; of more, every k-th in order of x is drawn, and the legend says so."""
COLUMNS, WIDTH, HEIGHT = 2, 4.6, 3.1
BEGIN, END = "<!-- validate:begin -->", "<!-- validate:end -->"


def draw(rows: Sequence[PhysicsCheck], path: Path) -> Path | None:
    """One SVG with a panel for every row that carries a curve; None when no row does."""
    drawn = [row for row in rows if row.curve is not None]
    if not drawn:
        return None
    tall = -(-len(drawn) // COLUMNS)
    with style.card(COLUMNS * WIDTH, tall * HEIGHT) as figure:
        places = figure.subplots(tall, COLUMNS, squeeze=False).flatten()
        for axes, row in zip(places, drawn, strict=False):
            _panel(axes, row)
        for axes in places[len(drawn) :]:
            axes.axis("off")
        return style.save(figure, path)


def caption(row: PhysicsCheck) -> str:
    """A row in a line: what was measured, the band and its source."""
    unit = "" if row.unit == "1" else f" {row.unit}"
    return f"measured {number(row.measured)}{unit}, band {row.low:g} to {row.high:.4g}{unit}"


def number(value: float) -> str:
    """Four digits, or a power of ten."""
    return f"{value:.1e}" if value and abs(value) < 1e-3 else f"{value:.4g}"


def _panel(axes: Any, row: PhysicsCheck) -> None:
    curve = row.curve
    assert curve is not None
    what, _, of = row.name.partition(": ")
    axes.set_title(what[0].upper() + what[1:], loc="left", fontsize=10, fontweight="bold", pad=18)
    told = f"{of}: " if of else ""
    bad = not row.holds
    axes.text(0, 1.02, f"{told}{caption(row)}", transform=axes.transAxes, fontsize=7.5,
              color="#a63c00" if bad else style.MUTED, va="bottom")  # fmt: skip
    hues = dict.fromkeys(("measured", "expected", "published"), 0)
    for each in curve.lines:
        _line(axes, each, hues[each.role])
        hues[each.role] += 1
    axes.set(xlabel=curve.x_label, ylabel=curve.y_label)
    if curve.logarithmic:
        axes.set_yscale("log")
    _equal_where_shapes(axes, curve)
    axes.legend(loc="best", handlelength=1.6)


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


def write_into(page: Path, domain: str, rows: Sequence[PhysicsCheck], picture: Path | None, command: str) -> None:
    """Put table and picture between the marks BEGIN and END of a domain's page, in the place of what stands there.

    Raises MisuseError for a page that is not there or lacks the marks.
    """
    if not page.is_file():
        raise MisuseError(f"{page} is not there; a page DOMAIN.md with the marks {BEGIN} and {END} is right")
    shown = ""
    if picture is not None:
        place = Path(os.path.relpath(picture, page.parent)).as_posix()
        shown = f"\n\n![{alt(domain, rows)}]({place})\n\nTable and picture: `{command}`."
    write_text(page, between_marks(page, BEGIN, END, f"\n{table(rows, '--full' in command)}{shown}\n"))


def alt(domain: str, rows: Sequence[PhysicsCheck]) -> str:
    """What the picture shows, for who cannot see it."""
    told = "; ".join(f"{r.name}: {caption(r)}" for r in rows if r.curve is not None)
    return f"The {domain} simulator against closed forms and publications. {told}".replace("[", "(").replace("]", ")")
