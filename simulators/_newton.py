"""The one place where Newton is imported: a batch of scenes as replicated worlds, their contacts and their captured steps.

World b of the Newton model is scene b: a free body for every rigid body, a kinematic free body for every obstacle (it moves by
the script, nothing moves it), and a static plane for every solid side of the box. Every solid of a scene has the scene's
friction and restitution; Newton takes the mean of two touching solids, which is then the scene's own number. A free-slip side
has minus the scene's friction, so that the mean is zero.

A model costs more to build and capture than many frames cost to run, so finished ones are kept by what they are made of
(`worlds_for`). Between frames a Worlds holds nothing that matters: poses and twists go in and come out with every frame.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections import OrderedDict
from typing import Any

import newton  # noqa: TID253
import numpy as np
import torch
from torch import Tensor

from ..contracts.errors import HedgefoxError
from ..contracts.scene import BodyShape, Obstacle, Scene, Wall
from ._rigid_bodies import mass_properties
from ._rigid_settings import RigidSettings
from ._warp import wp

KEPT_SOLIDS = 32768
"""Solids in all the models together that are kept for the next call with the same scenes: the ladder, each at several batches."""
FASTEST = 6.0
"""Closing speed [m/s] up to which a contact is seen before it happens."""
ROOM = 12
"""Contacts of each solid for which room is made at first; a frame that needs more is run again with twice the room."""
LARGEST_ROOM = 64 * ROOM


@wp.kernel
def _place_driven(
    tick: wp.array[wp.int32],
    row: wp.array[wp.int32],
    start: wp.array[wp.vec3],
    velocity: wp.array[wp.vec3],
    dt: float,
    lead: float,
    body_q: wp.array[wp.transform],
    body_qd: wp.array[wp.spatial_vector],  # type: ignore[valid-type]
    joint_q: wp.array[float],
    joint_qd: wp.array[float],
) -> None:
    """Put the obstacles where the script, linear within a frame, has them `lead` steps after the present one began."""
    i = wp.tid()
    body = row[i]
    v = velocity[i]
    x = start[i] + v * (dt * (float(tick[0]) + lead))
    body_q[body] = wp.transform(x, wp.quat_identity())  # type: ignore[index]
    body_qd[body] = wp.spatial_vector(v, wp.vec3(0.0))  # type: ignore[index]
    for k in range(3):
        joint_q[7 * body + k] = x[k]  # type: ignore[index]
        joint_qd[6 * body + k] = v[k]  # type: ignore[index]


@wp.kernel
def _finish_step(tick: wp.array[wp.int32], count: wp.array[wp.int32], most: wp.array[wp.int32]) -> None:
    """Count the step and remember the most contacts that any step asked for."""
    tick[0] = tick[0] + 1  # type: ignore[index]
    most[0] = wp.max(most[0], count[0])  # type: ignore[index]


class Worlds:
    """Scenes as a Newton model that steps whole frames."""

    def __init__(self, scene: Scene, settings: RigidSettings, device: str, room: int = ROOM) -> None:
        self.scene, self.settings, self.device, self.room = scene, settings, device, room
        self.dt = scene.frame_interval / settings.substeps
        self._build()

    def _build(self) -> None:
        scene, s = self.scene, self.settings
        builder, self.body_row, self.driven_row = build(scene, self._gap())
        device = wp.get_device(self.device)
        self.model: Any = builder.finalize(device=device)
        contacts = self.room * (int(scene.shape_ptr[-1]) + int(scene.obstacle_ptr[-1])) + 8
        self.model.rigid_contact_max = contacts
        self.pipeline = pipeline_for(self.model, contacts)
        self.contacts: Any = self.pipeline.contacts()
        most = int((scene.shape_ptr.diff() + scene.obstacle_ptr.diff()).max())
        self.solver = solver_for(self.model, s, 3 * self.room * most)
        self.states: tuple[Any, Any] = (self.model.state(), self.model.state())
        self.control = self.model.control()
        self._q, self._qd = (wp.to_torch(x) for x in (self.states[0].body_q, self.states[0].body_qd))
        self._joint_q = wp.to_torch(self.states[0].joint_q).view(-1, 7)
        self._joint_qd = wp.to_torch(self.states[0].joint_qd).view(-1, 6)
        self._tick: Any = wp.zeros(1, dtype=wp.int32, device=device)
        self._most: Any = wp.zeros(1, dtype=wp.int32, device=device)
        rows = max(1, int(self.driven_row.numel()))
        self._row: Any = wp.array(self.driven_row.to(torch.int32).cpu().numpy(), dtype=wp.int32, device=device)
        self._start: Any = wp.zeros(rows, dtype=wp.vec3, device=device)
        self._speed: Any = wp.zeros(rows, dtype=wp.vec3, device=device)
        self._graph = self._record()

    def _gap(self) -> float:
        """Half the distance at which two solids are given a contact: what they can close before the next look."""
        return 0.5 * FASTEST * self.dt

    def advance(self, pose: Tensor, twist: Tensor, start: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """One frame on: pose (P, 7) and twist (P, 6) of the bodies, start [m] and speed [m/s] of the obstacles (S, 3).

        Raises HedgefoxError when the contacts of one frame outgrow every size tried.
        """
        while True:
            after = self._frame(pose, twist, start, speed)
            if not self._overflowed():
                return after
            if 2 * self.room > LARGEST_ROOM:
                raise HedgefoxError(
                    f"a frame needs more than {self.contacts.rigid_contact_max} contacts, the largest room tried"
                )
            self.room *= 2
            self._build()

    def _frame(self, pose: Tensor, twist: Tensor, start: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        self._upload(pose, twist)
        if self.driven_row.numel():
            wp.to_torch(self._start).copy_(start)
            wp.to_torch(self._speed).copy_(speed)
        self._tick.zero_()
        for _ in range(self.settings.substeps // self.settings.chunk):
            wp.capture_launch(self._graph)
        return self._q[self.body_row].clone(), self._qd[self.body_row].clone()

    def _upload(self, pose: Tensor, twist: Tensor) -> None:
        for target in (self._q, self._joint_q):
            target[self.body_row] = pose
        for target in (self._qd, self._joint_qd):
            target[self.body_row] = twist

    def _record(self) -> Any:
        """A graph of one chunk of steps, recorded where no body touches another."""
        apart = torch.zeros_like(self._q)
        apart[:, 2], apart[:, 6] = 1e3 + 10.0 * torch.arange(apart.shape[0], device=apart.device), 1.0
        self._q[:], self._joint_q[:] = apart, apart
        # The first run loads and compiles what recording must not meet.
        self._steps()
        with wp.ScopedCapture(device=self.model.device) as capture:
            self._steps()
        return capture.graph

    def _steps(self) -> None:
        now, later = self.states
        for _ in range(self.settings.chunk):
            self._place(now)
            self.pipeline.collide(now, self.contacts)
            self.solver.step(now, later, self.control, self.contacts, self.dt)
            wp.launch(
                _finish_step, dim=1, inputs=[self._tick, self.contacts.rigid_contact_count, self._most], device=self.model.device
            )  # fmt: skip
            now, later = later, now
        if self.settings.chunk == 1:
            self._copy(now, later)

    def _place(self, state: Any) -> None:
        if self.driven_row.numel():
            lead = 1.0 if self.settings.engine == "xpbd" else 0.0
            wp.launch(
                _place_driven, dim=self.driven_row.numel(),
                inputs=[self._tick, self._row, self._start, self._speed, self.dt, lead,
                        state.body_q, state.body_qd, state.joint_q, state.joint_qd],
                device=self.model.device,
            )  # fmt: skip

    @staticmethod
    def _copy(source: Any, target: Any) -> None:
        for name in ("body_q", "body_qd", "joint_q", "joint_qd"):
            wp.copy(getattr(target, name), getattr(source, name))

    def _overflowed(self) -> bool:
        over = int(self._most.numpy()[0]) > self.contacts.rigid_contact_max
        flags = getattr(self.solver, "constraint_overflow", None)
        return over or (flags is not None and bool(flags.numpy().any()))

    def deepest(self, pose: Tensor, start: Tensor) -> Tensor:
        """How deep solids stand in one another, in an obstacle or in a side of the box [m], for each scene (B,)."""
        self._upload(pose, torch.zeros_like(pose[:, :6]))
        self._q[self.driven_row, :3] = start
        self.pipeline.collide(self.states[0], self.contacts)
        count = min(int(self.contacts.rigid_contact_count.numpy()[0]), self.contacts.rigid_contact_max)
        depth = torch.zeros(self.scene.n_scenes, dtype=torch.float64)
        if count:
            where, deep = _depths(self.model, self.contacts, self.states[0], count)
            np.maximum.at(depth.numpy(), where.numpy(), deep.numpy())
        return depth.to(self.device)


def _depths(model: Any, contacts: Any, state: Any, count: int) -> tuple[Tensor, Tensor]:
    """World and depth [m] of each contact."""
    from ..contracts.rotation import rotate

    def read(array: Any) -> Tensor:
        return torch.from_numpy(array.numpy()[:count])

    body_q = torch.from_numpy(state.body_q.numpy()).double()
    of_shape = torch.from_numpy(model.shape_body.numpy()).long()
    world = torch.from_numpy(model.shape_world.numpy()).long()
    shapes = [read(contacts.rigid_contact_shape0).long(), read(contacts.rigid_contact_shape1).long()]
    ends = []
    for shape, point in zip(shapes, (contacts.rigid_contact_point0, contacts.rigid_contact_point1), strict=True):
        body, local = of_shape[shape], read(point).double()
        pose = body_q[body.clamp(min=0)]
        ends.append(torch.where((body >= 0)[:, None], pose[:, :3] + rotate(pose[:, 3:], local), local))
    thickness = read(contacts.rigid_contact_margin0) + read(contacts.rigid_contact_margin1)
    distance = ((ends[1] - ends[0]) * read(contacts.rigid_contact_normal)).sum(-1) - thickness
    return torch.maximum(world[shapes[0]], world[shapes[1]]), (-distance).clamp(min=0)


def pipeline_for(model: Any, contacts: int) -> Any:
    """Newton's search for contacts in a model, with room for so many."""
    expert = {}
    if not model.device.is_cuda:
        narrow = copy.copy(_narrow_phase(max(1024, 1 << (len(model.shape_contact_pairs) - 1).bit_length())))
        narrow.shape_aabb_lower, narrow.shape_aabb_upper = (
            wp.zeros(model.shape_count, dtype=wp.vec3) for _ in range(2)
        )
        narrow.shape_voxel_resolution = None
        expert = {"narrow_phase": narrow, "broad_phase": newton.geometry.BroadPhaseExplicit()}
    return newton.CollisionPipeline(
        model, rigid_contact_max=contacts, verify_buffers=False, include_static_kinematic_pairs=False,
        # A GPU's threads find contacts in any order; sorting them makes results repeat.
        deterministic=model.device.is_cuda, **{"broad_phase": "explicit", **expert},
    )  # fmt: skip


