"""Whether a trajectory began as its seed says: the start is drawn again, and held to what is stored and to the split's ranges."""

from __future__ import annotations

import numpy as np

from ..contracts import Domain, HedgefoxError, Recipe, Scene, Trajectory
from ._plan import Plan
from ._pool import one_thread
from ._record import Record
from ._shard import Row

NEAR = 1e-5
"""Relative difference that another machine's arithmetic may make in what is drawn."""


def own_recipe(plan: Plan, domain: Domain) -> Recipe | None:
    """The recipe, where it is one of the domain's own: one from elsewhere may ask for scenes that no memory holds."""
    try:
        return plan.recipe if domain.recipe(plan.config["size"]) == plan.recipe else None
    except HedgefoxError:
        return None


class Drawn:
    """Draws starts again, where the domain and the recipe are this hedgefox's own; else it finds nothing."""

    def __init__(self, plan: Plan, domain: Domain | None) -> None:
        self._plan, self._domain = plan, domain
        self._recipe = None if domain is None else own_recipe(plan, domain)

    def problem(self, record: Record, film: Trajectory, row: Row, split: str) -> str | None:
        """What is not as the seed has it, or out of the split's range; None when all is."""
        if self._domain is None or self._recipe is None:
            return None
        outside = self._outside(record, split)
        seed, place = self._plan.config["root_seed"], (row["group"], row["variant"])
        with one_thread():
            start, variation = self._domain.sample_sibling(self._recipe, split, *place, seed)
        if (variation.varied, variation.value) != (row["varied"], row["value"]):
            return f"the index says that {row['varied']!r} was set to {row['value']}; its seed says {variation}"
        return self._parameters(record, start.scene, outside) or outside or _start_problem(film, start)

    def _parameters(self, record: Record, scene: Scene, outside: str | None) -> str | None:
        names = record.parameters.keys() | scene.parameters.keys()
        for name in sorted(names):
            if name not in record.parameters or name not in scene.parameters:
                return f"the parameter {name} is {'missing' if name in scene.parameters else 'unknown'}"
            value, right = float(record.parameters[name]), float(scene.parameters[name][0])
            if not np.isclose(value, right, rtol=NEAR, atol=0):
                return f"the parameter {name} is {value:.6g}; its seed gives {right:.6g}" + (
                    f", and {outside.partition('; ')[2]}" if outside else ""
                )
        return None

    def _outside(self, record: Record, split: str) -> str | None:
        """A parameter that is not in its split's range."""
        assert self._domain is not None
        for name, ranges in self._domain.parameter_ranges.items():
            if name not in record.parameters:
                continue
            value = float(record.parameters[name])
            low, high = ranges.get(split, ranges["train"])
            room = NEAR * max(abs(low), abs(high))
            held = abs(value) if name in self._domain.either_way else value
            if not low - room <= held <= high + room:
                return f"the parameter {name} is {value:.6g}; the range of {split} is {low:.6g} to {high:.6g}"
        return None


def _start_problem(film: Trajectory, start: Trajectory) -> str | None:
    """Where frame 0 is not the start that was drawn."""
    if film.position.shape[1:] != start.position.shape[1:]:
        return f"it has {film.position.shape[1]} nodes; its seed gives {start.position.shape[1]}"
    off = (film.position[0] - start.position[0]).norm(dim=-1)
    worst, far = int(off.argmax()), float(off.max())
    if not far <= NEAR * float(start.scene.diagonal[0]):
        return f"node {worst} begins {far:.3g} m from where its seed has it"
    return None
