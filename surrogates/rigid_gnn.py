"""Graph network for rigid bodies: nearest-point contacts, told what they change, so that every step is a rigid motion.

    flown = free flight of the bodies for one frame: gravity, and the spin they have
    for each sweep:   u += network(graph; u)                        two pushes at each contact, along its normal and its slip
    pose(t+1), twist(t+1) = flown moved and sped up by the sum of the pushes (surrogates/_meeting.py)

Nodes of the graph are contacts, points on the surfaces of bodies near another solid (surrogates/_contacts.py), and bodies; edges
lead from contacts to the bodies that meet there and back. A contact answers with four numbers, in units of the spreads: by how
much it changes the rate at which its gap opens, and the slip, as velocities and as displacements within the frame. What a change
does to both bodies is mechanics: bodies cannot deform, momentum is kept, and torque need not be learned. Sweeps of one network
over its own answer let weight travel up and down a stack, as the sweeps of a contact solver do (Moreau's, Jean 1999).

Contacts after FIGNet (Allen et al. 2023, arXiv:2212.03574). There, and in a first form here, the network moves surface nodes and
the motion of each body is fitted to them; answers at contacts learned several times faster (results/LOG.md).

Trained on one step, on the error of the surface nodes, on every film in its eight positions under quarter turns and mirrors. Good
values: see `preset`; errors in results/LOG.md. Fails where boxes cross at their edges, and in stacks higher than sweeps reach.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import Frame, MisuseError, ModelCard, Script, Trajectory
from ..contracts.rotation import local_points
from . import _processes
from ._base import Run, Setting, Variant, configured, in_width, require_dim
from ._captured_rollout import InCalls
from ._contacts import Contacts, body_solids, find_contacts, known_pairs, obstacle_solids, pairs_by_place
from ._fixed_graph import Room
from ._meeting import Meeting, meet
from ._message_passing import Arriving, EncodeProcessDecode
from ._one_step import pseudo_huber
from ._rigid_motion import Bodies, bodies_of
from ._specialist import Specialist, SpecialistSettings, learn
from ._symmetry import with_images
from ._uniform import Table, Uniform

KIND = "specialist"
DOMAINS = ("rigid",)
# Core-milliseconds a step of size s, medians: 49, 52 and 57 at widths 16, 32 and 64, in turn on one torch thread of a busy machine.
VARIANTS: Mapping[str, Variant] = in_width(16, 32, "3.9 k", 1.07) | in_width(64, 32, "46 k", 0.91)

N_CONTACT, N_BODY, N_NOW = 13, 5, 16
"""Features of a contact by itself beside its three vectors, of a body, and of both as a sweep finds them."""


@dataclass(frozen=True)
class Settings(SpecialistSettings):
    """What a rigid_gnn is made of."""

    history: int = 0
    noise: float = 0.05
    spacing: float = 0.1
    """Distance of surface nodes from their bodies' centres [m]; training measures it."""
    dim: int = 3
    batch_size: int = 8
    sweeps: int = 6
    """Times that the network goes over its own answer."""
    reach: float = 0.1
    """Gap within which a contact is looked for [m]; training measures how far the fastest move in a frame."""
    margin: float = 0.1
    """Gap one frame ahead within which it is kept, as a share of the reach."""


def preset(size: str) -> Settings:
    """Settings by size: xs for CI, s for the track quick on two CPU cores, m and l for a GPU."""
    sizes = {"xs": (16, 1, 3), "s": (32, 1, 6), "m": (64, 2, 8), "l": (128, 2, 12)}
    if size not in sizes:
        raise MisuseError(f"rigid_gnn has no size {size!r}; one of xs, s, m, l is right")
    width, steps, sweeps = sizes[size]
    return Settings(width, steps, sweeps=sweeps)


