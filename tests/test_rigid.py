"""The rigid domain: batches, restarts and splits do what they say, and odd scenes end in a stated way."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hedgefox.contracts import SPLITS, BodyShape, MisuseError, Scene, Trajectory, Wall, check_model, stack
from hedgefox.contracts._ragged import group_mean
from hedgefox.contracts.rotation import angle_between, carried, local_points
from hedgefox.simulators import _rigid_bodies as bodies
from hedgefox.simulators import _rigid_physics as physics
from hedgefox.simulators import _rigid_probes as probes
from hedgefox.simulators import _rigid_scenes as scenes
from hedgefox.simulators._rigid_settings import RigidSettings
from hedgefox.simulators.rigid import DOMAIN, RigidSolver, ladder_settings, reference_settings
from torch import Tensor

XS, S = DOMAIN.recipe("xs"), DOMAIN.recipe("s")


def pose_of(film: Trajectory) -> Tensor:
    assert film.pose is not None
    return film.pose


def twist_of(film: Trajectory) -> Tensor:
    assert film.twist is not None
    return film.twist


def diverged(film: Trajectory) -> list[int]:
    assert film.diverged_at is not None
    return [int(x) for x in film.diverged_at]


@pytest.fixture(scope="module")
def films() -> Trajectory:
    """One scene of each family, the tower with a pusher."""
    return DOMAIN.example(20)


@pytest.fixture(scope="module")
def long_films() -> Trajectory:
    return DOMAIN.simulate(S, "test", list(range(8)), root_seed=3)


def test_a_film_repeats_bit_for_bit(films: Trajectory) -> None:
    again = DOMAIN.example(20)
    assert torch.equal(again.position, films.position)
    assert torch.equal(pose_of(again), pose_of(films))


def test_a_batch_gives_the_bits_of_its_scenes_alone_over_the_whole_horizon(long_films: Trajectory) -> None:
    """The tolerance is zero and the horizon is the film: Newton's worlds do not see one another, nor their number."""
    for b in (0, 1, 3, 6):
        alone = DOMAIN.simulate(S, "test", [b], root_seed=3)
        assert torch.equal(pose_of(alone), pose_of(long_films.select([b])))


def test_a_restart_continues_the_film_exactly(long_films: Trajectory) -> None:
    again = DOMAIN.reference(S).rollout(long_films.frames(20, 25), 20)
    assert torch.equal(pose_of(again), pose_of(long_films)[25:45])
    assert float((again.position - long_films.position[25:45]).abs().max()) < 1e-5


def test_two_rollouts_side_by_side_do_not_disturb_each_other(films: Trajectory) -> None:
    """They share one model from the cache, which must hold nothing of either between frames."""
    solver, script = DOMAIN.reference(XS), films.scene.script
    a, b = solver.encode(films.frames(0, 1)), solver.encode(films.frames(0, 6))
    for k in range(5):
        a = solver.advance(a, script.starting_at(k))
        b = solver.advance(b, script.starting_at(5 + k))
    assert a.worlds is b.worlds
    assert torch.equal(a.pose, pose_of(films)[5])
    assert torch.equal(b.pose, pose_of(films)[10])


