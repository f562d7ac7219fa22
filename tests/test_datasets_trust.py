"""Planted faults that no hash sees, each found and told in one line; and trajectories made again from what a data set says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import h5py
import pytest
import torch
from hedgefox import cli, datasets
from hedgefox.contracts import CheckFailed, Domain, MisuseError, Recipe, Trajectory, registry, stack
from hedgefox.contracts.siblings import Ranges
from hedgefox.datasets import _verify
from hedgefox.datasets._probe import inspect
from hedgefox.datasets._shard import FORMAT, FORMAT_VERSION

from .ballistic import BALLISTIC, TRACK, Ballistic
from .spoilt import TRAIN, Spoilt, edit_lines, rehash, with_frames
from .test_datasets import require_equal

TEN = dataclasses.replace(TRACK, trajectories={"test": 10})
TEST = "test-00000-of-00001.h5"


@pytest.fixture(autouse=True)
def looked_over_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe in this process: starting another takes most of a second a test."""

    def probe(paths: Sequence[Path]) -> list[str | None]:
        for path in paths:
            inspect(str(path), FORMAT, FORMAT_VERSION, read=True)
        return [None] * len(paths)

    monkeypatch.setattr(_verify, "probe", probe)


def found(folder: Path, domain: Domain | None = None) -> str:
    """All that verify says, a finding a line."""
    problems = datasets.verify(folder, domain)
    assert not any("\n" in p.what for p in problems)
    return "\n".join(f"{p.path}: {p.what}" for p in problems)


def repeated(x: torch.Tensor) -> None:
    x[8] = x[3]


def leapt(x: torch.Tensor) -> None:
    x[5, 1] += 1.5


def wild(v: torch.Tensor) -> None:
    v *= 100


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("position", repeated, "trajectory 0: frame 8 is frame 3 again, bit for bit"),
        ("position", leapt, r"trajectory 0: node 1 moves 2\.1\d m to frame 5; its velocities say 0\.\d+ m at most"),
        ("velocity", wild, r"trajectory 0: its nodes move up to 0\.\d+ m a frame; its velocities say [\d.]+ m"),
    ],
)
def test_frames_that_no_motion_makes(
    tmp_path: Path, name: str, change: Callable[[torch.Tensor], object], says: str
) -> None:
    spoilt = Spoilt(lambda film: with_frames(film, name, change))
    folder = datasets.generate(spoilt, dataclasses.replace(TRACK, trajectories={"test": 1}), tmp_path)
    with pytest.raises(AssertionError, match=f"{TEST}: {says}"):
        raise AssertionError(found(folder))


class Hurried(Ballistic):
    """One scene begins a hundred times faster than the others."""

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        start = super().sample_start(recipe, split, index, root_seed)
        return dataclasses.replace(start, velocity=start.velocity * (100 if index == 6 else 1))


def test_an_outlier_among_its_split(tmp_path: Path) -> None:
    folder = datasets.generate(Hurried(), TEN, tmp_path)
    with pytest.raises(
        AssertionError, match=rf"{TEST}: trajectory 6: its nodes reach 53\.6 m/s; the median of test is"
    ):
        raise AssertionError(found(folder))


class Forgetful(Ballistic):
    """Trajectory 4 is made from the seed of trajectory 1, and the split long from that of test."""

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        if split == "long":
            twice = dataclasses.replace(recipe, horizon=2 * recipe.horizon)
            return super().sample_start(twice, "test", index, root_seed)
        return super().sample_start(recipe, split, 1 if index == 4 else index, root_seed)


def test_a_trajectory_and_a_seed_used_twice(tmp_path: Path) -> None:
    track = dataclasses.replace(TRACK, trajectories={"test": 6, "long": 1})
    says = found(datasets.generate(Forgetful(), track, tmp_path))
    assert f"{TEST}: trajectory 4: its frames are those of trajectory 1 of test, bit for bit" in says
    # Splits are gone through by file name.
    assert f"{TEST}: trajectory 0: it starts as trajectory 0 of long does, bit for bit: a seed was used twice" in says


def test_one_split_copied_into_another(tmp_path: Path) -> None:
    class Leaky(Ballistic):
        def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
            return super().sample_start(recipe, "train", index, root_seed)

    track = dataclasses.replace(TRACK, trajectories={"train": 3, "test": 2})
    says = found(datasets.generate(Leaky(), track, tmp_path))
    assert f"{TRAIN}: trajectory 0: its frames are those of trajectory 0 of test, bit for bit" in says


