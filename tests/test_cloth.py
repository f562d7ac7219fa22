"""Cloth against physics first; then that batches, restarts, splits, rungs and odd sheets do what they say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import (
    NEVER,
    SPLITS,
    MisuseError,
    NodeType,
    PhysicsCheck,
    Scene,
    Script,
    Trajectory,
    check_model,
    stack,
    track,
)
from hedgefox.contracts.boundary import penetration
from hedgefox.contracts.scene import SCRIPT_GROUP_OF
from hedgefox.simulators import _cloth_physics as physics
from hedgefox.simulators import _cloth_scenes as scenes
from hedgefox.simulators._cloth import ClothSettings, ClothSolver
from hedgefox.simulators._cloth_energy import energies, membrane
from hedgefox.simulators._cloth_mesh import sheet_of
from hedgefox.simulators._cloth_probes import edge_strain, material_points
from hedgefox.simulators.cloth import DOMAIN, RECIPES
from torch import Tensor

XS = DOMAIN.recipe("xs")

CHECKS: list[Callable[[], list[PhysicsCheck]]] = [
    lambda: physics.catenary(40),
    lambda: physics.hooke(False),
    physics.pendulum,
    physics.bending_mode,
    lambda: physics.elastica(16),
    physics.free_fall,
    physics.no_energy_from_nothing,
    physics.friction_on_a_slope,
    physics.terminal_velocity,
    physics.penetration,
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
    """The checks can fail: velocities that lose a thousandth a frame are noticed."""
    honest = ClothSolver.advance

    def tired(self: ClothSolver, state: object, script: object) -> object:
        new = honest(self, state, script)  # type: ignore[arg-type]
        return dataclasses.replace(new, velocity=0.999 * new.velocity)

    monkeypatch.setattr(ClothSolver, "advance", tired)
    assert not all(row.holds for row in physics.pendulum())
    assert not all(row.holds for row in physics.bending_mode())


def crumpled(cells: tuple[int, int] = (6, 5), stretch_stiffness: float = 200.0) -> tuple[Scene, Tensor]:
    noise = torch.Generator().manual_seed(4)

    def place(rest: Tensor) -> Tensor:
        wave = torch.stack([1.1 * rest[:, 0], 0.9 * rest[:, 1], 0.2 * torch.sin(5 * rest[:, 0]) + 0.1 * rest[:, 1]], 1)
        return wave + 0.02 * torch.randn(rest.shape, generator=noise, dtype=rest.dtype)

    return physics.sheet_scene(cells, (1.0, 0.8), place, gravity=(0.0, 0.0, 0.0),
                               bend_stiffness=0.05, stretch_stiffness=stretch_stiffness)  # fmt: skip


def test_forces_are_minus_the_gradient_of_the_energy() -> None:
    """The kernels' float32 forces against autograd through the float64 energies."""
    scene, x = crumpled()
    short = dataclasses.replace(scene, frame_interval=1e-5)
    state = ClothSolver(ClothSettings()).state(short, x, torch.zeros_like(x))
    after = ClothSolver(ClothSettings()).advance(state, short.script)
    force = after.velocity.double() / 1e-5 * scene.mass.double().unsqueeze(1)
    free = x.double().requires_grad_()
    film = Trajectory(scene, free.unsqueeze(0), torch.zeros_like(free).unsqueeze(0))
    parts = energies(film)
    gradient = torch.autograd.grad(parts["membrane energy [J]"].sum() + parts["bending energy [J]"].sum(), free)[0]
    assert float((force + gradient).abs().max()) < 1e-5 * float(gradient.abs().max())


