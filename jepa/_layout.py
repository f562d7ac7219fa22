"""Where obstacles and driven nodes of a batch of scenes stand in tables with a row a scene: known once, for all frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Scene
from ..contracts._ragged import counts, group_of_row

MOST_DRIVEN = 12
"""Driven nodes of a scene that the predictor is told of; more are thinned out evenly."""


@dataclass(frozen=True)
class Layout:
    """Rows of obstacles and of driven nodes by scene; where there is none, any."""

    solid: Tensor
    """Obstacle in each place, (B, G)."""
    solid_there: Tensor
    """(B, G)."""
    owner: Tensor
    """The scene of each obstacle, (S,)."""
    driven: Tensor
    """Driven node in each place, a number among the driven nodes of all scenes, (B, M)."""
    driven_there: Tensor
    """(B, M)."""

    def by_scene(self, solids: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of obstacles (S, F) and of boxes (B, F) as a table (B, G + 1, F), the box last, and which are there."""
        table = boxes.new_zeros((*self.solid.shape, boxes.shape[-1]))
        if self.solid.numel():
            table = torch.where(self.solid_there.unsqueeze(-1), solids.to(boxes.dtype)[self.solid], table)
        always = torch.ones((len(boxes), 1), dtype=torch.bool, device=boxes.device)
        return torch.cat([table, boxes.unsqueeze(1)], 1), torch.cat([self.solid_there, always], 1)


def layout(scene: Scene) -> Layout:
    """The layout of a batch of scenes."""
    solid, solid_there = _places(scene.obstacle_ptr)
    driven, driven_there = _places(scene.ptr("driven"), MOST_DRIVEN)
    return Layout(solid, solid_there, group_of_row(scene.obstacle_ptr), driven, driven_there)


def _places(ptr: Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Rows cut by a pointer (B+1,) as a table (B, widest), and which are there; of more than `most`, as many, spread evenly."""
    sizes = counts(ptr)
    taken = sizes if most is None else sizes.clamp(max=most)
    slot = torch.arange(int(taken.max()), device=ptr.device)
    taken = taken.unsqueeze(-1)
    there = slot < taken
    return torch.where(there, ptr[:-1, None] + slot * sizes[:, None] // taken.clamp(min=1), 0), there
