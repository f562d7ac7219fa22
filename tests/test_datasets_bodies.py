"""Meshes, rigid bodies and their shapes, and the labels of events, through everything that data go through on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import MisuseError, Scene, Track, Trajectory, rotation, single_scene, stack
from hedgefox.contracts.track import smoke
from hedgefox.datasets._record import events_of, film_of, records_of

from .spoilt import rehash
from .test_datasets import require_equal
from .test_datasets_verify import require_problem
from .tumbling import TUMBLING, Tumbling

TRACK: Track = dataclasses.replace(smoke(), trajectories={"train": 11, "valid": 2, "test": 3})
TRAIN = "train-00000-of-00001.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets.generate(TUMBLING, TRACK, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def bodies() -> Trajectory:
    return TUMBLING.simulate(TUMBLING.recipe("xs"), "test", range(4), root_seed=2)


def sheet(nodes: int, seed: int) -> Trajectory:
    """A triangle mesh in three dimensions, `nodes` by 3, its corners driven, waving by a formula."""
    row, column = torch.meshgrid(torch.arange(nodes), torch.arange(3), indexing="ij")
    flat = torch.stack([0.1 * row, 0.1 * column, 0.5 + 0.0 * row], -1).reshape(-1, 3)
    index = torch.arange(3 * nodes).view(nodes, 3)
    a, b, c, d = (index[i : nodes - 1 + i, j : 2 + j].flatten() for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)))
    time = 0.02 * torch.arange(9)
    wave = 0.05 * torch.sin(7 * time[:, None] + 10 * flat[:, 0] + seed)
    position = flat + torch.stack([0 * wave, 0 * wave, wave], -1)
    velocity = torch.stack([0 * wave, 0 * wave, 0.35 * torch.cos(7 * time[:, None] + 10 * flat[:, 0] + seed)], -1)
    types = torch.zeros(3 * nodes, dtype=torch.int64)
    types[[0, 2]] = 1
    scene = single_scene(
        domain="sheet",
        frame_interval=0.02,
        rest_position=flat,
        mass=0.01,
        bounds=torch.tensor([[-1.0, -1.0, 0.0], [2.0, 2.0, 2.0]]),
        node_type=types,
        node_position=position[:, [0, 2]],
        edges=torch.cat([torch.stack(x, -1) for x in ((a, b), (a, c), (b, c), (b, d), (c, d))]).unique(dim=0),  # type: ignore[no-untyped-call]
        faces=torch.cat([torch.stack([a, b, c], -1), torch.stack([b, d, c], -1)]),
        parameters={"stretch_stiffness": 10.0 + seed},
        n_frames=9,
    )
    return Trajectory(scene, position, velocity)


def require_same_bodies(a: Trajectory, b: Trajectory) -> None:
    require_equal(a, b)
    for name in ("pose", "twist"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_bodies_come_back_from_a_split_as_simulated(folder: Path) -> None:
    for split, n in TRACK.trajectories.items():
        fresh = TUMBLING.simulate(TUMBLING.recipe(TRACK.size), split, range(n), TRACK.root_seed)
        require_same_bodies(datasets.load(folder, split), fresh)
    assert datasets.verify(folder, TUMBLING) == []
    loaded = datasets.load(folder, "train").scene
    assert loaded.shape_ptr.tolist() == loaded.body_ptr.tolist() == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]
    assert loaded.shape_body.tolist() == list(range(16))
    assert (loaded.faces.shape[0], loaded.edges.shape[0]) == (16 * 12, 16 * 12)


def test_meshes_come_back_from_a_file(tmp_path: Path) -> None:
    film = stack([sheet(4, 0), sheet(6, 1), sheet(3, 2)])
    datasets.save(film, tmp_path / "film.h5")
    require_equal(datasets.read(tmp_path / "film.h5"), film)


def edge_lengths(film: Trajectory) -> torch.Tensor:
    a, b = film.scene.edges.unbind(1)
    length: torch.Tensor = torch.linalg.vector_norm(film.position[:, a] - film.position[:, b], dim=-1)
    return length


def test_windows_and_selections_of_meshes_keep_their_edges_and_faces() -> None:
    film = stack([sheet(4, 0), sheet(6, 1), sheet(3, 2)])
    windows = datasets.Windows(film, 4)
    cut = windows.at(torch.tensor([len(windows) - 1, 0, 7]))
    for got, (scene, start) in zip(cut.split(), ((2, 5), (0, 0), (1, 1)), strict=True):
        whole = film.select([scene])
        assert torch.equal(got.scene.edges, whole.scene.edges)
        assert torch.equal(got.scene.faces, whole.scene.faces)
        assert torch.equal(edge_lengths(got), edge_lengths(whole)[start : start + 4])
    owner = cut.scene.node_scene
    assert torch.equal(owner[cut.scene.faces[:, 0]], owner[cut.scene.faces[:, 2]]), "no face joins two scenes"
    again = cut.select([1, 1])
    assert torch.equal(edge_lengths(again), edge_lengths(stack([cut.select([1])] * 2)))


def require_carried(film: Trajectory) -> None:
    """Every node is where the pose and the twist of its body put it."""
    assert film.pose is not None
    assert film.twist is not None
    body = film.scene.body_id
    local = rotation.local_points(film.position, film.pose, body)
    assert torch.allclose(local, local[:1].expand_as(local), atol=1e-5)
    x, v = rotation.carried(local, film.pose, film.twist, body)
    assert torch.allclose(x, film.position, atol=1e-5)
    assert torch.allclose(v, film.velocity, atol=1e-4)


def test_windows_selections_and_stacks_of_bodies_keep_nodes_on_their_bodies(bodies: Trajectory) -> None:
    windows = datasets.Windows(bodies, 5)
    cut = windows.at(torch.tensor([len(windows) - 1, 0, len(windows) // 2]))
    for film in (cut, bodies.select([3, 0, 3]), stack([bodies.select([1]), bodies.select([0, 1])])):
        require_carried(film)
        scene: Scene = film.scene
        owner = torch.repeat_interleave(torch.arange(scene.n_scenes), scene.body_ptr.diff())
        shape_owner = torch.repeat_interleave(torch.arange(scene.n_scenes), scene.shape_ptr.diff())
        assert torch.equal(owner[scene.shape_body], shape_owner), "a shape belongs to a body of its own scene"
        assert torch.equal(owner[scene.body_id], scene.node_scene)


def test_training_batches_hold_bodies(folder: Path) -> None:
    require_carried(datasets.Windows(datasets.load(folder, "train"), 6).batch(torch.Generator().manual_seed(1), 5))


def test_diverged_bodies_survive_their_file(bodies: Trajectory, tmp_path: Path) -> None:
    position = bodies.position.clone()
    position[5, bodies.scene.node_scene == 1] = torch.inf
    broken = dataclasses.replace(bodies, position=position).with_divergence()
    datasets.save(broken, tmp_path / "film.h5")
    again = datasets.read(tmp_path / "film.h5")
    assert again.pose is not None
    assert again.pose[5:, 1:3].isnan().all()
    assert not again.pose[:5].isnan().any()
    assert not again.pose[:, :1].isnan().any()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pose", "pose has 6 columns; 7 is right"),
        ("twist", "twist has 5 columns; 6 is right"),
        ("shape_pose", "shape_pose has 6 columns; 7 is right"),
        ("faces", "faces has 2 columns; 3 is right"),
    ],
)
def test_arrays_of_the_wrong_width_are_refused(bodies: Trajectory, name: str, says: str) -> None:
    record = records_of(bodies)[0]
    narrow = dataclasses.replace(record, arrays={**record.arrays, name: record.arrays[name][..., :-1]})
    with pytest.raises(MisuseError, match=says):
        film_of(narrow)


def test_a_shape_of_an_unknown_kind_or_body_is_refused(bodies: Trajectory) -> None:
    record = records_of(bodies)[0]
    for name, says in (("shape_kind", "shape_kind runs from 7 to 7"), ("shape_body", "shape_body runs from 7 to 7")):
        wrong = dataclasses.replace(record, arrays={**record.arrays, name: 0 * record.arrays[name] + 7})
        with pytest.raises(MisuseError, match=says):
            film_of(wrong)


# -- events ------------------------------------------------------------------------------------------------------------


def test_labels_are_stored_for_every_event_and_come_back(folder: Path) -> None:
    film = datasets.load(folder, "train")
    stored, right = datasets.events(folder, "train"), TUMBLING.events(film)
    assert stored.keys() == right.keys() == {"sinks", "falls fast"}
    for name, label in right.items():
        assert label.shape == (film.n_frames, film.scene.n_scenes)
        assert torch.equal(stored[name], label)
    with h5py.File(folder / TRAIN) as file:
        assert file["traj/000001/events/falls fast"].shape == (film.n_frames,)


def test_some_scene_has_an_event_and_some_has_none() -> None:
    """Else the tests of labels would prove nothing."""
    film = TUMBLING.simulate(TUMBLING.recipe("xs"), "material", range(6), root_seed=TRACK.root_seed)
    labels = torch.cat(list(TUMBLING.events(film).values()), dim=1)
    assert labels.any()
    assert not labels.all()


def test_a_wrong_label_is_found(folder: Path, tmp_path: Path) -> None:
    class Liar(Tumbling):
        def events(self, film: Trajectory) -> dict[str, torch.Tensor]:
            return {name: ~label for name, label in super().events(film).items()}

    made = datasets.generate(Liar(), TRACK, tmp_path)
    assert datasets.verify(made, Liar()) == []
    problems = datasets.verify(made, TUMBLING)
    assert {p.path for p in problems} >= {TRAIN}
    assert "events/falls fast is 1 at frame 0; the states give 0" in problems[0].what


def test_a_missing_event_and_a_failing_domain_are_found(folder: Path) -> None:
    class More(Tumbling):
        def events(self, film: Trajectory) -> dict[str, torch.Tensor]:
            return super().events(film) | {"flies": film.position[:, :1, 2] > 0}

    class Failing(Tumbling):
        def events(self, film: Trajectory) -> dict[str, torch.Tensor]:
            raise ZeroDivisionError("planted")

    assert "it has labels of" in datasets.verify(folder, More())[0].what
    assert "its events cannot be made again: ZeroDivisionError" in datasets.verify(folder, Failing())[0].what


def test_another_domain_or_version_makes_no_labels(folder: Path) -> None:
    from .ballistic import BALLISTIC

    class Newer(Tumbling):
        version = 2

        def events(self, film: Trajectory) -> dict[str, torch.Tensor]:
            return {}

    assert datasets.verify(folder, Newer()) == []
    with pytest.raises(MisuseError, match="the data are of domain 'tumbling'; the domain given is 'ballistic'"):
        datasets.verify(folder, BALLISTIC)


def test_a_label_that_is_no_label_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "tumbling"))
    with h5py.File(copy / TRAIN, "r+", libver=("v110", "v110")) as file:
        file["traj/000000/events/sinks"][2] = 7
    rehash(copy)
    require_problem(copy, TRAIN, "events/sinks is of type .u1 and shape .* or neither 0 nor 1")


def test_films_saved_alone_have_no_labels(bodies: Trajectory) -> None:
    assert events_of(records_of(bodies)[0]) == {}
    assert set(events_of(records_of(bodies, TUMBLING)[0])) == {"sinks", "falls fast"}
