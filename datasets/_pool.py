"""Simulating groups, here or in several processes: the same records in the same order, however many work at it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

import torch

from ..contracts import Domain, HedgefoxError, MisuseError, Recipe, registry
from ..contracts.siblings import PLAIN, Variation
from ._record import Record, records_of

T = TypeVar("T")

WORTH = 50
"""Trajectories from which it pays to start processes, each of which first has to import torch and a simulator."""

DIED = "a worker process died, perhaps for lack of memory; the same command resumes"


@dataclass(frozen=True)
class Task:
    """One group: trajectories that are simulated in one call."""

    domain: str | Domain
    """By name where it has one, so that a worker makes its own; else the object itself."""
    recipe: Recipe
    split: str
    indices: range
    root_seed: int
    device: str
    siblings: int = 1


@dataclass(frozen=True)
class Result:
    """What came of a task, and how long it took [s]."""

    records: list[Record]
    variations: list[Variation]
    seconds: float


def portable(domain: Domain, workers: Workers) -> str | Domain:
    """The domain in the form that tasks carry; raises MisuseError when workers could not receive it."""
    if type(domain).__module__ == f"{registry.ROOT}.simulators.{domain.name}":
        return domain.name
    if workers.elsewhere:
        try:
            pickle.dumps(domain)
        except Exception as error:
            raise MisuseError(f"domain {domain.name} cannot be sent to workers ({error}); use workers=1") from error
    return domain


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: how a sum is cut among threads shows in its last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run(task: Task) -> Result:
    """Simulate one group and label it."""
    start = time.perf_counter()
    domain, k = registry.domain(task.domain), task.siblings
    with one_thread():
        film = domain.simulate(task.recipe, task.split, list(task.indices), task.root_seed, task.device, k)
        made = records_of(film, domain)
    variations = [_variation(domain, task, j) for j in task.indices]
    return Result(made, variations, time.perf_counter() - start)


def _variation(domain: Domain, task: Task, trajectory: int) -> Variation:
    if trajectory % task.siblings == 0:
        return PLAIN
    return domain.sample_sibling(task.recipe, task.split, *divmod(trajectory, task.siblings), task.root_seed)[1]


class Workers:
    """Processes that do work for as long as the block lasts; several callers may share them. One worker is this process itself.

    What a job gives does not depend on their number.
    """

    def __init__(self, number: int) -> None:
        if number < 1:
            raise MisuseError(f"{number} workers; at least 1 is right")
        self.number = number
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    here = True
    """Whether they share this machine's cores."""

    @property
    def elsewhere(self) -> bool:
        """Whether work is done by other processes, to which it must travel."""
        return self.number > 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._close(kill=kind is not None)

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have `work(*arguments)` done; with one worker it is done when this returns."""
        if self.elsewhere:
            with self._lock:
                if self._closed:
                    raise HedgefoxError("these workers were closed, since other work of theirs failed")
                return self._sent(work, *arguments)
        done: Future[T] = Future()
        try:
            done.set_result(work(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def _sent(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Work on its way to another process."""
        return self._living_pool().submit(work, *arguments)

    def _living_pool(self) -> ProcessPoolExecutor:
        """The processes, started when first needed, and anew after one of them died."""
        if self._pool is None or getattr(self._pool, "_broken", False):
            # Read by numpy when a worker imports it: its own threads wait by spinning, and those of two workers starve each other.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            self._pool = ProcessPoolExecutor(
                self.number, mp_context=get_context("spawn"), initializer=_set_up, initargs=(self.number,)
            )
        return self._pool

    def together(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Results of jobs that submit work and wait for it: side by side with several workers, else one after the other.

        When one fails, what the others wait for is ended, and its error is raised; HedgefoxError when a process dies.
        """
        if self.number == 1 or len(jobs) == 1:
            return [job() for job in jobs]
        with ThreadPoolExecutor(len(jobs)) as threads:
            started = [threads.submit(job) for job in jobs]
            try:
                return [each.result() for each in _failed_first(started)]
            except BaseException as error:
                self._close(kill=True)
                if isinstance(error, BrokenProcessPool):
                    raise HedgefoxError(DIED) from error
                raise

    def _close(self, kill: bool) -> None:
        """End the processes; `kill` does not wait for what they are at, which nobody wants any more."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is None:
            return
        if kill:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _failed_first(futures: Sequence[Future[T]]) -> Sequence[Future[T]]:
    """The futures in their order, once all are done or one has failed, which then stands first."""
    wait(futures, return_when=FIRST_EXCEPTION)
    failed = [f for f in futures if f.done() and f.exception() is not None]
    return [*failed, *futures]


def worth_starting(trajectories: int) -> bool:
    """Whether so many trajectories take long enough that starting processes pays."""
    return trajectories >= WORTH


def simulated(tasks: Iterable[Task], workers: Workers) -> Generator[Result, None, None]:
    """The results of tasks in their order. Raises HedgefoxError when a worker process dies."""
    pending: deque[Future[Result]] = deque()
    # The first alone: what it compiles, the others find in the cache instead of compiling it beside one another.
    ahead = 1
    try:
        for task in tasks:
            pending.append(workers.submit(run, task))
            if len(pending) >= ahead:
                yield pending.popleft().result()
                # A bounded number under way, so that finished films do not pile up in memory.
                ahead = 2 * workers.number if workers.elsewhere else 1
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise HedgefoxError(DIED) from error
    finally:
        for future in pending:
            future.cancel()


def _set_up(workers: int) -> None:
    """Set up a worker: its share of the cores, and an end when its parent is killed, which a pool does not see to."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Read by Taichi when it starts, which otherwise takes all cores in every worker.
    os.environ.setdefault("TI_CPU_MAX_NUM_THREADS", str(max(1, cores // workers)))
    torch.set_num_threads(1)
    # An interruption from the keyboard reaches every process; the parent answers it, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
