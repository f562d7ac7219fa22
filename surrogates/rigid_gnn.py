"""Graph network for rigid bodies: surface nodes and objects, nearest-point contacts, every step projected on rigid motions.

    flown = free flight of the state for one frame (gravity and the spin it has)
    (D, A) = network(graph) · (σ_D, σ_A)          for every surface node: shift [m] and change of velocity [m per frame]
    pose(t+1) = nearest rigid motion to flown nodes + D,  twist(t+1) = nearest rigid velocity to theirs + A / Δt

The graph holds the surface nodes and one object for each body, obstacle and side of the box. Surface nodes and their body exchange
messages; each partner within reach of a body sends to that body's surface nodes along contact edges, which carry the exact gap of
the two shapes, where and how fast they close, and the node's own distance. (Contacts between faces and object nodes after FIGNet,
Allen et al. 2023, arXiv:2212.03574.) Weighing by mass makes the projection Newton's and Euler's law for forces at the nodes, so
that a body cannot deform and torque need not be learned.

Trained on one step with noise on the twists, on projected errors, on every film in its eight positions under quarter turns and
mirrors. Good values: see `preset`; errors in results/LOG.md. Fails where …
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import Frame, ModelCard, Scene, Script, Trajectory
from ..contracts._ragged import group_of_row, rows_of
from ._base import Run, Setting, configured, require_dim
from ._contacts import Contacts, find_contacts
from ._message_passing import EncodeProcessDecode
from ._rigid_motion import Bodies, bodies_of, fitted_twist
from ._specialist import Specialist, SpecialistSettings, learn, pseudo_huber, width_and_steps
from ._symmetry import turned

KIND = "specialist"
DOMAINS = ("rigid",)


@dataclass(frozen=True)
class Settings(SpecialistSettings):
    """What a rigid_gnn is made of."""

    history: int = 0
    noise: float = 0.03
    spacing: float = 0.1
    dim: int = 3
    batch_size: int = 8
    reach: float = 0.1
    """Gap within which bodies see what they may touch [m]; training measures how far the fastest move in a frame."""


def preset(size: str) -> Settings:
    """Settings by size."""
    return Settings(*width_and_steps("rigid_gnn", size))


class RigidGNN(Specialist[Bodies]):
    """The physics of a rigid_gnn: features and rigid motion around a network that knows neither."""

    shift_std: Tensor
    mass_mean: Tensor
    mass_std: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, settings)
        self.set = settings
        extra = len(settings.parameters)
        n_node = 3 + 3 * 4 + extra + 1
        n_edge = 4 + 6 + 22
        self.network = EncodeProcessDecode(n_node, n_edge, 6, settings.width, settings.message_passing_steps)
        for name in ("shift_std", "mass_mean", "mass_std"):
            self.register_buffer(name, torch.full((1,), settings.spacing / 10, dtype=torch.float64))

    # What it sees

    def graph(self, state: Bodies, script: Script) -> tuple[Tensor, Tensor, Tensor]:
        """Features of surface nodes and then of objects (N + O, F), edges (2, E), and what is known along them (E, F)."""
        contacts = find_contacts(state.scene, state.pose, script, self.set.reach)
        motion = self.object_motion(state, script)
        index, along = self.contact_edges(state, contacts, motion)
        own, own_along = self.body_edges(state, index, along.shape[1] - 10)
        return self.node_features(state, motion, script), torch.cat([own, index], 1), torch.cat([own_along, along])

    def object_motion(self, state: Bodies, script: Script) -> Tensor:
        """Twists (O, 6) of all that can be met: bodies, obstacles, and the sides of the boxes."""
        dt = state.scene.frame_interval
        steps = [(x[1] - x[0]) / dt for x in (script.obstacle_position, script.box_offset)]
        linear = torch.cat([steps[0], steps[1].repeat_interleave(6, dim=0)])
        return torch.cat([state.twist, torch.cat([linear, torch.zeros_like(linear)], -1)])

    def node_features(self, state: Bodies, motion: Tensor, script: Script) -> Tensor:
        """What surface nodes and objects know by themselves."""
        scene = state.scene
        dt, speed = scene.frame_interval, self.displacement_std.float()
        n_objects, n_bodies = len(motion), len(state.pose)
        position, velocity = state.nodes()
        box = (script.box_offset[1] - script.box_offset[0]) / dt
        home = torch.cat([group_of_row(scene.body_ptr), group_of_row(scene.obstacle_ptr)])
        home = torch.cat([home, torch.arange(scene.n_scenes, device=home.device).repeat_interleave(6)])
        owner = torch.cat([scene.node_scene, home])
        kind = torch.zeros((len(owner), 3), device=box.device)
        n = scene.n_nodes
        kind[:n, 0], kind[n : n + n_bodies, 1], kind[n + n_bodies :, 2] = 1.0, 1.0, 1.0
        zero = torch.zeros((n_objects, 3), device=box.device)
        arm = position - state.pose[scene.body_id, :3]
        log_mass = (self.body_mass(scene).log() - self.mass_mean.float()) / self.mass_std.float()
        weight = torch.cat([log_mass[scene.body_id], log_mass, zero[n_bodies:, 0]])
        parts = [
            kind,
            (torch.cat([velocity, motion[:, :3]]) - box[owner]) * dt / speed,
            torch.cat([torch.zeros_like(velocity), motion[:, 3:]]) * dt * self.set.spacing / speed,
            torch.cat([arm, zero]) / self.set.spacing,
            scene.gravity[owner] * dt**2 / self.acceleration_std.float(),
            self.material(scene)[owner],
            weight.unsqueeze(-1),
        ]
        return torch.cat(parts, dim=-1)

    def body_mass(self, scene: Scene) -> Tensor:
        """Masses of the bodies [kg], (P,)."""
        total = scene.mass.new_zeros(int(scene.body_ptr[-1]))
        return total.index_add_(0, scene.body_id, scene.mass)

    def body_edges(self, state: Bodies, like: Tensor, n_contact: int) -> tuple[Tensor, Tensor]:
        """Edges from every surface node to its body's object and back; along them arm and speed against the centre."""
        scene = state.scene
        position, velocity = state.nodes()
        node = torch.arange(scene.n_nodes, device=like.device)
        own = scene.n_nodes + scene.body_id
        arm = (position - state.pose[scene.body_id, :3]) / self.set.spacing
        swing = (velocity - state.twist[scene.body_id, :3]) * scene.frame_interval / self.displacement_std.float()
        seen = torch.cat([arm, swing], -1)
        kind = torch.eye(4, device=like.device)[:2].repeat_interleave(scene.n_nodes, dim=0)
        along = torch.cat([kind, torch.cat([seen, -seen]), seen.new_zeros((2 * scene.n_nodes, n_contact))], -1)
        return torch.cat([torch.stack([node, own]), torch.stack([own, node])], dim=1), along

    def contact_edges(self, state: Bodies, contacts: Contacts, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Edges from each partner in reach to every surface node of the body, and what is known of the contact."""
        scene = state.scene
        order = torch.argsort(scene.body_id, stable=True)
        ptr = torch.searchsorted(
            scene.body_id[order].contiguous(), torch.arange(len(state.pose) + 1, device=order.device)
        )
        node = order[rows_of(ptr, contacts.body)]
        which = torch.repeat_interleave(ptr[contacts.body + 1] - ptr[contacts.body])
        shared = self.contact_features(state, contacts, motion)
        position, _ = state.nodes()
        offset = contacts.point[which] - position[node]
        # Distance of the node from the plane of contact.
        own_gap = contacts.gap[which] - (offset * contacts.normal[which]).sum(-1)
        body = contacts.partner[which] < len(state.pose)
        kind = torch.stack([torch.zeros_like(body), torch.zeros_like(body), body, ~body], -1).to(offset.dtype)
        along = torch.cat(
            [
                kind,
                offset.new_zeros((len(node), 6)),
                offset / self.set.spacing,
                (1 - own_gap / self.set.reach).clamp(-1, 2).unsqueeze(-1),
                shared[which],
            ],
            -1,
        )
        return torch.stack([scene.n_nodes + contacts.partner[which], node]), along

    def contact_features(self, state: Bodies, contacts: Contacts, motion: Tensor) -> Tensor:
        """What is known of each contact as a whole, (C, 18)."""
        scene, dt = state.scene, state.scene.frame_interval
        n_bodies = len(state.pose)
        mine, other = motion[contacts.body], motion[contacts.partner]
        arm = contacts.point - state.pose[contacts.body, :3]
        is_body = contacts.partner < n_bodies
        partner = contacts.partner.clamp(max=n_bodies - 1)
        arm_other = torch.where(is_body.unsqueeze(-1), contacts.point - state.pose[partner, :3], 0.0)
        closing = other[:, :3] + torch.linalg.cross(other[:, 3:], arm_other)
        closing = closing - mine[:, :3] - torch.linalg.cross(mine[:, 3:], arm)
        rate = (closing * contacts.normal).sum(-1)
        fall = (scene.gravity[group_of_row(scene.body_ptr)][contacts.body] * contacts.normal).sum(-1)
        ahead = contacts.gap - rate * dt + torch.where(is_body, 0.0, fall * dt**2 / 2)
        mass = self.body_mass(scene)
        share = torch.where(is_body, mass[partner] / (mass[partner] + mass[contacts.body]), 1.0)
        speed, depth = self.displacement_std.float(), (-ahead).clamp(min=0)
        hits = (ahead < 0).to(rate.dtype)
        columns = [
            (1 - contacts.gap / self.set.reach).clamp(-1, 2),
            (ahead / self.set.reach).clamp(-2, 2),
            (depth / self.shift_std.float()).clamp(max=20),
            rate * dt / speed,
            hits,
            share,
        ]
        vectors = [
            contacts.normal,
            contacts.normal * (hits * rate * dt / speed).unsqueeze(-1),
            (closing - rate.unsqueeze(-1) * contacts.normal) * dt / speed,
            arm / self.set.spacing,
        ]
        return torch.cat([torch.stack(columns, -1), *vectors], dim=-1)

    def predict(self, state: Bodies, script: Script) -> tuple[Tensor, Tensor]:
        """Shift [m] and change of velocity [m per frame] of every surface node, (N, 3) each, against free flight."""
        seen, index, along = self.graph(state, script)
        out = self.network(seen, along, index)[: state.scene.n_nodes]
        return out[:, :3] * self.shift_std.float(), out[:, 3:] * self.acceleration_std.float()

    # How it moves

    def encode(self, past: Trajectory) -> Bodies:
        """The last pose and twist of every body."""
        require_dim(self.card.name, 3, past.scene.dim)
        return bodies_of(past)

    def advance(self, state: Bodies, script: Script) -> Bodies:
        """Free flight, and what contact adds, as a rigid motion."""
        shift, kick = self.predict(state, script)
        return state.flown().shifted(shift, kick / state.scene.frame_interval)

    def decode(self, state: Bodies) -> Frame:
        """Poses, twists, and the nodes that the bodies carry."""
        return state.frame()

    # How it learns

    @property
    def window(self) -> int:
        """Frames of a training window: one, and the frame to be predicted."""
        return 2

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of what contact adds, projected on rigid motions, at the surface nodes."""
        scene = window.scene
        state = self.noisy(bodies_of(window, 0), generator)
        shift, kick = self.predict(state, scene.script)
        true_shift, true_kick = self.target(state, window)
        arm = state.nodes()[0] - state.pose[scene.body_id, :3]
        dt = scene.frame_interval
        errors = [
            self.rigid_part((got - true) / std.float(), arm, scene)
            for got, true, std in (
                (shift, true_shift, self.shift_std),
                (kick, true_kick * dt, self.acceleration_std),
            )
        ]
        return pseudo_huber(torch.cat(errors, -1), self.set.sharpness)

    def rigid_part(self, field: Tensor, arm: Tensor, scene: Scene) -> Tensor:
        """The rigid motion nearest to any motion of the nodes, at the nodes, (N, 3)."""
        twist = fitted_twist(field, arm, scene.mass, scene.body_id)[scene.body_id]
        part: Tensor = twist[:, :3] + torch.linalg.cross(twist[:, 3:], arm)
        return part

    def target(self, state: Bodies, window: Trajectory) -> tuple[Tensor, Tensor]:
        """What a step from this state must add to free flight: shift [m] and change of velocity [m/s] of the nodes."""
        position, velocity = state.flown().nodes()
        return window.position[1] - position, window.velocity[1] - velocity

    def noisy(self, state: Bodies, generator: torch.Generator) -> Bodies:
        """The state with noise on its twists, of a share of the spread of what contact does."""
        std = self.set.noise * float(self.acceleration_std) / state.scene.frame_interval
        draw = torch.randn(state.twist.shape, generator=generator, device=state.twist.device, dtype=state.twist.dtype)
        draw[:, 3:] /= self.set.spacing
        return dataclasses.replace(state, twist=state.twist + std * draw)

    def measure(self, film: Trajectory) -> None:
        """Set all normalisers, float64, from a training set."""
        scene, dt = film.scene, film.scene.frame_interval
        squares = torch.zeros(3, dtype=torch.float64)
        for t in range(film.n_frames - 1):
            shift, kick = self.target(bodies_of(film, t), film.frames(t, t + 2))
            rows = (shift, kick * dt, film.velocity[t] * dt)
            squares += torch.stack([x.to(torch.float64).square().mean().cpu() for x in rows])
        root = (squares / (film.n_frames - 1)).sqrt()
        self.shift_std.copy_(root[:1].clamp(min=1e-6))
        self.acceleration_std.copy_(root[1:2].clamp(min=1e-6) * (1 + self.set.noise**2) ** 0.5)
        self.displacement_std.copy_(root[2:].clamp(min=1e-6))
        mass = self.body_mass(scene).to(torch.float64).log()
        self.mass_mean.copy_(mass.mean())
        self.mass_std.copy_(mass.std(unbiased=False).clamp(min=1e-3))
        self.measure_material(scene)


def fastest_step(film: Trajectory) -> float:
    """How far the fastest thousandth of the nodes move in a frame [m]."""
    step = torch.linalg.vector_norm(film.velocity, dim=-1).flatten() * film.scene.frame_interval
    return float(step.kthvalue(max(1, int(0.999 * step.numel()))).values)


def body_size(film: Trajectory) -> float:
    """Root mean square distance of surface nodes from the centres of their bodies [m]."""
    return float(bodies_of(film, 0).local.square().sum(-1).mean().sqrt())


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> RigidGNN:
    """An untrained network; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    card = ModelCard(
        "rigid_gnn",
        KIND,
        "next-step motion against free flight, projected pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network",
        (domain,),
        history=1,
        seed=seed,
        source="after Allen et al. 2023, arXiv:2212.03574",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return RigidGNN(card, domain, chosen)


def train(run: Run, **settings: Setting) -> RigidGNN:
    """Train on windows of the run's data; `settings` override those of the track's size."""
    film = turned(run.data.train)
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, train=film))
    known: dict[str, Any] = {
        "spacing": body_size(film),
        "reach": 2 * fastest_step(film),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(film.scene.parameters)),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    learn(model, run, film)
    return model
