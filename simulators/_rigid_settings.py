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
    regularization: float = 1.0
    """Softness of resting contacts (Steel): a body at rest sinks by regularization · 5 g dt², and stacks do not creep."""
    velocity_iterations: int = 4
    """Further sweeps that set the velocities alone (Steel): without them pushing bodies apart would add to their speed."""
    rebound_speed: float = 0.05
    """Closing speed [m/s] below which a contact does not rebound (Steel)."""

    def __post_init__(self) -> None:
        if self.substeps < 1 or self.iterations < 1:
            raise MisuseError(f"{self.substeps} substeps and {self.iterations} iterations: both must be at least 1")

    @property
    def chunk(self) -> int:
        """Steps recorded and replayed together: two where that is possible, so that they end in the array they began in."""
        return 1 if self.substeps % 2 else 2
