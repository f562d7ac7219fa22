"""Trainings by time, on a clock of their own; runs that stop at a deadline; checkpoints in parts; and fixed steps as they were."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench.run import run as run_track
from hedgefox.bench.status import status
from hedgefox.contracts import Domain, MisuseError, track
from hedgefox.contracts.deadline import Deadline, TimeUp
from hedgefox.contracts.track import TRACKS, on_device, rehearsal
from hedgefox.datasets import Windows
from hedgefox.jepa import jepa
from hedgefox.jepa.stages import LatentStage, ReadingStage
from hedgefox.surrogates import _checkpoint, _pace, _store
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._symmetry import with_images
from hedgefox.surrogates._training import Plan, one_thread
from hedgefox.surrogates.particle_gnn import build

from . import particles

STEP = 0.01
"""Seconds of the injected clock between two looks at it."""


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(particles.film(4, 12), particles.film(2, 16, seed=1), "0" * 64)


class Ticking:
    """A clock that moves by so much whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += STEP
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    made = Ticking()
    monkeypatch.setattr(Run, "clock", property(lambda self: made))
    return made


def timed(data: Data, out: Path, name: str = "particle_gnn", seconds: float = 2.0, **more: Any) -> Run:
    return Run(name, {"fluid": data}, rehearsal(track("gpu-3min"), seconds), 0, out, **more)


def test_a_training_of_two_seconds_takes_them_and_says_how_many_steps_that_were(
    data: Data, tmp_path: Path, clock: Ticking
) -> None:
    model = _store.learn(timed(data, tmp_path))
    assert model.card.training_steps > 10
    assert 2.0 <= model.card.training_device_seconds <= 2.0 + 20 * STEP
    rates = [e["learning_rate"] for e in log(tmp_path) if "learning_rate" in e]
    top = max(rates)
    assert rates.index(top) < len(rates) / 2
    assert rates[-1] < 0.05 * top
    judged = [e["step"] for e in log(tmp_path) if any(k.startswith("valid") for k in e)]
    assert len(judged) == _pace.MARKS
    assert judged[-1] == model.card.training_steps


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_both_stages_of_a_jepa_share_the_time(data: Data, tmp_path: Path, clock: Ticking) -> None:
    small: dict[str, Any] = {"stride": 2, "leaps": 2, "horizon": 6, "history": 3, "batch_size": 2}
    model = _store.learn(timed(data, tmp_path, "jepa", 0.4, settings=small))
    assert 0.4 <= model.card.training_device_seconds <= 0.4 + 2 * 20 * STEP
    parts = [
        json.loads((tmp_path / s / "log.jsonl").read_text().splitlines()[-1])["step"] for s in ("first", "readout")
    ]
    # As on every track, a card counts the steps of the first stage and tells those of the second.
    assert model.card.training_steps == parts[0]
    assert f"{parts[0]} steps, then {parts[1]} of the read-out" in model.card.notes


class Stop(Deadline):
    """Over when it has been asked so many times."""

    def passed(self) -> bool:
        object.__setattr__(self, "at", self.at - 1)
        return self.at < 0


def test_a_deadline_stops_a_training_with_a_checkpoint_and_the_time_used_counts(
    data: Data, tmp_path: Path, clock: Ticking
) -> None:
    with pytest.raises(TimeUp):
        _store.learn(timed(data, tmp_path, deadline=Stop(4)))
    assert not (tmp_path / "model.json").exists()
    used = _checkpoint.read_checkpoint(tmp_path / "checkpoint.safetensors")[1]
    assert 0 < used["seconds"] < 2.0
    model = _store.learn(timed(data, tmp_path))
    assert model.card.training_steps > used["step"] > 0
    assert 2.0 <= model.card.training_device_seconds <= 2.0 + 40 * STEP


def test_fixed_steps_cut_by_deadlines_give_the_same_bits_and_the_same_log(data: Data, tmp_path: Path) -> None:
    def made(name: str, *deadlines: Deadline) -> tuple[bytes, list[dict[str, Any]]]:
        asked = Run(
            "particle_gnn", {"fluid": data}, dataclasses.replace(track("smoke"), training_steps=110), 0, tmp_path / name
        )
        for deadline in deadlines:
            with pytest.raises(TimeUp):
                _store.learn(dataclasses.replace(asked, deadline=deadline))
        _store.learn(asked)
        told = [{k: v for k, v in e.items() if k != "steps_per_second"} for e in log(asked.out)]
        return (asked.out / "weights.safetensors").read_bytes(), told

    assert made("cut", Stop(0), Stop(0)) == made("whole")


def test_fixed_steps_are_those_of_a_plain_loop_to_the_bit(data: Data, tmp_path: Path) -> None:
    """What training was before it could go by time, written out: the same weights."""
    steps = 25
    short = dataclasses.replace(track("smoke"), training_steps=steps)
    model = _store.learn(Run("particle_gnn", {"fluid": data}, short, 0, tmp_path))
    with one_thread():
        plain = plainly_trained(data, steps, model.settings)
    kept = {k: v for k, v in model.state_dict().items() if "noise_unit" not in k}
    assert model.card.training_steps == steps
    assert digest(plain) == digest(kept)


def plainly_trained(data: Data, steps: int, settings: Any) -> dict[str, torch.Tensor]:
    film = with_images(data.train)
    model = build("fluid", size="xs", seed=0, **settings)
    model.measure(film)
    plan = Plan(steps, int(model.set.batch_size), float(model.set.learning_rate))
    windows, generator = Windows(film, model.window), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.learning_rate, fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = plan.rate(step)
        optimiser.zero_grad(set_to_none=True)
        index = torch.randint(len(windows), (plan.batch_size,), generator=generator)
        (model.loss(windows.at(index), generator) / 1).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimiser.step()
    return model.state_dict()


