"""Finished stages of a run on disk: reused when, and only when, their inputs are the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import MisuseError
from ..contracts.strict_json import read_object
from . import curves
from ._marks import Mark, at_work
from .record import MOST_BYTES, dumps, write_text
from .score import Score

CONTESTANTS = "contestants"
"""The input of a stage that is a list of names and hashes of weights."""
MOST_NAMED = 3


@dataclass(frozen=True)
class Done:
    """What a stage gave and how long it took when it ran."""

    result: Any
    seconds: float


def stage(folder: Path, name: str, inputs: Mapping[str, Any], work: Callable[[], Any]) -> Done:
    """The result (plain data) of a stage: from FOLDER/NAME.json if it ran on these inputs before, else by doing the work."""
    path = folder / f"{name}.json"
    wanted, given = _hash(inputs), digests(inputs)
    held = read_stage(path)
    if held is not None and held.get("inputs") == wanted:
        Mark(folder / name).clear()
        return Done(held["result"], held["seconds"])
    with at_work(folder / name, "" if held is None else changed(held.get("given"), given)):
        started = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - started
        text = dumps({"inputs": wanted, "given": given, "seconds": seconds, "result": result})
        write_text(path, text)
    return Done(json.loads(text)["result"], seconds)


def digests(inputs: Mapping[str, Any]) -> dict[str, str]:
    """What a stage depends on, each thing by a short digest, contestants one by one: to say later which of them changed."""
    found = {name: _short(value) for name, value in inputs.items() if name != CONTESTANTS}
    return found | {f"{CONTESTANTS} {key}": _short(weights) for key, weights in inputs.get(CONTESTANTS, ())}


def _short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def changed(given: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """In words, in what two of `digests` differ; all that is known where the first was not kept."""
    if given is None:
        return "its inputs changed"
    names = sorted(
        name.removeprefix(f"{CONTESTANTS} ") for name in {**given, **now} if given.get(name) != now.get(name)
    )
    told = names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]
    return f"{', '.join(told) or 'nothing'} changed"


def _hash(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def read_stage(path: Path) -> dict[str, Any] | None:
    """A stage's file; None for one that is missing or torn, which means that the stage has to run."""
    try:
        held = read_object(path, MOST_BYTES)
    except MisuseError:
        return None
    whole = "result" in held and type(held.get("seconds")) in (int, float)
    return held if whole else None


def score_stage(
    folder: Path, name: str, inputs: Mapping[str, Any], work: Callable[[], Sequence[Score]]
) -> tuple[list[Score], float]:
    """As `stage`, for scores: their curves lie beside the file as Parquet, written first."""
    table = folder / f"{name}.parquet"

    def run() -> list[dict[str, Any]]:
        scores = work()
        folder.mkdir(parents=True, exist_ok=True)
        curves.write(table, scores)
        return [_plain(s) for s in scores]

    for _ in range(2):
        done = stage(folder, name, inputs, run)
        try:
            held = {(s.model, s.seed): s.curves for s in curves.read(table)}
            return [_score(s, held.get((s["model"], s["seed"]), {})) for s in done.result], done.seconds
        except MisuseError:  # the table was lost or torn since: measure again
            (folder / f"{name}.json").unlink(missing_ok=True)
    raise MisuseError(f"{table} cannot be read back; is the disk full?")


def _plain(score: Score) -> dict[str, Any]:
    fields = {f.name: getattr(score, f.name) for f in dataclasses.fields(score) if f.name != "curves"}
    return fields | {"diverged_at": None if score.diverged_at is None else score.diverged_at.tolist()}


def _score(plain: Mapping[str, Any], held: dict[str, np.ndarray]) -> Score:
    diverged = None if plain["diverged_at"] is None else np.array(plain["diverged_at"])
    return Score(**{**plain, "diverged_at": diverged, "curves": held})
