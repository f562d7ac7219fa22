"""Generate at scale: writing beside simulating, the same bytes from any executor, memory that does not grow, full disks."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hedgefox import datasets
from hedgefox.contracts import Domain, MisuseError, Track
from hedgefox.contracts.track import smoke
from hedgefox.datasets import Workers, _cluster, _manifest, _plan
from hedgefox.datasets._disk import Disk
from hedgefox.datasets._overlap import AHEAD, Abandoned, overlapped

TRACK: Track = dataclasses.replace(smoke(), trajectories={"train": 18, "valid": 2, "long": 1})


# Writing beside simulating


def test_items_come_in_order_and_the_result_comes_back() -> None:
    assert overlapped(iter(range(50)), list) == list(range(50))
    assert overlapped(iter(()), list) == []


def test_a_bounded_number_is_made_ahead_of_a_slow_taker() -> None:
    made: list[int] = []
    room = threading.Semaphore(0)
    furthest: list[int] = []

    def items() -> Iterator[int]:
        for k in range(8):
            made.append(k)
            yield k
            room.release()

    def take(arriving: Iterator[int]) -> None:
        for k in arriving:
            for _ in range(AHEAD + (k == 0)):  # until as many are made as can be
                room.acquire(timeout=0.05)
            furthest.append(len(made) - k)

    overlapped(items(), take)
    assert max(furthest) <= AHEAD + 2


def test_making_goes_on_while_something_is_taken() -> None:
    second_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_made.set()
        yield 2

    def take(arriving: Iterator[int]) -> bool:
        next(arriving)
        return second_made.wait(20) and next(arriving) == 2

    assert overlapped(items(), take)


def test_a_failing_maker_is_raised_and_its_taker_told() -> None:
    told: list[BaseException] = []

    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("planted")

    def take(arriving: Iterator[int]) -> None:
        try:
            list(arriving)
        except Abandoned as error:
            told.append(error)
            raise

    with pytest.raises(ZeroDivisionError, match="planted"):
        overlapped(items(), take)
    assert len(told) == 1


def test_a_failing_taker_ends_the_making() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in range(10**6):
            made.append(k)
            yield k

    def take(arriving: Iterator[int]) -> None:
        next(arriving)
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        overlapped(items(), take)
    assert len(made) < 10**6


# Executors


class Threads(Workers):
    """As many tasks under way as workers, ended in whatever order, without a process for each."""

    elsewhere = True

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.threads = ThreadPoolExecutor(number)

    def _sent(self, work: Any, *arguments: Any) -> Any:
        return self.threads.submit(work, *arguments)


def test_one_two_and_seven_under_way_make_the_same_bytes(ballistic: Domain, tmp_path: Path) -> None:
    found = set()
    for number in (1, 2, 7):
        with Threads(number) as workers:
            folder = datasets.generate(ballistic, TRACK, tmp_path / str(number), workers=workers)
        found.add(datasets.manifest_hash(folder))
    assert len(found) == 1


@pytest.mark.long
def test_one_two_and_seven_workers_make_the_same_bytes(tmp_path: Path) -> None:
    from hedgefox.tests.ballistic import BALLISTIC  # under its package's name, since that is where a worker finds it

    found = set()
    for number in (1, 2, 7):
        with datasets.executor("processes", number) as workers:
            folder = datasets.generate(BALLISTIC, TRACK, tmp_path / str(number), workers=workers)
        found.add(datasets.manifest_hash(folder))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("cloud",), "one of serial, processes, ray is right"),
        (("serial", 3), "the executor serial has 1 worker, not 3"),
        (("processes", 2, "10.0.0.1:6379"), "the executor processes has none"),
        (("processes", 0), "at least 1 is right"),
        (("ray", 0), "at least 1 is right"),
    ],
)
def test_executors_that_do_not_fit_are_told(asked: tuple[Any, ...], said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        datasets.executor(*asked)


def test_the_executor_follows_the_number() -> None:
    assert not datasets.executor().elsewhere
    assert not datasets.executor(None, 1).elsewhere
    assert datasets.executor(None, 3).number == 3


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MisuseError, match=r"pip install 'hedgefox\[cluster\]'"):
        datasets.executor("ray", 2)


def test_a_machine_with_other_libraries_is_refused() -> None:
    assert _cluster._done_there(abs, (-3,), _cluster.versions()) == 3
    with pytest.raises(MisuseError, match=r"of the cluster has numpy .*; the one that asks has 0"):
        _cluster._done_there(abs, (-3,), {**_cluster.versions(), "numpy": "0"})


def clustered(out: Path, how: str) -> Any:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray (the extra cluster)")
    script = Path(__file__).with_name("clustered.py")
    done = subprocess.run([sys.executable, str(script), str(out), how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize(("how", "nodes"), [("local", [1, 1]), ("whole", [2, 2]), ("killed", [2, 1])])
def test_a_cluster_makes_the_same_bytes_though_a_node_is_lost(how: str, nodes: list[int], tmp_path: Path) -> None:
    from hedgefox.tests.clustered import TRACK as LARGER
    from hedgefox.tests.interrupted import Slow

    folder = datasets.generate(Slow(), LARGER, tmp_path / "here")
    found = clustered(tmp_path / "there", how)
    assert found["hash"] == datasets.manifest_hash(folder)
    assert found["nodes"] == nodes
    assert bool(found["killed_at"]) == (how == "killed")


@pytest.mark.long
def test_nobody_answers_at_an_address(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray (the extra cluster)")
    command = [
        "-m",
        "hedgefox",
        "generate",
        "fluid",
        "--track",
        "smoke",
        "--out",
        str(tmp_path),
        "--address",
        "127.0.0.1:1",
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in done.stderr.splitlines()[-1]


# Estimates, and disks without room


def disk_with(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("hedgefox.datasets._estimate.shutil.disk_usage", lambda path: usage._replace(free=free))


def test_an_estimate_is_near_and_writes_nothing(ballistic: Domain, tmp_path: Path) -> None:
    track = dataclasses.replace(smoke(), trajectories={"train": 40, "long": 3})
    found = datasets.estimate(ballistic, track, tmp_path)
    assert not list(tmp_path.iterdir())
    assert (found.trajectories, found.shards, found.workers) == (43, 2, 1)
    assert 0 < found.core_seconds.low < found.core_seconds.value < found.core_seconds.high
    assert 0 < found.wall_seconds.low < found.wall_seconds.value < found.wall_seconds.high
    assert found.fits
    folder = datasets.generate(ballistic, track, tmp_path)
    made = sum(path.stat().st_size for path in folder.glob("*.h5"))
    assert found.bytes == pytest.approx(made, rel=0.1)
    after = datasets.estimate(ballistic, track, tmp_path)
    assert (after.trajectories, after.shards, after.bytes, after.how) == (0, 0, 0, "nothing is missing")


def test_what_is_finished_is_not_estimated_again(ballistic: Domain, tmp_path: Path) -> None:
    datasets.generate(ballistic, TRACK, tmp_path, splits=["valid", "long"])
    assert datasets.estimate(ballistic, TRACK, tmp_path).trajectories == 18


def test_a_disk_without_room_is_refused_before_anything_is_written(
    ballistic: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_with(10_000, monkeypatch)
    assert not datasets.estimate(ballistic, TRACK, tmp_path / "out").fits
    with pytest.raises(MisuseError, match=r"needs \S+ GB for its frames alone; the disk has 1e-05 GB free") as error:
        datasets.generate(ballistic, TRACK, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    folder = datasets.generate(ballistic, TRACK, tmp_path / "out", force=True)
    assert datasets.verify(folder) == []


class Filling:
    """A file on a disk with room for so many bytes more."""

    def __init__(self, file: Any, room: list[int]) -> None:
        self.file, self.room = file, room

    def write(self, data: memoryview) -> int:
        self.room[0] -= len(data)
        if self.room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = self.file.write(data)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("shards", [0.5, 1.5])
def test_a_disk_full_midway_keeps_what_is_written_and_resumes(
    shards: float, ballistic: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plan, "GROUPS_PER_SHARD", 1)
    whole = datasets.generate(ballistic, TRACK, tmp_path / "whole")
    sizes = [entry.bytes for entry in _manifest.read_manifest(whole)]
    room, begin = [round(sum(sizes[: int(shards)]) + shards % 1 * sizes[int(shards)])], Disk.__init__

    def filling(self: Disk, path: Path) -> None:
        begin(self, path)
        self._file = Filling(self._file, room)  # type: ignore[assignment]

    with monkeypatch.context() as full:
        full.setattr(Disk, "__init__", filling)
        with pytest.raises(MisuseError, match="No space left on device; once that is put right") as error:
            datasets.generate(ballistic, TRACK, tmp_path / "out")
    assert "\n" not in str(error.value)
    folder = tmp_path / "out" / "ballistic"
    assert _manifest.read_manifest(folder) == _manifest.read_manifest(whole)[: int(shards)]
    assert len(list(folder.glob("*.h5*"))) == int(shards)
    datasets.generate(ballistic, TRACK, tmp_path / "out")
    assert datasets.verify(folder) == []
    assert datasets.manifest_hash(folder) == datasets.manifest_hash(whole)


@pytest.mark.long
@pytest.mark.parametrize("domain", ["fluid", "cloth", "rigid"])
def test_the_command_estimates_every_domain(domain: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hedgefox",
        "generate",
        domain,
        "--track",
        "smoke",
        "--out",
        str(tmp_path),
        "--json",
    ]
    done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not list(tmp_path.iterdir())
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
    made = sum(path.stat().st_size for path in (tmp_path / domain).glob("*.h5"))
    assert found["bytes"] == pytest.approx(made, rel=0.15)
    assert found["trajectories"] == sum(smoke().trajectories.values())


@pytest.mark.long
@pytest.mark.parametrize("domain", ["fluid", "cloth", "rigid"])
def test_the_estimate_is_what_generate_then_takes(
    domain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes within a tenth, core-seconds and seconds within a factor of 2: other work may come and go meanwhile."""
    track = dataclasses.replace(smoke(), trajectories={"train": 240, "valid": 8, "long": 8})
    found = datasets.estimate(domain, track, tmp_path)
    core, wall = time.process_time(), time.perf_counter()
    folder = datasets.generate(domain, track, tmp_path)
    core, wall = time.process_time() - core, time.perf_counter() - wall
    made = sum(path.stat().st_size for path in folder.glob("*.h5"))
    with capsys.disabled():
        print(
            f"\n{domain}: said {found.bytes / 1e6:.2f} MB, {found.core_seconds.value:.1f} core-seconds, "
            f"{found.wall_seconds.value:.1f} s; took {made / 1e6:.2f} MB, {core:.1f} core-seconds, {wall:.1f} s"
        )
    assert found.bytes == pytest.approx(made, rel=0.1)
    assert core / 2 < found.core_seconds.value < 2 * core
    assert wall / 2 < found.wall_seconds.value < 2 * wall


