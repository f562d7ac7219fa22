"""Data on disk: what was simulated comes back bit for bit, from a seed, whoever made it; windows and statistics are exact."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import NEVER, CheckFailed, Domain, MisuseError, Trajectory, stack
from hedgefox.contracts.scene import GROUP_OF, POINTER_OF, SCRIPT_GROUP_OF
from hedgefox.contracts.track import smoke

from .ballistic import TRACK


@pytest.fixture
def folder(original: Path) -> Path:
    """The data themselves: nothing here changes them."""
    return original


def require_equal(a: Trajectory, b: Trajectory) -> None:
    for name in ("position", "velocity"):
        assert torch.equal(getattr(a, name).view(torch.int32), getattr(b, name).view(torch.int32)), name
    for name in [*GROUP_OF, *POINTER_OF.values()]:
        left, right = getattr(a.scene, name), getattr(b.scene, name)
        assert torch.equal(left, right), name
        assert left.dtype == right.dtype, name
    for name in SCRIPT_GROUP_OF:
        assert torch.equal(getattr(a.scene.script, name), getattr(b.scene.script, name)), name
    assert set(a.scene.parameters) == set(b.scene.parameters)
    for name, value in a.scene.parameters.items():
        assert torch.equal(value, b.scene.parameters[name]), name
    assert (a.scene.domain, a.scene.frame_interval) == (b.scene.domain, b.scene.frame_interval)


@pytest.mark.parametrize("split", ["train", "valid", "long"])
def test_a_split_comes_back_as_it_was_simulated(folder: Path, ballistic: Domain, split: str) -> None:
    n = TRACK.trajectories[split]
    fresh = ballistic.simulate(ballistic.recipe(TRACK.size), split, range(n), TRACK.root_seed)
    loaded = datasets.load(folder, split)
    require_equal(loaded, fresh)
    assert loaded.diverged_at is not None
    assert loaded.diverged_at.tolist() == [NEVER] * n


@pytest.mark.parametrize("index", [0, 7, 8, 10])
def test_any_trajectory_can_be_made_again_alone(folder: Path, ballistic: Domain, index: int) -> None:
    alone = ballistic.simulate(ballistic.recipe(TRACK.size), "train", [index], TRACK.root_seed)
    require_equal(datasets.load(folder, "train").select([index]), alone)


def test_sound_data_verify(folder: Path) -> None:
    assert datasets.verify(folder) == []


def test_complete_data_are_left_untouched(folder: Path, ballistic: Domain) -> None:
    before = {p: p.stat().st_mtime_ns for p in [folder, *folder.iterdir()]}
    told: list[tuple[int, int]] = []
    assert datasets.generate(ballistic, TRACK, folder.parent, progress=lambda *x: told.append(x)) == folder
    assert {p: p.stat().st_mtime_ns for p in [folder, *folder.iterdir()]} == before
    assert told == [(14, 14)]


def test_progress_counts_to_the_end(ballistic: Domain, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    datasets.generate(ballistic, TRACK, tmp_path, progress=lambda *x: told.append(x))
    assert told[0] == (0, 14)
    assert told[-1] == (14, 14)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert capfd.readouterr() == ("", "")


def test_shards_are_the_same_bytes_at_another_time_by_more_workers(folder: Path, tmp_path: Path) -> None:
    # Under its package name, since that is where a worker process finds it.
    from hedgefox.tests.ballistic import BALLISTIC

    time.sleep(max(0.0, 1.1 - (time.time() - (folder / "dataset.json").stat().st_mtime)))
    again = datasets.generate(BALLISTIC, TRACK, tmp_path, workers=2)
    assert datasets.manifest_hash(again) == datasets.manifest_hash(folder)
    for path in folder.iterdir():
        if path.name != "costs.jsonl":
            assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_splits_made_one_by_one_are_the_same_data(folder: Path, ballistic: Domain, tmp_path: Path) -> None:
    part = datasets.generate(ballistic, TRACK, tmp_path, splits=["long"])
    assert sorted(p.name for p in part.glob("*.h5")) == ["long-00000-of-00001.h5"]
    assert datasets.verify(part) == []
    with pytest.raises(MisuseError, match=r"no split 'train'; it has long"):
        datasets.load(part, "train")
    with pytest.raises(MisuseError, match="once the split train is complete"):
        datasets.statistics(part)
    datasets.generate(ballistic, TRACK, tmp_path)
    assert datasets.manifest_hash(part) == datasets.manifest_hash(folder)
    assert datasets.statistics(part) == datasets.statistics(folder)


def test_no_machine_no_time_no_path_in_what_is_hashed(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "costs.jsonl":
            assert str(folder.parent).encode() not in path.read_bytes()
    line = json.loads((folder / "costs.jsonl").read_text().splitlines()[0])
    assert line["seconds"] > 0
    assert line["stop"] == 8


def test_the_root_says_what_the_file_is(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "train-00000-of-00001.h5") as file:
        assert file.attrs["format"] == b"hedgefox"
        assert file.attrs["complete"] == 1
        assert json.loads(file.attrs["config"])["root_seed"] == TRACK.root_seed
        assert file["traj/000003"].attrs["index"] == 3
        assert file["traj/000003/position"].fletcher32
        assert file["traj/000003/position"].compression is None
        assert file["index"]["nodes"].tolist() == [5 + i % 3 for i in range(11)]


def test_a_film_survives_its_file(film: Trajectory, tmp_path: Path) -> None:
    datasets.save(film, tmp_path / "film.h5")
    require_equal(datasets.read(tmp_path / "film.h5"), film)


def test_a_diverged_film_survives_its_file(film: Trajectory, tmp_path: Path) -> None:
    broken = diverged(film, 1, 5)
    datasets.save(broken, tmp_path / "film.h5")
    again = datasets.read(tmp_path / "film.h5")
    require_equal(again, broken)
    assert again.diverged_at is not None
    assert again.diverged_at.tolist() == [NEVER, 5, NEVER]


def test_a_film_of_rigid_bodies_survives_its_file(film: Trajectory, tmp_path: Path) -> None:
    bodies = film.scene.scene_ptr[1:] - film.scene.scene_ptr[:-1]
    scene = dataclasses.replace(
        film.scene, body_id=torch.arange(int(bodies.sum())), body_ptr=film.scene.scene_ptr.clone()
    )
    pose, twist = torch.rand(film.n_frames, int(bodies.sum()), 7), torch.rand(film.n_frames, int(bodies.sum()), 6)
    whole = dataclasses.replace(film, scene=scene, pose=pose, twist=twist)
    datasets.save(whole, tmp_path / "film.h5")
    again = datasets.read(tmp_path / "film.h5")
    require_equal(again, whole)
    assert again.pose is not None
    assert again.twist is not None
    assert torch.equal(again.pose, pose)
    assert torch.equal(again.twist, twist)


def diverged(film: Trajectory, scene: int, frame: int) -> Trajectory:
    """The film with one scene blown up from a frame on."""
    position = film.position.clone()
    position[frame, film.scene.node_scene == scene] = torch.inf
    return dataclasses.replace(film, position=position).with_divergence()


# -- misuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"track": "fast"}, "unknown track 'fast'; one of smoke"),
        ({"splits": ["dev"]}, "no data for split 'dev'; it has train, valid"),
        ({"splits": []}, "an empty list of splits"),
        ({"workers": 0}, "0 workers; at least 1"),
        ({"device": "abacus"}, "device 'abacus' is not there"),
        ({"domain": "alchemy"}, "unknown domain 'alchemy'"),
        ({"track": dataclasses.replace(smoke(), size="xxl")}, "no size 'xxl'"),
    ],
)
def test_misuse_is_told_before_anything_is_written(
    ballistic: Domain, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    call = {"domain": ballistic, "track": "smoke", "out": tmp_path / "out", **change}
    with pytest.raises(MisuseError, match=says):
        datasets.generate(**call)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"root_seed": 7}, f"root_seed = {TRACK.root_seed}, not 7"),
        ({"size": "s"}, "recipe.horizon = 8, not 20"),
        ({"trajectories": {"train": 12, "valid": 2, "long": 1}}, r"trajectories.train = 11, not 12"),
    ],
)
def test_other_data_are_not_mixed_in(folder: Path, ballistic: Domain, change: dict[str, object], says: str) -> None:
    before = datasets.manifest_hash(folder)
    with pytest.raises(MisuseError, match=says):
        datasets.generate(ballistic, dataclasses.replace(TRACK, **change), folder.parent)  # type: ignore[arg-type]
    assert datasets.manifest_hash(folder) == before


def test_another_generator_version_is_not_mixed_in(folder: Path) -> None:
    from .ballistic import Ballistic

    class Newer(Ballistic):
        version = 2

    with pytest.raises(MisuseError, match="generator_version = 1, not 2"):
        datasets.generate(Newer(), TRACK, folder.parent)


def test_loading_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no split 'dev'; it has long, train, valid"):
        datasets.load(folder, "dev")
    with pytest.raises(MisuseError, match="is not a dataset"):
        datasets.load(tmp_path, "train")
    with pytest.raises(MisuseError, match="no finished shard"):
        datasets.manifest_hash(tmp_path)


def test_loading_changed_data_fails(ballistic: Domain, tmp_path: Path) -> None:
    folder = datasets.generate(ballistic, TRACK, tmp_path, splits=["valid"])
    path = folder / "valid-00000-of-00001.h5"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckFailed, match="SHA-256"):
        datasets.load(folder, "valid")


# -- statistics --------------------------------------------------------------------------------------------------------


def plain(film: Trajectory) -> dict[str, np.ndarray]:
    """All samples of each field in float64, the simple way."""
    parts: dict[str, list[np.ndarray]] = {n: [] for n in ("position", "velocity", "displacement", "acceleration")}
    for one in film.split():
        stop = one.n_frames if one.diverged_at is None or one.diverged_at[0] == NEVER else int(one.diverged_at[0])
        x = one.position[:stop, one.scene.free].double().numpy()
        v = one.velocity[:stop, one.scene.free].double().numpy()
        samples = (x, v, x[1:] - x[:-1], x[2:] - 2 * x[1:-1] + x[:-2])
        for name, values in zip(parts, samples, strict=True):
            parts[name].append(values.reshape(-1, x.shape[-1]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def require_statistics(stats: datasets.Statistics, film: Trajectory) -> None:
    fields = plain(film) | {"drag": film.scene.parameters["drag"].double().numpy()[:, None]}
    assert set(stats.fields) == set(fields)
    for name, samples in fields.items():
        field = stats.fields[name]
        assert field.count == len(samples)
        assert field.mean == pytest.approx(samples.mean(0), rel=1e-10, abs=1e-15)
        assert field.std == pytest.approx(samples.std(0), rel=1e-10)
        assert field.min == pytest.approx(samples.min(0), rel=1e-10)
        assert field.max == pytest.approx(samples.max(0), rel=1e-10)


def test_statistics_are_those_of_the_training_split(folder: Path) -> None:
    stats = datasets.statistics(folder)
    require_statistics(stats, datasets.load(folder, "train"))
    assert stats.fields["acceleration"].unit.startswith("m ")
    assert stats.parameters["drag"].unit == "1/s"
    assert datasets.Statistics.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats


def test_statistics_leave_out_what_diverged(film: Trajectory) -> None:
    from hedgefox.datasets._statistics import Accumulator

    broken = diverged(diverged(film, 1, 5), 2, 0)
    accumulator = Accumulator({"drag": "1/s"})
    for one in broken.split():
        accumulator.add(one)
    require_statistics(accumulator.result(""), broken)


def test_displacements_wrap_around_a_periodic_box(film: Trajectory) -> None:
    from hedgefox.datasets._statistics import Accumulator

    one = film.select([0])
    wrapped = dataclasses.replace(
        one,
        scene=dataclasses.replace(one.scene, wall=torch.ones_like(one.scene.wall)),
        position=torch.remainder(one.position + 0.7, 1.0),
    )
    assert (wrapped.position[1:] - wrapped.position[:-1]).abs().max() > 0.5
    results = []
    for each in (one, wrapped):
        accumulator = Accumulator({"drag": "1/s"})
        accumulator.add(each)
        results.append(accumulator.result("").fields)
    for name in ("displacement", "acceleration"):
        assert results[1][name].mean == pytest.approx(results[0][name].mean, abs=1e-6)
        assert results[1][name].max == pytest.approx(results[0][name].max, abs=1e-6)


# -- windows -----------------------------------------------------------------------------------------------------------


def test_windows_never_reach_into_divergence(film: Trajectory) -> None:
    broken = diverged(diverged(film, 1, 5), 2, 2)
    windows = datasets.Windows(broken, 4)
    n = film.n_frames
    assert len(windows) == (n - 4 + 1) + (5 - 4 + 1) + 0
    every = windows.at(torch.arange(len(windows)))
    assert every.n_frames == 4
    assert torch.isfinite(every.position).all()


def test_every_window_is_there_once(film: Trajectory) -> None:
    windows = datasets.Windows(film, 5)
    wanted = stack([one.frames(s, s + 5) for one in film.split() for s in range(film.n_frames - 4)][:1])
    require_equal(windows.at(torch.tensor([0])), with_script(wanted, 5))
    starts = windows.at(torch.arange(len(windows))).split()
    expected = [(b, s) for b in range(3) for s in range(film.n_frames - 4)]
    assert len(starts) == len(expected)
    parts = film.split()
    for got, (b, s) in zip(starts, expected, strict=True):
        assert torch.equal(got.position, parts[b].position[s : s + 5])
        assert torch.equal(got.scene.script.node_position, parts[b].scene.script.node_position[s : s + 5])


def with_script(film: Trajectory, length: int) -> Trajectory:
    script = film.scene.script._map(lambda _, x: x[:length])
    return dataclasses.replace(film, scene=film.scene.with_script(script))


def test_batches_follow_the_generator(film: Trajectory) -> None:
    windows = datasets.Windows(film, 5)
    first, same = (windows.batch(torch.Generator().manual_seed(3), 16) for _ in range(2))
    require_equal(first, same)
    other = windows.batch(torch.Generator().manual_seed(4), 16)
    assert other.position.shape != first.position.shape or not torch.equal(other.position, first.position)


def test_batches_draw_every_window(film: Trajectory) -> None:
    windows = datasets.Windows(film, film.n_frames - 1)
    assert len(windows) == 6
    drawn = windows.batch(torch.Generator().manual_seed(0), 200).split()
    assert len({tuple(one.position[0, 0].tolist()) for one in drawn}) == 6


@pytest.mark.parametrize(("length", "says"), [(0, "windows of 0 frames"), (99, "windows of 99 frames from a film of")])
def test_windows_that_do_not_fit(film: Trajectory, length: int, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        datasets.Windows(film, length)


def test_misuse_of_windows(film: Trajectory) -> None:
    windows = datasets.Windows(film, 4)
    with pytest.raises(MisuseError, match=f"window {len(windows)} is not among"):
        windows.at(torch.tensor([0, len(windows)]))
    with pytest.raises(MisuseError, match="window -1 is not among"):
        windows.at(torch.tensor([-1]))
    with pytest.raises(MisuseError, match="a batch of 0 windows"):
        windows.batch(torch.Generator(), 0)
    gone = diverged(film.select([0]), 0, 1)
    with pytest.raises(MisuseError, match="no window of 2 frames is left"):
        datasets.Windows(gone, 2)
