"""A data set in somebody else's layout: what all such sets can be asked, whatever their files look like.

Films are read one at a time, in the order of the files, and nothing is kept of them. Everything that a layout holds and a
Trajectory cannot is named in `notes`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...contracts import MisuseError, Trajectory, stack
from .._files import sha256_file, sha256_text
from ._facts import Facts
from ._tfrecord import count

SPLITS = ("train", "valid", "test")
TRAINING_BYTES = 2 << 30
"""Positions and velocities of a split that are held in memory for training [bytes]: whole films up to there, in file order."""


class ForeignSet(ABC):
    """One folder. Making one reads its description alone; raises MisuseError, in one line, when that is not what it should be."""

    layout: ClassVar[str]
    """Name of the layout."""
    suite: ClassVar[str]
    """Name of the suite whose definitions its scores follow; empty for none."""
    ending: ClassVar[str]
    """How the file names of its splits end."""
    past: int
    """Frames that a model sees, by that suite's definition."""
    horizon: int | None
    """Frames to be predicted, by that suite's definition; None for all that follow."""
    domain: str = "fluid"
    """Kind of physics that its films are of: which models know them."""
    moves: bool = True
    """Whether nodes move. Of fields on a mesh that stands still, `velocity` is the field and positions never change."""

    facts: Facts
    """What the folder says of itself."""

    def __init__(self, folder: Path, description: str) -> None:
        self.folder = folder
        self.facts = Facts.read(folder / description)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of train, valid and test that have a file."""
        return tuple(split for split in SPLITS if self.path(split).is_file())

    def path(self, split: str) -> Path:
        """The file of a split."""
        return self.folder / f"{split}{self.ending}"

    def require_split(self, split: str) -> Path:
        """The file of a split; raises MisuseError when there is none."""
        if split not in self.splits:
            raise MisuseError(f"{self.folder} has no split {split!r}; it has {', '.join(self.splits) or 'none'}")
        return self.path(split)

    @abstractmethod
    def films(self, split: str) -> Iterator[Trajectory]:
        """The trajectories of a split, one scene each, float32 on the CPU. Raises MisuseError for a file that is damaged."""

    @abstractmethod
    def count(self, split: str) -> int:
        """Number of trajectories of a split."""

    def pieces(self, split: str) -> Iterator[Trajectory]:
        """What the suite scores: each film cut into `past` frames and those that follow, as the suite cuts it."""
        for number, film in enumerate(self.films(split)):
            yield from self._cut(film, f"{self.path(split)}, trajectory {number}")

    def _cut(self, film: Trajectory, where: str) -> Iterator[Trajectory]:
        length = film.n_frames if self.horizon is None else self.past + self.horizon
        if film.n_frames < length or length <= self.past:
            raise MisuseError(f"{where} has {film.n_frames} frames; {self.past} and at least one more are needed")
        for start in range(0, film.n_frames - length + 1, length):
            # A window, so that the script ends with the piece too, and pieces stack.
            piece = film.window(torch.tensor([0]), torch.tensor([start]), length)
            yield _without_memory(piece) if self.moves else piece

    def load(self, split: str, device: str | torch.device = "cpu", most: int | None = None) -> Trajectory:
        """Films of a split as one batch for training: whole ones of `train`, pieces of the others, as many as TRAINING_BYTES hold.

        Raises MisuseError for a set whose nodes do not move, which hedgefox's models have nothing to say of.
        """
        if not self.moves:
            raise MisuseError(
                f"{self.folder} holds fields on a mesh that stands still; hedgefox's models learn how nodes move"
            )
        found: list[Trajectory] = []
        left = TRAINING_BYTES
        for film in islice(self.films(split) if split == "train" else self.pieces(split), most):
            left -= 2 * film.position.numel() * film.position.element_size()
            if left < 0 and found:
                break
            found.append(film)
        if not found:
            raise MisuseError(f"{self.path(split)} holds no trajectory")
        return stack(found).to(device)

    @cached_property
    def manifest(self) -> str:
        """SHA-256 over the names and hashes of its description and its splits: which bytes a model was trained on."""
        paths = [self.facts.path, *(self.path(split) for split in self.splits)]
        return sha256_text("".join(sorted(f"{path.name} {sha256_file(path)}\n" for path in paths)))

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """What the set holds and its films do not, and what was taken for granted, a sentence each."""

    @property
    @abstractmethod
    def statistics(self) -> dict[str, list[float]]:
        """Normalisation statistics as stored, in the set's own units; empty where it stores none."""

    def described(self) -> dict[str, Any]:
        """What the set is, as plain data: for `hedgefox inspect`."""
        return {
            "layout": self.layout,
            "suite": self.suite,
            "name": self.name,
            "domain": self.domain,
            "splits": {split: self.count(split) for split in self.splits},
            "statistics": self.statistics,
            "notes": self.notes,
        }


class RecordedSet(ForeignSet):
    """A set whose splits are TFRecord files, a record a trajectory. The last frame of a film is a target of single steps alone."""

    ending: ClassVar[str] = ".tfrecord"

    def count(self, split: str) -> int:
        """See ForeignSet."""
        return count(self.require_split(split))

    def _cut(self, film: Trajectory, where: str) -> Iterator[Trajectory]:
        yield from super()._cut(film.frames(0, film.n_frames - 1), where)


def _without_memory(piece: Trajectory) -> Trajectory:
    """The first velocity from this piece alone: as a difference backward it would tell where the uncut film was before."""
    return dataclasses.replace(piece, velocity=torch.cat([piece.velocity[1:2], piece.velocity[1:]]))
