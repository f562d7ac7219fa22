"""Comparisons as tables for people: each a title and rows of equal keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._held import TIE, TRAINED
from .board_text import text_of
from .compare import OBJECTIVES, SCOPES
from .leaderboard import SHOWN
from .scaling.tables import of_size_law, of_transfer

Table = tuple[str, list[dict[str, Any]]]
LABELS = {
    "parameters": "parameters",
    "bytes": "bytes",
    "training_steps": "training steps",
    "training_device_seconds": "training [device s]",
    "tuning_device_seconds": "tuning [device s]",
    "latency_ms": "latency [ms]",
    "encode_ms": "encode [ms]",
    "advance_ms": "advance [ms]",
    "decode_ms": "decode [ms]",
    "encode_decode_ms": "encode + decode [ms]",
    "throughput_nodes_per_s": "nodes/s",
}


def tables(found: Mapping[str, Any]) -> list[Table]:
    """The tables of what `compare.compared` gives."""
    if "verdicts" in found:
        return of_regression(found)
    return of_survey(found) if "generalists" in found else of_pair(found)


def of_pair(found: Mapping[str, Any]) -> list[Table]:
    """The tables of `compare.compare`."""
    a, b = _names(found["a"], found["b"])
    differ = found["differ"]
    factors = [{"factor": f, a: x, b: y} for f, (x, y) in differ.items() if f != "health"]
    healths = [{"domain": d, a: x.get(d), b: y.get(d)} for x, y in _healths(differ) for d in {**x, **y}]
    made = [("factors in which the cards differ", factors), ("health of the latents", healths)]
    for where in dict.fromkeys((pair["a"]["domain"], pair["a"]["track"]) for pair in found["rows"]):
        pairs = [pair for pair in found["rows"] if (pair["a"]["domain"], pair["a"]["track"]) == where]
        note = "" if all(pair["comparable"] for pair in pairs) else " (some of other versions or data: not comparable)"
        made.append((f"position RMSE [m]: {' · '.join(where)}{note}", _accuracy(pairs, a, b)))
    made += [(f"costs: {c['domain']} · {c['track']}", _costs(c, a, b)) for c in found["costs"]]
    made.append(("equal or not, a over b", [_equal(c["domain"], c, a, b) for c in found["costs"]]))
    return [*made, ("trainings together", [row for t in found["training"] for row in _together(t, a, b)])]


def of_survey(found: Mapping[str, Any]) -> list[Table]:
    """The tables of `compare.survey`."""
    made: list[Table] = []
    for g in found["generalists"]:
        name = f"{g['model']} · {g['track']}"
        best = [x for x in g["against"] if x["best"] and x["split"] == "test"]
        made.append((f"{name}: against the best specialists, test, position RMSE [m]", _against_best(g["model"], best)))
        made.append((f"{name}: who errs less, and by which factor", [_line(x) for x in g["against"]]))
        prices = [{"specialist": c["model"]} | _equal(c["domain"], c, g["model"], c["model"]) for c in g["costs"]]
        made.append((f"{name}: costs over each specialist's", prices))
        together = [] if g["training"] is None else _together(g["training"], g["model"], "specialists together")
        made.append((f"{name}: one training against the sum", together))
    made.append(("two by two: position RMSE [m] by objective and domains trained on", _two_by_two(found["two_by_two"])))
    made.append(("probes: R² by linear regression on", _probes(found["probes"])))
    return [*made, *of_size_law(found["size_law"]), *of_transfer(found["transfer"])]


def of_regression(found: Mapping[str, Any]) -> list[Table]:
    """The tables of `regression.regression`: what changed first, what did not as a count, and seconds, which are not judged."""
    counts = [{"verdict": verdict, "rows": number} for verdict, number in sorted(found["verdicts"].items())]
    settings = [{"setting": name, "old": old, "new": new} for name, (old, new) in found["settings"].items()]
    made: list[Table] = [("settings of the track that differ", settings)]
    for what, title in _CHANGES.items():
        rows = [row for row in found["rows"] if row["what"] == what and row["verdict"] != "same"]
        made.append((title, [_changed(row) for row in rows]))
    seconds = [{**{n: s[n] for n in ("domain", "model")}, **_both_ms(s)} for s in found["seconds"]]
    return [*made, ("latencies, which depend on what else the machine did: not judged", seconds), ("verdicts", counts)]


_CHANGES = {
    "failure": "fails now and did not",
    "accuracy": "errors that changed beyond their intervals",
    "speed": "times over the reference's of the same record that changed beyond their intervals",
    "size": "sizes that changed",
    "presence": "in one record only, or not comparable",
}


def _changed(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("verdict", "domain", "split", "model", "measure", "at", "old", "new")
    by = None if row["effect"] is None else {"value": row["effect"], "low": row["low"], "high": row["high"]}
    return {n: row[n] for n in names} | {
        "new / old" if row["what"] == "speed" else "new - old": by,
        "note": row["note"],
    }


def _both_ms(seconds: Mapping[str, Any]) -> dict[str, float]:
    return {f"{side} [ms]": 1e3 * seconds[side] for side in ("old", "new")}


def _names(a: str, b: str) -> tuple[str, str]:
    """Headings of the two sides, unlike also for one model beside itself."""
    return (a, b) if a != b else (f"{a} (a)", f"{b} (b)")


def _healths(differ: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    mine, its = differ.get("health", [None, None])
    return [(mine or {}, its or {})]


def _accuracy(pairs: Sequence[Mapping[str, Any]], a: str, b: str) -> list[dict[str, Any]]:
    """A row a split and frame; decode floors and what lies beyond them only where some model has one."""
    rows = [
        {"split": pair["a"]["split"], "frame": frame, a: said["a"]["position_rmse"], b: said["b"]["position_rmse"]}
        | _winner(said)
        | {f"{what} {name}": said[side][key] for what, key in _BEYOND for side, name in (("a", a), ("b", b))}
        for pair in pairs
        for frame, said in pair["frames"].items()
    ]
    beyond = {f"{what} {name}" for what, _ in _BEYOND for name in (a, b)}
    empty = {name for name in beyond if all(row[name] is None for row in rows)}
    return [{k: v for k, v in row.items() if k not in empty} for row in rows]


_BEYOND = (("floor", "decode_floor"), ("excess", "excess_error"))


def _winner(said: Mapping[str, Any]) -> dict[str, Any]:
    return {"errs less": said["winner"], "×": None if said["winner"] == TIE else said["factor"]}


def _costs(beside: Mapping[str, Any], a: str, b: str) -> list[dict[str, Any]]:
    measured = [n for n in LABELS if beside["a"].get(n) is not None or beside["b"].get(n) is not None]
    return [{"": LABELS[n], a: beside["a"][n], b: beside["b"][n], "a / b": beside["ratio"][n]} for n in measured]


def _equal(domain: str, beside: Mapping[str, Any], a: str, b: str) -> dict[str, Any]:
    """Data, compute and size of two sides in one row."""
    data, ratio = beside["data"], beside["ratio"]
    same = "–" if data["equal"] is None else "equal" if data["equal"] else _unequal(domain, data, a, b)
    return {
        "domain": domain,
        "data": same,
        **{f"× {LABELS[name]}": ratio[name] for name in ("training_device_seconds", "training_steps", "parameters")},
        **{f"× {LABELS[name]}": ratio[name] for name in ("latency_ms", "advance_ms", "encode_decode_ms")},
    }


def _unequal(domain: str, data: Mapping[str, Any], a: str, b: str) -> str:
    """How data differ: one side may have seen the same films of this domain and others besides."""
    others = [", ".join(d for d in data[side] if d != domain) for side in ("a", "b")]
    if not data["equal_in_domain"] or others[0] == others[1]:
        return "differ"
    wider = [f"{side} also of {more}" for side, more in zip((a, b), others, strict=True) if more]
    return f"equal here; {' and '.join(wider)}"


def _together(row: Mapping[str, Any], a: str, b: str) -> list[dict[str, Any]]:
    """Totals over all trainings in question, a row a side and one of ratios."""
    over = ", ".join(row["domains"])

    def side(name: str, held: Mapping[str, Any]) -> dict[str, Any]:
        models = ", ".join(dict.fromkeys(held["models"].values()))
        head = {
            "domains": over,
            "side": name if models == name else f"{name}: {models}",
            "trainings": held["trainings"],
        }
        return head | {LABELS[n]: held[n] for n in TRAINED}

    ratios = {"domains": over, "side": "a / b", "trainings": None, **{LABELS[n]: row["ratio"][n] for n in TRAINED}}
    return [side(a, row["a"]), side(b, row["b"]), ratios]


def _against_best(generalist: str, against: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"domain": x["domain"], "frame": frame, generalist: said["a"]["position_rmse"], "specialist": x["model"]}
        | {"its RMSE": said["b"]["position_rmse"], **_winner(said)}
        for x in against
        for frame, said in x["frames"].items()
    ]


def _line(x: Mapping[str, Any]) -> dict[str, Any]:
    """One specialist's verdicts at all shown frames."""
    head = {"domain": x["domain"], "split": x["split"], "specialist": x["model"] + (" (best)" if x["best"] else "")}
    return head | {f: _verdict(x["frames"].get(f)) for f in SHOWN} | {"comparable": x["comparable"]}


def _verdict(said: Mapping[str, Any] | None) -> str:
    if said is None or said["winner"] is None:
        return "–"
    by = said["factor"]
    return TIE if said["winner"] == TIE else str(said["winner"]) + ("" if by is None else f" ×{by:.3g}")


def _two_by_two(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: t[name] for name in ("track", "domain", "architecture")}
        | {"trained on": "one domain" if scope == "one" else "several"}
        | {objective: _cell(t["cells"][scope][objective]) for objective in OBJECTIVES}
        for t in found
        for scope in SCOPES
    ]


def _cell(models: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{text_of(m['position_rmse'])} {m['model']}" for m in models)


def _probes(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kinds = dict.fromkeys(kind for row in found for kind in row["r2"])
    names = ("domain", "model", "seed", "quantity")
    return [
        {n: row[n] for n in names} | {k: row["r2"].get(k) for k in kinds} for row in found if any(row["r2"].values())
    ]
