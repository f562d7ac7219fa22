"""Constant velocity: everything moves on as it was last seen to move.

x(t + Δt) = x(t) + v Δt with the observed velocity v [m/s] of the last frame; rigid bodies also keep turning about their
centres, q(t + Δt) = exp(ω Δt / 2) q(t) with the angular velocity ω [rad/s] in the world frame. Driven nodes follow the script.

Exact for uniform motion; falls short by g t²/2 in free fall and flies through walls. The least that a model of motion must beat.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..contracts import Frame, ModelCard, Scene, Script, Trajectory
from ..contracts.model import place_driven
from ..contracts.rotation import exponential, multiply, rotate
from ._base import FrameState, FrameSurrogate, NoSettings, Setting, as_settings, configured

KIND = "baseline"
DOMAINS = ("*",)


class ConstantVelocity(FrameSurrogate):
    """Uniform motion with the last observed velocities."""

    def encode(self, past: Trajectory) -> FrameState:
        """The last observed frame."""
        return FrameState(past.scene, past.frame(-1))

    def advance(self, state: FrameState, script: Script) -> FrameState:
        """x + v Δt for nodes; bodies translate and turn, and carry their nodes with them."""
        scene, frame = state.scene, state.frame
        moved = dataclasses.replace(frame, position=frame.position + scene.frame_interval * frame.velocity)
        if frame.pose is not None and frame.twist is not None:
            moved = _turn_bodies(scene, frame, frame.pose, frame.twist)
        return FrameState(scene, place_driven(moved, scene, script))


def _turn_bodies(scene: Scene, frame: Frame, pose: Tensor, twist: Tensor) -> Frame:
    """Move bodies (P, 7) by their twists (P, 6) for one frame, and the nodes that belong to them."""
    dt = scene.frame_interval
    centre, spin = pose[:, :3] + dt * twist[:, :3], twist[:, 3:]
    turn = exponential(spin * dt)
    on_body = (scene.body_id >= 0).unsqueeze(-1)
    body = scene.body_id.clamp(min=0)
    arm = rotate(turn[body], frame.position - pose[body, :3])
    position = torch.where(on_body, centre[body] + arm, frame.position + dt * frame.velocity)
    speed = twist[body, :3] + torch.linalg.cross(spin[body], arm)
    velocity = torch.where(on_body, speed, frame.velocity)
    return Frame(position, velocity, torch.cat([centre, multiply(turn, pose[:, 3:])], dim=-1), twist)


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> ConstantVelocity:
    """The baseline; it has no sizes and draws nothing."""
    card = ModelCard("constant_velocity", KIND, "none", "none", "uniform motion", DOMAINS)
    return ConstantVelocity(card, domain, as_settings(configured(NoSettings(), settings)))
