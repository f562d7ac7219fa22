"""Data sets in other people's layouts, read as Trajectories; one file a layout. Nothing is unpickled, no code beside data is run.

`recognised` tells which layout a folder has; what the set can then be asked is in `ForeignSet`. See docs/foreign.md.
"""

from __future__ import annotations

from pathlib import Path

from ...contracts import MisuseError
from ._set import ForeignSet as ForeignSet
from .gns import Gns
from .lagrangebench import LagrangeBench


def recognised(folder: str | Path) -> ForeignSet | None:
    """The set in a folder, by the files that it has; None for a folder in no layout known here.

    Raises MisuseError, in one line, when a folder has the files of a layout and they are not what they should be.
    """
    folder = Path(folder)
    if (folder / "dataset.json").exists() or not (folder / "metadata.json").is_file():
        return None
    if any(folder.glob("*.tfrecord")):
        return Gns(folder)
    return LagrangeBench(folder) if any((folder / f"{s}.h5").is_file() for s in ("train", "valid", "test")) else None


def open_set(folder: str | Path) -> ForeignSet:
    """As `recognised`, but raises MisuseError, naming the layouts, for a folder in none of them."""
    found = recognised(folder)
    if found is None:
        raise MisuseError(
            f"{folder} is in no layout that hedgefox reads: LagrangeBench (metadata.json, *.h5), GNS (metadata.json, *.tfrecord)"
        )
    return found
