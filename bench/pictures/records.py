"""The board drawn: error against time with the simulator's ladder, and error over frames, a panel a domain, from records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import MisuseError
from .. import curves
from ..leaderboard import Entry, board_of, error
from ..pool import read_pooled
from ..report.charts.cost import error_of, front, point
from ..report.charts.over_time import band
from ..report.headline import main_track
from ..report.look import LEARNED, Look, looks
from . import style

METRIC, FRAME = "observable_error", "mean"
"""What equal accuracy is judged by."""
SYMBOLS = {"reference": "*", "ladder": "D", "baseline": "X", "specialist": "o", "generalist": "s", "hybrid": "^"}
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
PANEL = 3.9
SHOWN_BASELINES = ("linear", "persistence")


@dataclass(frozen=True)
class Board:
    """What is drawn of a track: its pooled record, its rows on the split `test`, and how each contestant looks."""

    track: str
    record: Mapping[str, Any]
    entries: Sequence[Entry]
    looks: Mapping[str, Look]
    folders: Sequence[str]
    """Of all records of the track: first those of this one, lowest seed first."""

    @property
    def domains(self) -> list[str]:
        """Kinds of physics, in the record's order."""
        return [d["name"] for d in self.record["domains"]]

    def of(self, domain: str) -> dict[str, Entry]:
        """Rows of a domain by contestant."""
        return {e.row["model"]: e for e in self.entries if e.row["domain"] == domain}


def read(folder: Path, track: str | None = None) -> Board:
    """The record with the most contestants of a track (default: the report's first), of equal ones the newest.

    Raises MisuseError when there is none.
    """
    held = read_pooled(folder)
    name = track or main_track(held)
    mine = [r for r in held if r["track"]["name"] == name]
    if not mine:
        raise MisuseError(
            f"{folder} has no record of track {name!r}; it has {', '.join({r['track']['name']: 0 for r in held})}"
        )
    chosen = max(mine, key=lambda r: (len(r["contestants"]), r["created"]))
    entries = board_of(held)
    rows = [e for e in entries if e.row["track"] == name and e.row["split"] == "test" and e.made == chosen["created"]]
    folders = [sorted(r["folders"]) for r in (chosen, *(r for r in mine if r is not chosen))]
    return Board(name, chosen, rows, looks(rows), [f for some in folders for f in some])


# -- error against time ------------------------------------------------------------------------------------------------


def cost(board: Board, path: Path) -> Path:
    """Error against the time of a rollout: contestants, the simulator's settings, and the front that these make."""
    return _panels(board, path, "observable error, mean over the horizon", _cost_panel)


def _panels(board: Board, path: Path, label: str, draw: Callable[[Any, Board, str], None]) -> Path:
    """A panel a domain side by side, with one legend."""
    with style.card(PANEL * len(board.domains), 4.4) as figure:
        panels = figure.subplots(1, len(board.domains), squeeze=False)[0]
        for axes, domain in zip(panels, board.domains, strict=True):
            draw(axes, board, domain)
        panels[0].set_ylabel(label)
        _legend(figure, panels)
        return style.save(figure, path)


def _cost_panel(axes: Any, board: Board, domain: str) -> None:
    rows = {m: e for m, e in board.of(domain).items() if e.speed is not None}
    points = {m: p for m, e in rows.items() if (p := point(e, METRIC, FRAME)) is not None}
    rungs = front([points[m] for m, e in rows.items() if m in points and e.row["kind"] == "ladder"])
    axes.set(title=domain, xscale="log", yscale="log", xlabel="one rollout [ms]")
    for model, at in points.items():
        kind = rows[model].row["kind"]
        _mark(axes, board.looks[model], at, _name(model, kind), error_of(rows[model], METRIC, FRAME))
        if kind in ("ladder", "baseline"):
            _tag(axes, model, at, left=kind == "ladder")
    for model, e in rows.items():
        if e.row["kind"] == "reference" and model not in points:
            said = "the reference simulator's time"
            axes.axvline(e.row["latency_ms"], color=style.INK, linestyle=":", linewidth=1.2, label=said)
    _front(axes, rungs)
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_logarithmic(axis, (1.0, 3.0))


def _mark(axes: Any, look: Look, at: tuple[float, float], name: str, held: Mapping[str, Any] | None) -> None:
    hue, symbol = style.colour(look.colour), SYMBOLS[look.kind]
    open_ = look.symbol.endswith("-open")
    spread = None
    if held is not None and held.get("low") is not None and look.kind in LEARNED:
        spread = [[max(at[1] - held["low"], 0)], [max(held["high"] - at[1], 0)]]
    axes.errorbar([at[0]], [at[1]], yerr=spread, fmt=symbol, color=hue, label=name, zorder=4, elinewidth=1.2,
                  markersize={"*": 12, "D": 5.5}.get(symbol, 7.5), markerfacecolor="white" if open_ else hue)  # fmt: skip


def _tag(axes: Any, text: str, at: tuple[float, float], left: bool) -> None:
    place = {"xytext": (-6, -2), "ha": "right"} if left else {"xytext": (7, 3), "ha": "left"}
    axes.annotate(text, at, textcoords="offset points", fontsize=6.5, color=style.MUTED, va="top", **place)


