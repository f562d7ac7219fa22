"""A hot path: what one call of it must move and reckon, by its own count, and the call itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch

WORD = 4
"""Bytes of a float32."""
INDEX = 8
"""Bytes of an int64."""


@dataclass(frozen=True)
class Asked:
    """For what hot paths are asked."""

    device: str
    quick: bool = False
    """Small, so that all are through in half a minute."""

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU, which needs large sizes to be filled."""
        return torch.device(self.device).type == "cuda"

    def size(self, quick: int, cpu: int, cuda: int) -> int:
        """One of three sizes."""
        return quick if self.quick else cuda if self.cuda else cpu


@dataclass(frozen=True)
class HotPath:
    """One hot path at one size. Its floor is max(bytes / copy bandwidth, operations / rate of matrix products)."""

    name: str
    size: str
    """How much one call handles, in words."""
    unit: str
    """What rates are in: so many of these a second."""
    count: float
    """Units in one call."""
    bytes: float
    """What a call must at least read plus what it must at least write, each once."""
    operations: float
    """Floating-point operations, an fma counted as two."""
    task: Callable[[], object]
    beside: float = 0.0
    """Of a second unit, the pairs or the frames, how many in one call."""
    beside_unit: str = ""


@dataclass(frozen=True)
class Rates:
    """What a device reaches, measured in the same run."""

    copies: tuple[tuple[int, float], ...]
    """(bytes of a block, bytes a second that its copy reads and writes), by size."""
    products: float
    """Floating-point operations a second of a float32 matrix product."""
    half_products: float | None = None
    """The same in bfloat16, for comparison; no path runs in it now."""

    def bandwidth(self, moved: float) -> float:
        """The fastest copy of any block at least as large as what is moved: a small one may stay in a cache."""
        fitting = [rate for block, rate in self.copies if 2 * block >= moved]
        return max(fitting, default=self.copies[-1][1])

    def floor(self, path: HotPath) -> tuple[float, str]:
        """Seconds that a call takes at least on this device, and what binds: "bytes" or "operations"."""
        bounds = {"bytes": path.bytes / self.bandwidth(path.bytes), "operations": path.operations / self.products}
        binding = max(bounds, key=lambda k: bounds[k])
        return bounds[binding], binding

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)


def counted(task: Callable[[], object]) -> float:
    """Floating-point operations of every matrix product that a call runs, forward and backward: 2 m n k for (m, k) by (k, n)."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        task()
    return float(counter.get_total_flops())


def weight_bytes(*parts: torch.nn.Module) -> int:
    """Bytes of the parameters of some parts of a network: each is read at least once a call."""
    return sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
