"""Settings of the rigid-body solver, apart from it so that they can be named without loading Newton."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..contracts.errors import MisuseError


@dataclass(frozen=True)
class RigidSettings:
    """What a run of the solver fixes, scenes apart."""

    substeps: int
    """Time steps a frame."""
    iterations: int
    """Sweeps over the contacts in each step."""
    engine: Literal["steel", "xpbd"] = "steel"
    """Newton's solver: impulses by projected Gauss-Seidel, or positions (XPBD)."""
    collide_every: int = 1
    """Steps between two searches for contacts."""
    regularization: float = 1.0
    """Softness of resting contacts (Steel): a body at rest sinks by regularization · 5 g dt², and stacks do not creep."""
    rebound_speed: float = 0.05
    """Closing speed [m/s] below which a contact does not rebound (Steel)."""

    def __post_init__(self) -> None:
        if self.substeps < 1 or self.iterations < 1 or self.collide_every < 1:
            raise MisuseError(
                f"{self.substeps} substeps, {self.iterations} iterations, contacts every {self.collide_every} steps: "
                "all must be at least 1"
            )
        if self.substeps % self.chunk:
            raise MisuseError(
                f"{self.substeps} substeps are not a multiple of {self.chunk}, the steps recorded at once"
            )

    @property
    def chunk(self) -> int:
        """Steps that are recorded and replayed together: even where possible, so that they end in the array they began in."""
        return self.collide_every if self.collide_every % 2 == 0 or self.substeps % 2 else 2 * self.collide_every
