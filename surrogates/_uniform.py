"""Films whose scenes are all of one size: every batch of windows has the same shapes and is cut without asking the device.

Scenes that have less of something are filled up to what the largest has. What fills up stands apart, meets nothing, and has no
loss: nodes at the end of a scene's own that are neither free nor driven (`ABSENT`), or driven where the scene has fewer driven
nodes than others; edges and faces between such nodes; small balls far away for obstacles; bodies that lie far away; solids that
are none (`ABSENT`). Numbers are finite everywhere, because what is masked out of a loss still has gradients.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..contracts import MisuseError, NodeType, Obstacle, Scene, Script, Trajectory
from ..contracts._ragged import counts, group_of_row
from ..contracts.scene import ABSENT, GROUP_OF, POINTER_OF, POINTS_INTO, SCRIPT_GROUP_OF

FRAME_GROUP_OF = {"position": "node", "velocity": "node", "pose": "body", "twist": "body"}
GROUPS = (*POINTER_OF, "driven")
FAR = 8.0
"""How far from the box things stand that fill up, in its diagonals: beyond all that is looked for."""


@dataclass(frozen=True)
class Table:
    """Rows of every scene, as many in each."""

    rows: Tensor
    """(…, S, rows, …); `axis` is that of S."""
    axis: int = 0
    into: str = ""
    """Of numbers of rows of another group, counted within the scene: which."""

    def at(self, scenes: Tensor) -> Tensor:
        """Those of some scenes (b,), (…, b rows, …)."""
        chosen = self.rows.index_select(self.axis, scenes)
        return chosen.flatten(self.axis, self.axis + 1)


class Uniform:
    """The films of a training set, filled up; see the module. Raises MisuseError for scenes with a periodic axis."""

    def __init__(self, film: Trajectory) -> None:
        if film.scene.periodic:
            raise MisuseError("scenes with a periodic axis cannot be filled up to one size; boxes and open space can")
        self.film, self.scene = film, film.scene
        self.size = _sizes(film.scene)
        self.apart = _apart(film.scene, self.size)
        self.fields = {name: self.table(name, group) for name, group in GROUP_OF.items()}
        self.script = {name: self._of_script(name, group) for name, group in SCRIPT_GROUP_OF.items()}
        self.frames = {n: self._of_frames(n) for n in FRAME_GROUP_OF if getattr(film, n) is not None}
        self.driven = self._driven()
        self._mended()
        self._constant: dict[int, Constant] = {}

    def filled(self, values: Tensor, group: str, filling: Tensor | float, axis: int = 0) -> Tensor:
        """Rows of a group along `axis` as those of a table, what is missing taken from `filling`."""
        return _filled(values, self.scene.ptr(group), self.size[group], filling, axis)

    def table_of(self, values: Tensor, ptr: Tensor, filling: Tensor | float, into: str = "") -> Table:
        """A table of whatever else is known of the scenes, whose rows a pointer (S+1,) cuts; see `Table.into`."""
        most = int(counts(ptr).max())
        return Table(_filled(values, ptr, most, filling, 0), into=into)

    def table(self, name: str, group: str) -> Table:
        """A field of the scene."""
        values = getattr(self.scene, name)
        if name not in POINTS_INTO:
            return Table(self.filled(values, group, _FILLING.get(name, 0.0)))
        into = POINTS_INTO[name]
        first = self.scene.ptr(into)[:-1][group_of_row(self.scene.ptr(group))]
        local = torch.where(values >= 0, values - first.view(-1, *[1] * (values.dim() - 1)), values)
        return Table(self.filled(local, group, 0), into=into)

    def _of_script(self, name: str, group: str) -> Table:
        values = getattr(self.scene.script, name)
        filling = self.apart[:, :1] if group == "obstacle" else 0.0
        return Table(self.filled(values, group, filling, axis=1), axis=1)

    def _of_frames(self, name: str) -> Table:
        """Frames of the film (T, S, rows, …)."""
        values = getattr(self.film, name)
        filling: Tensor | float = 0.0
        if name == "position":
            filling = self.apart
        elif name == "pose":
            upright = torch.tensor([0.0, 0, 0, 1], device=values.device)
            place = self.apart[:, :1] + self.scene.diagonal[:, None, None] * torch.arange(
                self.size["body"], device=values.device
            ).unsqueeze(-1)
            filling = torch.cat([place, upright.expand(*place.shape[:2], 4)], -1)
        return Table(self.filled(values, FRAME_GROUP_OF[name], filling, axis=1), axis=1)

    def _driven(self) -> Table:
        """Numbers of the driven nodes within their scenes; where there are fewer, of nodes that fill up."""
        scene, size = self.scene, self.size["driven"]
        within = scene.driven_nodes - scene.scene_ptr[:-1][scene.node_scene[scene.driven_nodes]]
        missing = torch.arange(size, device=scene.device) - counts(scene.ptr("driven")).unsqueeze(-1)
        return Table(self.filled(within, "driven", counts(scene.scene_ptr).unsqueeze(-1) + missing), into="node")

    def _mended(self) -> None:
        """Give what fills up places and sizes, and let it refer to what fills up."""
        scene, n = self.scene, counts(self.scene.scene_ptr)[:, None]
        small = 1e-3 * scene.diagonal[:, None, None]
        # Nodes and solids that fill up belong to the first body that does.
        body = counts(scene.body_ptr)[:, None] if self.size["body"] else torch.full_like(n, -1)
        corner = torch.arange(3, device=scene.device)
        for name, group, filling in (
            ("rest_position", "node", self.apart),
            ("body_id", "node", body),
            ("edges", "edge", n.unsqueeze(-1) + corner[:2]),
            ("faces", "face", n.unsqueeze(-1) + corner),
            ("obstacle_size", "obstacle", small),
            ("shape_size", "shape", small),
            ("shape_kind", "shape", torch.full_like(n, ABSENT)),
            ("shape_body", "shape", body),
        ):
            self._fill(self.fields[name].rows, group, filling)
        driven = self.driven.rows
        self.fields["node_type"].rows.scatter_(1, driven, int(NodeType.DRIVEN))
        stands = torch.gather(self.apart, 1, driven.unsqueeze(-1).expand(-1, -1, scene.dim))
        self._fill(self.script["node_position"].rows, "driven", stands)

    def _fill(self, rows: Tensor, group: str, filling: Tensor) -> None:
        """Put what can be broadcast to the rows (…, S, size, …) of a group where a scene has none of its own."""
        own = torch.arange(self.size[group], device=rows.device) < counts(self.scene.ptr(group)).unsqueeze(-1)
        rows.copy_(torch.where(own.view(*own.shape, *[1] * (filling.dim() - 2)), rows, filling))

    def constant(self, number: int) -> Constant:
        """What is the same for all batches of so many scenes."""
        if number not in self._constant:
            self._constant[number] = Constant(number, self.size, self.scene.device)
        return self._constant[number]

    def window(self, scenes: Tensor, starts: Tensor, length: int) -> Trajectory:
        """Windows of `length` frames: scene `scenes[k]` from its frame `starts[k]` on; both (b,). Asks the device nothing."""
        same, rows = self.constant(len(scenes)), torch.arange(length, device=scenes.device).unsqueeze(-1) + starts

        def cut(table: Table) -> Tensor:
            return table.rows[rows, scenes].flatten(1, 2)

        new: dict[str, Any] = {
            n: same.moved(t.at(scenes), t.into, len(scenes)) for n, t in self.fields.items()
        } | same.pointers
        scene = dataclasses.replace(
            self.scene,
            **new,
            parameters={k: v[scenes] for k, v in self.scene.parameters.items()},
            script=Script(**{n: cut(t) for n, t in self.script.items()}),
        )
        driven = same.moved(self.driven.at(scenes), "node", len(scenes))
        vars(scene).update(same.known(driven), most_obstacles=self.size["obstacle"], periodic=False)
        return Trajectory(scene, **{n: cut(t) for n, t in self.frames.items()})

    def at(self, tables: Mapping[str, Table], scenes: Tensor) -> dict[str, Tensor]:
        """Of other tables, the rows of some scenes."""
        same = self.constant(len(scenes))
        return {n: same.moved(t.at(scenes), t.into, len(scenes)) for n, t in tables.items()}


@dataclass
class Constant:
    """Pointers, and whose rows are whose, of batches of so many scenes of one size."""

    number: int
    size: Mapping[str, int]
    device: torch.device
    pointers: dict[str, Tensor] = field(init=False)
    first: dict[str, Tensor] = field(init=False)
    """First row of each scene, by group, (b,)."""
    owner: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        every = torch.arange(self.number + 1, device=self.device)
        self.pointers = {ptr: every * self.size[group] for group, ptr in POINTER_OF.items()}
        self.first = {group: every[:-1] * self.size[group] for group in GROUPS}
        self.owner = {g: every[:-1].repeat_interleave(self.size[g]) for g in ("node", "body")}

    def moved(self, rows: Tensor, into: str, number: int) -> Tensor:
        """Numbers within scenes as numbers within the batch."""
        if not into:
            return rows
        by_scene = rows.view(number, len(rows) // number, *rows.shape[1:])
        shift = self.first[into].view(-1, *[1] * (by_scene.dim() - 1))
        return torch.where(by_scene >= 0, by_scene + shift, by_scene).flatten(0, 1)

    def known(self, driven: Tensor) -> dict[str, Tensor]:
        """Properties that a scene would ask the device for."""
        return {"node_scene": self.owner["node"], "body_scene": self.owner["body"], "driven_nodes": driven}


_FILLING: Mapping[str, float] = {
    "node_type": ABSENT,
    "mass": 1.0,
    "obstacle_kind": Obstacle.BALL,
}


def _filled(values: Tensor, ptr: Tensor, size: int, filling: Tensor | float, axis: int) -> Tensor:
    """Rows cut by a pointer (S+1,) along `axis` as (…, S, size, …), what is missing taken from what can be broadcast to it."""
    owner = group_of_row(ptr)
    place = owner * size + torch.arange(len(owner), device=ptr.device) - ptr[owner]
    shape = (*values.shape[:axis], len(ptr) - 1, size, *values.shape[axis + 1 :])
    table = torch.as_tensor(filling, dtype=values.dtype, device=values.device).expand(shape).clone()
    table.flatten(axis, axis + 1).index_copy_(axis, place, values)
    return table


def _sizes(scene: Scene) -> dict[str, int]:
    """Rows of each group that every scene is filled up to."""
    held = {group: counts(scene.ptr(group)) for group in GROUPS}
    most = {group: int(n.max()) for group, n in held.items()} | {"scene": 1}
    missing = {group: most[group] - held[group] for group in ("driven", "edge", "face")}
    need = torch.maximum(missing["driven"], torch.where((missing["edge"] > 0) | (missing["face"] > 0), 3, 0))
    # One body more than any scene has: nodes that fill up must be somebody's.
    return most | {"node": int((held["node"] + need).max()), "body": most["body"] + (most["body"] > 0)}


def _apart(scene: Scene, size: Mapping[str, int]) -> Tensor:
    """Where nodes of each scene stand that fill it up [m], (S, nodes, D): on a lattice below its box, a diagonal apart."""
    side = int(size["node"] ** (1 / scene.dim)) + 1
    number = torch.arange(size["node"], device=scene.device)
    steps = torch.stack([number // side**k % side for k in range(scene.dim)], -1)
    return scene.bounds[:, :1] - scene.diagonal[:, None, None] * (FAR + steps.to(scene.bounds.dtype))