def test_room_for_contacts_grows_without_a_trace(films: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.simulators import _newton

    monkeypatch.setattr(_newton.Worlds.__init__, "__defaults__", (1,))
    monkeypatch.setattr(_newton, "_KEPT", type(_newton._KEPT)())
    again = DOMAIN.reference(XS).rollout(films.frames(0, 1), 12)
    assert next(iter(_newton._KEPT.values())).room > 1
    assert torch.equal(pose_of(again), pose_of(films)[1:13])


def test_an_overflow_that_no_room_ends_is_an_error(films: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.contracts import HedgefoxError
    from hedgefox.simulators import _newton

    monkeypatch.setattr(_newton.Worlds.__init__, "__defaults__", (1,))
    monkeypatch.setattr(_newton, "LARGEST_ROOM", 1)
    monkeypatch.setattr(_newton, "_KEPT", type(_newton._KEPT)())
    with pytest.raises(HedgefoxError, match="contacts, the largest room tried"):
        DOMAIN.reference(XS).rollout(films.frames(0, 1), 12)


def test_models_are_kept_by_content_and_not_for_ever(films: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.simulators import _newton

    start, settings = films.frames(0, 1), reference_settings()
    kept = _newton.worlds_for(start.scene, settings, "cpu")
    assert _newton.worlds_for(start.scene.map_tensors(torch.clone), settings, "cpu") is kept
    rougher = {**start.scene.parameters, "friction": start.scene.parameters["friction"] + 0.1}
    other = dataclasses.replace(start.scene, parameters=rougher)
    assert _newton.worlds_for(other, settings, "cpu") is not kept
    monkeypatch.setattr(_newton, "KEPT_SOLIDS", 1)
    last = _newton.worlds_for(other, RigidSettings(2, 4), "cpu")
    assert list(_newton._KEPT.values()) == [last]


@pytest.mark.parametrize("name", ["reference", "newton-s5-i4", "newton-s1-i4"])
def test_solvers_keep_the_contract(name: str) -> None:
    model = DOMAIN.reference(XS) if name == "reference" else DOMAIN.ladder(XS)[name]
    check_model(model, DOMAIN.example(2))


def test_the_ladder_is_at_least_eight_rungs_that_do_less_and_err_more(long_films: Trajectory) -> None:
    work = [(s.substeps, s.iterations) for s in ladder_settings().values()]
    assert len(work) >= 8
    # Steps cost more than sweeps.
    assert work == sorted(work, reverse=True)
    assert max(work) < (reference_settings().substeps, reference_settings().iterations)
    past, truth = long_films.frames(0, 5), long_films.frames(5)
    errors = {}
    for name, rung in DOMAIN.ladder(S).items():
        film = rung.rollout(past, 20)
        assert diverged(film) == [-1] * 8
        error = group_mean((film.position - truth.position[:20]).square().sum(-1), past.scene.scene_ptr).sqrt()
        errors[name] = float(error[-1].median())
    assert all(0 < e < 0.3 for e in errors.values()), errors
    assert errors["newton-s20-i6"] < errors["newton-s8-i4"] < errors["newton-s1-i4"]


def test_bodies_stay_rigid_and_nodes_follow_them(films: Trajectory) -> None:
    scene = films.scene
    local = local_points(films.position, pose_of(films), scene.body_id)
    assert float((local - local[:1]).abs().max()) < 1e-5
    position, velocity = carried(local[0].expand_as(films.position), pose_of(films), twist_of(films), scene.body_id)
    assert float((position - films.position).abs().max()) < 1e-5
    assert float((velocity - films.velocity).abs().max()) < 1e-3


def test_nothing_sinks_into_the_floor_or_leaves_through_a_cushion(long_films: Trajectory) -> None:
    low, high = long_films.scene.bounds.unbind(1)
    owner = long_films.scene.node_scene
    assert float((low[owner] - long_films.position).max()) < 0.005
    assert float((long_films.position - high[owner])[..., :2].max()) < 0.005


def test_a_free_slip_floor_has_no_friction() -> None:
    start = physics.start([physics.body(physics.box(), (5.0, 5.0, 0.1), (1.0, 0.0, 0.0))], 0.5)
    wall = start.scene.wall.clone()
    wall[0, 2, 0] = Wall.FREE_SLIP
    film = DOMAIN.reference(S).rollout(
        dataclasses.replace(start, scene=dataclasses.replace(start.scene, wall=wall)), 20
    )
    assert float(twist_of(film)[-1, 0, 0]) == pytest.approx(1.0, abs=1e-4)


def test_mass_and_inertia_against_a_sum_over_many_points() -> None:
    """A mug's inertia from its solids, and from points strewn through them evenly."""
    kind, size, pose = scenes.solid_tensors(scenes.mug_solids(0.08, 0.2))
    own = bodies.centred(kind, size, pose)
    d = scenes.Draft(np.random.default_rng(0), 0.2, 1.0, False, 1.0)
    d.bodies = [scenes.Body(scenes.mug_solids(0.08, 0.2), np.array([1.0, 1.0, 0.1]))]
    film = scenes.build("rigid", d, {"friction": 0.5, "restitution": 0.0, "mass_ratio": 1.0}, 2, 0.02)
    mass, inertia = bodies.mass_properties(film.scene)
    rng, points = torch.Generator().manual_seed(0), []
    for k in range(kind.numel()):
        box = 2 * torch.rand((200_000, 3), generator=rng, dtype=torch.float64) - 1
        if kind[k] == BodyShape.CAPSULE:
            half = torch.tensor([size[k, 0], size[k, 0], size[k, 0] + size[k, 1]])
            x = box * half
            along = x[:, 2].clamp(-size[k, 1], size[k, 1])
            x = x[(x - torch.stack([0 * along, 0 * along, along], -1)).norm(dim=-1) < size[k, 0]]
            volume = 8 * half.prod() * len(x) / len(box)
        else:
            x, volume = box * size[k], 8 * size[k].prod()
        points.append((x + own[k, :3], volume / len(x)))
    x = torch.cat([p for p, _ in points])
    weight = torch.cat([torch.full((len(p),), float(w)) for p, w in points]).double()
    weight *= float(mass[0]) / weight.sum()
    expected = (
        weight[:, None, None] * (x.square().sum(-1)[:, None, None] * torch.eye(3) - x[:, :, None] * x[:, None, :])
    ).sum(0)
    assert float((x * weight[:, None]).sum(0).norm() / mass[0]) < 1e-3
    assert torch.allclose(inertia[0], expected, rtol=0.01, atol=1e-3 * float(expected.max()))


@pytest.mark.parametrize("kind", list(BodyShape))
def test_surface_points_lie_on_the_surface(kind: BodyShape) -> None:
    from hedgefox.contracts.bodies import distance_to_shape

    size = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    point = bodies.surface_points(int(kind), size)
    upright = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]], dtype=torch.float64).expand(len(point), 7)
    distance, _ = distance_to_shape(point, upright, torch.full((len(point),), int(kind)), size.expand(len(point), 3))
    assert float(distance.abs().max()) < 1e-12
    assert len(torch.unique(point.round(decimals=9), dim=0)) == 14


