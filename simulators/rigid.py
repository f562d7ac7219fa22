"""Rigid bodies with contact, friction and restitution: thrown bodies, a struck tower, billiards, a mug on a slope.

**Equations.** Newton-Euler for every body, Signorini's condition and Coulomb's law at every contact, Newton's restitution:

    m dv/dt = m g + Σ f,   I dω/dt + ω × I ω = Σ r × f,   0 ≤ gap ⟂ f_n ≥ 0,   |f_t| ≤ μ f_n,   v_n⁺ = -e v_n⁻

**Scheme.** Newton's Steel solver (`newton` 1.8, Warp underneath): contacts found anew in every step, velocities from projected
Gauss-Seidel over normal and friction impulses, positions by symplectic Euler. Nothing is carried from step to step but pose and
twist (no warm start, no anchored friction), so a rollout restarts from any frame of a film exactly. Contacts are softened by a
regularization that lets a resting body sink by 5 g dt² and keeps stacks from creeping. `engine="xpbd"` runs Newton's position-based
solver on the same worlds; docs/rigid.md says by figures why it does not make the truth.

**Units** SI. **Good values**: see `reference_settings`; docs/rigid.md has the refinement. **Fails**: mass ratios above 10⁴ are
refused; stacks of some tens of bodies need more iterations; bodies that move farther in a step than their size pass through one
another.

Hidden parameters: friction, restitution, mass ratio. Driven: a pusher (an obstacle that moves by the script).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ..contracts.card import ModelCard
from ..contracts.domain import Domain, PhysicsCheck, Recipe
from ..contracts.errors import MisuseError
from ..contracts.model import Stepper
from ..contracts.rotation import carried, local_points
from ..contracts.scene import Scene, Script, Wall
from ..contracts.seeds import stream
from ..contracts.siblings import Ranges
from ..contracts.trajectory import Frame, Trajectory, stack
from ._rigid_bodies import mass_properties
from ._rigid_scenes import FAMILIES, FRICTION, RESTITUTION, draw_scene
from ._rigid_settings import RigidSettings

if TYPE_CHECKING:
    from ._newton import Worlds

RECIPES = {
    "xs": Recipe(dim=3, resolution=0.25, past=5, horizon=12),
    "s": Recipe(dim=3, resolution=0.2, past=5, horizon=50),
    "m": Recipe(dim=3, resolution=0.14, past=5, horizon=100),
    "l": Recipe(dim=3, resolution=0.1, past=5, horizon=100),
}
"""xs, s, m, l: bodies of about 0.25, 0.2, 0.14 and 0.1 m, and more of them the smaller they are."""
DEEPEST_START = 0.1
"""Share of the smallest half extent of a scene's solids by which they may stand in one another at the start of a rollout."""
MOST_MASS_RATIO = 1e4
FASTEST_PUSHER = 20.0
"""[m/s]"""


def _finer(resolution: float) -> int:
    """Steps for one of the usual: bodies smaller than 0.12 m need half the time step, or their tall towers sway up."""
    return 1 if resolution >= 0.12 else 2


def reference_settings(resolution: float = 0.2) -> RigidSettings:
    """Settings of the truth for bodies of a size [m]: a time step of 1 ms, or 0.5 ms for small ones."""
    return RigidSettings(substeps=20 * _finer(resolution), iterations=12)


def ladder_settings(resolution: float = 0.2) -> dict[str, RigidSettings]:
    """Cheaper settings by name, dearest first: s substeps, i iterations."""
    finer = _finer(resolution)
    pairs = ((20, 6), (20, 3), (16, 6), (10, 6), (8, 4), (5, 4), (4, 4), (3, 4), (2, 4), (1, 4))
    return {f"newton-s{s * finer}-i{i}": RigidSettings(s * finer, i) for s, i in pairs}


@dataclass(frozen=True)
class RigidState:
    """State of all bodies at one frame, and what stays fixed."""

    scene: Scene
    worlds: Worlds
    local: Tensor
    """Nodes in their bodies' frames [m], shape (N, 3)."""
    pose: Tensor
    """Shape (P, 7)."""
    twist: Tensor
    """Shape (P, 6)."""
    alive: Tensor
    """False for scenes that diverged or could not start, shape (B,)."""


