"""rigid_gnn: contacts are found where they are, mechanics keeps momentum, bodies keep their shape, and it learns to bounce."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import BodyShape, MisuseError, Obstacle, Trajectory, Wall, single_scene, stack, track
from hedgefox.contracts.rotation import carried, exponential, local_points
from hedgefox.surrogates import _store
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._contacts import FIXED, Contacts, find_contacts
from hedgefox.surrogates._meeting import meet
from hedgefox.surrogates._rigid_motion import Bodies, bodies_of, fitted_twist
from hedgefox.surrogates._training import Judge, Plan
from hedgefox.surrogates.rigid_gnn import RigidGNN
from hedgefox.surrogates.rigid_gnn import build as build_rigid_gnn
from torch import Tensor

from . import solids

BALL, BOX, CAPSULE = BodyShape.BALL, BodyShape.BOX, BodyShape.CAPSULE
UPRIGHT = [0.0, 0.0, 0.0, 1.0]


def at_rest(
    bodies: list[tuple[BodyShape, list[float], list[float]]], pusher: list[float] | None = None, frames: int = 30
) -> Trajectory:
    """One frame of bodies (kind, size, pose) that stand still over a floor at z = 0."""
    kind = torch.tensor([int(b[0]) for b in bodies])
    pose = torch.tensor([b[2] for b in bodies])
    corner = solids.CORNERS * torch.tensor([b[1][0] / 2 for b in bodies]).repeat_interleave(8)[:, None].reshape(
        -1, 8, 1
    )
    body_id = torch.arange(len(bodies)).repeat_interleave(8)
    position, _ = carried(corner.reshape(-1, 3), pose, torch.zeros_like(pose[:, :6]), body_id)
    has = pusher is not None
    scene = single_scene(
        domain="rigid",
        frame_interval=0.02,
        rest_position=position,
        mass=0.125,
        bounds=torch.tensor([[-5.0, -5.0, 0.0], [5.0, 5.0, 5.0]]),
        wall=torch.tensor([[int(Wall.OPEN)] * 2, [int(Wall.OPEN)] * 2, [int(Wall.NO_SLIP), int(Wall.OPEN)]]),
        gravity=[0.0, 0.0, -9.81],
        body_id=body_id,
        shape_kind=kind,
        shape_size=torch.tensor([b[1] for b in bodies]),
        shape_pose=torch.tensor([[0.0, 0.0, 0.0, *UPRIGHT]]).expand(len(bodies), -1),
        shape_body=torch.arange(len(bodies)),
        obstacle_kind=torch.tensor([int(Obstacle.BOX)]) if has else None,
        obstacle_size=torch.full((1, 3), 0.1) if has else None,
        obstacle_position=torch.tensor([pusher]) if has else None,
        n_frames=frames,
    )
    still = torch.zeros((1, len(bodies), 6))
    return Trajectory(scene, position.unsqueeze(0), torch.zeros_like(position).unsqueeze(0), pose.unsqueeze(0), still)


def contacts_of(film: Trajectory, reach: float = 0.05) -> Contacts:
    assert film.pose is not None
    return find_contacts(film.scene, film.pose[-1], film.scene.script, reach)


# Contacts


def test_a_ball_over_the_floor_touches_at_its_lowest_point() -> None:
    found = contacts_of(at_rest([(BALL, [0.2, 0, 0], [1.0, 2, 0.23, *UPRIGHT])]))
    assert found.body.tolist() == [0]
    assert found.partner.tolist() == [FIXED]
    torch.testing.assert_close(found.gap, torch.tensor([0.03]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.normal, torch.tensor([[0.0, 0, 1]]))
    torch.testing.assert_close(found.point, torch.tensor([[1.0, 2, 0.03]]))


def test_two_balls_meet_once_and_push_apart() -> None:
    found = contacts_of(
        at_rest([(BALL, [0.2, 0, 0], [0.0, 0, 2, *UPRIGHT]), (BALL, [0.1, 0, 0], [0.32, 0, 2, *UPRIGHT])])
    )
    assert (found.body.tolist(), found.partner.tolist()) == ([0], [1])
    torch.testing.assert_close(found.gap, torch.tensor([0.02]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.normal, torch.tensor([[-1.0, 0, 0]]))


def test_a_box_on_a_box_stands_on_the_corners_of_their_overlap() -> None:
    """Half the upper box hangs over, and it has sunk in a little: no corner is pushed out sideways."""
    film = at_rest(
        [(BOX, [0.2, 0.2, 0.1], [0.0, 0, 1, *UPRIGHT]), (BOX, [0.2, 0.2, 0.1], [0.2, 0.05, 1.199, *UPRIGHT])]
    )
    found = contacts_of(film)
    torch.testing.assert_close(found.gap, torch.full((8,), -0.001), atol=1e-6, rtol=0)
    up = torch.tensor([0.0, 0, 1])
    torch.testing.assert_close(
        found.normal, torch.where(found.body == 1, 1.0, -1.0).unsqueeze(-1) * up, atol=1e-6, rtol=0
    )
    corners = {(round(float(p[0]), 3), round(float(p[1]), 3)) for p in found.point}
    assert corners == {(0.0, -0.15), (0.0, 0.2), (0.2, -0.15), (0.2, 0.2)}


def test_a_corner_that_falls_on_a_face_is_seen_and_one_beside_it_is_not() -> None:
    tip = exponential(torch.tensor([0.7, 0.5, 0.0])).tolist()
    floor_box = (BOX, [0.5, 0.5, 0.1], [0.0, 0, 1, *UPRIGHT])
    small = at_rest([floor_box, (BOX, [0.1, 0.1, 0.1], [0.1, 0, 1.28, *tip])])
    found = contacts_of(small)
    assert 1 in found.body.tolist()
    assert (found.normal[found.body == 1][:, 2] > 0.99).all()
    beside = at_rest([floor_box, (BOX, [0.1, 0.1, 0.1], [1.0, 0, 1.28, *tip])])
    assert contacts_of(beside).gap.numel() == 0


def test_capsules_and_balls_meet_boxes_and_obstacles() -> None:
    film = at_rest(
        [(CAPSULE, [0.1, 0.2, 0], [0.0, 0, 1.0, *UPRIGHT]), (BOX, [0.3, 0.3, 0.1], [0.0, 0, 0.59, *UPRIGHT])],
        pusher=[0.22, 0.0, 1.2],
    )
    found = contacts_of(film)
    onto_box = found.rows(found.partner == 1)
    torch.testing.assert_close(onto_box.gap.amin(), torch.tensor(0.01), atol=1e-6, rtol=0)
    at_pusher = found.rows((found.partner == FIXED) & (found.body == 0))
    torch.testing.assert_close(at_pusher.gap.amin(), torch.tensor(0.02), atol=1e-6, rtol=0)
    torch.testing.assert_close(at_pusher.normal[at_pusher.gap.argmin()], torch.tensor([-1.0, 0, 0]))


def test_scenes_do_not_meet() -> None:
    one = at_rest([(BALL, [0.2, 0, 0], [0.0, 0, 2, *UPRIGHT])])
    both = stack([one, at_rest([(BALL, [0.2, 0, 0], [0.1, 0, 2, *UPRIGHT])])])
    assert contacts_of(both).gap.numel() == 0


# Mechanics


def tumbling() -> tuple[Bodies, Contacts]:
    """Boxes and a ball in motion, near one another and the floor."""
    film = at_rest(
        [
            (BOX, [0.2, 0.1, 0.15], [0.0, 0, 0.16, *UPRIGHT]),
            (BALL, [0.1, 0, 0], [0.05, 0, 0.42, *UPRIGHT]),
            (CAPSULE, [0.08, 0.1, 0], [0.3, 0.02, 0.2, *UPRIGHT]),
        ]
    )
    twist = torch.randn((1, 3, 6), generator=torch.Generator().manual_seed(0))
    state = bodies_of(dataclasses.replace(film, twist=twist))
    return state, find_contacts(film.scene, state.pose, film.scene.script, 0.1)


def test_pushes_between_bodies_keep_momentum_and_angular_momentum() -> None:
    state, contacts = tumbling()
    contacts = contacts.rows(contacts.partner >= 0)
    meeting = meet(state, contacts, margin=1.0)
    assert len(meeting.ahead) >= 2
    change = torch.randn((len(meeting.ahead), 2), generator=torch.Generator().manual_seed(1))
    given = meeting.answered(change, 3)
    momentum = state.mass.unsqueeze(-1) * given[:, :3]
    torch.testing.assert_close(momentum.sum(0), torch.zeros(3), atol=1e-5, rtol=0)
    inertia = state.inertia  # all stand upright
    spin = (inertia @ given[:, 3:].unsqueeze(-1)).squeeze(-1) + torch.linalg.cross(state.pose[:, :3], momentum)
    torch.testing.assert_close(spin.sum(0), torch.zeros(3), atol=1e-5, rtol=0)
    assert momentum.abs().max() > 0.01


def test_a_push_changes_what_it_says() -> None:
    """The answer at one contact alone changes its own rate, or slip, by just as much."""
    state, contacts = tumbling()
    meeting = meet(state, contacts, margin=1.0)
    for c in range(len(meeting.ahead)):
        for k in (0, 1):
            change = torch.zeros((len(meeting.ahead), 2))
            change[c, k] = 1.0
            seen = meeting.seen(meeting.answered(change, 3))[c, k]
            torch.testing.assert_close(seen, meeting.ways[c, k].norm() ** 2, atol=2e-4, rtol=0)


def test_a_fitted_twist_keeps_the_momenta_of_the_nodes() -> None:
    rng = torch.Generator().manual_seed(3)
    velocity, arm = torch.randn((12, 3), generator=rng), torch.randn((12, 3), generator=rng)
    mass, body_id = torch.rand(12, generator=rng) + 0.1, torch.arange(2).repeat_interleave(6)
    twist = fitted_twist(velocity, arm, mass, body_id)
    held = twist[body_id, :3] + torch.linalg.cross(twist[body_id, 3:], arm)
    for b in range(2):
        on = body_id == b
        lost = mass[on, None] * (velocity - held)[on]
        torch.testing.assert_close(lost.sum(0), torch.zeros(3), atol=1e-5, rtol=0)
        turned = torch.linalg.cross(arm[on], lost).sum(0)
        torch.testing.assert_close(turned, torch.zeros(3), atol=2e-3, rtol=0)


# The model


def awake(**settings: Any) -> RigidGNN:
    """A network whose untrained answer is large enough to notice."""
    return build_rigid_gnn("rigid", size="xs", seed=1, **settings).eval()


def test_free_flight_is_exact() -> None:
    """Nothing in reach: the network has nothing to add, whatever its weights."""
    film = solids.film(2, 30)
    got = awake().rollout(film.frames(0, 1), 29)
    on_high = film.scene.body_id % 2 == 1
    on_high[film.scene.node_scene == 1] = film.scene.body_id[film.scene.node_scene == 1] > 2
    torch.testing.assert_close(got.position[:, on_high], film.position[1:, on_high], atol=2e-4, rtol=0)
    torch.testing.assert_close(got.velocity[:, on_high], film.velocity[1:, on_high], atol=2e-3, rtol=0)


def test_bodies_keep_their_shape_and_their_nodes_their_pose() -> None:
    film = solids.film(3, 5, extra_script=70)
    got = awake().rollout(film, 60)
    assert got.pose is not None
    assert (got.position[-1] - film.position[-1]).norm(dim=-1).amin() > 0.01
    was = local_points(film.position[0], film.pose[0], film.scene.body_id) if film.pose is not None else None
    now = local_points(got.position, got.pose, film.scene.body_id)
    torch.testing.assert_close(now, was.expand_as(now) if was is not None else now, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        got.pose[..., 3:].norm(dim=-1), torch.ones(60, film.pose.shape[1]) if film.pose is not None else None
    )


def step(model: RigidGNN, film: Trajectory) -> Tensor:
    return model.rollout(film, 1).position[0]


def test_it_knows_no_place_and_no_uniform_motion() -> None:
    film = solids.film(2, 13, extra_script=4)
    assert film.pose is not None
    assert film.twist is not None
    drift = torch.tensor([1.0, -0.5, 0.25])
    by = torch.tensor([3.0, -2.0, 1.0]) + 0.02 * torch.arange(17).reshape(-1, 1, 1) * drift
    script = film.scene.script._map(lambda name, x: x + by)
    zeros = torch.zeros(3)
    moved = dataclasses.replace(
        film,
        scene=film.scene.with_script(script),
        position=film.position + by[:13],
        velocity=film.velocity + drift,
        pose=film.pose + torch.cat([by[:13], torch.zeros(13, 1, 4)], -1),
        twist=film.twist + torch.cat([drift, zeros]),
    )
    assert not torch.equal(step(awake(), film), awake().rollout(film, 1).position[0] + 1)
    torch.testing.assert_close(step(awake(), moved) - by[13], step(awake(), film), atol=5e-5, rtol=0)


def test_withheld_parameters_count_as_their_mean() -> None:
    film = solids.film(4, 13, extra_script=4)
    model = awake(parameters=("friction", "restitution"))
    model.measure(film)

    def with_restitution(value: Tensor) -> Trajectory:
        parameters = {**film.scene.parameters, "restitution": value}
        return dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=parameters))

    withheld = step(model, with_restitution(torch.full((4,), torch.nan)))
    mean = model.parameter_mean[1].exp().float().expand(4)
    torch.testing.assert_close(withheld, step(model, with_restitution(mean)))
    assert not torch.equal(withheld, step(model, with_restitution(1.5 * mean)))


def test_misuse_is_named() -> None:
    film = solids.film(1, 3, extra_script=4)
    with pytest.raises(MisuseError, match="no poses"):
        awake().rollout(dataclasses.replace(film, pose=None, twist=None), 1)
    loose = film.scene.body_id.clone()
    loose[2] = -1
    with pytest.raises(MisuseError, match="node 2 belongs to no body"):
        awake().rollout(dataclasses.replace(film, scene=dataclasses.replace(film.scene, body_id=loose)), 1)
    with pytest.raises(MisuseError, match="no size 'huge'"):
        surrogates.create("rigid_gnn", "rigid", size="huge")


# Learning


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(solids.film(12, 30), solids.film(4, 26, seed=3), "0" * 64)


def run(data: Data, out: Path, name: str, steps: int) -> Run:
    return Run(name, {"rigid": data}, dataclasses.replace(track("smoke"), training_steps=steps), 0, out)


def test_it_learns_to_bounce(data: Data, tmp_path: Path) -> None:
    """A minute's training in small: far better than the straight line, and than the best matrix, through the first bounces."""
    learned: Any = _store.learn(run(data, tmp_path / "gnn", "rigid_gnn", 400))
    linear: Any = _store.learn(run(data, tmp_path / "linear", "linear", 1))
    judge = Judge(data.valid, 5, Plan(0, 0, 0.0, valid_frames=20))
    assert judge.ratio(learned) < 0.5 * judge.ratio(linear)
    assert judge.ratio(learned) < 0.25


def test_linear_keeps_bodies_rigid(data: Data, tmp_path: Path) -> None:
    model = _store.learn(run(data, tmp_path, "linear", 1))
    past = data.valid.frames(0, 5)
    got = model.rollout(past, 20)
    assert got.pose is not None
    assert got.twist is not None
    assert past.pose is not None
    now = local_points(got.position, got.pose, past.scene.body_id)
    was = local_points(past.position[-1], past.pose[-1], past.scene.body_id)
    torch.testing.assert_close(now, was.expand_as(now), atol=1e-4, rtol=0)
    _, velocity = carried(was.expand_as(now), got.pose, got.twist, past.scene.body_id)
    torch.testing.assert_close(velocity, got.velocity, atol=1e-3, rtol=0)
