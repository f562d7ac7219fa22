"""The two kinds of failure a caller can meet: misuse of the library, and a check that did not hold."""

from __future__ import annotations


class HedgefoxError(Exception):
    """Base of every error that hedgefox raises on purpose. Its text is one line that names the offending value."""


class MisuseError(HedgefoxError, ValueError):
    """The call cannot be carried out as asked; the text says what was wrong and what would be right (exit code 2)."""


class CheckFailed(HedgefoxError):
    """A check ran and did not hold: a contract, a checksum, a physics band (exit code 1)."""
