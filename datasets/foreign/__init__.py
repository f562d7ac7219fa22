"""Data sets in other people's layouts, read as Trajectories; one file a layout. Nothing is unpickled, no code beside data is run.

`recognised` tells which layout a folder has; what the set can then be asked is in `ForeignSet`. See docs/foreign.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from ._set import ForeignSet as ForeignSet
from .gns import Gns as Gns
from .lagrangebench import LagrangeBench as LagrangeBench
from .meshgraphnets import MeshGraphNets as MeshGraphNets
from .the_well import Grid as Grid
from .the_well import TheWell as TheWell

LAYOUTS = (
    "LagrangeBench (metadata.json, *.h5), GNS (metadata.json, *.tfrecord), MeshGraphNets (meta.json, *.tfrecord), "
    "The Well (data/train/*.hdf5)"
)


def recognised(folder: str | Path) -> ForeignSet | None:
    """The set of films in a folder, by the files that it has; None for a folder in no layout of films known here.

    Raises MisuseError, in one line, when a folder has the files of a layout and they are not what they should be.
    """
    folder = Path(folder)
    if (folder / "dataset.json").exists():
        return None
    records, arrays = (
        any(folder.glob("*.tfrecord")),
        any((folder / f"{s}.h5").is_file() for s in ("train", "valid", "test")),
    )
    if records and (folder / "meta.json").is_file():
        return MeshGraphNets(folder)
    if not (folder / "metadata.json").is_file():
        return None
    if records:
        return Gns(folder)
    return LagrangeBench(folder) if arrays else None


def open_set(folder: str | Path) -> ForeignSet:
    """As `recognised`, but raises MisuseError, naming the layouts, for a folder in none of them."""
    found = recognised(folder)
    if found is None:
        raise MisuseError(f"{folder} is in no layout that hedgefox reads films from; it reads {LAYOUTS}")
    return found


def described(folder: str | Path) -> dict[str, Any]:
    """What a folder in any of the layouts holds, as plain data. Raises MisuseError, naming the layouts, for any other."""
    folder = Path(folder)
    films = recognised(folder)
    return TheWell(folder).described() if films is None and (folder / "data").is_dir() else open_set(folder).described()
