"""Collapse monitors: what a latent model's card says of its latents, beside the floors below which it is called collapsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....jepa.collapse import DEVIATION_FLOOR, RANK_FLOOR
from ..look import Chart, Family, Look, axis, finite, hover, label, trace

MEASURES: dict[str, tuple[str, float | None]] = {
    "deviation": ("deviation of latents", DEVIATION_FLOOR),
    "rank_share": ("effective rank, as a share of the width", RANK_FLOOR),
    "effective_rank": ("effective rank", None),
    "prediction": ("prediction error over persistence's (in latents)", 1.0),
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def family(read: Sequence[Mapping[str, Any]]) -> Family:
    """A chart a measure, of the newest record of each track: a line a model, domains by colour."""
    newest = {r["track"]["name"]: r for r in read}
    charts = [c for track, r in newest.items() for m in MEASURES if (c := _chart(track, m, _health(r))) is not None]
    return Family(
        "collapse",
        "Collapse monitors",
        "A latent model can cheat by mapping everything to one point. Latents must deviate and fill many directions: both stay "
        "to the right of the dashed floor. The prediction must beat saying that nothing moves: left of the line at one.",
        charts,
        "No card here tells of the health of latents; models trained in latents write it.",
    )


def _health(record: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """By model and domain the figures of the card; of several seeds the first."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for c in record["contestants"]:
        for domain, figures in (c["card"].get("health") or {}).items():
            found.setdefault(c["card"]["name"], {}).setdefault(domain, dict(figures))
    return found


def _chart(track: str, measure: str, health: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Chart | None:
    title, floor = MEASURES[measure]
    data = []
    for k, domain in enumerate(dict.fromkeys(d for held in health.values() for d in held)):
        values = {m: finite(held.get(domain, {}).get(measure)) for m, held in health.items()}
        known = {label(m): v for m, v in values.items() if v is not None}
        look = Look(f"@{k % 8}", SYMBOLS[k % len(SYMBOLS)], "solid", "domain")
        if known:
            text = hover(domain, "%{y}: %{x:.3g}")
            data.append(trace(domain, look, list(known.values()), list(known), mode="markers", hovertemplate=text))
    layout: dict[str, Any] = {
        "xaxis": axis("", rangemode="tozero"),
        "yaxis": axis("", type="category", autorange="reversed", automargin=True),
        "height": 110 + 30 * len(health),
    }
    if floor is not None:
        line = {"color": "@fg", "dash": "dash", "width": 1}
        layout["shapes"] = [{"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": floor, "x1": floor, "line": line}]
    return Chart(title, {"track": track}, data, layout, f"{title} by model and domain") if data else None
