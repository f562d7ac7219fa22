"""Entering one's own: what looks its answers up, or remembers, is refused; honest models pass."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hedgefox.bench.contestants import Contestant
from hedgefox.bench.entries.admission import require_admissible
from hedgefox.bench.entries.honesty import SLOWED, require_honest, unseen
from hedgefox.contracts import (
    CheckFailed,
    Domain,
    Model,
    Obstacle,
    Recipe,
    Trajectory,
    Wall,
    registry,
    single_scene,
)
from hedgefox.contracts.rotation import local_points
from hedgefox.surrogates import create

from .entering import Plain, replaying


def test_a_model_that_replays_the_truth_is_refused(film: Trajectory, recipe: Recipe) -> None:
    model, past = Plain(replaying(film, recipe)), film.frames(0, recipe.past)
    assert torch.equal(model.rollout(past, 8).position, film.position[5:]), "it is perfect on what it holds"
    with pytest.raises(CheckFailed, match=r"a state that no file holds.*first frame.*changed by 0 m"):
        require_honest(model, past, recipe.horizon)


def test_blurring_what_is_looked_up_does_not_help(film: Trajectory, recipe: Recipe) -> None:
    def blurred(past: Trajectory, n_frames: int) -> Trajectory:
        answer = replaying(film, recipe)(past, n_frames)
        return dataclasses.replace(answer, position=answer.position + 1e-3 * past.position[-1])

    with pytest.raises(CheckFailed, match="no file holds"):
        require_honest(Plain(blurred), film.frames(0, recipe.past), recipe.horizon)


def test_following_in_the_first_frame_alone_does_not_help(film: Trajectory, recipe: Recipe) -> None:
    def late(past: Trajectory, n_frames: int) -> Trajectory:
        answer = replaying(film, recipe)(past, n_frames)
        position = answer.position.clone()
        position[0] += past.position[-1] - film.position[4]
        return dataclasses.replace(answer, position=position)

    with pytest.raises(CheckFailed, match="last frame"):
        require_honest(Plain(late), film.frames(0, recipe.past), recipe.horizon)


def test_a_model_that_remembers_is_refused(film: Trajectory, recipe: Recipe, ballistic: Domain) -> None:
    """Its first question shifts all later answers to others, and an answer to an equal question in a row is the same."""
    solver, seen = ballistic.reference(recipe), list[Trajectory]()

    def answer(past: Trajectory, n_frames: int) -> Trajectory:
        film = solver.rollout(past, n_frames)
        if not seen or not torch.equal(seen[-1].position, past.position):
            seen.append(past)
        return dataclasses.replace(film, position=film.position + 1e-3 * len(seen))

    with pytest.raises(CheckFailed, match="keeps something between calls"):
        require_honest(Plain(answer), film.frames(0, recipe.past), recipe.horizon)


@pytest.mark.parametrize("name", ["persistence", "constant_velocity", "reference", "drag-4.0"])
def test_honest_models_pass(film: Trajectory, recipe: Recipe, ballistic: Domain, name: str) -> None:
    from hedgefox.bench.contestants import resolve

    model = resolve(name, ballistic, recipe, size="xs", device="cpu").model
    entered = Contestant(Plain(model.rollout), None, Path("mine.py"), "0" * 64)
    require_admissible(entered, film, recipe)


@pytest.mark.parametrize("kind", ["fluid", "cloth", "rigid"])
def test_real_solvers_and_baselines_pass(kind: str) -> None:
    domain = registry.domain(kind)
    recipe = dataclasses.replace(domain.recipe("xs"), horizon=8)
    film = domain.simulate(recipe, "test", [0, 1, 2], root_seed=1)
    cheapest = list(domain.ladder(recipe).values())[-1]
    models: list[Model] = [domain.reference(recipe), cheapest, create("persistence", kind, size="xs", seed=0)]
    for model in models:
        require_admissible(Contestant(Plain(model.rollout), None, Path("mine.py"), "0" * 64), film, recipe)


def test_an_unseen_state_is_moved_within_its_box_and_slowed(film: Trajectory) -> None:
    past = film.frames(0, 5)
    before = past.position.clone()
    changed, shift = unseen(past)
    assert torch.equal(past.position, before)
    assert torch.allclose(shift, torch.full((3,), 0.02 * 2**0.5))
    free = past.scene.free
    moved = changed.position[-1] - past.position[-1]
    assert torch.allclose(moved, torch.tensor([0.02 * 2**0.5, 0.0]).expand_as(moved), atol=1e-6)
    assert torch.allclose(changed.velocity[:, free], SLOWED * past.velocity[:, free])
    assert torch.allclose(changed.position.diff(dim=0)[:, free], SLOWED * past.position.diff(dim=0)[:, free], atol=1e-6)
    assert torch.allclose(changed.position[:, ~free], changed.scene.script.node_position[:5], atol=1e-6), (
        "what is driven still follows its script"
    )


@pytest.mark.parametrize(("x", "room", "expected"), [(0.05, 0.9, 0.02), (0.992, 0.0, -0.02), (0.5, 0.0, 0.02)])
def test_the_shift_goes_to_the_side_with_room(x: float, room: float, expected: float) -> None:
    """One node between solid walls at 0 and 1, and an obstacle that the box must hold as well."""
    scene = single_scene(
        domain="ballistic", frame_interval=0.02, rest_position=torch.tensor([[x, 0.5]]), mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]), wall=torch.full((2, 2), int(Wall.NO_SLIP)), n_frames=3,
        obstacle_kind=torch.tensor([int(Obstacle.BALL)]), obstacle_size=torch.tensor([[0.1, 0.0]]),
        obstacle_position=torch.tensor([[0.5, 0.1]]),
    )  # fmt: skip
    past = Trajectory(scene, scene.rest_position.unsqueeze(0), torch.zeros(1, 1, 2))
    changed, _ = unseen(past)
    got = float(changed.position[0, 0, 0] - x)
    assert got == pytest.approx(expected * 2**0.5, rel=1e-4)
    assert 0 <= float(changed.position[0, 0, 0]) <= 1
    assert torch.equal(changed.scene.bounds, scene.bounds)
    assert float(changed.scene.script.obstacle_position[0, 0, 0]) == pytest.approx(0.5 + got)


def test_where_matter_reaches_from_wall_to_wall_the_box_moves_too() -> None:
    scene = single_scene(
        domain="ballistic", frame_interval=0.02, rest_position=torch.tensor([[0.0, 0.5], [1.0, 0.5]]), mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]), wall=torch.full((2, 2), int(Wall.NO_SLIP)), n_frames=3,
    )  # fmt: skip
    changed, shift = unseen(Trajectory(scene, scene.rest_position.unsqueeze(0), torch.zeros(1, 2, 2)))
    assert torch.allclose(changed.scene.bounds[:, :, 0] - scene.bounds[:, :, 0], shift)
    assert torch.allclose(changed.position[0, :, 0] - scene.rest_position[:, 0], shift)


def test_bodies_stay_rigid_in_an_unseen_state() -> None:
    film = registry.domain("rigid").example(4)
    changed, _ = unseen(film)
    scene, on = film.scene, film.scene.body_id >= 0
    assert film.pose is not None
    assert film.twist is not None
    assert changed.pose is not None
    assert changed.twist is not None
    body = scene.body_id[on]
    before = local_points(film.position[:, on], film.pose, body)
    after = local_points(changed.position[:, on], changed.pose, body)
    assert torch.allclose(before, after, atol=1e-5), "nodes sit where they sat on their bodies"
    assert torch.allclose(changed.pose[..., 3:].norm(dim=-1), torch.ones(1), atol=1e-5)
    assert torch.allclose(changed.twist, SLOWED * film.twist)
    assert torch.allclose(changed.pose[-1, :, 3:].abs(), film.pose[-1, :, 3:].abs(), atol=1e-5), (
        "the last frame is not turned"
    )
