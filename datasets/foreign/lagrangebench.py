"""LagrangeBench (Toshev et al. 2023, arXiv:2309.16342; version 0.2.0): smoothed-particle hydrodynamics in two and three axes.

    metadata.json                          case, dim, dx, dt, write_every, bounds, periodic_boundary_conditions, statistics …
    train.h5, valid.h5, test.h5            /00000/position (T, N, dim) float32, /00000/particle_type (N,) integers, /00001/…
    force.py                               in some sets; code found beside data, never run

Traps, and what is done about them:

- Types are 0 fluid, 1 solid wall, 2 moving wall, 3 rigid body, -1 padding. Walls are driven here, padding is left out. DeepMind's
  sets, converted to this layout, keep DeepMind's types, in which 3 is a wall that the suite's own mask (1, 2, -1) does not know:
  such a set is told by its metadata (`sequence_length`, no `solver`) and its type 3 is driven.
- `periodic_boundary_conditions` has three entries in two axes too, and the suite makes all axes periodic if any is: so the data
  were made, and so they are read.
- `dt` is the solver's; a frame is `write_every` of them. Statistics are in units of length a frame, of fluid particles, over all
  three splits together.
- Test films are cut: one film of L frames is L div 26 pieces of 6 and 20, so that what is scored depends on how far one looks.
- The external force of a dam break is gravity, from the metadata or the known unit of the published set. That of reverse
  Poiseuille flow depends on the place, which no Scene can hold: it is left out, and named in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contracts import MisuseError, Trajectory
from ._hdf5 import array, opened
from ._particles import film_of, types_of
from ._set import ForeignSet

METADATA = "metadata.json"
WALLS = (1, 2)
"""Types that are driven: solid and moving walls."""
DEEPMIND_WALL = 3
PADDING = -1
STATISTICS = ("vel_mean", "vel_std", "acc_mean", "acc_std")


class LagrangeBench(ForeignSet):
    """One folder in LagrangeBench's layout."""

    layout, suite, ending = "lagrangebench", "lagrangebench", ".h5"
    past, horizon = 6, 20

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, METADATA)
        self.dim = self.facts.integer("dim", 2, 3)
        self.bounds = self.facts.bounds(self.dim)
        self.frame_interval = self.facts.number("dt", positive=True) * self.facts.integer("write_every", 1, 10**9, 1)
        self.periodic = self._periodic()
        self.converted = "sequence_length" in self.facts and "solver" not in self.facts

    def _periodic(self) -> bool:
        flags = self.facts.entries.get("periodic_boundary_conditions")
        fine = isinstance(flags, list) and len(flags) in (self.dim, 3) and all(isinstance(f, bool) for f in flags)
        if not fine or not isinstance(flags, list):
            raise self.facts.wrong("periodic_boundary_conditions", "a list of 3 truth values")
        return any(flags)

    @property
    def case(self) -> str:
        """The flow: TGV, RPF, LDC, DAM; of older metadata that do not say, from the folder's name."""
        said = self.facts.text("case").upper() or next(
            (part for part in self.name.upper().split("_") if part in ("TGV", "RPF", "LDC", "DAM", "DB")), ""
        )
        return "DAM" if said == "DB" else said

    @property
    def particle_mass(self) -> float:
        """Mass of a particle [kg]: its volume at unit density, as the suite counts kinetic energy; 1 without a spacing."""
        return self.facts.number("dx", positive=True) ** self.dim if "dx" in self.facts else 1.0

    @property
    def gravity(self) -> list[float]:
        """Acceleration of free fall [m/s²]: the dam break's, along the second axis; zero in every other case."""
        fall = [0.0] * self.dim
        if self.case == "DAM":
            fall[1] = -self.facts.number("g_ext_magnitude", 1.0)
        return fall

    @property
    def parameters(self) -> dict[str, float]:
        """What the metadata say of the matter."""
        return {"viscosity": self.facts.number("viscosity")} if "viscosity" in self.facts else {}

    def films(self, split: str) -> Iterator[Trajectory]:
        """See ForeignSet."""
        with opened(self.require_split(split)) as file:
            for name in sorted(file):
                try:
                    yield self._film(file[name])
                except MisuseError as error:
                    raise MisuseError(f"{self.path(split)}, trajectory {name}: {error}") from error

    def _film(self, group: Any) -> Trajectory:
        position = array(group, "position", (None, None, self.dim)).astype(np.float32, copy=False)
        kinds = types_of(array(group, "particle_type", (None,)), position.shape[1])
        there = kinds != PADDING
        return film_of(
            position[:, there],
            self.driven(kinds[there]),
            frame_interval=self.frame_interval,
            bounds=self.bounds,
            periodic=self.periodic,
            mass=self.particle_mass,
            gravity=self.gravity,
            parameters=self.parameters,
        )

    def driven(self, kinds: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which particles the script moves, by their types."""
        return np.isin(kinds, (DEEPMIND_WALL,) if self.converted else WALLS)

    def count(self, split: str) -> int:
        """See ForeignSet."""
        with opened(self.require_split(split)) as file:
            return len(file)

    @property
    def statistics(self) -> dict[str, list[float]]:
        """Mean and standard deviation of displacements and of their differences, a frame, as stored."""
        return {name: self.facts.numbers(name, self.dim) for name in STATISTICS if name in self.facts}

    @property
    def notes(self) -> list[str]:
        """See ForeignSet."""
        said = []
        if (self.folder / "force.py").exists():
            said.append("force.py is not run: code found beside data")
        if self.case == "RPF":
            said.append("the driving force depends on the place and is left out: no Scene holds a field of force")
        if self.converted:
            said.append("a set of DeepMind's in this layout: type 3 is a wall, all other types move alike")
        if self.periodic:
            said.append("all axes are periodic, as the suite has them if any is")
        return [*said, "types of particles beyond free and driven are not in the films"]
