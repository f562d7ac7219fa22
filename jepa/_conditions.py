"""What the networks are conditioned on: kind of physics, interval, gravity, box, and the parameters that are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..contracts import Scene, Script
from ..surrogates._embedding import lifted
from ._attention import mlp
from ._layout import Layout, layout
from ._moment import at_frame, geometry_motion
from ._units import Units


class Condition(nn.Module):
    """One vector a scene from what is known of it before anything is seen."""

    def __init__(self, units: Units, width: int) -> None:
        super().__init__()
        self.domain = nn.Embedding(len(units.domains), width)
        self.known = mlp(2 * len(units.named) + 3 + 3 + 3, width, width)

    def forward(self, units: Units, scene: Scene, frames: int | Tensor, of: int, kept: Tensor | None = None) -> Tensor:
        """(B, C) for a leap of `frames` out of `of`; `kept` (B, parameters) is zero where a parameter is withheld.

        As a number on the device, `frames` is never asked for.
        """
        k = units.number(scene.domain)
        length, speed = units.length[k], units.speed[k]
        values, there = units.material(scene)
        if kept is not None:
            values, there = values * kept, there * kept
        fall = lifted(scene.gravity) * (scene.frame_interval * of) / speed
        extent = lifted(scene.bounds[:, 1] - scene.bounds[:, 0]) / length / 4
        ahead = _ahead(frames, of, scene.frame_interval, speed / length).to(fall.dtype)
        parts = [values, there, fall, extent, ahead.expand(len(fall), 3)]
        found: Tensor = self.known(torch.cat(parts, -1)) + self.domain.weight[k]
        return found


def _ahead(frames: int | Tensor, of: int, interval: float, rate: Tensor) -> Tensor:
    """How far a leap goes (3,): the share of a whole one, its root, and the box lengths crossed at the usual speed."""
    number = on_device(frames, rate)
    return torch.stack([number / of, (number / of) ** 0.5, interval * number.clamp(min=1) * rate])


def on_device(frames: int | Tensor, beside: Tensor) -> Tensor:
    """A number of frames as float64 on the device of another tensor, without a copy from the host."""
    if isinstance(frames, Tensor):
        return frames.to(torch.float64)
    return torch.full((), frames, dtype=torch.float64, device=beside.device)


def script_tokens(
    scene: Scene, script: Script, frames: int | Tensor, units: Units, known: Layout | None = None
) -> tuple[Tensor, Tensor]:
    """What the script moves during a leap of `frames` from its frame 0: features (B, M, F), and which exist (B, M).

    Obstacles, driven nodes, and the box, which is always there. `known` saves finding out where they stand.
    """
    known = known or layout(scene)
    k = units.number(scene.domain)
    length, step = units.length[k], units.speed[k] * scene.frame_interval * _at_least_one(frames)
    half, stop = (frames + 1) // 2, frames
    box_centre = scene.bounds.mean(1) + script.box_offset[0]
    centre = lifted(box_centre)
    extent = lifted(scene.bounds[:, 1] - scene.bounds[:, 0]) / 2
    solids = torch.cat([lifted(script.obstacle_position[0]) - centre[known.owner], lifted(scene.obstacle_size)], -1)
    boxes = torch.cat([torch.zeros_like(centre), extent], -1)
    rows, there = known.by_scene(solids / length, boxes / length)
    moved = [geometry_motion(script, 0, at, known) / step for at in (half, stop)]
    is_box = torch.zeros_like(rows[..., :1])
    is_box[:, -1].fill_(1)
    features = torch.cat([rows, *moved, torch.zeros_like(is_box), is_box], -1)
    driven = _driven(known, script, (half, stop), centre, length, step)
    return torch.cat([driven, features], 1), torch.cat([known.driven_there, there], 1)


def _at_least_one(frames: int | Tensor) -> int | Tensor:
    return frames.clamp(min=1) if isinstance(frames, Tensor) else max(frames, 1)


def _driven(
    known: Layout,
    script: Script,
    frames: tuple[int | Tensor, int | Tensor],
    centre: Tensor,
    length: Tensor,
    step: Tensor,
) -> Tensor:
    """Driven nodes (B, M, 14): where they are, and how far they come in half the leap and in the whole."""
    if not known.driven.shape[1]:
        return centre.new_zeros((len(centre), 0, 14))
    now, mid, end = (lifted(at_frame(script.node_position, t))[known.driven].to(centre.dtype) for t in (0, *frames))
    flag = torch.ones_like(now[..., :1])
    parts = [(now - centre.unsqueeze(1)) / length, torch.zeros_like(now), (mid - now) / step, (end - now) / step]
    return torch.cat([*parts, flag, torch.zeros_like(flag)], -1)
