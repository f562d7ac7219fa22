"""What `hedgefox tune` wrote, read again: the settings that a run is told to train with.

tuned.json holds one tuning a model and domain, each with all its trials and its budget. A run takes them only when every one had
the same budget, so that no contestant was tuned harder than another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts import MisuseError, Track
from ..contracts.strict_json import read_object
from ..surrogates._base import Tuned

FORMAT, VERSION = "hedgefox-tuning", 1
FILE = "tuned.json"
SETTINGS = ("batch_size", "learning_rate")
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "model": str, "domain": str, "track": str, "size": str, "device": str, "budget": dict, "trials": list,
    "best": (dict, type(None)), "device_seconds": (int, float),
}  # fmt: skip


def read_tunings(place: Path) -> list[dict[str, Any]]:
    """The tunings in a file, or in the folder that tune was given; raises MisuseError for anything else."""
    path = place / FILE if place.is_dir() else place
    if not path.exists():
        raise MisuseError(f"there is no {path}; give what `hedgefox tune --out` wrote")
    content = read_object(path)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise MisuseError(
            f"{path} is not of format {FORMAT!r}, version {VERSION}; give what `hedgefox tune --out` wrote"
        )
    tunings = content.get("tunings")
    if not isinstance(tunings, list):
        raise MisuseError(f"{path} holds no list of tunings")
    for each in tunings:
        _check(each, path)
    return tunings


def _check(tuning: Any, path: Path) -> None:
    """Raise MisuseError for what is no tuning: it says what a training is to do."""
    for name, kind in _FIELDS.items():
        if not isinstance(tuning, dict) or not isinstance(tuning.get(name), kind):
            raise MisuseError(
                f"{path}: a tuning's {name} is {tuning.get(name) if isinstance(tuning, dict) else tuning!r}"
            )
    best = tuning["best"]
    if best is None:
        return
    size, rate = best.get("batch_size"), best.get("learning_rate")
    if type(size) is not int or size < 1 or type(rate) is not float or not 0 < rate < 1:
        raise MisuseError(f"{path}: batch size {size!r} and learning rate {rate!r} are not to be trained with")


def budget_of(tuning: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a contestant's tuning may spend: steps and device-seconds of a trial, number of trials, kind of device."""
    held = tuning["budget"]
    return held.get("steps"), held.get("seconds"), len(tuning["trials"]), tuning["device"]


def budget_text(tuning: Mapping[str, Any]) -> str:
    """A tuning's budget in words."""
    steps, seconds, trials, device = budget_of(tuning)
    each = f"{steps} steps" if steps else f"{seconds:g} s"
    return f"{trials} trials of {each} on {device}"


def for_run(place: str | Path, track: Track, jobs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Tuned]:
    """Of the trainings of a run (model, domains joined), the settings that were chosen for them on its track.

    Raises MisuseError where none was tuned on that track, and where some had another budget than others.
    """
    path = Path(place)
    found = {
        (t["model"], t["domain"]): t for t in read_tunings(path) if (t["track"], t["size"]) == (track.name, track.size)
    }
    used = {job: found[job] for job in jobs if job in found}
    if not used:
        raise MisuseError(f"{path} holds no tuning on track {track.name!r} of what the run trains")
    first, *others = used.values()
    for other in others:
        if budget_of(other) != budget_of(first):
            named = [f"{t['model']} on {t['domain']} had {budget_text(t)}" for t in (first, other)]
            raise MisuseError(f"{path}: {' and '.join(named)}; the same budget for every contestant is right")
    digest = hashlib.sha256((path / FILE if path.is_dir() else path).read_bytes()).hexdigest()[:12]
    return {job: _tuned(tuning, digest) for job, tuning in used.items()}


def _tuned(tuning: Mapping[str, Any], digest: str) -> Tuned:
    said, best = budget_text(tuning), tuning["best"]
    how = f"best of {said}" if best is not None else f"the preset's: none of {said} came to its end"
    settings = {} if best is None else {name: best[name] for name in SETTINGS}
    return Tuned(settings, f"{how}, judged on valid (tuned.json {digest})", float(tuning["device_seconds"]))
