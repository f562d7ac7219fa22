"""The training loop: it learns, it resumes to the same bits, it stops on what is not finite."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import datasets, surrogates
from hedgefox.contracts import Domain, MisuseError, Trajectory, track
from hedgefox.surrogates import _store, _training
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._features import free_moments
from hedgefox.surrogates._training import Plan, TrainingFailed
from hedgefox.surrogates.particle_gnn import build, train

from . import particles
from .test_surrogates import uniform_motion


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(particles.film(12, 16), particles.film(2, 24, seed=1), "0" * 64)


def run(data: Data, out: Path, steps: int = 60, name: str = "particle_gnn", **more: Any) -> Run:
    short = dataclasses.replace(track("smoke"), training_steps=steps)
    return Run(name, {"fluid": data}, short, 0, out, **more)


def fitted(data: Data, out: Path, steps: int = 60, **more: Any) -> Any:
    return _store.learn(run(data, out, steps, **more))


def test_overfits_a_single_window() -> None:
    model = build("fluid", size="xs", noise=0.0, spacing=particles.SPACING)
    film = particles.film(1, model.window)
    model.measure(film)
    rng = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(200):
        loss = model.loss(film, rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 10


class Killed(Exception):
    pass


def kill_at(step: int) -> Any:
    def progress(done: int, total: int, loss: float) -> None:
        if done >= step:
            raise Killed

    return progress


def test_resumed_is_bitwise_the_same(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(
        Plan(60, 2, 2e-3), check_every=5, checkpoint_every=20, valid_every=30, valid_frames=4, valid_scenes=2
    )
    monkeypatch.setattr("hedgefox.surrogates._specialist.Plan", lambda *_: small)
    whole = fitted(data, tmp_path / "whole")
    with pytest.raises(Killed):
        fitted(data, tmp_path / "cut", progress=kill_at(50))
    assert not (tmp_path / "cut" / "model.json").exists()
    resumed = fitted(data, tmp_path / "cut")
    first, second = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)

    def log(folder: str) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]

    assert log("whole") == log("cut")
    assert whole.card.training_steps == resumed.card.training_steps == 60


def test_card_tells_the_training(data: Data, tmp_path: Path) -> None:
    model = fitted(data, tmp_path, steps=20)
    card = model.card
    assert (card.seed, card.training_data, card.training_steps) == (0, "0" * 64, 20)
    assert card.training_device_seconds > 0
    assert card.parameters > 0
    assert surrogates.load(tmp_path).card == card
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".jsonl", ".safetensors"}


def test_nan_in_training_data_names_step_and_windows(data: Data, tmp_path: Path) -> None:
    position = data.train.position.clone()
    position[6, 0] = torch.nan
    spoilt = dataclasses.replace(data, train=dataclasses.replace(data.train, position=position))
    model = build("fluid", size="xs", spacing=particles.SPACING)
    model.measure(data.train)
    with pytest.raises(TrainingFailed, match=r"loss of step \d+ is nan, on training windows \[\d+"):
        _training.fit(model, run(spoilt, tmp_path), Plan(60, 4, 1e-3))
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_training_beats_no_training(data: Data, tmp_path: Path) -> None:
    model = fitted(data, tmp_path, steps=150)
    judge = _training.Judge(data.valid, model.card.history, Plan(0, 0, 0.0, valid_frames=5))
    assert judge.ratio(model) < 0.85


def test_driven_nodes_and_noise_do_not_reach_the_data(data: Data, tmp_path: Path) -> None:
    before = data.train.position.clone()
    fitted(data, tmp_path, steps=20)
    assert torch.equal(data.train.position, before)


def test_learning_rate_rises_and_falls() -> None:
    plan = Plan(1000, 1, 1.0)
    assert plan.rate(0) == pytest.approx(0.02)
    assert plan.rate(50) == pytest.approx(1.0)
    assert plan.rate(999) == pytest.approx(0.02, abs=1e-3)


def test_progress_is_called(data: Data, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    train(run(data, tmp_path, steps=20, progress=lambda done, total, loss: seen.append((done, total))))
    assert seen[-1] == (20, 20)


# Linear


def falling(seed_frames: int = 12) -> Data:
    film = uniform_motion(seed_frames, gravity=9.81)
    return Data(film, film, "0" * 64)


def test_linear_is_exact_for_free_fall(tmp_path: Path) -> None:
    model = _store.learn(run(falling(), tmp_path, name="linear"))
    film = uniform_motion(25, gravity=9.81)
    got = model.rollout(film.frames(0, 5), 20)
    # Second differences of float32 positions carry 1e-7 m of rounding a frame, which 20 frames sum up.
    torch.testing.assert_close(got.position, film.position[5:], atol=2e-4, rtol=0)
    again: Trajectory = surrogates.load(tmp_path).rollout(film.frames(0, 5), 20)
    assert torch.equal(again.position, got.position)


def test_linear_beats_constant_velocity_and_stays_finite(data: Data, tmp_path: Path) -> None:
    model = _store.learn(run(data, tmp_path, name="linear"))
    film = model.rollout(particles.film(3, 5, seed=2, extra_script=40), 40)
    assert film.diverged_at is not None
    assert film.diverged_at.tolist() == [-1, -1, -1]
    assert _training.Judge(data.valid, 4, Plan(0, 0, 0.0)).ratio(model) < 0.9


# The whole way, from a folder on disk


def test_train_refuses_what_cannot_learn(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="persistence has nothing to learn"):
        surrogates.train("persistence", {"fluid": tmp_path}, track("smoke"), seed=0, out=tmp_path / "out")


def test_train_reads_a_folder_and_a_finished_one_is_loaded(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, "smoke", tmp_path / "data")
    data, where = {"ballistic": folder}, dict[str, Any](seed=0, out=tmp_path / "out")
    model = surrogates.train("linear", data, track("smoke"), **where)
    assert model.card.training_data == datasets.manifest_hash(folder)
    written = (tmp_path / "out" / "model.json").stat().st_mtime_ns
    again = surrogates.train("linear", data, track("smoke"), **where)
    assert again.card == model.card
    assert (tmp_path / "out" / "model.json").stat().st_mtime_ns == written
    with pytest.raises(MisuseError, match="seed 0; this one has 1"):
        surrogates.train("linear", data, track("smoke"), **{**where, "seed": 1})
    with pytest.raises(MisuseError, match="knows nothing of ballistic"):
        surrogates.train("particle_gnn", data, track("smoke"), seed=0, out=tmp_path / "other")


def test_normalisers_agree_with_the_data_sets_statistics(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, "smoke", tmp_path)
    film = datasets.load(folder, "train")
    for name, difference in (("displacement", 1), ("acceleration", 2)):
        stored = datasets.statistics(folder).fields[name]
        mean, std = free_moments(film, difference)
        assert mean.tolist() == pytest.approx(list(stored.mean), abs=1e-9, rel=1e-5)
        assert std.tolist() == pytest.approx(list(stored.std), abs=1e-9, rel=1e-5)
