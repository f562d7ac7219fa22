"""Linear probes: what is planted is found, noise is not, what does not vary is not asked, parameters are withheld; and in a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hedgefox.bench import record as records
from hedgefox.bench.probes import MOMENTS, Samples, moments, probe, probe_all, quantities
from hedgefox.bench.run import run
from hedgefox.contracts import Domain, Recipe, Trajectory, registry, track
from hedgefox.contracts._ragged import group_mean
from hedgefox.contracts.model import offers_features
from hedgefox.surrogates.constant_velocity import ConstantVelocity
from torch import Tensor


def planted(rows: int, seed: int) -> Samples:
    """Ten scenes or more of four rows each: features, what is linear in them, what is not in them, what does not vary."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)) * [1, 10, 0.1, 1, 1] + 3
    x[:, 4] = 7.0
    linear = x[:, :3] @ np.random.default_rng(0).normal(size=(3, 2)) + 1e4
    held = {"linear": linear, "noise": rng.normal(size=(rows, 1)), "constant": np.full((rows, 2), 0.1)}
    return Samples(x, held, np.arange(rows) % (rows // 4))


def asked(name: str, change: Callable[[Samples], Samples] = lambda samples: samples) -> Any:
    train, valid, test = (change(planted(n, seed)) for n, seed in ((200, 1), (60, 2), (80, 3)))
    return probe(train, valid, test, name)


def test_what_is_linear_in_the_features_is_read_off() -> None:
    found = asked("linear")
    assert found.value > 0.9999
    assert found.low <= found.value <= found.high <= 1


def test_noise_is_not() -> None:
    found = asked("noise")
    assert found.value < 0.1
    assert found.low <= found.value <= found.high


def test_what_does_not_vary_is_not_asked_and_an_axis_that_does_not_is_left_out() -> None:
    assert asked("constant") is None

    def half(samples: Samples) -> Samples:
        y = samples.quantities["linear"].copy()
        y[:, 1] = 5.0
        return dataclasses.replace(samples, quantities={"linear": y})

    assert asked("linear", half).value > 0.9999


def test_rows_of_an_unknown_quantity_are_left_out() -> None:
    def holes(samples: Samples) -> Samples:
        y = samples.quantities["linear"].copy()
        y[::3] = np.nan
        return dataclasses.replace(samples, quantities={"linear": y, "none": np.full_like(y, np.nan)})

    assert asked("linear", holes).value > 0.9999
    assert asked("none", holes) is None


def test_one_scene_gives_no_interval() -> None:
    def alone(samples: Samples) -> Samples:
        return dataclasses.replace(samples, scene=np.zeros_like(samples.scene))

    found = asked("linear", alone)
    assert (found.low, found.high) == (None, None)


# -- of films ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films(ballistic: Domain, recipe: Recipe) -> dict[str, Trajectory]:
    numbers = {"train": 30, "valid": 10, "test": 16}
    return {s: ballistic.simulate(recipe, s, list(range(n)), root_seed=2) for s, n in numbers.items()}


def means(film: Trajectory, frame: int) -> Tensor:
    """A vector that knows where matter is and how it moves."""
    both = torch.cat([film.position[frame], film.velocity[frame]], -1)
    return group_mean(both.T, film.scene.scene_ptr).T


def parameters(film: Trajectory, frame: int) -> Tensor:
    return torch.stack(list(film.scene.parameters.values()), -1).log()


def test_a_film_is_asked_for_matter_and_a_hidden_parameter_cannot_be_peeked_at(
    films: dict[str, Trajectory], ballistic: Domain
) -> None:
    rows = probe_all(films, ballistic, {"means": means, "peek": parameters}, 4)
    r2 = {(r["quantity"], r["features"]): r["r2"] for r in rows}
    assert r2["centre of mass", "means"]["value"] > 0.5
    assert r2["mean velocity", "means"]["value"] > r2["centre of mass", "means"]["value"] - 0.5
    assert r2["drag", "peek"]["value"] <= 0, "each scene's own drag was seen"
    assert r2["contact", "means"] is None, "the box is open"
    assert {q for q, _ in r2} == {"centre of mass", "mean velocity", "contact", "drag", "event: low"}


def test_moments_begin_where_features_can(films: dict[str, Trajectory]) -> None:
    assert moments(films["test"], 4)[0] == 4
    assert moments(films["test"], 4)[-1] == films["test"].n_frames - 1
    assert len(moments(films["test"], 4)) == MOMENTS
    assert moments(films["test"].frames(0, 3), 1) == [1, 2]


@pytest.mark.parametrize("name", ["cloth", "fluid", "rigid"])
def test_quantities_of_every_kind_of_physics(name: str) -> None:
    film = registry.domain(name).example(4)
    found = quantities(film, registry.domain(name), [1, 3])
    assert {"centre of mass", "mean velocity", "contact"} <= set(found)
    assert any("energy" in q for q in found)
    for quantity, values in found.items():
        assert values.shape[:2] == (2, film.scene.n_scenes), quantity
    free, body = film.scene.free, film.scene.node_scene == 1
    mass = film.scene.mass.double()[free & body]
    mean = (film.position[3][free & body].double() * mass[:, None]).sum(0) / mass.sum()
    assert torch.allclose(found["centre of mass"][1, 1], mean)


# -- in a run ----------------------------------------------------------------------------------------------------------


def test_a_run_probes_the_models_that_offer_features(
    tmp_path: Path, ballistic: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not offers_features(registry.model("linear").build("ballistic")), "its features are something else"
    tiny = dataclasses.replace(track("smoke"), training_steps=4, only=("persistence", "constant_velocity"))
    monkeypatch.setattr(ConstantVelocity, "features", lambda self: {"latent": means, "one": ones}, raising=False)
    made = records.read(run(tiny, tmp_path, [ballistic]))
    assert {(p["domain"], p["model"], p["seed"]) for p in made["probes"]} == {("ballistic", "constant_velocity", None)}
    assert {p["features"] for p in made["probes"]} == {"latent", "one"}
    assert "probe" in {s["name"] for s in made["stages"]}
    assert made["failures"] == []

    monkeypatch.setattr("hedgefox.bench.run.probe_one", None)
    assert records.read(run(tiny, tmp_path, [ballistic]))["probes"] == made["probes"], "done before"
    unasked = records.read(run(dataclasses.replace(tiny, probed=False), tmp_path / "unasked", [ballistic]))
    assert unasked["probes"] == []
    assert "probe" not in {s["name"] for s in unasked["stages"]}


def ones(film: Trajectory, frame: int) -> Tensor:
    return torch.ones((film.scene.n_scenes, 1))


def test_features_that_cannot_be_made_are_a_failure(
    tmp_path: Path, ballistic: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = dataclasses.replace(track("smoke"), training_steps=4, only=("constant_velocity",))
    monkeypatch.setattr(ConstantVelocity, "features", lambda self: {"latent": lambda film, frame: 1 / 0}, raising=False)
    made = records.read(run(tiny, tmp_path, [ballistic]))
    assert [(f["stage"], f["model"]) for f in made["failures"]] == [("probe", "constant_velocity")]
    assert made["probes"] == []
    assert "constant_velocity" in {r["model"] for r in made["scores"]}


def test_records_from_before_there_were_probes_are_read() -> None:
    folder = Path(__file__).parent / "records" / "quick-of-version-1"
    old = records.read(folder)
    for later in ("probes", "training_data_seconds", "break_even"):
        for part in (old, *old["domains"], *old["speed"]):
            part.pop(later, None)
    records.check(old, "an old record")
