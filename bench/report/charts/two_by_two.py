"""The two-by-two: one architecture, trained on one domain or on several, with a loss on latents or on the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..look import Chart, Family, Look, axis, bars, estimate, hover, trace

SCOPES = {"one": "specialist<br>(one domain)", "several": "generalist<br>(all domains)"}
LOOKS = {"latent": Look("@0", "circle", "solid", "latent"), "state": Look("@1", "square", "dash", "state")}


def family(rows: Sequence[Mapping[str, Any]]) -> Family:
    """A chart a domain, from `compare.two_by_two`."""
    return Family(
        "two-by-two",
        "Specialist or generalist, latent loss or state loss",
        "One architecture, the same windows of data; lower is better. Left: trained on one domain alone. Right: trained on all. "
        "Intervals that overlap tell nothing apart. Hollow symbols are further variants of a cell.",
        [_chart(row) for row in rows],
        "No architecture here was trained in all four ways; “hedgefox run --track hour” does so.",
    )


def _chart(row: Mapping[str, Any]) -> Chart:
    data = [t for objective, look in LOOKS.items() for t in _traces(row["cells"], objective, look)]
    layout = {
        "scattermode": "group",
        "scattergap": 0.9,
        "xaxis": axis("", type="category"),
        "yaxis": axis("position RMSE [m]", rangemode="tozero"),
    }
    return Chart(
        row["domain"],
        {"track": row["track"], "architecture": row["architecture"]},
        data,
        layout,
        f"position RMSE in {row['domain']} of specialists and generalists with latent and with state loss",
    )


def _traces(cells: Mapping[str, Any], objective: str, look: Look) -> list[dict[str, Any]]:
    first = [(scope, cells[scope][objective][0]) for scope in SCOPES if cells[scope][objective]]
    others = [(scope, cell) for scope in SCOPES for cell in cells[scope][objective][1:]]
    hollow = Look(look.colour, f"{look.symbol}-open", "dot", look.kind)
    made = [_trace(f"{objective} loss", look, first, "lines+markers")]
    return [*made, _trace(f"{objective} loss, variants", hollow, others, "markers")] if others else made


def _trace(name: str, look: Look, held: Sequence[tuple[str, Mapping[str, Any]]], mode: str) -> dict[str, Any]:
    errors = [cell["position_rmse"] for _, cell in held]
    made = trace(
        name, look, [SCOPES[s] for s, _ in held], [estimate(e)[0] for e in errors], mode=mode, error_y=bars(errors)
    )
    return {
        **made,
        "text": [hover(cell["model"], "")[: -len("<extra></extra>")] for _, cell in held],
        "hovertemplate": "%{text}%{y:.3g} m<extra></extra>",
    }
