"""What is behind the columns of accuracy and size: values a scene and seed, counts, cards, and the rivals' intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import leaderboard
from ..reduce import CONFIDENCE, DRAWS, FRAMES, estimate, interquartile_mean, micro_f1, reductions, trust_horizon
from ..score import Score
from ..seal import derived
from . import sources as _sources
from .explained import Behind, Evidence

POSITION = "position_rmse"
COUNTS = ("tp", "fp", "fn")


def position(behind: Behind) -> Evidence:
    """Position errors at the column's frame."""
    return _of_reduction(behind, POSITION, behind.column.removeprefix(f"{POSITION}_"))


def metric(behind: Behind) -> Evidence:
    """A metric's mean over the horizon; F1 from its counts."""
    name = behind.column.partition("/")[2]
    if name.startswith("trust_horizon@"):
        return _trusted(behind, whole=True)
    if name.startswith("speedup_reference@"):
        from .times import reference_estimate

        return reference_estimate(behind)
    if any(f"{name}/tp" in s.curves for s in behind.scores()):
        return _counted(behind, name)
    return _of_reduction(behind, name.split("@")[0], "mean")


def trusted(behind: Behind) -> Evidence:
    """Frames until each scene's error passes the threshold."""
    return _trusted(behind, whole=False)


def _of_reduction(behind: Behind, name: str, reduction: str) -> Evidence:
    held = behind.scores()
    found = [(s.seed, _reduced(s, name, reduction)) for s in held]
    if not found or any(v is None for _, v in found):
        return Evidence({"samples": {"reason": _absent(held, reduction)}})
    values = np.stack([v for _, v in found if v is not None])
    said = estimate(values)
    parts = {"scenes, worst first": _worst_first([s for s, _ in found], values), "samples": _about(values)}
    return Evidence(parts, None if said is None else said.to_dict())


def _absent(held: Sequence[Score], reduction: str) -> str:
    if reduction in map(str, FRAMES) and held and any(len(c) < int(reduction) for c in held[0].curves.values()):
        return f"the horizon is shorter than {reduction} frames"
    return "does not apply to this contestant"


def _reduced(score: Score, name: str, reduction: str) -> np.ndarray | None:
    curve = _sources.with_metric(score, name)
    return None if curve is None else reductions(curve)[reduction]


def _trusted(behind: Behind, *, whole: bool) -> Evidence:
    held = behind.scores()
    about = behind.found[0][1]["domains"]
    threshold = next(d["trust_threshold"] for d in about if d["name"] == behind.entry.row["domain"])
    found = [(s.seed, _sources.with_metric(s, POSITION)) for s in held]
    values = np.stack([trust_horizon(c, threshold) for _, c in found])
    said = estimate(values)
    facts = {"threshold [m]": threshold} | _about(values)
    parts = {"scenes, first to fail first": _worst_first([s for s, _ in found], -values, -1), "samples": facts}
    if said is None:
        return Evidence(parts)
    return Evidence(parts, said.to_dict() if whole else said.value)


def _counted(behind: Behind, name: str) -> Evidence:
    held = behind.scores()
    sums = {n: np.stack([s.curves[f"{name}/{n}"].sum(0) for s in held]) for n in COUNTS}
    said = micro_f1(sums)
    rows: list[dict[str, Any]] = [
        {"seed": s.seed, "scene": i, **{n: int(sums[n][k, i]) for n in COUNTS}}
        for k, s in enumerate(held)
        for i in range(sums["tp"].shape[1])
    ]
    rows.sort(key=lambda r: (-(r["fp"] + r["fn"]), str(r["seed"]), r["scene"]))
    totals = {n: int(x.sum()) for n, x in sums.items()} | {"bootstrap": _bootstrap()}
    return Evidence({"counts, most wrong first": rows, "samples": totals}, None if said is None else said.to_dict())


