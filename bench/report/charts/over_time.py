"""Error over time: the mean of every contestant over frames, a band from quartile to quartile of scenes and training seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import curves
from ...reduce import mean_defined
from ..look import LEARNED, Chart, Family, Look, axis, finite, hover, label, trace

METRICS = {"position_rmse": "position RMSE [m]", "observable_error": "observable error"}

Place = tuple[str, str, str, str]
"""Track, domain, split and metric."""
Curves = dict[str, dict[int | None, np.ndarray]]
"""By model and training seed, (T, B)."""


def family(read: Sequence[Mapping[str, Any]], held: Mapping[str, Look]) -> Family:
    """A chart a track, domain, split and metric; of records of one track, the newest that has a training."""
    places: dict[Place, tuple[Mapping[str, Any], Curves]] = {}
    for record in sorted(read, key=lambda r: r["created"], reverse=True):
        for place, model, seed, curve in _curves(record):
            kept = places.setdefault(place, (record, {}))
            if kept[0] is record:
                kept[1].setdefault(model, {}).setdefault(seed, curve)
    return Family(
        "over-time",
        "Error over time",
        "Mean over scenes and training seeds, frame by frame; the band of a learned contestant reaches from the "
        "lower to the upper quartile. The dashed line is the domain's trust threshold, stars are the "
        "reference's own error where it was measured: below them differences say nothing. Simulator "
        "settings are hidden at first; press a name to show or hide it.",
        [_chart(place, *kept, held) for place, kept in places.items()],
        "No record here has its curves.parquet beside it, so there is nothing to draw over time.",
        first={"split": "test", "error": METRICS["position_rmse"]},
    )


def _curves(record: Mapping[str, Any]) -> Iterator[tuple[Place, str, int | None, np.ndarray]]:
    if record["curves"] is None:
        return
    for folder in reversed(record["folders"]):
        path = Path(folder) / record["curves"]
        for score in curves.read(path) if path.is_file() else ():
            for metric, curve in score.curves.items():
                name = metric.partition("@")[0]
                if name in METRICS and "/" not in metric:
                    place = (record["track"]["name"], score.domain, score.split, name)
                    yield place, score.model, score.seed, curve


def band(seeds: Sequence[np.ndarray]) -> tuple[list[Any], list[Any], list[Any]]:
    """Mean, lower and upper quartile a frame of curves (T, B) of several seeds; None where nothing is defined."""
    frames = max(len(c) for c in seeds)
    every = np.concatenate([_padded(c, frames) for c in seeds], 1)
    every = np.where(np.isfinite(every), every, np.nan)
    known = np.isfinite(every).any(1)
    low, high = np.full(frames, np.nan), np.full(frames, np.nan)
    if known.any():
        low[known], high[known] = np.nanpercentile(every[known], [25, 75], axis=1)
    lines = (mean_defined(every, 1), low, high)
    mean, below, above = ([finite(float(v)) for v in line] for line in lines)
    return mean, below, above


def _padded(curve: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(curve.astype(float), ((0, frames - len(curve)), (0, 0)), constant_values=np.nan)


def _chart(place: Place, record: Mapping[str, Any], held: Curves, known: Mapping[str, Look]) -> Chart:
    track, domain, split, metric = place
    data: list[dict[str, Any]] = []
    for model, seeds in held.items():
        if model in known:
            data += _lines(model, known[model], band(list(seeds.values())))
    about: Mapping[str, Any] = next((d for d in record["domains"] if d["name"] == domain), {})
    if split == "test":
        data += _floor(about.get("floor"), metric, max((len(t["x"]) for t in data), default=1))
    layout: dict[str, Any] = {"xaxis": axis("frame"), "yaxis": axis(METRICS[metric], type="log")}
    if metric == "position_rmse":
        layout["shapes"] = [_threshold(about.get("trust_threshold"))]
    keys = {"track": track, "split": split, "error": METRICS[metric]}
    return Chart(domain, keys, data, layout, f"{METRICS[metric]} over frames in {domain}, split {split}")


def _lines(model: str, look: Look, line: tuple[list[Any], list[Any], list[Any]]) -> list[dict[str, Any]]:
    """The band's two edges, then the mean; zero has no place on a logarithmic axis."""
    mean, low, high = line
    if look.kind == "reference" and not any(mean):
        # The truth itself: zero throughout, which a logarithmic axis cannot show.
        return []
    frames = list(range(1, len(mean) + 1))
    edge = {"mode": "lines", "hoverinfo": "skip", "line": {"width": 0, "color": look.colour}}
    shown: dict[str, Any] = {} if look.kind != "ladder" else {"visible": "legendonly"}
    made = []
    if look.kind in LEARNED:
        made += [trace(model, look, frames, low, **edge)]
        made += [trace(model, look, frames, high, **edge, fill="tonexty", fillcolor=look.shade())]
    text = hover(model, "frame %{x}: %{y:.3g}")
    return [*made, trace(model, look, frames, mean, mode="lines", hovertemplate=text, **shown)]


def _floor(floor: Mapping[str, Any] | None, metric: str, last: int) -> list[dict[str, Any]]:
    """The reference's own error at the frames that are shown."""
    values: Mapping[str, Any] = next(
        (v for m, v in ({} if floor is None else floor["values"]).items() if m.startswith(f"{metric}@")), {}
    )
    points = {last if name == "last" else int(name): v["value"] for name, v in values.items() if v and name != "mean"}
    if not points:
        return []
    name = "the reference's own error"
    xs = sorted(points)
    text = f"{label(name)}<br>frame %{{x}}: %{{y:.3g}}<extra></extra>"
    look = Look("@fg", "star", "dot", "reference")
    return [trace(name, look, xs, [finite(points[x]) for x in xs], mode="markers+lines", hovertemplate=text)]


def _threshold(height: float | None) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": height,
        "y1": height,
        "visible": finite(height) is not None,
        "line": {"color": "@muted", "dash": "dash", "width": 1},
        "label": {"text": "trusted below", "textposition": "end", "yanchor": "top", "font": {"color": "@muted"}},
    }
