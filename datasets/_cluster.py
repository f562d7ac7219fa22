"""Cluster: the same groups simulated on the machines of a Ray cluster, through the same door as processes on this one.

What travels is a task that names its domain, and back come arrays; code does not, so every machine must have this hedgefox and the
same libraries, which each task checks. A machine that is lost takes nothing with it: Ray does its tasks again elsewhere, and since
a group's bytes depend on its indices alone, they are the same. Ray's dashboard and its reports of usage are switched off.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from ..contracts import HedgefoxError, MisuseError
from ._pool import Workers

T = TypeVar("T")

RETRIES = 5
"""How often a task is done again whose machine or process was lost; a task that always kills its process must end some time."""
ANSWER = 10.0
"""Time for the machine at an address to answer at all [s]."""
_LIBRARIES = ("hedgefox", "torch", "numpy", "taichi", "warp-lang", "newton")
"""What decides bits."""


class Cluster(Workers):
    """Processes on a Ray cluster: that at `address` (such as "auto" or "10.0.0.1:6379"), or one started here for as long as needed.

    `number` tasks are under way at a time; by default as many as the cluster has cores. Raises MisuseError when Ray is not
    installed, and when no cluster answers at the address.
    """

    here = False

    def __init__(self, address: str | None = None, number: int | None = None, device: str = "cpu") -> None:
        super().__init__(1 if number is None else number)
        self._ray = _joined(address, number)
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        self.number = max(1, cores) if number is None else number
        self._gpus = 1 if device.startswith("cuda") else 0

    @property
    def elsewhere(self) -> bool:
        """Whether work is done by other processes, to which it must travel."""
        return True

    def _sent(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        remote = self._ray.remote(_done_there).options(num_cpus=1, num_gpus=self._gpus, max_retries=RETRIES)
        ours: Future[T] = Future()
        there = remote.remote(work, arguments, versions())
        there.future().add_done_callback(functools.partial(_passed_on, ours))
        return ours

    def _close(self, kill: bool) -> None:
        """Leave the cluster; what it is at is given up."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            self._ray.shutdown()


def _joined(address: str | None, number: int | None) -> Any:
    """Ray, connected."""
    # Read when Ray starts: nothing is reported to anybody, and nothing listens but the cluster itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MisuseError("the executor ray needs Ray; pip install 'hedgefox[cluster]'") from error
    if ray.is_initialized():
        raise MisuseError("this process is in a Ray cluster already; leave it first with ray.shutdown()")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        settings |= {"address": "local", "num_cpus": number, "include_dashboard": False}
    else:
        settings |= {"address": address}
    try:
        _require_answer(address)
        ray.init(**settings)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        why = str(error).strip().splitlines()[0][:200]
        raise MisuseError(
            f"no Ray cluster answers at {address or 'this machine'} ({why}); `ray start` makes one"
        ) from error
    return ray


def _require_answer(address: str | None) -> None:
    """Raise OSError where nothing listens at HOST:PORT: Ray itself would ask again for many minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()


@functools.cache
def versions() -> dict[str, str]:
    """What decides bits on this machine, by library."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _done_there(work: Callable[..., T], arguments: tuple[Any, ...], asked: dict[str, str]) -> T:
    """Do work on a machine of the cluster, whose libraries must be those of the machine that asks."""
    for name, version in asked.items():
        if versions()[name] != version:
            raise MisuseError(
                f"a machine of the cluster has {name} {versions()[name]}; the one that asks has {version}: install the same"
            )
    # Read by Taichi when it starts, which otherwise takes all cores in every process.
    os.environ.setdefault("TI_CPU_MAX_NUM_THREADS", "1")
    torch.set_num_threads(1)
    return work(*arguments)


def _passed_on(ours: Future[T], there: Future[T]) -> None:
    """Give an answer of Ray's to who waits for it, errors of the work as they were raised."""
    from ray.exceptions import RayError, RayTaskError

    if ours.cancelled():
        return
    error = there.exception()
    if error is None:
        ours.set_result(there.result())
    elif isinstance(error, RayTaskError):
        ours.set_exception(error.cause)
    elif isinstance(error, RayError):
        ours.set_exception(
            HedgefoxError(f"the cluster lost a task {RETRIES} times over ({_word(error)}); the same command resumes")
        )
    else:
        ours.set_exception(error)


def _word(error: BaseException) -> str:
    return type(error).__name__


EXECUTORS = ("serial", "processes", "ray")


def executor(
    kind: str | None = None, number: int | None = None, address: str | None = None, device: str = "cpu"
) -> Workers:
    """What maps work over items: "serial" in this process, "processes" on this machine, or "ray". By default as `number` says.

    Results are the same whichever it is. Raises MisuseError for what does not fit together.
    """
    chosen = kind or ("ray" if address else "serial" if number in (None, 1) else "processes")
    if chosen not in EXECUTORS:
        raise MisuseError(f"executor {chosen!r} is unknown; one of {', '.join(EXECUTORS)} is right")
    if address is not None and chosen != "ray":
        raise MisuseError(f"the address {address} is of a Ray cluster; the executor {chosen} has none")
    if chosen == "ray":
        return Cluster(address, number, device)
    if chosen == "serial" and number not in (None, 1):
        raise MisuseError(f"the executor serial has 1 worker, not {number}; processes has many")
    if chosen == "serial":
        return Workers(1)
    return Workers((os.cpu_count() or 1) if number is None else number)
