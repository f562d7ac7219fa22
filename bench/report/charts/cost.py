"""Error against cost: every contestant by what it errs and what a rollout takes, the simulator's settings joined by their front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...leaderboard import Entry
from ..look import Chart, Family, Look, axis, bars, hover, positive, trace

METRICS = {
    "observable error, mean over the horizon": ("observable_error", "mean"),
    "position RMSE at frame 20 [m]": ("position_rmse", "20"),
}

Place = tuple[str, str]
"""Track and domain."""


def family(entries: Sequence[Entry], held: Mapping[str, Look]) -> Family:
    """A chart a track, domain and metric, of what was timed and scored on the split `test`."""
    places: dict[Place, dict[str, Entry]] = {}
    for e in sorted(entries, key=lambda e: e.made):
        if e.row["split"] == "test" and e.speed is not None:
            places.setdefault((e.row["track"], e.row["domain"]), {})[e.row["model"]] = e
    charts = [c for at, group in places.items() for said in METRICS if (c := _chart(at, said, group, held)) is not None]
    return Family(
        "cost",
        "Error against cost",
        "Down is more accurate, left is faster; both axes are logarithmic. The line joins the simulator settings that no other "
        "setting beats in both. A contestant above and to the right of the line is beaten by the simulator; one below and to the "
        "left of it is faster at equal accuracy. Bars: 95 % interval of the error, quartiles of the latency. Star, or dashed "
        "line: the reference.",
        charts,
        "No record here holds timings: “hedgefox run” without --no-speed makes them.",
        first={"error": next(iter(METRICS))},
    )


def error_of(entry: Entry, metric: str, frame: str) -> Mapping[str, Any] | None:
    """The estimate of a metric of any version at a shown frame."""
    values: Mapping[str, Any] = next((v for m, v in entry.score["values"].items() if m.startswith(f"{metric}@")), {})
    found: Mapping[str, Any] | None = values.get(frame) or (values.get("last") if frame == "20" else None)
    return found


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (time, error) those that no other betters in both, the fastest first."""
    best: list[tuple[float, float]] = []
    for time, error in sorted(points):
        if not best or error < best[-1][1]:
            best.append((time, error))
    return best


def _chart(at: Place, said: str, group: Mapping[str, Entry], held: Mapping[str, Look]) -> Chart | None:
    metric, frame = METRICS[said]
    points = {m: p for m, e in group.items() if (p := point(e, metric, frame)) is not None}
    if not points:
        return None
    rungs = [points[m] for m, e in group.items() if m in points and e.row["kind"] == "ladder"]
    joined = front(rungs)
    data = [_front(joined)] if joined else []
    data += [_trace(group[m], p, error_of(group[m], metric, frame), held[m]) for m, p in points.items()]
    layout: dict[str, Any] = {
        "xaxis": axis("latency of one rollout [ms]", type="log"),
        "yaxis": axis(said, type="log"),
        "shapes": _reference(group, points),
    }
    return Chart(at[1], {"track": at[0], "error": said}, data, layout, f"{said} against latency in {at[1]}")


def point(entry: Entry, metric: str, frame: str) -> tuple[float, float] | None:
    """Time [ms] and error; the reference stands at its floor, which is its own error."""
    time, found = positive(entry.row["latency_ms"]), error_of(entry, metric, frame)
    if entry.row["kind"] == "reference":
        floors = {} if entry.floor is None else entry.floor["values"]
        found = next((v.get(frame) for m, v in floors.items() if m.startswith(f"{metric}@")), None)
    error = None if found is None else positive(found["value"])
    return None if time is None or error is None else (time, error)


def _front(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    name = "simulator settings: Pareto front"
    look = Look("@ladder", "diamond", "solid", "front")
    xs, ys = ([p[k] for p in points] for k in (0, 1))
    return trace(name, look, xs, ys, mode="lines", hoverinfo="skip")


def _trace(entry: Entry, point: tuple[float, float], held: Mapping[str, Any] | None, look: Look) -> dict[str, Any]:
    latency = (entry.speed or {})["latency"]
    spread = {"value": point[0], "low": 1e3 * latency["q25_s"], "high": 1e3 * latency["q75_s"]}
    made = trace(
        entry.row["model"],
        look,
        [point[0]],
        [point[1]],
        mode="markers",
        error_x=bars([spread]),
        hovertemplate=hover(entry.row["model"], f"{entry.row['kind']}<br>%{{x:.3g}} ms · error %{{y:.3g}}"),
    )
    return made if look.kind == "reference" else {**made, "error_y": bars([held])}


def _reference(group: Mapping[str, Entry], points: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Without a measured floor the reference has no error of its own: a line at its latency."""
    times = [e.row["latency_ms"] for m, e in group.items() if e.row["kind"] == "reference" and m not in points]
    return [
        {
            "type": "line",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": t,
            "x1": t,
            "line": {"color": "@fg", "dash": "dot", "width": 1},
        }
        | {"label": {"text": "reference", "textposition": "middle", "font": {"color": "@fg"}}}
        for t in times
        if positive(t) is not None
    ]
