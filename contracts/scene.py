"""Scene: all that stays fixed while time runs, for a batch of scenes, and the script of what is driven.

Shape letters, the same everywhere: **B** scenes · **T** frames · **N** nodes of all scenes in the batch, concatenated ·
**D** space axes (2 or 3) · **E** mesh edges · **F** faces · **S** obstacles · **P** rigid bodies · **Q** shapes of bodies ·
**M** driven nodes · **R** frames of the script.  SI units in brackets.  A Scene is always a batch; one scene is a batch of one.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ._ragged import counts, group_of_row, group_sum, pointer, rows_of, window_rows
from .errors import MisuseError


class NodeType(enum.IntEnum):
    """What moves a node."""

    FREE = 0
    """Moved by the physics; the only nodes that metrics average over."""
    DRIVEN = 1
    """Moved by the script, exactly."""


class Wall(enum.IntEnum):
    """What stands at a side of the box."""

    OPEN = 0
    PERIODIC = 1
    FREE_SLIP = 2
    NO_SLIP = 3


class Obstacle(enum.IntEnum):
    """Shape of a solid, no-slip obstacle inside the box."""

    BALL = 0
    """`obstacle_size[:, 0]` is the radius [m]."""
    BOX = 1
    """`obstacle_size` holds the half extents along each axis [m]; the box is axis-aligned."""


class BodyShape(enum.IntEnum):
    """Convex solids that a rigid body is made of; a body may have several (a compound), of one uniform density."""

    BALL = 0
    """`shape_size[:, 0]` is the radius [m]."""
    BOX = 1
    """`shape_size` holds the half extents along the shape's own axes [m]."""
    CAPSULE = 2
    """`shape_size[:, 0]` is the radius, `shape_size[:, 1]` the half length of the straight part, along the shape's z axis [m]."""


ABSENT = -1
"""Node type, and kind of a body's solid, of rows that fill a scene up to a fixed size; no film on disk holds such."""


@dataclass(frozen=True)
class Script:
    """The known future motion of all that is driven, sampled at every frame and linear between frames.

    Frame 0 of the script is frame 0 of the trajectory it belongs to: slicing a trajectory slices both.
    """

    box_offset: Tensor
    """Displacement of each scene's box from `Scene.bounds` [m], shape (R, B, D)."""
    obstacle_position: Tensor
    """Centres of the obstacles [m], shape (R, S, D)."""
    node_position: Tensor
    """Positions of the driven nodes, in node order [m], shape (R, M, D)."""

    @property
    def n_frames(self) -> int:
        """Number of frames R that the script covers."""
        return int(self.box_offset.shape[0])

    def starting_at(self, frame: int) -> Script:
        """The same script, seen from a later frame (a view)."""
        return self._map(lambda name, x: x[frame:])

    def held(self, frames: int) -> Script:
        """The same script, standing still for so many frames more."""
        return self._map(lambda _, x: torch.cat([x, x[-1:].expand(frames, -1, -1)]))

    def _map(self, function: Callable[[str, Tensor], Tensor]) -> Script:
        return Script(**{f.name: function(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)})


# Which ragged group the rows of each field belong to, and which group an index-valued field points into.
# Selecting, stacking, moving and saving scenes all follow from these two tables.
GROUP_OF = {
    "node_type": "node",
    "mass": "node",
    "rest_position": "node",
    "body_id": "node",
    "edges": "edge",
    "faces": "face",
    "obstacle_kind": "obstacle",
    "obstacle_size": "obstacle",
    "shape_kind": "shape",
    "shape_size": "shape",
    "shape_pose": "shape",
    "shape_body": "shape",
    "gravity": "scene",
    "bounds": "scene",
    "wall": "scene",
}
POINTS_INTO = {"edges": "node", "faces": "node", "body_id": "body", "shape_body": "body"}
SCRIPT_GROUP_OF = {"box_offset": "scene", "obstacle_position": "obstacle", "node_position": "driven"}
POINTER_OF = {
    "node": "scene_ptr",
    "edge": "edge_ptr",
    "face": "face_ptr",
    "obstacle": "obstacle_ptr",
    "body": "body_ptr",
    "shape": "shape_ptr",
}


