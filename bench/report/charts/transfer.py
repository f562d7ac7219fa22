"""Transfer: what was learned (rows) against where it is asked (columns), and error by how many domains were learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...scaling import tables
from ..look import Chart, Family, Look, axis, bars, estimate, finite, hover, label, positive, trace

Rows = Sequence[Mapping[str, Any]]


def family(found: Mapping[str, Rows]) -> Family:
    """A matrix and a chart of breadth a track, from the lists of `transfer.transfer`."""
    tracks = dict.fromkeys(row["track"] for row in found["matrix"])
    charts = [_matrix(track, [r for r in found["matrix"] if r["track"] == track]) for track in tracks]
    charts += [
        _breadth(track, rows) for track in tracks if (rows := [r for r in found["breadth"] if r["track"] == track])
    ]
    return Family(
        "transfer",
        "Transfer and breadth",
        "Errors over those of constant velocity: below one is better than no physics at all. Rows of the matrix say what was "
        "learned, columns where it is asked; a domain that was not learned is a measurement, not a failure. Breadth: the same "
        "network after learning one, two, three domains.",
        charts,
        "No network here learned several sets of domains; “hedgefox run --track transfer” makes such a record.",
        tables.of_transfer(found)[2:] if found["few"] else [],
    )


def _matrix(track: str, rows: Rows) -> Chart:
    domains = list(dict.fromkeys(d for row in rows for d in row["errors"]))
    values = [[positive(row["errors"].get(d, {}).get("value")) for d in domains] for row in rows]
    heat = {
        "type": "heatmap",
        "x": [label(d) for d in domains],
        "y": [label(f"{row['model']}: {tables.learned(row)}") for row in rows],
        "z": [[None if v is None else finite(float(np.log10(v))) for v in row] for row in values],
        "text": [["" if v is None else f"{v:.2g}" for v in row] for row in values],
        "texttemplate": "%{text}",
        "hovertemplate": "learned: %{y}<br>asked: %{x}<br>error / constant velocity's: %{text}<extra></extra>",
        "colorscale": "Cividis",
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    layout = {
        "xaxis": axis("asked in", type="category"),
        "yaxis": axis("", type="category", autorange="reversed", automargin=True),
        "height": 160 + 26 * len(rows),
    }
    return Chart(
        "by what was learned", {"track": track}, [heat], layout, "matrix of errors by what was learned and asked"
    )


def _breadth(track: str, rows: Rows) -> Chart:
    data = []
    for k, domain in enumerate(dict.fromkeys(row["domain"] for row in rows)):
        mine = sorted((r for r in rows if r["domain"] == domain), key=lambda r: r["breadth"])
        look = Look(f"@{k % 8}", ("circle", "square", "diamond", "triangle-up")[k % 4], "solid", "domain")
        errors = [r["error"] for r in mine]
        ys = [estimate(e)[0] for e in errors]
        text = hover(domain, "%{x} domains learned: %{y:.3g}")
        data.append(
            trace(
                domain,
                look,
                [r["breadth"] for r in mine],
                ys,
                mode="lines+markers",
                error_y=bars(errors),
                hovertemplate=text,
            )
        )
    layout = {"xaxis": axis("domains learned", dtick=1), "yaxis": axis("error / constant velocity's", type="log")}
    return Chart("by how many were learned", {"track": track}, data, layout, "error by number of domains learned")
