"""Size laws and transfer as tables for people: each a title and rows of equal keys; empty where a record holds no such thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[str, list[dict[str, Any]]]
Rows = Sequence[Mapping[str, Any]]


def of_size_law(found: Mapping[str, Rows]) -> list[Table]:
    """The tables of `size_law.survey`."""
    law, ratio = found["laws"], found["ratios"]
    return [
        (f"size law: position RMSE [m] at {_where(law)} by parameters", [s for row in law for s in _sizes(row)]),
        ("size law: error = a · parameters^-b (+ c)", [_law(row) for row in law]),
        (
            "size law: the smallest generalist that matches, over the parameters of the specialists",
            [_match(r) for r in ratio],
        ),
    ]


def of_transfer(found: Mapping[str, Rows]) -> list[Table]:
    """The tables of `transfer.survey`."""
    matrix, breadth, few = (found[name] for name in ("matrix", "breadth", "few"))
    at = f"error over constant velocity's, {_where(matrix)}"
    return [
        (f"transfer: {at}, by what was learned (rows) and test domain", _matrix(matrix)),
        (f"breadth: {at}, by number of domains learned", _breadth(breadth)),
        ("few-shot: error after learning other domains first, over that without", [_few(row) for row in few]),
    ]


def _where(rows: Rows) -> str:
    return f"frame {rows[0]['frame']} or the last, {rows[0]['split']}" if rows else "–"


def _interval(held: Mapping[str, Any], digits: int = 3) -> str:
    """Value and interval, each with the flag that it may have."""
    parts = [f"{held.get(f'{n}_flag', '')}{held[n]:.{digits}g}" for n in ("low", "high")]
    return f"{held.get('flag', '')}{held['value']:.{digits}g} [{parts[0]}, {parts[1]}]"


def _sizes(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    head = {name: row[name] for name in ("track", "domain", "equal")}
    return [
        {**head, "model": s["model"], "parameters": s["parameters"]}
        | {"training [device s]": s["training_device_seconds"], "error": _interval(s["error"])}
        for s in row["sizes"]
    ]


def _law(row: Mapping[str, Any]) -> dict[str, Any]:
    head = {name: row[name] for name in ("track", "domain", "family", "equal")}
    floor = row["floor"] if row["floor"] else "–"
    fitted = {"b": _interval(row["exponent"]), "a": row["scale"], "c": floor, "residual": row["residual"]}
    return {**head, "sizes": len(row["sizes"]), **fitted, "seeds": row["seeds"], "scenes": row["scenes"]}


def _match(row: Mapping[str, Any]) -> dict[str, Any]:
    head = {name: row[name] for name in ("track", "generalist", "equal", "domain")}
    rivals = ", ".join(row["specialists"].values())
    found = {"its parameters": _interval(row["size"]), "ratio": _interval(row["ratio"])}
    return {**head, "specialists": rivals, "their parameters": row["parameters"], **found}


def _matrix(rows: Rows) -> list[dict[str, Any]]:
    domains = dict.fromkeys(domain for row in rows for domain in row["errors"])
    return [
        {"track": row["track"], "model": row["model"], "learned": learned(row)}
        | {d: _interval(row["errors"][d]) + _mark(row, d) if d in row["errors"] else "–" for d in domains}
        for row in rows
    ]


def learned(row: Mapping[str, Any]) -> str:
    """What was learned, in words: "cloth + rigid, 8 of fluid"."""
    whole = " + ".join(d for d in row["learned"] if d not in row["shots"])
    few = ", ".join(f"{n} of {d}" for d, n in row["shots"].items())
    return ", ".join(part for part in (whole, few) if part)


def _mark(row: Mapping[str, Any], domain: str) -> str:
    return "" if domain in row["learned"] else " (units alone)"


def _breadth(rows: Rows) -> list[dict[str, Any]]:
    domains = dict.fromkeys(row["domain"] for row in rows)
    held = {(row["track"], row["breadth"], row["domain"]): _interval(row["error"]) for row in rows}
    lines = dict.fromkeys((row["track"], row["breadth"]) for row in sorted(rows, key=lambda r: r["breadth"]))
    return [
        {"track": track, "domains learned": n, **{d: held.get((track, n, d), "–") for d in domains}}
        for track, n in lines
    ]


def _few(row: Mapping[str, Any]) -> dict[str, Any]:
    few = row["few"]
    head = {"track": row["track"], "domain": row["domain"], "trajectories": row["shots"]}
    first = " + ".join(d for d in few["learned"] if d not in few["shots"])
    return {**head, "first": first, "model": few["model"], "without": row["scratch"], "ratio": _interval(row["ratio"])}