@dataclass(frozen=True)
class Scene:
    """All that stays fixed while time runs: matter, geometry, parameters, gravity and the script."""

    domain: str
    """Name of the kind of physics."""
    frame_interval: float
    """Time between two frames [s]."""
    scene_ptr: Tensor
    """Cuts the nodes into scenes, shape (B+1,), int64."""
    node_type: Tensor
    """`NodeType` of each node, shape (N,), int64."""
    mass: Tensor
    """Node masses [kg], shape (N,)."""
    rest_position: Tensor
    """Undeformed positions [m], shape (N, D); for particles, where they started."""
    body_id: Tensor
    """Rigid body of each node, numbered through the batch, or -1 for none, shape (N,), int64."""
    body_ptr: Tensor
    """Cuts the bodies into scenes, shape (B+1,)."""
    edges: Tensor
    """Mesh edges as node pairs, each undirected edge once, shape (E, 2)."""
    edge_ptr: Tensor
    """Cuts the mesh edges into scenes, shape (B+1,)."""
    faces: Tensor
    """Triangles as node triples, shape (F, 3)."""
    face_ptr: Tensor
    """Cuts the faces into scenes, shape (B+1,)."""
    obstacle_kind: Tensor
    """`Obstacle` shapes, shape (S,)."""
    obstacle_size: Tensor
    """Radius or half extents [m], shape (S, D)."""
    obstacle_ptr: Tensor
    """Cuts the obstacles into scenes, shape (B+1,)."""
    shape_kind: Tensor
    """`BodyShape` of the solids that rigid bodies are made of, shape (Q,)."""
    shape_size: Tensor
    """Radius, half extents, or radius and half length [m], shape (Q, 3)."""
    shape_pose: Tensor
    """Where the shape sits in its body's frame (origin at the centre of mass): position [m] and quaternion xyzw, shape (Q, 7)."""
    shape_body: Tensor
    """Rigid body of each shape, numbered through the batch, shape (Q,)."""
    shape_ptr: Tensor
    """Cuts the shapes into scenes, shape (B+1,)."""
    gravity: Tensor
    """Acceleration of free fall [m/s²], shape (B, D)."""
    bounds: Tensor
    """Lower and upper corner of each scene's box [m], shape (B, 2, D)."""
    wall: Tensor
    """`Wall` kind at the lower and upper side of each axis, shape (B, D, 2)."""
    parameters: Mapping[str, Tensor]
    """Material parameters by name, each of shape (B,), in the units that the domain states. NaN: withheld."""
    script: Script
    """What is driven, and how."""

    @property
    def n_scenes(self) -> int:
        """Number of scenes B."""
        return int(self.scene_ptr.numel() - 1)

    @property
    def n_nodes(self) -> int:
        """Number of nodes N of all scenes together."""
        return int(self.node_type.numel())

    @property
    def dim(self) -> int:
        """Number of space axes D."""
        return int(self.rest_position.shape[1])

    @property
    def device(self) -> torch.device:
        """Where all tensors lie."""
        return self.scene_ptr.device

    @cached_property
    def node_scene(self) -> Tensor:
        """The scene of each node, shape (N,)."""
        return group_of_row(self.scene_ptr)

    @cached_property
    def body_scene(self) -> Tensor:
        """The scene of each rigid body, shape (P,)."""
        return group_of_row(self.body_ptr)

    @cached_property
    def free(self) -> Tensor:
        """True for nodes that the physics moves, shape (N,)."""
        return self.node_type == NodeType.FREE

    @cached_property
    def driven_nodes(self) -> Tensor:
        """Indices of the driven nodes, in node order, shape (M,)."""
        return torch.nonzero(self.node_type == NodeType.DRIVEN).flatten()

    @cached_property
    def period(self) -> Tensor:
        """Length of each periodic axis [m], zero where it is not periodic, shape (B, D)."""
        extent = self.bounds[:, 1] - self.bounds[:, 0]
        return torch.where(self.wall[..., 0] == Wall.PERIODIC, extent, torch.zeros_like(extent))

    @cached_property
    def solid(self) -> Tensor:
        """True for the sides of each box that nothing passes, shape (B, D, 2)."""
        return self.wall >= Wall.FREE_SLIP

    @cached_property
    def most_obstacles(self) -> int:
        """Number of obstacles in the scene that has most."""
        number = counts(self.obstacle_ptr)
        return int(number.max()) if number.numel() else 0

    @cached_property
    def periodic(self) -> bool:
        """Whether any scene goes around along any axis."""
        return bool((self.period > 0).any())

    @cached_property
    def diagonal(self) -> Tensor:
        """Diagonal of each scene's box [m], shape (B,): the error of a frame after divergence."""
        length: Tensor = torch.linalg.vector_norm(self.bounds[:, 1] - self.bounds[:, 0], dim=-1)
        return length

    def ptr(self, group: str) -> Tensor:
        """Pointer, shape (B+1,), of a ragged group: scene, node, edge, face, obstacle, body, shape or driven."""
        if group == "scene":
            return torch.arange(self.n_scenes + 1, device=self.device)
        if group == "driven":
            return pointer(group_sum((~self.free).to(torch.int64), self.scene_ptr))
        pointer_of_group: Tensor = getattr(self, POINTER_OF[group])
        return pointer_of_group

    def minimum_image(self, difference: Tensor, scene_of: Tensor | None = None) -> Tensor:
        """Shorten differences (..., rows, D) [m] by whole periods; `scene_of` (rows,) defaults to the nodes' scenes."""
        period = self.period[self.node_scene if scene_of is None else scene_of]
        turns = torch.where(period > 0, torch.round(difference / torch.where(period > 0, period, 1.0)), 0.0)
        return difference - turns * period

    def select(self, scenes: Tensor | Sequence[int]) -> Scene:
        """The chosen scenes as a new batch, in the order given; a scene may be chosen more than once."""
        index = torch.as_tensor(scenes, dtype=torch.int64, device=self.device)
        return self._select(index, lambda group, x: x[:, rows_of(self.ptr(group), index)])

    def window(self, scenes: Tensor, starts: Tensor, length: int) -> Scene:
        """As `select`, with the script cut to `length` frames from each chosen scene's own first frame (b,)."""
        return self._select(scenes, lambda group, x: window_rows(x, self.ptr(group), scenes, starts, length))

    def _select(self, index: Tensor, cut_script: Callable[[str, Tensor], Tensor]) -> Scene:
        new: dict[str, Any] = {p: pointer(counts(getattr(self, p))[index]) for p in POINTER_OF.values()}
        for name, group in GROUP_OF.items():
            ptr = self.ptr(group)
            values = getattr(self, name)[rows_of(ptr, index)]
            if name in POINTS_INTO:
                target = POINTER_OF[POINTS_INTO[name]]
                owner = group_of_row(pointer(counts(ptr)[index]))
                shift = (new[target][:-1] - getattr(self, target)[index])[owner]
                values = _shift_indices(values, shift.unsqueeze(-1) if values.dim() == 2 else shift)
            new[name] = values
        return dataclasses.replace(
            self,
            **new,
            parameters={k: v[index] for k, v in self.parameters.items()},
            script=self.script._map(lambda name, x: cut_script(SCRIPT_GROUP_OF[name], x)),
        )

    def with_script(self, script: Script) -> Scene:
        """The same scenes under another script: the "what if" of a sibling."""
        return dataclasses.replace(self, script=script)

    def to(self, device: torch.device | str) -> Scene:
        """The same scenes with every tensor on `device`."""
        return self.map_tensors(lambda x: x.to(device))

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> Scene:
        """Apply a function to every tensor of the scene and of its script."""
        new = {n: function(getattr(self, n)) for n in [*GROUP_OF, *POINTER_OF.values()]}
        return dataclasses.replace(
            self,
            **new,  # type: ignore[arg-type]
            parameters={k: function(v) for k, v in self.parameters.items()},
            script=self.script._map(lambda _, x: function(x)),
        )


