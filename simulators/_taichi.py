"""The one place where Taichi is imported: quiet on stdout, started once a process on the device asked for.

Taichi is frozen upstream (its live fork is Quadrants), so nothing outside this folder may depend on it.
"""

import contextlib
import io
import os

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import taichi as ti  # noqa: TID253

_started: str | None = None


def start(device: str) -> None:
    """Make Taichi ready on "cpu" or "cuda". Changing the device restarts it, and kernels compile anew.

    Raises RuntimeError when CUDA is asked for and Taichi cannot reach it (it would fall back silently otherwise).
    """
    global _started
    wanted = "cuda" if device.startswith("cuda") else "cpu"
    if _started == wanted:
        return
    arch = ti.cuda if wanted == "cuda" else ti.cpu
    # Fast math would let the compiler reorder sums; determinism and exact antisymmetry of pair forces are worth more.
    with contextlib.redirect_stdout(io.StringIO()):  # it announces itself on stdout, which belongs to results
        ti.init(arch=arch, log_level=ti.ERROR, fast_math=False, default_fp=ti.f32, default_ip=ti.i32)
    got = ti.lang.impl.current_cfg().arch
    if wanted == "cuda" and got != ti.cuda:
        raise RuntimeError(f"Taichi cannot use CUDA here; it started on {got}")
    _started = wanted


def synchronize() -> None:
    """Wait for every kernel launched so far."""
    if _started is not None:
        ti.sync()
