"""The two kinds of failure a caller can meet: misuse of the library, and a check that did not hold."""

from __future__ import annotations

MOST = 4000
"""Characters of an error's text at the most: a file from elsewhere may hold names of any length."""
HALF = 1900


def one_line(text: str) -> str:
    """A text as one printable line: line ends become spaces, other control characters and lone surrogates are spelled out.

    Names and values from a file may hold anything, also what a terminal would obey.
    """
    if len(text) > MOST:
        text = f"{text[:HALF]} … {text[-HALF:]}"
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _spelled(c) for c in text)
    return text


def _spelled(character: str) -> str:
    return " " if character in "\n\t" else character.encode("unicode_escape").decode()


class HedgefoxError(Exception):
    """Base of every error that hedgefox raises on purpose. Its text is one line that names the offending value."""

    def __init__(self, text: str = "") -> None:
        super().__init__(one_line(text))


class MisuseError(HedgefoxError, ValueError):
    """The call cannot be carried out as asked; the text says what was wrong and what would be right (exit code 2)."""


class CheckFailed(HedgefoxError):
    """A check ran and did not hold: a contract, a checksum, a physics band (exit code 1)."""