def _shift_indices(values: Tensor, shift: Tensor) -> Tensor:
    return torch.where(values >= 0, values + shift, values)


def stack_scenes(scenes: Sequence[Scene]) -> Scene:
    """Put batches of scenes of one domain into one batch.

    Raises MisuseError when the batches differ in domain, dimension, frame interval, parameter names or script length.
    """
    if not scenes:
        raise MisuseError("nothing to stack: give at least one scene")
    first = scenes[0]
    for other in scenes[1:]:
        _require_stackable(first, other)
    new: dict[str, Any] = {p: pointer(torch.cat([counts(getattr(s, p)) for s in scenes])) for p in POINTER_OF.values()}
    for name in GROUP_OF:
        parts = [getattr(s, name) for s in scenes]
        if name in POINTS_INTO:
            sizes = torch.tensor([int(s.ptr(POINTS_INTO[name])[-1]) for s in scenes])
            offsets = pointer(sizes)[:-1].tolist()
            parts = [torch.where(p >= 0, p + o, p) for p, o in zip(parts, offsets, strict=True)]
        new[name] = torch.cat(parts)
    return dataclasses.replace(
        first,
        **new,
        parameters={k: torch.cat([s.parameters[k] for s in scenes]) for k in first.parameters},
        script=first.script._map(lambda n, _: torch.cat([getattr(s.script, n) for s in scenes], dim=1)),
    )


