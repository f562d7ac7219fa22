"""Windows read from the shards as they are asked for: for a split that no memory holds. The same windows as those of `Windows`.

What does not change in time is kept for the scenes seen last; a window then costs one read of each array of frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..contracts import NEVER, MisuseError, Scene, Script, Trajectory, stack
from ..contracts.scene import SCRIPT_GROUP_OF
from ..contracts.trajectory import _GROUP_OF as FRAME_GROUP_OF
from ._film import _finished
from ._plan import read_plan
from ._record import SCRIPT, film_of
from ._shard import _record as record_of
from ._shard import index_of, opened

K = TypeVar("K")
V = TypeVar("V")

FILES, SCENES = 16, 4096
"""Shards kept open, and scenes kept without their frames, at most."""


class StoredWindows:
    """All windows of `length` frames of a split that lie before their trajectory's divergence, numbered as `Windows` has them.

    Every shard is hashed once, unless `hashed` is False: for data that this program has made or proved before. Raises MisuseError
    when the split is not there or no window is left, CheckFailed when a shard is not what the manifest says.
    """

    def __init__(self, folder: str | Path, split: str, length: int, *, hashed: bool = True) -> None:
        self.length, folder = length, Path(folder)
        self._paths = _finished(folder, read_plan(folder), split, hashed=hashed)
        self._files: OrderedDict[int, tuple[Any, contextlib.ExitStack]] = OrderedDict()
        self._scenes: OrderedDict[int, Scene] = OrderedDict()
        places, usable = [], []
        for shard, path in enumerate(self._paths):
            with opened(path) as file:
                for row in index_of(file):
                    places.append((shard, row["trajectory"]))
                    usable.append(row["frames"] if row["diverged_at"] == NEVER else row["diverged_at"])
        self._places = np.array(places)
        self._ends = np.maximum(np.array(usable) - length + 1, 0).cumsum()
        if length < 1 or self._ends[-1] == 0:
            raise MisuseError(f"no window of {length} frames is in {folder}; 1 to {max(usable)} are right")

    def __len__(self) -> int:
        """Number of valid windows."""
        return int(self._ends[-1])

    def __enter__(self) -> StoredWindows:
        return self

    def __exit__(self, *rest: object) -> None:
        for _, held in self._files.values():
            held.close()
        self._files.clear()

    def at(self, indices: Tensor) -> Trajectory:
        """The windows of these numbers, shape (b,), as a batch of b scenes on the CPU.

        Raises MisuseError for a number outside 0 … len - 1.
        """
        numbers = indices.cpu().numpy()
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise MisuseError(f"windows {numbers.min()} to {numbers.max()} are not among the {len(self)}")
        scenes = np.searchsorted(self._ends, numbers, side="right")
        starts = numbers - np.concatenate([[0], self._ends[:-1]])[scenes]
        films: dict[int, Trajectory] = {}
        # Shard by shard, and forwards in each, as disks read best.
        for k in np.lexsort((starts, scenes)):
            films[int(k)] = self._window(int(scenes[k]), int(starts[k]))
        return stack([films[k] for k in range(len(numbers))])

    def batch(self, generator: torch.Generator, size: int) -> Trajectory:
        """`size` windows drawn evenly, with replacement: those that `Windows` would draw."""
        if size < 1:
            raise MisuseError(f"a batch of {size} windows; ask for at least 1")
        return self.at(torch.randint(0, len(self), (size,), generator=generator, device=generator.device))

    def _window(self, scene: int, start: int) -> Trajectory:
        shard, number = (int(x) for x in self._places[scene])
        group = self._file(shard)["traj"][f"{number:06d}"]
        cut = slice(start, start + self.length)
        frames = {name: torch.from_numpy(group[name][cut]) for name in FRAME_GROUP_OF if name in group}
        script = {name: _read(group[SCRIPT + name], cut) for name in SCRIPT_GROUP_OF}
        still = _kept(self._scenes, scene, SCENES, lambda: self._scene(shard, number), lambda _: None)
        return Trajectory(still.with_script(Script(**script)), **frames)

    def _scene(self, shard: int, number: int) -> Scene:
        """All of a trajectory but its frames and its script."""
        file = self._file(shard)
        still: Any = film_of(record_of(file, file["traj"][f"{number:06d}"])).scene
        bare: Scene = dataclasses.replace(still, script=still.script._map(lambda _, x: x[:0]))
        return bare

    def _file(self, shard: int) -> Any:
        def open_it() -> tuple[Any, contextlib.ExitStack]:
            held = contextlib.ExitStack()
            return held.enter_context(opened(self._paths[shard])), held

        return _kept(self._files, shard, FILES, open_it, lambda pair: pair[1].close())[0]


def _read(data: Any, cut: slice) -> Tensor:
    """Rows of an array, of which there may be none."""
    return torch.from_numpy(np.ascontiguousarray(data[cut]))


def _kept(held: OrderedDict[K, V], key: K, most: int, make: Callable[[], V], drop: Callable[[V], object]) -> V:
    """What is held under a key, made when it is not; what was used longest ago makes room."""
    if key in held:
        held.move_to_end(key)
        return held[key]
    held[key] = make()
    if len(held) > most:
        drop(held.popitem(last=False)[1])
    return held[key]
