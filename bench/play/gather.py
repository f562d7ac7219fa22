"""What a user points at → the data of a player: a run's folder, a data set, or files of films."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from .. import record
from ..verbs import data_config
from .film import MAX_FILMS, Shown, player_data
from .run import of_run


@dataclass(frozen=True)
class Asked:
    """What is to be shown."""

    what: tuple[Path, ...]
    domain: str | None = None
    split: str | None = None
    scene: str | None = None
    models: tuple[str, ...] = ()
    truth: bool = True
    colour: str = "speed"
    device: str = "cpu"


def gathered(asked: Asked) -> tuple[dict[str, Any], Path]:
    """The data of a player, and where its page goes unless told otherwise.

    Raises MisuseError for what is neither a run, a data set nor a file of films, and for options that do not belong to it.
    """
    first = asked.what[0]
    if missing := [path for path in asked.what if not path.exists()]:
        raise MisuseError(f"{missing[0]} is not there; the folder of a run or a data set, or files of films, are right")
    if not first.is_dir():
        return _of_files(asked)
    if len(asked.what) > 1:
        raise MisuseError(f"{first} is a folder and stands alone; several arguments must be files")
    if not asked.truth:
        raise MisuseError("--no-truth belongs to files; a run has its truth, and a data set is truth")
    if (first / record.FILE).is_file():
        return _of_run(asked, first)
    return _of_data(asked, first)


def _of_files(asked: Asked) -> tuple[dict[str, Any], Path]:
    from ...datasets import read

    for flag, value in (("--domain", asked.domain), ("--split", asked.split), ("--model", asked.models)):
        if value:
            raise MisuseError(f"{flag} belongs to a run or a data set; {asked.what[0]} is neither")
    if len(asked.what) > MAX_FILMS:
        raise MisuseError(f"{len(asked.what)} films; a player shows 1 to {MAX_FILMS}")
    kinds = ["truth" if asked.truth and not k else "film" for k in range(len(asked.what))]
    shown = [Shown(path.stem, kind, read(path)) for path, kind in zip(asked.what, kinds, strict=True)]
    first = asked.what[0]
    return player_data(first.stem, shown, scene=_number(asked.scene), colour=asked.colour), first.with_suffix(".html")


def _of_data(asked: Asked, folder: Path) -> tuple[dict[str, Any], Path]:
    from ...datasets import load

    config = data_config(folder)
    if asked.models or asked.domain not in (None, config["domain"]):
        raise MisuseError(f"{folder} is a data set of {config['domain']}; --model and other domains belong to a run")
    split, scene = asked.split or "test", _number(asked.scene)
    title = f"{config['domain']}, {split}, scene {scene}"
    data = player_data(title, [Shown("truth", "truth", load(folder, split))], scene=scene, colour=asked.colour)
    return data, _beside(folder, config["domain"], split, scene)


def _of_run(asked: Asked, folder: Path) -> tuple[dict[str, Any], Path]:
    domain, split = _domain(asked, folder), asked.split or "test"
    choice = of_run(folder, domain, split, asked.models, asked.scene or "median", asked.device)
    title = f"{domain}, {split}, scene {choice.scene}"
    data = player_data(title, choice.shown, colour=asked.colour, first_frame=choice.first_frame, note=choice.note)
    return data, _beside(folder, domain, split, choice.scene)


def _domain(asked: Asked, folder: Path) -> str:
    there = [str(d["name"]) for d in record.read(folder)["domains"]]
    if asked.domain is not None:
        return asked.domain
    if len(there) != 1:
        raise MisuseError(f"{folder} has {', '.join(there)}; name one with --domain")
    return there[0]


def _beside(folder: Path, domain: str, split: str, scene: int) -> Path:
    return folder.resolve().parent / f"{folder.resolve().name}-{domain}-{split}-{scene}.html"


def _number(scene: str | None) -> int:
    if scene is not None and not scene.isdecimal():
        raise MisuseError(f"scene {scene!r} is no number; worst, median and best belong to a run, which has errors")
    return int(scene or 0)
