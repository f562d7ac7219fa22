"""Players as HTML: one self-contained page, and the parts that a page of several players is put together from.

Everything is inline, so a page opens from disk with no server and no network. Whatever a name or a title holds is text: data
go into the page as JSON with every "<" escaped, and the player writes text nodes only.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import record

PAGE_STYLE = """\
:root { color-scheme: light dark; }
body { margin: 1rem; background: #ffffff; color: #1c2126; font: 15px/1.4 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) body { background: #1b1f24; color: #e8ebee; } }
:root[data-theme="dark"] body { background: #1b1f24; color: #e8ebee; }
"""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{players}
</main>
<script>
{script}
HedgefoxPlayer.all();
</script>
</body>
</html>
"""


def style() -> str:
    """The style sheet of players, for a page's style element."""
    return _text("player.css")


def script() -> str:
    """three.js, the player and what unpacks films, for a page's script element; after it, `HedgefoxPlayer.all()` starts every
    player of the page, or `HedgefoxPlayer(element, data)` one."""
    parts = (("vendor", "three.iife.min.js"), ("inflate.js",), ("packing.js",), ("matter.js",), ("player.js",))
    return "\n".join(_text(*part) for part in parts)


def inflating() -> str:
    """The part of `script` that unpacks bytes, for pages that need it before a player."""
    return _text("inflate.js")


def embedded(data: Mapping[str, Any], name: str) -> str:
    """One player as a piece of HTML: its element and its data. `name` is unique in the page, of letters, digits and dashes."""
    content = json.dumps(record.strict(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    ident = html.escape(name, quote=True)
    return (
        f'<script type="application/json" id="{ident}">{content}</script>\n<div data-hedgefox-player="{ident}"></div>'
    )


def page(players: Sequence[Mapping[str, Any]]) -> str:
    """One HTML page with some players."""
    pieces = [embedded(data, f"player-{k}") for k, data in enumerate(players)]
    return TEMPLATE.format(
        title=html.escape(str(players[0]["title"])),
        style=PAGE_STYLE + style(),
        players="\n".join(pieces),
        script=script(),
    )


def write(path: str | Path, players: Sequence[Mapping[str, Any]]) -> Path:
    """Write such a page; returns its path."""
    path = Path(path)
    record.write_text(path, page(players))
    return path


def _text(*parts: str) -> str:
    found: str = files(__package__).joinpath(*parts).read_text(encoding="utf-8")
    return found
