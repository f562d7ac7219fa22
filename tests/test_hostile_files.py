"""Files from elsewhere: crafted, damaged, foreign. Each ends in one line that names it; none crashes, hangs or runs code."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hedgefox as hf
import numpy as np
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import CheckFailed, MisuseError, Trajectory
from hedgefox.datasets import _probe, _untrusted
from hedgefox.datasets._film import _films
from hedgefox.datasets._shard import require_sound

from .spoilt import TRAIN, edit_card, rehash

Change = Callable[[Any], object]


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="<f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(4,))
    file.create_virtual_dataset("trap", layout)


def external(file: Any) -> None:
    file.create_dataset("trap", shape=(4,), dtype="<f4", external=[("/etc/passwd", 0, 16)])


def huge(file: Any) -> None:
    file.create_dataset("trap", shape=(1 << 40,), chunks=(1024,), dtype="<f4")


def big_chunk(file: Any) -> None:
    file.create_dataset("trap", shape=(4,), maxshape=(None,), chunks=(1 << 28,), dtype="<f4")


def many(file: Any) -> None:
    for k in range(60):
        file.create_dataset(f"trap{k}", shape=(2000,), chunks=(2000,), dtype="<f4")


def hard_link_loop(file: Any) -> None:
    file["traj/000000/loop"] = file["traj"]


def reference(file: Any) -> None:
    file.create_dataset("trap", data=np.array([file["traj"].ref], dtype=h5py.ref_dtype))


def attribute_reference(file: Any) -> None:
    file.attrs.create("trap", file["traj"].ref, dtype=h5py.ref_dtype)


def variable_member(file: Any) -> None:
    kind = np.dtype([("a", "<i8"), ("b", h5py.string_dtype())])
    file.create_dataset("trap", shape=(2,), dtype=kind)


def deep(file: Any) -> None:
    file.create_group("/".join("d" for _ in range(3000)))


CRAFTED: dict[str, tuple[Change, str]] = {
    "external link": (lambda f: f.__setitem__("trap", h5py.ExternalLink("/etc/x.h5", "/")), "/trap is an external link"),
    "soft link": (lambda f: f.__setitem__("trap", h5py.SoftLink("/traj")), "/trap is a soft link"),
    "dangling link": (lambda f: f.__setitem__("trap", h5py.SoftLink("/nowhere")), "/trap is a soft link"),
    "loop": (hard_link_loop, "is linked twice"),
    "virtual": (virtual, "/trap is a virtual data set"),
    "external storage": (external, "/trap keeps its data in an external file"),
    "strings": (lambda f: f.create_dataset("trap", data=["a"], dtype=h5py.string_dtype()), "variable-length strings"),
    "ragged": (lambda f: f.create_dataset("trap", (2,), dtype=h5py.vlen_dtype("<f4")), "variable-length objects"),
    "ragged member": (variable_member, "variable-length"),
    "reference": (reference, "/trap is of type TypeReferenceID"),
    "attribute string": (lambda f: f.attrs.__setitem__("trap", "text"), "/@trap holds variable-length strings"),
    "attribute reference": (attribute_reference, "/@trap is of type TypeReferenceID"),
    "named type": (lambda f: f.__setitem__("trap", np.dtype("<f4")), "neither a group nor a data set"),
    "compressed": (lambda f: f.create_dataset("trap", data=np.ones(9), compression="gzip"), "filter 1; only fletcher32"),
    "huge": (huge, "/trap declares 4398046511104 bytes in a file of"),
    "huge chunk": (big_chunk, "/trap declares 1073741824 bytes in a file of"),
    "many": (many, "bytes of data in a file of"),
    "format": (lambda f: f.attrs.__setitem__("format", np.bytes_("other")), "format is .*'hedgefox' is right"),
    "version": (lambda f: f.attrs.__setitem__("format_version", 1), "format version is 1; this hedgefox reads version 2"),
    "incomplete": (lambda f: f.attrs.__delitem__("complete"), "not written to its end"),
}  # fmt: skip

MISFITS: dict[str, tuple[Change, str]] = {
    "no mass": (lambda f: f["traj/000000"].__delitem__("mass"), "the array 'mass' is missing"),
    "no index": (lambda f: f.__delitem__("index"), "cannot be read"),
    "no trajectory": (lambda f: f["traj"].__delitem__("000001"), "/index names 3 trajectories; /traj holds 2"),
    "stranger": (lambda f: f["traj/000000"].create_dataset("colour", data=np.ones(3, "<f4")), "'colour' is unknown"),
    "node type": (lambda f: f["traj/000000/node_type"].__setitem__(0, -3), "node_type runs from -3"),
    "body": (lambda f: f["traj/000000/body_id"].__setitem__(0, 10**9), "body_id runs from -1 to 1000000000"),
    "size": (lambda f: f["traj/000000"].attrs.__setitem__("n_node", 99), r"rows; \(99,\) is right"),
    "parameters": (lambda f: f["traj/000000/parameters"].attrs.__delitem__("drag"), "different parameters"),
    "interval": (lambda f: f.attrs.__setitem__("frame_interval", -1.0), "frame interval is -1.0 s"),
    "diverged": (lambda f: f["traj/000000"].attrs.__setitem__("diverged_at", 500), "diverged at frame 500 of"),
    "value": (lambda f: f["traj/000000/position"].__setitem__((2, 0, 0), 0.5), "crc32 is"),
    "type": (lambda f: retyped(f["traj/000000"], "mass", "<c8"), "cannot|type"),
    "integers": (lambda f: retyped(f["traj/000000"], "wall", "<f4"), "wall is of type <f4"),
    "axes": (lambda f: reshaped(f["traj/000000"], "gravity", (1, 3)), "gravity has 3 axes; position has 2"),
    "script": (lambda f: reshaped(f["traj/000000/script"], "box_offset", (1, 1, 2)), "script covers 1 frames of"),
}  # fmt: skip


def retyped(group: Any, name: str, dtype: str) -> None:
    values = group[name][()].astype(dtype)
    del group[name]
    group[name] = values


def reshaped(group: Any, name: str, shape: tuple[int, ...]) -> None:
    del group[name]
    group[name] = np.zeros(shape, "<f4")


@pytest.fixture(scope="module")
def sound(film: Trajectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.h5"
    datasets.save(film, path)
    return path


def changed(sound: Path, target: Path, change: Change) -> Path:
    target.write_bytes(sound.read_bytes())
    with h5py.File(target, "r+", libver=("v110", "v110")) as file:
        change(file)
    return target


@pytest.fixture(scope="module")
def answers(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What the probe says of each crafted file, all asked at once: starting a process costs more than a probe."""
    folder = tmp_path_factory.mktemp("crafted")
    paths = [changed(sound, folder / f"{k}.h5", change) for k, (change, _) in enumerate(CRAFTED.values())]
    return dict(zip(CRAFTED, _untrusted.probe(paths), strict=True))


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused_by_name(answers: dict[str, str | None], name: str) -> None:
    answer = answers[name]
    assert answer is not None
    assert "\n" not in answer
    with pytest.raises(MisuseError, match=CRAFTED[name][1]):
        raise MisuseError(answer)


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_are_told(
    sound: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_untrusted, "probe", lambda paths, foreign: [None] * len(paths))
    change, says = MISFITS[name]
    path = changed(sound, tmp_path / "film.h5", change)
    with pytest.raises(MisuseError, match=says) as caught:
        datasets.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_crafted_file_is_not_opened_here(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(sound, tmp_path / "film.h5", CRAFTED["external link"][0])
    monkeypatch.setattr(h5py, "File", None)
    with pytest.raises(MisuseError, match=r"film\.h5: /trap is an external link"):
        datasets.read(path)


def test_a_deep_nest_of_groups_ends(sound: Path, tmp_path: Path) -> None:
    path = changed(sound, tmp_path / "film.h5", deep)
    answer = _untrusted.probe([path])[0]
    assert answer is None or "\n" not in answer


def foreign(sound: Path, folder: Path) -> dict[str, bytes]:
    whole = sound.read_bytes()
    with h5py.File(folder / "other", "w") as file:
        file["x"] = np.ones(3)
    cuts = {f"cut at {share}": whole[: int(len(whole) * share)] for share in (0.001, 0.1, 0.5, 0.9, 0.999)}
    return {
        "empty": b"",
        "text": b"position,velocity\n1,2\n",
        "pickle": b"\x80\x04\x95cos\nsystem\n(S'touch /tmp/hedgefox'\ntR.",
        "other HDF5": (folder / "other").read_bytes(),
        "signature alone": b"\x89HDF\r\n\x1a\n" + b"\xff" * 500,
        **cuts,
    }


def test_foreign_and_truncated_files_are_refused(sound: Path, tmp_path: Path) -> None:
    files = foreign(sound, tmp_path)
    paths = []
    for k, data in enumerate(files.values()):
        paths.append(tmp_path / f"{k}.h5")
        paths[-1].write_bytes(data)
    for name, answer in zip(files, _untrusted.probe([*paths, sound])[:-1], strict=True):
        assert answer, name
        assert "\n" not in answer, name


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.h5", Path("/dev/zero")):
        with pytest.raises(MisuseError, match=f"{path} is not a file"):
            datasets.read(path)


def silent_changes(sound: Path, folder: Path, positions: list[int]) -> list[int]:
    """Positions at which a flipped bit gives other data without anybody saying so."""
    whole, truth = sound.read_bytes(), datasets.read(sound)
    paths = []
    for position in positions:
        data = bytearray(whole)
        data[position] ^= 1 << (position % 8)
        paths.append(folder / f"{position}.h5")
        paths[-1].write_bytes(data)
    silent = []
    for position, path, refused in zip(positions, paths, _untrusted.probe(paths), strict=True):
        if refused is None and not says_or_equals(path, truth):
            silent.append(position)
        path.unlink()
    return silent


def says_or_equals(path: Path, truth: Trajectory) -> bool:
    try:
        require_sound(path)
        films = _films(path)
    except MisuseError as error:
        return "\n" not in str(error)
    parts = truth.split()
    return all(
        torch.equal(a.position, b.position) and torch.equal(a.scene.node_type, b.scene.node_type)
        for a, b in zip(films, parts, strict=True)
    )


def test_no_flipped_bit_changes_data_in_silence(sound: Path, tmp_path: Path) -> None:
    positions = random.Random(0).sample(range(sound.stat().st_size), 60)
    assert silent_changes(sound, tmp_path, positions) == []


@pytest.mark.long
def test_no_flipped_bit_in_every_fifth_byte_changes_data_in_silence(sound: Path, tmp_path: Path) -> None:
    positions = range(0, sound.stat().st_size, 5)
    for start in range(0, len(positions), 500):
        assert silent_changes(sound, tmp_path, list(positions[start : start + 500])) == []


# -- a data set that says of itself what is not so, its hashes made right again ------------------------------------------


def counts(number: Any, each: Any = 104) -> Change:
    """A split of so many trajectories, in shards of so many."""

    def change(card: dict[str, Any]) -> None:
        card["config"]["trajectories"]["train"] = number
        card["splits"]["train"].update(trajectories=number, trajectories_per_shard=each)

    return change


CARDS: dict[str, tuple[Change, str]] = {
    "ten million": (counts(10_000_000), "train-00000-of-96154.h5 is missing"),
    "too many": (counts(10**18), "has 1000000000000000000 trajectories"),
    "too many shards": (counts(10_000_000, 8), "1250000 shards; at most 100000"),
    "none": (counts(-1), "has -1 trajectories"),
    "siblings": (lambda c: c["config"].update(siblings=10_000_000), "trajectories"),
    "no recipe": (lambda c: c["config"].pop("recipe"), "its recipe is None"),
    "a recipe of texts": (lambda c: c["config"]["recipe"].update(horizon="x" * 1000), "its recipe has horizon 'xxx"),
    "a recipe for ever": (lambda c: c["config"]["recipe"].update(horizon=10**60), "at most 1000000, is right"),
    "another recipe": (lambda c: c["config"]["recipe"].update(code="import os"), "dim, resolution, past, horizon, long_factor"),
    "no track": (lambda c: c["config"].pop("track"), "track is None; a text is right"),
    "sizes": (lambda c: c["config"].update(size=["xs"] * 1000), "size is \\['xs'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CARDS)
def test_a_forged_description_is_one_line_for_whoever_reads_it(folder: Path, name: str) -> None:
    change, says = CARDS[name]
    edit_card(folder, change)
    began = time.process_time()
    for read in (hf.load, datasets.siblings):
        with pytest.raises(MisuseError, match=says) as caught:
            read(folder, "train")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500
    with pytest.raises(MisuseError, match=says):
        hf.load(folder).film("train", 3)
    assert time.process_time() - began < 20


def test_names_of_ten_million_trajectories_take_little_memory(folder: Path) -> None:
    edit_card(folder, CARDS["ten million"][0])
    tracemalloc.start()
    try:
        with pytest.raises(MisuseError):
            hf.load(folder, "train")
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["gone", "a pipe", "a folder", "a device"])
def test_a_shard_that_is_none_is_one_line(folder: Path, kind: str) -> None:
    path = folder / TRAIN
    path.unlink()
    make: dict[str, Callable[[Path], object]] = {
        "a pipe": os.mkfifo,
        "a folder": os.mkdir,
        "a device": lambda p: p.symlink_to("/dev/zero"),
    }
    if kind in make:
        make[kind](path)
    with pytest.raises(CheckFailed, match=f"{TRAIN} is gone, but manifest.jsonl names it"):
        hf.load(folder, "train")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: reshaped(f["traj/000002"], "velocity", (13, 1, 2)), r"velocity has \(13, 1\) rows"),
        (lambda f: reshaped(f["traj/000002"], "position", (0, 7, 2)), r"position has shape \(0, 7, 2\)"),
        (lambda f: f["traj/000002"].attrs.__setitem__("n_node", 2**62), r"rows; \(4611686018427387904,\) is right"),
        (lambda f: f["traj"].__delitem__("000002"), "/index names 11 trajectories; /traj holds 10"),
        (lambda f: f.create_dataset("trap", shape=(1 << 40,), chunks=(1024,), dtype="<f4"), "/trap declares 4398046511104 bytes"),
    ],
)  # fmt: skip
def test_a_forged_shard_that_is_loaded_unverified_is_one_line(folder: Path, change: Change, says: str) -> None:
    with h5py.File(folder / TRAIN, "r+", libver=("v110", "v110")) as file:
        change(file)
    rehash(folder)
    with pytest.raises(MisuseError, match=says) as caught:
        hf.load(folder, "train")
    assert "\n" not in str(caught.value)


