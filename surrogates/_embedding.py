"""Scenes of two space axes set into three, (x, y) → (x, 0, y), so that one network serves both and up is the last axis for all."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..contracts import Scene, Script, Wall

UNCHANGED = ("node_scene", "body_scene", "free", "driven_nodes", "most_obstacles", "periodic")
"""What is known of a scene, if it has been asked, and stays so in three axes."""


def lifted(x: Tensor, fill: float = 0.0) -> Tensor:
    """Vectors (..., 2) as (..., 3), the new axis in the middle; those of three axes as they are."""
    if x.shape[-1] == 3:
        return x
    return torch.stack([x[..., 0], torch.full_like(x[..., 0], fill), x[..., 1]], dim=-1)


def flattened(x: Tensor, dim: int) -> Tensor:
    """The inverse: vectors (..., 3) as (..., dim)."""
    return x if dim == 3 else x[..., ::2]


def lifted_script(script: Script) -> Script:
    """The coming frame of a script, in three axes."""
    return script._map(lambda _, x: lifted(x[:2]))


def lifted_scene(scene: Scene) -> Scene:
    """A scene in three axes: open and without extent along the new one, its boxes endless there; of its script the coming frame."""
    if scene.dim == 3:
        return scene
    open_side = torch.full_like(scene.wall[:, :1], int(Wall.OPEN))
    new = dataclasses.replace(
        scene,
        rest_position=lifted(scene.rest_position),
        gravity=lifted(scene.gravity),
        bounds=lifted(scene.bounds),
        wall=torch.cat([scene.wall[:, :1], open_side, scene.wall[:, 1:]], dim=1),
        obstacle_size=lifted(scene.obstacle_size, torch.inf),
        script=lifted_script(scene.script),
    )
    vars(new).update({name: x for name, x in vars(scene).items() if name in UNCHANGED})
    return new
