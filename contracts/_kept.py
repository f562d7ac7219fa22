"""Things worked out once from a frozen object and kept with it, as functools.cached_property would, but from outside."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")


def kept(owner: object, key: Hashable, make: Callable[[], T]) -> T:
    """`make()`, the first time that it is asked for under this key; afterwards the same object. It lives as long as its owner.

    The owner must never be written to after, which holds for scenes and films; keys begin with the asking module's name.
    """
    store = owner.__dict__.setdefault("_kept", {})
    if key not in store:
        store[key] = make()
    value: T = store[key]
    return value
