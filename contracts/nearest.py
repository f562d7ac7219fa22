"""What was probably meant by a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like a misspelled one, or None where none is like it."""
    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def one_of(name: str, known: Iterable[str], besides: str = "", more: Iterable[str] = ()) -> str:
    """The end of a message about an unknown name: which is probably meant, and which there are, and what `besides` would do.

    Names of `more` may be meant as well, but are too many to be listed.
    """
    there = [str(k) for k in known]
    meant = nearest(name, [*there, *more])
    asked = f"did you mean {meant!r}? " if meant is not None else ""
    return f"{asked}one of {', '.join(there)}{besides} is right" if there else f"{asked}there is none"
