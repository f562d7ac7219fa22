"""Planted faults: whatever is changed in a dataset on disk, verify says so, and names the file."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import Domain, MisuseError, Trajectory
from hedgefox.datasets import _verify

from .ballistic import TRACK
from .spoilt import TRAIN, Spoilt, edit_json, edit_lines, rehash, with_frames


@pytest.fixture
def small(ballistic: Domain, tmp_path: Path) -> Path:
    """A dataset of one small shard."""
    track = dataclasses.replace(TRACK, trajectories={"test": 1})
    return datasets.generate(ballistic, track, tmp_path)


def flips_missed(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Positions of every step-th byte of the shard whose change verify does not see."""
    # No probe may be needed: the hash comes first. A flip that got past it would raise here.
    monkeypatch.setattr(_verify, "probe", lambda paths: [None] * len(paths))
    path = next(folder.glob("*.h5"))
    data = bytearray(path.read_bytes())
    missed = []
    for position in range(0, len(data), step):
        data[position] ^= 0x10
        path.write_bytes(data)
        if not any(problem.path == path.name for problem in datasets.verify(folder)):
            missed.append(position)
        data[position] ^= 0x10
    path.write_bytes(data)
    assert datasets.verify(folder) == []
    return missed


def test_every_41st_byte_flipped_is_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flips_missed(small, monkeypatch, 41) == []


@pytest.mark.long
def test_every_byte_flipped_is_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flips_missed(small, monkeypatch, 1) == []


# -- the manifest and the files it names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        (lambda m: m[0].update(sha256="0" * 64), TRAIN, "its SHA-256 is .*manifest.jsonl says 000000"),
        (lambda m: m[0].update(bytes=17), TRAIN, "manifest.jsonl says 17"),
        (lambda m: m[0].update(trajectories=12), TRAIN, "trajectories is 12; 11 is right"),
        (lambda m: m[0].update(split="test"), TRAIN, "split is test; train is right"),
        (lambda m: m[0]["seeds"].update(root=1), TRAIN, "seeds is"),
        (lambda m: m[0].update(format_version=1), "manifest.jsonl", "format version is 1; this hedgefox reads version 2"),
        (lambda m: m[0].update(path="../" + TRAIN), "manifest.jsonl", "not a plain file name"),
        (lambda m: m[0].update(bytes="many"), "manifest.jsonl", "bytes is 'many', which is no int"),
        (lambda m: m[0].pop("seeds"), "manifest.jsonl", "does not have the fields"),
        (lambda m: m.append(m[0]), "manifest.jsonl", "named a second time"),
        (lambda m: m.pop(0), TRAIN, "lies here but is not in manifest.jsonl"),
        (lambda m: m[0].update(path="dev-00000-of-00001.h5"), "dev-00000-of-00001.h5", "not part of this dataset"),
        (list.clear, "manifest.jsonl", "names no shard"),
    ],
)  # fmt: skip
def test_an_edited_manifest(
    folder: Path, change: Callable[[list[dict[str, Any]]], object], path: str, says: str
) -> None:
    edit_lines(folder, change)
    require_problem(folder, path, says)


def require_problem(folder: Path, path: str, says: str) -> None:
    problems = datasets.verify(folder)
    assert path in {problem.path for problem in problems}
    with pytest.raises(AssertionError, match=says):
        raise AssertionError("; ".join(problem.what for problem in problems if problem.path == path))
    assert not any("\n" in problem.what for problem in problems)


def test_a_missing_shard(folder: Path) -> None:
    (folder / TRAIN).unlink()
    require_problem(folder, TRAIN, "names it, but it is missing")


def test_an_extra_shard(folder: Path) -> None:
    shutil.copy(folder / TRAIN, folder / "train-00001-of-00001.h5")
    require_problem(folder, "train-00001-of-00001.h5", "is not in manifest")


def test_a_swapped_shard(folder: Path) -> None:
    long = "long-00000-of-00001.h5"
    (folder / TRAIN).write_bytes((folder / long).read_bytes())
    rehash(folder)
    require_problem(folder, TRAIN, "its split is 'long'; dataset.json says 'train'")


def test_a_torn_manifest(folder: Path) -> None:
    with (folder / "manifest.jsonl").open("a") as file:
        file.write('{"path": "tr')
    require_problem(folder, "manifest.jsonl", "torn")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(format_version=9), "format version is 9; this hedgefox reads version 2"),
        (lambda c: c.update(format="other"), "format 'hedgefox'"),
        (lambda c: c["config"].update(root_seed=3), "was edited"),
        (lambda c: c["splits"]["train"].update(trajectories=3), "train has 3 trajectories"),
        (lambda c: c["splits"]["train"].update(trajectories_per_shard=3), "3 trajectories a shard"),
        (lambda c: c.update(frame_interval=1.0), "frame_interval is 1.0; its configuration says 0.02"),
        (lambda c: c.pop("config"), "configuration"),
        (lambda c: c.update(splits={"dev": {}}), "splits are not among"),
    ],
)
def test_an_edited_card(folder: Path, change: Callable[[Any], object], says: str) -> None:
    edit_json(folder / "dataset.json", change)
    require_problem(folder, "dataset.json", says)


