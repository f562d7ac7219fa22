"""One driven scene as a gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ..contracts import Model
from ._tasks import Task
from ._worlds import LIMIT, Setup, Worlds, setup

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def observation_space(s: Setup) -> spaces.Space[Floats]:
    """Of one scene."""
    return _box(LIMIT, s.n_seen)


def action_space(s: Setup) -> spaces.Space[Floats]:
    """Of one scene: the wanted velocity of what is driven, over the task's speed."""
    return _box(1.0, s.n_actions)


def _box(limit: float, numbers: int) -> spaces.Space[Floats]:
    box: Any = spaces.Box(-limit, limit, (numbers,), np.float32)
    made: spaces.Space[Floats] = box
    return made


def drawn_seed(rng: np.random.Generator) -> int:
    """The seed of an episode's scene."""
    return int(rng.integers(2**31))


class DrivenEnv(gymnasium.Env[Floats, Floats]):
    """A driven scene: the action is the script, the reward minus the distance of the matter's centre to a goal.

    Observation, action, reward and ends are told in docs/gym.md. The same seed and actions give the same observations.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        task: str | Task,
        size: str = "xs",
        backend: Model | str | Path | None = None,
        horizon: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.setup = setup(task, size, backend, horizon, device)
        self.observation_space = observation_space(self.setup)
        self.action_space = action_space(self.setup)
        self.worlds: Worlds | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode with a scene drawn from the seed, or from what follows the last one."""
        super().reset(seed=seed)
        self.worlds = Worlds(self.setup, [drawn_seed(self.np_random)])
        return self._seen(), self._told()

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """One frame."""
        if self.worlds is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        self.worlds.step(np.asarray(action)[None])
        over = self.worlds.steps >= self.setup.horizon
        return self._seen(), float(self.worlds.reward()[0]), bool(self.worlds.diverged[0]), over, self._told()

    def _seen(self) -> Floats:
        assert self.worlds is not None
        seen: Floats = self.worlds.observation()[0].cpu().numpy()
        return seen

    def _told(self) -> dict[str, Any]:
        assert self.worlds is not None
        return {"distance": float(self.worlds.distance()[0])}