def _front(axes: Any, rungs: Sequence[tuple[float, float]]) -> None:
    """The simulator's front as a line, and what lies beyond it shaded: there one setting is both faster and better."""
    if not rungs:
        return
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    xs, ys = [p[0] for p in rungs], [p[1] for p in rungs]
    axes.plot(xs, ys, color=style.LADDER, linewidth=1.4, zorder=2)
    beyond = {"color": style.LADDER, "alpha": 0.14, "linewidth": 0, "zorder": 0}
    said = "a simulator setting is both faster and better"
    axes.fill_between([*xs, 10 * right], [*ys, ys[-1]], 10 * high, step="post", label=said, **beyond)
    axes.set(xlim=(left, right), ylim=(low, high))


def _name(model: str, kind: str) -> str:
    """Names in the legend: of the learned their own with their kind, of others what they are in every domain."""
    common = {
        "ladder": "simulator, cheaper settings",
        "baseline": "baselines",
        "reference": "the reference, at its own error",
    }
    return common.get(kind, f"{model} ({kind})")


def _legend(figure: Any, panels: Sequence[Any]) -> None:
    """One legend for all panels, below them: the simulator first, then who learned one domain, then who learned all."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    names = sorted(found, key=lambda name: (name.endswith("(generalist)"), name.endswith("(specialist)"), name))
    handles = [found[name] for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(found)), columnspacing=1.4)


# -- error over frames -------------------------------------------------------------------------------------------------


def over_time(board: Board, path: Path) -> Path:
    """Position RMSE frame by frame: who learned, the best with quartiles; baselines and the ladder's ends as lines."""
    return _panels(board, path, "position RMSE [m]", _over_time_panel)


def _over_time_panel(axes: Any, board: Board, domain: str) -> None:
    rows, about = board.of(domain), next(d for d in board.record["domains"] if d["name"] == domain)
    held = _curves(board, domain)
    axes.set(title=domain, yscale="log", xlabel="predicted frame")
    for model, banded in drawn(rows).items():
        if model in held:
            _over_time_line(
                axes, board.looks[model], _name_over_time(model, rows[model].row["kind"]), held[model], banded
            )
    axes.axhline(
        about["trust_threshold"], color=style.INK, linewidth=0.9, linestyle=(0, (6, 4)), zorder=1, label="trusted below"
    )
    floors = {} if about.get("floor") is None else about["floor"]["values"]
    values: Mapping[str, Any] = next((v for m, v in floors.items() if m.startswith("position_rmse@")), {})
    stars = {int(k): v["value"] for k, v in values.items() if k.isdecimal() and v}
    if stars:
        name = "the reference's own error"
        axes.plot(list(stars), list(stars.values()), "*", color=style.INK, markersize=8, label=name, zorder=5)
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 3e-5))
    style.plain_logarithmic(axes.yaxis, (1.0, 3.0))


def drawn(rows: Mapping[str, Entry]) -> dict[str, bool]:
    """Who is drawn, and whether with a band: the best two of each learned kind, the best with one; two baselines; both ends of
    the timed ladder."""
    found: dict[str, bool] = {}
    for kind in LEARNED:
        mine = sorted((e for e in rows.values() if e.row["kind"] == kind), key=lambda e: error(e.row, e.floor))
        found |= {e.row["model"]: k == 0 for k, e in enumerate(mine[:2])}
    rungs = [m for m, e in rows.items() if e.row["kind"] == "ladder" and e.speed is not None]
    rungs.sort(key=lambda m: error(rows[m].row, rows[m].floor))
    return found | dict.fromkeys([*(m for m in SHOWN_BASELINES if m in rows), *rungs[:1], *rungs[1:][-1:]], False)


def _name_over_time(model: str, kind: str) -> str:
    return {"ladder": "simulator, finest and coarsest timed setting", "baseline": model}.get(kind, f"{model} ({kind})")


def _over_time_line(axes: Any, look: Look, name: str, seeds: Sequence[np.ndarray], banded: bool) -> None:
    mean, low, high = (np.array([np.nan if v is None else v for v in part]) for part in band(seeds))
    frames, hue, learned = np.arange(1, len(mean) + 1), style.colour(look.colour), look.kind in LEARNED
    dash = DASHES[look.dash] if learned else {"linear": ":", "persistence": "-."}.get(name, "-")
    axes.plot(frames, mean, color=hue, linestyle=dash, linewidth=2.0 if learned else 1.3, label=name, zorder=3)
    if banded:
        axes.fill_between(frames, low, high, color=hue, alpha=0.16, linewidth=0, zorder=2)


def _curves(board: Board, domain: str) -> dict[str, list[np.ndarray]]:
    """Position RMSE (T, B) on the split `test` by contestant, of all training seeds of the record."""
    found: dict[str, dict[Any, np.ndarray]] = {}
    for folder in board.record["folders"]:
        for score in curves.read(Path(folder) / board.record["curves"], domain=domain, split="test"):
            for metric, curve in score.curves.items():
                if metric.startswith("position_rmse@"):
                    found.setdefault(score.model, {})[score.seed] = curve
    return {model: list(seeds.values()) for model, seeds in found.items()}
