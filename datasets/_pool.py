"""Simulating groups, here or in several processes: the same records in the same order, however many work at it."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process

import torch

from ..contracts import Domain, HedgefoxError, MisuseError, Recipe, registry
from ..contracts.siblings import PLAIN, Variation
from ._record import Record, records_of


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


def portable(domain: Domain, workers: int) -> str | Domain:
    """The domain in the form that tasks carry; raises MisuseError when workers could not receive it."""
    if type(domain).__module__ == f"{registry.ROOT}.simulators.{domain.name}":
        return domain.name
    if workers > 1:
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


def simulated(tasks: Iterable[Task], workers: int) -> Generator[Result, None, None]:
    """The results of tasks in their order. Raises HedgefoxError when a worker process dies."""
    if workers == 1:
        yield from map(run, tasks)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent, initargs=(workers,)
    )
    try:
        yield from _in_order(pool, tasks, ahead=2 * workers)
    except BrokenProcessPool as error:
        raise HedgefoxError("a worker process died, perhaps for lack of memory; the same command resumes") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, tasks: Iterable[Task], ahead: int) -> Iterator[Result]:
    """Keep a bounded number of tasks under way, so that finished films do not pile up in memory."""
    pending: deque[Future[Result]] = deque()
    for task in tasks:
        pending.append(pool.submit(run, task))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _end_with_parent(workers: int) -> None:
    """Set up a worker: its share of the cores, and an end when its parent is killed, which a pool does not see to."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Read by Taichi when it starts, which otherwise takes all cores in every worker.
    os.environ.setdefault("TI_CPU_MAX_NUM_THREADS", str(max(1, cores // workers)))
    parent = parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
