"""The report's charts as plotly figures, for a notebook: one figure, its charts side by side.

A notebook may be light or dark and does not say which, so the ground is left open and every colour has a contrast of at least 3
against white and against the dark themes' grounds (WCAG 2.1, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from .. import _held as held
from .. import compare
from ..leaderboard import Entry, board_of
from ..report import headline, page
from ..report.charts import cost, health, over_time, probes, speed, two_by_two
from ..report.look import Chart, Family, Look, axis, label, looks

PALETTE = ("#1f88cc", "#d55e00", "#009e73", "#bf6a9c", "#b97c00", "#3d94b8", "#8a74c4", "#a86e45")
"""As the report's, between its light and its dark one."""
NAMED = {"fg": "#808890", "muted": "#808890", "ladder": "#7d8794"}
INK, RULE = NAMED["fg"], "rgba(128,136,144,0.28)"
HEIGHT, WIDTH = 340, 350
"""Of one chart, in pixels."""
ACROSS = 3
"""Charts in a row."""
GAP, WIDE_GAP, SPACE = 0.09, 0.17, 0.16
"""Between charts, as shares of the figure's width and height; the wide one has room for words at an axis."""
SETTINGS = "simulator settings"
"""Under this name all rungs of a ladder stand in a legend."""

Records = Sequence[Mapping[str, Any]]


def families(folder: Path | None, read: Records) -> dict[str, Callable[[], Family]]:
    """How to make each family of charts, by its name."""
    entries = board_of(read)
    known = looks(entries)
    made: dict[str, Callable[[], Family]] = {
        "over_time": lambda: over_time.family(read, known),
        "cost": lambda: cost.family(entries, known),
        "two_by_two": lambda: two_by_two.family(compare.two_by_two(held.places(entries))),
        "break_even": lambda: speed.break_even(entries, known),
        "throughput": lambda: speed.throughput(entries, known),
        "probes": lambda: probes.family(compare.probes(read)),
        "collapse": lambda: health.family(read),
    }
    if folder is not None:
        made |= {name: _of_report(name, folder, read, entries, known) for name in ("size_law", "transfer")}
    return made


def _of_report(
    name: str, folder: Path, read: Records, entries: Sequence[Entry], known: Mapping[str, Look]
) -> Callable[[], Family]:
    """A family that reads every scene's curves, made when it is asked for."""
    return lambda: next(f for f in page.charts(folder, read, entries, known) if f.id.replace("-", "_") == name)


def figure(folder: Path | None, read: Records, name: str, models: Sequence[str] = (), **wanted: str) -> Any:
    """A family of charts as a plotly Figure.

    `wanted` narrows it, by track, domain, split and what else its charts are of; what is not named is as in the report at first.
    `models` keeps the contestants of these names, and what belongs to nobody.

    Raises MisuseError for an unknown family, key or value, and where the records hold nothing of the kind.
    """
    made = families(folder, read)
    if name not in made:
        raise MisuseError(f"there is no figure {name!r}; one of {', '.join(made)} is right")
    found = made[name]()
    if not found.charts:
        raise MisuseError(f"nothing to draw: {found.missing}")
    usual = {"track": headline.main_track(read), **found.first}
    return drawn([_kept(c, models) for c in chosen(found.charts, wanted, usual)], found.title)


def chosen(charts: Sequence[Chart], wanted: Mapping[str, str], usual: Mapping[str, str]) -> list[Chart]:
    """The charts of what is wanted, one value for each of their keys; domain is a chart's title."""
    left = list(charts)
    for key in dict.fromkeys([*left[0].keys, *wanted]):
        values = list(dict.fromkeys(_of(c, key) for c in left))
        if None in values:
            raise MisuseError(f"these charts know no {key!r}; one of {', '.join([*left[0].keys, 'domain'])} is right")
        if key in wanted and wanted[key] not in values:
            raise MisuseError(f"no chart has the {key} {wanted[key]!r}; one of {', '.join(map(str, values))} is right")
        value = wanted.get(key, usual.get(key) if usual.get(key) in values else values[0])
        left = [c for c in left if _of(c, key) == value]
    return left


def _of(chart: Chart, key: str) -> str | None:
    return chart.title if key == "domain" else chart.keys.get(key)


def _kept(chart: Chart, models: Sequence[str]) -> Chart:
    """A chart of some contestants alone; they are seen, also where the report hides them at first."""
    if not models:
        return chart
    everyone = {t["meta"]["who"] for t in chart.data if "meta" in t}
    for name in models:
        if name not in everyone:
            raise MisuseError(f"no model {name!r} in the chart; one of {', '.join(sorted(everyone))} is right")
    data = [t | {"visible": True} for t in chart.data if "meta" not in t or t["meta"]["who"] in models]
    return Chart(chart.title, chart.keys, data, chart.layout)


