"""The motion of rigid bodies and of the nodes on them: free flight, and the rigid part of any motion of their nodes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, MisuseError, Scene, Script, Trajectory
from ..contracts.bodies import mass_properties
from ..contracts.rotation import carried, exponential, fitted_pose, local_points, multiply, rotate
from ._contacts import Known
from ._features import History
from ._fixed_graph import Room


@dataclass(frozen=True)
class Bodies:
    """The state of a model of rigid bodies: a scene, the bodies' motion, and where their nodes sit on them."""

    scene: Scene
    local: Tensor
    """Nodes in the frames of their bodies [m], (N, 3)."""
    pose: Tensor
    """(P, 7)."""
    twist: Tensor
    """(P, 6)."""
    mass: Tensor
    """Of the bodies [kg], (P,)."""
    inertia: Tensor
    """About the centres, in the bodies' axes [kg m²], (P, 3, 3)."""
    inverse_inertia: Tensor
    """Of these [1/(kg m²)], (P, 3, 3)."""
    known: Known | None = None
    """Pairs of the scene's solids that may touch, where they were looked up once for all frames."""
    room: Room | None = None
    """Where contacts are to have fixed shapes: how many there may be."""

    def moving(self) -> tuple[Tensor, ...]:
        """What a step changes."""
        return self.pose, self.twist

    def nodes(self) -> tuple[Tensor, Tensor]:
        """Positions [m] and velocities [m/s] of the nodes, (N, 3) each."""
        return carried(self.local, self.pose, self.twist, self.scene.body_id)

    def frame(self) -> Frame:
        """All fields of the film."""
        position, velocity = self.nodes()
        return Frame(position, velocity, self.pose, self.twist)

    def flown(self) -> Bodies:
        """One frame later in free flight: constant gravity, and the same turn about the centre (exact for balls and cubes)."""
        dt = self.scene.frame_interval
        fall = self.scene.gravity[self.scene.body_scene] * dt
        velocity, spin = self.twist[:, :3], self.twist[:, 3:]
        centre = self.pose[:, :3] + dt * (velocity + fall / 2)
        turn = multiply(exponential(spin * dt), self.pose[:, 3:])
        twist = torch.cat([velocity + fall, spin], dim=-1)
        return dataclasses.replace(self, pose=torch.cat([centre, turn], dim=-1), twist=twist)

    def pushed(self, shift: Tensor, kick: Tensor) -> Bodies:
        """These bodies moved by shifts and turns (P, 6) [m, rad] and sped up by changes of their twists (P, 6)."""
        turn = multiply(exponential(shift[:, 3:]), self.pose[:, 3:])
        turn = turn / torch.linalg.vector_norm(turn, dim=-1, keepdim=True)
        pose = torch.cat([self.pose[:, :3] + shift[:, :3], turn], dim=-1)
        return dataclasses.replace(self, pose=pose, twist=self.twist + kick)


@dataclass(frozen=True)
class RigidHistory(History):
    """A history of positions whose every new frame is brought back to rigid bodies."""

    local: Tensor
    """Nodes in the frames of their bodies [m], (N, 3)."""

    def accelerated(self, acceleration: Tensor, script: Script) -> RigidHistory:
        """As for free nodes, and then the nearest rigid motion."""
        free, body_id = super().accelerated(acceleration, script), self.scene.body_id
        pose = fitted_pose(self.local, free.position[-1], self.scene.mass, body_id)
        placed = pose[body_id, :3] + rotate(pose[body_id, 3:], self.local)
        return dataclasses.replace(self, position=torch.cat([free.position[:-1], placed.unsqueeze(0)]))

    def frame(self) -> Frame:
        """The poses, and the rigid motion nearest to the second-order backward differences of the nodes."""
        scene, frame = self.scene, super().frame()
        pose = fitted_pose(self.local, frame.position, scene.mass, scene.body_id)
        arm = frame.position - pose[scene.body_id, :3]
        twist = fitted_twist(frame.velocity, arm, scene.mass, scene.body_id)
        velocity = twist[scene.body_id, :3] + torch.linalg.cross(twist[scene.body_id, 3:], arm)
        return Frame(frame.position, velocity, pose, twist)


def history_of(past: Trajectory, frames: int) -> History:
    """The last positions of a film, as rigid bodies where it is of such."""
    position = past.position[-frames:]
    if past.pose is None:
        return History(past.scene, position)
    return RigidHistory(past.scene, position, bodies_of(past).local)


def bodies_of(film: Trajectory, frame: int = -1) -> Bodies:
    """The bodies at one frame of a film; raises MisuseError for a film with a node without a body, or without poses."""
    pose, twist, scene = film.pose, film.twist, film.scene
    if pose is None or twist is None:
        raise MisuseError("the film has no poses; a film of rigid bodies is right")
    if bool((scene.body_id < 0).any()):
        raise MisuseError(
            f"node {int(scene.body_id.argmin())} belongs to no body; every node of rigid bodies needs one"
        )
    local = local_points(film.position[frame], pose[frame], scene.body_id)
    mass, inertia = mass_properties(scene)
    inertia = inertia.to(pose.dtype)
    inverse = torch.linalg.inv_ex(inertia)[0]
    return Bodies(scene, local, pose[frame], twist[frame], mass.to(pose.dtype), inertia, inverse)


def fitted_twist(velocity: Tensor, arm: Tensor, mass: Tensor, body_id: Tensor) -> Tensor:
    """The twists (P, 6) about the bodies' origins whose velocities are nearest to those of the nodes (N, 3), weighed by mass.

        min Σ m |v + ω × r - u|²: the rigid motion with the nodes' own momentum and angular momentum

    arm (N, 3) [m] leads from the body's origin to the node. Differentiable in the velocity.
    """
    n = int(body_id.max()) + 1
    weight = mass.unsqueeze(-1)

    def total(rows: Tensor) -> Tensor:
        return rows.new_zeros((n, rows.shape[-1])).index_add(0, body_id, rows * weight)

    share = weight.new_zeros((n, 1)).index_add(0, body_id, weight)
    centre, drift = total(arm) / share, total(velocity) / share
    arm = arm - centre[body_id]
    momentum = total(torch.linalg.cross(arm, velocity - drift[body_id]))
    spin = (turning_inverse(arm, weight, share, body_id) @ momentum.unsqueeze(-1)).squeeze(-1)
    return torch.cat([drift - torch.linalg.cross(spin, centre), spin], dim=-1)


def turning_inverse(arm: Tensor, weight: Tensor, share: Tensor, body_id: Tensor) -> Tensor:
    """Inverse moments of inertia (P, 3, 3) of the nodes about their centres; an axis without inertia is kept from turning."""
    square = arm.square().sum(-1, keepdim=True)
    outer = -(arm.unsqueeze(-1) * arm.unsqueeze(-2)).flatten(-2)
    eye = torch.eye(3, dtype=arm.dtype, device=arm.device)
    rows = weight * (outer + square * eye.flatten())
    inertia = rows.new_zeros((len(share), 9)).index_add(0, body_id, rows).reshape(-1, 3, 3)
    size = inertia.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    inverse: Tensor = torch.linalg.inv_ex(inertia + (1e-4 * size + torch.finfo(arm.dtype).tiny) * eye)[0]
    return inverse
