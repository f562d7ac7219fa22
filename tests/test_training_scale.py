"""Trainings that are killed, and trainings in several processes: the weights are those of one that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.surrogates import _processes
from torch import Tensor

from .trained import last_weights

SCRIPT = Path(__file__).with_name("trained.py")


def require_same_weights_after_kills(model: str, out: Path, kills: int) -> None:
    command = [sys.executable, str(SCRIPT), "kill", model, str(out), str(kills), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["kills"] == kills
    assert found["complete"]
    for complete in found["complete"]:
        assert complete == found["untouched"]


def test_a_training_killed_three_times(tmp_path: Path) -> None:
    require_same_weights_after_kills("particle_gnn", tmp_path / "out", 3)


@pytest.mark.long
@pytest.mark.parametrize("model", ["particle_gnn", "jepa"])
def test_a_training_killed_a_hundred_times(model: str, tmp_path: Path) -> None:
    require_same_weights_after_kills(model, tmp_path / "out", 100)


# Several processes


def weights(model: Any) -> Tensor:
    return torch.cat([p.detach().double().flatten() for p in model.parameters()])


def many(model: str, out: Path) -> Any:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT), "many", model]
    done = subprocess.run([sys.executable, *command, str(out)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return surrogates.load(out)


@pytest.mark.long
@pytest.mark.parametrize("model", ["particle_gnn", "mesh_gnn", "rigid_gnn", "gns"])
def test_two_processes_train_a_specialist_as_one_does(model: str, tmp_path: Path) -> None:
    """The same global batch, in scenes of unlike size: within 1 % of what was learned, where half the batch is beyond 10 %."""
    alone = weights(last_weights(model, tmp_path / "alone", steps=12))
    half = weights(last_weights(model, tmp_path / "half", steps=12, batch_size=2))
    untrained = weights(last_weights(model, tmp_path / "none", steps=1))
    learned = float((alone - untrained).norm())
    both = weights(many(model, tmp_path / "both"))
    assert float((both - alone).norm()) <= 0.01 * learned
    assert float((half - alone).norm()) > 0.1 * learned


def test_the_parts_of_two_processes_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and means of unlike parts, as each of two processes makes them, against one that has all rows."""
    rows, cut = torch.arange(14.0).reshape(2, 7, 1), 3
    whole = _processes.normal(rows, 1, torch.Generator().manual_seed(5))
    values = rows[0, :, 0]
    monkeypatch.setattr(_processes, "number", lambda: 2)
    parts, shares = [], []
    for place, part in enumerate((slice(0, cut), slice(cut, 7))):
        monkeypatch.setattr(_processes, "place", lambda place=place: place)
        monkeypatch.setattr(_processes, "_counts", lambda n, device: [3, 4])
        parts.append(_processes.normal(rows[:, part], 1, torch.Generator().manual_seed(5)))
        shares.append(_processes.mean(values[part]))
    assert torch.equal(torch.cat(parts, 1), whole)
    assert float(sum(shares) / 2) == pytest.approx(float(values.mean()))
