"""Other suites' definitions: each against numbers worked out here from the text of the definition, and the scores as a whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hedgefox import surrogates
from hedgefox.bench import record
from hedgefox.bench.suites import _suite, gns, lagrangebench, sinkhorn
from hedgefox.bench.suites.score import score
from hedgefox.cli import main
from hedgefox.contracts import MisuseError, Model, ModelCard, Trajectory, stack, track
from hedgefox.datasets.foreign import _hdf5, open_set
from torch import Tensor

from . import foreign as write


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made here need no other process to look them over."""
    monkeypatch.setattr(_hdf5, "require_harmless", lambda path, foreign: None)


class Replay(Model):
    """Knows the films by heart: answers what follows the past that it is shown, moved by `off` along the first axis."""

    def __init__(self, films: Sequence[Trajectory], off: float = 0.0) -> None:
        self.films, self.off = films, off

    @property
    def card(self) -> ModelCard:
        return ModelCard("replay", "baseline", "none", "none", "memory", ("*",))

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        return stack([self._answer(one, n_frames) for one in past.split()])

    def _answer(self, past: Trajectory, n_frames: int) -> Trajectory:
        seen = past.position
        for film in self.films:
            for first in range(film.n_frames - len(seen) - n_frames + 1):
                if film.position.shape[1:] == seen.shape[1:] and torch.equal(
                    film.position[first : first + len(seen)], seen
                ):
                    answer = film.window(torch.tensor([0]), torch.tensor([first + len(seen)]), n_frames)
                    shift = torch.zeros(film.scene.dim)
                    shift[0] = self.off
                    return dataclasses.replace(answer, position=answer.position + shift)
        raise AssertionError("a past that is in no film")


# -- Sinkhorn ----------------------------------------------------------------------------------------------------------


def squared(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y).square()


def divergence(x: Tensor, y: Tensor) -> float:
    return sinkhorn.divergence(squared(x, y), squared(x, x), squared(y, y))[0]


