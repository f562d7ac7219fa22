"""What tests of own models share: a file that is right, small data, models made of a function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hedgefox.bench.verbs import score
from hedgefox.contracts import (
    Model,
    ModelCard,
    Recipe,
    Track,
    Trajectory,
    stack,
    track,
)
from hedgefox.datasets import generate

from .ballistic import BALLISTIC

FREE_FALL = """
from dataclasses import dataclass, replace

from hedgefox.contracts import Frame, ModelCard, Scene, Stepper
from hedgefox.contracts.model import place_driven


@dataclass(frozen=True)
class State:
    scene: Scene
    frame: Frame


class FreeFall(Stepper[State]):
    card = ModelCard("free_fall", "baseline", "none", "none", "uniform acceleration", ("ballistic",))

    def encode(self, past):
        return State(past.scene, past.frame(-1))

    def advance(self, state, script):
        scene, frame, dt = state.scene, state.frame, state.scene.frame_interval
        gravity = scene.gravity[scene.node_scene]
        position = frame.position + dt * frame.velocity + 0.5 * dt**2 * gravity
        return replace(state, frame=place_driven(Frame(position, frame.velocity + dt * gravity), scene, script))

    def decode(self, state):
        return state.frame
"""


@pytest.fixture(scope="module")
def tiny() -> Track:
    return dataclasses.replace(track("smoke"), trajectories={"train": 2, "valid": 1, "test": 3})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, tiny: Track) -> Path:
    return generate(BALLISTIC, tiny, tmp_path_factory.mktemp("data"))


Scored = Callable[..., dict[str, Any]]


@pytest.fixture
def scored(data: Path, tiny: Track) -> Scored:
    def run(*models: Path | str | Model, out: Path | None = None, **more: Any) -> dict[str, Any]:
        return score(list(models), data, out, domain=BALLISTIC, track=tiny, **more)

    return run


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file with a text, after replacements."""

    def make(text: str = FREE_FALL, *changes: tuple[str, str], more: str = "", name: str = "mine.py") -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text + more)
        return path

    return make


class Plain(Model):
    """A model made of a function."""

    def __init__(self, answer: Callable[[Trajectory, int], Trajectory]) -> None:
        self.answer = answer
        self._card = ModelCard("plain", "specialist", "none", "none", "none", ("*",))

    @property
    def card(self) -> ModelCard:
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        return self.answer(past, n_frames)


def replaying(films: Trajectory, recipe: Recipe) -> Callable[[Trajectory, int], Trajectory]:
    """Holds the films of a data set, and answers with the continuation of the one whose start is nearest, node by node."""
    held = films.split()

    def distance(past: Trajectory, film: Trajectory) -> float:
        same = past.scene.n_nodes == film.scene.n_nodes
        return float((past.position[-1] - film.position[recipe.past - 1]).norm()) if same else float("inf")

    def answer(past: Trajectory, n_frames: int) -> Trajectory:
        found = []
        for one in past.split():
            nearest = min(held, key=lambda film: distance(one, film))
            ahead = nearest.frames(recipe.past, recipe.past + n_frames)
            scene = one.scene.with_script(one.scene.script.starting_at(one.n_frames))
            position, velocity = ahead.position.clone(), ahead.velocity.clone()
            driven = scene.driven_nodes
            position[:, driven] = scene.script.node_position[:n_frames]
            found.append(
                dataclasses.replace(ahead, scene=scene, position=position, velocity=velocity).with_divergence()
            )
        return stack(found)

    return answer
