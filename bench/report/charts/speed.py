"""What speed is worth: total cost against number of rollouts, and throughput against batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...leaderboard import Entry, error
from ..look import LEARNED, Chart, Family, Look, axis, finite, hover, positive, trace

ROLLOUTS = np.geomspace(1, 1e7, 29)
Draw = Callable[[tuple[str, str], Sequence[Entry], Mapping[str, Look]], Chart | None]
"""What draws the timed entries of a track and domain."""


def timed(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """The timed entries of the split `test`, by track and domain, the newest of each name, the most accurate first."""
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for e in sorted(entries, key=lambda e: e.made):
        if e.speed is not None and e.row["split"] == "test":
            found.setdefault((e.row["track"], e.row["domain"]), {})[e.row["model"]] = e
    return {at: sorted(held.values(), key=lambda e: error(e.row, e.floor)) for at, held in found.items()}


def _each(entries: Sequence[Entry], held: Mapping[str, Look], draw: Draw) -> list[Chart]:
    """A chart a track and domain, where there is something to draw."""
    drawn = (draw(at, group, held) for at, group in timed(entries).items())
    return [chart for chart in drawn if chart is not None]


# -- break-even --------------------------------------------------------------------------------------------------------


def break_even(entries: Sequence[Entry], held: Mapping[str, Look]) -> Family:
    """A chart a track and domain: the reference, and every learned contestant with the simulator that is as accurate."""
    return Family(
        "break-even",
        "When it pays",
        "Total time against the number of rollouts that one needs. A learned contestant begins with what its data, training and "
        "compilation cost; the dotted line of its colour is the cheapest simulator setting that errs no more. It pays from where "
        "its line passes below the dotted one; where it never does, the simulator stays cheaper. The best specialist and the "
        "best generalist are shown at first.",
        _each(entries, held, _paid),
        "No record here holds break-even figures; timings and the cost of data are needed for them.",
    )


def _paid(at: tuple[str, str], group: Sequence[Entry], held: Mapping[str, Look]) -> Chart | None:
    learned = [e for e in group if e.row["kind"] in LEARNED and ((e.speed or {}).get("break_even") or {}).get("costs")]
    if not learned:
        return None
    best = {e.row["kind"]: e.row["model"] for e in reversed(learned)}
    data = [t for e in learned for t in _lines(e, held[e.row["model"]], e.row["model"] in best.values())]
    for e in group:
        if e.row["kind"] == "reference":
            data.append(_line(e.row["model"], held[e.row["model"]], 0.0, 1e-3 * e.row["latency_ms"]))
    layout = {"xaxis": axis("rollouts", type="log"), "yaxis": axis("total time [s]", type="log")}
    return Chart(at[1], {"track": at[0]}, data, layout, f"total time against number of rollouts in {at[1]}")


def _lines(entry: Entry, look: Look, shown: bool) -> Iterator[dict[str, Any]]:
    speed = entry.speed or {}
    costs, own, equal = speed["break_even"]["costs"], 1e-3 * entry.row["latency_ms"], speed["speedup_equal_accuracy"]
    more = {} if shown else {"visible": "legendonly"}
    spent = sum(v for v in costs.values() if finite(v) is not None)
    # Dots are the simulator's; beyond the palette's end dashes tell apart what has one colour.
    dash = "longdash" if look.dash == "dot" else look.dash
    yield _line(entry.row["model"], Look(look.colour, look.symbol, dash, look.kind), spent, own) | more
    if equal is not None and positive(equal["value"]) is not None:
        rival = Look(look.colour, look.symbol, "dot", look.kind)
        flag = equal.get("flag", "")
        said = {"<": ", at most this", ">": ", at least this"}.get(flag, "")
        yield _line(entry.row["model"], rival, 0.0, equal["value"] * own, f"simulator as accurate{said}: ") | more


def _line(model: str, look: Look, once: float, each: float, said: str = "") -> dict[str, Any]:
    ys = [positive(float(once + each * n)) for n in ROLLOUTS]
    text = hover(model, f"{said}%{{x:,.0f}} rollouts: %{{y:.3g}} s")
    return trace(model, look, [finite(float(n)) for n in ROLLOUTS], ys, mode="lines", hovertemplate=text)


# -- throughput --------------------------------------------------------------------------------------------------------


def throughput(entries: Sequence[Entry], held: Mapping[str, Look]) -> Family:
    """A chart a track and domain: nodes a second by batch size, of every timed contestant."""
    return Family(
        "throughput",
        "Throughput against batch",
        "Nodes times frames a second, by how many scenes are rolled out at once; higher is better. A line that rises says that the "
        "machine was not full with one scene.",
        _each(entries, held, _batches),
        "No record here holds timings: “hedgefox run” without --no-speed makes them.",
    )


def _batches(at: tuple[str, str], group: Sequence[Entry], held: Mapping[str, Look]) -> Chart | None:
    data = []
    for e in group:
        tried = ((e.speed or {}).get("throughput") or {}).get("tried") or []
        points = [(t["batch"], y) for t in tried if (y := positive(t.get("nodes_per_s"))) is not None]
        if points:
            name, look = e.row["model"], held[e.row["model"]]
            text = hover(name, "batch %{x}: %{y:.3s} nodes/s")
            xs, ys = zip(*points, strict=True)
            data.append(trace(name, look, xs, ys, mode="lines+markers", hovertemplate=text))
    layout = {"xaxis": axis("scenes at once", type="log", dtick=0.30102999566), "yaxis": axis("nodes/s", type="log")}
    return Chart(at[1], {"track": at[0]}, data, layout, f"throughput against batch in {at[1]}") if data else None