def test_scenes_have_the_bodies_and_nodes_that_were_promised() -> None:
    for split in ("train", "shape"):
        for i in range(24):
            scene = DOMAIN.sample_start(S, split, i, 11).scene
            assert 2 <= int(scene.body_ptr[-1]) <= 8
            assert scene.n_nodes <= 120
            per_body = torch.bincount(scene.body_id)
            assert 8 <= int(per_body.min()) <= int(per_body.max()) <= 26


@pytest.mark.parametrize("split", ["train", "more", "material", "shape"])
def test_no_scene_starts_with_bodies_in_one_another(split: str) -> None:
    from hedgefox.simulators import _newton

    for size in ("xs", "s", "m"):
        start = stack([DOMAIN.sample_start(DOMAIN.recipe(size), split, i, 5) for i in range(16)])
        worlds = _newton.worlds_for(start.scene, reference_settings(), "cpu")
        depth = worlds.deepest(pose_of(start)[0], start.scene.script.obstacle_position[0])
        assert float(depth.max()) < 1e-4, (size, depth)


@pytest.mark.parametrize("split", ["train", "more", "material", "shape"])
def test_every_scene_of_every_split_runs_and_has_contacts(split: str) -> None:
    film = DOMAIN.simulate(XS, split, list(range(12)), root_seed=2)
    assert diverged(film) == [-1] * 12
    # Free flight from the past is not the truth: something touched something.
    past, now = film.frames(0, 5), film.frames(5)
    gravity = film.scene.gravity[film.scene.body_scene]
    t = 0.02 * torch.arange(1, now.n_frames + 1)[:, None, None]
    flight = pose_of(past)[-1, :, :3] + twist_of(past)[-1, :, :3] * t + 0.5 * gravity * t**2
    off = (pose_of(now)[..., :3] - flight).norm(dim=-1)[-1]
    for b in range(12):
        assert float(off[film.scene.body_scene == b].max()) > 0.05