def digest(tensors: dict[str, torch.Tensor]) -> str:
    return hashlib.sha256(b"".join(v.numpy().tobytes() for _, v in sorted(tensors.items()))).hexdigest()


# -- tracks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpu-3min", "gpu-9min"])
def test_a_track_of_a_gpu_is_refused_without_one_and_rehearsed_where_a_cpu_is_named(name: str) -> None:
    asked = track(name)
    with pytest.raises(MisuseError, match=rf"'{name}' is trained and timed on cuda.*--device cpu rehearses"):
        on_device(asked, None, there=False)
    assert on_device(asked, None, there=True) == (asked, "cuda")
    assert on_device(asked, "cuda:1", there=True) == (asked, "cuda:1")
    small, device = on_device(asked, "cpu", there=False)
    assert (small.name, small.machine, device, small.training_seconds) == (f"{name}-rehearsal", "cpu", "cpu", 2.0)


def test_tracks_of_a_cpu_fix_steps_and_those_of_a_gpu_time() -> None:
    for make in TRACKS.values():
        made = make()
        assert bool(made.training_seconds) == (made.machine == "cuda") != bool(made.training_steps)
        assert on_device(made, None, there=True)[1] == made.machine
    assert [track(f"gpu-{m}min").training_seconds for m in (3, 9)] == [180.0, 540.0]
    assert min(track("gpu-3min").trajectories[s] for s in ("test", "train")) >= 32


def test_training_by_time_on_the_wrong_device_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"180 s on cuda; on cpu they would be others"):
        _store._require_device(track("gpu-3min"), torch.device("cpu"))


# -- checkpoints ----------------------------------------------------------------------------------------------------------


LATENT, SUPERVISED = "jepa, latent stage", "jepa, state loss"
SIZED = {
    "particle_gnn": "fluid", "mesh_gnn": "cloth", "rigid_gnn": "rigid", "gns": "cloth+fluid+rigid",
    LATENT: "cloth+fluid+rigid", SUPERVISED: "cloth+fluid+rigid",
}  # fmt: skip
"""What is trained on a track of size m, and on what."""


def trained(name: str) -> Any:
    """What the optimiser of a training of size m has."""
    if name not in (LATENT, SUPERVISED):
        return _store.create(name, SIZED[name], size="m", seed=0)
    model = jepa.build(SIZED[name], size="m")
    return LatentStage(model) if name == LATENT else ReadingStage(model, frozen=False)


@pytest.mark.parametrize("name", SIZED)
def test_no_file_of_a_checkpoint_of_size_m_is_too_large_to_travel(name: str, tmp_path: Path) -> None:
    model = trained(name)
    tensors = {f"{part}.{k}": v.clone() for part in ("model", "best") for k, v in model.state_dict().items()}
    tensors |= {
        f"adam.{i}.{m}": p.detach().clone() for i, p in enumerate(model.parameters()) for m in ("exp_avg", "exp_avg_sq")
    }
    numbers = {"step": 7, "seconds": 1.5, "best_step": 0, "best_ratio": None, "log": ["x" * 200] * 2000}
    path = tmp_path / "checkpoint.safetensors"
    for step in (3, 7):
        _checkpoint.write_checkpoint(path, tensors, {**numbers, "step": step})
    assert max(p.stat().st_size for p in tmp_path.iterdir()) < 16 << 20
    found, told = _checkpoint.read_checkpoint(path)
    assert all(torch.equal(found[k], v) for k, v in tensors.items())
    assert len(found) == len(tensors)
    assert told["seconds"] == 1.5
    assert len(list(tmp_path.iterdir())) == 1 + len(told.get("parts", ()))
    assert ("parts" in told) == (name.startswith("jepa"))


@pytest.mark.parametrize("parts", ["x", ["../checkpoint-1-1.safetensors"], ["checkpoint-1-1.safetensors/.."], [3]])
def test_a_checkpoint_names_no_file_elsewhere_as_its_part(parts: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    numbers = {"step": 1, "seconds": 0.0, "best_step": 0, "best_ratio": None, "log": [], "parts": parts}
    _checkpoint.write_checkpoint(path, {"a": torch.zeros(2)}, numbers)
    with pytest.raises(MisuseError, match="its parts are"):
        _checkpoint.read_checkpoint(path)


# -- whole runs -----------------------------------------------------------------------------------------------------------


def test_a_run_in_pieces_ends_with_what_one_in_one_piece_has(ballistic: Domain, tmp_path: Path) -> None:
    from hedgefox.bench import record

    only = ["persistence", "linear"]
    whole = run_track("smoke", tmp_path / "whole", [ballistic], only=only, timed=False)
    with pytest.raises(TimeUp):
        run_track("smoke", tmp_path / "cut", [ballistic], only=only, timed=False, until=1e-6)
    stands = status(tmp_path / "cut")
    assert stands["state"] == "interrupted"
    assert stands["counts"]["done"] < len(stands["jobs"])
    assert stands["counts"]["failed"] == 0
    (tmp_path / "cut").rename(tmp_path / "elsewhere")
    again = run_track("smoke", tmp_path / "elsewhere", [ballistic], only=only, timed=False)
    assert status(again)["state"] == "finished"
    first, second = (record.read(folder) for folder in (whole, again))
    assert first["scores"] == second["scores"]
    assert first["failures"] == second["failures"] == []
