"""What a result was measured on and with: machine, libraries, commit, command."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..contracts import MisuseError

LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "torch-geometric",
    "taichi",
    "warp-lang",
    "newton",
    "mujoco",
    "h5py",
    "pyarrow",
    "safetensors",
)
OPTIONAL = ("mujoco",)
"""What only tests need, as a referee."""
PACKAGE = Path(__file__).resolve().parents[1]
SOURCES = ("contracts", "simulators", "datasets", "surrogates", "jepa", "bench")


def versions() -> dict[str, str | None]:
    """Versions of Python and of the libraries that results depend on; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def suite_version() -> str:
    """Version of hedgefox; "unknown" when it runs without being installed."""
    try:
        return importlib.metadata.version("hedgefox")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str | None:
    """The commit of the source tree, with "-dirty" when a tracked file was changed; None without git."""
    try:
        found = _git("rev-parse", "HEAD")
        return f"{found}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else found
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def command() -> list[str]:
    """The command line that this process was started with; of paths that say where this machine keeps things, the last part."""
    program = Path(sys.argv[0]).name
    return ["hedgefox" if program == "__main__.py" else program, *map(_told, sys.argv[1:])]


def _told(argument: str) -> str:
    """An argument as a record may hold it."""
    flag, equals, value = argument.rpartition("=")
    return flag + equals + Path(value).name if Path(value).is_absolute() else argument


def source_hash() -> str:
    """SHA-256 of the code that results depend on: a changed solver or metric makes old stages stale."""
    digest = hashlib.sha256()
    for path in sorted(p for folder in SOURCES for p in (PACKAGE / folder).rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, memory, system and device; what cannot be found out is None."""
    import torch

    return {
        "cpu_model": _cpu_model(),
        "cores": cores(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "machine": platform.machine(),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "driver": _driver() if device.startswith("cuda") else None,
        "cuda": torch.version.cuda,
        "torch_threads": torch.get_num_threads(),
        "timing_torch_threads": 1 if device == "cpu" else torch.get_num_threads(),
    }


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return None


def _driver() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def has_cuda() -> bool:
    """Whether this machine has a GPU that torch can use."""
    import torch

    return torch.cuda.is_available()


def require_device(device: str) -> str:
    """The device as asked for; raises MisuseError when this machine has none such."""
    import torch

    if device == "cpu":
        return device
    if not device.startswith("cuda"):
        raise MisuseError(f"unknown device {device!r}; cpu or cuda is right")
    if not torch.cuda.is_available():
        raise MisuseError(f"device {device!r} is not on this machine; cpu is right here")
    return device


def doctor() -> dict[str, Any]:
    """What this machine can do and what is missing: devices, versions, memory."""
    import torch

    devices = ["cpu"] + [f"cuda:{k}" for k in range(torch.cuda.device_count())]
    found = versions()
    needed = [n for n in LIBRARIES if n not in OPTIONAL]
    return {
        "hedgefox": suite_version(),
        "commit": commit(),
        "devices": devices,
        "device_names": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        "environment": environment(),
        "versions": found,
        "missing": [n for n in needed if found[n] is None],
        "notes": [] if len(devices) > 1 else ["no CUDA device: speeds measured here are no headline"],
    }
