"""A contestant from a user's own file: one Python file, anywhere on disk.

The file defines one of these; the first that it has is taken.

    build(domain: str, size: str) -> Model      called once for each domain; gets `seed` too when its signature has one
    a Model at module level                     `model = MyModel()`
    one concrete subclass of Model or Stepper   that can be made without arguments

It is compiled from the bytes whose SHA-256 goes into the record, under a private module name. Its folder is importable while the
file is imported and the model built, and not afterwards: what it needs from beside it is imported at its top. The hash is of the
file alone. Running it runs the user's code: enter only files that you would run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ...contracts import MisuseError, Model, ModelCard
from ...contracts.card import knows
from ...contracts.model import weight_bytes

KINDS = ("baseline", "specialist", "generalist", "hybrid")
"""What an entry may be. The reference and its ladder are the simulator's own: the truth, and what all are held against."""

EXEMPTIBLE = ("node_order",)
"""Checks that a file may leave out in its EXEMPT: a Gauss-Seidel solver's answer depends on the order of its nodes."""
SOLVERS = ("baseline", "hybrid")
"""Kinds that may be or hold a solver."""


@dataclass(frozen=True)
class Entry:
    """A model built from a user's file, and what is to be known of the file."""

    model: Model
    source_sha256: str
    """SHA-256 of the file's bytes."""
    exempt: tuple[str, ...] = ()
    """Checks of `check_model` that the file leaves out."""


def load(path: Path, domain: str, *, size: str, device: str = "cpu", seed: int = 0) -> Entry:
    """Import a file and build its model for a domain; raises MisuseError, one line with file and line, for what is wrong."""
    source = _read(path)
    digest = hashlib.sha256(source).hexdigest()
    with _siblings_of(path):
        module = _imported(path, source, f"_hedgefox_entry_{digest[:16]}")
        model = _model_of(path, module, domain, size, seed)
        require_card(path, card_of(path, model), domain)
    require_counted(path, model)
    if isinstance(model, torch.nn.Module):
        model.to(device)
    return Entry(model, digest, _exempt(path, module, model.card.kind))


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise MisuseError(f"{path} is a folder; give the Python file itself")
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path} cannot be read: {error.strerror}") from error


# -- importing ---------------------------------------------------------------------------------------------------------


@contextmanager
def _siblings_of(path: Path) -> Iterator[None]:
    """The file's folder on sys.path, for what it imports from beside it; both that and those modules are taken out again.

    Else a second file's `import network` would get the first one's.
    """
    folder = path.resolve().parent
    before, kept = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = kept
        # A package that was in use before stays whole: the folder may be the one that holds hedgefox itself.
        tops = {n.partition(".")[0] for n in set(sys.modules) - before} - before
        own = {top for top in tops if _lies_in(top, folder)}
        for name in [n for n in sys.modules if n.partition(".")[0] in own]:
            del sys.modules[name]


def _lies_in(top: str, folder: Path) -> bool:
    """Whether a top-level module is a file or a package directly in a folder."""
    origin = getattr(sys.modules.get(top), "__file__", None)
    if origin is None:
        return False
    where = Path(origin).resolve()
    return folder in (where.parent, where.parent.parent) and top in (where.stem, where.parent.name)


