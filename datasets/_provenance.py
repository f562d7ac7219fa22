"""What made a data set: the versions that decide its bits stand in the manifest, the machine and the commit in costs.jsonl."""

from __future__ import annotations

import functools
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import h5py

LIBRARIES = ("hedgefox", "numpy", "torch", "h5py", "taichi", "warp-lang", "newton")
"""Whose versions decide what a simulator gives and how it is stored."""


@functools.cache
def versions() -> Mapping[str, str]:
    """Kind of processor, and versions of Python, HDF5 and the libraries, by name: the same on machines set up alike."""
    found = {"machine": platform.machine(), "python": platform.python_version(), "hdf5": h5py.version.hdf5_version}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


@functools.cache
def commit() -> str | None:
    """The commit of the source tree; None where there is no git or hedgefox was installed."""
    ask = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(ask, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def differences(then: Mapping[str, str]) -> list[str]:
    """In which versions this machine differs from those that data were made with, such as "torch 2.9.0 then, 2.13.0 here"."""
    here = versions()
    names = sorted(then.keys() | here.keys()) if then else []
    return [
        f"{name} {then.get(name, 'absent')} then, {here.get(name, 'absent')} here"
        for name in names
        if then.get(name) != here.get(name)
    ]
