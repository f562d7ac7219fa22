"""Whether a file from elsewhere may be opened here: asked in another process, which may crash, hang or run out of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..contracts import MisuseError
from . import _probe
from ._shard import FORMAT, FORMAT_VERSION

MEMORY = 4 << 30
"""Address space of the probe [bytes]. It reads in slabs; most of this is libraries."""
SECONDS = 30
"""Time for opening [s]; reading adds to it at BYTES_PER_SECOND."""
BYTES_PER_SECOND = 50_000_000


def probe(paths: Sequence[Path], foreign: bool = False) -> list[str | None]:
    """Why each file must not be opened, or None where nothing speaks against it. Never raises for a bad file.

    `foreign` files are HDF5 in the layout of others.
    """
    found: list[str | None] = []
    while len(found) < len(paths):
        found += _ask(paths[len(found) :], foreign)
    return found


def _ask(paths: Sequence[Path], foreign: bool) -> list[str | None]:
    """Answers for the first of the files, up to the one that ends the probe."""
    seconds = SECONDS + sum(p.stat().st_size for p in paths if p.exists()) // BYTES_PER_SECOND
    settings = [str(seconds), str(MEMORY), _probe.FOREIGN if foreign else FORMAT, str(FORMAT_VERSION)]
    command = [sys.executable, "-I", _probe.__file__, *settings, *(str(p.absolute()) for p in paths)]
    # No filter plug-ins: they are code found beside data.
    environment = {**os.environ, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=environment)
        output, end = done.stdout, f"reading it ended the probe with status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or b"", f"reading it took more than {seconds} s"
    answers: list[str | None] = [json.loads(line)["refused"] for line in output.decode().splitlines()]
    return answers if len(answers) == len(paths) else [*answers, end]


def require_harmless(path: Path, foreign: bool = False) -> None:
    """Raise MisuseError, naming the file and the reason, when a file must not be opened; `foreign` as for `probe`."""
    if not path.is_file():
        raise MisuseError(f"{path} is not a file")
    refused = probe([path], foreign)[0]
    if refused:
        raise MisuseError(f"{path}: {refused}")
