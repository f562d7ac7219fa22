"""A contestant that a program hands over as an object: held to what the model in a file is held to.

Its class may be anybody's. What hedgefox itself makes of the simulator is asked for by name, never by object: a card of kind
"reference" is not rolled out but gets the truth, and a card is what its maker writes on it. An object has no bytes that a record
could name, so nobody else can repeat its scores: a file, or weights, can be entered for a board.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ...contracts import MisuseError, Model
from .entry import KINDS, card_of, require_card, require_counted
from .predictions import Predictions

PACKAGE = __name__.partition(".")[0]


def require_given(model: Model, domain: str) -> None:
    """Raise MisuseError, in one line, for an object whose card cannot be, or says that it is the simulator, and for predictions."""
    if isinstance(model, Predictions):
        raise MisuseError(f"predictions are given as their folder, {model.folder}, and not as an object")
    origin = origin_of(model)
    card = card_of(origin, model)
    if card.kind not in KINDS and is_own(model):
        raise MisuseError(f"{origin} is the simulator's own; give its name, {card.name!r}, and not the object")
    require_card(origin, card, domain)
    require_counted(origin, model)


def is_own(model: Model) -> bool:
    """Whether the class of an object is one of hedgefox's own, and not one that calls itself so."""
    kind = type(model)
    if kind.__module__.partition(".")[0] != PACKAGE:
        return False
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def origin_of(model: Model) -> Path:
    """The file that the class of an object is written in, or what stands for one: a notebook's cell, the standard input."""
    for kind in type(model).__mro__:
        for value in vars(kind).values():
            code = getattr(getattr(value, "fget", value), "__code__", None)
            # What a data class writes itself has no place of its own.
            if code is not None and code.co_filename != "<string>":
                return Path(code.co_filename)
    return Path(type(model).__qualname__)
