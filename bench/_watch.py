"""What a run notes in its folder while it runs: what it is to do, whether it is at work, how it ended.

FOLDER/status.json says what was asked for, which jobs that makes and how the last call ended. FOLDER/.run.lock is locked as long as
a run is at work there: the system frees the lock of a killed process, so that a run that is gone never seems to run. How far each
job is says its mark (bench/_marks.py). bench/status.py reads all of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts import HedgefoxError, MisuseError
from ._marks import SUFFIX, Mark, at_work
from ._trainings import trainings
from .record import dumps, write_text

if TYPE_CHECKING:
    from .contestants import Contestant
    from .run import Pipeline

NOTE, LOCK = "status.json", ".run.lock"
FORMAT = "hedgefox-status"
WHOLE = "all of "
"""Beginning of what is told of a run as a whole: jobs done, of all jobs."""


@dataclass(frozen=True)
class Job:
    """One line of a run's status."""

    stage: str
    name: str
    """Name of its file of results, below stages/."""
    title: str
    """What progress calls it."""
    domains: tuple[str, ...] = ()
    model: str | None = None
    seed: int | None = None
    split: str | None = None


class Watch:
    """Notes of one call of a run, from its beginning to its end. Raises MisuseError where another run is at work or was made."""

    def __init__(self, pipeline: Pipeline, told: Callable[[str, int, int], None]) -> None:
        self.pipeline, self.told = pipeline, told
        self.jobs: dict[str, Job] = {}
        self.finished: set[str] = set()
        self.lock = threading.Lock()
        self.note: dict[str, Any] = {}
        self.descriptor = -1

    def __enter__(self) -> Watch:
        run = self.pipeline
        self.descriptor = _locked(run.out)
        try:
            self._begin(run)
        except BaseException:
            os.close(self.descriptor)
            raise
        return self

    def _begin(self, run: Pipeline) -> None:
        _require_same_track(run)
        for path in run.stages.glob(f"*{SUFFIX}"):  # of a run that was killed
            path.unlink(missing_ok=True)
        self.note = {
            "format": FORMAT, "version": 1, "what": type(run).__name__.lower().replace("pipeline", "run"),
            "track": run.track.name, "device": run.device, "timed": run.timed, "code": run.code, "pid": os.getpid(),
            "started": _now(), "ended": None, "end": None, "error": None, "seconds": {}, "failures": [],
        }  # fmt: skip
        self.plan(planned(run))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        end = "finished" if kind is None else "failed" if issubclass(kind, Exception) else "interrupted"
        why = None if end != "failed" else str(error)
        if why is not None and not isinstance(error, HedgefoxError):
            why = f"{type(error).__name__}: {why}"
        with suppress(OSError):  # what went wrong before is what is to be told
            self._save(end=end, ended=_now(), error=why)
        os.close(self.descriptor)

    def plan(self, jobs: Iterable[Job]) -> None:
        """More jobs that are to be done."""
        with self.lock:
            self.jobs |= {job.title: job for job in jobs}
        self._save(jobs=[asdict(job) for job in self.jobs.values()])
        self._told_whole()

    def fail(self, failure: dict[str, Any]) -> None:
        """Something failed, and the others go on."""
        self._save(failures=[*self.note["failures"], failure])

    def tell(self, what: str, done: int, total: int) -> None:
        """Progress of one job: noted in its mark, told on, and counted when it is finished."""
        job = self.jobs.get(what)
        if job is not None:
            self._mark(job, done, total)
        self.told(what, done, total)
        if job is not None:
            self._told_whole()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """One of the last jobs, that are done anew every time."""
        began = time.perf_counter()
        with at_work(self.pipeline.stages / name):
            yield
        self._save(seconds=self.note["seconds"] | {name: time.perf_counter() - began})
        self.tell(name, 1, 1)

    def _mark(self, job: Job, done: int, total: int) -> None:
        mark = Mark(self.pipeline.stages / job.name)
        with self.lock:
            if done < total:
                self.finished.discard(job.title)
            else:
                self.finished.add(job.title)
        if done < total and mark.path.exists():
            mark(done, total)

    def _told_whole(self) -> None:
        self.told(f"{WHOLE}{self.note['what']} {self.note['track']}", len(self.finished), len(self.jobs))

    def _save(self, **news: Any) -> None:
        with self.lock:
            self.note |= news
            write_text(self.pipeline.out / NOTE, dumps(self.note) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _locked(out: Path) -> int:
    """The lock of a run's folder, as a descriptor that holds it."""
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise MisuseError(
            f"a run is at work in {out}; `hedgefox status {out}` shows it. Choose another folder"
        ) from error
    return descriptor


def _require_same_track(run: Pipeline) -> None:
    """Raise MisuseError where the folder holds a run of another track, before anything of it is overwritten."""
    held = read_note(run.out)
    if held is not None and held["track"] != run.track.name:
        raise MisuseError(
            f"{run.out} holds a run of track {held['track']!r}; choose another folder for {run.track.name!r}"
        )


def read_note(out: Path) -> dict[str, Any] | None:
    """What a run noted in its folder; None where none did. Raises MisuseError for a note that is broken."""
    path = out / NOTE
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MisuseError(f"{path} cannot be read: {error}; delete it, and run on") from error
    if not isinstance(held, dict) or held.get("format") != FORMAT or held.get("version") != 1:
        raise MisuseError(f"{path} is not a run's note that this hedgefox reads; delete it, and run on")
    return held


def runs_in(out: Path) -> bool:
    """Whether a run is at work in a folder."""
    try:
        descriptor = os.open(out / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def planned(run: Pipeline) -> list[Job]:
    """The jobs of a run, as far as they are known before it begins."""
    names = [d.name for d in run.domains]
    units = [(d, s) for d in names for s in run.track.trajectories if s not in ("train", "valid")]
    jobs = [Job("generate", f"generate-{d}", f"generate {d}", (d,)) for d in names]
    if "train" in run.splits():
        jobs += [
            Job("train", j.stage, training_title(j), j.domains, j.name, j.seed) for j in trainings(run.track, names)
        ]
    jobs += [Job("score", f"score-{d}-{s}", f"score {d} {s}", (d,), split=s) for d, s in units]
    if run.track.floor_scenes and "test" in run.track.trajectories:
        jobs += [Job("floor", f"floor-{d}", f"floor of {d}", (d,)) for d in names]
    if run.track.films:
        jobs += [Job("films", f"films-{d}-{s}", f"films of {d} {s}", (d,), split=s) for d, s in units]
    if run.timed:
        jobs += [Job("speed", f"speed-{d}", f"time {d}", (d,)) for d in names]
    return [*jobs, Job("record", "record", "record"), Job("report", "report", "report")]


def training_title(job: Any) -> str:
    """What progress calls a training."""
    return f"train {job.name} on {job.domain} seed {job.seed}"


def probe_job(domain: str, contestant: Contestant) -> Job:
    """The probe of one model on one domain: which there are is known when the models are."""
    key = contestant.key
    name = "-".join(["probe", domain, *key.split("#")])
    return Job("probe", name, f"probe {key} on {domain}", (domain,), contestant.name, contestant.seed)