def _worst_first(seeds: Sequence[int | None], values: np.ndarray, sign: int = 1) -> list[dict[str, Any]]:
    rows = [
        {"seed": seed, "scene": i, "value": None if np.isnan(v) else sign * float(v)}
        for seed, of_seed in zip(seeds, values, strict=True)
        for i, v in enumerate(of_seed)
    ]
    return sorted(rows, key=lambda r: (r["value"] is None, -sign * (r["value"] or 0.0), r["scene"]))


def _about(values: np.ndarray) -> dict[str, Any]:
    """Number, mean, interquartile mean, 90th percentile of values (seeds, scenes), and how the interval is drawn."""
    known = values[:, ~np.isnan(values).any(0)].ravel()
    if not known.size:
        return {"seeds": values.shape[0], "scenes": values.shape[1], "defined": 0}
    return {
        "seeds": values.shape[0],
        "scenes": values.shape[1],
        "defined": int(known.size),
        "mean": float(known.mean()),
        "interquartile mean": interquartile_mean(known),
        "90th percentile": float(np.percentile(known, 90)),
        "bootstrap": _bootstrap(),
    }


def _bootstrap() -> str:
    return f"{DRAWS} draws, seeds and scenes resampled together, {100 * CONFIDENCE:.0f} %, generator seed 0"


def diverged(behind: Behind) -> Evidence:
    """Each record's share; which scene diverged is in no record."""
    row = behind.entry.row
    held = [_sources.score_of(r, row["domain"], row["split"], row["model"]) for _, r in behind.found]
    rows = [{n: s[n] for n in ("seeds", "scenes", "frames", "diverged_share")} for s in held]
    weights = [len(s["seeds"]) * s["scenes"] for s in held]
    share = float(np.average([s["diverged_share"] for s in held], weights=weights))
    return Evidence({"by record": rows}, share)


def seeds(behind: Behind) -> Evidence:
    """The training seeds."""
    row = behind.entry.row
    drawn = {
        seed
        for _, r in behind.found
        for seed in _sources.score_of(r, row["domain"], row["split"], row["model"])["seeds"]
        if seed is not None
    }
    return Evidence({"samples": {"training seeds": sorted(drawn)}}, len(drawn) or None)


def round_of(behind: Behind) -> Evidence:
    """What entered the round, and the seal made from it again."""
    record = behind.found[0][1]
    held = record.get("round")
    if held is None:
        return Evidence({"samples": {"reason": "scored on public tests"}})
    return Evidence({"entered": list(held["entered"])}, derived(record))


def on_card(behind: Behind) -> Evidence:
    """What the model's card says."""
    card: Mapping[str, Any] = behind.entry.card
    return Evidence({"card": dict(card)}, card[behind.column])


def ranked(behind: Behind) -> Evidence:
    """The intervals of all that are ranked there."""
    mine = behind.entry
    where = ("track", "domain", "split", "round")
    rivals = [e for e in behind.entries if all(e.row[n] == mine.row[n] for n in where)]
    spans = [(e, s) for e in rivals if e.rank != "–" and (s := leaderboard.interval(e.row, e.floor)) is not None]
    rows = [{"rank": e.rank, "model": e.row["model"], "value": v, "low": a, "high": b} for e, (v, a, b) in spans]
    by = {"ranked by": f"position_rmse_{leaderboard.ranked_at(mine.row, mine.floor)}"}
    return Evidence({"frame": by, "intervals of all that are ranked there": rows}, _place(mine, spans))


def _place(mine: leaderboard.Entry, spans: Sequence[tuple[leaderboard.Entry, tuple[float, float, float]]]) -> str:
    own = next((s for e, s in spans if e is mine), None)
    if own is None:
        return "–"
    best = 1 + sum(s[2] < own[1] for _, s in spans)
    worst = sum(s[1] <= own[2] for _, s in spans)
    return str(best) if best == worst else f"{best}–{worst}"