@pytest.mark.parametrize("curvature", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5)])
def test_bending_energy_of_constant_curvature_is_the_plate_s(curvature: tuple[float, float, float]) -> None:
    """½ (κxx² + κyy² + 2 κxy²) A but for the border, where there is no moment: its share falls as the mesh is refined."""
    xx, yy, xy = curvature
    missing = []
    for n in (8, 16):
        scene, _ = physics.sheet_scene((n, n), (1.0, 1.0), lambda r: r.clone(), dtype=torch.float64)
        r = scene.rest_position
        lift = 1e-3 * (0.5 * xx * r[:, 0] ** 2 + 0.5 * yy * r[:, 1] ** 2 + xy * r[:, 0] * r[:, 1])
        energy = 0.5 * float(lift @ torch.sparse.mm(sheet_of(scene).bend, lift.unsqueeze(1)).squeeze(1))
        missing.append(1 - energy / (0.5e-6 * (xx**2 + yy**2 + 2 * xy**2)))
        inner = (r[:, :2].abs() < 0.5 - 2.5 / n).all(1)
        pull = torch.sparse.mm(sheet_of(scene).bend, lift.unsqueeze(1)).squeeze(1)
        assert float(pull[inner].abs().max()) < 1e-9  # constant curvature is in balance: the patch test
    assert abs(missing[0]) < 0.2
    assert missing[1] == pytest.approx(missing[0] / 2, abs=5e-3)


def test_uniform_shear_has_the_energy_it_should() -> None:
    scene, _ = physics.sheet_scene((5, 4), (1.0, 0.8), lambda r: r.clone(), dtype=torch.float64)
    x = scene.rest_position.clone()
    x[:, 0] += 0.2 * x[:, 1]
    found = float(membrane(Trajectory(scene, x.unsqueeze(0), torch.zeros_like(x).unsqueeze(0))).sum())
    length = math.hypot(0.2, 1)
    assert found == pytest.approx(0.5 * 0.8 * (200 * (length - 1) ** 2 + 60 * (0.2 / length) ** 2), rel=1e-9)


def test_substeps_hold_the_stability_limit() -> None:
    """Just below the limit a quiet sheet stays quiet for 1500 substeps; a third above it does not."""
    scene, x = crumpled((8, 8), stretch_stiffness=400.0)
    x = scene.rest_position + 1e-4 * (x - scene.rest_position)
    calm, wild = (
        physics.run(scene, x, torch.zeros_like(x), 60, ClothSettings(courant=c)).velocity[-1] for c in (0.95, 1.35)
    )
    assert float(calm.abs().max()) < 0.1
    assert not bool(torch.isfinite(wild).all()) or float(wild.abs().max()) > 1.0


def still_for(scene: Scene, n_frames: int) -> Scene:
    """The scene under a script of n_frames in which nothing moves."""
    script = scene.script
    held = {name: getattr(script, name)[:1].expand(n_frames, -1, -1).clone() for name in SCRIPT_GROUP_OF}
    return scene.with_script(Script(**held))


@pytest.fixture(scope="module")
def films() -> Trajectory:
    return DOMAIN.simulate(dataclasses.replace(RECIPES["s"], horizon=25), "test", [0, 1, 2, 3, 4, 5, 6, 7], root_seed=3)


def test_a_batch_gives_the_bits_of_its_scenes_alone(films: Trajectory) -> None:
    recipe = dataclasses.replace(RECIPES["s"], horizon=25)
    for b, alone in enumerate(films.split()[:4]):
        again = DOMAIN.simulate(recipe, "test", [b], root_seed=3)
        assert torch.equal(again.position, alone.position)
        assert torch.equal(again.velocity, alone.velocity)


def test_a_frame_is_a_full_state(films: Trajectory) -> None:
    """A rollout from the middle of a film is the rest of the film, bit for bit."""
    again = DOMAIN.reference(RECIPES["s"]).rollout(films.frames(0, 12), films.n_frames - 12)
    assert torch.equal(again.position, films.position[12:])


def test_rollouts_of_the_same_scenes_do_not_disturb_one_another(films: Trajectory) -> None:
    model, past = DOMAIN.reference(RECIPES["s"]), films.frames(0, 5)
    script = past.scene.script.starting_at(4)
    first = model.encode(past)
    second = model.encode(dataclasses.replace(past, velocity=past.velocity + 1.0))
    first = model.advance(first, script)
    second = model.advance(second, script)
    assert torch.equal(first.position, films.position[5])
    assert not torch.equal(second.position, films.position[5])