@functools.cache
def _narrow_phase(pairs: int) -> Any:
    """A narrow phase for up to so many pairs of solids of every kind, on the CPU.

    Newton makes and hashes its kernels anew for each pipeline, which takes a second; they are the same for all our scenes.
    """
    builder: Any = newton.ModelBuilder()
    builder.add_shape_plane((0.0, 0.0, 1.0, 0.0))
    for kind in BodyShape:
        _add_solid(builder, builder.add_body(mass=1.0), kind, [1.0, 1.0, 1.0], wp.transform_identity(), None)
    model = builder.finalize(device="cpu")
    every: Any = wp.array(np.resize(model.shape_contact_pairs.numpy(), (pairs, 2)), dtype=wp.vec2i, device="cpu")
    return newton.CollisionPipeline(
        model, rigid_contact_max=1, verify_buffers=False, broad_phase="explicit", shape_pairs_filtered=every
    ).narrow_phase  # fmt: skip


def solver_for(model: Any, settings: RigidSettings, rows: int) -> Any:
    """A Newton solver with these settings, and room for `rows` constraint rows in each world."""
    if settings.engine == "xpbd":
        return newton.solvers.SolverXPBD(
            model, iterations=settings.iterations, enable_restitution=True, rigid_contact_relaxation=0.8
        )
    model.steel.rigid_body_angular_damping.fill_(0.0)
    return newton.solvers.SolverSteel(
        model,
        iterations=settings.iterations,
        velocity_iterations=settings.velocity_iterations,
        contact_regularization=settings.regularization,
        restitution_velocity_threshold=settings.rebound_speed,
        # Anchored friction remembers where a contact began to stick, which no film holds.
        friction_anchor_beta=0.0,
        free_body_constraint_max=rows,
        articulation_constraint_max=1,
        warn_constraint_overflow=False,
    )