def test_a_manifest_of_nothing_but_lines_is_refused(folder: Path) -> None:
    (folder / "manifest.jsonl").write_bytes(b"\n" * 2_000_001)
    with pytest.raises(MisuseError, match=r"manifest\.jsonl has 2000001 lines; at most 2000000 is right"):
        hf.load(folder, "train")


# -- the limits themselves ---------------------------------------------------------------------------------------------


def test_the_probe_is_held_to_its_time(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_untrusted, "SECONDS", 0)
    with pytest.raises(MisuseError, match="took more than 0 s"):
        datasets.read(sound)


def test_the_probe_is_held_to_its_memory(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_untrusted, "MEMORY", 1 << 20)
    with pytest.raises(MisuseError, match=r"memory|ended the probe|not a readable"):
        datasets.read(sound)


def test_a_file_that_kills_the_probe_is_the_one_blamed(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = tmp_path / "deadly.h5"
    deadly.write_bytes(b"bang")
    script = tmp_path / "probe.py"
    script.write_text(
        "import os, sys\n"
        "for path in sys.argv[5:]:\n"
        "    if path.endswith('deadly.h5'): os.abort()\n"
        "    print('{\"refused\": null}', flush=True)\n"
    )
    monkeypatch.setattr(_probe, "__file__", str(script))
    answers = _untrusted.probe([sound, deadly, sound])
    assert answers == [None, "reading it ended the probe with status -6", None]
