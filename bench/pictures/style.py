"""How every picture looks: a white card that is legible on light and dark pages, one palette, and files without dates."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..record import write_text

INK, MUTED, RULE, LADDER = "#1c2127", "#5b6470", "#dcdfe3", "#8a929c"
SIZE = 9.0
"""Font size [pt] of most text."""
SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine sets the same glyphs
    "font.size": SIZE,
    "svg.fonttype": "path",
    "svg.hashsalt": "hedgefox",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "text.color": INK,
}


@functools.cache
def palette() -> tuple[str, ...]:
    """The report's colours on light ground, as its style sheet states them."""
    css = (Path(__file__).parent.parent / "report" / "assets" / "report.css").read_text(encoding="utf-8")
    light = css[: css.index("@media")]
    return tuple(re.findall(r"--c\d:(#[0-9a-f]{6})", light))


def colour(asked: str) -> str:
    """A colour as the report names it: "@3" of the palette, "@fg", "@muted", "@ladder"."""
    named = {"@fg": INK, "@muted": MUTED, "@ladder": LADDER}
    return named.get(asked) or palette()[int(asked[1:])]


@contextmanager
def card(width: float, height: float) -> Iterator[Any]:
    """An empty figure [inches] on white, under the settings of all pictures."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        yield Figure(figsize=(width, height), facecolor="white", layout="constrained")


def plain_logarithmic(axis: Any, marked: tuple[float, ...]) -> None:
    """Numbers in place of powers on a logarithmic axis, at these parts of every decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=marked, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


DRAWN = re.compile(r' (?:d|x|y)="[^"]*"')
LONG = re.compile(r"(\.\d\d)\d+")


def save(figure: Any, path: Path) -> Path:
    """Write a figure as SVG without a date: the same drawing gives the same bytes. Hundredths of a point are precise enough."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "hedgefox"})
    shorter = DRAWN.sub(lambda found: LONG.sub(r"\1", found[0]), text.getvalue())
    write_text(path, "\n".join(line.strip() for line in shorter.splitlines()) + "\n")
    return path
