"""How every picture looks: a white card that is legible on light and dark pages, one palette, and files without dates."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INK, MUTED, RULE, LADDER = "#1c2127", "#5b6470", "#dcdfe3", "#8a929c"
SIZE = 9.0
"""Font size [pt] of most text."""
SETTINGS = {
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
    "text.parse_math": False,
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


def save(figure: Any, path: Path) -> Path:
    """Write a figure as SVG without a date: the same drawing gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "hedgefox"})
    return path
