"""The file name is the registry: a module under simulators/, surrogates/, jepa/ or bench/metrics/ is found by its name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from .domain import Domain
from .errors import MisuseError
from .nearest import one_of

ROOT = __name__.rsplit(".", 2)[0]
"""Import name of the package this file lives in."""
MODEL_FOLDERS = ("surrogates", "jepa")
"""Where models are. A public file of one of these is a model when it defines `build`; the others are parts of models."""
_BUILDS = re.compile(r"^def build\(", re.MULTILINE)


def names(folder: str) -> list[str]:
    """Names of what a folder such as "simulators" or "bench.metrics" holds, sorted; files beginning with _ are private."""
    package = importlib.import_module(f"{ROOT}.{folder}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def module(folder: str, name: str, what: str) -> ModuleType:
    """Import one by name; raises MisuseError naming what exists when it does not."""
    known = names(folder)
    if name not in known:
        raise MisuseError(f"unknown {what} {name!r}; {one_of(name, known)}")
    return importlib.import_module(f"{ROOT}.{folder}.{name}")


def domain(name: str | Domain) -> Domain:
    """The DOMAIN of simulators/NAME.py; a Domain object is passed through."""
    if isinstance(name, Domain):
        return name
    found: Any = module("simulators", name, "domain").DOMAIN
    assert isinstance(found, Domain)
    return found


# -- models: files of several folders, and variants of a file ----------------------------------------------------------


def model_names() -> list[str]:
    """Names of all files that are models, sorted. None of them is imported: their text is looked at."""
    return sorted(_model_folders())


def model(name: str) -> ModuleType:
    """The file of a model by its full name, FILE or FILE-VARIANT.

    Raises MisuseError naming the files or the variants that exist.
    """
    bare, dash, variant = name.partition("-")
    folders = _model_folders()
    if bare not in folders:
        raise MisuseError(f"unknown model {name!r}; {one_of(bare, sorted(folders))}")
    file = importlib.import_module(f"{ROOT}.{folders[bare]}.{bare}")
    known = variant_names(file)
    if dash and variant not in known:
        raise MisuseError(f"{bare} has no variant {variant!r}; {one_of(variant, known)}")
    return file


def variant_names(file: ModuleType) -> list[str]:
    """Names of a model file's variants, without the file's own, in the order in which it states them."""
    return list(getattr(file, "VARIANTS", ()))


def _model_folders() -> dict[str, str]:
    """The folder of each model file, by name."""
    return {name: folder for folder in MODEL_FOLDERS for name in names(folder) if _builds(folder, name)}


def _builds(folder: str, name: str) -> bool:
    """Whether a file defines `build`, read from its text: importing it to see would run it."""
    spec = importlib.util.find_spec(f"{ROOT}.{folder}.{name}")
    if spec is None or spec.origin is None:
        return False
    return _BUILDS.search(Path(spec.origin).read_text(encoding="utf-8")) is not None
