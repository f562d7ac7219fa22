"""Every model file keeps the contract, is exact on its own ground, and survives being saved."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import Domain, MisuseError, Trajectory, Wall, check_model, registry, single_scene
from hedgefox.surrogates import _features, _store
from hedgefox.surrogates.particle_gnn import ParticleGNN
from hedgefox.surrogates.particle_gnn import build as build_particle_gnn

from . import particles, sheets, solids

MODELS = surrogates.names()
FILMS = {"fluid": particles.film, "cloth": sheets.film, "rigid": solids.film}
"""A small film of each kind of physics, made in a moment."""
DOMAINS = ["ballistic", *registry.names("simulators")]


def example(domain: str, ballistic: Domain, n_frames: int) -> Trajectory:
    return (ballistic if domain == "ballistic" else registry.domain(domain)).example(n_frames)


def uniform_motion(n_frames: int, gravity: float = 0.0) -> Trajectory:
    """Points far apart in free fall, or in uniform motion, in closed form."""
    rng = torch.Generator().manual_seed(2)
    x, v = torch.rand((6, 2), generator=rng), torch.randn((6, 2), generator=rng)
    dt = 0.01
    scene = single_scene(
        domain="fluid",
        frame_interval=dt,
        rest_position=x,
        mass=1.0,
        bounds=torch.tensor([[-9.0, -9.0], [9.0, 9.0]]),
        wall=torch.full((2, 2), int(Wall.OPEN)),
        gravity=[0.0, -gravity],
        n_frames=n_frames + 30,
    )
    time = (torch.arange(n_frames) * dt).reshape(-1, 1, 1)
    fall = torch.tensor([0.0, -gravity])
    return Trajectory(scene, x + v * time + fall * time**2 / 2, v + fall * time)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", MODELS)
def test_contract(name: str, domain: str, ballistic: Domain) -> None:
    fits = registry.model(name).DOMAINS
    if "*" not in fits and domain not in fits:
        with pytest.raises(MisuseError, match=domain):
            surrogates.create(name, domain)
        return
    model: Any = surrogates.create(name, domain)
    film = example(domain, ballistic, model.card.history + 2)
    if model.settings.get("dim", film.scene.dim) != film.scene.dim:
        model = surrogates.create(name, domain, dim=film.scene.dim)
    assert model.card.name == name
    # Made for one domain, what could learn several is a specialist.
    one_of_several = surrogates.scope(name) == "all"
    assert model.card.kind == ("specialist" if one_of_several else registry.model(name).KIND)
    assert len(check_model(model, film)) == 9


def kinds(name: str) -> list[str]:
    """The kinds of physics that a model continues, of those that have a small film."""
    fits = registry.model(name).DOMAINS
    return [k for k in FILMS if "*" in fits or k in fits]


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in MODELS for k in kinds(n)])
def test_contract_on_small_films(name: str, kind: str) -> None:
    settings = {"dim": 3} if name == "linear" and kind != "fluid" else {}
    check_model(surrogates.create(name, kind, size="s", **settings), FILMS[kind](3, 7, extra_script=8))


def test_constant_velocity_is_exact_for_uniform_motion() -> None:
    film = uniform_motion(25)
    got = surrogates.create("constant_velocity", "fluid").rollout(film.frames(0, 5), 20)
    torch.testing.assert_close(got.position, film.position[5:], atol=1e-6, rtol=0)


def test_constant_velocity_turns_bodies() -> None:
    model: Any = surrogates.create("constant_velocity", "rigid")
    film = uniform_motion(3)
    corner = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
    scene = single_scene(
        domain="rigid",
        frame_interval=0.01,
        rest_position=corner,
        mass=1.0,
        bounds=torch.tensor([[-2.0] * 3, [2.0] * 3]),
        body_id=torch.zeros(4),
        n_frames=60,
    )
    spin = torch.tensor([0.0, 0.0, torch.pi])
    pose = torch.tensor([[[0.0, 0, 0, 0, 0, 0, 1]]])
    twist = torch.cat([torch.tensor([1.0, 0, 0]), spin]).reshape(1, 1, 6)
    past = Trajectory(scene, corner.unsqueeze(0), torch.zeros(1, 4, 3), pose, twist)
    film = model.rollout(past, 50)
    # Half a second at half a turn a second: a quarter turn about z, and half a metre along x.
    expected = torch.tensor([[0.5, 1, 0], [-0.5, 0, 0], [0.5, 0, 1], [0.5, -1, 0]])
    torch.testing.assert_close(film.position[-1], expected, atol=1e-5, rtol=0)
    half = torch.tensor([0.0, 0, 0.5**0.5, 0.5**0.5])
    torch.testing.assert_close(film.pose[-1, 0, 3:], half, atol=1e-5, rtol=0)


def test_persistence_stands_still() -> None:
    film = uniform_motion(5)
    got = surrogates.create("persistence", "fluid").rollout(film, 3)
    assert torch.equal(got.position, film.position[-1:].expand(3, -1, -1))
    assert not got.velocity.any()


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_is_the_same(name: str, tmp_path: Path) -> None:
    kind = kinds(name)[0]
    film = FILMS[kind](2, 6, extra_script=8)
    model = surrogates.create(name, kind, size="xs", seed=3)
    surrogates.save(model, tmp_path)
    again = surrogates.load(tmp_path)
    assert again.card == model.card
    assert torch.equal(again.rollout(film, 4).position, model.rollout(film, 4).position)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "weights.safetensors"}


def test_loading_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no saved model"):
        surrogates.load(tmp_path)
    surrogates.save(surrogates.create("particle_gnn", "fluid", size="xs"), tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    for change, text in (
        ({"format": 9}, "format 9"),
        ({"model": "../evil"}, "unknown model"),
        ({"settings": {"x": 1}}, "'x'"),
    ):
        (tmp_path / "model.json").write_text(json.dumps(described | change))
        with pytest.raises(MisuseError, match=text):
            surrogates.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(described))
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(MisuseError, match="does not hold"):
        surrogates.load(tmp_path)


def test_misuse_is_named() -> None:
    with pytest.raises(MisuseError, match="unknown model 'nonesuch'; one of constant_velocity"):
        surrogates.create("nonesuch", "fluid")
    with pytest.raises(MisuseError, match="no size 'huge'"):
        surrogates.create("particle_gnn", "fluid", size="huge")
    with pytest.raises(MisuseError, match="unknown setting 'wdith'; known are"):
        surrogates.create("particle_gnn", "fluid", wdith=3)
    with pytest.raises(MisuseError, match="setting 'width' is '32'; a value like 32 is right"):
        surrogates.create("particle_gnn", "fluid", width="32")
    with pytest.raises(MisuseError, match=r"setting 'history' is 2\.5"):
        surrogates.create("linear", "fluid", history=2.5)
    with pytest.raises(MisuseError, match="3 space axes; the film has 2"):
        surrogates.create("particle_gnn", "fluid", dim=3).rollout(particles.film(1, 6, extra_script=8), 1)
    assert not surrogates.trainable("persistence")
    assert surrogates.trainable("particle_gnn")


# The graph network


def awake(**settings: Any) -> ParticleGNN:
    """A network whose untrained answer is large enough to notice."""
    model = build_particle_gnn("fluid", size="xs", seed=1, spacing=particles.SPACING, **settings)
    model.acceleration_std.fill_(0.01)
    return model.eval()


def step(model: ParticleGNN, film: Trajectory) -> torch.Tensor:
    return model.rollout(film, 1).position[0]


def test_particle_gnn_knows_no_place() -> None:
    film = particles.film(2, 6, extra_script=8)
    shift = torch.tensor([3.0, -2.0])
    script = film.scene.script._map(lambda name, x: x if name == "box_offset" else x + shift)
    scene = dataclasses.replace(film.scene, bounds=film.scene.bounds + shift, script=script)
    moved = dataclasses.replace(film, scene=scene, position=film.position + shift)
    torch.testing.assert_close(step(awake(), moved) - shift, step(awake(), film), atol=2e-5, rtol=0)


def test_particle_gnn_knows_no_uniform_motion() -> None:
    """Galilean invariance: box, nodes and script moving on together change nothing but the motion itself."""
    film = particles.film(2, 6, extra_script=8)
    drift = (0.004 * torch.arange(14)).reshape(-1, 1, 1) * torch.tensor([1.0, -0.5])
    script = film.scene.script._map(lambda name, x: x + drift)
    moved = dataclasses.replace(
        film, scene=film.scene.with_script(script), position=film.position + drift[:6], velocity=film.velocity
    )
    torch.testing.assert_close(step(awake(), moved) - drift[6], step(awake(), film), atol=2e-5, rtol=0)


def test_withheld_parameters_count_as_their_mean() -> None:
    film = particles.film(2, 6, extra_script=8)
    model = awake(parameters=("viscosity",))
    model.measure(film)

    def with_viscosity(value: torch.Tensor) -> Trajectory:
        return dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters={"viscosity": value}))

    withheld = step(model, with_viscosity(torch.full((2,), torch.nan)))
    mean = model.parameter_mean.exp().float().expand(2)  # a positive quantity's mean is geometric
    torch.testing.assert_close(withheld, step(model, with_viscosity(mean)))
    assert not torch.equal(withheld, step(model, with_viscosity(2 * mean)))


def test_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (build_particle_gnn("fluid", seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


# Features


def test_noise_touches_nothing_stored_and_no_driven_node() -> None:
    model = awake()
    film = particles.film(3, model.window)
    before = film.position.clone()
    model.measure(film)
    for _ in range(20):
        model.loss(film, torch.Generator().manual_seed(0))
    assert torch.equal(film.position, before)
    noise = _features.random_walk(film.position, film.scene.free, 0.1, torch.Generator().manual_seed(0))
    assert not noise[:, ~film.scene.free].any()
    assert not noise[0].any()


def test_noise_has_the_stated_spread_at_the_last_displacement() -> None:
    still = torch.zeros((5, 20000, 2))
    noise = _features.random_walk(still, torch.ones(20000, dtype=torch.bool), 0.3, torch.Generator().manual_seed(0))
    assert float((noise[-1] - noise[-2]).std()) == pytest.approx(0.3, rel=0.02)


def test_target_corrects_the_velocity_and_keeps_the_position() -> None:
    """The target leads from a noisy history back to the true velocity, not to the true position."""
    film = uniform_motion(5)
    x = film.position.double()
    noise = _features.random_walk(x[:-1], film.scene.free, 0.1, torch.Generator().manual_seed(0))
    noisy = torch.cat([x[:-1] + noise, x[-1:] + noise[-1:]])
    target = _features.accelerations(film.scene, noisy[-3:])[0]
    landed = 2 * noisy[-2] - noisy[-3] + target
    torch.testing.assert_close(landed - noisy[-2], x[-1] - x[-2])


def test_moments_in_float64() -> None:
    """A small spread on a large mean, which float32 running sums get wrong by half (true 0.010 read as 0.015)."""
    values = 1000 + 0.01 * torch.randn((200_000, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, std = _features.moments(values)
    assert mean.dtype == std.dtype == torch.float64
    assert std.tolist() == pytest.approx([0.01, 0.01], rel=0.01)


def test_velocity_is_exact_for_constant_acceleration() -> None:
    film = uniform_motion(6, gravity=9.81)
    got = _features.backward_velocity(film.scene, film.position)
    torch.testing.assert_close(got, film.velocity[-1], atol=2e-4, rtol=0)


def test_a_folder_belongs_to_one_training(tmp_path: Path) -> None:
    _store.claim(tmp_path, {"model": "linear", "seed": 0})
    _store.claim(tmp_path, {"model": "linear", "seed": 0})
    with pytest.raises(MisuseError, match="seed 0; this one has 1"):
        _store.claim(tmp_path, {"model": "linear", "seed": 1})


def test_the_mirror_is_its_own_inverse_and_physics_holds_in_it() -> None:
    from hedgefox.simulators.fluid import DOMAIN
    from hedgefox.surrogates._symmetry import mirrored

    recipe = DOMAIN.recipe("xs")
    film = DOMAIN.simulate(recipe, "test", [0, 2, 3], 1)
    again = mirrored(mirrored(film, ("tilt",)), ("tilt",))
    assert torch.allclose(again.position, film.position, atol=1e-6)
    assert torch.equal(again.scene.parameters["tilt"], film.scene.parameters["tilt"])
    ahead = DOMAIN.reference(recipe).rollout(mirrored(film.frames(0, 1), ("tilt",)), 10)
    assert torch.allclose(ahead.position, mirrored(film.frames(1, 11), ("tilt",)).position, atol=1e-5)
