"""Films that physics allows as well as those that were made: mirror images, which are as good as data.

The mirror across the first axis and the exchange of the first two together give all eight ways to turn and mirror a scene about
its vertical by quarter turns, under which boxes stay along the axes. A body in a mirror keeps its number: with the reflection M,
centre c' = M c, rotation R' = M R M, so that the vector part of a quaternion and an angular velocity, which are axial, take -M.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..contracts import BodyShape, Obstacle, Scene, Script, Trajectory, stack
from ..contracts._ragged import group_of_row

ODD = ("tilt", "wind_x")
"""Material parameters that change sign in a mirror across the first axis."""
EXCHANGED = (("wind_x", "wind_y"),)
"""Pairs of material parameters that are exchanged with the first two axes."""

Map = Callable[[Tensor], Tensor]
"""A reflection of vectors, (..., D) → (..., D)."""


def mirrored(film: Trajectory, odd_parameters: Sequence[str] = ()) -> Trajectory:
    """The film in a mirror across its first axis; `odd_parameters` are those that change sign."""
    scene, sign = film.scene, torch.ones(film.scene.dim, device=film.device)
    sign[0] = -1.0
    centre = scene.bounds.mean(1) * (sign < 0)

    def point(x: Tensor, owner: Tensor) -> Tensor:
        return x * sign + 2 * centre[owner]

    wall = scene.wall.clone()
    wall[:, 0] = scene.wall[:, 0].flip(-1)
    parameters = {k: -v if k in odd_parameters else v for k, v in scene.parameters.items()}
    placed = dataclasses.replace(_placed(scene, lambda x: x * sign, point), wall=wall, parameters=parameters)
    return _film(film, placed, lambda x: x * sign, point)


def exchanged(film: Trajectory, pairs: Sequence[tuple[str, str]] = ()) -> Trajectory:
    """The film with its first two axes exchanged; `pairs` name the parameters that are exchanged with them."""
    scene = film.scene
    order = torch.arange(scene.dim, device=film.device)
    order[:2] = order[:2].flip(0)

    def vector(x: Tensor) -> Tensor:
        return x[..., order]

    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    placed = dataclasses.replace(
        _placed(scene, vector, lambda x, owner: vector(x)),
        bounds=vector(scene.bounds),
        obstacle_size=torch.where(_is_box(scene), vector(scene.obstacle_size), scene.obstacle_size),
        shape_size=torch.where(
            (scene.shape_kind == BodyShape.BOX).unsqueeze(-1), scene.shape_size[:, [1, 0, 2]], scene.shape_size
        ),
        wall=scene.wall[:, order],
        parameters={k: scene.parameters[other.get(k, k)] for k in scene.parameters},
    )
    return _film(film, placed, vector, lambda x, owner: vector(x))


def turned(film: Trajectory, odd_parameters: Sequence[str] = (), pairs: Sequence[tuple[str, str]] = ()) -> Trajectory:
    """The film as it is and in its seven other positions under quarter turns about the vertical and mirrors, as one batch."""

    def quarter(x: Trajectory) -> Trajectory:
        return exchanged(mirrored(x, odd_parameters), pairs)

    four = [film, mirrored(film, odd_parameters), exchanged(film, pairs), quarter(film)]
    return stack([*four, *(quarter(quarter(x)) for x in four)])


def with_images(film: Trajectory) -> Trajectory:
    """The film and all images of it that its physics allows: a mirror in two space axes, quarter turns and mirrors in three."""
    odd = [name for name in ODD if name in film.scene.parameters]
    if film.scene.dim == 2:
        return stack([film, mirrored(film, odd)])
    return turned(film, odd, EXCHANGED if EXCHANGED[0][0] in film.scene.parameters else ())


def _is_box(scene: Scene) -> Tensor:
    return (scene.obstacle_kind == Obstacle.BOX).unsqueeze(-1)


def _placed(scene: Scene, vector: Map, point: Callable[[Tensor, Tensor], Tensor]) -> Scene:
    """The scene with all that has a place or a direction reflected."""
    owner = {group: group_of_row(scene.ptr(group)) for group in ("node", "obstacle", "driven")}
    script = Script(
        vector(scene.script.box_offset),
        point(scene.script.obstacle_position, owner["obstacle"]),
        point(scene.script.node_position, owner["driven"]),
    )
    return dataclasses.replace(
        scene,
        rest_position=point(scene.rest_position, owner["node"]),
        gravity=vector(scene.gravity),
        shape_pose=_pose(scene.shape_pose, vector, vector(scene.shape_pose[:, :3]))
        if scene.dim == 3
        else scene.shape_pose,
        script=script,
    )


def _film(film: Trajectory, scene: Scene, vector: Map, point: Callable[[Tensor, Tensor], Tensor]) -> Trajectory:
    bodies = film.scene.body_scene
    pose = None if film.pose is None else _pose(film.pose, vector, point(film.pose[..., :3], bodies))
    twist = (
        None if film.twist is None else torch.cat([vector(film.twist[..., :3]), -vector(film.twist[..., 3:])], dim=-1)
    )
    return dataclasses.replace(
        film,
        scene=scene,
        position=point(film.position, film.scene.node_scene),
        velocity=vector(film.velocity),
        pose=pose,
        twist=twist,
    )


def _pose(pose: Tensor, vector: Map, centre: Tensor) -> Tensor:
    return torch.cat([centre, -vector(pose[..., 3:6]), pose[..., 6:]], dim=-1)