def test_something_moves_in_every_scene() -> None:
    film = DOMAIN.simulate(XS, "test", list(range(16)), root_seed=4)
    way = (film.position[-1] - film.position[0]).norm(dim=-1)
    for b in range(16):
        assert float(way[film.scene.node_scene == b].max()) > 1e-2


def ranges(split: str, parameter: str) -> tuple[float, float]:
    values = [float(DOMAIN.sample_start(XS, split, i, 7).scene.parameters[parameter]) for i in range(24)]
    return min(values), max(values)


@pytest.mark.parametrize("parameter", ["friction", "restitution", "mass_ratio"])
def test_material_ranges_are_disjoint(parameter: str) -> None:
    assert ranges("train", parameter)[1] < ranges("material", parameter)[0]
    table = {"friction": scenes.FRICTION, "restitution": scenes.RESTITUTION, "mass_ratio": scenes.MASS_RATIO}[parameter]
    assert table["train"][1] < table["material"][0]


def slenderness(scene: Scene) -> float:
    """Longest over shortest half extent of any single solid of the scene."""
    box = scene.shape_kind == BodyShape.BOX
    size = scene.shape_size
    ratio = torch.where(
        box,
        size.amax(-1) / size.amin(-1),
        torch.where(scene.shape_kind == BodyShape.CAPSULE, size[:, 1] / size[:, 0], 0.0),
    )
    alone = torch.bincount(scene.shape_body)[scene.shape_body] == 1
    return float(ratio[alone].max()) if bool(alone.any()) else 0.0


def test_shapes_of_the_split_shape_are_not_in_train() -> None:
    """Single solids are at least as slender as 2.4, compounds are not the mug's six solids."""
    train = [DOMAIN.sample_start(S, "train", i, 7).scene for i in range(40)]
    odd = [DOMAIN.sample_start(S, "shape", i, 7).scene for i in range(40)]
    assert max(slenderness(s) for s in train) < 2.4
    compounds = [set(torch.bincount(s.shape_body).tolist()) - {1} for s in (*train, *odd)]
    assert set().union(*compounds[:40]) == {6}
    assert set().union(*compounds[40:]) == {2, 3}
    for scene, compound in zip(odd, compounds[40:], strict=True):
        assert compound or slenderness(scene) >= 2.4


def test_more_has_two_to_four_times_the_nodes_and_long_twice_the_frames() -> None:
    def nodes(split: str) -> int:
        return sum(DOMAIN.sample_start(S, split, i, 7).scene.n_nodes for i in range(24))

    assert 2.0 <= nodes("more") / nodes("train") <= 4.0
    assert DOMAIN.sample_start(XS, "long", 0, 7).scene.script.n_frames == XS.past + 2 * XS.horizon


def test_a_start_depends_on_nothing_but_its_seed() -> None:
    a, b = (DOMAIN.sample_start(XS, "train", 5, 7) for _ in range(2))
    assert torch.equal(a.position, b.position)
    assert torch.equal(twist_of(a), twist_of(b))
    others = [DOMAIN.sample_start(XS, s, 5, 7) for s in SPLITS if s != "train"]
    others += [DOMAIN.sample_start(XS, "train", 9, 7), DOMAIN.sample_start(XS, "train", 5, 8)]
    assert all(o.position.shape != a.position.shape or not torch.equal(o.position, a.position) for o in others)