def build(scene: Scene, gap: float) -> tuple[Any, Tensor, Tensor]:
    """A Newton builder with the scenes as worlds, and its rows of the bodies (P,) and of the obstacles (S,)."""
    builder: Any = newton.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    newton.solvers.SolverSteel.register_custom_attributes(builder)
    mass, inertia = (x.cpu().tolist() for x in mass_properties(scene))
    host = scene.to("cpu")
    pointers = [x.tolist() for x in (host.body_ptr, host.shape_ptr, host.obstacle_ptr)]
    friction, restitution = (host.parameters[k].tolist() for k in ("friction", "restitution"))
    body_row, driven_row, unit = [], [], wp.mat33(1, 0, 0, 0, 1, 0, 0, 0, 1)
    for b in range(scene.n_scenes):
        cfg = newton.ModelBuilder.ShapeConfig(
            density=0.0, mu=friction[b], restitution=restitution[b], mu_torsional=0.0, mu_rolling=0.0, gap=gap
        )
        builder.begin_world(gravity=tuple(host.gravity[b].tolist()))
        _add_sides(builder, host, b, cfg)
        first = builder.body_count
        for p in range(pointers[0][b], pointers[0][b + 1]):
            tensor = wp.mat33(*[x for row in inertia[p] for x in row])
            body_row.append(builder.add_body(mass=mass[p], inertia=tensor, lock_inertia=True))
        for q in range(pointers[1][b], pointers[1][b + 1]):
            body = first + int(host.shape_body[q]) - pointers[0][b]
            pose, size = wp.transform(*host.shape_pose[q].tolist()), host.shape_size[q].tolist()
            _add_solid(builder, body, int(host.shape_kind[q]), size, pose, cfg)
        for s in range(pointers[2][b], pointers[2][b + 1]):
            driven_row.append(builder.add_body(mass=1.0, inertia=unit, is_kinematic=True, lock_inertia=True))
            kind = BodyShape.BALL if int(host.obstacle_kind[s]) == Obstacle.BALL else BodyShape.BOX
            _add_solid(builder, driven_row[-1], kind, host.obstacle_size[s].tolist(), wp.transform_identity(), cfg)
        builder.end_world()
    rows = [torch.tensor(r, dtype=torch.int64, device=scene.device) for r in (body_row, driven_row)]
    return builder, rows[0], rows[1]