@pytest.mark.parametrize("name", ["reference", *DOMAIN.ladder(XS)])
def test_solvers_keep_the_contract(name: str) -> None:
    model = DOMAIN.reference(XS) if name == "reference" else DOMAIN.ladder(XS)[name]
    check_model(model, DOMAIN.example(2))


def test_the_ladder_is_at_least_eight_rungs_and_begins_near_the_truth(films: Trajectory) -> None:
    past = films.frames(0, 5)
    ladder = DOMAIN.ladder(RECIPES["s"])
    assert len(ladder) >= 8
    for name, rung in ladder.items():
        error = (rung.rollout(past, 10).position - films.position[5:15]).square().sum(-1).mean(1).sqrt()
        assert 0 < float(error[0]) < 0.02, name
        assert float(error[-1]) < 0.1, name


def test_a_coarse_sheet_carries_the_fine_one_through_free_fall_exactly() -> None:
    scene, x = physics.sheet_scene((9, 7), (0.9, 0.7), lambda r: r.clone())
    film = Trajectory(scene, x.unsqueeze(0), torch.zeros_like(x).unsqueeze(0) + torch.tensor([1.0, 0.5, 0.0]))
    coarse = DOMAIN.ladder(RECIPES["s"])["fem-h2"]
    got = coarse.rollout(dataclasses.replace(film, scene=still_for(scene, 12)), 10)
    time = 10 * scene.frame_interval
    moved = torch.tensor([1.0, 0.5, 0.0]) * time - torch.tensor([0.0, 0.0, 0.5 * physics.G * time**2])
    assert torch.allclose(got.position[-1], x + moved, atol=1e-5)


def test_nothing_stands_inside_what_is_solid(films: Trajectory) -> None:
    scene = films.scene
    free = scene.free
    for t in range(1, films.n_frames):
        depth = penetration(scene, films.position[t], scene.script.box_offset[t], scene.script.obstacle_position[t])
        assert float(depth[free].max()) == 0.0


# -- scenes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_starts_are_the_same_bytes_every_time(split: str) -> None:
    for index in range(4):
        a, b = (DOMAIN.sample_start(XS, split, index, 7) for _ in range(2))
        assert torch.equal(a.position, b.position)
        assert a.scene.script.n_frames == XS.n_frames(split)


def test_splits_are_out_of_distribution_where_they_say_so() -> None:
    recipe = RECIPES["s"]
    starts = {
        s: [DOMAIN.sample_start(recipe, s, i, 7) for i in range(16)] for s in ("train", "more", "material", "shape")
    }
    sizes = {s: [film.scene.n_nodes for film in films] for s, films in starts.items()}
    assert max(sizes["train"]) <= 14**2 < 17**2 <= min(sizes["more"])
    assert 2 <= sum(sizes["more"]) / sum(sizes["train"]) <= 4
    for name, ranges in scenes.RANGES.items():
        assert ranges["train"][1] < ranges["material"][0]
        for split, low, high in (("train", *ranges["train"]), ("material", *ranges["material"])):
            drawn = [float(film.scene.parameters[name][0]) for film in starts[split]]
            assert low * 0.999 <= min(drawn) <= max(drawn) <= high * 1.001
    balls = {int(k) for film in starts["train"] for k in film.scene.obstacle_kind}
    boxes = {int(k) for film in starts["shape"] for k in film.scene.obstacle_kind}
    assert balls == {0}
    assert boxes == {1}
    # A cut sheet's area is less than its outline's.
    for film in starts["shape"]:
        size = film.scene.rest_position.amax(0) - film.scene.rest_position.amin(0)
        area = float(film.scene.mass.sum() / film.scene.parameters["mass_per_area"][0])
        assert area < 0.95 * float(size[0] * size[1])


def test_all_families_start_at_rest_with_their_own_weight_or_in_free_flight() -> None:
    for index in range(16):
        start = DOMAIN.sample_start(RECIPES["s"], "train", index, 1)
        strain = edge_strain(start)
        assert float(strain.abs().max()) < 0.06


def test_siblings_weigh_as_their_mass_per_area_has_it() -> None:
    scene = DOMAIN.sample_start(XS, "train", 0, 1).scene
    heavier = DOMAIN.with_parameter(scene, "mass_per_area", 2 * float(scene.parameters["mass_per_area"][0]))
    assert torch.allclose(heavier.mass, 2 * scene.mass)
    assert torch.equal(DOMAIN.with_parameter(scene, "friction", 0.5).mass, scene.mass)