@pytest.mark.parametrize(("split", "index", "said"), [("tset", 0, "'tset' is unknown"), ("test", -1, "index is -1")])
def test_unknown_scenes_are_refused(split: str, index: int, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        DOMAIN.sample_start(XS, split, index, 0)


def test_energy_of_undriven_scenes_falls(long_films: Trajectory) -> None:
    """All rises of a film together are below 0.5 % of what it loses (docs/rigid.md: impacts with friction may gain a little)."""
    energy = DOMAIN.invariants(long_films)["mechanical energy [J]"]
    for b in torch.nonzero(long_films.scene.obstacle_ptr.diff() == 0).flatten().tolist():
        lost = float(energy[0, b] - energy[:, b].min())
        assert float(energy[:, b].diff().clamp(min=0).sum()) < 0.005 * lost
        assert lost > 0


def test_the_observable_is_the_error_of_the_bodies_points() -> None:
    start = DOMAIN.sample_start(XS, "test", 0, 3)
    moved = pose_of(start).clone()
    moved[..., :3] += torch.tensor([0.3, 0.0, 0.4])
    field, other = DOMAIN.observable(start), DOMAIN.observable(dataclasses.replace(start, pose=moved))
    assert field.shape == (1, 1, 12 * probes.SLOTS)
    assert float((other - field).square().mean().sqrt()) == pytest.approx(0.5 / math.sqrt(3), rel=1e-5)
    both = stack([start, DOMAIN.sample_start(XS, "test", 2, 3)])
    assert torch.equal(DOMAIN.observable(both)[:, :1], field)


def test_a_film_without_poses_is_read_through_its_nodes(films: Trajectory) -> None:
    bare = dataclasses.replace(films, pose=None, twist=None)
    read = probes.with_poses(bare)
    assert float((pose_of(read)[..., :3] - pose_of(films)[..., :3]).abs().max()) < 1e-5
    assert float(angle_between(pose_of(read)[..., 3:], pose_of(films)[..., 3:]).max()) < 2e-3
    assert float((twist_of(read) - twist_of(films)).abs().max()) < 1e-2
    events, fitted = DOMAIN.events(films), DOMAIN.events(bare)
    assert all(float((events[k] == fitted[k]).float().mean()) > 0.97 for k in events)


def placed(body: scenes.Body, friction: float = 0.5) -> Trajectory:
    return physics.start([body], friction)


def test_events_of_a_sliding_a_tipping_and_a_falling_box() -> None:
    still = placed(physics.body(physics.box(), (5.0, 5.0, 0.1)))
    sliding = placed(physics.body(physics.box(), (5.0, 5.0, 0.1), (0.5, 0.0, 0.0)))
    flying = placed(physics.body(physics.box(), (5.0, 5.0, 0.2), (0.5, 0.0, 0.0)))
    assert [bool(DOMAIN.events(f)["slips"][0, 0]) for f in (still, sliding, flying)] == [False, True, False]
    down, leaning = pose_of(still).repeat(2, 1, 1), pose_of(still).repeat(2, 1, 1)
    down[1, 0, 2] -= 0.11
    leaning[1, 0, 3:] = torch.tensor([math.sin(math.radians(23)), 0.0, 0.0, math.cos(math.radians(23))])
    for name, pose in (("falls", down), ("tips", leaning)):
        film = Trajectory(
            still.scene,
            still.position.repeat(2, 1, 1),
            still.velocity.repeat(2, 1, 1),
            pose,
            twist_of(still).repeat(2, 1, 1),
        )
        labels = DOMAIN.events(film)
        assert labels[name][:, 0].tolist() == [False, True]
        assert not bool(labels["first contact"].any())


def test_a_ball_never_tips() -> None:
    still = placed(physics.body(physics.ball(), (5.0, 5.0, 0.1)))
    pose = pose_of(still).repeat(2, 1, 1)
    pose[1, 0, 3:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    film = Trajectory(
        still.scene,
        still.position.repeat(2, 1, 1),
        still.velocity.repeat(2, 1, 1),
        pose,
        twist_of(still).repeat(2, 1, 1),
    )
    assert not bool(DOMAIN.events(film)["tips"].any())


def test_first_contact_is_when_two_balls_meet() -> None:
    """0.2 m apart at 1 m/s: they touch after 0.195 s, and the label stays."""
    balls = [
        physics.body(physics.ball(), (5.0, 5.0, 5.0), (1.0, 0.0, 0.0)),
        physics.body(physics.ball(), (5.4, 5.0, 5.0)),
    ]
    film = physics.run([physics.start(balls, 0.0, 1.0, floor=False, weight=False)], 0.6)
    label = DOMAIN.events(film)["first contact"][:, 0]
    assert int(label.int().argmax()) == 10
    assert bool(label[10:].all())


def test_bodies_that_touch_from_the_start_make_no_first_contact() -> None:
    stacked = [physics.body(physics.box(0.1 - 0.01 * k), (5.0 + 0.001 * k, 5.0, 0.1 + 0.2 * k)) for k in range(2)]
    film = physics.run([physics.start(stacked)], 0.4)
    assert not bool(DOMAIN.events(film)["first contact"].any())


def test_a_pusher_makes_first_contact(films: Trajectory) -> None:
    tower = films.select([1])
    label = DOMAIN.events(tower)["first contact"][:, 0]
    assert not bool(label[0])
    moved = (pose_of(tower)[..., 0] - pose_of(tower)[:1, :, 0]).abs().amax(1) > 0.005
    assert abs(int(label.int().argmax()) - int(moved.int().argmax())) <= 2


def test_a_frame_that_is_not_finite_has_no_events(films: Trajectory) -> None:
    pose = pose_of(films).clone()
    pose[-1] = torch.nan
    position = films.position.clone()
    position[-1] = torch.nan
    labels = DOMAIN.events(dataclasses.replace(films, pose=pose, position=position))
    assert not any(bool(v[-1].any()) for v in labels.values())
    assert all(torch.equal(v[:-1], w[:-1]) for v, w in zip(labels.values(), DOMAIN.events(films).values(), strict=True))


# Odd scenes: each ends in a stated way.


def test_bodies_inside_each_other_are_marked_and_spare_their_neighbours() -> None:
    good = physics.start([physics.body(physics.box(), (5.0, 5.0, 0.3)), physics.body(physics.ball(), (6.0, 5.0, 0.3))])
    inside = [physics.body(physics.box(), (5.0, 5.0, 0.3)), physics.body(physics.ball(), (5.1, 5.0, 0.3))]
    film = DOMAIN.reference(S).rollout(stack([physics.start(inside), good]), 5)
    assert diverged(film) == [0, -1]
    assert torch.equal(film.select([1]).position, DOMAIN.reference(S).rollout(good, 5).position)


def test_a_body_under_the_floor_is_marked() -> None:
    assert diverged(DOMAIN.reference(S).rollout(placed(physics.body(physics.box(), (5.0, 5.0, -0.5))), 3)) == [0]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_start_that_is_not_finite_is_marked(films: Trajectory, value: float) -> None:
    start = films.frames(0, 1)
    twist = twist_of(start).clone()
    twist[0, 0, 4] = value
    film = DOMAIN.reference(XS).rollout(dataclasses.replace(start, twist=twist), 3)
    assert diverged(film) == [0, -1, -1, -1]
    assert torch.equal(pose_of(film.select([1, 2, 3])), pose_of(films.select([1, 2, 3]))[1:4])


@pytest.mark.parametrize("speed", [1e3, 1e6, 1e30])
def test_absurd_speeds_end_finite_or_marked(speed: float) -> None:
    start = physics.start(
        [physics.body(physics.box(), (5.0, 5.0, 0.5), (0.0, 0.0, -speed), spin=np.array([speed, speed, 0.0]))]
    )
    film = DOMAIN.reference(S).rollout(start, 4)
    alive = 4 if diverged(film)[0] < 0 else diverged(film)[0]
    assert bool(torch.isfinite(film.position[:alive]).all())
    assert bool(torch.isnan(film.position[alive:]).all())


def changed(film: Trajectory, **fields: Tensor) -> Trajectory:
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, **fields))  # type: ignore[arg-type]


