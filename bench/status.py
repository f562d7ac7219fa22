"""What a run's folder says of the run: every job of it as done, running, failed, stale or missing, and why. Nothing else is asked.

A run that is at work holds a lock on its folder, so one that was killed shows as interrupted. A finished job is stale when the same
command would do it again: the code, its data or the weights that it is about are others now. See bench/_watch.py for what is noted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from . import environment
from . import record as records
from ._hashes import folder_hash
from ._marks import Mark
from ._stages import CONTESTANTS, changed, digests, read_stage
from ._watch import NOTE, Job, read_note, runs_in

STATES = ("running", "failed", "interrupted", "stale", "missing", "waiting", "done")
"""Of a job. One that was begun and neither ended nor failed is interrupted where no run is at work; one that was not begun is
waiting where a run is at work, else missing."""
STAGES = ("generate", "train", "score", "floor", "probe", "films", "speed", "record", "report")
LAST = {"record": records.FILE, "report": "report/index.html"}
"""Jobs that are done anew every time, and what they make."""
ALONE = ("generate", "train", "floor", "probe", "films")
"""Stages whose jobs are about one thing: where that failed, the job failed. Others go on with the rest of their contestants."""


def status(folder: str | Path) -> dict[str, Any]:
    """The state of a run, from its folder alone: "state" (running, finished, failed, interrupted), its "jobs", and their "counts".

    Each job: stage, job, state, seconds that it took or has taken, age [s] of its result, done and total while it runs, and why.
    Raises MisuseError for a folder that holds no run.
    """
    out = Path(folder)
    note = read_note(out) if out.is_dir() else None
    if note is None:
        return _without_note(out)
    running = runs_in(out)
    state = "running" if running else (note["end"] or "interrupted")
    jobs = _Look(out, note, running).jobs()
    about = {k: note[k] for k in ("what", "track", "device", "started", "ended", "error")}
    return {
        "folder": str(out), "state": state, **about, "pid": note["pid"] if running else None, "seconds": _spent(note, running),
        "counts": _counts(jobs), "jobs": jobs,
    }  # fmt: skip


def _without_note(out: Path) -> dict[str, Any]:
    """Of a record without a run, or of a run from before runs noted what they do: its stages as the record has them."""
    if not (out / records.FILE).is_file():
        raise MisuseError(
            f"{out} holds no run ({NOTE} is missing); give the folder that `hedgefox run --out` was given"
        )
    held = records.read(out)
    jobs = [_row(s["name"], "", "done", seconds=s["seconds"]) for s in held["stages"]]
    about = {"what": "run", "track": held["track"]["name"], "device": None, "started": None, "ended": held["created"]}
    more = {"error": None, "pid": None, "seconds": None, "counts": _counts(jobs), "jobs": jobs}
    return {"folder": str(out), "state": "finished", **about, **more}


def _spent(note: Mapping[str, Any], running: bool) -> float | None:
    """Seconds of the last call, by the clock on the wall; None where nobody knows when it ended."""
    began = datetime.fromisoformat(note["started"]).timestamp()
    if running:
        return max(0.0, time.time() - began)
    return None if note["ended"] is None else datetime.fromisoformat(note["ended"]).timestamp() - began


def _counts(jobs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found = Counter(job["state"] for job in jobs)
    return {state: found[state] for state in STATES}


def _row(stage: str, job: str, state: str, **more: Any) -> dict[str, Any]:
    blank = {"seconds": None, "age": None, "done": None, "total": None, "why": ""}
    return {"stage": stage, "job": job, "state": state, **blank, **more}


@dataclass(frozen=True)
class _Look:
    """One look at a run."""

    out: Path
    note: Mapping[str, Any]
    running: bool

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, by stage, in the order in which a run comes to them."""
        planned = [Job(**{**job, "domains": tuple(job["domains"])}) for job in self.note["jobs"]]
        ordered = sorted(planned, key=lambda job: STAGES.index(job.stage))
        now = self._now(ordered)
        found = [self._job(job, now) for job in ordered if job.stage not in LAST]
        return found + [self._last(job.stage, found) for job in ordered if job.stage in LAST]

    def _now(self, jobs: Sequence[Job]) -> dict[str, str]:
        """What stages depend on, as it is now: the code, the data of each domain, the weights of each contestant there."""
        from ..datasets import manifest_hash

        now = {"code": self.note["code"] if self.running else environment.source_hash()}
        for name in {domain for job in jobs for domain in job.domains}:
            try:
                now[name] = manifest_hash(self.out / "data" / name)
            except MisuseError:
                now[name] = ""
        for path in sorted(self.out.glob("weights/*/*/seed-*")):
            key = f"{path.parent.name}#{path.name.removeprefix('seed-')}"
            now |= {f"{domain}/{key}": folder_hash(path) for domain in path.parent.parent.name.split("+")}
        return now

    def _job(self, job: Job, now: Mapping[str, str]) -> dict[str, Any]:
        stem = self.out / "stages" / job.name
        mark, held = Mark(stem).read(), read_stage(stem.with_name(f"{job.name}.json"))
        failures = [f for f in self.note["failures"] if _is_about(f, job)]
        told = _told(job, failures)
        if mark is not None:
            return self._begun(job, mark)
        if failures and (held is None or job.stage in ALONE):
            return _row(job.stage, _what(job), "failed", why=told)
        if held is None:
            return _row(job.stage, _what(job), "waiting" if self.running else "missing")
        took = held["result"] if job.stage in ("generate", "train") else held["seconds"]
        why = self._stale(job, held, now)
        age = time.time() - stem.with_name(f"{job.name}.json").stat().st_mtime
        return _row(job.stage, _what(job), "stale" if why else "done", seconds=took, age=max(0.0, age), why=why or told)

    def _begun(self, job: Job, mark: Mapping[str, Any]) -> dict[str, Any]:
        """A job that has a mark: at work, cut off, or failed."""
        if "error" in mark:
            return _row(job.stage, _what(job), "failed", why=mark["error"])
        since = max(0.0, time.time() - mark["began"])
        more = {
            "done": mark.get("done"),
            "total": mark.get("total"),
            "why": f"again: {mark['why']}" if mark["why"] else "",
        }
        if self.running:
            return _row(job.stage, _what(job), "running", seconds=since, **more)
        return _row(job.stage, _what(job), "interrupted", age=since, **more)

    def _stale(self, job: Job, held: Mapping[str, Any], now: Mapping[str, str]) -> str:
        """Why the same command would do a finished job again; "" where it would not."""
        given = held.get("given")
        if given is None:
            return ""
        if job.stage == "train":
            key = f"{job.domains[0]}/{job.model}#{job.seed}"
            return "" if given == digests({"weights": now.get(key, "")}) else "its weights changed"
        present = digests({"code": now["code"], "data": now[job.domains[0]]})
        # A round's weights lie in the folders of the runs that entered it.
        named = [name for name in given if name.startswith(f"{CONTESTANTS} ")] if self.note["what"] == "run" else []
        for name in named:
            key = name.removeprefix(f"{CONTESTANTS} ")
            present |= digests({CONTESTANTS: [[key, now.get(f"{job.domains[0]}/{key}", "")]]})
        same = {name: present.get(name, value) for name, value in given.items()}
        return "" if same == given else changed(given, same)

    def _last(self, stage: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The record or the report, which are stale as soon as anything that they are made of is not done."""
        stem, path = self.out / "stages" / stage, self.out / LAST[stage]
        mark = Mark(stem).read()
        if mark is not None:
            return self._begun(Job(stage, stage, stage), mark)
        if not path.is_file():
            return _row(stage, "", "waiting" if self.running else "missing")
        seconds = self.note["seconds"].get(stage)
        age = max(0.0, time.time() - path.stat().st_mtime)
        open_ones = [row for row in found if row["state"] not in ("done", "failed")]
        why = f"{open_ones[0]['stage']} {open_ones[0]['job']} is {open_ones[0]['state']}" if open_ones else ""
        if not why and any(row["age"] is not None and row["age"] < age - 1.0 for row in found):
            why = "older than what it is made from"
        return _row(stage, "", "stale" if why else "done", seconds=seconds, age=age, why=why)


def _is_about(failure: Mapping[str, Any], job: Job) -> bool:
    """Whether a failure is of a job."""
    same = failure["stage"] == job.stage and failure["domain"] in job.domains
    wanted = {"model": job.model, "seed": job.seed, "split": job.split}
    return same and all(value is None or failure[name] == value for name, value in wanted.items())


def _told(job: Job, failures: Sequence[Mapping[str, Any]]) -> str:
    """What failed in a job, in a line."""
    if not failures:
        return ""
    first = failures[0]
    if job.stage in ALONE:
        return str(first["error"])
    named = f"{first['model']}: {first['error']}"
    return f"{len(failures)} failed: {named}" + (" …" if len(failures) > 1 else "")


def _what(job: Job) -> str:
    """A job without its stage, for the column beside it."""
    if job.model is not None:
        seed = "" if job.seed is None else f" seed {job.seed}"
        return f"{job.model}{seed} on {'+'.join(job.domains)}"
    return " ".join([*job.domains, *([job.split] if job.split else [])])
