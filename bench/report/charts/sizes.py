"""Size laws: error against parameters, and the law fitted through the sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...scaling import tables
from ..look import Chart, Family, Look, axis, bars, estimate, finite, hover, positive, trace

CURVE = 40
"""Points of a drawn law."""


def family(laws: Sequence[Mapping[str, Any]], ratios: Sequence[Mapping[str, Any]], held: Mapping[str, Look]) -> Family:
    """A chart a domain, from the rows of `size_law.laws` and `size_law.ratios`."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in laws:
        groups.setdefault((row["track"], row["domain"]), []).append(row)
    return Family(
        "size-law",
        "Error against size",
        "Position RMSE on the split “test” against the number of parameters, both logarithmic; the line is "
        "the fitted law. The table says how large the smallest generalist that matches the specialists is, over their "
        "parameters: “>” where no measured size is "
        "large enough.",
        [_chart(*at, rows, held) for at, rows in groups.items()],
        "No record here holds a model in several sizes; “hedgefox run --track sizes” makes one.",
        tables.of_size_law({"laws": laws, "ratios": ratios})[2:] if ratios else [],
    )


def _chart(track: str, domain: str, rows: Sequence[Mapping[str, Any]], held: Mapping[str, Look]) -> Chart:
    data = [t for row in rows for t in _traces(row, held.get(row["family"], Look("@muted", "circle", "dot", "")))]
    layout = {"xaxis": axis("parameters", type="log"), "yaxis": axis("position RMSE [m]", type="log")}
    return Chart(domain, {"track": track}, data, layout, f"position RMSE against parameters in {domain}")


def _traces(row: Mapping[str, Any], look: Look) -> list[dict[str, Any]]:
    name = f"{row['family']}, equal {row['equal']}" if row["equal"] else row["family"]
    sizes = row["sizes"]
    errors = [s["error"] for s in sizes]
    xs = [s["parameters"] for s in sizes]
    text = hover(name, "%{x:,} parameters: %{y:.3g} m")
    compute = row["equal"] == "compute"
    shown = Look(
        look.colour,
        f"{look.symbol.removesuffix('-open')}{'-open' if compute else ''}",
        "dash" if compute else "solid",
        look.kind,
    )
    points = trace(
        name, shown, xs, [estimate(e)[0] for e in errors], mode="markers", error_y=bars(errors), hovertemplate=text
    )
    return [points, trace(name, shown, *_law(row, xs), mode="lines", hoverinfo="skip")]


def _law(row: Mapping[str, Any], sizes: Sequence[float]) -> tuple[list[Any], list[Any]]:
    at = np.geomspace(min(sizes), max(sizes), CURVE)
    errors = row["scale"] * at ** -row["exponent"]["value"] + row["floor"]
    return [finite(float(x)) for x in at], [positive(float(e)) for e in errors]
