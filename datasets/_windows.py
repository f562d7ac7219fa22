"""Windows: short cuts of a film, drawn at random on the device where the film lies. No workers, no copies to it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import NEVER, MisuseError, Trajectory


class Windows:
    """All windows of `length` frames of a film that lie before their scene's divergence, numbered scene by scene.

    Raises MisuseError when the length does not fit the film, or no window is left.
    """

    def __init__(self, film: Trajectory, length: int) -> None:
        if not 1 <= length <= film.n_frames:
            raise MisuseError(
                f"windows of {length} frames from a film of {film.n_frames}; 1 to {film.n_frames} are right"
            )
        self.film, self.length = film, length
        self._ends = (_usable_frames(film) - length + 1).clamp(min=0).cumsum(0)
        # The only wait for the device: drawing needs the number of windows, once.
        self._count = int(self._ends[-1])
        if self._count == 0:
            raise MisuseError(f"no window of {length} frames is left: every scene diverges before")

    def __len__(self) -> int:
        """Number of valid windows."""
        return self._count

    def at(self, indices: Tensor) -> Trajectory:
        """The windows of these numbers, shape (b,), as a batch of b scenes of `length` frames.

        Raises MisuseError for a number outside 0 … len − 1.
        """
        if indices.numel() and not bool(((indices >= 0) & (indices < self._count)).all()):
            worst = int(indices.min()) if int(indices.min()) < 0 else int(indices.max())
            raise MisuseError(f"window {worst} is not among the {self._count} windows")
        return self._cut(indices.to(self.film.device))

    def batch(self, generator: torch.Generator, size: int) -> Trajectory:
        """`size` windows drawn evenly, with replacement. The same generator state gives the same batch.

        The generator may live on the CPU or on the film's device; on the device, drawing does not wait for it.
        """
        if size < 1:
            raise MisuseError(f"a batch of {size} windows; ask for at least 1")
        drawn = torch.randint(0, self._count, (size,), generator=generator, device=generator.device)
        return self._cut(drawn.to(self.film.device, non_blocking=True))

    def places(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Scene and first frame of the windows of these numbers, (b,) each; asks the device nothing, and checks no number."""
        scenes = torch.searchsorted(self._ends, indices, right=True)
        starts_of_scene = torch.cat([self._ends.new_zeros(1), self._ends[:-1]])
        return scenes, indices - starts_of_scene[scenes]

    def _cut(self, indices: Tensor) -> Trajectory:
        return self.film.window(*self.places(indices), self.length)


def _usable_frames(film: Trajectory) -> Tensor:
    """Frames of each scene before it diverges, shape (B,)."""
    every = torch.full((film.scene.n_scenes,), film.n_frames, device=film.device)
    if film.diverged_at is None:
        return every
    return torch.where(film.diverged_at == NEVER, every, film.diverged_at)