def with_parameter(film: Trajectory, name: str, value: float) -> Trajectory:
    parameters = {**film.scene.parameters, name: torch.full((film.scene.n_scenes,), value)}
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=parameters))


def refused(film: Trajectory, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        DOMAIN.reference(S).rollout(film, 1)


@pytest.mark.parametrize("factor", [1e6, math.inf, math.nan])
def test_absurd_mass_ratios_are_refused(films: Trajectory, factor: float) -> None:
    mass = films.scene.mass.clone()
    mass[films.scene.body_id == 1] *= factor
    refused(changed(films.frames(0, 1), mass=mass), "ratio of at most 10000 is right")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("friction", math.nan, "friction is nan"),
        ("friction", math.inf, "friction is inf"),
        ("friction", -0.1, "friction is -0.1"),
        ("restitution", 1.5, "restitution is 1.5"),
        ("restitution", math.nan, "restitution is nan"),
    ],
)
def test_parameters_without_meaning_are_refused(films: Trajectory, name: str, value: float, said: str) -> None:
    refused(with_parameter(films.frames(0, 1), name, value), said)


def test_shapes_without_extent_are_refused(films: Trajectory) -> None:
    size = films.scene.shape_size.clone()
    size[0] = 0.0
    refused(changed(films.frames(0, 1), shape_size=size), "extents must be positive")
    size[0] = math.nan
    refused(changed(films.frames(0, 1), shape_size=size), "negative or not finite")
    with pytest.raises(MisuseError, match=r"a ball has size \[0.0"):
        placed(physics.body(physics.ball(0.0), (5.0, 5.0, 1.0)))


