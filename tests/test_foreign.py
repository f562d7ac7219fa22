"""Readers of other people's layouts, against files that tests/foreign.py wrote without hedgefox."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hedgefox.contracts import MisuseError, NodeType, Wall
from hedgefox.datasets import _probe
from hedgefox.datasets import foreign as readers
from hedgefox.datasets.foreign import _hdf5, _tfrecord
from hedgefox.datasets.foreign._crc32c import crc32c, masked

from . import foreign as write


@pytest.fixture(autouse=True)
def looked_over_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe of HDF5 files in this process: another one a file takes most of a second."""
    if "another_process" in request.fixturenames:
        return

    def require_harmless(path: Path, foreign: bool) -> None:
        try:
            _probe.inspect(str(path), _probe.FOREIGN if foreign else "", 0, read=True)
        except _probe.Refused as error:
            raise MisuseError(f"{path}: {error}") from error

    monkeypatch.setattr(_hdf5, "require_harmless", require_harmless)


@pytest.fixture
def another_process() -> None:
    """Asked for by a test whose files another process is to look over, as it does for users."""


# -- checksums and records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_crc32c_has_the_values_of_its_standard(data: bytes, expected: int) -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(data) == expected == write.castagnoli(data)


@pytest.mark.parametrize("length", [1, 511, 512, 513, 1023, 1024, 4097, 20_001])
def test_crc32c_of_lanes_is_that_of_one_byte_after_the_other(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert crc32c(data) == write.castagnoli(data)
    assert masked(crc32c(data)) == write.mask(crc32c(data))


def test_a_record_is_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    numbers = write.int_feature(3, -2, 1 << 62)
    reals = write.field(2, write.field(1, np.array([1.5, -2.0], "<f4").tobytes()))
    texts = write.bytes_feature(b"a", b"bc")
    path.write_bytes(write.frame(write.example({"n": numbers, "r": reals, "t": texts})) * 2)
    found = list(_tfrecord.examples(path))
    assert [e.context for e in found] == [{"n": [3, -2, 1 << 62], "r": [1.5, -2.0], "t": [b"a", b"bc"]}] * 2
    assert _tfrecord.count(path) == 2


@pytest.mark.parametrize("at", [0, 9, 20, -1])
def test_a_flipped_byte_of_a_record_is_found(tmp_path: Path, at: int) -> None:
    whole = bytearray(write.frame(write.example({"t": write.bytes_feature(b"some text")})))
    whole[at] ^= 1
    (tmp_path / "x.tfrecord").write_bytes(whole)
    with pytest.raises(MisuseError, match="checksum"):
        list(_tfrecord.records(tmp_path / "x.tfrecord"))


def test_a_record_longer_than_its_file_is_refused_unread(tmp_path: Path) -> None:
    length = (1 << 60).to_bytes(8, "little")
    check = write.mask(write.castagnoli(length)).to_bytes(4, "little")
    (tmp_path / "x.tfrecord").write_bytes(length + check + b"little")
    with pytest.raises(MisuseError, match="claims 1152921504606846976 bytes"):
        list(_tfrecord.records(tmp_path / "x.tfrecord"))


def test_damaged_messages_end_in_one_error() -> None:
    """Every cut and 500 random changes of a sound message: an Example or Damaged, nothing else."""
    sound = write.gns_example(write.falling(3), write.water(16), 7)
    rng = random.Random(0)
    changed = [sound[:n] for n in range(0, len(sound), 7)]
    for _ in range(500):
        other = bytearray(sound)
        other[rng.randrange(60 if rng.random() < 0.5 else len(other))] = rng.randrange(256)
        changed.append(bytes(other))
    refused = 0
    for payload in changed:
        try:
            _tfrecord.parse(payload)
        except _tfrecord.Damaged:
            refused += 1
    assert refused > len(changed) // 4


# -- LagrangeBench -----------------------------------------------------------------------------------------------------


def test_lagrangebench_is_read_as_it_was_written(lid: Path) -> None:
    found = readers.open_set(lid)
    assert found.layout == "lagrangebench"
    assert found.splits == ("train", "valid", "test")
    assert found.described()["splits"] == {"train": 2, "valid": 1, "test": 1}
    films = list(found.films("train"))
    with h5py.File(lid / "train.h5") as file:
        for number, film in enumerate(films):
            assert np.array_equal(film.position.numpy(), file[f"{number:05d}/position"][()])
            kinds = file[f"{number:05d}/particle_type"][()]
            assert np.array_equal(film.scene.node_type.numpy() == NodeType.DRIVEN, np.isin(kinds, (1, 2)))
    scene = films[0].scene
    assert scene.frame_interval == pytest.approx(0.04)
    assert scene.wall.eq(Wall.PERIODIC).all()
    assert scene.period.tolist() == [[1.0, 1.0]]
    assert scene.mass.tolist() == pytest.approx([0.04] * 25)
    assert float(scene.parameters["viscosity"]) == pytest.approx(0.01)
    assert found.statistics["vel_std"] == [0.02, 0.02]


def test_velocities_and_scripts_go_around_periodic_axes(lid: Path) -> None:
    """Particles of `swirl` move on straight lines: first differences are constant, also where a film jumps by a period."""
    film = next(iter(readers.open_set(lid).films("train")))
    jumps = (film.position[1:] - film.position[:-1]).abs().amax()
    assert jumps > 0.5  # it does go around
    free = film.scene.free
    assert torch.allclose(film.velocity[:, free], film.velocity[:1, free].expand_as(film.velocity[:, free]), atol=1e-5)
    script = film.scene.script.node_position
    assert (script[1:] - script[:-1]).abs().amax() < 0.1
    off = film.scene.minimum_image(
        script - film.position[:, film.scene.driven_nodes], film.scene.node_scene[film.scene.driven_nodes]
    )
    assert off.abs().amax() < 1e-6


def test_lagrangebench_test_films_are_cut_into_pieces_of_26(lid: Path) -> None:
    found = readers.open_set(lid)
    whole = next(iter(found.films("test")))
    pieces = list(found.pieces("test"))
    assert [p.n_frames for p in pieces] == [26, 26]
    assert torch.equal(pieces[1].position, whole.position[26:52])
    # The first velocity of a piece says nothing of the frame before it.
    assert torch.equal(pieces[1].velocity[0], pieces[1].velocity[1])
    assert not torch.equal(pieces[1].velocity[0], whole.velocity[26])


def test_padding_is_left_out_and_deepmind_walls_are_driven_in_this_layout_too(tmp_path: Path) -> None:
    kind = write.water(16)
    kind[0] = -1
    metadata = {**write.GNS, "periodic_boundary_conditions": [False] * 3, "num_particles_max": 16}
    folder = write.lagrangebench(tmp_path / "WaterDrop", {"train": [(write.falling(8), kind)]})
    (folder / "metadata.json").write_text(json.dumps(metadata))
    film = next(iter(readers.open_set(folder).films("train")))
    assert film.scene.n_nodes == 15
    assert film.scene.driven_nodes.tolist() == [13, 14]
    assert film.scene.wall.eq(Wall.NO_SLIP).all()


def test_rigid_bodies_of_lagrangebench_move(tmp_path: Path) -> None:
    kind = np.full(16, 3, dtype=np.int64)
    folder = write.lagrangebench(tmp_path / "2D_BOX", {"train": [(write.falling(8), kind)]})
    assert next(iter(readers.open_set(folder).films("train"))).scene.driven_nodes.numel() == 0


def test_a_dam_break_falls_and_reverse_poiseuille_says_what_is_left_out(tmp_path: Path) -> None:
    films = {"train": [(write.falling(8), np.zeros(16, dtype=np.int64))]}
    flat = {"periodic_boundary_conditions": [False] * 3, "case": "DB", "dx": 0.02}
    dam = readers.open_set(write.lagrangebench(tmp_path / "2D_DAM_16", films, flat))
    assert next(iter(dam.films("train"))).scene.gravity.tolist() == [[0.0, -1.0]]
    rpf = write.lagrangebench(tmp_path / "2D_RPF_16", films, {"case": "RPF"})
    (rpf / "force.py").write_text("raise SystemExit('code found beside data was run')")
    assert any("force.py is not run" in note for note in readers.open_set(rpf).notes)
    assert any("depends on the place" in note for note in readers.open_set(rpf).notes)
    assert next(iter(readers.open_set(rpf).films("train"))).scene.gravity.tolist() == [[0.0, 0.0]]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "dim": ({"dim": 4}, "'dim' is 4; a whole number from 2 to 3"),
    "bounds": ({"bounds": [[0, 1], [1, 0]]}, "'bounds'.*pairs"),
    "dt": ({"dt": True}, "'dt' is True; a finite number"),
    "nan": ({"dt": float("nan")}, "NaN is no number of JSON"),
    "write_every": ({"write_every": 0}, "'write_every' is 0"),
    "periodic": ({"periodic_boundary_conditions": "yes"}, "truth values"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_metadata_are_named(tmp_path: Path, name: str) -> None:
    change, says = WRONG[name]
    films = {"train": [(write.falling(8), np.zeros(16, dtype=np.int64))]}
    with pytest.raises(MisuseError, match=says) as caught:
        readers.open_set(write.lagrangebench(tmp_path / "x", films, change))
    assert "\n" not in str(caught.value)


def removed(file: Any) -> None:
    del file["00000/position"]


def reals(file: Any) -> None:
    del file["00000/particle_type"]
    file["00000/particle_type"] = np.zeros(25)


def too_few(file: Any) -> None:
    del file["00000/particle_type"]
    file["00000/particle_type"] = np.zeros(3, dtype=int)


def flat(file: Any) -> None:
    del file["00000/position"]
    file["00000/position"] = np.zeros((4, 25), dtype="f4")


def unsound(file: Any) -> None:
    file["00000/position"][3, 2] = np.nan


def linked(file: Any) -> None:
    file["00009"] = h5py.ExternalLink("/etc/passwd", "/")


BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "removed": (removed, "trajectory 00000: it holds no array 'position'"),
    "reals": (reals, "particle_type is float64"),
    "too few": (too_few, "shape \\(3,\\); whole numbers of shape \\(25,\\)"),
    "flat": (flat, "numbers of shape \\(any, any, 2\\)"),
    "not finite": (unsound, "not finite from frame 3 on"),
    "external link": (linked, "external link"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_hdf5_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    change, says = BROKEN[name]
    folder = write.lid_driven(tmp_path / "x", frames=10)
    with h5py.File(folder / "train.h5", "a") as file:
        change(file)
    with pytest.raises(MisuseError, match=says) as caught:
        list(readers.open_set(folder).films("train"))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("another_process")
def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path) -> None:
    folder = write.lid_driven(tmp_path / "x", frames=10)
    (folder / "train.h5").write_bytes(b"not hdf5 at all" * 100)
    with pytest.raises(MisuseError, match=r"train\.h5: not a readable HDF5 file"):
        list(readers.open_set(folder).films("train"))


# -- DeepMind's particles ----------------------------------------------------------------------------------------------


def test_gns_is_read_as_it_was_written(drop: Path) -> None:
    found = readers.open_set(drop)
    assert found.layout == "gns"
    assert found.described()["splits"] == {"train": 2, "valid": 1, "test": 2}
    films = list(found.films("train"))
    assert [f.scene.n_nodes for f in films] == [16, 9]
    for film, (n, seed) in zip(films, ((4, 4), (3, 3)), strict=True):
        assert np.array_equal(film.position.numpy(), write.falling(21, count=n, seed=seed))
        assert film.scene.driven_nodes.tolist() == [n * n - 2, n * n - 1]
        assert torch.equal(film.scene.script.node_position, film.position[:, film.scene.driven_nodes])
    assert films[0].scene.bounds.flatten().tolist() == pytest.approx([0.1, 0.1, 0.9, 0.9])
    assert found.load("train").scene.n_scenes == 2


def test_a_gns_rollout_leaves_the_last_frame_out(drop: Path) -> None:
    """sequence_length = 20: the file has 21 frames, a rollout sees 6 and is scored on 14."""
    assert [p.n_frames for p in readers.open_set(drop).pieces("test")] == [20, 20]


@pytest.mark.parametrize("varies", [False, True])
def test_step_context_becomes_parameters_where_it_is_constant(tmp_path: Path, varies: bool) -> None:
    folder = write.gns(tmp_path / "x", {}, {"context_mean": [0.5], "context_std": [0.1]})
    context = np.full((21, 1), 0.75) + (np.arange(21)[:, None] if varies else 0)
    payload = write.gns_example(write.falling(21), write.water(16), 0, context)
    (folder / "train.tfrecord").write_bytes(write.frame(payload))
    film = next(iter(readers.open_set(folder).films("train")))
    assert {k: v.tolist() for k, v in film.scene.parameters.items()} == ({} if varies else {"context_0": [0.75]})


@pytest.mark.parametrize(
    ("position", "kind", "says"),
    [
        (write.falling(20), write.water(16), "20 positions; sequence_length \\+ 1 = 21"),
        (write.falling(21), write.water(9), "shape \\(9,\\); whole numbers of shape \\(16,\\)"),
        (write.falling(21, dim=3, count=2)[:, :5], write.water(5), "whole items of 8 bytes"),
    ],
)
def test_broken_gns_films_are_named(tmp_path: Path, position: Any, kind: Any, says: str) -> None:
    folder = write.gns(tmp_path / "x", {"train": [(position, kind)]})
    with pytest.raises(MisuseError, match=f"train.tfrecord, trajectory 0: .*{says}"):
        list(readers.open_set(folder).films("train"))


# -- MeshGraphNets -----------------------------------------------------------------------------------------------------


def test_a_flag_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = readers.MeshGraphNets(write.flag(tmp_path / "flag_simple"))
    film, stored = next(iter(found.films("train"))), write.flag_film(14)
    assert isinstance(readers.open_set(tmp_path / "flag_simple"), readers.MeshGraphNets)
    assert (found.layout, found.domain, film.scene.frame_interval) == ("meshgraphnets", "cloth", 0.02)
    assert np.array_equal(film.position.numpy(), stored["world_pos"])
    assert np.array_equal(film.scene.rest_position[:, :2].numpy(), stored["mesh_pos"][0])
    assert film.scene.rest_position[:, 2].eq(0).all()
    assert np.array_equal(film.scene.faces.numpy(), stored["cells"][0])
    assert film.scene.driven_nodes.tolist() == [0, 3]
    # 4 × 4 nodes: 24 sides of squares and 9 diagonals, each once.
    assert len(film.scene.edges) == 33
    assert {tuple(e) for e in film.scene.edges.tolist()} == {tuple(sorted(e)) for e in film.scene.edges.tolist()}
    assert [p.n_frames for p in found.pieces("test")] == [13]
    assert all(np.array_equal(next(found.arrays("train"))[k], v) for k, v in stored.items())


def test_obstacles_of_a_cloth_rest_where_they_start_and_are_driven(tmp_path: Path) -> None:
    stored = write.flag_film(5)
    stored["node_type"][0, 12:, 0] = 1
    found = readers.open_set(write.meshgraphnets(tmp_path / "sphere_simple", {"train": [stored]}, 5))
    scene = next(iter(found.films("train"))).scene
    assert scene.driven_nodes.tolist() == [0, 3, 12, 13, 14, 15]
    assert np.array_equal(scene.rest_position[12:].numpy(), stored["world_pos"][0, 12:])


def test_tetrahedra_have_six_edges_and_no_faces(tmp_path: Path) -> None:
    stored = {
        "cells": np.array([[[0, 1, 2, 3]]], dtype=np.int32),
        "mesh_pos": np.eye(4, 3, dtype=np.float32)[None],
        "node_type": np.zeros((1, 4, 1), dtype=np.int32),
        "world_pos": np.repeat(np.eye(4, 3, dtype=np.float32)[None], 3, 0),
    }
    found = readers.open_set(write.meshgraphnets(tmp_path / "deforming_plate", {"train": [stored]}, 3, dt=0.0))
    scene = next(iter(found.films("train"))).scene
    assert (len(scene.edges), len(scene.faces), scene.frame_interval) == (6, 0, 1.0)
    assert any("no frame interval" in note for note in found.notes)


def test_a_flow_is_a_field_on_a_mesh_that_stands_still(tmp_path: Path) -> None:
    stored = write.cylinder_film(6)
    found = readers.MeshGraphNets(write.meshgraphnets(tmp_path / "cylinder_flow", {"train": [stored]}, 6, dt=0.01))
    film = next(iter(found.films("train")))
    assert np.array_equal(film.velocity.numpy(), stored["velocity"])
    assert np.array_equal(film.position.numpy(), np.repeat(stored["mesh_pos"], 6, 0))
    assert any("pressure" in note for note in found.notes)
    assert np.array_equal(next(found.arrays("train"))["pressure"], stored["pressure"])
    with pytest.raises(MisuseError, match="mesh that stands still"):
        found.load("train")


def test_a_mesh_that_changes_is_refused_and_wrong_published_types_are_read(tmp_path: Path) -> None:
    wrong = {"type": "dynamic", "shape": [5, -1, 3], "dtype": "<dtype: 'float32'>"}
    fine = readers.open_set(write.meshgraphnets(tmp_path / "a", {"train": [write.flag_film(5)]}, 5, world_pos=wrong))
    assert next(iter(fine.films("train"))).n_frames == 5
    varying = {"type": "dynamic_varlen", "shape": [-1, 3], "dtype": "float32"}
    other = write.meshgraphnets(tmp_path / "b", {"train": [write.flag_film(5)]}, 5, world_pos=varying)
    with pytest.raises(MisuseError, match="world_pos changes in length with time"):
        list(readers.open_set(other).films("train"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cells": np.array([[[0, 1, 99]]], dtype=np.int32)}, "cells name nodes 0 to 99 of 16"),
        ({"world_pos": np.zeros((4, 16, 3), dtype=np.float32)}, r"fill no array of shape \[5, -1, 3\]"),
        ({"node_type": np.zeros((1, 15, 1), dtype=np.int32)}, r"node_type has shape \(1, 15, 1\)"),
    ],
)
def test_broken_meshes_are_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    folder = write.meshgraphnets(tmp_path / "x", {"train": [write.flag_film(5)]}, 5)
    (folder / "train.tfrecord").write_bytes(write.frame(write.mesh_example({**write.flag_film(5), **change})))
    with pytest.raises(MisuseError, match=f"train.tfrecord, trajectory 0: .*{says}"):
        list(readers.open_set(folder).films("train"))


# -- The Well ----------------------------------------------------------------------------------------------------------


def test_the_well_is_read_as_it_was_written(tmp_path: Path) -> None:
    full = write.the_well(tmp_path / "small")
    found = list(readers.TheWell(tmp_path / "small").trajectories("train"))
    assert len(found) == 2
    for sample, grid in enumerate(found):
        assert grid.time.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
        assert {k: len(v) for k, v in grid.coordinates.items()} == {"x": 4, "y": 3}
        for name in ("density", "velocity", "stress"):
            assert np.array_equal(grid.fields[name], full[name][sample])
        # Stored along x alone: the same in every frame, sample and row.
        assert np.array_equal(grid.fields["mask"], np.broadcast_to(full["mask"][0], (5, 4, 3)))
        assert grid.boundaries == {"x": "PERIODIC"}
        assert float(grid.scalars["Re"]) == 100.0
    some = next(readers.TheWell(tmp_path / "small").trajectories("train", slice(1, 3)))
    assert np.array_equal(some.fields["velocity"], full["velocity"][0, 1:3])
    assert len(some.time) == 2
    about = readers.described(tmp_path / "small")
    assert about["fields"] == {"t0": ["density", "mask"], "t1": ["velocity"], "t2": ["stress"]}
    assert about["grid"] == {"x": 4, "y": 3}
    assert about["parameters of the first file"] == {"Re": 100.0}


def test_broken_wells_are_named(tmp_path: Path) -> None:
    write.the_well(tmp_path / "a", bc_type="MIRROR")
    with pytest.raises(MisuseError, match=r"one\.hdf5, trajectory 0: .*'MIRROR'; one of PERIODIC, WALL, OPEN"):
        list(readers.TheWell(tmp_path / "a").trajectories("train"))
    write.the_well(tmp_path / "b")
    with h5py.File(tmp_path / "b" / "data" / "train" / "one.hdf5", "a") as file:
        del file["t1_fields/velocity"]
    with pytest.raises(MisuseError, match="names 'velocity', which is not there"):
        list(readers.TheWell(tmp_path / "b").trajectories("train"))
    with pytest.raises(MisuseError, match="no split 'valid'; it has train, test"):
        list(readers.TheWell(tmp_path / "b").trajectories("valid"))
    with pytest.raises(MisuseError, match="no layout that hedgefox reads films from"):
        readers.open_set(tmp_path / "b")


# -- all layouts -------------------------------------------------------------------------------------------------------


def test_a_manifest_names_the_bytes(tmp_path: Path) -> None:
    one, other = (write.lid_driven(tmp_path / name, frames=10) for name in "ab")
    assert readers.open_set(one).manifest == readers.open_set(other).manifest
    with h5py.File(other / "test.h5", "a") as file:
        file["00000/position"][0, 0, 0] += 0.01
    assert readers.open_set(one).manifest != readers.open_set(other).manifest


def test_training_data_stop_where_memory_would(lid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.datasets.foreign import _set

    monkeypatch.setattr(_set, "TRAINING_BYTES", 2 * 40 * 25 * 2 * 4)
    assert readers.open_set(lid).load("train").scene.n_scenes == 1


def test_a_folder_in_no_layout_is_told_what_would_be_one(tmp_path: Path) -> None:
    assert readers.recognised(tmp_path) is None
    with pytest.raises(MisuseError, match="LagrangeBench"):
        readers.open_set(tmp_path)
