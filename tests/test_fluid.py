"""The fluid against physics first; then that batches, threads, precision and splits do what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hedgefox.contracts import (
    SPLITS,
    MisuseError,
    Obstacle,
    PhysicsCheck,
    Recipe,
    Trajectory,
    Wall,
    check_model,
    single_scene,
    stack,
)
from hedgefox.contracts._ragged import group_mean
from hedgefox.contracts.boundary import penetration
from hedgefox.simulators import _fluid_physics as physics
from hedgefox.simulators import _fluid_scenes as scenes
from hedgefox.simulators import _sph
from hedgefox.simulators._sph import SphSettings, SphSolver
from hedgefox.simulators.fluid import DOMAIN, FluidSolver, settings

XS = DOMAIN.recipe("xs")

CHECKS: list[Callable[[], list[PhysicsCheck]]] = [
    physics.hydrostatic,
    lambda: physics.hydrostatic(obstacle=Obstacle.BALL),
    lambda: physics.hydrostatic(obstacle=Obstacle.BOX),
    lambda: physics.dam_break(16),
    lambda: physics.taylor_green(40),
    physics.refinement,
    physics.poiseuille,
    physics.momentum,
    physics.volume,
    physics.sloshing,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: getattr(c, "__name__", "check"))
def test_physics_holds(check: Callable[[], list[PhysicsCheck]]) -> None:
    for row in check():
        assert row.holds, f"{row.name}: {row.measured:.4g} outside {row.low:.4g} to {row.high:.4g} ({row.source})"


@pytest.mark.long
def test_every_physics_check_holds_at_full_resolution() -> None:
    for row in DOMAIN.validate(full=True):
        assert row.holds, f"{row.name}: {row.measured:.4g} outside {row.low:.4g} to {row.high:.4g} ({row.source})"


def test_a_broken_solver_fails_its_physics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks can fail: a little artificial viscosity left on in the vortex is noticed."""
    honest = physics._box_solver

    def syrupy(n: int, frame: float, dtype: torch.dtype = torch.float32) -> SphSolver:
        return SphSolver(dataclasses.replace(honest(n, frame, dtype).settings, artificial_viscosity=0.1))

    monkeypatch.setattr(physics, "_box_solver", syrupy)
    assert not physics.taylor_green(20)[0].holds


@pytest.fixture(scope="module")
def films() -> Trajectory:
    return DOMAIN.simulate(XS, "test", [0, 1, 2, 3], root_seed=3)


def test_a_batch_gives_the_bits_of_its_scenes_alone(films: Trajectory) -> None:
    for b, alone in enumerate(films.split()):
        again = DOMAIN.simulate(XS, "test", [b], root_seed=3)
        assert torch.equal(again.position, alone.position)


def test_spreading_over_particles_or_over_scenes_gives_the_same_bits(
    films: Trajectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sph, "LARGE_SCENE", 1)
    again = DOMAIN.simulate(XS, "test", [0], root_seed=3)
    assert torch.equal(again.position, films.split()[0].position)


def test_float32_stays_close_to_float64() -> None:
    start = DOMAIN.sample_start(XS, "test", 0, 3)
    sph = settings(XS.resolution, DOMAIN.frame_interval)
    double = FluidSolver("sph64", "reference", dataclasses.replace(sph, dtype=torch.float64))
    a = FluidSolver("sph32", "reference", sph).rollout(start, 10)
    b = double.rollout(start, 10)
    assert float((a.position - b.position).abs().max()) < 1e-4 * float(start.scene.diagonal[0])


@pytest.mark.parametrize("name", ["reference", "sph-c10", "sph-dx2"])
def test_solvers_keep_the_contract(name: str) -> None:
    model = DOMAIN.reference(XS) if name == "reference" else DOMAIN.ladder(XS)[name]
    check_model(model, DOMAIN.example(2))


def test_the_ladder_is_at_least_eight_rungs_and_errs_more_than_nothing(films: Trajectory) -> None:
    past = films.frames(0, XS.past)
    truth = DOMAIN.reference(XS).rollout(past, XS.horizon)
    ladder = DOMAIN.ladder(XS)
    assert len(ladder) >= 8
    for name, rung in ladder.items():
        film = rung.rollout(past, XS.horizon)
        error = group_mean((film.position - truth.position).square().sum(-1), past.scene.scene_ptr).sqrt()
        assert 0 < float(error[-1].mean()) < 0.2, name


