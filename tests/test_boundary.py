"""Distances to walls and obstacles, against hand-made numbers and against the solver's own copy on its own device."""

from __future__ import annotations

import pytest
import torch
from hedgefox.contracts import Obstacle, Scene, Wall, single_scene, stack_scenes
from hedgefox.contracts.boundary import obstacle_distance, penetration, side_distance


def scene(x: torch.Tensor, obstacles: list[tuple[Obstacle, list[float], list[float]]]) -> Scene:
    kinds, centres, sizes = zip(*obstacles, strict=True) if obstacles else ((), (), ())
    wall = torch.full((2, 2), int(Wall.NO_SLIP))
    wall[1, 1] = Wall.OPEN
    return single_scene(
        domain="fluid",
        frame_interval=0.1,
        rest_position=x,
        mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [2.0, 1.0]]),
        wall=wall,
        n_frames=1,
        obstacle_kind=torch.tensor([int(k) for k in kinds]),
        obstacle_position=torch.tensor(centres).reshape(-1, 2),
        obstacle_size=torch.tensor(sizes).reshape(-1, 2),
    )


def test_sides_move_with_the_box_and_open_sides_are_infinitely_far() -> None:
    s = scene(torch.tensor([[0.5, 0.2]]), [])
    got = side_distance(s, s.rest_position, torch.tensor([[0.1, 0.0]]))
    assert got[0, 0].tolist() == pytest.approx([0.4, 1.6])
    assert got[0, 1].tolist() == pytest.approx([0.2, torch.inf])


@pytest.mark.parametrize(
    ("kind", "size", "point", "distance", "normal"),
    [
        (Obstacle.BALL, [0.2, 0.2], [1.5, 0.5], 0.3, [1.0, 0.0]),
        (Obstacle.BALL, [0.2, 0.2], [1.0, 0.4], -0.1, [0.0, -1.0]),
        (Obstacle.BOX, [0.2, 0.1], [1.5, 0.5], 0.3, [1.0, 0.0]),
        (Obstacle.BOX, [0.2, 0.1], [1.23, 0.64], 0.05, [0.6, 0.8]),
        (Obstacle.BOX, [0.2, 0.1], [0.95, 0.45], -0.05, [0.0, -1.0]),
    ],
)
def test_shapes(kind: Obstacle, size: list[float], point: list[float], distance: float, normal: list[float]) -> None:
    s = scene(torch.tensor([point]), [(kind, [1.0, 0.5], size)])
    d, n, which = obstacle_distance(s, s.rest_position, s.script.obstacle_position[0])
    assert float(d[0]) == pytest.approx(distance, abs=1e-6)
    assert n[0].tolist() == pytest.approx(normal, abs=1e-6)
    assert which.tolist() == [0]


def test_each_scene_sees_its_own_obstacles_and_the_nearest_of_them() -> None:
    x = torch.tensor([[1.0, 0.5]])
    none = scene(x, [])
    two = scene(x, [(Obstacle.BALL, [0.0, 0.5], [0.1, 0.1]), (Obstacle.BALL, [1.5, 0.5], [0.1, 0.1])])
    both = stack_scenes([none, two])
    d, _, which = obstacle_distance(both, both.rest_position, both.script.obstacle_position[0])
    assert d.tolist() == pytest.approx([torch.inf, 0.4])
    assert which.tolist() == [-1, 1]


def test_penetration_is_the_depth_inside_any_solid() -> None:
    x = torch.tensor([[0.5, -0.1], [1.0, 0.5], [0.2, 0.9]])
    s = scene(x, [(Obstacle.BALL, [1.0, 0.5], [0.2, 0.2])])
    got = penetration(s, x, torch.zeros(1, 2), s.script.obstacle_position[0])
    assert got.tolist() == pytest.approx([0.1, 0.2, 0.0], abs=1e-6)


def test_the_solver_sees_the_same_distances() -> None:
    from hedgefox.simulators import _taichi

    _taichi.start("cpu")
    from .taichi_probe import shape_distances

    offset = torch.rand((200, 2), generator=torch.Generator().manual_seed(0)) - 0.5
    for kind in Obstacle:
        size = torch.tensor([0.2, 0.2]) if kind == Obstacle.BALL else torch.tensor([0.2, 0.1])
        s = scene(offset + torch.tensor([1.0, 0.5]), [(kind, [1.0, 0.5], size.tolist())])
        expected, normal, _ = obstacle_distance(s, s.rest_position, s.script.obstacle_position[0])
        got, direction = shape_distances(offset, int(kind), size)
        assert torch.allclose(got, expected, atol=1e-5)
        clear = (expected.abs() > 1e-4) & (offset.norm(dim=-1) > 1e-3)
        assert torch.allclose(direction[clear], normal[clear], atol=1e-3)