@pytest.mark.parametrize("name", ["cloth", "fluid", "rigid"])
def test_generated_siblings_pass_verification(name: str, tmp_path: Path) -> None:
    """Of every domain: one start, one difference, which is what the index says."""
    few = dataclasses.replace(track("smoke"), trajectories={"train": 4})
    folder = datasets.generate(name, few, tmp_path, siblings=3)
    assert datasets.verify(folder) == []
    varied = {s.variation.varied for s in datasets.siblings(folder, "train")}
    assert "" in varied
    assert len(varied) > 1


# -- observables and events ------------------------------------------------------------------------------------------------


def film_of(scene: Scene, *positions: Tensor) -> Trajectory:
    x = torch.stack(positions)
    return Trajectory(still_for(scene, len(positions)), x, torch.zeros_like(x))


def test_material_points_follow_the_material() -> None:
    """An affine map of the sheet is an affine map of its points, on any mesh."""
    found = []
    for cells in ((7, 9), (12, 5)):
        scene, x = physics.sheet_scene(cells, (1.0, 0.6), lambda r: r.clone())
        moved = x @ torch.tensor([[0.9, 0.1, 0.3], [0.0, 1.2, -0.2], [0.0, 0.0, 1.0]]) + 0.5
        found.append(material_points(film_of(scene, x, moved)))
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert found[0].shape == (2, 1, 75)
    assert float(found[0][0, 0, 0]) == pytest.approx(-0.4)


def test_events_are_what_they_are_called() -> None:
    scene, x = physics.sheet_scene((6, 6), (0.6, 0.6), lambda r: r + torch.tensor([0.0, 0, 1.0]), floor=True,
                                   ball=(0.0, 0.0, 0.3, 0.2), thickness=0.02)  # fmt: skip
    flat = x.clone()
    beside = x + torch.tensor([0.8, 0.0, 0.0])
    stretched = x * torch.tensor([1.2, 1.0, 1.0])
    folded = x.clone()
    folded[:, 0] = -folded[:, 0].abs()
    folded[:, 2] += 0.02 * (x[:, 0] > 0)
    labels = DOMAIN.events(film_of(scene, flat, beside, stretched, folded, flat * torch.nan))
    assert labels["slides off"][:, 0].tolist() == [False, True, False, False, False]
    assert labels["over-stretches"][:, 0].tolist() == [False, False, True, False, False]
    assert labels["tangles"][:, 0].tolist() == [False, False, False, True, False]


def test_sampled_films_hold_every_event(films: Trajectory) -> None:
    longer = DOMAIN.simulate(RECIPES["s"], "train", range(24), root_seed=1)
    labels = DOMAIN.events(longer)
    for name, values in labels.items():
        share = float(values.any(0).to(torch.float64).mean())
        assert 0 < share < 1, name


# -- odd sheets ------------------------------------------------------------------------------------------------------------


def solver_on(scene: Scene, x: Tensor) -> Trajectory:
    return physics.run(scene, x, torch.zeros_like(x), 20)


def test_sheets_that_are_no_sheets_are_refused_by_name() -> None:
    scene, x = physics.sheet_scene((3, 3), (0.3, 0.3), lambda r: r.clone())

    def refused(match: str, **change: object) -> None:
        with pytest.raises(MisuseError, match=match):
            solver_on(dataclasses.replace(scene, **change), x)  # type: ignore[arg-type]

    flat = scene.rest_position.clone()
    flat[scene.faces[0, 1]] = flat[scene.faces[0, 0]] + 1e-9
    refused("face 0 has the area", rest_position=flat)
    bent = scene.rest_position.clone()
    bent[:, 2] = bent[:, 0].abs()
    refused("a rest shape is flat", rest_position=bent)
    refused(
        "has three faces",
        faces=torch.cat([scene.faces, scene.faces[:1]]),
        face_ptr=scene.face_ptr + torch.tensor([0, 1]),
    )
    refused("has no faces", faces=scene.faces[:0], face_ptr=torch.tensor([0, 0]))
    refused("belongs to no face", faces=scene.faces[2:], face_ptr=scene.face_ptr - torch.tensor([0, 2]))
    for name, value in (("friction", math.nan), ("mass_per_area", -1.0), ("stretch_stiffness", math.inf)):
        refused(name, parameters={**scene.parameters, name: torch.tensor([value])})
    refused("no parameter 'thickness'", parameters={k: v for k, v in scene.parameters.items() if k != "thickness"})
    refused("substeps a frame", parameters={**scene.parameters, "stretch_stiffness": torch.tensor([1e12])})


