"""Tables as text and as HTML. Whatever a name holds is text: everything is escaped, and no style of a page is overruled.

Colours are the page's own ink at some opacity, so that tables read on a light ground and on a dark one.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

MOST_ROWS, MOST_PARTS = 60, 12
"""What is shown of long tables; DataFrames have all."""
NONE = "–"

STYLE = """\
<style>
.hedgefox-shown { margin: .3em 0 1em; }
.hedgefox-shown h4 { margin: .2em 0 .4em; font-size: 1.05em; overflow-wrap: anywhere; }
.hedgefox-shown .scroll { overflow-x: auto; margin: 0 0 .7em; }
.hedgefox-shown table { border-collapse: collapse; margin: 0; font-size: .92em; font-variant-numeric: tabular-nums;
  color: inherit; }
.hedgefox-shown caption { caption-side: top; text-align: left; font-weight: 600; padding: .2em 0; color: inherit; }
.hedgefox-shown caption small { display: block; font-weight: 400; max-width: 60em; white-space: normal; }
.hedgefox-shown :is(th, td) { padding: .2em .7em; text-align: left !important; white-space: nowrap; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); background: none; max-width: none;
  vertical-align: top; }
.hedgefox-shown thead th { border-bottom-width: 2px; font-weight: 600; }
.hedgefox-shown :is(th, td).n { text-align: right !important; }
.hedgefox-shown td.w { white-space: normal; min-width: 12em; overflow-wrap: anywhere; }
.hedgefox-shown :is(small, p.note) { opacity: .72; }
.hedgefox-shown :is(p.note, details) { font-size: .88em; max-width: 60em; margin: .2em 0; }
.hedgefox-shown summary { cursor: pointer; }
</style>"""


@dataclass(frozen=True)
class Part:
    """One table as people see it."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Texts, one a heading."""
    caption: str = ""


def text(headline: str, parts: Sequence[Part], note: str = "") -> str:
    """Tables as text, columns aligned; a column that says nothing is left out."""
    blocks = [_text_of(_spared(part)) for part in parts[:MOST_PARTS]]
    more = _left_out(parts)
    return "\n\n".join(
        block for block in (_one_line(headline), *blocks, more, textwrap.fill(_one_line(note), WRAP)) if block
    )


def html(headline: str, parts: Sequence[Part], note: str = "", extra: str = "") -> str:
    """Tables as a piece of HTML that may stand in a page several times. `extra` goes in as it is."""
    inner = [f"<h4>{escape(headline)}</h4>"] if headline else []
    inner += [_html_of(_spared(part)) for part in parts[:MOST_PARTS]]
    inner += [f'<p class="note">{escape(line)}</p>' for line in (_left_out(parts),) if line]
    inner += [f"<details><summary>How to read it</summary><p>{escape(line)}</p></details>" for line in (note,) if line]
    return "\n".join([STYLE, '<div class="hedgefox-shown">', *inner, *([extra] if extra else []), "</div>"])


def _left_out(parts: Sequence[Part]) -> str:
    more = len(parts) - MOST_PARTS
    return f"… and {more} more tables; .to_pandas() has all" if more > 0 else ""


def _spared(part: Part) -> Part:
    """Without the columns in which every row says nothing."""
    kept = [k for k in range(len(part.headings)) if any(row[k] != NONE for row in part.rows)]
    rows = tuple(tuple(row[k] for k in kept) for row in part.rows)
    return Part(part.title, tuple(part.headings[k] for k in kept), rows, part.caption)


def _numeric(part: Part) -> list[bool]:
    """Whether each column is of numbers, which stand at the right."""
    return [
        all(row[k] == NONE or re.match(r"[<>]?-?\d", row[k]) or row[k] in ("never", "inf", "nan") for row in part.rows)
        for k in range(len(part.headings))
    ]


def _more_rows(part: Part) -> str:
    more = len(part.rows) - MOST_ROWS
    return f"… and {more} more rows; .to_pandas() has all" if more > 0 else ""


def _text_of(part: Part) -> str:
    """A table in lines; its title and caption first."""
    rows = [tuple(_one_line(c) for c in row) for row in (part.headings, *part.rows[:MOST_ROWS])]
    widths = [max(_width(row[k]) for row in rows) for k in range(len(part.headings))]
    right = _numeric(part)
    lines = ["  ".join(_set(c, w, r) for c, w, r in zip(row, widths, right, strict=True)).rstrip() for row in rows]
    rule = ["  ".join("─" * w for w in widths)] if part.headings else []
    head = [_one_line(t) for t in (part.title, part.caption) if t]
    body = [lines[0], *rule, *lines[1:]] if part.rows else []
    return "\n".join([*head, *body, *([more] if (more := _more_rows(part)) else [])])


def _one_line(text: str) -> str:
    """Text that moves no cursor and starts no line."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)


def _width(text: str) -> int:
    """Cells of a terminal that a text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else unicodedata.category(c) != "Mn" for c in text)


def _set(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _html_of(part: Part) -> str:
    right = _numeric(part)
    told = f"<small>{escape(part.caption)}</small>" if part.caption else ""
    head = "".join(f"<th{_kind(r, '')}>{escape(h)}</th>" for h, r in zip(part.headings, right, strict=True))
    body = [
        "<tr>" + "".join(f"<td{_kind(r, c)}>{_cell(c)}</td>" for c, r in zip(row, right, strict=True)) + "</tr>"
        for row in part.rows[:MOST_ROWS]
    ]
    more = _more_rows(part)
    tail = f"<small>{escape(more)}</small>" if more else ""
    caption = f"<caption>{escape(part.title)}{told}</caption>"
    if not part.rows:
        return f"<p>{escape(part.title)} {told}</p>"
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>{tail}</div>'


def _kind(right: bool, text: str) -> str:
    """The class of a cell: a number, or a long text, which may wrap."""
    return ' class="n"' if right else ' class="w"' if len(text) > LONG else ""


LONG, WRAP = 48, 120
"""Longer texts of a cell wrap; a note in a terminal wraps there."""


def _cell(text: str) -> str:
    """A cell's text, the interval of an estimate smaller."""
    found = re.fullmatch(r"([<>]?-?\d\S*) (\[[^\]]*\])(.*)", text)
    if found is None:
        return escape(text)
    value, ends, rest = map(escape, found.groups())
    return f"{value} <small>{ends}{rest}</small>"
