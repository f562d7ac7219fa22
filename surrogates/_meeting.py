"""What pushes at contacts do to rigid bodies, by Newton's and Euler's laws: the mechanics between a contact and its bodies.

At each contact two pushes are possible, along its normal and against its slip. A push is told by what it changes: a change of
the rate at which the gap opens, or of the slip, by u [m/s] takes the impulse m u with the effective mass m, 1/m = n·(K_a + K_b) n,
K the point's mobility on each body; body and partner take it with opposite signs. So momentum and angular momentum are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts.bodies import rotation_matrix
from ._contacts import Contacts
from ._rigid_motion import Bodies

SLOW = 1e-3
"""Slip [m/s] around which its direction fades out: that of a resting contact is noise."""


@dataclass(frozen=True)
class End:
    """One of the two sides of contacts."""

    body: Tensor
    """Any for what is fixed, (C,)."""
    there: Tensor
    """One for bodies, zero for what is fixed, (C, 1)."""
    arm: Tensor
    """From the body's centre to the contact [m], (C, 3)."""
    lightness: Tensor
    """Inverse mass [1/kg], (C, 1)."""
    agility: Tensor
    """Inverse inertia in the world's axes [1/(kg m²)], (C, 3, 3)."""

    def velocity(self, twist: Tensor) -> Tensor:
        """Velocity (C, 3) at the contact for twists (P, 6) of the bodies, zero for what is fixed."""
        rows = twist[self.body] * self.there
        velocity: Tensor = rows[:, :3] + torch.linalg.cross(rows[:, 3:], self.arm)
        return velocity

    def reply(self, way: Tensor) -> Tensor:
        """Twists (C, 6) that a unit impulse along `way` (C, 3) gives."""
        spin = self.agility @ torch.linalg.cross(self.arm, way).unsqueeze(-1)
        return torch.cat([way * self.lightness, spin.squeeze(-1)], dim=-1)

    def mobility(self, way: Tensor) -> Tensor:
        """Velocity along `way` (C, 3) at the contact for a unit impulse along it [1/kg], (C, 1)."""
        reply = self.reply(way)
        moved = reply[:, :3] + torch.linalg.cross(reply[:, 3:], self.arm)
        along: Tensor = (moved * way).sum(-1, keepdim=True)
        return along


@dataclass(frozen=True)
class Meeting:
    """Contacts and their mechanics; two pushes each, along the normal and along the slip."""

    contacts: Contacts
    ends: tuple[End, End]
    ahead: Tensor
    """Gap one frame ahead in free flight [m], (C,)."""
    rate: Tensor
    """Speed at which the gap opens after a frame of gravity [m/s], (C,)."""
    slip: Tensor
    """Speed along the contact's plane then [m/s], (C,)."""
    ways: Tensor
    """Unit normal and direction of the slip, the latter fading out with it, (C, 2, 3)."""
    effective_mass: Tensor
    """[kg], (C, 2)."""
    replies: tuple[Tensor, Tensor]
    """Twists (C, 2, 6) of body and partner for a change by 1 m/s."""

    def seen(self, twist: Tensor) -> Tensor:
        """What twists (P, 6) of the bodies change of rate and slip, (C, 2)."""
        against = self.ends[0].velocity(twist) - self.ends[1].velocity(twist)
        change: Tensor = (self.ways * against.unsqueeze(1)).sum(-1)
        return change

    def answered(self, change: Tensor, n_bodies: int) -> Tensor:
        """What changes (C, 2) of rate and slip add up to for the bodies, (P, 6)."""
        total = change.new_zeros((n_bodies, 6))
        for end, reply in zip(self.ends, self.replies, strict=True):
            total = total.index_add(0, end.body, (change.unsqueeze(-1) * reply).sum(1) * end.there)
        return total


def meet(state: Bodies, contacts: Contacts, margin: float) -> Meeting:
    """The mechanics of those contacts whose gap would be less than `margin` [m] one frame ahead in free flight; in a room the
    rows of the others are emptied."""
    dt = state.scene.frame_interval
    fallen = state.flown().twist
    ends, rate, _ = _relative(state, contacts, fallen)
    close = contacts.gap + rate * dt < margin
    contacts = contacts.rows(close) if state.room is None else contacts.only(close)
    ends, rate, slip = _relative(state, contacts, fallen)
    speed = torch.linalg.vector_norm(slip, dim=-1)
    along = slip / speed.unsqueeze(-1).clamp(min=torch.finfo(slip.dtype).tiny)
    fade = (speed / (speed + SLOW)).unsqueeze(-1)
    mobility = torch.cat([sum_of(end.mobility(way) for end in ends) for way in (contacts.normal, along)], dim=-1)
    mass = torch.where(mobility > 0, 1 / mobility.clamp(min=torch.finfo(slip.dtype).tiny), 0.0)
    ways = torch.stack([contacts.normal, along * fade], 1)
    replies = [torch.stack([end.reply(ways[:, k]) * mass[:, k : k + 1] for k in (0, 1)], 1) for end in ends]
    return Meeting(contacts, ends, contacts.gap + rate * dt, rate, speed, ways, mass, (replies[0], -replies[1]))


def sum_of(parts: Iterable[Tensor]) -> Tensor:
    """Sum of some tensors."""
    return torch.stack(list(parts)).sum(0)


def _relative(state: Bodies, contacts: Contacts, twist: Tensor) -> tuple[tuple[End, End], Tensor, Tensor]:
    """Both ends of contacts, the rate at which the gaps open [m/s] (C,) and the slip (C, 3) for twists (P, 6)."""
    turn = rotation_matrix(state.pose[:, 3:])
    agility = turn @ state.inverse_inertia @ turn.transpose(-1, -2)

    def end(body: Tensor) -> End:
        there = (body >= 0).to(contacts.gap.dtype).unsqueeze(-1)
        k = body.clamp(min=0)
        arm = (contacts.point - state.pose[k, :3]) * there
        return End(k, there, arm, there / state.mass[k].unsqueeze(-1), agility[k] * there.unsqueeze(-1))

    ends = end(contacts.body), end(contacts.partner)
    against = ends[0].velocity(twist) - ends[1].velocity(twist) - contacts.velocity
    rate = (against * contacts.normal).sum(-1)
    return ends, rate, against - rate.unsqueeze(-1) * contacts.normal
