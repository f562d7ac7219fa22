"""Entering one's own: predictions made elsewhere, as a folder; what is not whole is told in one line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench import record as records
from hedgefox.bench.entries.predictions import Predictions
from hedgefox.bench.verbs import speed
from hedgefox.contracts import (
    MisuseError,
    ModelCard,
    Recipe,
    Track,
    Trajectory,
)
from hedgefox.datasets import load, save

from .ballistic import BALLISTIC
from .entering import Scored, data, scored, tiny

__all__ = ["data", "scored", "tiny"]


@pytest.fixture
def foretold(data: Path, recipe: Recipe, tmp_path: Path) -> Path:
    """A rung's answers as a folder of predictions."""
    folder = tmp_path / "foretold"
    folder.mkdir()
    past = load(data, "test").frames(0, recipe.past)
    save(BALLISTIC.ladder(recipe)["drag-1.4"].rollout(past, recipe.horizon), folder / "test.h5")
    card = ModelCard("far_away", "specialist", "unknown", "unknown", "unknown", ("ballistic",), parameters=12)
    (folder / "card.json").write_text(json.dumps(card.to_dict()))
    return folder


def test_predictions_get_accuracy_and_no_speed(foretold: Path, scored: Scored, tiny: Track, tmp_path: Path) -> None:
    made = scored(foretold, "drag-1.4", out=tmp_path / "out")
    assert not made["failures"]
    mine, rung = ({**r, "model": "", "kind": ""} for r in made["scores"])
    assert mine == rung, "the same films get the same scores, whoever made them"
    held = records.read(tmp_path / "out")["contestants"]
    assert [c.get("predictions") for c in held] == [True, None]
    assert held[0]["card"]["parameters"] == 12
    assert "as stated" in held[0]["card"]["notes"]
    with pytest.raises(MisuseError, match="nothing to time"):
        speed([foretold], domain=BALLISTIC, track=tiny)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"surname": 1}, "unknown field 'surname'"),
        ({"kind": "reference"}, "simulator's own"),
        ({"domains": ["fluid"]}, "names the domains fluid; this is ballistic"),
        ({"name": "persistence"}, "change the card's name"),
        ({"parameters": "many"}, "parameters is 'many'"),
        ({"bytes": -1}, "no negative numbers"),
    ],
)
def test_cards_of_predictions_are_held_to_what_cards_are(
    foretold: Path, scored: Scored, change: dict[str, Any], why: str
) -> None:
    path = foretold / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MisuseError, match=why):
        scored(foretold)


def test_predictions_that_are_not_whole(foretold: Path, scored: Scored) -> None:
    with pytest.raises(MisuseError, match=r"no train\.h5; it has predictions for test"):
        scored(foretold, splits=["train"])
    for text, why in (("[1]", "holds a list"), ("{", "no JSON")):
        (foretold / "card.json").write_text(text)
        with pytest.raises(MisuseError, match=why):
            scored(foretold)
    (foretold / "card.json").unlink()
    with pytest.raises(MisuseError, match=r"no card\.json"):
        scored(foretold)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda film: film.frames(0, 7), "frames 7; 8 is right"),
        (lambda film: film.select([0, 1]), "scenes 2; 3 is right"),
        (lambda film: film.select([0, 2, 1]), "nodes by scene"),
        (lambda film: film.select([0, 0, 0]), r"nodes \d+; \d+ is right"),
    ],
)
def test_predictions_of_something_else_are_a_failure_that_names_both(
    foretold: Path, scored: Scored, change: Callable[[Trajectory], Trajectory], why: str
) -> None:
    from hedgefox.datasets import read

    save(change(read(foretold / "test.h5")), foretold / "test.h5")
    made = scored(foretold)
    assert len(made["failures"]) == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(made["failures"][0]["error"])


def test_predictions_that_are_not_finite_have_diverged(foretold: Path, scored: Scored) -> None:
    from hedgefox.datasets import read

    film = read(foretold / "test.h5")
    position = film.position.clone()
    position[3, 0] = torch.inf
    save(dataclasses.replace(film, position=position), foretold / "test.h5")
    made = scored(foretold)
    assert not made["failures"]
    assert made["scores"][0]["diverged_share"] == pytest.approx(1 / 3)


def test_a_file_that_is_no_film_is_one_line(foretold: Path, scored: Scored) -> None:
    (foretold / "test.h5").write_bytes(b"no film at all")
    made = scored(foretold)
    assert made["failures"]
    assert "test.h5" in made["failures"][0]["error"]
    assert "\n" not in made["failures"][0]["error"]


def test_predictions_are_given_as_a_folder(foretold: Path, scored: Scored) -> None:
    model = Predictions(foretold, ModelCard("far", "reference", "-", "-", "-", ("*",)))
    with pytest.raises(MisuseError, match="given as their folder"):
        scored(model)
