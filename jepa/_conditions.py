"""What the networks are conditioned on: kind of physics, interval, gravity, box, and the parameters that are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..contracts import Scene, Script
from ..contracts._ragged import counts, group_of_row
from ..surrogates._embedding import lifted
from ._attention import mlp
from ._moment import _rows_by_scene, geometry_motion
from ._units import Units

MOST_DRIVEN = 12
"""Driven nodes of a scene that the predictor is told of; more are thinned out evenly."""


class Condition(nn.Module):
    """One vector a scene from what is known of it before anything is seen."""

    def __init__(self, units: Units, width: int) -> None:
        super().__init__()
        self.domain = nn.Embedding(len(units.domains), width)
        self.known = mlp(2 * len(units.named) + 3 + 3 + 3, width, width)

    def forward(self, units: Units, scene: Scene, frames: int, of: int, kept: Tensor | None = None) -> Tensor:
        """(B, C) for a leap of `frames` out of `of`; `kept` (B, parameters) is zero where a parameter is withheld."""
        k = units.number(scene.domain)
        length, speed = units.length[k], units.speed[k]
        values, there = units.material(scene)
        if kept is not None:
            values, there = values * kept, there * kept
        seconds = scene.frame_interval * max(frames, 1)
        fall = lifted(scene.gravity) * (scene.frame_interval * of) / speed
        extent = lifted(scene.bounds[:, 1] - scene.bounds[:, 0]) / length / 4
        ahead = fall.new_tensor([frames / of, (frames / of) ** 0.5, seconds * float(speed / length)])
        parts = [values, there, fall, extent, ahead.expand(len(fall), 3)]
        found: Tensor = self.known(torch.cat(parts, -1)) + self.domain.weight[k]
        return found


def script_tokens(scene: Scene, script: Script, frames: int, units: Units) -> tuple[Tensor, Tensor]:
    """What the script moves during a leap of `frames` from its frame 0: features (B, M, F), and which exist (B, M).

    Obstacles, driven nodes, and the box, which is always there.
    """
    k = units.number(scene.domain)
    length, step = units.length[k], units.speed[k] * scene.frame_interval * max(frames, 1)
    half, stop = (frames + 1) // 2, frames
    box_centre = scene.bounds.mean(1) + script.box_offset[0]
    centre = lifted(box_centre)
    extent = lifted(scene.bounds[:, 1] - scene.bounds[:, 0]) / 2
    solid_of = group_of_row(scene.obstacle_ptr)
    solids = torch.cat([lifted(script.obstacle_position[0]) - centre[solid_of], lifted(scene.obstacle_size)], -1)
    boxes = torch.cat([torch.zeros_like(centre), extent], -1)
    rows, there = _rows_by_scene(scene, solids / length, boxes / length)
    moved = [geometry_motion(scene, script, 0, at) / step for at in (half, stop)]
    is_box = torch.zeros_like(rows[..., :1])
    is_box[:, -1] = 1
    known = torch.cat([rows, *moved, torch.zeros_like(is_box), is_box], -1)
    driven, driven_there = _driven(scene, script, half, stop, centre, length, step)
    return torch.cat([driven, known], 1), torch.cat([driven_there, there], 1)


def _driven(
    scene: Scene, script: Script, half: int, stop: int, centre: Tensor, length: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    ptr = scene.ptr("driven")
    sizes = counts(ptr)
    wide = min(int(sizes.max()), MOST_DRIVEN)
    slot = torch.arange(wide, device=ptr.device)
    taken = torch.minimum(sizes, torch.full_like(sizes, MOST_DRIVEN)).unsqueeze(-1)
    there = slot < taken
    place = torch.where(there, ptr[:-1, None] + slot * sizes[:, None] // taken.clamp(min=1), 0)
    if wide == 0:
        return centre.new_zeros((scene.n_scenes, 0, 14)), there
    now, mid, end = (lifted(script.node_position[t])[place].to(centre.dtype) for t in (0, half, stop))
    flag = torch.ones_like(now[..., :1])
    parts = [(now - centre.unsqueeze(1)) / length, torch.zeros_like(now), (mid - now) / step, (end - now) / step]
    return torch.cat([*parts, flag, torch.zeros_like(flag)], -1), there
