"""A contestant that is its answers: a folder of predictions, which gets accuracy and no speed.

    FOLDER/card.json   the fields of ModelCard, as `card.to_dict()` gives them
    FOLDER/SPLIT.h5    for each split that is scored, the new frames of all its scenes, in the order of the data, as `hedgefox.save`
                       writes them

Nobody has run the model here: that its answers were made without the truth, and what its card says of its size, is what its maker
states. The files may come from anywhere, and are read by the guarded reader of data sets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ...contracts import MisuseError, Model, ModelCard, Trajectory
from ...contracts.strict_json import read_json
from .entry import require_card

CARD = "card.json"
CARD_BYTES = 1 << 20
"""No card is larger."""
AS_STATED = "Predictions only: parameters, bytes and training as stated by their maker."


class Predictions(Model):
    """Answers made elsewhere, by split."""

    def __init__(self, folder: Path, card: ModelCard) -> None:
        self.folder, self._card = folder, card

    @property
    def card(self) -> ModelCard:
        """As its maker states it, and a note that says so."""
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """Raises MisuseError: there is nothing to ask."""
        raise MisuseError(f"{self.folder} holds predictions and no model; it cannot continue another film")

    def require_splits(self, splits: Sequence[str]) -> None:
        """Raise MisuseError naming a split that is to be scored and is not there."""
        held = sorted(p.stem for p in self.folder.glob("*.h5"))
        for split in splits:
            if split not in held:
                raise MisuseError(
                    f"{self.folder} has no {split}.h5; it has predictions for {', '.join(held) or 'no split'}: "
                    "add the file, or choose splits with --split"
                )

    def answer(self, split: str, truth: Trajectory) -> Trajectory:
        """The predictions of a split, on the device of the truth; raises MisuseError naming both values when they do not fit it."""
        from ...datasets import read

        path = self.folder / f"{split}.h5"
        film = read(path)
        for what, got, right in _compared(film, truth):
            if got != right:
                raise MisuseError(f"{path} has {what} {got}; {right} is right")
        return film.to(truth.device)


def _compared(film: Trajectory, truth: Trajectory) -> list[tuple[str, object, object]]:
    a, b = film.scene, truth.scene
    return [
        ("domain", a.domain, b.domain),
        ("scenes", a.n_scenes, b.n_scenes),
        ("frames", film.n_frames, truth.n_frames),
        ("space axes", a.dim, b.dim),
        ("nodes", a.n_nodes, b.n_nodes),
        ("nodes by scene", a.scene_ptr.diff().tolist(), b.scene_ptr.cpu().diff().tolist()),
    ]


def is_predictions(folder: Path) -> bool:
    """Whether a folder is meant as predictions, be it whole or not: it holds a card, or films without being a data set."""
    if (folder / "model.json").exists() or (folder / "dataset.json").exists():
        return False
    return (folder / CARD).exists() or any(folder.glob("*.h5"))


def load(folder: Path, domain: str) -> Predictions:
    """The predictions in a folder; raises MisuseError, in one line, for a card that is missing or wrong."""
    path = folder / CARD
    if not path.is_file():
        raise MisuseError(f"{folder} has no {CARD}; write ModelCard.to_dict() of your model there, as JSON")
    try:
        fields = read_json(path, CARD_BYTES)
    except MisuseError as error:
        raise MisuseError(f"{path} is no JSON of a card: {error}") from error
    if not isinstance(fields, dict):
        raise MisuseError(f"{path} holds a {type(fields).__name__}; the fields of a ModelCard are right")
    card = ModelCard.from_dict(fields)
    require_card(path, card, domain)
    return Predictions(folder, dataclasses.replace(card, notes=f"{card.notes} {AS_STATED}".strip()))
