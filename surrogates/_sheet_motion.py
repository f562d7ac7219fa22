"""The motion of cloth that hardly stretches and enters nothing: where a sheet comes to when nothing but that holds it.

A sheet flies on as it does, falls, and is brought back to a shape at which no tether is stretched and no vertex is inside a
solid: a step of position-based dynamics (Müller et al. 2007, J. Vis. Commun. Image Represent. 18). Tethers are the edges of the
mesh, which keep their length, and links across the sheet, which only pull: with them news crosses it in a few rounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, Scene, Script
from ..contracts.boundary import obstacle_distance, side_distance
from ..contracts.model import place_driven
from ._features import History
from ._mesh import length, rest_offset
from ._uniform import Table, Uniform


@dataclass(frozen=True)
class Tethers:
    """Pairs of vertices that the sheet holds together."""

    ends: tuple[Tensor, Tensor]
    """Vertices at both ends, (E,) each."""
    length: Tensor
    """Undeformed, [m], (E, 1)."""
    only_pull: Tensor
    """True for links across the sheet, (E, 1)."""
    share: tuple[Tensor, Tensor]
    """What each end takes of a correction, and one for the count, (E, D+1) each: driven vertices take none."""


def tethers(scene: Scene, links: Tensor) -> Tethers:
    """The edges of a scene's meshes, and links (E, 2) across them."""
    pairs = torch.cat([scene.edges, links])
    free = scene.free[pairs].to(scene.rest_position.dtype)
    part = free / free.sum(-1, keepdim=True).clamp(min=1)
    count = torch.ones_like(part[:, :1])
    share = (torch.cat([sign * part[:, k : k + 1].expand(-1, scene.dim), count], -1) for k, sign in ((0, 1), (1, -1)))
    only_pull = torch.arange(len(pairs), device=pairs.device).unsqueeze(-1) >= len(scene.edges)
    first, second = pairs.T.contiguous()
    return Tethers((first, second), length(rest_offset(scene, pairs.T)), only_pull, (next(share), next(share)))


def tabled(held: Tethers, films: Uniform) -> dict[str, Table]:
    """The tethers of a training set's scenes, as many of each: what fills up ties a vertex to itself, and counts for nothing."""
    ends = torch.stack(held.ends, -1)
    home = films.scene.node_scene[ends[:, 0]]
    by_scene = torch.argsort(home, stable=True)
    ptr = torch.searchsorted(home[by_scene], torch.arange(films.scene.n_scenes + 1, device=home.device))
    rows = {
        "ends": ends - films.scene.scene_ptr[home].unsqueeze(-1), "length": held.length,
        "only_pull": held.only_pull, "shares": torch.stack(held.share, 1),
    }  # fmt: skip
    return {n: films.table_of(x[by_scene], ptr, 0, "node" if n == "ends" else "") for n, x in rows.items()}


def from_rows(rows: Mapping[str, Tensor]) -> Tethers:
    """The tethers of a batch from their tables' rows."""
    first, second = rows["ends"].T.contiguous()
    shares = rows["shares"]
    return Tethers((first, second), rows["length"], rows["only_pull"], (shares[:, 0], shares[:, 1]))


def unstretched(position: Tensor, held: Tethers, rounds: int, radius: float) -> Tensor:
    """Positions (N, D) moved towards those at which no tether is stretched, by rounds of averaged corrections.

    The correction of a tether moves its ends towards its length; a vertex takes the mean of those of its tethers. Rounds are
    sped up as in Chebyshev's semi-iteration for a spectral radius `radius` (Wang 2015, ACM Trans. Graph. 34).
    """
    before, weight = position, 1.0
    for k in range(rounds):
        after = position + _mean_correction(position, held)
        if k < 2:
            # The first rounds go unhurried: far tethers fall slack in them, which the iteration takes for overshoot.
            before, position = position, after
            continue
        weight = 4 / (4 - radius**2 * weight) if k > 2 else 2 / (2 - radius**2)
        before, position = position, before + weight * (after - before)
    return position


def _mean_correction(position: Tensor, held: Tethers) -> Tensor:
    first, second = held.ends
    offset = position.index_select(0, second) - position.index_select(0, first)
    now = length(offset)
    excess = now - held.length
    excess = torch.where(held.only_pull, excess.clamp(min=0), excess)
    pull = torch.cat(
        [excess / now.clamp(min=torch.finfo(now.dtype).tiny) * offset, (excess != 0).to(now.dtype)], dim=-1
    )
    total = pull.new_zeros((len(position), pull.shape[1]))
    for end, share in zip(held.ends, held.share, strict=True):
        total.index_add_(0, end, pull * share)
    return total[:, :-1] / total[:, -1:].clamp(min=1)


def outside(scene: Scene, position: Tensor, script: Script) -> Tensor:
    """Positions (N, D) with free vertices moved out of the solids of frame 1 of the script, to half a thickness."""
    thickness = scene.parameters.get("thickness", torch.zeros_like(scene.gravity[:, 0])).nan_to_num(nan=0.0)
    clear = torch.where(scene.free, thickness[scene.node_scene] / 2, -torch.inf)
    distance, normal, _ = obstacle_distance(scene, position, script.obstacle_position[1])
    position = position + (clear - distance).clamp(min=0).unsqueeze(-1) * normal
    push = (clear[:, None, None] - side_distance(scene, position, script.box_offset[1])).clamp(min=0)
    return position + push[..., 0] - push[..., 1]


@dataclass(frozen=True)
class Sheet(History):
    """A history of positions whose every new frame is brought back to cloth that does not stretch and enters nothing."""

    held: Tethers
    rounds: int
    """Of corrections in a step before the network is asked."""
    rounds_after: int
    """Of corrections to what it answers."""
    radius: float
    """Spectral radius assumed of the corrections."""

    def flown(self, script: Script) -> Tensor:
        """Positions one frame ahead when nothing acts but gravity, the tethers, solids and the script, (N, D)."""
        scene, (before, now) = self.scene, self.position[-2:]
        fallen = 2 * now - before + scene.gravity[scene.node_scene] * scene.frame_interval**2
        ahead = place_driven(Frame(fallen, fallen), scene, script).position
        half = self.rounds // 2
        ahead = unstretched(ahead, self.held, self.rounds - half, self.radius)
        ahead = unstretched(outside(scene, ahead, script), self.held, half, self.radius)
        return outside(scene, ahead, script)

    def accelerated(self, acceleration: Tensor, script: Script) -> Sheet:
        """As for free nodes, and then back to such cloth."""
        free = super().accelerated(acceleration, script).position
        now = outside(self.scene, unstretched(free[-1], self.held, self.rounds_after, self.radius), script)
        return dataclasses.replace(self, position=torch.cat([free[:-1], now.unsqueeze(0)]))
