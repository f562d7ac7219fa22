"""Any cell of the board traced back: its formula, the records it is from, the samples, and the value made again from them.

A cell is [TRACK/]DOMAIN/SPLIT/MODEL/COLUMN, a column any field of a row, `rank`, or `metrics/NAME@VERSION`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from ...contracts.nearest import one_of
from .. import leaderboard
from ..board_text import text_of
from ..leaderboard import FIELDS, SHOWN, Entry
from . import samples, times
from . import sources as _sources
from .explained import Behind, Evidence

IDENTITY = ("track", "domain", "split", "model", "kind")
"""Columns that say whose row it is, and measure nothing."""
METRICS = "metrics"
RANK = "rank"
TOLERANCE = 1e-9
"""Share by which a figure made again may differ: sums in another order round otherwise."""


@dataclass(frozen=True)
class Column:
    """What a column means and how its evidence is found."""

    says: str
    formula: str
    source: str
    evidence: Callable[[Behind], Evidence]


_POSITION = "eᵢ(t) = √( Σₙ |xₙ(t) - x̂ₙ(t)|² / N ) over the free nodes n of scene i; "
_MEAN = "the mean over scenes and training seeds, (1/SB) Σₛ Σᵢ eₛᵢ"


def _error(frame: str) -> Column:
    when = "the last frame of the horizon" if frame == "last" else f"new frame {frame}, counted from 1"
    return Column(
        f"Position error [m] at {when}: {_MEAN.split(',')[0]}, with its 95 % bootstrap interval.",
        f"{_POSITION}value = {_MEAN.split(', ')[1]}",
        "bench/metrics/position_rmse.py, bench/reduce.py: estimate; Agarwal et al. 2021, arXiv:2108.13264, on intervals over runs",
        samples.position,
    )


COLUMNS: dict[str, Column] = {
    **{f"position_rmse_{frame}": _error(frame) for frame in SHOWN},
    "trust_horizon": Column(
        "Frames until the position error of a scene first passes the domain's threshold, the whole horizon where it never does.",
        "hᵢ = min{t : eᵢ(t + 1) > ε};  value = mean of hₛᵢ over scenes and training seeds",
        "bench/reduce.py: trust_horizon",
        samples.trusted,
    ),
    "speedup_equal_accuracy": Column(
        "Time of the cheapest timed setting of the simulator that errs no more than the contestant, over the contestant's.",
        "S_acc = T_sim(ε) / T;  T_sim by straight lines in (log error, log time) on the Pareto front, never extrapolated",
        "bench/equal_accuracy.py; McGreivy & Hakim 2024, arXiv:2407.07218",
        times.equal_accuracy,
    ),
    "speedup_reference": Column(
        "Plain ratio of latencies, reference over contestant; not at equal accuracy.",
        "S_ref = median(T_ref) / median(T)",
        "bench/reduce.py: ratio_of_medians",
        times.reference,
    ),
    "latency_ms": Column(
        "Median time of one whole rollout of one scene [ms], neighbour search and features included.",
        "value = 1000 · median(T)",
        "bench/timing/speed.py, bench/timing/clock.py",
        times.latency,
    ),
    "throughput_nodes_per_s": Column(
        "Nodes advanced by a frame per second [1/s], at the contestant's own best batch.",
        "value = N_B · frames / median(T_B)",
        "bench/timing/speed.py: try_batches",
        times.throughput,
    ),
    "parameters": Column("Trained numbers of the model.", "as its card says", "contracts/card.py", samples.on_card),
    "bytes": Column("Size of the weights [bytes].", "as its card says", "contracts/card.py", samples.on_card),
    "peak_memory_bytes": Column(
        "Largest memory in use during one rollout [bytes]: the device's, as its driver says it; on a CPU how far the process grew.",
        "value = max over the rollout of (total - free); on a CPU max of resident size less that at the start",
        "bench/timing/memory.py",
        times.memory,
    ),
    "break_even_rollouts": Column(
        "Rollouts that pay back data, training, tuning and compilation, against the simulator at equal accuracy.",
        "N* = (C_data + C_train + C_tune + C_compile) / (T_sim(ε) - T); never where T_sim(ε) ≤ T",
        "bench/break_even.py; breakeven complexity, arXiv:2605.15399",
        times.break_even,
    ),
    "diverged_share": Column(
        "Share of rollouts with a frame that is not finite or far outside the box.",
        "value = diverged / (scenes · training seeds)",
        "contracts/trajectory.py: with_divergence",
        samples.diverged,
    ),
    "seeds": Column(
        "Number of training seeds; none for what is not drawn.", "value = |{s}|", "the records", samples.seeds
    ),
    METRICS: Column(
        "A metric's mean over the whole horizon, scenes and training seeds; of counted events F1, all counts summed.",
        "value = mean of mₛᵢ, mₛᵢ the mean over defined frames;  F1 = 2 TP / (2 TP + FP + FN)",
        "bench/metrics, one file a metric; bench/reduce.py",
        samples.metric,
    ),
    "round": Column(
        "The seal of the round whose states this was scored on: their seed follows from it. None for public tests.",
        "seal = SHA-256 of (suite version, track, domains, metric versions, hashes of all weights entered)",
        "bench/seal.py",
        samples.round_of,
    ),
    RANK: Column(
        "Place among what is comparable, by position error at frame 20: at the last of a shorter horizon, earlier past the floor.",
        "from 1 + |{j : highⱼ < low}| to |{j : lowⱼ ≤ high}|, the own row counted",
        "bench/leaderboard.py",
        samples.ranked,
    ),
}
"""Every column that measures something. A column of the board without an entry here fails a test."""


def explain(cell: str, folder: Path) -> dict[str, Any]:
    """What is behind a cell of the board of a folder of records, as plain data.

    `value`, `formula`, `records`, `evidence` by title, `recomputed` from the samples (None where a record keeps none), `agrees`.
    Raises MisuseError for a cell that is not on the board, naming what is.
    """
    entries = leaderboard.board(folder)
    place, column = _parsed(cell)
    entry = _entry(entries, place)
    known = _column(entry, column)
    track, domain, split, model = (entry.row[n] for n in ("track", "domain", "split", "model"))
    read = _sources.every(folder)
    found = _sources.sources(read, entry)
    behind = Behind(entry, entries, read, found, column)
    value = _value(entry, column)
    evidence = known.evidence(behind)
    agrees = None if evidence.recomputed is None and value is not None else same(value, evidence.recomputed)
    return {
        "cell": {"track": track, "domain": domain, "split": split, "model": model, "column": column},
        "value": value,
        "shown": entry.rank if column == RANK else text_of(value),
        "formula": {"says": known.says, "formula": known.formula, "source": known.source},
        "records": [_about(s, folder, behind) for s in found],
        "evidence": evidence.parts,
        "notes": list(evidence.notes),
        "recomputed": evidence.recomputed,
        "agrees": agrees,
    }


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are equal, numbers to rounding; of mappings the fields that both have."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return all(same(a[k], b[k]) for k in a.keys() & b.keys())
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-300)
    return bool(a == b)


# -- which cell --------------------------------------------------------------------------------------------------------


def _parsed(cell: str) -> tuple[list[str], str]:
    *place, column = cell.split("/")
    if place and place[-1] == METRICS:
        *place, _ = place
        column = f"{METRICS}/{column}"
    if len(place) not in (3, 4):
        raise MisuseError(
            f"{cell!r} is not a cell; [TRACK/]DOMAIN/SPLIT/MODEL/COLUMN is right, such as fluid/test/jepa/latency_ms"
        )
    return place, column


def _entry(entries: Sequence[Entry], place: Sequence[str]) -> Entry:
    """The newest row of a place, each part of it checked in turn."""
    left, wanted = list(entries), list(zip(("domain", "split", "model"), place[-3:], strict=True))
    if len(place) == 4:
        wanted.insert(0, ("track", place[0]))
    for name, text in wanted:
        there = sorted({e.row[name] for e in left})
        if text not in there:
            raise MisuseError(f"the board has no {name} {text!r} there; {one_of(text, there)}")
        left = [e for e in left if e.row[name] == text]
    tracks = sorted({e.row["track"] for e in left})
    if len(tracks) > 1:
        raise MisuseError(f"{'/'.join(place)} is on several tracks; begin with one of {', '.join(tracks)}")
    return max(left, key=lambda e: e.made)


def _column(entry: Entry, column: str) -> Column:
    bare, _, metric = column.partition("/")
    if bare == METRICS and metric not in entry.row[METRICS]:
        known = [f"{METRICS}/{name}" for name in sorted(entry.row[METRICS])]
        raise MisuseError(f"the row has no metric {metric or column!r}; {one_of(column, known)}")
    if bare not in COLUMNS or (metric and bare != METRICS):
        known = [c for c in (RANK, *FIELDS) if c in COLUMNS and c != METRICS]
        raise MisuseError(f"the board has no column {column!r} to explain; {one_of(column, known, ', metrics/NAME@V')}")
    return COLUMNS[bare]


def _value(entry: Entry, column: str) -> Any:
    if column == RANK:
        return entry.rank
    bare, _, metric = column.partition("/")
    return entry.row[METRICS][metric] if bare == METRICS else entry.row[column]


def _about(source: _sources.Source, folder: Path, behind: Behind) -> dict[str, Any]:
    """What a record says of how it came about."""
    path, record = source
    row = behind.entry.row
    domain = next(d for d in record["domains"] if d["name"] == row["domain"])
    return {
        "folder": path.relative_to(folder).as_posix(),
        "created": record["created"],
        "suite": record["suite"]["version"],
        "commit": record["suite"]["commit"],
        "command": " ".join(record["command"]),
        "device": record["device"],
        "processor": record["environment"].get("device_name") or record["environment"]["cpu_model"],
        "data_manifest": domain["data_manifest"],
        "generator_version": domain["generator_version"],
        "seeds": _sources.score_of(record, row["domain"], row["split"], row["model"])["seeds"],
    }


# -- for people --------------------------------------------------------------------------------------------------------

SHOWN_ROWS = 12


def tables(found: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The same as titled tables; of long lists the first rows, and how many there are."""
    said = found["formula"]
    head = {"value": found["shown"], "says": said["says"], "formula": said["formula"], "source": said["source"]}
    cut = [("/".join(found["cell"].values()), [{"": k, "is": v} for k, v in head.items()])]
    for k, about in enumerate(found["records"]):
        cut.append((f"record {k + 1} of {len(found['records'])}", [{"": n, "is": v} for n, v in about.items()]))
    for title, part in found["evidence"].items():
        rows = [{"": n, "is": v} for n, v in part.items()] if isinstance(part, Mapping) else list(part)
        more = f" (the first {SHOWN_ROWS} of {len(rows)}; --json gives all)" if len(rows) > SHOWN_ROWS else ""
        cut.append((title + more, rows[:SHOWN_ROWS]))
    return cut


def verdict(found: Mapping[str, Any]) -> str:
    """One line: whether the samples give the board's figure."""
    if found["agrees"] is None:
        return "not made again: the record keeps the figure, and no samples of it"
    again = text_of(found["recomputed"])
    if found["agrees"]:
        return f"made again from the samples: {again}, equal to the board's"
    return f"made again from the samples: {again}, NOT the board's {found['shown']}"
