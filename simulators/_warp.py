"""The one place where Warp is imported: quiet, and without adjoint kernels, which would double compile times."""

from __future__ import annotations

import os
import sys

import warp as wp  # noqa: TID253

__all__ = ["wp"]

wp.config.log_level = wp.LOG_ERROR
wp.config.enable_backward = False


def _start() -> None:
    """Start Warp. Its native part warns on the process's stderr where there is no GPU, past any Python setting."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()  # type: ignore[no-untyped-call]
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


_start()