def _imported(path: Path, source: bytes, name: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    # Data classes and pickles look their module up by name.
    sys.modules[name] = module
    try:
        with _told(path, "importing it"):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except MisuseError:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _told(path: Path, doing: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one MisuseError with file, line and error."""
    try:
        yield
    except SyntaxError as error:
        raise MisuseError(
            f"{error.filename or path}, line {error.lineno}: {type(error).__name__}: {error.msg}"
        ) from error
    except (Exception, SystemExit) as error:
        raise MisuseError(f"{where(error, path)}: {said(error)} (while {doing})") from error


def where(error: BaseException, path: Path) -> str:
    """File and line of the deepest place in the user's own file, or beside it, that an error passed through; else the file."""
    folder = path.resolve().parent
    own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve().parent == folder]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else str(path)


def said(error: BaseException) -> str:
    """Kind and text of an error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300].removesuffix(":")


# -- finding the model -------------------------------------------------------------------------------------------------


def _model_of(path: Path, module: ModuleType, domain: str, size: str, seed: int) -> Model:
    """The model that a file offers; raises MisuseError when it offers none, or several."""
    if "build" in vars(module):
        return _built(path, vars(module)["build"], domain, size, seed)
    instances = {id(v): n for n, v in vars(module).items() if isinstance(v, Model)}
    if instances:
        name = _only(path, list(instances.values()), "Models")
        found: Model = vars(module)[name]
        return found
    own = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    classes = list(dict.fromkeys(c for c in own if issubclass(c, Model)))
    concrete = [c for c in classes if not inspect.isabstract(c)]
    if classes and not concrete:
        lacking = ", ".join(sorted(classes[-1].__abstractmethods__))
        raise MisuseError(f"{path}: class {classes[-1].__name__} does not define {lacking}; a Model needs each of them")
    if not classes:
        raise MisuseError(
            f"{path} defines no model: it needs build(domain, size) that returns a hedgefox.Model, or one subclass of "
            "hedgefox.Model or hedgefox.Stepper"
        )
    chosen = _only(path, [c.__name__ for c in concrete], "Model classes")
    return _made(path, next(c for c in concrete if c.__name__ == chosen))


def _only(path: Path, names: list[str], what: str) -> str:
    if len(names) > 1:
        raise MisuseError(
            f"{path} defines {len(names)} {what}, {', '.join(names)}; a file enters one: say which with build(domain, size)"
        )
    return names[0]


def _made(path: Path, kind: type[Model]) -> Model:
    with _told(path, f"making {kind.__name__}"):
        signature = inspect.signature(kind)
        try:
            signature.bind()
        except TypeError as error:
            needs = f"class {kind.__name__}{signature} cannot be made without arguments ({error})"
            raise MisuseError(f"{path}: {needs}; define build(domain, size) that makes it") from error
        return kind()


def _built(path: Path, build: Any, domain: str, size: str, seed: int) -> Model:
    if not callable(build):
        raise MisuseError(f"{path}: build is a {type(build).__name__}; a function build(domain, size) is right")
    taken = inspect.signature(build).parameters
    more = {"seed": seed} if "seed" in taken else {}
    by_name = "size" in taken and taken["size"].kind is inspect.Parameter.KEYWORD_ONLY
    arguments, names = ((domain,), {"size": size, **more}) if by_name else ((domain, size), more)
    try:
        inspect.signature(build).bind(*arguments, **names)
    except TypeError as error:
        raise MisuseError(
            f"{path}: build{inspect.signature(build)} cannot be called as build(domain, size): {error}"
        ) from error
    with _told(path, f"calling build({domain!r}, {size!r})"):
        model = build(*arguments, **names)
    if not isinstance(model, Model):
        what = "nothing" if model is None else f"a {type(model).__name__}"
        if isinstance(model, type) and issubclass(model, Model):
            what = f"{model.__name__}, the class and not one of it"
        raise MisuseError(f"{path}: build returned {what}; a hedgefox.Model or Stepper is right")
    return model


# -- what it says of itself --------------------------------------------------------------------------------------------


def card_of(path: Path, model: Model) -> ModelCard:
    """The card of a model; raises MisuseError for what is none."""
    with _told(path, f"reading the card of {type(model).__name__}"):
        # Of a foreign class it may be anything.
        card: Any = model.card
    if not isinstance(card, ModelCard):
        held = "a method: put @property above it" if callable(card) else f"a {type(card).__name__}"
        raise MisuseError(f"{path}: {type(model).__name__}.card is {held}; a hedgefox.ModelCard is right")
    return card


def require_card(origin: Path, card: ModelCard, domain: str) -> None:
    """Raise MisuseError when what a card says cannot be: wrong types, another domain, a kind that is the simulator's own."""
    _require_types(origin, card)
    if card.kind not in KINDS:
        raise MisuseError(
            f"{origin}: the card of {card.name} is of kind {card.kind!r}, which is the simulator's own; "
            f"one of {', '.join(KINDS)} is right (a solver of yours is a baseline)"
        )
    if not knows(card.domains, domain):
        raise MisuseError(
            f"{origin}: the card of {card.name} names the domains {', '.join(card.domains) or 'none'}; this is {domain}"
        )


def _require_types(origin: Path, card: ModelCard) -> None:
    """Nobody has held the card's fields to their types so far."""
    fit = {
        "str": str,
        "int": int,
        "bool": bool,
        "int | None": int | None,
        "str | None": str | None,
        "float": int | float,
    }
    for field in dataclasses.fields(card):
        value, kind = getattr(card, field.name), str(field.type)
        if kind == "tuple[str, ...]":
            fits = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
            example = '; a tuple such as ("fluid",) is right'
        else:
            fits = kind not in fit or (isinstance(value, fit[kind]) and (kind == "bool" or not isinstance(value, bool)))
            example = f"; its type is {kind}"
        if not fits:
            raise MisuseError(f"{origin}: the card's {field.name} is {value!r}{example}")
    if min(card.parameters, card.bytes) < 0 or not card.name.isprintable():
        raise MisuseError(f"{origin}: the card of {card.name!r} needs a printable name and no negative numbers")
    try:
        json.dumps(card.to_dict())
    except (TypeError, ValueError, AttributeError) as error:
        raise MisuseError(f"{origin}: the card of {card.name} cannot be written as JSON: {error}") from error


def require_counted(path: Path, model: Model) -> None:
    """A card may not state fewer parameters than the torch modules that can be seen hold."""
    held = (
        [model]
        if isinstance(model, torch.nn.Module)
        else [v for v in getattr(model, "__dict__", {}).values() if isinstance(v, torch.nn.Module)]
    )
    counted = [weight_bytes(m) for m in {id(m): m for m in held}.values()]
    number, size = sum(n for n, _ in counted), sum(b for _, b in counted)
    if number > model.card.parameters or size > model.card.bytes:
        raise MisuseError(
            f"{path}: the card of {model.card.name} states {model.card.parameters} parameters in {model.card.bytes} bytes; "
            f"its modules hold {number} in {size}: hedgefox.contracts.model.weight_bytes(module) counts them"
        )


def _exempt(path: Path, module: ModuleType, kind: str) -> tuple[str, ...]:
    asked = tuple(vars(module).get("EXEMPT", ()))
    wrong = [name for name in asked if name not in EXEMPTIBLE]
    if wrong:
        raise MisuseError(f"{path}: EXEMPT names {wrong[0]!r}; only {', '.join(EXEMPTIBLE)} can be left out")
    if asked and kind not in SOLVERS:
        raise MisuseError(f"{path}: EXEMPT is for solvers, of kind {' or '.join(SOLVERS)}; the card says {kind}")
    return asked