class RigidSolver(Stepper[RigidState]):
    """Newton's solver as a contestant: it sees the last frame's poses and twists."""

    def __init__(self, name: str, kind: str, settings: RigidSettings, device: str = "cpu") -> None:
        self.settings, self.device = settings, device
        self._card = solver_card(name, kind, settings)

    @property
    def card(self) -> ModelCard:
        """See ModelCard."""
        return self._card

    def encode(self, past: Trajectory) -> RigidState:
        """Find or build the worlds; a scene that is not finite, or whose bodies stand in one another, is marked as diverged."""
        from ._newton import worlds_for

        now = past.frame(-1)
        if now.pose is None or now.twist is None:
            raise MisuseError(f"{self.card.name} needs poses and twists of the bodies; the film has none")
        require_runnable(past.scene, past.scene.script.starting_at(past.n_frames - 1))
        scene = past.scene.to(self.device)
        pose, twist = now.pose.to(self.device, torch.float32), now.twist.to(self.device, torch.float32)
        alive = finite_scenes(scene, pose, twist)
        alive &= finite_nodes(scene, now)
        worlds = worlds_for(past.scene, self.settings, self.device)
        driven = past.scene.script.obstacle_position[past.n_frames - 1].to(pose)
        alive &= worlds.deepest(parked(scene, pose, alive), driven) < deepest_start(scene)
        local = local_points(now.position.to(pose), pose, scene.body_id)
        return RigidState(scene, worlds, local, pose, twist, alive)

    def advance(self, state: RigidState, script: Script) -> RigidState:
        """One frame of substeps."""
        start = script.obstacle_position[0].to(self.device, torch.float32)
        speed = (script.obstacle_position[1] - script.obstacle_position[0]) / state.scene.frame_interval
        still = torch.where(state.alive[state.scene.body_scene].unsqueeze(-1), state.twist, 0.0)
        pose, twist = state.worlds.advance(parked(state.scene, state.pose, state.alive), still, start, speed.to(start))
        alive = state.alive & finite_scenes(state.scene, pose, twist)
        return dataclasses.replace(state, pose=pose, twist=twist, alive=alive)

    def decode(self, state: RigidState) -> Frame:
        """Nodes carried by their bodies; NaN for scenes that are not alive."""
        gone = ~state.alive[state.scene.body_scene].unsqueeze(-1)
        pose, twist = state.pose.masked_fill(gone, torch.nan), state.twist.masked_fill(gone, torch.nan)
        position, velocity = carried(state.local, pose, twist, state.scene.body_id)
        return Frame(position, velocity, pose, twist)


def solver_card(name: str, kind: str, settings: RigidSettings) -> ModelCard:
    """The card of a contestant that is this solver at some settings."""
    return ModelCard(
        name=name,
        kind=kind,
        objective="none: equations of motion",
        learning_algorithm="none",
        architecture=f"Newton {settings.engine}, {settings.substeps} substeps, {settings.iterations} iterations",
        domains=("rigid",),
        source="newton 1.8",
    )


def finite_scenes(scene: Scene, *of_bodies: Tensor) -> Tensor:
    """True for scenes in which all rows of all given (P, ...) tensors are finite, shape (B,)."""
    good = torch.ones(scene.n_scenes, dtype=torch.bool, device=scene.device)
    for values in of_bodies:
        good[scene.body_scene[~torch.isfinite(values).all(-1)]] = False
    return good


def finite_nodes(scene: Scene, frame: Frame) -> Tensor:
    """True for scenes in which all nodes are finite, shape (B,)."""
    good = torch.ones(scene.n_scenes, dtype=torch.bool, device=scene.device)
    bad = ~(torch.isfinite(frame.position).all(-1) & torch.isfinite(frame.velocity).all(-1))
    good[scene.node_scene[bad.to(scene.device)]] = False
    return good


def parked(scene: Scene, pose: Tensor, alive: Tensor) -> Tensor:
    """Poses (P, 7) with the bodies of lost scenes set far above and apart, where they trouble nobody."""
    place = torch.zeros_like(pose)
    place[:, 2] = 1e3 + 10.0 * torch.arange(pose.shape[0], device=pose.device)
    place[:, 6] = 1.0
    return torch.where(alive[scene.body_scene].unsqueeze(-1), pose, place)


def deepest_start(scene: Scene) -> Tensor:
    """Greatest depth [m] at which bodies may stand in one another at the start, shape (B,)."""
    extent = torch.where(scene.shape_size > 0, scene.shape_size, torch.inf).amin(-1).double()
    owner = scene.body_scene[scene.shape_body]
    least = [extent[owner == b].min() for b in range(scene.n_scenes)]
    return DEEPEST_START * torch.stack(least)


def require_runnable(scene: Scene, script: Script) -> None:
    """Raise MisuseError for what no setting of the solver can run, naming the values."""
    _require_bodies(scene)
    for name, low, high in (("friction", 0.0, 10.0), ("restitution", 0.0, 1.0)):
        if name not in scene.parameters:
            raise MisuseError(f"the scene has no parameter {name!r}")
        for value in scene.parameters[name].tolist():
            if not low <= value <= high:
                raise MisuseError(f"{name} is {value}; between {low:g} and {high:g} is right")
    if not bool(torch.isfinite(scene.gravity).all()):
        raise MisuseError(f"gravity is {scene.gravity.tolist()} m/s²; it must be finite")
    if bool((scene.wall == Wall.PERIODIC).any()):
        raise MisuseError("rigid bodies know no periodic sides; OPEN, FREE_SLIP or NO_SLIP is right")
    if bool((script.box_offset != 0).any()):
        raise MisuseError("the box of a rigid scene must stand still; a moving obstacle can push")
    if not bool(torch.isfinite(script.obstacle_position).all()):
        raise MisuseError("an obstacle's script is not finite")
    if script.obstacle_position.numel() and script.n_frames > 1:
        step = script.obstacle_position.diff(dim=0).norm(dim=-1).max()
        speed = float(step) / scene.frame_interval
        if speed > FASTEST_PUSHER:
            raise MisuseError(f"an obstacle moves at {speed:.3g} m/s; at most {FASTEST_PUSHER:g} m/s is right")


