"""Rows of plain data, shown as text, as HTML and as a pandas DataFrame.

In a DataFrame numbers are numbers. An estimate {value, low, high, …} becomes the columns NAME, NAME_low, NAME_high and one more for
each other field; other nested fields are named NAME/FIELD; what does not apply is missing. `attrs["units"]` gives units by column.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from ...contracts import MisuseError
from ..board_text import cell
from . import render
from .render import Part

if TYPE_CHECKING:
    import pandas as pd

ENDS = ("value", "low", "high")
"""What of an estimate stands in its first columns."""


class Shown(ABC):
    """What reads as text and as HTML, and gives a DataFrame of each of its tables."""

    @property
    @abstractmethod
    def tables(self) -> dict[str, Table]:
        """Its tables by name, the main one first."""

    @property
    def headline(self) -> str:
        """The line above its tables."""
        return ""

    @property
    def parts(self) -> list[Part]:
        """What is shown of its tables."""
        return [part for table in self.tables.values() for part in table.parts]

    @property
    def extra_html(self) -> str:
        """What a notebook shows below the tables."""
        return ""

    @property
    def note(self) -> str:
        """How to read it, below the tables."""
        return ""

    def table(self, name: str | None = None) -> Table:
        """One of its tables, the main one by default; raises MisuseError naming those that exist."""
        held = self.tables
        if name is None and held:
            return next(iter(held.values()))
        if name not in held:
            raise MisuseError(f"there is no table {name!r}; one of {', '.join(held) or 'none'} is right")
        return held[name]

    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """One of its tables as a DataFrame, the main one by default; see the module for its columns."""
        return self.table(name).to_pandas()

    def __repr__(self) -> str:
        return render.text(self.headline, self.parts, self.note)

    def _repr_html_(self) -> str:
        return render.html(self.headline, self.parts, self.note, self.extra_html)


@dataclass(frozen=True, repr=False)
class Table(Shown, Sequence[Mapping[str, Any]]):
    """Rows of plain data, which it is a sequence of, and how they are shown."""

    title: str
    rows: tuple[Mapping[str, Any], ...]
    shown: tuple[Part, ...]
    """What people see of it: several tables for a board."""
    reading: str = ""
    """How to read it."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By column, of a DataFrame."""
    estimates: tuple[str, ...] = ()
    """Columns that are estimates even where no row has one."""

    @property
    def tables(self) -> dict[str, Table]:
        """Itself."""
        return {self.title: self}

    @property
    def parts(self) -> list[Part]:
        """As it was made."""
        return list(self.shown)

    @property
    def note(self) -> str:
        """As it was made."""
        return self.reading

    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """Its rows as a DataFrame with typed columns; see the module."""
        if name not in (None, self.title):
            return super().to_pandas(name)
        return frame(self)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Mapping[str, Any], ...]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | tuple[Mapping[str, Any], ...]:
        return self.rows[index]


def plain(title: str, rows: Iterable[Mapping[str, Any]], *, caption: str = "", **more: Any) -> Table:
    """A table of rows of equal keys, all of them shown."""
    held = tuple(rows)
    headings = tuple(held[0]) if held else ()
    texts = tuple(tuple(cell(row[name]) for name in headings) for row in held)
    return Table(title, held, (Part(title, headings, texts, caption),), **more)


def frame(table: Table) -> pd.DataFrame:
    """The DataFrame of a table's rows."""
    import pandas as pd

    estimates = _estimates(table.rows) | set(table.estimates)
    flat = [_flat(row, estimates) for row in table.rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    made = pd.DataFrame({name: _column([row.get(name) for row in flat]) for name in names})
    made.attrs = {"title": table.title, "units": {n: u for n in names if (u := _unit(n, table.units)) is not None}}
    return made


def _estimates(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The fields that are an estimate in some row."""
    return {n for row in rows for n, v in row.items() if isinstance(v, Mapping) and "value" in v}


def _flat(row: Mapping[str, Any], estimates: set[str]) -> dict[str, Any]:
    """A row without nesting, estimates as several columns."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        if name in estimates and (value is None or isinstance(value, Mapping)):
            made |= _ends(name, value or {})
        elif isinstance(value, Mapping):
            made |= {f"{name}/{k}": v for k, v in _flat(value, _estimates([value])).items()}
        else:
            made[name] = cell(value) if isinstance(value, list | tuple) else value
    return made


def _ends(name: str, held: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an estimate."""
    first = {name if k == "value" else f"{name}_{k}": held.get(k) for k in ENDS}
    others = {f"{name}_{k}": v for k, v in held.items() if k not in ENDS}
    return first | _flat(others, _estimates([others]))


def _column(values: list[Any]) -> Any:
    """Values as one typed column: Int64, boolean, float64 or string, whichever holds them all; missing ones are missing."""
    import pandas as pd

    known = [v for v in values if v is not None]
    if all(isinstance(v, bool) for v in known) and known:
        return pd.array(values, dtype="boolean")
    if all(isinstance(v, int) and not isinstance(v, bool) for v in known) and known:
        return pd.array(values, dtype="Int64")
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return pd.Series([float("nan") if v is None else float(v) for v in values], dtype="float64")
    return pd.array([None if v is None else str(v) for v in values], dtype="string")


def _unit(name: str, units: Mapping[str, str]) -> str | None:
    """The unit of a column: its own, or that of the estimate that it is an end of."""
    stem = name
    for end in ("_low", "_high", "_mean", "_iqm", "_p90"):
        stem = stem.removesuffix(end)
    return units.get(name, units.get(stem))
