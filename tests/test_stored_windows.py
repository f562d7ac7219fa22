"""Windows read from disk are those of the film in memory, bit for bit; and the table of reading speeds is made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hedgefox import datasets
from hedgefox.bench import reading
from hedgefox.contracts import CheckFailed, Domain, MisuseError
from hedgefox.contracts.track import smoke
from hedgefox.datasets import _plan, _stored

from .test_datasets import require_equal


@pytest.fixture(scope="module")
def folder(ballistic: Domain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    track = dataclasses.replace(smoke(), trajectories={"train": 18})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "GROUPS_PER_SHARD", 1)
        return datasets.generate(ballistic, track, tmp_path_factory.mktemp("data"))


def test_windows_from_disk_are_those_from_memory(folder: Path) -> None:
    held = datasets.Windows(datasets.load(folder, "train"), 4)
    with datasets.StoredWindows(folder, "train", 4) as stored:
        assert len(stored) == len(held)
        chosen = torch.tensor([len(held) - 1, 0, 57, 0, 100])
        require_equal(stored.at(chosen), held.at(chosen))
        drawn = [windows.batch(torch.Generator().manual_seed(2), 16) for windows in (stored, held)]
        require_equal(*drawn)


def test_few_files_and_scenes_are_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stored, "FILES", 1)
    monkeypatch.setattr(_stored, "SCENES", 2)
    held = datasets.Windows(datasets.load(folder, "train"), 4)
    with datasets.StoredWindows(folder, "train", 4, hashed=False) as stored:
        every = torch.arange(len(held))
        require_equal(stored.at(every), held.at(every))
        assert (len(stored._files), len(stored._scenes)) == (1, 2)


def test_misuse_and_other_bytes_are_told(folder: Path, ballistic: Domain, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no window of 99 frames"):
        datasets.StoredWindows(folder, "train", 99)
    with datasets.StoredWindows(folder, "train", 4, hashed=False) as stored:
        with pytest.raises(MisuseError, match="are not among the"):
            stored.at(torch.tensor([len(stored)]))
        with pytest.raises(MisuseError, match="ask for at least 1"):
            stored.batch(torch.Generator(), 0)
    other = datasets.generate(ballistic, dataclasses.replace(smoke(), trajectories={"train": 1}), tmp_path)
    shard = next(other.glob("*.h5"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CheckFailed, match="has SHA-256"):
        datasets.StoredWindows(other, "train", 4)


def test_the_tables_of_reading_are_made(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SECONDS", 0.01)
    monkeypatch.setattr(reading, "LAYOUTS", reading.LAYOUTS[:2])
    found = reading.measure(folder, tmp_path)
    assert [row["from"] for row in found.windows] == ["memory, cpu", "disk, cached", "disk, dropped from the cache"]
    for row in found.windows:
        assert row["windows/s"] > 0
        assert row["times the floor"] > 0
    assert len(found.layouts) == 2
    for row in found.layouts:
        assert row["bytes over raw"] > 1
        assert row["windows/s cached"] > 0
    assert "| chunk |" in reading.text(found)
