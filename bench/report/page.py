"""The page put together: everything that is shown, as data, handed to the template."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import _held as held
from .. import board_text, compare
from .. import record as records
from ..claims import page as claims
from ..leaderboard import Entry
from ..play import page as players
from ..scaling import by_scene, size_law, transfer
from . import board, facts, headline, look, packed
from .charts import cost, health, over_time, probes, sizes, speed, two_by_two
from .charts import transfer as transfer_charts

HERE = Path(__file__).parent
OWN = ("report.css", "packed.js", "report.js", "players.js")


def copy_assets(target: Path) -> None:
    """The page's style and scripts, and plotly.js as the installed plotly brings it, deflated, once."""
    from plotly.offline import get_plotlyjs

    target.mkdir(parents=True, exist_ok=True)
    for name in OWN:
        shutil.copyfile(HERE / "assets" / name, target / name)
    records.write_text(target / "inflate.js", players.inflating())
    packed.write_script(target, "plotly", get_plotlyjs())


def render(folder: Path, read: Sequence[Mapping[str, Any]], entries: Sequence[Entry], kept: Mapping[str, Any]) -> str:
    """The page as text; everything from a record is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = lambda name: Markup("<wbr>").join(look.pieces(name))
    main, known = headline.main_track(read), look.looks(entries)
    families = charts(folder, read, entries, known)
    return environment.get_template("index.html.j2").render(
        main=main,
        answers=headline.answers(entries, main),
        tables=board.tables(entries, read),
        choices=_choices(entries, read),
        headings=board_text.HEADINGS,
        phone=board.PHONE,
        left_out=board_text.LEFT_OUT,
        note=board_text.NOTE,
        families=families,
        data=Markup(look.embedded(_data(folder, families, known, main))),
        claims=claims.judged(folder),
        status=claims.status,
        text_of=board_text.text_of,
        records=[facts.of(r) for r in reversed(read)],
        players=kept["records"],
        films=Markup(look.embedded(kept)),
    )


def charts(
    folder: Path, read: Sequence[Mapping[str, Any]], entries: Sequence[Entry], known: Mapping[str, look.Look]
) -> list[look.Family]:
    """Every family of charts, in the order of the page."""
    laws, ratios, moved = _scaling(folder)
    return [
        cost.family(entries, known),
        over_time.family(read, known),
        two_by_two.family(compare.two_by_two(held.places(entries))),
        speed.break_even(entries, known),
        speed.throughput(entries, known),
        sizes.family(laws, ratios, known),
        transfer_charts.family(moved),
        probes.family(compare.probes(read)),
        health.family(read),
    ]


def _scaling(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Size laws, size ratios and transfer of every track, its scenes read once."""
    laws: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    moved: dict[str, list[dict[str, Any]]] = {"matrix": [], "breadth": [], "few": []}
    for scenes in by_scene.read(folder):
        laws += size_law.laws(scenes)
        ratios += size_law.ratios(scenes)
        for name, rows in transfer.transfer(scenes).items():
            moved[name] += rows
    return laws, ratios, moved


def _choices(entries: Sequence[Entry], read: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What the board can be filtered by."""
    found = {
        name: list(dict.fromkeys(str(e.row[name]) for e in entries)) for name in ("track", "domain", "split", "kind")
    }
    return found | {"device": list(dict.fromkeys(board.device_of(r) for r in read))}


def _data(folder: Path, families: Sequence[look.Family], known: Mapping[str, look.Look], main: str) -> dict[str, Any]:
    """What the page's script works with."""
    said = "." if folder == Path() else folder.name if folder.is_absolute() else folder.as_posix()
    return {
        "folder": said,
        "looks": {name: vars(held) for name, held in known.items()},
        "families": {
            f.id: {"first": {"track": main} | f.first, "charts": [vars(c) for c in f.charts]} for f in families
        },
    }
