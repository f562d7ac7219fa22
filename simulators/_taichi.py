"""The one place where Taichi is imported: quiet on stdout, started once a process on the device asked for.

Taichi is frozen upstream (its live fork is Quadrants), so nothing outside this folder may depend on it.
"""

import contextlib
import io
import os
from typing import Any

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import taichi as ti  # noqa: TID253
from torch import Tensor

_started: str | None = None
_compiled: dict[Any, tuple[Any, Any, Any]] = {}
"""By kernel, kinds of arguments and templates: the kernel for such, its code, and the program that it runs in."""


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
    _compiled.clear()


def launch(kernel: Any, *args: Any) -> None:
    """Call a kernel whose arguments are templates, integers, floats and contiguous tensors on the device that was started.

    Taichi's own call looks at every argument anew in Python: a millisecond for the forty arrays of a fluid, ten times what a frame
    of a small scene takes to compute, so that cheap settings would be judged by it. Only the first call with arguments of these
    kinds goes that way, which checks and compiles; later ones hand over pointers and shapes.
    """
    kinds = tuple((x.dtype, x.dim()) if isinstance(x, Tensor) else type(x) for x in args)
    primal = kernel._primal
    key = (primal, kinds, *(args[i] for i in primal.template_slot_locations))
    found = _compiled.get(key)
    if found is None:
        kernel(*args)
        made = primal.compiled_kernels[primal.ensure_compiled(*args)]
        program = ti.lang.impl.get_runtime().prog
        _compiled[key] = made, program.compile_kernel(program.config(), program.get_device_caps(), made), program
        return
    made, compiled, program = found
    context, slot = made.make_launch_context(), 0
    templates = set(primal.template_slot_locations)
    for i, x in enumerate(args):
        if i in templates:
            continue
        if isinstance(x, Tensor):
            context.set_arg_external_array_with_shape((slot,), x.data_ptr(), x.nbytes, x.shape, 0)
        elif isinstance(x, int):
            context.set_arg_int((slot,), x)
        else:
            context.set_arg_float((slot,), x)
        slot += 1
    program.launch_kernel(compiled, context)


def synchronize() -> None:
    """Wait for every kernel launched so far."""
    if _started is not None:
        ti.sync()
