"""A whole Domain in closed form, for tests: points fall freely with linear drag, v' = g - k v, in a box without walls.

    v(t) = g/k + (v0 - g/k) e^{-kt},   x(t) = x0 + (g/k) t + (v0 - g/k)(1 - e^{-kt})/k

The last node of every scene is driven by the script. Rungs of the ladder know the drag k up to a factor.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from hedgefox.contracts import (
    Domain,
    Frame,
    MisuseError,
    ModelCard,
    NodeType,
    PhysicsCheck,
    Recipe,
    Scene,
    Script,
    Stepper,
    Track,
    Trajectory,
    Wall,
    single_scene,
)
from hedgefox.contracts.model import place_driven
from hedgefox.contracts.seeds import stream
from hedgefox.contracts.track import smoke
from torch import Tensor


@dataclass(frozen=True)
class _State:
    scene: Scene
    frame: Frame


class _Solver(Stepper[_State]):
    def __init__(self, name: str, kind: str, drag_factor: float) -> None:
        self._card = ModelCard(name, kind, "none", "none", "closed form", ("ballistic",))
        self.drag_factor = drag_factor

    @property
    def card(self) -> ModelCard:
        return self._card

    def encode(self, past: Trajectory) -> _State:
        return _State(past.scene, past.frame(-1))

    def advance(self, state: _State, script: Script) -> _State:
        scene, frame, dt = state.scene, state.frame, state.scene.frame_interval
        k = (scene.parameters["drag"] * self.drag_factor)[scene.node_scene].unsqueeze(-1)
        terminal = scene.gravity[scene.node_scene] / k
        gone = 1 - torch.exp(-k * dt)
        moved = Frame(
            frame.position + terminal * dt + (frame.velocity - terminal) * gone / k,
            terminal + (frame.velocity - terminal) * (1 - gone),
        )
        return dataclasses.replace(state, frame=place_driven(moved, scene, script))

    def decode(self, state: _State) -> Frame:
        return state.frame


class Ballistic(Domain):
    name: ClassVar[str] = "ballistic"
    version: ClassVar[int] = 1
    frame_interval: ClassVar[float] = 0.02
    trust_threshold: ClassVar[float] = 0.02
    observable_name: ClassVar[str] = "centre of mass [m]"
    families: ClassVar[tuple[str, ...]] = ("fall",)
    parameter_units: ClassVar[dict[str, str]] = {"drag": "1/s"}

    def recipe(self, size: str) -> Recipe:
        if size not in ("xs", "s"):
            raise MisuseError(f"ballistic has no size {size!r}; xs or s is right")
        return Recipe(dim=2, resolution=0.05, past=5, horizon=8 if size == "xs" else 20)

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        self.check_split(split, index)
        rng = stream(root_seed, self.name, split, index)
        n = 5 + index % 3 + (10 if split == "more" else 0)
        x = torch.tensor(rng.uniform(0.2, 0.8, (n, 2)), dtype=torch.float32)
        v = torch.tensor(rng.normal(0, 0.3, (n, 2)), dtype=torch.float32)
        n_frames = recipe.n_frames(split)
        time = torch.arange(n_frames) * self.frame_interval
        path = (x[-1] + torch.stack([0.1 * torch.sin(5 * time), 0 * time], dim=-1)).unsqueeze(1)
        types = torch.full((n,), int(NodeType.FREE))
        types[-1] = NodeType.DRIVEN
        scene = single_scene(
            domain=self.name,
            frame_interval=self.frame_interval,
            rest_position=x,
            mass=1.0,
            bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
            wall=torch.full((2, 2), int(Wall.OPEN)),
            gravity=[0.0, -1.0],
            node_type=types,
            parameters={"drag": float(rng.uniform(0.5, 1.0) + (2.0 if split == "material" else 0.0))},
            n_frames=n_frames,
            node_position=path,
        )
        return Trajectory(scene, x.unsqueeze(0), v.unsqueeze(0))

    def reference(self, recipe: Recipe, device: str = "cpu") -> _Solver:
        return _Solver("ballistic", "reference", 1.0)

    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, _Solver]:  # type: ignore[override]
        return {f"drag-{f}": _Solver(f"drag-{f}", "ladder", f) for f in (1.01, 1.03, 1.1, 1.2, 1.4, 1.8, 2.5, 4.0)}

    def refined(self, recipe: Recipe, device: str = "cpu") -> _Solver:
        return _Solver("refined", "ladder", 1.003)

    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        return {"mass [kg]": torch.ones((film.n_frames, film.scene.n_scenes))}

    def observable(self, film: Trajectory) -> Tensor:
        from hedgefox.contracts._ragged import group_mean

        return group_mean(film.position.transpose(1, 2), film.scene.scene_ptr).transpose(1, 2)

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        low = torch.where(film.scene.free, film.position[..., 1], torch.inf)
        owner = film.scene.node_scene.expand(film.n_frames, -1)
        floor = torch.full((film.n_frames, film.scene.n_scenes), torch.inf)
        return {"low": floor.scatter_reduce(1, owner, low, "amin") < 0.2}

    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        return [PhysicsCheck("one", 1.0, 0.9, 1.1, "", "1", "arithmetic")]

    def example(self, n_frames: int) -> Trajectory:
        recipe = dataclasses.replace(self.recipe("xs"), past=n_frames, horizon=8)
        return self.simulate(recipe, "test", [0, 1, 2], root_seed=5).frames(0, n_frames)


BALLISTIC = Ballistic()

TRACK: Track = dataclasses.replace(smoke(), trajectories={"train": 11, "valid": 2, "long": 1})
"""What the fixture `original` of conftest.py is made for."""