def _add_solid(builder: Any, body: int, kind: int, size: list[float], pose: Any, cfg: Any) -> None:
    if kind == BodyShape.BALL:
        builder.add_shape_sphere(body, xform=pose, radius=size[0], cfg=cfg)
    elif kind == BodyShape.BOX:
        builder.add_shape_box(body, xform=pose, hx=size[0], hy=size[1], hz=size[2], cfg=cfg)
    else:
        builder.add_shape_capsule(body, xform=pose, radius=size[0], half_height=size[1], cfg=cfg)


def _add_sides(builder: Any, scene: Scene, b: int, cfg: Any) -> None:
    """A plane for each solid side of box b, facing inwards."""
    bounds, wall = scene.bounds[b].tolist(), scene.wall[b].tolist()
    for axis in range(3):
        for side in range(2):
            if wall[axis][side] < Wall.FREE_SLIP:
                continue
            inwards = [0.0, 0.0, 0.0]
            inwards[axis] = 1.0 - 2.0 * side
            material = cfg
            if wall[axis][side] == Wall.FREE_SLIP:
                material = newton.ModelBuilder.ShapeConfig(**{**vars(cfg), "mu": -cfg.mu})
            plane = (*inwards, -inwards[axis] * bounds[side][axis])
            builder.add_shape_plane(plane, width=0.0, length=0.0, cfg=material)