class RigidGNN(InCalls[Bodies], Specialist[Bodies]):
    """The physics of a rigid_gnn: features and rigid motion around a network that knows neither."""

    fixed = True
    shift_std: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, settings)
        self.set = settings
        n_node = 2 + len(settings.parameters) + N_CONTACT + 9 + N_BODY + N_NOW
        size = settings.width, settings.message_passing_steps
        self.network = EncodeProcessDecode(n_node, 4 + 9, 4, *size, settings.precision)
        self.register_buffer("shift_std", torch.full((1,), settings.spacing / 10, dtype=torch.float64))
        self.noise_unit = 0.0

    # What it sees

    def own_features(self, state: Bodies, meeting: Meeting) -> Tensor:
        """What contacts (C) and then bodies (P) know by themselves, (C + P, F)."""
        scene, contact = state.scene, self.contact_features(state, meeting)
        home = scene.body_scene
        step = scene.frame_interval / self.displacement_std.float()
        mass = state.mass.log()
        usual = _mean_by_group(mass, home, scene.n_scenes)
        body = [
            state.twist[:, 3:] * self.set.spacing * step,
            (mass - usual[home]).unsqueeze(-1),
            _count(meeting, len(home)).sqrt().unsqueeze(-1),
        ]
        flag = torch.eye(2, device=mass.device)
        kind = torch.cat([flag[:1].expand(len(contact), 2), flag[1:].expand(len(home), 2)])
        material = self.material(scene)[torch.cat([home[meeting.contacts.body], home])]
        return torch.cat([kind, material, _apart(contact, torch.cat(body, -1))], dim=-1)

    def contact_features(self, state: Bodies, meeting: Meeting) -> Tensor:
        """What a contact knows by itself, (C, N_CONTACT + 9)."""
        contacts, scene = meeting.contacts, state.scene
        home = scene.body_scene[contacts.body]
        step, reach = scene.frame_interval / self.displacement_std.float(), self.set.reach
        hits = (meeting.ahead < 0).to(contacts.gap.dtype)
        approach = hits * (meeting.rate * step).clamp(max=0)
        number = _count(meeting, len(state.pose))
        share = [meeting.effective_mass[:, k] * meeting.ends[0].lightness[:, 0] for k in (0, 1)]
        columns = [
            contacts.gap / reach,
            meeting.ahead / reach,
            hits,
            meeting.rate * step,
            approach,
            self.parameter(scene, "restitution")[home] * approach,
            self.parameter(scene, "friction")[home] * approach,
            meeting.slip * step,
            *share,
            meeting.ends[1].there[:, 0],
            *(number[end.body].sqrt() * end.there[:, 0] for end in meeting.ends),
        ]
        return torch.cat(
            [torch.stack(columns, -1), meeting.ways.flatten(1), meeting.ends[0].arm / self.set.spacing], -1
        )

    def edges(self, meeting: Meeting, every: bool = False) -> tuple[Tensor, Tensor]:
        """Edges between contacts (C) and bodies (numbered after them), (2, E), and what is known along them.

        A contact with what is fixed has none on that side; if `every` one that leads to any body, so that shapes do not change.
        """
        n_contacts = len(meeting.contacts.gap)
        index, along = [], []
        for side, end in enumerate(meeting.ends):
            row = (
                torch.arange(n_contacts, device=end.body.device) if every else torch.nonzero(end.there[:, 0]).flatten()
            )
            arm, normal = end.arm[row] / self.set.spacing, (1 - 2 * side) * meeting.contacts.normal[row]
            pair = torch.stack([row, n_contacts + end.body[row]])
            for way, ends in enumerate((pair, pair.flip(0))):
                flag = torch.eye(4, device=arm.device)[2 * side + way].expand(len(row), 4)
                index.append(ends)
                along.append(torch.cat([flag, arm, normal, torch.linalg.cross(arm, normal)], -1))
        return torch.cat(index, 1), torch.cat(along)

    def now(self, state: Bodies, meeting: Meeting, shift: Tensor, kick: Tensor, told: Tensor) -> Tensor:
        """What a sweep finds: what is left of contacts after the answers `told` (C, 4), what bodies have got, (C + P, N_NOW)."""
        dt, move, unit = state.scene.frame_interval, self.shift_std.float(), self.acceleration_std.float()
        moved, sped = meeting.seen(shift), meeting.seen(kick)
        rate = torch.asinh((meeting.rate * dt + sped[:, 0]) / unit)
        slip = torch.asinh((meeting.slip * dt + sped[:, 1]) / unit)
        ahead = (meeting.ahead + moved[:, 0]) / move
        near = torch.asinh(ahead)
        columns = [rate, rate.clamp(max=0), slip, near, near.clamp(max=0), torch.asinh(ahead / 10)]
        contact = torch.cat([torch.stack(columns, -1), told], -1)
        body = torch.cat([kick[:, :3], kick[:, 3:] * self.set.spacing], -1) / unit
        return _apart(contact, body)

    def predict(self, state: Bodies, script: Script) -> tuple[Tensor, Tensor]:
        """What contacts add to free flight: shift and turn (P, 6) [m, rad], change of twist (P, 6) [m and rad per frame]."""
        meeting = meet(state, self.near(state, script), self.set.margin * self.set.reach)
        fixed = state.room is not None
        own, (index, along) = self.own_features(state, meeting), self.edges(meeting, fixed)
        n_contacts, n_bodies = len(meeting.ahead), len(state.pose)
        arriving = _at_ends(meeting, index, n_contacts + n_bodies) if fixed else None
        told = own.new_zeros((n_contacts, 4))
        shift = kick = own.new_zeros((n_bodies, 6))
        for _ in range(self.set.sweeps):
            seen = torch.cat([own, self.now(state, meeting, shift, kick, told)], -1)
            told = told + self.network(seen, along, index, arriving)[:n_contacts]
            shift = meeting.answered(told[:, :2] * self.shift_std.float(), n_bodies)
            kick = meeting.answered(told[:, 2:] * self.acceleration_std.float(), n_bodies)
        return shift, kick

    def near(self, state: Bodies, script: Script) -> Contacts:
        """What touches or soon may."""
        return find_contacts(state.scene, state.pose, script, self.set.reach, state.known, state.room)

    # How it moves

    def encode(self, past: Trajectory) -> Bodies:
        """The last pose and twist of every body."""
        require_dim(self.card.name, 3, past.scene.dim)
        state, scene = bodies_of(past), past.scene
        known = known_pairs(body_solids(scene, state.pose), obstacle_solids(scene, scene.script))
        return dataclasses.replace(state, known=known)

    def bundle_ahead(self, state: Bodies, seen: Script, ahead: Script) -> tuple[Bodies, list[Frame]]:
        """The state one frame on, and that frame."""
        later = self.advance(state, ahead)
        return later, [self.decode(later)]

    def advance(self, state: Bodies, script: Script) -> Bodies:
        """Free flight, and what contact adds, as a rigid motion."""
        shift, kick = self.predict(state, script)
        return state.flown().pushed(shift, kick / state.scene.frame_interval)

    def decode(self, state: Bodies) -> Frame:
        """Poses, twists, and the nodes that the bodies carry."""
        return state.frame()

    # How it learns

    @property
    def window(self) -> int:
        """Frames of a training window: one, and the frame to be predicted."""
        return 2

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of what contacts add, as shift and change of velocity of the surface nodes."""
        return pseudo_huber(self.error(window, self.noisy(bodies_of(window, 0), generator)), self.set.sharpness)

    def loss_in_room(
        self, window: Trajectory, held: Mapping[str, Tensor], room: Room, generator: torch.Generator
    ) -> Tensor:
        """See `Shaped`."""
        scene, pose = window.scene, window.pose
        assert pose is not None
        assert window.twist is not None
        local = local_points(window.position[0], pose[0], scene.body_id)
        solids = body_solids(scene, pose[0]), obstacle_solids(scene, scene.script)
        known = pairs_by_place(*solids, scene.n_scenes)
        state = Bodies(scene, local, pose[0], window.twist[0], **held, known=known, room=room)
        return pseudo_huber(self.error(window, self.noisy(state, generator)), self.set.sharpness, scene.free)

    def constants(self, films: Uniform) -> dict[str, Table]:
        """What resists their motion. Bodies that fill up weigh as much as is usual in their scene, so as not to change that."""
        first = bodies_of(films.film, 0)
        usual = _mean_by_group(first.mass.log(), films.scene.body_scene, films.scene.n_scenes).exp().unsqueeze(-1)
        eye = torch.eye(3, device=usual.device)
        rows = {
            "mass": (first.mass, usual),
            "inertia": (first.inertia, eye),
            "inverse_inertia": (first.inverse_inertia, eye),
        }
        return {name: Table(films.filled(x, "body", filling)) for name, (x, filling) in rows.items()}

    def error(self, window: Trajectory, state: Bodies) -> Tensor:
        """Of what contacts add, as shift and change of velocity of the surface nodes, in units of their spreads, (N, 6)."""
        scene = window.scene
        answers, spreads = self.predict(state, scene.script), (self.shift_std.float(), self.acceleration_std.float())
        arm = state.flown().nodes()[0] - state.flown().pose[scene.body_id, :3]
        errors = []
        for answer, true, spread in zip(answers, self.target(state, window), spreads, strict=True):
            rows = answer[scene.body_id]
            got = rows[:, :3] + torch.linalg.cross(rows[:, 3:], arm)
            errors.append((got - true) / spread)
        return torch.cat(errors, -1)

    def target(self, state: Bodies, window: Trajectory) -> tuple[Tensor, Tensor]:
        """What a step from this state must add to free flight: shift [m] and change of velocity [m per frame] of the nodes."""
        position, velocity = state.flown().nodes()
        return window.position[1] - position, (window.velocity[1] - velocity) * window.scene.frame_interval

    def noisy(self, state: Bodies, generator: torch.Generator) -> Bodies:
        """The state with noise on its twists, of a share of the spread of what contacts do."""
        std = self.set.noise * self.noise_unit / state.scene.frame_interval
        draw = _processes.normal(state.twist, 0, generator)
        draw[:, 3:] /= self.set.spacing
        return dataclasses.replace(state, twist=state.twist + std * draw)

    def measure(self, film: Trajectory) -> None:
        """Set all normalisers, float64, from a training set."""
        squares = torch.zeros(3, dtype=torch.float64)
        for t in range(film.n_frames - 1):
            rows = *self.target(bodies_of(film, t), film.frames(t, t + 2)), film.velocity[t] * film.scene.frame_interval
            squares += torch.stack([x.to(torch.float64).square().mean().cpu() for x in rows])
        root = (squares / (film.n_frames - 1)).sqrt().clamp(min=1e-6)
        for name, value in zip(("shift_std", "acceleration_std", "displacement_std"), root, strict=True):
            getattr(self, name).fill_(value)
        self.noise_unit = float(self.acceleration_std)
        self.measure_material(film.scene)


def _apart(contact: Tensor, body: Tensor) -> Tensor:
    """Features of contacts (C, F) and of bodies (P, G) in columns of their own, (C + P, F + G)."""
    pad = torch.nn.functional.pad
    return torch.cat([pad(contact, (0, body.shape[1])), pad(body, (contact.shape[1], 0))])


def _at_ends(meeting: Meeting, index: Tensor, n_nodes: int) -> Arriving:
    """Sums of edges at contacts and bodies without those that lead to what is fixed."""
    there = torch.cat([end.there for end in meeting.ends for _ in range(2)])
    return lambda e: e.new_zeros((n_nodes, e.shape[1])).index_add(0, index[1], e * there)


def _mean_by_group(values: Tensor, group: Tensor, n: int) -> Tensor:
    total = values.new_zeros(n).index_add_(0, group, values)
    return total / values.new_zeros(n).index_add_(0, group, torch.ones_like(values)).clamp(min=1)


def _count(meeting: Meeting, n_bodies: int) -> Tensor:
    """Number of contacts that hit each body, (P,)."""
    hits = (meeting.ahead < 0).to(meeting.ahead.dtype)
    total = hits.new_zeros(n_bodies)
    for end in meeting.ends:
        total = total.index_add(0, end.body, hits * end.there[:, 0])
    return total


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
        "next-step motion beyond free flight, pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network in sweeps over contacts",
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
    film = with_images(run.data.train)
    run = run.with_train(film)
    known: dict[str, Any] = {
        "spacing": body_size(film),
        "reach": fastest_step(film),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(film.scene.parameters)),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    learn(model, run, film)
    return model
