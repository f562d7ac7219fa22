"""Entering one's own: objects of the Python API, and weights, are held to what files are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench.entries.admission import EXPLAINED
from hedgefox.bench.entries.given import is_own, require_given
from hedgefox.bench.score import answer_of, prepare
from hedgefox.bench.verbs import speed
from hedgefox.contracts import (
    CheckFailed,
    MisuseError,
    Recipe,
    Track,
    Trajectory,
    registry,
    track,
)
from hedgefox.datasets import load
from hedgefox.surrogates import create, train

from .ballistic import BALLISTIC
from .entering import Plain, Scored, data, replaying, scored, tiny

__all__ = ["data", "scored", "tiny"]


class Object(Plain):
    """A model made of a function, with a card of its own."""

    def __init__(self, answer: Callable[[Trajectory, int], Trajectory], **card: Any) -> None:
        super().__init__(answer)
        self._card = dataclasses.replace(self._card, **card)


def still(past: Trajectory, n_frames: int) -> Trajectory:
    return create("persistence", "ballistic", size="xs", seed=0).rollout(past, n_frames)


def test_an_object_is_scored_as_what_it_computes(scored: Scored, tiny: Track) -> None:
    made = scored(Object(still), "persistence")
    assert not made["failures"]
    mine, its = ({**r, "model": "", "kind": ""} for r in made["scores"])
    assert mine == its
    with pytest.raises(MisuseError, match="kind 'reference', which is the simulator's own"):
        scored(Object(still, kind="reference"))
    with pytest.raises(MisuseError, match="simulator's own"):
        speed([Object(still, kind="reference")], domain=BALLISTIC, track=tiny)


def test_an_own_model_as_an_object_keeps_its_name(scored: Scored) -> None:
    own = create("constant_velocity", "ballistic", size="xs", seed=0)
    by_name, by_object = (scored(m)["scores"] for m in ("constant_velocity", own))
    assert by_name == by_object


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ({"kind": "ladder"}, "kind 'ladder', which is the simulator's own"),
        ({"name": "persistence"}, "named 'persistence'.*change the card's name"),
        ({"name": "ballistic"}, "named 'ballistic'"),
        ({"domains": ("fluid",)}, "names the domains fluid; this is ballistic"),
        ({"history": 9}, "history of 9 frames; models see 5"),
        ({"parameters": 1.5}, "parameters is 1.5; its type is int"),
    ],
)
def test_cards_of_objects_are_held_to_what_cards_are(scored: Scored, card: dict[str, Any], why: str) -> None:
    with pytest.raises(MisuseError, match=why) as caught:
        scored(Object(still, **card))
    assert "test_entry_objects.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_simulator_is_asked_for_by_name_and_not_as_an_object(tmp_path: Path) -> None:
    fluid = registry.domain("fluid")
    for model in (fluid.reference(fluid.recipe("xs")), fluid.ladder(fluid.recipe("xs"))["sph-dx2"]):
        with pytest.raises(MisuseError, match=f"give its name, '{model.card.name}'"):
            require_given(model, "fluid")


def test_a_class_that_only_says_it_is_our_own_is_not(scored: Scored) -> None:
    kind = type("Persistence", (Object,), {"__module__": "hedgefox.surrogates.persistence"})
    assert not is_own(kind(still))
    assert is_own(create("persistence", "ballistic", size="xs", seed=0))
    with pytest.raises(MisuseError, match="change the card's name"):
        scored(kind(still, name="persistence"))


def test_an_object_that_replays_the_truth_is_refused(data: Path, recipe: Recipe, scored: Scored) -> None:
    with pytest.raises(
        CheckFailed, match=r"test_entry_objects\.py: plain (fails the check|answers a state that no file holds)"
    ):
        scored(Object(replaying(load(data, "test"), recipe)))
    ours = create("persistence", "ballistic", size="xs", seed=0)
    ours.rollout = replaying(load(data, "test"), recipe)  # type: ignore[assignment, method-assign]
    with pytest.raises(CheckFailed, match=r"persistence (fails the check|answers a state that no file holds)"):
        scored(ours)


def test_an_object_that_breaks_the_contract_is_told_how_and_where(scored: Scored) -> None:
    with pytest.raises(CheckFailed, match="shape") as caught:
        scored(Object(lambda past, n: still(past, n + 1)))
    assert EXPLAINED["shape"] in str(caught.value)

    def broken(past: Trajectory, n_frames: int) -> Trajectory:
        raise ZeroDivisionError("by nought")

    with pytest.raises(CheckFailed, match=r"test_entry_objects\.py, line \d+: ZeroDivisionError: by nought"):
        scored(Object(broken))


class Turncoat(Object):
    """Once it was asked for its answer to the whole split, its card says that it is the simulator."""

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        if past.scene.n_scenes == 3 and n_frames > 2:
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 4:  # after three questions of the check
                self._card = dataclasses.replace(self._card, kind="reference")
        return super().rollout(past, n_frames)


def test_a_card_that_turns_into_the_simulators_gets_nothing(scored: Scored, data: Path, recipe: Recipe) -> None:
    with pytest.raises(CheckFailed, match="card of plain changed while the model was measured"):
        scored(Turncoat(still))
    film = load(data, "test")
    case = prepare(BALLISTIC, "test", film, recipe)
    late = Object(still, kind="reference")
    assert torch.equal(answer_of(case, late).position, case.truth.position), "what a card alone would get"
    assert torch.equal(answer_of(case, late, entered=True).position, still(case.past, 8).position)


def test_weights_whose_card_says_that_they_are_the_simulator_are_refused(
    data: Path, scored: Scored, tmp_path: Path
) -> None:
    train("linear", {"ballistic": data}, track("smoke"), seed=0, out=tmp_path / "weights")
    assert not scored(tmp_path / "weights")["failures"]
    path = tmp_path / "weights" / "model.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"card": held["card"] | {"kind": "reference"}}))
    with pytest.raises(MisuseError, match="simulator's own"):
        scored(tmp_path / "weights")
