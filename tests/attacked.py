"""kill -9 at random moments, over and over: what is common to attacks on generate and on a training.

Each attempt is a fork of this process, which has imported everything: a kill costs milliseconds, not an import of torch.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Digest = dict[str, Any]


def attacked(
    attempt: Callable[[], object], digest: Callable[[Path], Digest], out: Path, kills: int, seed: int, patience: float
) -> dict[str, object]:
    """Attempts into `out`, killed until `kills` have landed; what came of it each time one was complete, and of one left alone.

    A kill comes within `patience` of the time that the attempt left alone took. The last attempt is let finish; it stays in `out`.
    """
    rng, landed, finished = random.Random(seed), 0, False
    complete: list[Digest] = []
    start = time.perf_counter()
    os.waitpid(_fork(attempt), 0)
    whole = time.perf_counter() - start
    untouched = digest(out)
    shutil.rmtree(out)
    while landed < kills or not finished:
        pid = _fork(attempt)
        if landed < kills:
            time.sleep(rng.uniform(0, patience * whole))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        landed += os.WIFSIGNALED(status)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("an attempt that goes on failed")
        finished = not os.WIFSIGNALED(status)
        if finished:
            complete.append(digest(out))
            if landed < kills:
                shutil.rmtree(out)
    return {"kills": landed, "complete": complete, "untouched": untouched, "seconds": whole}


def _fork(attempt: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
            os._exit(0)
        finally:
            os._exit(1)
    return pid
