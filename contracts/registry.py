"""The file name is the registry: a module under simulators/, surrogates/, jepa/ or bench/metrics/ is found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from .domain import Domain
from .errors import MisuseError

ROOT = __name__.rsplit(".", 2)[0]
"""Import name of the package this file lives in."""


def names(folder: str) -> list[str]:
    """Names of what a folder such as "simulators" or "bench.metrics" holds, sorted; files beginning with _ are private."""
    package = importlib.import_module(f"{ROOT}.{folder}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def module(folder: str, name: str, what: str) -> ModuleType:
    """Import one by name; raises MisuseError naming what exists when it does not."""
    known = names(folder)
    if name not in known:
        raise MisuseError(f"unknown {what} {name!r}; one of {', '.join(known)} is right")
    return importlib.import_module(f"{ROOT}.{folder}.{name}")


def domain(name: str | Domain) -> Domain:
    """The DOMAIN of simulators/NAME.py; a Domain object is passed through."""
    if isinstance(name, Domain):
        return name
    found: Any = module("simulators", name, "domain").DOMAIN
    assert isinstance(found, Domain)
    return found
