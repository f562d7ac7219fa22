"""Many driven scenes as one gymnasium vector environment: a batched call of the backend a step.

An episode that ended is begun anew at the next step, whose action is not used (gymnasium's NEXT_STEP). Scenes that begin together
are stepped together; where some end early, by diverging, the rest are stepped as before, and the new ones beside them in a batch
of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from ..contracts import MisuseError, Model
from ._single import Array, Floats, action_space, drawn_seed, observation_space
from ._tasks import Task
from ._worlds import Worlds, setup


@dataclass
class _Batch:
    """Worlds, and which of the environments their scenes are."""

    worlds: Worlds
    places: list[int]
    """By scene, the environment, or -1 for one that ended."""

    def rows(self) -> tuple[list[int], list[int]]:
        """Scenes that are still somebody's, and whose."""
        held = [(scene, place) for scene, place in enumerate(self.places) if place >= 0]
        return [scene for scene, _ in held], [place for _, place in held]


class DrivenVectorEnv(VectorEnv[Floats, Floats, Array]):
    """`num_envs` environments, stepped in one batch: each is what a `DrivenEnv` with the same seed is."""

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        task: str | Task,
        num_envs: int = 1,
        size: str = "xs",
        backend: Model | str | Path | None = None,
        horizon: int | None = None,
        device: str = "cpu",
    ) -> None:
        if num_envs < 1:
            raise MisuseError(f"{num_envs} environments; at least 1 is right")
        self.setup = setup(task, size, backend, horizon, device)
        self.num_envs = num_envs
        self.single_observation_space = observation_space(self.setup)
        self.single_action_space = action_space(self.setup)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._batches: list[_Batch] = []
        self._ended = np.zeros(num_envs, dtype=bool)
        self._seen = np.zeros(self.observation_space.shape or (), dtype=np.float32)
        self._distance = np.zeros(num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin all episodes; a number as seed stands for it and those that follow, one an environment."""
        seeds = [seed + k for k in range(self.num_envs)] if isinstance(seed, int) else seed
        for k, one in enumerate(seeds or ()):
            if one is not None:
                self._rngs[k] = seeding.np_random(one)[0]
        self._batches = []
        self._begin(range(self.num_envs))
        return self._seen.copy(), self._told()

    def step(self, actions: Floats) -> tuple[Floats, Array, Array, Array, dict[str, Any]]:
        """One frame of every environment, or its beginning where the last step was an end."""
        if not self._batches:
            raise gymnasium.error.ResetNeeded("call reset before step")
        anew = np.flatnonzero(self._ended)
        for batch in self._batches:
            batch.places = [-1 if place in anew else place for place in batch.places]
        self._batches = [batch for batch in self._batches if batch.rows()[0]]
        reward = np.zeros(self.num_envs)
        ended, over = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        for batch in self._batches:
            batch.worlds.step(self._actions_of(batch, np.asarray(actions)))
            scenes, places = batch.rows()
            reward[places] = _chosen(batch.worlds.reward(), scenes)
            ended[places] = _chosen(batch.worlds.diverged, scenes)
            over[places] = batch.worlds.steps >= self.setup.horizon
            self._look(batch)
        self._begin(anew.tolist())
        self._ended = ended | over
        return self._seen.copy(), reward, ended, over, self._told()

    def _begin(self, places: Sequence[int]) -> None:
        """Begin episodes, in a batch of their own."""
        if not places:
            return
        batch = _Batch(Worlds(self.setup, [drawn_seed(self._rngs[k]) for k in places]), list(places))
        self._batches.append(batch)
        self._ended[list(places)] = False
        self._look(batch)

    def _actions_of(self, batch: _Batch, actions: Array) -> Array:
        """The actions of a batch's scenes; none for those that ended."""
        scenes, places = batch.rows()
        chosen = np.zeros((len(batch.places), self.setup.n_actions))
        chosen[scenes] = actions[places]
        return chosen

    def _look(self, batch: _Batch) -> None:
        scenes, places = batch.rows()
        self._seen[places] = _chosen(batch.worlds.observation(), scenes)
        self._distance[places] = _chosen(batch.worlds.distance(), scenes)

    def _told(self) -> dict[str, Any]:
        return {"distance": self._distance.copy(), "_distance": np.ones(self.num_envs, dtype=bool)}


def _chosen(values: Tensor, scenes: list[int]) -> Array:
    return values[torch.tensor(scenes, device=values.device)].cpu().numpy()