def _require_bodies(scene: Scene) -> None:
    n = int(scene.body_ptr[-1])
    if bool((scene.body_id < 0).any()) or n == 0:
        raise MisuseError(
            f"{int((scene.body_id < 0).sum())} nodes belong to no body; every node of a rigid scene needs one"
        )
    for name, values in (("nodes", scene.body_id), ("shapes", scene.shape_body)):
        lacking = torch.nonzero(torch.bincount(values, minlength=n) == 0).flatten().tolist()
        if lacking:
            raise MisuseError(f"body {lacking[0]} has no {name}; it needs at least 1")
    if not bool((torch.isfinite(scene.shape_size) & (scene.shape_size >= 0)).all()):
        raise MisuseError("a shape's size is negative or not finite")
    mass, inertia = mass_properties(scene)
    least, most = float(mass.min()), float(mass.max())
    if not 0 < least <= most < torch.inf or most / least > MOST_MASS_RATIO:
        raise MisuseError(f"bodies weigh {least:g} to {most:g} kg; a ratio of at most {MOST_MASS_RATIO:g} is right")
    if not bool((torch.linalg.eigvalsh(inertia.nan_to_num()) > 0).all()):
        body = int(torch.nonzero(~(torch.linalg.eigvalsh(inertia.nan_to_num()) > 0).all(-1))[0])
        sizes = scene.shape_size[scene.shape_body == body].tolist()
        raise MisuseError(f"body {body} has no inertia: its shapes have sizes {sizes} m; extents must be positive")


class Rigid(Domain):
    """See the module's text."""

    name: ClassVar[str] = "rigid"
    version: ClassVar[int] = 1
    frame_interval: ClassVar[float] = 0.02
    trust_threshold: ClassVar[float] = 0.05
    observable_name: ClassVar[str] = "body poses [m]"
    families: ClassVar[tuple[str, ...]] = tuple(FAMILIES)
    parameter_units: ClassVar[dict[str, str]] = {"friction": "1", "restitution": "1", "mass_ratio": "1"}
    recipes: ClassVar[Mapping[str, Recipe]] = RECIPES
    # Not the mass ratio: which body is the special one is the family's to say, and a scene does not hold it.
    parameter_ranges: ClassVar[Ranges] = {"friction": FRICTION, "restitution": RESTITUTION}

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        """See Domain."""
        self.check_split(split, index)
        rng = stream(root_seed, self.name, split, index)
        return draw_scene(self.name, recipe, split, index, rng, self.frame_interval)

    def reference(self, recipe: Recipe, device: str = "cpu") -> RigidSolver:
        """Newton at the settings that the physics tests were passed with."""
        return RigidSolver("newton", "reference", reference_settings(recipe.resolution), device)

    def refined(self, recipe: Recipe, device: str = "cpu") -> Stepper[Any]:
        """Half the time step and twice the iterations."""
        usual = reference_settings(recipe.resolution)
        finer = RigidSettings(2 * usual.substeps, 2 * usual.iterations)
        return RigidSolver("newton-refined", "ladder", finer, device)

    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, Stepper[Any]]:
        """Fewer substeps, fewer iterations, both; dearest first."""
        return {n: RigidSolver(n, "ladder", s, device) for n, s in ladder_settings(recipe.resolution).items()}

    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        """Mechanical energy [J], which only a pusher may raise, and height of the centre of mass [m]."""
        from ._rigid_probes import invariants

        return invariants(film)

    def observable(self, film: Trajectory) -> Tensor:
        """See `_rigid_probes.py`."""
        from ._rigid_probes import body_poses

        return body_poses(film)

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        """See `_rigid_probes.py`."""
        from ._rigid_probes import events

        return events(film)

    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        """See `_rigid_physics.py`."""
        from ._rigid_physics import validate

        return validate(full)

    def example(self, n_frames: int) -> Trajectory:
        """Thrown capsules, a tower and its pusher, billiards, a mug on a slope."""
        recipe = dataclasses.replace(RECIPES["xs"], past=n_frames, horizon=8)
        start = stack([self.sample_start(recipe, "test", i, 9) for i in range(4)])
        film = self.reference(recipe).rollout(start, n_frames - 1)
        return start.followed_by(film).with_divergence()


DOMAIN = Rigid()