def test_nothing_passes_through_walls_or_obstacles(films: Trajectory) -> None:
    scene = films.scene
    for t in range(films.n_frames):
        depth = penetration(scene, films.position[t], scene.script.box_offset[t], scene.script.obstacle_position[t])
        assert float(depth.max()) < 0.5 * XS.resolution


@pytest.mark.parametrize("kind", list(Obstacle))
@pytest.mark.parametrize(("dim", "backend"), [(2, "taichi"), (3, "taichi"), (2, "warp"), (3, "warp")])
@pytest.mark.parametrize("rising", [0.0, 1.0])
def test_an_obstacle_in_mid_box_holds_a_falling_block(kind: Obstacle, dim: int, backend: str, rising: float) -> None:
    """Water falls 0.2 m on it, and it may rise at 1 m/s to meet the water: nothing is ever inside, and most is hindered."""
    spacing, frames = 0.04, 32
    x = physics.lattice((5,) * dim, spacing, 0.05)
    x += torch.tensor([0.5] * (dim - 1) + [0.9]) - x.mean(0)
    time = torch.arange(frames + 1).reshape(-1, 1, 1) * 0.01
    path = torch.tensor([0.5] * (dim - 1) + [0.5]) + time * torch.tensor([0.0] * (dim - 1) + [rising])
    scene = single_scene(
        domain="fluid", frame_interval=0.01, rest_position=x, mass=1000 * spacing**dim, n_frames=frames + 1,
        bounds=torch.tensor([[0.0] * dim, [1.0] * (dim - 1) + [1.4]]), wall=torch.full((dim, 2), int(Wall.FREE_SLIP)),
        gravity=[0.0] * (dim - 1) + [-9.81], obstacle_kind=torch.tensor([int(kind)]),
        obstacle_size=torch.full((1, dim), 0.1), obstacle_position=path, parameters={"viscosity": 1e-4},
    )  # fmt: skip
    solver, script = SphSolver(_sph.settings_for(spacing, 0.01, 30.0), "cpu", backend), scene.script
    state = solver.relax(solver.state(scene, x, 0 * x), script)
    for k in range(frames):
        state = solver.advance(state, script.starting_at(k))
        depth = penetration(scene, state.position, script.box_offset[k + 1], script.obstacle_position[k + 1])
        assert float(depth.max()) < 1e-3 * spacing
    fallen = float((x[:, -1] - 0.5 * 9.81 * (0.01 * frames) ** 2).mean())
    assert float(state.position[:, -1].mean()) > fallen + 0.02


def test_a_box_in_the_way_is_filled_to_its_edges_and_no_further() -> None:
    """A box's images end with it: else still water about its edges is pressed away, three times as fast."""
    ball, box = (physics.hydrostatic(obstacle=kind)[0] for kind in Obstacle)
    assert ball.measured < 0.04
    assert box.measured < 0.03


def test_energy_of_an_undriven_scene_does_not_rise(films: Trajectory) -> None:
    energy = DOMAIN.invariants(films)["mechanical energy [J]"][:, 0]
    released = float(energy[0] - energy.min())
    assert float((energy - energy[0]).max()) < 0.02 * released


def test_three_dimensions_run_and_fall() -> None:
    recipe = Recipe(dim=3, resolution=0.05, past=1, horizon=4)
    film = DOMAIN.simulate(recipe, "test", [0, 3], root_seed=2)
    assert film.diverged_at is not None
    assert film.diverged_at.tolist() == [-1, -1]
    assert film.position.shape[2] == 3
    assert float(film.velocity[-1].norm(dim=-1).max()) > 0.1


def test_driven_nodes_push_the_fluid() -> None:
    start = scenes.paddle_tank("fluid", dataclasses.replace(XS, past=1, horizon=20), DOMAIN.frame_interval)
    film = DOMAIN.reference(XS).rollout(start, 15)
    free = start.scene.free
    assert float((film.position[-1, free, 0] - start.position[0, free, 0]).mean()) > 0.005
    assert film.diverged_at is not None
    assert int(film.diverged_at[0]) == -1