def test_a_card_that_is_no_json(folder: Path) -> None:
    (folder / "dataset.json").write_text("[")
    require_problem(folder, "dataset.json", "not JSON")
    with pytest.raises(MisuseError, match="not a folder"):
        datasets.verify(folder / "nowhere")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["fields"]["velocity"]["mean"].__setitem__(1, 0.5), r"velocity mean is .*the data give"),
        (lambda s: s["fields"]["drag"].update(count=3), "drag count is 3; the data give 11"),
        (lambda s: s["fields"].pop("position"), "they cover"),
        (lambda s: s.update(manifest="0" * 64), "belong to other data"),
        (lambda s: s.pop("fields"), "is damaged"),
    ],
)
def test_edited_statistics(folder: Path, change: Callable[[Any], object], says: str) -> None:
    edit_json(folder / "stats.json", change)
    require_problem(folder, "stats.json", says)


def test_missing_statistics(folder: Path) -> None:
    (folder / "stats.json").unlink()
    require_problem(folder, "stats.json", "no stats.json")


# -- what the hash does not see: faults made by whoever wrote the file, or by one who wrote the manifest too ------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f["traj/000002/position"].__setitem__((3, 0, 0), 0.25), "trajectory 2: crc32"),
        (lambda f: f.attrs.__setitem__("format_version", 1), "format version is 1; this hedgefox reads version 2"),
        (lambda f: f.attrs.__setitem__("generator_version", 2), "its generator_version is 2; dataset.json says 1"),
        (lambda f: f.attrs.__delitem__("complete"), "not written to its end"),
        (lambda f: f["traj"].move("000002", "000099"), "/traj holds 11, or under other names"),
        (lambda f: f["traj/000002"].__delitem__("mass"), "'mass' is missing"),
        (lambda f: f["index"].__setitem__((2, "index"), 77), "does not list the trajectories 0 to 10"),
        (lambda f: f["index"].__setitem__((2, "frames"), 77), "frames is 13; the index says 77"),
        (lambda f: f["traj/000002/node_type"].__setitem__(0, 9), "node_type runs from 0 to 9; 0 to 1 is right"),
        (lambda f: f["traj/000002"].__setitem__("friend", h5py.ExternalLink("/etc/x.h5", "/")), "external link"),
    ],
)
def test_a_forged_shard(folder: Path, change: Callable[[Any], object], says: str) -> None:
    with h5py.File(folder / TRAIN, "r+", libver=("v110", "v110")) as file:
        change(file)
    rehash(folder)
    require_problem(folder, TRAIN, says)


def test_a_wrongly_hashed_shard_is_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def watched(paths: Sequence[Path]) -> list[str | None]:
        asked.extend(paths)
        return [None] * len(paths)

    monkeypatch.setattr(_verify, "probe", watched)
    (folder / TRAIN).write_bytes(b"not HDF5 at all" * 100)
    require_problem(folder, TRAIN, "bytes")
    assert TRAIN not in {path.name for path in asked}


def with_position(film: Trajectory, frame: slice | int, value: torch.Tensor | float) -> Trajectory:
    return with_frames(film, "position", lambda x: x.__setitem__(frame, value))


def without_parameter(film: Trajectory) -> Trajectory:
    nothing = {"drag": torch.full_like(film.scene.parameters["drag"], torch.nan)}
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=nothing))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: with_position(f, 5, torch.nan), "trajectory 0: position is not finite at frame 5"),
        (
            lambda f: dataclasses.replace(f, diverged_at=f.diverged_at + 5),
            "goes on after frame 4, at which it diverged",
        ),
        (lambda f: with_position(f, slice(None), f.position[0]), "no free node moves in its 13 frames"),
        (lambda f: with_position(f, 6, f.position[5]), "frame 6 repeats the one before it although nodes move"),
        (without_parameter, "the parameter drag is nan"),
    ],
)
def test_a_simulator_that_writes_nonsense(tmp_path: Path, spoil: Callable[[Trajectory], Trajectory], says: str) -> None:
    track = dataclasses.replace(TRACK, trajectories={"test": 2})
    folder = datasets.generate(Spoilt(spoil), track, tmp_path)
    require_problem(folder, "test-00000-of-00001.h5", says)


def test_divergence_is_a_result_and_no_problem(tmp_path: Path) -> None:
    spoil = Spoilt(lambda f: with_position(f, 5, torch.inf).with_divergence())
    folder = datasets.generate(spoil, dataclasses.replace(TRACK, trajectories={"train": 2}), tmp_path)
    assert datasets.verify(folder) == []
    loaded = datasets.load(folder, "train")
    assert loaded.diverged_at is not None
    assert loaded.diverged_at.tolist() == [5, 5]
    assert datasets.statistics(folder).fields["position"].count == 5 * int(loaded.scene.free.sum())
