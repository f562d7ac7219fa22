"""What a suite is here: the numbers that it defines, under its own name and the version of the definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...contracts import Model, Trajectory
from ...contracts.check import own_copy

Values = dict[str, float]


@dataclass(frozen=True)
class Suite:
    """One suite's definitions."""

    name: str
    version: str
    """Of the code that the definitions were read from, or the year of the paper where the code has none."""
    source: str
    definitions: Mapping[str, str]
    """What each number is, by name; an id is NAME/METRIC@VERSION."""
    of_rollout: Callable[[Trajectory, Trajectory, int], Values]
    """Numbers of one rollout, from truth and prediction of one scene, without the past; the last argument is the stride."""
    of_steps: Callable[[Model, Trajectory], tuple[Values, int]] | None = None
    """Numbers of single steps from every window of a film, and how many values each is the mean of."""
    rooted: tuple[str, ...] = ()
    """Numbers of which the root is taken, after the mean over rollouts."""

    def id(self, metric: str) -> str:
        """Name under which a number is reported."""
        return f"{self.name}/{metric}@{self.version}"


def errors(truth: Trajectory, predicted: Trajectory) -> Tensor:
    """Predicted minus true positions of all nodes, the short way around periodic axes, float64, (T, N, D)."""
    return truth.scene.minimum_image(predicted.position.double() - truth.position.double())


def means(curve: Tensor, horizons: tuple[int, ...], name: str) -> Values:
    """Means of a curve (T,) over its first n frames, for each horizon that it has, as NAME_n."""
    return {f"{name}_{n}": float(curve[:n].mean()) for n in horizons if n <= curve.numel()}


def one_step(model: Model, film: Trajectory, past: int, nodes: int = 20_000) -> Tensor:
    """Mean over nodes and axes of the squared error of the frame after every window of `past` frames, float64, (windows,)."""
    windows = film.n_frames - past
    each = max(1, nodes // film.scene.n_nodes)
    found = []
    for first in range(0, windows, each):
        starts = torch.arange(first, min(first + each, windows), device=film.device)
        window = film.window(torch.zeros_like(starts), starts, past + 1)
        with torch.no_grad():
            answer = model.rollout(own_copy(window.frames(0, past)), 1)
        square = errors(window.frames(past), answer)[0].square().mean(-1)
        found.append(square.reshape(starts.numel(), -1).mean(-1))
    return torch.cat(found)
