"""The fluid's two back-ends are one scheme: Warp, which CUDA runs captured, against Taichi, which is the reference on a CPU."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import pytest
import torch
from hedgefox.contracts import MisuseError, NodeType, Obstacle, Trajectory, Wall, single_scene, stack
from hedgefox.simulators import _sph
from hedgefox.simulators._sph import SphSettings, SphSolver, SphState, backend_for
from hedgefox.simulators.fluid import DOMAIN
from torch import Tensor

SPACING, STEP, FRAME = 0.05, 8e-4, 12
SIDES = {
    "free slip": ([Wall.FREE_SLIP, Wall.FREE_SLIP], [Wall.FREE_SLIP, Wall.OPEN]),
    "no slip": ([Wall.NO_SLIP, Wall.FREE_SLIP], [Wall.NO_SLIP, Wall.NO_SLIP]),
    "periodic": ([Wall.PERIODIC, Wall.PERIODIC], [Wall.NO_SLIP, Wall.OPEN]),
    "open": ([Wall.OPEN, Wall.OPEN], [Wall.OPEN, Wall.OPEN]),
}
CASES = list(itertools.product((2, 3), SIDES))


def one(
    dim: int, sides: str, nodes: int, obstacle: Obstacle | None, seed: int, steps: int, height: float = 0.06
) -> Trajectory:
    """A random cloud of water in a moving box, with a moving obstacle or none at a height, its last two nodes driven."""
    rng = torch.Generator().manual_seed(seed)
    cells = torch.cartesian_prod(*[torch.arange(11 if dim == 2 else 7)] * dim)
    spots = cells[torch.randperm(len(cells), generator=rng)[:nodes]]
    x = SPACING * (spots + 0.5 + 0.4 * torch.rand((nodes, dim), generator=rng))
    kind = torch.full((nodes,), int(NodeType.FREE))
    kind[-2:] = NodeType.DRIVEN
    drift = 0.02 * torch.randn((3, dim), generator=rng) * STEP * steps / 0.01
    time = torch.arange(3.0).reshape(3, 1)
    across, along = SIDES[sides]
    scene = single_scene(
        domain="fluid", frame_interval=STEP * steps, rest_position=x, mass=1000.0 * SPACING**dim,
        bounds=torch.tensor([[0.0] * dim, [0.6] * dim]), n_frames=3, wall=torch.tensor([across] * (dim - 1) + [along]),
        gravity=[1.0] + [0.0] * (dim - 2) + [-9.7], node_type=kind, parameters={"viscosity": 2e-3 * seed},
        box_offset=time * drift[0], node_position=x[-2:] + (time * drift[1]).unsqueeze(1),
        **_solid(dim, obstacle, time * drift[2], height),
    )  # fmt: skip
    return Trajectory(scene, x.unsqueeze(0), 0.5 * torch.randn((1, nodes, dim), generator=rng))


def _solid(dim: int, kind: Obstacle | None, path: Tensor, height: float) -> dict[str, Tensor]:
    if kind is None:
        return {}
    at = torch.full((dim,), 0.3)
    at[-1] = height
    half = torch.linspace(0.06, 0.09, dim)
    return {
        "obstacle_kind": torch.tensor([int(kind)]), "obstacle_size": half.unsqueeze(0),
        "obstacle_position": (at + path).unsqueeze(1),
    }  # fmt: skip


@functools.cache
def batch(dim: int, sides: str, steps: int) -> Trajectory:
    """Scenes of unlike size: without an obstacle, with a ball or box near the floor, and away from all sides."""
    size = 40 if dim == 2 else 110
    solids = [(None, 0.0), *itertools.product(Obstacle, (0.06, 0.3))]
    return stack([one(dim, sides, size + 17 * k, kind, k + 1, steps, z) for k, (kind, z) in enumerate(solids)])


def started(film: Trajectory, steps: int, backend: str, device: str = "cpu") -> tuple[SphSolver, SphState]:
    """A state of random density."""
    background = 2e3 if bool((film.scene.wall == Wall.PERIODIC).any()) else 0.0
    sph = SphSettings(SPACING, steps, 30.0, background_pressure=background, relaxation_steps=20)
    solver = SphSolver(sph, device, backend)
    state = solver.state(film.scene, film.position[0], film.velocity[0])
    noise = torch.rand(film.scene.n_nodes, generator=torch.Generator().manual_seed(9))
    return solver, dataclasses.replace(state, density=state.density + 5.0 * noise.to(device))


def stepped(film: Trajectory, steps: int, backend: str, frames: int = 1) -> SphState:
    solver, state = started(film, steps, backend)
    for t in range(frames):
        state = solver.advance(state, film.scene.script.starting_at(t))
    return state


def apart(a: SphState, b: SphState) -> float:
    """Greatest difference as a share of a spacing, of 1 m/s and of a tenth of the density, whose last bit is 6e-5 kg/m³."""
    pairs = ((a.position, b.position, SPACING), (a.velocity, b.velocity, 1.0), (a.density, b.density, 100.0))
    assert all(bool(torch.isfinite(x).all()) for x, _, _ in pairs)
    return max(float((x - y).abs().max()) / unit for x, y, unit in pairs)


def same(a: SphState, b: SphState) -> bool:
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("position", "velocity", "density"))


@pytest.mark.parametrize(("dim", "sides"), CASES)
def test_warp_and_taichi_agree_to_rounding(dim: int, sides: str) -> None:
    """One substep, and two frames in which water is thrown about, wraps, and meets sides, obstacles and driven nodes."""
    for steps, frames, most in ((1, 1, 1e-6), (FRAME, 2, 1e-4)):
        film = batch(dim, sides, steps)
        right, got = (stepped(film, steps, backend, frames) for backend in ("taichi", "warp"))
        assert float((right.velocity - film.velocity[0]).abs().max()) > 0.01
        assert apart(got, right) <= most


@pytest.mark.parametrize("dim", [2, 3])
def test_what_a_scene_is_like_is_felt(dim: int) -> None:
    """Else the agreement above would say nothing of it: each kind of sides gives water of its own, and so does each obstacle."""
    found = [stepped(batch(dim, sides, FRAME), FRAME, "warp").position for sides in SIDES]
    assert all(float((a - b).abs().max()) > 1e-4 for a, b in itertools.combinations(found, 2))
    kinds = [stepped(one(dim, "free slip", 100, kind, 2, FRAME), FRAME, "warp") for kind in (None, *Obstacle)]
    assert all(float((a.position - b.position).abs().max()) > 1e-4 for a, b in itertools.combinations(kinds, 2))


@pytest.mark.parametrize("dim", [2, 3])
def test_a_captured_frame_gives_the_same_bits_twice_and_those_of_a_lone_scene(dim: int) -> None:
    film = batch(dim, "periodic", FRAME)
    solver, state = started(film, FRAME, "warp")
    first, again = (solver.advance(state, film.scene.script) for _ in range(2))
    other = stepped(film, FRAME, "warp")
    assert state.work.graphs[FRAME, True] is not None
    assert same(first, again)
    assert same(first, other)
    for b, (low, high) in enumerate(itertools.pairwise(film.scene.scene_ptr.tolist())):
        lone_solver, lone = started(film.select([b]), FRAME, "warp")
        lone = dataclasses.replace(lone, density=state.density[low:high])
        alone = lone_solver.advance(lone, film.select([b]).scene.script)
        assert torch.equal(alone.position, first.position[low:high])
        assert torch.equal(alone.density, first.density[low:high])


def test_a_graph_follows_the_script_of_each_frame() -> None:
    film = batch(2, "no slip", FRAME)
    still = film.scene.script.starting_at(2).held(1)
    solver, state = started(film, FRAME, "warp")
    moving = solver.advance(state, film.scene.script)
    held = solver.advance(state, still)
    nodes = film.scene.driven_nodes
    assert not same(moving, held)
    assert torch.allclose(moving.position[nodes], film.scene.script.node_position[1], atol=1e-6)
    assert torch.equal(held.position[nodes], still.node_position[0])
    assert bool((held.velocity[nodes] == 0).all())


@pytest.mark.parametrize("dim", [2, 3])
def test_relaxation_agrees(dim: int) -> None:
    film = batch(dim, "free slip", FRAME)
    found = []
    for backend in ("taichi", "warp"):
        solver, state = started(film, FRAME, backend)
        found.append(solver.relax(state, film.scene.script))
        assert torch.equal(found[-1].velocity, state.velocity)
    assert float((found[0].density - 1000.0).abs().max()) > 1.0
    assert apart(*found) <= 1e-5


def test_rungs_of_another_spacing_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their nodes are carried as tracers."""
    past = DOMAIN.sample_start(DOMAIN.recipe("xs"), "test", 3, 5)
    right = DOMAIN.ladder(DOMAIN.recipe("xs"))["sph-dx2"].rollout(past, 4)
    monkeypatch.setattr(_sph, "backend_for", lambda device, dtype: "warp")
    got = DOMAIN.ladder(DOMAIN.recipe("xs"))["sph-dx2"].rollout(past, 4)
    assert float((right.position[-1] - past.position[-1]).abs().max()) > 1e-3
    assert float((got.position - right.position).abs().max()) <= 1e-5
    assert float((got.velocity - right.velocity).abs().max()) <= 1e-3


def test_where_a_device_refuses_to_capture_it_says_so_and_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.simulators._warp import wp

    def refused(device: str) -> None:
        raise RuntimeError("no memory pools")

    film = batch(2, "free slip", FRAME)
    right = stepped(film, FRAME, "warp")
    monkeypatch.setattr(wp, "ScopedCapture", refused)
    with pytest.warns(UserWarning, match="one by one on cpu: no memory pools"):
        assert same(stepped(film, FRAME, "warp"), right)


def test_the_device_and_the_precision_choose() -> None:
    assert backend_for("cpu", torch.float32) == "taichi"
    assert backend_for("cuda:0", torch.float32) == "warp"
    assert backend_for("cuda", torch.float64) == "taichi"
    with pytest.raises(MisuseError, match="warp in float32"):
        SphSolver(SphSettings(SPACING, 1, 30.0, dtype=torch.float64), backend="warp")
