"""The script that makes the board on a GPU, rehearsed on a CPU: every piece of it, cut, carried elsewhere, and finished there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hedgefox.bench import record
from hedgefox.bench.floors import page
from hedgefox.bench.status import status
from hedgefox.bench.tuned import read_tunings

SCRIPT = Path(__file__).parent.parent / "scripts" / "gpu_board.sh"


def piece(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    known = {"DEVICE": "cpu", "PYTHON": sys.executable, "DOMAINS": "fluid"}
    given = {**os.environ, **known, **variables}
    return subprocess.run(["bash", str(SCRIPT), *arguments], env=given, capture_output=True, text=True, check=False)


def test_an_unknown_piece_is_answered_with_those_there_are() -> None:
    said = piece("everything")
    assert said.returncode == 2
    assert all(
        f"gpu_board.sh {name} " in said.stderr
        for name in ("tests", "floors", "speed", "tune", "run", "board", "pack DIR")
    )


@pytest.mark.long
def test_every_piece_is_rehearsed(tmp_path: Path) -> None:
    at, here, there = tmp_path / "performance.md", tmp_path / "here", tmp_path / "there"
    at.write_text("\n".join(mark for kind in page.MADE_BY for mark in page.marks(kind)))
    more = {
        "MORE": "--domain fluid --only persistence --only particle_gnn --only jepa",
        "PAGE": str(at),
        "RUN": str(here),
    }

    def did(name: str, *rest: str, **changed: str) -> None:
        said = piece(name, *rest, **{**more, **changed})
        assert said.returncode == 0, said.stdout + said.stderr

    did("tests")
    did("floors")
    assert "| window loading |" in at.read_text()
    did("speed")
    assert json.loads((tmp_path / "here-speed-fluid" / "record.json").read_text())["speed"]
    did("tune", UNTIL="0.01")
    did("tune", UNTIL="600", MODELS="particle_gnn jepa")
    assert len(read_tunings(here / "tuning")) == 2
    did("run", UNTIL="0.01")
    assert status(here)["state"] == "interrupted"
    did("run", UNTIL="600")
    assert piece("tune", RUN=str(here)).returncode == 2
    assert status(here)["state"] == "finished"
    trained = {p.parent.name: p.read_bytes() for p in here.rglob("weights.safetensors")}
    did("pack", str(tmp_path / "packed"))
    assert all(p.stat().st_size < 16 << 20 for p in (tmp_path / "packed").iterdir())
    did("unpack", str(tmp_path / "packed"), RUN=str(there))
    assert not list(there.rglob("*checkpoint*"))
    did("board", RUN=str(there), UNTIL="600")
    made = record.read(there)
    assert made["track"]["name"] == "gpu-3min-rehearsal"
    assert made["speed"]
    assert made["failures"] == []
    assert {p.parent.name: p.read_bytes() for p in there.rglob("weights.safetensors")} == trained
    learned = {c["card"]["name"]: c["card"] for c in made["contestants"] if c["card"].get("batch_size")}
    assert set(learned) == {"particle_gnn", "jepa"}
    assert all(card["tuning"].startswith("best of 9 trials of 0.2 s on cpu") for card in learned.values())
    steps = {c["card"]["name"]: c["card"]["training_steps"] for c in made["contestants"]}
    assert steps["particle_gnn"] > 1 < steps["jepa"]