def drawn(charts: Sequence[Chart], title: str = "") -> Any:
    """Charts side by side as one plotly Figure, each contestant once in its legend."""
    import plotly.graph_objects as go

    across = min(len(charts), ACROSS)
    down = -(-len(charts) // across)
    gap = WIDE_GAP if any(c.layout.get("yaxis", {}).get("type") == "category" for c in charts) else GAP
    made = go.Figure()
    seen: set[str] = set()
    for k, chart in enumerate(charts):
        number = "" if k == 0 else str(k + 1)
        made.add_traces([_trace(t, number, seen) for t in chart.data])
        made.update_layout(_axes(chart, number, *_place(k, across, down, gap)))
        made.add_annotation(_title(chart.title, number))
        for shape in chart.layout.get("shapes", ()):
            made.add_shape(_on(painted(shape), number))
    height = max(c.layout.get("height", HEIGHT) for c in charts)
    made.update_layout(
        title={"text": label(title), "font": {"size": 15}},
        height=90 + down * height,
        width=max(2 * WIDTH, across * WIDTH) if across > 1 else 1.6 * WIDTH,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12},
        margin={"l": 60, "r": 10, "t": 70, "b": 45},
        legend={"groupclick": "togglegroup", "tracegroupgap": 0},
        hoverlabel={"namelength": -1},
        **{n: v for n, v in charts[0].layout.items() if n in ("scattermode", "scattergap")},
    )
    return made


def _place(k: int, across: int, down: int, gap: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The share of the figure's width and height that chart k takes."""
    column, row = k % across, k // across
    wide, high = (1 + gap) / across - gap, (1 + SPACE) / down - SPACE
    left, top = column * (wide + gap), 1 - row * (high + SPACE)
    return (left, min(left + wide, 1.0)), (max(top - high, 0.0), top)


def _axes(chart: Chart, number: str, across: tuple[float, float], up: tuple[float, float]) -> dict[str, Any]:
    """The axes of a chart in its place."""
    usual = {"gridcolor": RULE, "zerolinecolor": RULE, "linecolor": RULE, "automargin": True, "exponentformat": "power"}
    x, y = (usual | painted(chart.layout.get(name, axis(""))) for name in ("xaxis", "yaxis"))
    return {
        f"xaxis{number}": x | {"domain": across, "anchor": f"y{number}"},
        f"yaxis{number}": y | {"domain": up, "anchor": f"x{number}"},
    }


def _title(text: str, number: str) -> dict[str, Any]:
    """A chart's title above it, at its left."""
    where = {"xref": f"x{number} domain", "yref": f"y{number} domain", "x": 0.0, "y": 1.0}
    return where | {
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "text": label(text),
        "font": {"size": 14},
    }


def _trace(trace: Mapping[str, Any], number: str, seen: set[str]) -> dict[str, Any]:
    """A trace on its own axes; of one contestant's the first that shows a line or a point stands in the legend."""
    made: dict[str, Any] = painted(dict(trace)) | {"xaxis": f"x{number}", "yaxis": f"y{number}"}
    if made.get("type") != "scatter":
        return made
    meta = trace.get("meta") or {}
    who = SETTINGS if meta.get("kind") == "ladder" else str(meta.get("who", trace.get("name", "")))
    edge = made.get("hoverinfo") == "skip" and (made.get("line") or {}).get("width") == 0
    named = not edge and who not in seen
    if named:
        seen.add(who)
    shown = {"name": SETTINGS} if who == SETTINGS else {}
    return made | shown | {"legendgroup": label(who), "showlegend": named}


def _on(shape: dict[str, Any], number: str) -> dict[str, Any]:
    """A shape on the axes of its chart: what spans the whole paper spans that chart."""
    ends = {n: shape.get(f"{n}ref") for n in ("x", "y")}
    return shape | {f"{n}ref": f"{n}{number} domain" if ref == "paper" else f"{n}{number}" for n, ref in ends.items()}


def painted(value: Any, name: str = "") -> Any:
    """The same data with the report's colours, "@3" or "@fg/0.1", as plotly takes them; only where a colour is expected."""
    if isinstance(value, Mapping):
        return {k: painted(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [painted(v) for v in value]
    return colour(value) if isinstance(value, str) and name.endswith("color") else value


def colour(said: str) -> str:
    """A colour of the report's as plotly takes it."""
    if not said.startswith("@"):
        return said
    name, _, share = said[1:].partition("/")
    found = PALETTE[int(name) % len(PALETTE)] if name.isdecimal() else NAMED[name]
    if not share:
        return found
    red, green, blue = (int(found[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