# Memory


GROWTH = """
import dataclasses, sys
from pathlib import Path
import torch
from hedgefox import datasets
from hedgefox.contracts.track import smoke
from hedgefox.tests.ballistic import BALLISTIC
torch.set_num_threads(1)
track = dataclasses.replace(smoke(), trajectories={"train": int(sys.argv[2])})
peaks = []
def tell(done, total):
    # Not ru_maxrss, which a process has from the one that started it.
    held = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    peaks.append((done, int(held.split()[0])))
datasets.generate(BALLISTIC, track, Path(sys.argv[1]), progress=tell)
at = {n: max(peak for done, peak in peaks if done <= n) / 1024 for n in (256, 1000, int(sys.argv[2]))}
print(*at.values())
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_trajectories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the first four shards, ten thousand trajectories, their index and statistics add less than 16 MiB to the peak; after
    the first thousand, less than 8."""
    command = [sys.executable, "-c", GROWTH, str(tmp_path), "10000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    early, thousand, whole = (float(peak) for peak in done.stdout.split())
    with capsys.disabled():
        print(f"\npeaks at 256, 1000 and 10000 trajectories: {early:.1f}, {thousand:.1f} and {whole:.1f} MiB")
    assert whole - early < 16
    assert whole - thousand < 8


def test_a_manifest_of_a_hundred_thousand_trajectories_is_read_at_once(tmp_path: Path) -> None:
    total = 100_000 // (_plan.GROUP * _plan.GROUPS_PER_SHARD)
    entry = {"bytes": 1, "sha256": "0" * 64, "split": "train", "trajectories": 64, "seeds": {}, "format_version": 2}
    lines = [json.dumps({**entry, "path": f"train-{k:05d}-of-{total:05d}.h5"}) for k in range(total)]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    assert len(_manifest.read_manifest(tmp_path)) == total
    (tmp_path / "manifest.jsonl").write_text("\n".join([*lines, lines[7]]) + "\n")
    with pytest.raises(MisuseError, match=r"train-00007-of-01562\.h5 is named a second time"):
        _manifest.read_manifest(tmp_path)