def test_a_restart_in_violent_flow_stays_close() -> None:
    """Density is not in the film: a restart finds it anew, without the part that existing motion asks for."""
    film = DOMAIN.simulate(dataclasses.replace(XS, horizon=30), "test", [0], root_seed=3)
    again = DOMAIN.reference(XS).rollout(film.frames(15, 16), 5)
    error = (again.position[-1] - film.position[20]).square().sum(-1).mean().sqrt()
    assert float(error) < 0.1 * XS.resolution


def test_splits_are_disjoint_by_construction() -> None:
    def drawn(split: str) -> list[Trajectory]:
        return [DOMAIN.sample_start(XS, split, i, 7) for i in range(16)]

    train, more, material, shape = (drawn(s) for s in ("train", "more", "material", "shape"))
    limit = scenes.VISCOSITY["train"][1]
    assert all(float(t.scene.parameters["viscosity"]) <= limit for t in train)
    assert all(float(t.scene.parameters["viscosity"]) > limit for t in material)
    assert max(abs(float(t.scene.parameters["tilt"])) for t in train) < min(
        abs(float(t.scene.parameters["tilt"])) for t in material
    )
    assert all(Obstacle.BOX not in t.scene.obstacle_kind for t in train)
    assert all(Obstacle.BOX in t.scene.obstacle_kind for t in shape)
    ratio = sum(t.scene.n_nodes for t in more) / sum(t.scene.n_nodes for t in train)
    assert 2.0 <= ratio <= 4.0
    assert DOMAIN.sample_start(XS, "long", 0, 7).scene.script.n_frames == XS.past + 2 * XS.horizon


@pytest.mark.parametrize(("split", "seed"), [("long", 38), ("test", 0)])
def test_a_ball_finds_room_among_the_coarsest_particles(split: str, seed: int) -> None:
    """Wide columns before large balls in narrow tanks, one in some hundred, leave less room than the gaps asked for."""
    flow = list(scenes.FAMILIES).index("flow_past_obstacles")
    scene = DOMAIN.sample_start(XS, split, flow, seed).scene
    assert scene.obstacle_size.shape[0] == 1


def test_a_start_depends_on_nothing_but_its_seed() -> None:
    a, b = (DOMAIN.sample_start(XS, "train", 5, 7) for _ in range(2))
    assert torch.equal(a.position, b.position)
    others = [DOMAIN.sample_start(XS, s, 5, 7) for s in SPLITS if s != "train"]
    others += [DOMAIN.sample_start(XS, "train", 9, 7), DOMAIN.sample_start(XS, "train", 5, 8)]
    assert all(o.position.shape != a.position.shape or not torch.equal(o.position, a.position) for o in others)


def test_a_scene_that_blows_up_says_so_and_spares_its_neighbours(films: Trajectory) -> None:
    start = films.frames(0, 1)
    velocity = start.velocity.clone()
    velocity[0, 0] = torch.inf
    bad = dataclasses.replace(start, velocity=velocity)
    film = DOMAIN.reference(XS).rollout(bad, 3)
    assert film.diverged_at is not None
    assert film.diverged_at.tolist() == [0, -1, -1, -1]
    good = DOMAIN.reference(XS).rollout(start, 3)
    assert torch.equal(film.select([1, 2, 3]).position, good.select([1, 2, 3]).position)


@pytest.mark.parametrize(
    ("sph", "said"),
    [
        (SphSettings(0.05, 2, 30.0), "time step"),
        (SphSettings(-0.05, 20, 30.0), "must be positive"),
        (SphSettings(0.05, 0, 30.0), "must be positive"),
    ],
)
def test_settings_that_cannot_run_are_refused(sph: SphSettings, said: str) -> None:
    start = DOMAIN.sample_start(XS, "test", 0, 3)
    with pytest.raises(MisuseError, match=said):
        SphSolver(sph).state(start.scene, start.position[0], start.velocity[0])


def test_two_particles_on_one_spot_are_refused(films: Trajectory) -> None:
    position = films.position[:1].clone()
    position[0, 3] = position[0, 1]
    start = dataclasses.replace(films.frames(0, 1), position=position)
    with pytest.raises(MisuseError, match="nodes 1 and 3 are both at"):
        DOMAIN.reference(XS).rollout(start, 1)