def test_a_body_without_nodes_or_shapes_is_refused(films: Trajectory) -> None:
    start = films.frames(0, 1)
    body = torch.where(start.scene.body_id == 0, 1, start.scene.body_id)
    refused(changed(start, body_id=body), "body 0 has no nodes")
    shape = torch.where(start.scene.shape_body == 0, 1, start.scene.shape_body)
    refused(changed(start, shape_body=shape), "body 0 has no shapes")
    refused(changed(start, body_id=torch.full_like(body, -1)), "nodes belong to no body")


def test_a_pusher_too_fast_or_nowhere_is_refused(films: Trajectory) -> None:
    start = films.frames(0, 1)
    for value, said in ((100.0 * 0.02, "an obstacle moves at 1.. m/s; at most 20"), (math.nan, "script is not finite")):
        path = start.scene.script.obstacle_position.clone()
        path[1:] += value
        script = dataclasses.replace(start.scene.script, obstacle_position=path)
        refused(dataclasses.replace(start, scene=start.scene.with_script(script)), said)


def test_boxes_that_move_or_repeat_and_films_without_poses_are_refused(films: Trajectory) -> None:
    start = films.frames(0, 1)
    refused(changed(start, wall=torch.full_like(start.scene.wall, int(Wall.PERIODIC))), "no periodic sides")
    refused(changed(start, gravity=start.scene.gravity * math.nan), "gravity is")
    script = dataclasses.replace(start.scene.script, box_offset=start.scene.script.box_offset + 0.1)
    refused(dataclasses.replace(start, scene=start.scene.with_script(script)), "must stand still")
    refused(dataclasses.replace(start, pose=None), "needs poses")


@pytest.mark.parametrize("settings", [(0, 4), (20, 0), (-2, 4)])
def test_settings_that_cannot_run_are_refused(settings: tuple[int, int]) -> None:
    with pytest.raises(MisuseError, match=f"{settings[0]} substeps and {settings[1]} iterations"):
        RigidSettings(*settings)


def test_the_other_engine_runs_the_same_worlds(films: Trajectory) -> None:
    xpbd = RigidSolver("xpbd", "ladder", RigidSettings(20, 8, engine="xpbd"))
    film = xpbd.rollout(films.frames(0, 1), 5)
    assert diverged(film) == [-1] * 4
    assert float((pose_of(film) - pose_of(films)[1:6])[..., :3].abs().max()) < 0.05