class Ranged(Ballistic):
    """Says which drags its splits may have."""

    parameter_ranges: ClassVar[Ranges] = {"drag": {"train": (0.5, 1.0), "material": (2.5, 3.0)}}


def test_parameters_are_held_to_seed_and_range(folder: Path) -> None:
    with h5py.File(folder / TRAIN, "r+", libver=("v110", "v110")) as file:
        right = float(file["traj/000002/parameters"].attrs["drag"])
        file["traj/000002/parameters"].attrs.modify("drag", 0.75)
        file["traj/000003/parameters"].attrs.modify("drag", 2.75)
    rehash(folder)
    says = found(folder, Ranged())
    assert f"trajectory 2: the parameter drag is 0.75; its seed gives {right:.6g}\n" in says
    assert "trajectory 3: the parameter drag is 2.75; its seed gives" in says
    assert ", and the range of train is 0.5 to 1" in says


def test_a_simulator_that_draws_out_of_its_own_range(tmp_path: Path) -> None:
    class Loose(Ranged):
        def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
            start = super().sample_start(recipe, split, index, root_seed)
            return dataclasses.replace(start, scene=self.with_parameter(start.scene, "drag", 1.5))

    loose = Loose()
    folder = datasets.generate(loose, dataclasses.replace(TRACK, trajectories={"test": 1}), tmp_path)
    assert "the parameter drag is 1.5; the range of test is 0.5 to 1" in found(folder, loose)


def test_a_start_that_its_seed_does_not_give(tmp_path: Path) -> None:
    shifted = Spoilt(lambda film: with_frames(film, "position", lambda x: x.add_(0.25)))
    folder = datasets.generate(shifted, dataclasses.replace(TRACK, trajectories={"test": 2}), tmp_path)
    assert "begins 0.354 m from where its seed has it" in found(folder, BALLISTIC)


@pytest.mark.parametrize(("name", "value"), [("seed", "7"), ("index", 9), ("status", "diverged")])
def test_a_trajectory_under_another_name(folder: Path, name: str, value: Any) -> None:
    with h5py.File(folder / TRAIN, "r+", libver=("v110", "v110")) as file:
        del file["traj/000002"].attrs[name]
        file["traj/000002"].attrs[name] = value if isinstance(value, int) else value.encode().ljust(1)
        if not isinstance(value, int):
            del file["traj/000002"].attrs[name]
            file["traj/000002"].attrs.create(name, value.encode(), dtype=f"S{len(value)}")
    rehash(folder)
    assert f"{TRAIN}: trajectory 2: its {name} is {value!r}; " in found(folder)