def _require_stackable(a: Scene, b: Scene) -> None:
    for what, x, y in (
        ("domain", a.domain, b.domain),
        ("dimension", a.dim, b.dim),
        ("frame interval", a.frame_interval, b.frame_interval),
        ("parameters", sorted(a.parameters), sorted(b.parameters)),
        ("script frames", a.script.n_frames, b.script.n_frames),
    ):
        if x != y:
            raise MisuseError(f"cannot stack scenes of different {what}: {x} and {y}")


def single_scene(
    *,
    domain: str,
    frame_interval: float,
    rest_position: Tensor,
    mass: Tensor | float,
    bounds: Tensor,
    n_frames: int,
    wall: Tensor | None = None,
    gravity: Sequence[float] | Tensor | None = None,
    node_type: Tensor | None = None,
    parameters: Mapping[str, float] | None = None,
    body_id: Tensor | None = None,
    edges: Tensor | None = None,
    faces: Tensor | None = None,
    obstacle_kind: Tensor | None = None,
    obstacle_size: Tensor | None = None,
    obstacle_position: Tensor | None = None,
    box_offset: Tensor | None = None,
    node_position: Tensor | None = None,
    shape_kind: Tensor | None = None,
    shape_size: Tensor | None = None,
    shape_pose: Tensor | None = None,
    shape_body: Tensor | None = None,
) -> Scene:
    """Build a batch of one scene from plain parts, filling in what is not given.

        rest_position (N, D), mass (N,) or one number, bounds (2, D), wall (D, 2), gravity (D,), obstacle_position (S, D) when
        still or (R, S, D), box_offset (R, D), node_position (R, M, D); `n_frames` is R, the frames the script must cover;
    shape_kind (Q,), shape_size (Q, 3), shape_pose (Q, 7), shape_body (Q,) for rigid bodies.

        Raises MisuseError for a scene with no nodes, non-finite positions, two nodes on one spot, an empty box, a frame
        interval or mass that is not positive, and for parts whose shapes do not fit together.
    """
    n, dim = _check_nodes(rest_position)
    dtype, long = rest_position.dtype, torch.int64
    if not frame_interval > 0:
        raise MisuseError(f"frame interval is {frame_interval} s; it must be positive")
    if n_frames < 1:
        raise MisuseError(f"the script covers {n_frames} frames; it must cover at least 1")
    if not bool((bounds[1] > bounds[0]).all()):
        raise MisuseError(
            f"the box from {bounds[0].tolist()} to {bounds[1].tolist()} is empty; upper must exceed lower"
        )
    masses = torch.full((n,), float(mass), dtype=dtype) if isinstance(mass, int | float) else mass
    if not bool((masses > 0).all()):
        raise MisuseError(f"a node has mass {float(masses.min())} kg; masses must be positive")
    types = torch.zeros(n, dtype=long) if node_type is None else node_type.to(long)
    kinds = torch.zeros(0, dtype=long) if obstacle_kind is None else obstacle_kind.to(long)
    centres = torch.zeros((n_frames, 0, dim), dtype=dtype) if obstacle_position is None else obstacle_position
    script = Script(
        box_offset=(torch.zeros((n_frames, dim), dtype=dtype) if box_offset is None else box_offset).unsqueeze(1),
        obstacle_position=centres.expand(n_frames, -1, -1).clone() if centres.dim() == 2 else centres,
        node_position=torch.zeros((n_frames, 0, dim), dtype=dtype) if node_position is None else node_position,
    )
    _check_script(script, n_frames, int(kinds.numel()), int((types == NodeType.DRIVEN).sum()), dim)
    bodies = torch.full((n,), -1, dtype=long) if body_id is None else body_id.to(long)
    mesh_edges = torch.zeros((0, 2), dtype=long) if edges is None else edges.to(long)
    solids = torch.zeros(0, dtype=long) if shape_kind is None else shape_kind.to(long)
    _check_shapes(int(solids.numel()), shape_size, shape_pose, shape_body, int(bodies.max()) + 1)
    mesh_faces = torch.zeros((0, 3), dtype=long) if faces is None else faces.to(long)
    return Scene(
        domain=domain,
        frame_interval=float(frame_interval),
        scene_ptr=torch.tensor([0, n]),
        node_type=types,
        mass=masses,
        rest_position=rest_position,
        body_id=bodies,
        body_ptr=torch.tensor([0, int(bodies.max()) + 1]),
        edges=mesh_edges,
        edge_ptr=torch.tensor([0, mesh_edges.shape[0]]),
        faces=mesh_faces,
        face_ptr=torch.tensor([0, mesh_faces.shape[0]]),
        obstacle_kind=kinds,
        obstacle_size=torch.zeros((0, dim), dtype=dtype) if obstacle_size is None else obstacle_size,
        obstacle_ptr=torch.tensor([0, kinds.numel()]),
        shape_kind=solids,
        shape_size=torch.zeros((0, 3), dtype=dtype) if shape_size is None else shape_size,
        shape_pose=torch.zeros((0, 7), dtype=dtype) if shape_pose is None else shape_pose,
        shape_body=torch.zeros(0, dtype=long) if shape_body is None else shape_body.to(long),
        shape_ptr=torch.tensor([0, solids.numel()]),
        gravity=torch.zeros((1, dim), dtype=dtype) if gravity is None else _row(gravity, dtype),
        bounds=bounds.to(dtype).unsqueeze(0),
        wall=(torch.full((dim, 2), int(Wall.NO_SLIP)) if wall is None else wall).to(long).unsqueeze(0),
        parameters={k: torch.tensor([v], dtype=dtype) for k, v in (parameters or {}).items()},
        script=script,
    )


