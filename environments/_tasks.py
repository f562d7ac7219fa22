"""Tasks: what an action moves in a driven scene, how fast, and where the matter should go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..contracts import Domain, MisuseError, Scene


@dataclass(frozen=True)
class Task:
    """One environment: a family of driven scenes, and what is asked of them.

    Driven nodes, obstacles or the box are moved together, without turning, at the velocity that the actions lead to:

        v(t+1) = v(t) + clip(speed · action - v(t), ± acceleration · Δt),     x(t+1) = x(t) + v(t+1) Δt

    and stop at the ends of their reach. The goal is where the free nodes' centre of mass should be.
    """

    domain: str | Domain
    """By name, or a domain that has none."""
    family: int
    """Which of the domain's families of scenes; they take turns by index."""
    moves: str
    """What the script moves: "box_offset", "obstacle_position" or "node_position"."""
    axes: tuple[int, ...]
    """Space axes that an action has a component of."""
    speed: float
    """Of what is driven, at most, along each axis [m/s]."""
    acceleration: float
    """At most, along each axis [m/s²]: an impact is no action."""
    reach: float
    """How far what is driven may go from where it began, along each axis [m]."""
    goal: Callable[[np.random.Generator, int], np.ndarray]
    """From random numbers and the number of space axes, how far the goal is from the first centre of mass [m], (D,)."""
    judged: tuple[int, ...]
    """Space axes along which the distance to the goal counts."""

    def fits(self, scene: Scene) -> bool:
        """Whether a scene has what the task moves."""
        return bool(getattr(scene.script, self.moves).numel())


def _aside(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Along the first axis, either way."""
    way: np.ndarray = np.eye(dim)[0] * rng.uniform(0.05, 0.15) * rng.choice([-1.0, 1.0])
    return way


def _around(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Anywhere about, horizontally."""
    angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.3)
    return np.array([far * math.cos(angle), far * math.sin(angle), 0.0])[:dim]


def _ahead(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Where the pusher pushes: along the first axis, and a little aside."""
    return np.array([rng.uniform(0.05, 0.2), rng.uniform(-0.05, 0.05), 0.0])


TASKS = {
    "fluid": Task("fluid", 2, "box_offset", (0,), 0.6, 6.0, 0.3, _aside, (0,)),
    "cloth": Task("cloth", 2, "node_position", (0, 1, 2), 1.5, 15.0, 1.2, _around, (0, 1)),
    "rigid": Task("rigid", 1, "obstacle_position", (0, 1), 1.5, 15.0, 0.8, _ahead, (0, 1)),
}
"""fluid: move a tank so that the water in it comes to a place. cloth: drag a sheet by a corner so that its middle does.
rigid: push a tower so that the bodies' centre does."""


def task(name: str | Task) -> Task:
    """A task by the name of its domain; raises MisuseError naming what exists."""
    if isinstance(name, Task):
        return name
    if name not in TASKS:
        raise MisuseError(f"no environment is of {name!r}; one of {', '.join(TASKS)} is right")
    return TASKS[name]
