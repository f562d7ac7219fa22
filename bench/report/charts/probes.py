"""Probes: how much of each quantity a linear read-out finds in latents, in an encoder as drawn, and in the raw state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..look import Chart, Family, Look, axis, bars, estimate, hover, label, trace

LOWEST = -0.5
"""Axes begin here; what is worse stands at the edge, its value in the hover text."""
LOOKS = {
    "latent": Look("@0", "circle", "solid", "features"),
    "random encoder": Look("@1", "square-open", "solid", "features"),
    "raw state": Look("@2", "diamond-open", "solid", "features"),
}


def family(rows: Sequence[Mapping[str, Any]]) -> Family:
    """A chart a track, model and domain, from `compare.probes`; of several training seeds all points."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["track"], row["model"], row["domain"]), []).append(row)
    return Family(
        "probes",
        "What latents know",
        "R² of linear probes on the split “test”, with 95 % intervals: one is perfect, zero is no better than the mean. Trained "
        "latents should lie to the right of the same encoder as it was drawn and of the raw state. Points below "
        f"{LOWEST} stand at the left edge.",
        [_chart(*at, held) for at, held in groups.items()],
        "No record here holds probes; only models that offer features are probed, as jepa is.",
    )


def _chart(track: str, model: str, domain: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["r2"]))
    data = [_trace(kind, _look(kind, k), rows) for k, kind in enumerate(kinds)]
    quantities = len({row["quantity"] for row in rows})
    layout = {
        "xaxis": axis("R²", range=[LOWEST - 0.05, 1.05], zeroline=True),
        "yaxis": axis("", type="category", automargin=True, autorange="reversed"),
        "height": 130 + 30 * quantities,
    }
    return Chart(domain, {"track": track, "model": model}, data, layout, f"R² of probes of {model} in {domain}")


def _look(kind: str, place: int) -> Look:
    known = next((look for name, look in LOOKS.items() if name.split()[0] in kind), None)
    return known or Look(f"@{3 + place % 5}", "x", "solid", "features")


def _trace(kind: str, look: Look, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    held = [(row["quantity"], row["r2"].get(kind)) for row in rows]
    known = [(name, r2) for name, r2 in held if estimate(r2)[0] is not None]
    values = [estimate(r2)[0] or 0.0 for _, r2 in known]
    clipped = [max(v, LOWEST) for v in values]
    spread = [r2 if v == c else None for (_, r2), v, c in zip(known, values, clipped, strict=True)]
    made = trace(kind, look, clipped, [label(name) for name, _ in known], mode="markers", error_x=bars(spread))
    return {**made, "text": [f"{v:.3g}" for v in values], "hovertemplate": hover(kind, "%{y}: R² %{text}")}
