"""A generate that is killed, starved of disk or run twice: nothing half made is ever published, and it resumes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hedgefox import datasets
from hedgefox.contracts import Domain, HedgefoxError, MisuseError
from hedgefox.datasets import _generate
from hedgefox.datasets._disk import Disk

from .ballistic import TRACK


def interrupted(*arguments: object) -> Any:
    script = Path(__file__).with_name("interrupted.py")
    command = [sys.executable, str(script), *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def require_same_data_after_kills(out: Path, kills: int) -> None:
    found = interrupted("kill", out, kills, 1)
    assert found["problems"] == []
    assert len(found["untouched"]["files"]) == 3 + 1 + 1 + 3
    assert found["kills"] == kills
    assert found["complete"]
    for complete in found["complete"]:
        assert complete == found["untouched"]


def test_ten_kills(tmp_path: Path) -> None:
    require_same_data_after_kills(tmp_path / "out", 10)


@pytest.mark.long
def test_a_hundred_kills(tmp_path: Path) -> None:
    require_same_data_after_kills(tmp_path / "out", 100)


def test_a_full_disk_is_one_line_and_resumable(tmp_path: Path) -> None:
    found = interrupted("full", tmp_path / "out")
    assert "cannot write" in found["said"]
    assert "the same command resumes" in found["said"]
    assert "\n" not in found["said"]
    assert not [name for name in found["left"] if name.endswith((".tmp", ".h5"))]
    assert found["problems"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_hdf5_never_learns_of_a_full_disk() -> None:
    disk = Disk(Path("/dev/full"))
    disk.require_no_error()
    assert disk.write(memoryview(b"data")) == 4
    with pytest.raises(OSError, match="No space left on device"):
        disk.require_no_error()
    disk.close()


def test_a_folder_that_cannot_be_made(ballistic: Domain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MisuseError, match=r"cannot write .*Not a directory"):
        datasets.generate(ballistic, TRACK, tmp_path / "file" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written(ballistic: Domain, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MisuseError, match=r"cannot write .*Permission denied"):
        datasets.generate(ballistic, TRACK, tmp_path)


def test_a_failing_simulator_leaves_only_what_is_finished(
    ballistic: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = datasets.generate(ballistic, TRACK, tmp_path / "whole")
    simulate = type(ballistic).simulate

    def failing(self: Domain, recipe: Any, split: str, *rest: Any) -> Any:
        if split == "valid":
            raise ZeroDivisionError("planted")
        return simulate(self, recipe, split, *rest)

    monkeypatch.setattr(type(ballistic), "simulate", failing)
    with pytest.raises(ZeroDivisionError, match="planted"):
        datasets.generate(ballistic, TRACK, tmp_path / "out")
    folder = tmp_path / "out" / "ballistic"
    assert sorted(p.name for p in folder.iterdir() if "-of-" in p.name) == ["train-00000-of-00001.h5"]
    monkeypatch.undo()
    datasets.generate(ballistic, TRACK, tmp_path / "out")
    assert datasets.manifest_hash(folder) == datasets.manifest_hash(whole)


def test_half_made_files_and_torn_lines_are_repaired(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path)
    before = datasets.manifest_hash(folder)
    lines = (folder / "manifest.jsonl").read_bytes()
    (folder / "manifest.jsonl").write_bytes(lines[:-20])
    (folder / "costs.jsonl").write_bytes((folder / "costs.jsonl").read_bytes()[:-5])
    (folder / "valid-00000-of-00001.h5.tmp").write_bytes(b"half")
    assert {p.path for p in datasets.verify(folder)} >= {"manifest.jsonl", "valid-00000-of-00001.h5.tmp"}
    datasets.generate(ballistic, TRACK, tmp_path)
    assert datasets.verify(folder) == []
    assert datasets.manifest_hash(folder) == before
    assert (folder / "manifest.jsonl").read_bytes() == lines
    for line in (folder / "costs.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_lost_shard_is_made_again(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path)
    lines = (folder / "manifest.jsonl").read_bytes()
    (folder / "train-00000-of-00001.h5").unlink()
    datasets.generate(ballistic, TRACK, tmp_path)
    assert datasets.verify(folder) == []
    assert (folder / "manifest.jsonl").read_bytes() == lines


def test_a_shard_made_again_with_other_bytes_is_told(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path, splits=["valid"])
    manifest = folder / "manifest.jsonl"
    entry = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**entry, "sha256": "0" * 64, "bytes": 1}) + "\n")
    with pytest.raises(HedgefoxError, match="was made again and has SHA-256"):
        datasets.generate(ballistic, TRACK, tmp_path, splits=["valid"])


def test_two_generates_do_not_share_a_folder(ballistic: Domain, tmp_path: Path) -> None:
    folder = tmp_path / "ballistic"
    folder.mkdir()
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MisuseError, match="another process is writing to"):
            datasets.generate(ballistic, TRACK, tmp_path)
    datasets.generate(ballistic, TRACK, tmp_path)


def test_shards_without_a_card_are_not_taken_over(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path)
    (folder / "dataset.json").unlink()
    with pytest.raises(MisuseError, match=r"no dataset\.json"):
        datasets.generate(ballistic, TRACK, tmp_path)


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    from hedgefox.tests.interrupted import Deadly

    with pytest.raises(HedgefoxError, match="a worker process died"):
        datasets.generate(Deadly(), TRACK, tmp_path, workers=2)
    assert not list((tmp_path / "ballistic").glob("*.h5*"))


def test_an_interruption_ends_workers_at_once_and_quietly(tmp_path: Path) -> None:
    script = Path(__file__).with_name("interrupted.py")
    process = subprocess.Popen(
        [sys.executable, str(script), "sleep", str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"  # the first group is simulated alone
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    # On a busy machine other groups start before the signal comes.
    said = process.communicate()[1].splitlines()
    assert [line for line in said if line != "at work"] == ["interrupted"]
    assert time.monotonic() - started < 30
    assert not list((tmp_path / "ballistic").glob("*.h5*"))


def test_a_domain_that_cannot_travel_is_told(tmp_path: Path, ballistic: Domain) -> None:
    class Local(type(ballistic)):  # type: ignore[misc]
        pass

    with pytest.raises(MisuseError, match="cannot be sent to workers"):
        datasets.generate(Local(), TRACK, tmp_path, workers=2)
    assert not list((tmp_path / "ballistic").glob("*.h5*"))


def test_the_costs_lie_outside_the_hash(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path, splits=["valid"])
    before = datasets.manifest_hash(folder)
    (folder / _generate.COSTS).unlink()
    assert datasets.verify(folder) == []
    assert datasets.manifest_hash(folder) == before