@pytest.mark.parametrize(("split", "index", "said"), [("tset", 0, "'tset' is unknown"), ("test", -1, "index is -1")])
def test_unknown_scenes_are_refused(split: str, index: int, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        DOMAIN.sample_start(XS, split, index, 0)


def test_events_see_a_split_and_a_spill() -> None:
    film = DOMAIN.sample_start(XS, "test", 1, 3)  # drops above a pool: the fluid is in pieces
    assert bool(DOMAIN.events(film)["splits"][0, 0])
    assert not bool(DOMAIN.events(film)["spills"][0, 0])
    up = dataclasses.replace(film, position=film.position + torch.tensor([0.0, 1.0]))
    assert bool(DOMAIN.events(up)["spills"][0, 0])
    assert not bool(DOMAIN.events(DOMAIN.sample_start(XS, "test", 0, 3))["splits"][0, 0])


def test_the_probe_grid_counts_all_water_once() -> None:
    still = DOMAIN.sample_start(DOMAIN.recipe("s"), "test", 2, 3)
    field = DOMAIN.observable(still)[0, 0].reshape(16, 12)
    cell = float((still.scene.bounds[0, 1] / torch.tensor([16, 12])).prod())
    assert float(field.sum()) * cell == pytest.approx(still.scene.n_nodes * 0.025**2, rel=1e-6)
    assert float(field[:, 1].mean()) == pytest.approx(1.0, abs=0.1)
    assert float(field[:, -1].max()) == 0.0


def test_a_frame_that_is_not_finite_has_no_field_and_no_events() -> None:
    film = stack([DOMAIN.sample_start(XS, "test", i, 3) for i in (0, 1)])
    position = film.position.clone()
    position[0, -1] = torch.nan
    broken = dataclasses.replace(film, position=position)
    field = DOMAIN.observable(broken)
    assert bool(torch.isnan(field[0, 1]).all())
    assert torch.equal(field[0, 0], DOMAIN.observable(film)[0, 0])
    assert not bool(DOMAIN.events(broken)["splits"][0, 1])


def test_events_see_a_tank_drain() -> None:
    """Fluid moved out of where it started, a tenth at a time: drained from the frame in which less than half is left."""
    start = DOMAIN.sample_start(XS, "test", 0, 3).frames(0, 1)
    n = start.scene.n_nodes
    moved = [start.position[0].clone() for _ in range(11)]
    for k, x in enumerate(moved):
        x[: round(k * n / 10), 1] += 5.0
    film = dataclasses.replace(start, position=torch.stack(moved), velocity=torch.zeros(11, n, 2))
    share = [1 - round(k * n / 10) / n for k in range(11)]
    assert DOMAIN.events(film)["drained"][:, 0].tolist() == [s < 0.5 for s in share]
    # The region goes with the tank: a tank that moves as one has lost nothing.
    script = film.scene.script
    carried = dataclasses.replace(script, box_offset=script.box_offset + 5.0)
    together = dataclasses.replace(film, position=film.position[:1] + 5.0, velocity=film.velocity[:1])
    assert bool(DOMAIN.events(together)["drained"][0, 0])
    assert not bool(
        DOMAIN.events(dataclasses.replace(together, scene=film.scene.with_script(carried)))["drained"][0, 0]
    )


def test_some_sampled_scene_drains_and_some_does_not() -> None:
    long = dataclasses.replace(XS, horizon=60)
    ends = DOMAIN.events(DOMAIN.simulate(long, "test", [0, 1], root_seed=3).frames(55, 56))["drained"][0]
    assert ends.tolist() == [True, False], "a column collapses, a pool stays"


def test_siblings_of_a_fluid_turn_gravity_with_the_tilt_or_change_viscosity_or_the_shaking() -> None:
    seen = set()
    for index, variant in ((0, 1), (0, 2), (0, 3), (2, 1), (2, 2), (2, 3), (2, 4)):
        plain = DOMAIN.sample_start(XS, "test", index, 3)
        other, variation = DOMAIN.sample_sibling(XS, "test", index, variant, 3)
        seen.add(variation.varied)
        assert torch.equal(plain.position, other.position)
        g, h = plain.scene.gravity[0], other.scene.gravity[0]
        assert float(h.norm()) == pytest.approx(9.81, rel=1e-6)
        if variation.varied == "tilt":
            assert float(torch.atan2(h[0], -h[1])) == pytest.approx(variation.value, abs=1e-6)
            low, high = scenes.TILT["train"]
            assert low <= variation.value <= high
        else:
            assert torch.equal(g, h)
    assert seen >= {"tilt", "viscosity"}
    assert seen & {"script scale", "script delay"}