@pytest.fixture
def points() -> Tensor:
    return torch.rand((40, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_sinkhorn_of_equal_sets_is_zero(points: Tensor) -> None:
    assert divergence(points, points) == pytest.approx(0.0, abs=1e-6)


def test_sinkhorn_of_a_moved_set_is_the_square_of_the_way(points: Tensor) -> None:
    """For squared distances what a move adds to the cost is the same in every plan, up to terms of a row or of a column."""
    moved = points + torch.tensor([0.3, -0.1], dtype=torch.float64)
    assert divergence(points, moved) == pytest.approx(0.1, rel=1e-4)


def test_sinkhorn_is_that_of_plain_iterations(points: Tensor) -> None:
    """The textbook recursion in logarithms, 1000 times, for unequal sets."""
    other = torch.rand((30, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    epsilon = sinkhorn.EPSILON_SHARE * float(squared(points, other).mean())

    def plain(cost: Tensor) -> float:
        f, g = cost.new_zeros(cost.shape[0]), cost.new_zeros(cost.shape[1])
        for _ in range(1000):
            f = -epsilon * torch.logsumexp((g - cost) / epsilon - np.log(len(g)), 1)
            g = -epsilon * torch.logsumexp((f[:, None] - cost) / epsilon - np.log(len(f)), 0)
        return float(f.mean() + g.mean())

    expected = plain(squared(points, other)) - plain(squared(points, points)) / 2 - plain(squared(other, other)) / 2
    assert divergence(points, other) == pytest.approx(expected, rel=1e-3)
    again, _ = sinkhorn.divergence(
        squared(points, other), squared(points, points), squared(other, other),
        start=sinkhorn.divergence(squared(points, other), squared(points, points), squared(other, other))[1],
    )  # fmt: skip
    assert again == pytest.approx(expected, rel=1e-3)


# -- LagrangeBench -----------------------------------------------------------------------------------------------------


def by_hand(truth: Trajectory, predicted: Trajectory) -> dict[str, float]:
    """The suite's definitions in numpy, on a box of length 1 with dx = 0.2 and 0.04 s a frame."""
    x, y = (film.position.double().numpy() for film in (predicted, truth))
    off = x - y - np.round(x - y)
    energies = []
    for film in (x, y):
        step = film[1:] - film[:-1]
        step -= np.round(step)
        energies.append(0.2**2 * ((step / 0.04) ** 2).sum((1, 2)))
    frames = (off**2).mean((1, 2))
    return {
        **{f"mse_{n}": float(frames[:n].mean()) for n in (1, 5, 10, 20)},
        "e_kin_mse": float(((energies[0] - energies[1]) ** 2).mean()),
    }


def test_lagrangebench_numbers_are_those_of_its_definitions(lid: Path) -> None:
    truth, other = (piece.frames(6) for piece in open_set(lid).pieces("test"))
    predicted = dataclasses.replace(truth, position=other.position)
    found = lagrangebench.of_rollout(truth, predicted, 1)
    expected = by_hand(truth, predicted)
    assert {k: found[k] for k in expected} == pytest.approx(expected, rel=1e-5)
    # Walls are among the particles, and a jump around the box is no error.
    wrapped = dataclasses.replace(truth, position=truth.position + torch.tensor([1.0, -2.0]))
    assert lagrangebench.of_rollout(truth, wrapped, 1)["mse_20"] == pytest.approx(0.0, abs=1e-12)
    assert lagrangebench.of_rollout(truth, wrapped, 1)["e_kin_mse"] == pytest.approx(0.0, abs=1e-6)


def test_sinkhorn_goes_around_periodic_axes(lid: Path) -> None:
    """Every point moved by 0.02 along one axis, many of them across the side of the box: 0.02² up to what ε blurs."""
    truth = next(open_set(lid).pieces("test")).frames(6)
    moved = torch.remainder(truth.position + torch.tensor([0.02, 0.0]), 1.0)
    found = lagrangebench.of_rollout(truth, dataclasses.replace(truth, position=moved), 5)
    assert 0 < found["sinkhorn"] < 4.1e-4
    far = torch.remainder(truth.position + torch.tensor([0.1, 0.0]), 1.0)
    assert found["sinkhorn"] < lagrangebench.of_rollout(truth, dataclasses.replace(truth, position=far), 5)["sinkhorn"]


def test_a_rollout_that_is_not_finite_has_no_number(lid: Path) -> None:
    truth = next(open_set(lid).pieces("test")).frames(6)
    position = truth.position.clone()
    position[7:] = torch.nan
    found = lagrangebench.of_rollout(truth, dataclasses.replace(truth, position=position), 1)
    assert np.isfinite(found["mse_5"])
    assert all(np.isnan(found[name]) for name in ("mse_10", "mse_20", "e_kin_mse", "sinkhorn"))


def test_a_model_that_knows_the_films_has_no_error_and_one_that_is_off_by_a_step_has_its_square(lid: Path) -> None:
    films = list(open_set(lid).films("test"))
    right = score([Replay(films)], lid, stride=5)["rows"][0]
    assert right["rollouts"] == 2
    assert right["metrics"]["lagrangebench/mse_20@0.2.0"] == pytest.approx(0.0, abs=1e-12)
    off = score([Replay(films, off=0.01)], lid, stride=5)
    assert off["rows"][0]["metrics"]["lagrangebench/mse_5@0.2.0"] == pytest.approx(0.01**2 / 2, rel=1e-3)
    assert "stride of 5" in off["suite"]["source"]


# -- DeepMind's particles ----------------------------------------------------------------------------------------------


def test_gns_numbers_are_those_of_its_definitions(drop: Path) -> None:
    found = score([surrogates.create("persistence", "fluid")], drop)["rows"][0]
    steps, rollouts = [], []
    for film in open_set(drop).films("test"):
        x = film.position.double().numpy()
        free = film.scene.free.numpy()[:, None]
        steps.append(((x[6:] - x[5:-1]) ** 2 * free).reshape(-1))
        rollouts.append((((x[6:20] - x[5]) * free) ** 2).mean())
    assert found["metrics"]["gns/one_step_position_mse@2020"] == pytest.approx(np.concatenate(steps).mean(), rel=1e-5)
    assert found["metrics"]["gns/rollout_mse@2020"] == pytest.approx(np.mean(rollouts), rel=1e-5)
    assert found["frames"] == 14


def test_single_steps_are_the_same_in_any_number_of_windows_at_once(drop: Path) -> None:
    film, model = next(open_set(drop).films("test")), surrogates.create("constant_velocity", "fluid")
    assert torch.allclose(_suite.one_step(model, film, gns.PAST), _suite.one_step(model, film, gns.PAST, nodes=1))


# -- MeshGraphNets -----------------------------------------------------------------------------------------------------


def test_meshgraphnets_numbers_are_those_of_its_definitions(tmp_path: Path) -> None:
    found = score([surrogates.create("persistence", "cloth")], write.flag(tmp_path / "flag"))["rows"][0]
    film = write.flag_film(14, seed=2)
    x, free = film["world_pos"].astype(float), film["node_type"][0] == 0
    # Frames 0 and 1 are seen, 13 is scored by no rollout.
    square = (((x[2:13] - x[1]) * free) ** 2).mean((1, 2))
    assert found["metrics"]["meshgraphnets/rmse_1@2021"] == pytest.approx(square[0] ** 0.5, rel=1e-5)
    assert found["metrics"]["meshgraphnets/mse_10_steps@2021"] == pytest.approx(square[:10].mean(), rel=1e-5)
    assert found["metrics"]["meshgraphnets/rmse_all@2021"] == pytest.approx(square.mean() ** 0.5, rel=1e-5)
    assert "meshgraphnets/rmse_50@2021" not in found["metrics"]


def test_of_a_flow_the_velocities_are_scored(tmp_path: Path) -> None:
    stored = write.cylinder_film(8)
    folder = write.meshgraphnets(tmp_path / "cylinder", {"test": [stored]}, 8, dt=0.01)
    found = score([surrogates.create("constant_velocity", "fluid")], folder)["rows"][0]
    v = stored["velocity"].astype(float)
    expected = ((v[2:7] - v[1]) ** 2).mean() ** 0.5
    assert found["metrics"]["meshgraphnets/rmse_all@2021"] == pytest.approx(expected, rel=1e-5)


# -- scores as a whole -------------------------------------------------------------------------------------------------


def test_a_named_model_is_trained_on_the_set_and_scored(lid: Path, tmp_path: Path) -> None:
    """A straight motion through a periodic box: one of a few steps of training is already ahead of standing still."""
    quick = dataclasses.replace(track("smoke"), training_steps=20)
    found = score(["persistence", "particle_gnn"], lid, tmp_path, track=quick, stride=19)
    still, trained = (row["metrics"]["lagrangebench/mse_20@0.2.0"] for row in found["rows"])
    assert trained < still / 10
    assert found["rows"][1]["card"]["training_data"] == found["data"]["manifest"] == open_set(lid).manifest
    assert json.loads((tmp_path / "scores.json").read_text()) == found
    # Nothing that makes hedgefox's own boards sees it.
    with pytest.raises(MisuseError, match=r"no record\.json"):
        record.find(tmp_path)


@pytest.mark.parametrize("model", ["linear", "particle_gnn", "gns"])
def test_a_few_particles_far_apart_in_a_periodic_box_are_learned(model: str, tmp_path: Path) -> None:
    """As in the suite's own 3D_LJ_3_1214every1: neighbours by their usual distance would reach more than half around the box."""
    start, way = np.array([[0.5, 0.5, 0.5], [2.5, 2.5, 2.5], [4.5, 4.5, 4.0]]), np.array([0.02, -0.01, 0.03])
    film = np.mod(start + np.arange(60)[:, None, None] * way * [[1], [2], [-1]], 5.0).astype(np.float32)
    kind = np.zeros(3, dtype=np.int64)
    facts = {
        "dim": 3,
        "dx": 1.4,
        "bounds": [[0.0, 5.0]] * 3,
        "num_particles_max": 3,
        "default_connectivity_radius": 3.0,
    }
    films = {split: [(film, kind)] for split in ("train", "valid", "test")}
    folder = write.lagrangebench(tmp_path / "3D_LJ_3", films, {**facts, "case": "LJ"})
    found = score(
        [model], folder, tmp_path / "out", track=dataclasses.replace(track("smoke"), training_steps=5), stride=19
    )
    assert np.isfinite(found["rows"][0]["metrics"]["lagrangebench/mse_20@0.2.0"])


def test_the_command_line_scores_a_foreign_set(lid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", "persistence", "--data", str(lid), "--out", str(tmp_path), "--limit", "1", "--stride", "10"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["rollouts"] == 1
    assert set(found["definitions"]) == set(found["rows"][0]["metrics"])
    assert main(["inspect", str(lid), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == {"train": 2, "valid": 1, "test": 1}
    assert main(["train", "particle_gnn", "--data", str(lid), "--track", "smoke", "--out", str(tmp_path / "w")]) == 0
    weights = [str(tmp_path / "w"), "--data", str(lid), "--out", str(tmp_path), "--stride", "19"]
    assert main(["score", *weights]) == 0
    assert "lagrangebench/mse_20@0.2.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["reference"], "unknown model 'reference'"),
        (["persistence", "--split", "more"], "no split 'more'; one of train, valid, test"),
        (["persistence", "--split", "test", "--split", "valid"], "one split at a time"),
    ],
)
def test_misuse_of_a_foreign_set_is_one_line(
    lid: Path, tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *arguments, "--data", str(lid), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