def test_a_sample_hashes_all_and_looks_into_some(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watched(paths: Sequence[Path]) -> list[str | None]:
        asked.extend(path.name for path in paths)
        return [None] * len(paths)

    monkeypatch.setattr(_verify, "probe", watched)
    told: list[tuple[int, int]] = []
    assert datasets.verify(folder, sample=1, progress=lambda *x: told.append(x)) == []
    assert len(asked) == 1
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    (folder / TRAIN).write_bytes(b"\0" + (folder / TRAIN).read_bytes()[1:])
    assert any(p.path == TRAIN for p in datasets.verify(folder, sample=1))


def test_a_large_set_is_asked_about_in_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def watched(paths: Sequence[Path]) -> list[str | None]:
        sizes.append(len(paths))
        return [None] * len(paths)

    monkeypatch.setattr(_verify, "probe", watched)
    monkeypatch.setattr(_verify, "BATCH", 2)
    assert datasets.verify(folder) == []
    assert sizes == [2, 1]


# -- made again --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "index"), [("train", 10), ("long", 0)])
def test_a_trajectory_is_made_again_bit_for_bit(original: Path, ballistic: Domain, split: str, index: int) -> None:
    again = datasets.regenerate(original, split, index, ballistic)
    assert (again.stored, again.same, again.holds, again.known) == (True, True, True, True)
    assert again.what == "bit for bit the stored one"
    require_equal(again.film, datasets.load(original, split).select([index]))


def test_a_trajectory_is_made_again_from_the_descriptions_alone(
    original: Path, ballistic: Domain, tmp_path: Path
) -> None:
    for name in ("dataset.json", "manifest.jsonl"):
        shutil.copy(original / name, tmp_path / name)
    again = datasets.regenerate(tmp_path, "train", 9, ballistic)
    assert not again.stored
    require_equal(again.film, datasets.load(original, "train").select([9]))


def test_a_sibling_is_made_again(tmp_path: Path) -> None:
    track = dataclasses.replace(TRACK, trajectories={"test": 2})
    folder = datasets.generate(Ranged(), track, tmp_path, siblings=3)
    assert datasets.regenerate(folder, "test", 5, Ranged()).same


def test_what_made_the_data_is_noted(original: Path) -> None:
    line = json.loads((original / "manifest.jsonl").read_text().splitlines()[0])
    assert {"hedgefox", "python", "numpy", "torch", "h5py", "hdf5", "machine"} <= set(line["made_with"])
    assert line["made_with"]["torch"] == torch.__version__
    cost = json.loads((original / "costs.jsonl").read_text().splitlines()[0])
    assert {"commit", "device", "system", "machine"} <= set(cost)


def test_a_manifest_of_before_versions_were_noted_is_read(folder: Path, ballistic: Domain) -> None:
    edit_lines(folder, lambda lines: [line.pop("made_with") for line in lines])
    assert datasets.verify(folder) == []
    assert datasets.regenerate(folder, "train", 0, ballistic).same


def drifted(by: float) -> Domain:
    """A simulator that rounds otherwise: off by a share of the box diagonal from frame 1 on."""

    def spoil(film: Trajectory) -> Trajectory:
        return with_frames(film, "position", lambda x: x[1:].add_(by))  # the box is 1 m by 1 m

    return Spoilt(spoil)


@pytest.mark.parametrize(("by", "elsewhere", "holds"), [(1e-5, False, False), (1e-5, True, True), (1e-2, True, False)])
def test_elsewhere_it_agrees_within_the_tolerance(folder: Path, by: float, elsewhere: bool, holds: bool) -> None:
    if elsewhere:
        edit_lines(folder, lambda lines: [line["made_with"].update(torch="0.9") for line in lines])
    again = datasets.regenerate(folder, "train", 3, drifted(by))
    assert (again.same, again.holds) == (False, holds)
    assert ("torch 0.9 then" in again.what) == elsewhere
    assert "of the box diagonal at frame 0" in again.what


def test_another_generator_version_is_named(original: Path) -> None:
    class Later(Ballistic):
        version: ClassVar[int] = 2

    with pytest.raises(MisuseError, match="no domain 'ballistic' in generator version 1"):
        datasets.regenerate(original, "train", 0, Later())
    with pytest.raises(MisuseError, match="no trajectory 11 in train; it has 0 to 10"):
        datasets.regenerate(original, "train", 11, BALLISTIC)
    with pytest.raises(MisuseError, match="no split 'test'"):
        datasets.regenerate(original, "test", 0, BALLISTIC)


def test_a_damaged_shard_is_not_compared_with(folder: Path, ballistic: Domain) -> None:
    data = bytearray((folder / TRAIN).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / TRAIN).write_bytes(data)
    with pytest.raises(CheckFailed, match="SHA-256"):
        datasets.regenerate(folder, "train", 0, ballistic)


def test_the_verbs(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(registry, "names", lambda kind: ["ballistic"])
    monkeypatch.setattr(registry, "domain", lambda name: BALLISTIC)
    assert cli.main(["verify", str(folder), "--regenerate", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == []
    assert [row["holds"] for row in said["regenerated"]] == [True] * 3
    film = folder.parent / "film.h5"
    assert cli.main(["regenerate", str(folder), "train", "2", "--out", str(film)]) == 0
    assert "train 2: bit for bit the stored one" in capsys.readouterr().out
    require_equal(datasets.read(film), datasets.load(folder, "train").select([2]))
    assert cli.main(["regenerate", str(folder), "train", "99"]) == 2


def test_trajectories_are_drawn_from_all_splits(original: Path) -> None:
    drawn = datasets.drawn_at_random(original, 99)
    assert sorted(drawn) == sorted({*(("train", k) for k in range(11)), ("valid", 0), ("valid", 1), ("long", 0)})


def test_films_stack_into_the_split(original: Path, ballistic: Domain) -> None:
    films = [datasets.regenerate(original, "valid", k, ballistic).film for k in range(2)]
    require_equal(stack(films), datasets.load(original, "valid"))
