"""What records hold of two contestants, ready to stand side by side: errors frame by frame, costs, what was trained on what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .leaderboard import SHOWN, Entry

Plain = Mapping[str, Any] | None
"""An estimate as a record holds it, or None."""
Place = tuple[str, str, str]
"""Track, domain and split."""

TIE = "tie"
FLOOR = "decode_floor@"
TIMED = ("latency_ms", "encode_ms", "advance_ms", "decode_ms", "encode_decode_ms", "throughput_nodes_per_s")
TRAINED = ("training_steps", "training_device_seconds", "parameters", "bytes")


def places(entries: Iterable[Entry]) -> dict[Place, dict[str, Entry]]:
    """By place and model, the entry of the newest record that holds one."""
    found: dict[Place, dict[str, Entry]] = {}
    for e in sorted(entries, key=lambda e: e.made):
        found.setdefault((e.row["track"], e.row["domain"], e.row["split"]), {})[e.row["model"]] = e
    return found


def of_domains(held: Mapping[Place, Mapping[str, Entry]], track: str, model: str) -> dict[str, Entry]:
    """A model's entry in each domain of a track, on the split `test` where it was scored on that."""
    found: dict[str, Entry] = {}
    for (t, domain, split), models in held.items():
        if t == track and model in models and (domain not in found or split == "test"):
            found[domain] = models[model]
    return found


# -- accuracy ----------------------------------------------------------------------------------------------------------


def errors(entry: Entry, frame: str) -> dict[str, Any]:
    """Position RMSE, decode floor and what lies between them at a shown frame; None for what is not there."""
    floor = next((v[frame] for m, v in entry.score["values"].items() if m.startswith(FLOOR)), None)
    position = entry.row[f"position_rmse_{frame}"]
    excess = None if floor is None or position is None else position["value"] - floor["value"]
    return {"position_rmse": position, "decode_floor": floor, "excess_error": excess}


def verdict(a: Entry, b: Entry, frame: str) -> dict[str, Any] | None:
    """Both sides' errors at a frame, which model errs less (TIE where intervals overlap) and by which factor.

    None where neither has an error; no winner where one alone has, or where one scene gives no interval.
    """
    left, right = errors(a, frame), errors(b, frame)
    x, y = left["position_rmse"], right["position_rmse"]
    if x is None and y is None:
        return None
    found: dict[str, Any] = {"a": left, "b": right, "winner": None, "factor": None}
    if x is None or y is None:
        return found
    small, large = sorted((x["value"], y["value"]))
    found["factor"] = large / small if small > 0 else None
    if x["low"] is not None and y["low"] is not None:
        found["winner"] = a.row["model"] if x["high"] < y["low"] else b.row["model"] if y["high"] < x["low"] else TIE
    return found


def frames(a: Entry, b: Entry) -> dict[str, Any]:
    """The verdict of every shown frame."""
    return {frame: said for frame in SHOWN if (said := verdict(a, b, frame)) is not None}


# -- costs -------------------------------------------------------------------------------------------------------------


def costs(entry: Entry) -> dict[str, Any]:
    """Size, training and times of a contestant; None for what was not measured. Phases are those of one rollout of one scene."""
    phases = (entry.speed or {}).get("phases") or {}
    spent = {name: _milliseconds(phases.get(f"{name}_s")) for name in ("encode", "advance", "decode")}
    encode, decode = spent["encode"], spent["decode"]
    return {
        **{name: entry.card.get(name) for name in TRAINED},
        "tuning_device_seconds": entry.card.get("tuning_device_seconds"),
        "latency_ms": entry.row["latency_ms"],
        **{f"{name}_ms": value for name, value in spent.items()},
        "encode_decode_ms": None if encode is None or decode is None else encode + decode,
        "throughput_nodes_per_s": entry.row["throughput_nodes_per_s"],
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def beside(a: Entry, b: Entry) -> dict[str, Any]:
    """Costs of two contestants in one domain, ratios a over b, and whether they were trained on the same data.

    Times are set in ratio only when they were measured alike.
    """
    left, right = costs(a), costs(b)
    alike = a.timed == b.timed
    compared = [name for name in left if alike or name not in TIMED]
    return {
        "a": left,
        "b": right,
        "ratio": {name: ratio(left[name], right[name]) if name in compared else None for name in left},
        "timed_alike": alike,
        "data": data(a, b),
    }


def ratio(a: float | None, b: float | None) -> float | None:
    """a over b; None where either is missing or b is zero."""
    return None if a is None or not b else a / b


# -- trainings ---------------------------------------------------------------------------------------------------------


def trained_on(entry: Entry) -> tuple[str, ...]:
    """The domains whose data a model was trained on, as its card says; on an older card, by its hash."""
    from ..surrogates._base import manifest_of

    card, known = entry.card, {d: m for d, m in entry.manifests.items() if m is not None}
    if card.get("training_data") is None:
        return ()
    if card.get("learned"):
        return tuple(sorted(card["learned"]))
    alone = entry.row["domain"]
    if card["training_data"] == known.get(alone):
        return (alone,)
    named = [d for d in (known if "*" in card["domains"] else card["domains"]) if d in known]
    if len(named) > 1 and manifest_of({d: known[d] for d in named}) == card["training_data"]:
        return tuple(sorted(named))
    return (alone,) if "*" in card["domains"] else tuple(sorted(card["domains"]))


def data(a: Entry, b: Entry) -> dict[str, Any]:
    """On which domains two models were trained, whether their data are the same, and whether those of this domain are."""
    mine, its, domain = trained_on(a), trained_on(b), a.row["domain"]
    hashes = [e.card.get("training_data") for e in (a, b)]
    here = None
    if domain in mine and domain in its:
        here = a.manifests.get(domain) is not None and a.manifests.get(domain) == b.manifests.get(domain)
    equal = None if None in hashes else hashes[0] == hashes[1]
    return {"a": list(mine), "b": list(its), "equal": equal, "equal_in_domain": here}


def total(entries: Sequence[Entry]) -> dict[str, Any]:
    """What some entries cost together to train and to store: one training counts once however many domains it is for."""
    once = {(e.row["model"], e.card.get("training_data")): e for e in entries}
    sums = {name: sum(e.card.get(name) or 0 for e in once.values()) for name in TRAINED}
    trainings = sum(data is not None for _, data in once)
    return {"models": {e.row["domain"]: e.row["model"] for e in entries}, "trainings": trainings, **sums}


def totals(a: Sequence[Entry], b: Sequence[Entry]) -> dict[str, Any]:
    """Two lists of entries as `total`, with ratios a over b."""
    left, right = total(a), total(b)
    return {"a": left, "b": right, "ratio": {name: ratio(left[name], right[name]) for name in TRAINED}}
