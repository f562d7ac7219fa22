"""The answer first: for each domain the best specialist and generalist, and whether they beat the simulator at equal accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _held as held
from ..board_short import beats
from ..board_text import text_of
from ..leaderboard import Entry, error, interval, shown
from .charts.cost import error_of


@dataclass(frozen=True)
class Side:
    """The best of one kind: its name, error, and what the simulator makes of it."""

    kind: str
    model: str
    error: str
    latency: str
    verdict: str
    """"yes", "no", "open" or "untimed": is it faster than the simulator at equal accuracy?"""
    says: str


@dataclass(frozen=True)
class Answer:
    """What the records say of one domain."""

    domain: str
    track: str
    winner: str
    sides: list[Side]


def main_track(read: Sequence[Mapping[str, Any]]) -> str:
    """The track that is shown first: one that was timed, with the most training steps."""
    best = max(read, key=lambda r: (bool(r["speed"]), r["track"].get("training_steps") or 0, r["created"]))
    return str(best["track"]["name"])


def answers(entries: Sequence[Entry], track: str) -> list[Answer]:
    """One for each domain of a track, on the split `test`."""
    places = held.places(entries)
    return [
        _answer(at[1], track, list(models.values()))
        for at, models in places.items()
        if at[0] == track and at[2] == "test"
    ]


def _answer(domain: str, track: str, group: Sequence[Entry]) -> Answer:
    # An entry without an error cannot be the best of anything.
    known = [e for e in group if shown(e.row, e.floor) is not None]
    best = {kind: _best(known, kind) for kind in ("specialist", "generalist", "baseline")}
    sides = [_side(e, group) for kind in ("specialist", "generalist") if (e := best[kind]) is not None]
    return Answer(domain, track, _winner(best), sides)


def _best(group: Sequence[Entry], kind: str) -> Entry | None:
    return min((e for e in group if e.row["kind"] == kind), key=lambda e: error(e.row, e.floor), default=None)


def _winner(best: Mapping[str, Entry | None]) -> str:
    """Who errs less, where intervals do not overlap; and whether a dumb baseline does better than both."""
    one, several, dumb = (best[kind] for kind in ("specialist", "generalist", "baseline"))
    learned = [e for e in (one, several) if e is not None]
    if not learned:
        return "No learned contestant was scored."
    first = min(learned, key=lambda e: error(e.row, e.floor))
    if one is None or several is None:
        said = f"Only one kind was scored: {first.row['model']}."
    elif _apart(one, several):
        said = f"{first.row['model']} (the {first.row['kind']}) errs least of the learned."
    else:
        said = f"{one.row['model']} and {several.row['model']} are not told apart: their intervals overlap."
    if dumb is not None and error(dumb.row, dumb.floor) <= error(first.row, first.floor):
        said += f" The baseline {dumb.row['model']} ({_text(dumb)}) errs no more than either."
    return said


def _apart(a: Entry, b: Entry) -> bool:
    x, y = interval(a.row, a.floor), interval(b.row, b.floor)
    return x is not None and y is not None and (x[2] < y[1] or y[2] < x[1])


def _text(entry: Entry) -> str:
    return f"{text_of(shown(entry.row, entry.floor))} m"


def _side(entry: Entry, group: Sequence[Entry]) -> Side:
    equal = entry.row["speedup_equal_accuracy"]
    latency = entry.row["latency_ms"]
    verdict, says = _verdict(equal)
    rung = cheapest(entry, group)
    if rung is not None:
        says += f" The cheapest timed setting that errs no more is {rung.row['model']}, {_ms(rung.row['latency_ms'])}."
    time = "not timed" if latency is None else _ms(latency)
    return Side(entry.row["kind"], entry.row["model"], _text(entry), time, verdict, says.strip())


def _ms(latency: float) -> str:
    return f"{latency:.3g} ms a rollout"


def _verdict(equal: Mapping[str, Any] | None) -> tuple[str, str]:
    """Whether an S_acc beats the simulator, and in words."""
    verdict = beats(equal)
    if equal is None or verdict == "untimed":
        return "untimed", "No speed-up at equal accuracy was measured."
    value, flag = equal["value"], equal.get("flag", "")
    if verdict == "no":
        return "no", f"No: the simulator is {'more than ' if flag == '<' else ''}{1 / value:.3g} times faster."
    if verdict == "yes":
        return "yes", f"Yes: {'more than ' if flag == '>' else ''}{value:.3g} times faster than the simulator."
    return "open", f"Undecided: {text_of(equal)} times the simulator's speed."


def cheapest(entry: Entry, group: Sequence[Entry]) -> Entry | None:
    """The fastest timed rung whose mean observable error is no larger than the contestant's."""
    mine = error_of(entry, "observable_error", "mean")
    if mine is None or entry.row["latency_ms"] is None:
        return None
    rungs = [e for e in group if e.row["kind"] == "ladder" and e.row["latency_ms"] is not None]
    good = [e for e in rungs if (its := error_of(e, "observable_error", "mean")) and its["value"] <= mine["value"]]
    return min(good, key=lambda e: float(e.row["latency_ms"]), default=None)