def test_a_corner_dragged_faster_than_cloth_can_follow_over_stretches_and_stays_finite() -> None:
    start = DOMAIN.sample_start(RECIPES["s"], "train", 2, 1)
    path = start.scene.script.node_position.clone()
    path += torch.arange(len(path))[:, None, None] * torch.tensor([4.0, 0.0, 0.0])  # 200 m/s
    scene = start.scene.with_script(dataclasses.replace(start.scene.script, node_position=path))
    film = DOMAIN.reference(RECIPES["s"]).rollout(dataclasses.replace(start, scene=scene), 20)
    assert film.diverged_at is not None
    assert int(film.diverged_at[0]) == NEVER
    assert bool(DOMAIN.events(film)["over-stretches"][-1, 0])


def test_a_sheet_that_starts_inside_a_ball_is_pushed_out() -> None:
    scene, x = physics.sheet_scene((8, 8), (0.6, 0.6), lambda r: r + torch.tensor([0.0, 0, 0.3]), floor=True,
                                   ball=(0.0, 0.0, 0.3, 0.2), thickness=0.02, air_density=1.2, damping=2e-4)  # fmt: skip
    film = solver_on(scene, x)
    away = torch.linalg.vector_norm(film.position[1:] - torch.tensor([0.0, 0.0, 0.3]), dim=-1)
    assert bool(torch.isfinite(film.position).all())
    assert float(away.min()) > 0.2


def test_layers_on_one_spot_stay_finite() -> None:
    def doubled(rest: Tensor) -> Tensor:
        return torch.stack([rest[:, 0].abs(), rest[:, 1], torch.zeros_like(rest[:, 0]) + 0.1], 1)

    scene, x = physics.sheet_scene((8, 4), (0.8, 0.4), doubled, floor=True, thickness=0.02)
    assert bool(torch.isfinite(solver_on(scene, x).position).all())


def test_a_sheet_crushed_beyond_the_room_for_contacts_says_so() -> None:
    scene, x = physics.sheet_scene(
        (16, 16), (1.0, 1.0), lambda r: 0.02 * r + torch.tensor([0.0, 0, 1.0]), thickness=0.02
    )
    film = Trajectory(still_for(scene, 5), x.unsqueeze(0), torch.zeros_like(x).unsqueeze(0))
    got = DOMAIN.reference(RECIPES["s"]).rollout(film, 3)
    assert got.diverged_at is not None
    assert int(got.diverged_at[0]) == 0


def test_driven_vertices_alone_are_a_scene_too() -> None:
    scene, x = physics.sheet_scene(
        (2, 2), (0.2, 0.2), lambda r: r.clone(), lambda r: torch.ones(len(r), dtype=torch.bool)
    )
    assert int((scene.node_type == NodeType.DRIVEN).sum()) == scene.n_nodes
    assert torch.equal(solver_on(scene, x).position[-1], x)


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(films: Trajectory) -> None:
    past = films.frames(0, 5)
    got = DOMAIN.reference(RECIPES["s"], "cuda").rollout(past.to("cuda"), 5).to("cpu")
    assert float((got.position - films.position[5:10]).abs().max()) < 1e-4


def test_stacked_scenes_of_many_sizes_run_together() -> None:
    starts = stack([DOMAIN.sample_start(XS, split, 1, 2).frames(0, 1) for split in ("train", "more", "shape")])
    film = DOMAIN.reference(XS).rollout(starts, 3)
    assert bool(torch.isfinite(film.position).all())
