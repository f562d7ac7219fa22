"""Data written in other people's layouts, and the cards: read back by readers of those layouts, and held to what they require."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hedgefox import datasets
from hedgefox.cli import main
from hedgefox.contracts import Domain, MisuseError, Wall, registry, track
from hedgefox.datasets import export as exports
from hedgefox.datasets._manifest import read_manifest
from hedgefox.datasets._record import records_of
from hedgefox.datasets.export import lagrangebench
from hedgefox.datasets.export._source import Source
from hedgefox.datasets.foreign import _hdf5, open_set


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch, ballistic: Domain) -> None:
    """Files made here need no other process to look them over, and the domain of tests is none of the registry."""
    monkeypatch.setattr(_hdf5, "require_harmless", lambda path, foreign: None)
    monkeypatch.setattr(registry, "domain", lambda name: ballistic)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, ballistic: Domain) -> Path:
    return datasets.generate(ballistic, track("smoke"), tmp_path_factory.mktemp("export"))


# -- LagrangeBench -----------------------------------------------------------------------------------------------------


def test_lagrangebench_is_read_back_as_it_was(data: Path, tmp_path: Path) -> None:
    left_out = exports.export(data, "lagrangebench", tmp_path / "lb")
    assert any("long" in note for note in left_out)
    assert any("velocities" in note for note in left_out)
    back = open_set(tmp_path / "lb")
    for split in ("train", "valid", "test"):
        films = list(back.films(split))
        stored = datasets.load(data, split).split()
        assert len(films) == len(stored)
        for film, was in zip(films, stored, strict=True):
            assert np.array_equal(film.position.numpy(), was.position.numpy())
            assert film.scene.free.tolist() == was.scene.free.tolist()
            assert film.scene.frame_interval == pytest.approx(was.scene.frame_interval)
    assert json.loads((tmp_path / "lb" / "metadata.json").read_text())["hedgefox"]["left_out"] == left_out


def test_the_statistics_are_those_that_the_suite_computes(data: Path, tmp_path: Path) -> None:
    """Each film's mean, then the mean of these; the spread around it: as its gen_dataset.py does in two passes."""
    exports.export(data, "lagrangebench", tmp_path / "lb")
    moved, turned = [], []
    for split in ("train", "valid", "test"):
        with h5py.File(tmp_path / "lb" / f"{split}.h5") as file:
            for group in file.values():
                fluid = group["position"][()][:, group["particle_type"][()] == 0].astype(float)
                moved.append(np.diff(fluid, axis=0))
                turned.append(np.diff(fluid, 2, axis=0))
    found = open_set(tmp_path / "lb").statistics
    for name, each in (("vel", moved), ("acc", turned)):
        mean = np.mean([m.mean((0, 1)) for m in each], axis=0)
        std = np.mean([np.square(m - mean).mean((0, 1)) for m in each], axis=0) ** 0.5
        assert found[f"{name}_mean"] == pytest.approx(mean.tolist(), abs=1e-9)
        assert found[f"{name}_std"] == pytest.approx(np.where(std < 1e-7, 1, std).tolist(), rel=1e-5)


def test_types_tell_a_moving_wall_from_one_that_stands(data: Path) -> None:
    record = records_of(datasets.load(data, "test"))[0]
    driven = record.arrays["node_type"] == 1
    script = record.arrays["script/node_position"]
    assert driven.any()
    assert set(lagrangebench.types_of(record)) == {0, 2 if (script != script[:1]).any() else 1}
    record.arrays["script/node_position"][:] = script[:1]
    assert set(lagrangebench.types_of(record)[driven]) == {1}


def test_what_does_not_fit_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = Source.records

    def with_one_periodic_axis(self: Source, split: str) -> Iterator[Any]:
        for record in whole(self, split):
            record.arrays["wall"][0, 0] = int(Wall.PERIODIC)
            yield record

    monkeypatch.setattr(Source, "records", with_one_periodic_axis)
    with pytest.raises(MisuseError, match="all axes periodic or none"):
        exports.export(data, "lagrangebench", tmp_path / "lb")


# -- Hugging Face ------------------------------------------------------------------------------------------------------


