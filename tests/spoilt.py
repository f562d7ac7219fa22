"""Data sets with a fault: made by a simulator that has one, or edited on disk, by one who makes the hashes right again or not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hedgefox.contracts import Recipe, Trajectory
from hedgefox.datasets._files import canonical, sha256_file, sha256_text

from .ballistic import Ballistic

TRAIN = "train-00000-of-00001.h5"


class Spoilt(Ballistic):
    """A simulator with a fault: what it makes goes through a function."""

    def __init__(self, spoil: Callable[[Trajectory], Trajectory]) -> None:
        self.spoil = spoil

    def simulate(
        self, recipe: Recipe, split: str, indices: Sequence[int], root_seed: int, device: str = "cpu", siblings: int = 1
    ) -> Trajectory:
        return self.spoil(super().simulate(recipe, split, indices, root_seed, device, siblings))


def with_frames(film: Trajectory, name: str, change: Callable[[torch.Tensor], object]) -> Trajectory:
    """A film of which the frames of that name are changed in place."""
    values = getattr(film, name).clone()
    change(values)
    return dataclasses.replace(film, **{name: values})


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a file of JSON holds."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the description of a data set, as a forger would: it says of itself that it is whole."""

    def forge(card: dict[str, Any]) -> None:
        change(card)
        card["config_sha256"] = sha256_text(canonical(card["config"]))

    edit_json(folder / "dataset.json", forge)


def edit_lines(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the entries of a manifest."""
    path = folder / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def rehash(folder: Path) -> None:
    """Make the manifest agree with the shards again, as a forger would."""

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            path = folder / line["path"]
            line.update(bytes=path.stat().st_size, sha256=sha256_file(path))

    edit_lines(folder, change)
