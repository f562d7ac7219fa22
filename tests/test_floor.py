"""The reference's own error: refined runs carry the same nodes, converge, and end what can be ranked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hedgefox.bench import record as records
from hedgefox.bench.floor import floor_one, parting, samples_of
from hedgefox.bench.run import run
from hedgefox.bench.score import prepare, rolled
from hedgefox.contracts import Domain, Track, registry, stack, track
from hedgefox.datasets import generate
from hedgefox.simulators._coarse_fluid import restrict

DOMAINS = ("fluid", "cloth", "rigid")


@pytest.fixture(scope="module")
def tiny() -> Track:
    return dataclasses.replace(track("smoke"), training_steps=4, only=("persistence", "constant_velocity"))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_refined_run_starts_from_the_same_nodes_and_stays_near(name: str) -> None:
    """Nearer to the reference than the coarsest rung is, at every frame; a rung that were it would fail."""
    domain = registry.domain(name)
    recipe = domain.recipe("xs")
    film = stack([domain.simulate(recipe, "test", [k], root_seed=7) for k in range(2)])
    case = prepare(domain, "test", film, recipe)
    refined = domain.refined(recipe)
    assert refined is not None
    coarsest = list(domain.ladder(recipe).values())[-1]

    def error(model: object) -> torch.Tensor:
        answer = rolled(case, model)  # type: ignore[arg-type]
        assert answer.position.shape == case.truth.position.shape
        apart: torch.Tensor = (answer.position - case.truth.position)[:, case.truth.scene.free].norm(dim=-1)
        return apart.mean(1)

    fine, coarse = error(refined), error(coarsest)
    assert bool((fine < coarse).all())
    assert float(fine[-1]) > 0
    assert float(fine[0]) < 1e-3


def test_split_particles_keep_mass_momentum_and_place() -> None:
    domain = registry.domain("fluid")
    recipe = domain.recipe("xs")
    start = stack([domain.sample_start(recipe, "test", k, 5) for k in range(3)])
    scene, frame = start.scene, dataclasses.replace(start.frame(-1), velocity=torch.rand(start.scene.n_nodes, 2))
    fine, fine_frame = restrict(scene, frame, 0.5 * recipe.resolution)
    for b in range(3):
        few, many = scene.node_scene == b, fine.node_scene == b
        free = int((few & scene.free).sum())
        assert int((many & fine.free).sum()) == 4 * free
        assert float(fine.mass[many].sum()) == pytest.approx(float(scene.mass[few].sum()), rel=1e-5)
        momenta = [(s.mass[w & s.free, None] * f.velocity[w & s.free]).sum(0) for s, w, f in
                   ((scene, few, frame), (fine, many, fine_frame))]  # fmt: skip
        torch.testing.assert_close(momenta[0], momenta[1], rtol=1e-4, atol=1e-5)
        middles = [f.position[w & s.free].mean(0) for s, w, f in ((scene, few, frame), (fine, many, fine_frame))]
        torch.testing.assert_close(middles[0], middles[1], rtol=0, atol=0.02 * recipe.resolution)
        inside = (fine_frame.position[many] > fine.bounds[b, 0]) & (fine_frame.position[many] < fine.bounds[b, 1])
        assert bool(inside.all())


def test_parting_is_the_first_frame_past_the_threshold() -> None:
    curve = np.array([[0.01, 0.01], [0.02, 0.06], [0.05, 0.09], [0.01, 0.01]])
    assert parting(curve, 0.05) == 3
    assert parting(curve, 0.5) is None


def test_a_floor_is_what_the_refined_run_errs(tmp_path: Path, ballistic: Domain, tiny: Track) -> None:
    folder = generate(ballistic, tiny, tmp_path)
    recipe = ballistic.recipe(tiny.size)
    found = floor_one(ballistic, folder, recipe, "cpu", 2)
    assert found is not None
    assert (found["solver"], found["scenes"], found["parts_at"]) == ("refined", 2, None)
    held = samples_of(found, "position_rmse")
    mean = found["values"]["position_rmse@1"]["last"]["value"]
    assert held["last"].shape == (2,)
    assert 0 < mean == pytest.approx(held["last"].mean())
    # Drag off by 0.3 %: the error grows as the square of time, far below that of the ladder's finest setting.
    assert held["last"].mean() > 10 * held["1"].mean()


def test_a_domain_without_a_refined_run_has_no_floor(
    tmp_path: Path, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .ballistic import Ballistic

    monkeypatch.setattr(Ballistic, "refined", lambda self, recipe, device="cpu": None)
    domain = Ballistic()
    folder = generate(domain, tiny, tmp_path)
    assert floor_one(domain, folder, domain.recipe(tiny.size), "cpu", 2) is None


def test_a_run_records_its_floor_and_holds_speeds_against_it(tmp_path: Path, ballistic: Domain, tiny: Track) -> None:
    made = records.read(run(tiny, tmp_path, [ballistic]))
    floor = made["domains"][0]["floor"]
    assert floor["scenes"] == tiny.floor_scenes
    assert "floor" in {s["name"] for s in made["stages"]}
    entry = next(s for s in made["speed"] if s["model"] == "constant_velocity")
    assert entry["speedup_equal_accuracy"]["at_floor"] is False