def test_parquet_holds_every_array_and_the_card_names_the_files(data: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert exports.export(data, "huggingface", tmp_path / "hf") == []
    for split in ("train", "valid", "test", "long"):
        path = tmp_path / "hf" / "data" / f"{split}-00000-of-00001.parquet"
        rows = pq.read_table(path).to_pylist()
        records = records_of(datasets.load(data, split))
        assert pq.ParquetFile(path).num_row_groups == len(records) == len(rows)
        for row, record in zip(rows, records, strict=True):
            for name, array in record.arrays.items():
                column = name.replace("/", ".")
                back = np.asarray(row[column], array.dtype).reshape(row[f"{column}_shape"])
                assert np.array_equal(back, array), name
            assert {k: row[f"parameter.{k}"] for k in record.parameters} == pytest.approx(dict(record.parameters))
    card = (tmp_path / "hf" / "README.md").read_text()
    head = card.split("---\n")[1]
    configs = json.loads(
        next(line for line in head.splitlines() if line.startswith("configs: ")).removeprefix("configs: ")
    )
    assert [f["split"] for f in configs[0]["data_files"]] == ["train", "valid", "test", "long"]
    assert all((tmp_path / "hf" / f["path"]).is_file() for f in configs[0]["data_files"])
    assert "license: cc-by-4.0" in head


# -- cards -------------------------------------------------------------------------------------------------------------

REQUIRED = (
    "@context",
    "@type",
    "conformsTo",
    "name",
    "description",
    "license",
    "url",
    "creator",
    "datePublished",
    "version",
)


@pytest.mark.parametrize("layout", ["card", "huggingface"])
def test_croissant_has_what_1_1_requires(data: Path, tmp_path: Path, layout: str) -> None:
    exports.export(data, layout, tmp_path / "out", url="https://example.org/data")
    card = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert all(card[name] for name in REQUIRED)
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert card["url"] == "https://example.org/data"
    objects = {f["@id"]: f for f in card["distribution"]}
    assert len(objects) == len(card["distribution"])
    assert all(f["sha256"] and f["contentUrl"] for f in objects.values() if f["@type"] == "cr:FileObject")
    fields = [f for records in card["recordSet"] for f in records["field"]]
    assert len({f["@id"] for f in fields}) == len(fields)
    for entry in fields:
        source = entry.get("source", {})
        assert "fileObject" not in source or source["fileObject"]["@id"] in objects
    if layout == "card":
        assert {e.path: e.sha256 for e in read_manifest(data)}.items() <= {
            k: f["sha256"] for k, f in objects.items()
        }.items()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layout", ["card", "huggingface"])
def test_croissant_passes_the_validator_of_its_makers(data: Path, tmp_path: Path, layout: str) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is in the extra [croissant]")
    exports.export(data, layout, tmp_path / "out")
    found = croissant.Dataset(str(tmp_path / "out" / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    if layout == "card":  # of data that lie elsewhere
        assert [s.name for s in found.metadata.record_sets] == ["splits", "shards"]
        return
    rows, film = list(found.records("train")), datasets.load(data, "train")
    assert len(rows) == film.scene.n_scenes
    assert np.array_equal(rows[0]["train/position"], film.select([0]).position.numpy().ravel())


def test_the_data_card_says_what_the_data_are(data: Path, tmp_path: Path, ballistic: Domain) -> None:
    exports.export(data, "card", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    for said in (
        datasets.manifest_hash(data),
        "CC BY 4.0",
        "| train | 4 | 4 |",
        f"{datasets.seconds(data):.1f} s of CPU time",
        *(f"| {name} | {unit} |" for name, unit in ballistic.parameter_units.items()),
        (__import__(type(ballistic).__module__, fromlist=["x"]).__doc__ or "").strip().splitlines()[0],
    ):
        assert said in text, said


# -- the verb ----------------------------------------------------------------------------------------------------------


def test_the_command_line_exports(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(data), "--layout", "lagrangebench", "--out", str(tmp_path / "lb"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"]
    assert main(["export", str(data), "--layout", "lagrangebench", "--out", str(tmp_path / "lb")]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["export", str(data), "--layout", "zip", "--out", str(tmp_path / "x")]) == 2
    assert "one of lagrangebench, huggingface, card" in capsys.readouterr().err
