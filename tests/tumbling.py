"""A second whole Domain in closed form, for tests: boxes in three dimensions that fall and spin about a fixed axis.

    x(t) = x0 + v0 t + g t²/2,   q(t) = exp(ω t) q0,   nodes carried by their body

Bodies, shapes, mesh edges and faces, poses and twists, and an obstacle that the script moves (and nothing touches). Rungs of
the ladder know gravity up to a factor.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from hedgefox.contracts import (
    BodyShape,
    Domain,
    Frame,
    MisuseError,
    ModelCard,
    Obstacle,
    PhysicsCheck,
    Recipe,
    Scene,
    Script,
    Stepper,
    Trajectory,
    Wall,
    rotation,
    single_scene,
)
from hedgefox.contracts.seeds import stream
from hedgefox.contracts.siblings import Ranges
from torch import Tensor

HALF = torch.tensor([0.05, 0.04, 0.03])
CORNERS = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]) * HALF
EDGES = torch.tensor([[a, b] for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])
QUADS = ([0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3])
FACES = torch.tensor([t for a, b, c, d in QUADS for t in ([a, b, c], [a, c, d])])


@dataclass(frozen=True)
class _State:
    scene: Scene
    pose: Tensor
    twist: Tensor
    local: Tensor


class _Solver(Stepper[_State]):
    def __init__(self, name: str, kind: str, factor: float) -> None:
        self._card = ModelCard(name, kind, "none", "none", "closed form", ("tumbling",))
        self.factor = factor

    @property
    def card(self) -> ModelCard:
        return self._card

    def encode(self, past: Trajectory) -> _State:
        now = past.frame(-1)
        assert now.pose is not None
        assert now.twist is not None
        local = rotation.local_points(now.position, now.pose, past.scene.body_id)
        return _State(past.scene, now.pose, now.twist, local)

    def advance(self, state: _State, script: Script) -> _State:
        scene, dt = state.scene, state.scene.frame_interval
        owner = torch.repeat_interleave(torch.arange(scene.n_scenes), scene.body_ptr.diff())
        gravity = scene.gravity[owner] * self.factor
        velocity, spin = state.twist[:, :3], state.twist[:, 3:]
        centre = state.pose[:, :3] + velocity * dt + 0.5 * gravity * dt**2
        turned = rotation.multiply(rotation.exponential(spin * dt), state.pose[:, 3:])
        pose = torch.cat([centre, turned / torch.linalg.vector_norm(turned, dim=-1, keepdim=True)], dim=-1)
        return dataclasses.replace(state, pose=pose, twist=torch.cat([velocity + gravity * dt, spin], dim=-1))

    def decode(self, state: _State) -> Frame:
        x, v = rotation.carried(state.local, state.pose, state.twist, state.scene.body_id)
        return Frame(x, v, state.pose, state.twist)


class Tumbling(Domain):
    name: ClassVar[str] = "tumbling"
    version: ClassVar[int] = 1
    frame_interval: ClassVar[float] = 0.02
    trust_threshold: ClassVar[float] = 0.02
    observable_name: ClassVar[str] = "centres of the bodies' scene [m]"
    families: ClassVar[tuple[str, ...]] = ("one box", "two boxes")
    parameter_units: ClassVar[dict[str, str]] = {"pull": "m/s²", "colour": "1"}
    parameter_ranges: ClassVar[Ranges] = {"pull": {"train": (1.0, 2.0), "material": (4.0, 5.0)}}

    def recipe(self, size: str) -> Recipe:
        if size not in ("xs", "s"):
            raise MisuseError(f"tumbling has no size {size!r}; xs or s is right")
        return Recipe(dim=3, resolution=0.05, past=5, horizon=8 if size == "xs" else 20)

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        self.check_split(split, index)
        rng = stream(root_seed, self.name, split, index)
        n, frames = 1 + index % 2, recipe.n_frames(split)
        centre = torch.tensor([[0.3 + 0.4 * k, 0.5, 0.8] for k in range(n)]) + 0.02 * _drawn(rng.normal(0, 1, (n, 3)))
        quaternion = rotation.exponential(_drawn(rng.normal(0, 1, (n, 3))))
        pose = torch.cat([centre, quaternion], dim=-1)
        twist = _drawn(rng.normal(0, 0.5, (n, 6)))
        body = torch.arange(n).repeat_interleave(8)
        x, v = rotation.carried(CORNERS.repeat(n, 1), pose, twist, body)
        pull = float(rng.uniform(*self.parameter_ranges["pull"]["material" if split == "material" else "train"]))
        time = torch.arange(frames) * self.frame_interval
        path = torch.tensor([0.5, 0.5, 0.1]) + torch.stack([0.2 * torch.sin(3 * time), 0 * time, 0 * time], -1)
        scene = single_scene(
            domain=self.name,
            frame_interval=self.frame_interval,
            rest_position=x,
            mass=0.1,
            bounds=torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]),
            wall=torch.full((3, 2), int(Wall.OPEN)),
            gravity=[0.0, 0.0, -pull],
            parameters={"pull": pull, "colour": float(index)},
            body_id=body,
            edges=torch.cat([EDGES + 8 * k for k in range(n)]),
            faces=torch.cat([FACES + 8 * k for k in range(n)]),
            shape_kind=torch.full((n,), int(BodyShape.BOX)),
            shape_size=HALF.repeat(n, 1),
            shape_pose=torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]).repeat(n, 1),
            shape_body=torch.arange(n),
            obstacle_kind=torch.tensor([int(Obstacle.BALL)]),
            obstacle_size=torch.full((1, 3), 0.05),
            obstacle_position=path.unsqueeze(1),
            n_frames=frames,
        )
        return Trajectory(scene, x[None], v[None], pose[None], twist[None])

    def with_parameter(self, scene: Scene, name: str, value: float) -> Scene:
        changed = super().with_parameter(scene, name, value)
        return dataclasses.replace(changed, gravity=torch.tensor([[0.0, 0.0, -value]]))

    def reference(self, recipe: Recipe, device: str = "cpu") -> _Solver:
        return _Solver("tumbling", "reference", 1.0)

    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, _Solver]:  # type: ignore[override]
        return {f"pull-{f}": _Solver(f"pull-{f}", "ladder", f) for f in (1.01, 1.03, 1.1, 1.2, 1.4, 1.8, 2.5, 4.0)}

    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        return {"number of scenes [1]": torch.ones((film.n_frames, film.scene.n_scenes))}

    def observable(self, film: Trajectory) -> Tensor:
        from hedgefox.contracts._ragged import group_mean

        return group_mean(film.position.transpose(1, 2), film.scene.scene_ptr).transpose(1, 2)

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        low, falling = (torch.full((film.n_frames, film.scene.n_scenes), torch.inf) for _ in range(2))
        owner = film.scene.node_scene.expand(film.n_frames, -1)
        low.scatter_reduce_(1, owner, film.position[..., 2], "amin")
        falling.scatter_reduce_(1, owner, film.velocity[..., 2], "amin")
        return {"sinks": low < 0.7, "falls fast": falling < -0.8}

    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        return [PhysicsCheck("two", 2.0, 1.9, 2.1, "", "2", "arithmetic")]

    def example(self, n_frames: int) -> Trajectory:
        recipe = dataclasses.replace(self.recipe("xs"), past=n_frames, horizon=8)
        return self.simulate(recipe, "test", [0, 1, 2], root_seed=5).frames(0, n_frames)


def _drawn(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


TUMBLING = Tumbling()
