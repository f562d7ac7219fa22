"""A batch of fluid scenes on Warp: the arrays that `_sph_warp_kernels.py` runs on, and a frame of substeps captured as a graph.

The scheme is that of `_sph_kernels.py`, which stays the reference on a CPU. Taichi cannot capture, so that on CUDA every one of
its launches is paid for by the host; here a frame is one launch of a graph. float32 only.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from . import _sph_warp_kernels as kernels
from . import _sph_warp_solids as solids
from ._warp import wp

if TYPE_CHECKING:
    from ._sph import SphSettings

LAUNCHES = 6
"""Of a substep, the scan as one."""
RELAXED_AT_ONCE = 16
"""Steps, at most, of the graph that relaxation launches again and again: nothing is driven in it, so all steps are alike."""
FAR = 1e6
"""Half-width of an obstacle along the third axis of a scene in 2D [m]."""
DRIVEN = ("box", "box_slope", "obstacle", "obstacle_slope", "node", "node_slope")


class Work:
    """One batch of scenes on a device: everything that a frame of substeps touches, and its graphs."""

    def __init__(self, arrays: dict[str, Tensor], dim: int, settings: SphSettings, frame_interval: float) -> None:
        self.dim, self.settings, self.frame_interval = dim, settings, frame_interval
        self.device = str(arrays["mass"].device)
        self.n, self.n_cells = arrays["scene"].numel(), arrays["count"].numel()
        self.kept: dict[str, Tensor] = {}
        self.scenes = self._scenes(arrays)
        self.particles = self._particles(arrays)
        self.cells = self._cells()
        self.graphs: dict[tuple[int, bool], Any] = {}
        wp.load_module(kernels, device=self.device)

    # -- uploading -----------------------------------------------------------------------------------------------------

    def _hold(self, name: str, values: Tensor, kind: Any) -> Any:
        """A Warp array over a torch tensor of its own, which is kept by name."""
        self.kept[name] = values.clone(memory_format=torch.contiguous_format)
        return wp.from_torch(self.kept[name], dtype=kind)

    def _vectors(self, name: str, values: Tensor, last: float = 0.0) -> Any:
        """Rows of D components as rows of three; `last` stands in the third of 2D."""
        whole = values.dtype == torch.int32
        return self._hold(name, pad(values, (0, 3 - self.dim), value=last), wp.vec3i if whole else wp.vec3)

    def _zeros(self, name: str, n: int, kind: Any = wp.float32) -> Any:
        dtype = torch.int32 if kind is wp.int32 else torch.float32
        shape = (n, 3) if kind is wp.vec3 else (n,)
        return self._hold(name, torch.zeros(shape, dtype=dtype, device=self.device), kind)

    def _scenes(self, a: dict[str, Tensor]) -> Any:
        s = solids.Scenes()
        s.gravity, s.viscosity = (
            self._vectors("gravity", a["gravity"]),
            self._hold("viscosity", a["viscosity"], wp.float32),
        )
        s.lower, s.extent = self._vectors("lower", a["lower"]), self._vectors("extent", a["extent"], 1.0)
        s.low_wall, s.high_wall = (self._vectors(f"wall{k}", a["wall"][..., k]) for k in range(2))
        s.cell_number = self._vectors("cell_number", a["cell_number"], 1)
        s.cell_size = self._vectors("cell_size", a["cell_size"], 1.0)
        s.cell_offset = self._hold("cell_offset", a["cell_offset"], wp.int32)
        s.obstacle_ptr = self._hold("obstacle_ptr", a["obstacle_ptr"], wp.int32)
        s.obstacle_kind = self._hold("obstacle_kind", a["obstacle_kind"], wp.int32)
        s.obstacle_size = self._vectors("obstacle_size", a["obstacle_size"], FAR)
        n_nodes = max(1, int((a["driven"] >= 0).sum()))
        for name, n in (("box", len(a["lower"])), ("obstacle", len(a["obstacle_size"])), ("node", n_nodes)):
            setattr(s, name, self._zeros(name, n, wp.vec3))
            setattr(s, f"{name}_slope", self._zeros(f"{name}_slope", n, wp.vec3))
        return s

    def _particles(self, a: dict[str, Tensor]) -> Any:
        p = kernels.Particles()
        p.x, p.v = (self._zeros(name, self.n, wp.vec3) for name in ("x", "v"))
        p.rho, p.mass = self._zeros("rho", self.n), self._hold("mass", a["mass"], wp.float32)
        p.scene, p.driven = (self._hold(name, a[name], wp.int32) for name in ("scene", "driven"))
        return p

    def _cells(self) -> Any:
        c, n = kernels.Cells(), self.n
        c.cell, c.order = self._zeros("cell", n, wp.int32), self._zeros("order", n, wp.int32)
        c.count, c.start = (self._zeros(name, self.n_cells + 1, wp.int32) for name in ("count", "start"))
        c.x, c.v = self._zeros("xs", n, wp.vec3), self._zeros("vs", n, wp.vec3)
        c.rho, c.after, c.mass = (self._zeros(name, n) for name in ("rs", "rs_new", "ms"))
        return c

    def _numbers(self, moving: bool) -> Any:
        from ._sph import WATER_DENSITY

        n: Any = solids.Numbers()
        s = self.settings
        n.dim, n.density, n.sound_speed, n.smoothing = self.dim, WATER_DENSITY, s.sound_speed, s.smoothing * s.spacing
        n.time_step = self.frame_interval / s.substeps
        n.artificial_viscosity, n.diffusion = s.artificial_viscosity, s.density_diffusion
        n.background, n.moving = s.background_pressure, float(moving)
        n.kept = 1.0 if moving else 1.0 - s.relaxation_damping
        return n

    # -- a frame -------------------------------------------------------------------------------------------------------

    def substeps(
        self, position: Tensor, velocity: Tensor, density: Tensor, driven: dict[str, Tensor], n: int, moving: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """State after n substeps from the frame's start; without `moving`, of relaxation, in which nothing is driven."""
        self._put("x", position)
        self._put("v", velocity)
        self.kept["rho"].copy_(density)
        self._drive(driven)
        at_once = n if moving else math.gcd(n, RELAXED_AT_ONCE)
        for _ in range(n // max(1, at_once)):
            self._run(at_once, moving)
        x, v = (self.kept[k][:, : self.dim].clone(memory_format=torch.contiguous_format) for k in ("x", "v"))
        return x, v, self.kept["rho"].clone()

    def carry(
        self,
        position: Tensor,
        velocity: Tensor,
        driven: dict[str, Tensor],
        tracers: Tensor,
        scene: Tensor,
        keep: Tensor,
    ) -> Tensor:
        """Velocity of the fluid at tracers (M, D) of scenes (M,), at the frame's end; `keep` where no particle is near."""
        self._put("x", position)
        self._put("v", velocity)
        self._drive(driven)
        self._sort(self.frame_interval)
        at, u = (pad(t.to(self.kept["x"]), (0, 3 - self.dim)).contiguous() for t in (tracers, keep))
        owner = scene.to(self.device, torch.int32).contiguous()
        wp.launch(
            kernels.carry, len(at),
            [self.frame_interval, self.settings.smoothing * self.settings.spacing, 3**self.dim, self.dim, self.scenes, self.cells,
             wp.from_torch(at, dtype=wp.vec3), wp.from_torch(owner), wp.from_torch(u, dtype=wp.vec3)],
            device=self.device,
        )  # fmt: skip
        return u[:, : self.dim].contiguous()

    def _put(self, name: str, values: Tensor) -> None:
        self.kept[name][:, : self.dim].copy_(values)

    def _drive(self, driven: dict[str, Tensor]) -> None:
        for name in DRIVEN:
            self._put(name, driven[name])

    def _run(self, n: int, moving: bool) -> None:
        if (n, moving) not in self.graphs:
            self.graphs[n, moving] = self._captured(n, moving)
        graph = self.graphs[n, moving]
        if graph is None:
            self._launch_all(n, moving)
        else:
            wp.capture_launch(graph)

    def _captured(self, n: int, moving: bool) -> Any:
        """The graph of n substeps; None, with a warning, where the device refuses."""
        try:
            with wp.ScopedCapture(self.device) as capture:
                self._launch_all(n, moving)
        except RuntimeError as reason:
            warnings.warn(f"the fluid's substeps are launched one by one on {self.device}: {reason}", stacklevel=2)
            return None
        return capture.graph

    def _launch_all(self, n: int, moving: bool) -> None:
        numbers = self._numbers(moving)
        for k in range(n):
            # A product of a small integer and a float32 is rounded once, as Taichi rounds it.
            elapsed = k * float(numbers.time_step)
            self._sort(elapsed)
            inputs = [elapsed, 3**self.dim, numbers, self.scenes, self.particles, self.cells]
            for kernel in (kernels.densities, kernels.forces):
                wp.launch(kernel, self.n, inputs, device=self.device)

    def _sort(self, elapsed: float) -> None:
        s, p, c, device = self.scenes, self.particles, self.cells, self.device
        wp.launch(kernels.count_cells, self.n, [elapsed, self.dim, s, p, c], device=device)
        wp.utils.array_scan(c.count, c.start, inclusive=False)
        wp.launch(kernels.place, self.n, [c], device=device)
        wp.launch(kernels.sort_cells, self.n_cells, [p, c], device=device)
