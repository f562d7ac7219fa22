"""What every chart shares: one colour, symbol and dash for each contestant, numbers that JSON can hold, text that stays text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..leaderboard import Entry

COLOURS = 8
"""Colours of the palette (Okabe & Ito 2008, "Color Universal Design"), given in assets/report.css for light and dark."""
SYMBOLS = {
    "reference": "star",
    "ladder": "diamond",
    "baseline": "x",
    "specialist": "circle",
    "generalist": "square",
    "hybrid": "triangle-up",
}
"""By kind, so that kinds are told apart without colour."""
LEARNED = ("specialist", "generalist", "hybrid")
FILLINGS = ("", "-open", "-dot", "-open-dot")
"""Of a symbol, as plotly names them."""
DASHES = ("solid", "dash", "dot", "dashdot")
DIGITS = 4
WORD = 14
"""Letters that stay together in a narrow column."""


@dataclass(frozen=True)
class Look:
    """How a contestant is drawn everywhere. A colour "@3" is the palette's, "@fg" and "@muted" are the page's."""

    colour: str
    symbol: str
    dash: str
    kind: str

    def marker(self, size: int = 10) -> dict[str, Any]:
        """A plotly marker."""
        return {"color": self.colour, "symbol": self.symbol, "size": size}

    def line(self, width: float = 2) -> dict[str, Any]:
        """A plotly line."""
        return {"color": self.colour, "dash": self.dash, "width": width}

    def shade(self, alpha: float = 0.1) -> str:
        """The colour of a band."""
        return f"{self.colour}/{alpha}"


@dataclass(frozen=True)
class Chart:
    """One drawing: traces and layout as plotly.js takes them, and what it is of.

    `keys` are what a reader chooses by (track, split, …); charts of equal keys stand beside each other, each under its `title`.
    """

    title: str
    keys: dict[str, str]
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    alt: str = ""
    note: str = ""


@dataclass(frozen=True)
class Family:
    """Charts of one kind, under one heading; `missing` says how to get some where records hold none."""

    id: str
    title: str
    how: str
    charts: list[Chart] = field(default_factory=list)
    missing: str = "The records hold nothing of this kind."
    tables: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)
    """What is chosen at first."""


def looks(entries: Iterable[Entry]) -> dict[str, Look]:
    """The look of every contestant: learned ones get the palette in order of name, the simulator and baselines stay grey."""
    kinds = {e.row["model"]: e.row["kind"] for e in entries}
    learned = sorted((m for m, k in kinds.items() if k in LEARNED), key=lambda m: (m.count("-"), m))
    held = {name: _learned(k, kinds[name]) for k, name in enumerate(learned)}
    baselines = [m for m, k in kinds.items() if k == "baseline"]
    held |= {m: Look("@muted", "x", DASHES[(1 + k) % len(DASHES)], "baseline") for k, m in enumerate(baselines)}
    held |= {m: Look("@fg", "star", "solid", k) for m, k in kinds.items() if k == "reference"}
    return held | {m: Look("@ladder", "diamond", "dot", k) for m, k in kinds.items() if k == "ladder"}


def _learned(place: int, kind: str) -> Look:
    """Beyond the palette's end colours come again, dashed and with other fillings of the symbols."""
    around = place // COLOURS
    symbol = SYMBOLS[kind] + FILLINGS[around % len(FILLINGS)]
    return Look(f"@{place % COLOURS}", symbol, DASHES[around % len(DASHES)], kind)


def label(text: str) -> str:
    """Text for plotly, which reads tags, entities and %{…} in names: all of them stay text."""
    return escape(text, quote=False).replace("%", "&#37;").replace("{", "&#123;")


def pieces(name: str) -> list[str]:
    """Where a long name may break over lines: after a dash or an underscore, and within what is longer than any word."""
    return re.findall(rf"[^-_]{{{WORD}}}|[^-_]*[-_]|[^-_]+", name)


def trace(model: str, look: Look, x: Sequence[Any], y: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A scatter trace of a contestant; `meta` is what the page hides and shows it by."""
    made = {
        "type": "scatter",
        "name": label(model),
        "meta": {"who": model, "kind": look.kind},
        "x": list(x),
        "y": list(y),
    }
    return {**made, "marker": look.marker(), "line": look.line(), **more}


def hover(model: str, text: str) -> str:
    """A hover text of a contestant: its name, then plotly's %{…}."""
    return f"<b>{label(model)}</b><br>{text}<extra></extra>"


def finite(value: Any) -> float | None:
    """A number of few digits, or None for what is missing, infinite or not a number."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def positive(value: Any) -> float | None:
    """As `finite`, for a logarithmic axis."""
    found = finite(value)
    return found if found is not None and found > 0 else None


def estimate(held: Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """Value and interval of an estimate of a record, None for what is not there."""
    return (
        (None, None, None)
        if held is None
        else (finite(held.get("value")), finite(held.get("low")), finite(held.get("high")))
    )


def bars(held: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Error bars of some estimates."""
    ends = [estimate(h) for h in held]
    above = [0.0 if v is None or high is None else max(high - v, 0.0) for v, _, high in ends]
    below = [0.0 if v is None or low is None else max(v - low, 0.0) for v, low, _ in ends]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.5, "width": 0}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A plotly axis with its title."""
    return {"title": {"text": title}, **more}


def plain(value: Any) -> Any:
    """Data without NaN and infinities, which JSON lacks; they become null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def embedded(value: Any) -> str:
    """JSON for inside a <script>: no tag can end it, whatever its texts hold."""
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