def _check_shapes(n: int, size: Tensor | None, pose: Tensor | None, body: Tensor | None, n_bodies: int) -> None:
    for name, values, shape in (("shape_size", size, (n, 3)), ("shape_pose", pose, (n, 7)), ("shape_body", body, (n,))):
        got = (0, *shape[1:]) if values is None else tuple(values.shape)
        if got != shape:
            raise MisuseError(f"{name} has shape {got}; {shape} is right for {n} shapes")
    if body is not None and n and not 0 <= int(body.min()) <= int(body.max()) < n_bodies:
        raise MisuseError(f"shape_body names body {int(body.max())}; the scene has bodies 0 to {n_bodies - 1}")


def _row(values: Sequence[float] | Tensor, dtype: torch.dtype) -> Tensor:
    return torch.as_tensor(values, dtype=dtype).reshape(1, -1)


def _check_nodes(position: Tensor) -> tuple[int, int]:
    if position.dim() != 2 or position.shape[1] not in (2, 3):
        raise MisuseError(f"positions have shape {tuple(position.shape)}; (nodes, 2) or (nodes, 3) is right")
    n, dim = position.shape
    if n == 0:
        raise MisuseError("the scene has no nodes; it needs at least 1")
    if not bool(torch.isfinite(position).all()):
        raise MisuseError("the scene has a position that is not finite")
    require_distinct(position)
    return n, dim


def require_distinct(position: Tensor, scene_ptr: Tensor | None = None) -> None:
    """Raise MisuseError when two rows of one scene's positions (N, D) are the same spot, naming both and the spot.

    `scene_ptr` (B+1,) tells scenes apart, which may share spots.
    """
    rows = position if scene_ptr is None else torch.cat([group_of_row(scene_ptr)[:, None].to(position), position], -1)
    _, inverse, size = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    if bool((size > 1).any()):
        pair = torch.nonzero(inverse == torch.nonzero(size > 1)[0]).flatten()[:2].tolist()
        spot = [round(x, 6) for x in position[pair[0]].tolist()]
        raise MisuseError(f"nodes {pair[0]} and {pair[1]} are both at {spot}; nodes need distinct positions")


def _check_script(script: Script, n_frames: int, n_obstacles: int, n_driven: int, dim: int) -> None:
    expected = {
        "box_offset": (n_frames, 1, dim),
        "obstacle_position": (n_frames, n_obstacles, dim),
        "node_position": (n_frames, n_driven, dim),
    }
    for name, shape in expected.items():
        got = tuple(getattr(script, name).shape)
        if got != shape:
            raise MisuseError(f"script.{name} has shape {got}; (frames, rows, axes) = {shape} is right")
