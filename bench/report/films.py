"""The films that runs kept, as scripts beside the page that are loaded when chosen: a page from disk may load scripts, not data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from .. import record as records
from ..play import packing, page, stored
from ..play.pick import RULES
from . import packed

FOLDER = "films"
NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""What a film's file may be called, since a script is called after it."""


def players(folder: Path, assets: Path) -> dict[str, Any]:
    """Put the films of all records under a folder, and what plays them, into the assets; what the page has to know of them.

    Records stand newest first. Those without films are left out; "records" is empty where there are none at all.
    """
    for old in (assets / FOLDER).glob("*.js"):
        old.unlink()
    found = [(path, records.read(path)) for path in records.find(folder)]
    found = [(path, held) for path, held in found if (path / stored.FOLDER).is_dir()]
    newest = sorted(found, key=lambda f: f[1]["created"], reverse=True)
    shown = [_of_record(path, held, assets, k) for k, (path, held) in enumerate(newest)]
    shown = [entry for entry in shown if entry["films"]]
    if shown:
        packed.write_script(assets, "player", page.script())
        records.write_text(assets / "player.css", page.style())
    return {"records": shown}


def _of_record(path: Path, held: Mapping[str, Any], assets: Path, number: int) -> dict[str, Any]:
    """The films of one record, in the order of its domains and splits."""
    domains = [d["name"] for d in held["domains"]]
    splits = list(held["track"].get("trajectories", {}))
    files = sorted((path / stored.FOLDER).glob(f"*{stored.SUFFIX}"))
    films = [film for file in files if NAME.fullmatch(file.stem) and (film := _film(file)) is not None]
    places = (domains, splits, RULES)
    films.sort(
        key=lambda f: [_place(order, f[name]) for order, name in zip(places, ("domain", "split", "rule"), strict=True)]
    )
    for film in films:
        film["script"] = _script(assets, number, film.pop("file"))
    seeds = ", ".join(str(s) for s in held["track"]["training_seeds"])
    return {"title": f"{held['track']['name']}, {held['created']}, training seed {seeds}", "films": films}


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _film(file: Path) -> dict[str, Any] | None:
    """What a film says of itself; None for one that cannot be read or does not say what it shows."""
    try:
        header = packing.header_of(file.read_bytes())
        picked = header["picked"]
        said = {"domain": str(header["domain"]), "scene": int(picked["scene"]), "error": float(picked["error"])}
        return said | {name: str(picked[name]) for name in ("split", "rule", "by")} | {"file": file}
    except (MisuseError, KeyError, TypeError, ValueError):
        return None


def _script(assets: Path, number: int, file: Path) -> str:
    """Write a film as a script; the script's name among the assets."""
    name = f"{FOLDER}/{number}-{file.stem}"
    packed.write(assets, name, file.read_bytes())
    return name