_KEPT: OrderedDict[str, Worlds] = OrderedDict()


def worlds_for(scene: Scene, settings: RigidSettings, device: str) -> Worlds:
    """The worlds of these scenes, made anew or found again by their content."""
    key = _content(scene, settings, device)
    if key not in _KEPT:
        _KEPT[key] = Worlds(scene.to(device), settings, device)
        while len(_KEPT) > 1 and sum(w.model.shape_count for w in _KEPT.values()) > KEPT_SOLIDS:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return _KEPT[key]


_FIXED = (
    "scene_ptr", "mass", "body_id", "body_ptr", "obstacle_kind", "obstacle_size", "obstacle_ptr", "shape_kind", "shape_size",
    "shape_pose", "shape_body", "shape_ptr", "gravity", "bounds", "wall",
)  # fmt: skip


def _content(scene: Scene, settings: RigidSettings, device: str) -> str:
    """A digest of all that a model is made of."""
    digest = hashlib.sha256(f"{settings} {device} {scene.frame_interval}".encode())
    for values in [*(getattr(scene, n) for n in _FIXED), scene.parameters["friction"], scene.parameters["restitution"]]:
        digest.update(f"{values.shape}{values.dtype}".encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def swing(settings: RigidSettings, length: float, radius: float, angle: float, dt: float, steps: int) -> Any:
    """Angles [rad] after every second step of a ball hung on a hinge by a massless rod: for the physics tests alone."""
    builder: Any = newton.ModelBuilder(gravity=(0.0, 0.0, -9.81))
    newton.solvers.SolverSteel.register_custom_attributes(builder)
    i = 0.4 * radius**2
    ball = builder.add_link(mass=1.0, inertia=wp.mat33(i, 0, 0, 0, i, 0, 0, 0, i), lock_inertia=True)
    hung = wp.transform((0.0, 0.0, length), wp.quat_identity())
    hinge = builder.add_joint_revolute(parent=-1, child=ball, child_xform=hung, axis=newton.Axis.Y, armature=0.0)
    builder.add_articulation([hinge])
    model: Any = builder.finalize(device="cpu")
    model.rigid_contact_max = 8
    solver, control = solver_for(model, settings, 8), model.control()
    states: list[Any] = [model.state(), model.state()]
    states[0].joint_q.fill_(angle)
    newton.eval_fk(model, states[0].joint_q, states[0].joint_qd, states[0])
    swept = []
    for _ in range(2):
        solver.step(states[0], states[1], control, None, dt)
        states.reverse()
    with wp.ScopedCapture(device="cpu") as capture:
        for _ in range(2):
            solver.step(states[0], states[1], control, None, dt)
            states.reverse()
    for _ in range(steps // 2):
        wp.capture_launch(capture.graph)
        swept.append(float(states[0].joint_q.numpy()[0]))
    return np.array(swept)
