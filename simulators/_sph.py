"""Weakly compressible smoothed particle hydrodynamics (δ-SPH) for free-surface water, 2D and 3D, batched over scenes.

    dρ/dt = ρ Σ_j V_j (v_i - v_j)·∇W_ij  +  δ h c₀ Σ_j V_j ψ_ij·∇W_ij
    dv/dt = -Σ_j m_j (p_i + p_j)/(ρ_i ρ_j) ∇W_ij  +  ν-term  +  α-term  +  g
    p     = max(c₀² (ρ - ρ₀) + p_b, 0)

**Scheme.** Density from the old velocities, then forces from the new density, then velocities, then positions (symplectic
Euler); updating density and velocity both from old values is unstable. Wendland C2 kernel. Density diffusion without its
hydrostatic part (Fourtakas et al. 2019, Computers & Fluids 190). Laminar viscosity of Morris et al. 1997; artificial
viscosity of Monaghan 1992. Solid walls are mirrors: every particle near a wall sees its neighbours' images behind it
(Colagrossi & Landrini 2003), with the hydrostatic density of where the image stands; an obstacle is mirrored at its tangent
plane, so it should be smooth, or large, against the particle spacing. Images are never stored.

**Units** SI. **Good values**: smoothing length 1.75-2 spacings (at 1.4 a particle lattice resists shear like a solid: a small
sloshing wave is 6 % too fast and a Taylor-Green vortex decays 9 % too fast), c₀ ≥ 10 × the greatest speed (density then
varies by 1 %), time step ≤ 0.4 h/c₀, α 0.01-0.1, δ 0.1.

**Fails** when speeds approach c₀ (compression), when obstacles stand closer than two kernel supports to one another (only
the nearest is felt), in suction (no tension: a cavity opens instead), for gaps narrower than a few particles.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts.card import ModelCard
from ..contracts.errors import MisuseError
from ..contracts.scene import Scene, Script, Wall, require_distinct

WATER_DENSITY = 1000.0
"""Rest density of all our fluids [kg/m³]."""
TIME_STEP_SHARE = 0.4
"""Time step over h/c₀ of everything that is run here."""
LARGE_SCENE = 8192
"""Particles from which a lone scene is spread over the cores of a CPU."""


@dataclass(frozen=True)
class SphSettings:
    """What a run of the solver fixes, scenes apart."""

    spacing: float
    """Particle spacing Δx at rest [m]; a particle weighs ρ₀ Δx^D."""
    substeps: int
    """Time steps a frame."""
    sound_speed: float
    """Numerical speed of sound c₀ [m/s]."""
    smoothing: float = 1.75
    """Smoothing length over spacing, h/Δx; the kernel's support is 2h."""
    artificial_viscosity: float = 0.02
    """α of Monaghan's artificial viscosity."""
    density_diffusion: float = 0.1
    """δ of the density diffusion."""
    background_pressure: float = 0.0
    """p_b [Pa]: keeps a fluid without free surface from tearing; must be zero with a free surface."""
    dtype: torch.dtype = torch.float32
    relaxation_steps: int = 160
    """Steps with resting positions that find the pressure a start needs."""
    relaxation_damping: float = 0.06
    """Share of the velocity taken away in each of those steps."""


def settings_for(
    spacing: float, frame: float, sound_speed: float, smoothing: float = SphSettings.smoothing
) -> SphSettings:
    """Settings with as many substeps to a frame [s] as keep the time step at TIME_STEP_SHARE of h/c₀."""
    substeps = -(-frame * sound_speed // (TIME_STEP_SHARE * smoothing * spacing))
    return SphSettings(spacing, int(substeps), sound_speed, smoothing)


def solver_card(name: str, kind: str, sph: SphSettings, also: str = "") -> ModelCard:
    """The card of a contestant that is this solver at some settings; `also` goes behind its architecture."""
    return ModelCard(
        name=name,
        kind=kind,
        objective="none: equations of motion",
        learning_algorithm="none",
        architecture=f"δ-SPH, spacing {sph.spacing:g} m, {sph.substeps} substeps, c₀ {sph.sound_speed:g} m/s{also}",
        domains=("fluid",),
        source="Antuono et al. 2010; Fourtakas et al. 2019",
    )


@dataclass(frozen=True)
class SphState:
    """State of all particles at one frame."""

    scene: Scene
    position: Tensor
    """[m], shape (N, D)."""
    velocity: Tensor
    """[m/s], shape (N, D)."""
    density: Tensor
    """[kg/m³], shape (N,)."""
    arrays: dict[str, Tensor]
    """What the kernels need of the scene, and their scratch memory."""
    work: Any = None
    """On Warp: the same there, and the graph of a frame (`_sph_warp.Work`)."""


def backend_for(device: str, dtype: torch.dtype) -> str:
    """Which kernels advance a fluid: "warp", which can be captured, on CUDA in float32; else "taichi"."""
    return "warp" if device.startswith("cuda") and dtype == torch.float32 else "taichi"


class SphSolver:
    """Advances SphStates on one device; `backend` is "taichi", "warp" (float32 alone) or what suits the device."""

    def __init__(self, settings: SphSettings, device: str = "cpu", backend: str | None = None) -> None:
        self.settings, self.device = settings, device
        self.backend = backend_for(device, settings.dtype) if backend is None else backend
        if self.backend not in ("taichi", "warp") or (self.backend == "warp" and settings.dtype != torch.float32):
            raise MisuseError(
                f"fluid back-end {self.backend} in {settings.dtype}: taichi, or warp in float32, is right"
            )

    @property
    def smoothing_length(self) -> float:
        """h [m]."""
        return self.settings.smoothing * self.settings.spacing

    def state(self, scene: Scene, position: Tensor, velocity: Tensor) -> SphState:
        """A state at rest density.

        Raises MisuseError when the settings cannot carry the scene, and for two particles on one spot.
        """
        self._check(scene)
        require_distinct(position, scene.scene_ptr)
        moved = scene.to(self.device)
        dtype, arrays = self.settings.dtype, self._arrays(moved)
        return SphState(
            moved,
            position.to(self.device, dtype).clone(),
            velocity.to(self.device, dtype).clone(),
            torch.full((scene.n_nodes,), WATER_DENSITY, dtype=dtype, device=self.device),
            arrays,
            self._work(arrays, moved) if self.backend == "warp" else None,
        )

    def _work(self, arrays: dict[str, Tensor], scene: Scene) -> Any:
        from ._sph_warp import Work

        return Work(arrays, scene.dim, self.settings, scene.frame_interval)

    def relax(self, state: SphState, script: Script) -> SphState:
        """Find the density that carries the fluid where it is, from rest: positions stay, velocities only answer the pressure.

        The damped answer settles where the pressure makes the acceleration free of divergence: hydrostatic in a tank, zero at
        a gate just opened. The pressure that existing motion asks for (of order ρv²) is left out.
        """
        answer = dataclasses.replace(state, velocity=torch.zeros_like(state.velocity), density=state.density.clone())
        driven = self.driven(state.scene, _held(script))
        answer = self._substeps(answer, driven, self.settings.relaxation_steps, moving=False)
        return dataclasses.replace(state, density=answer.density)

    def advance(self, state: SphState, script: Script, driven: dict[str, Tensor] | None = None) -> SphState:
        """One frame forward, from script frame 0 to 1; `driven` is the script's `driven`, for who has it."""
        driven = self.driven(state.scene, script) if driven is None else driven
        return self._substeps(state, driven, self.settings.substeps, moving=True)

    def carry(self, state: SphState, driven: dict[str, Tensor], tracers: Tensor, scene: Scene, keep: Tensor) -> Tensor:
        """Velocity of the fluid at tracers (N, D) of `scene`; `keep` (N, D) where no particle is within the kernel's reach.

        The state stands at frame 1 of the script that is `driven`.
        """
        if self.backend == "warp":
            found: Tensor = state.work.carry(state.position, state.velocity, driven, tracers, scene.node_scene, keep)
            return found.to(keep.dtype)
        from . import _sph_kernels, _taichi

        _taichi.start(self.device)
        dtype, a = self.settings.dtype, state.arrays
        u = keep.to(self.device, dtype).contiguous().clone()
        elapsed = state.scene.frame_interval
        _taichi.launch(
            _sph_kernels.carry, scene.dim, self._by_scene(state), elapsed, self.smoothing_length, state.position, state.velocity,
            *(a[n] for n in ("scene", "lower", "wall", "scene_ptr", "cell_number", "cell_size", "cell_offset")),
            driven["box"], driven["box_slope"], *(a[n] for n in ("cell", "count", "start", "order", "xs", "vs")),
            tracers.to(self.device, dtype).contiguous(), scene.node_scene.to(torch.int32), scene.scene_ptr.to(torch.int32), u,
        )  # fmt: skip
        return u.to(keep.dtype)

    def _by_scene(self, state: SphState) -> bool:
        return self.device == "cpu" and (state.scene.n_scenes > 1 or state.scene.n_nodes < LARGE_SCENE)

    def _substeps(self, state: SphState, driven: dict[str, Tensor], n: int, moving: bool) -> SphState:
        """The state n substeps after the frame's start."""
        now = (state.position, state.velocity, state.density)
        if self.backend == "warp":
            x, v, rho = state.work.substeps(*now, driven, n, moving)
            return dataclasses.replace(state, position=x, velocity=v, density=rho)
        x, v, rho = (values.clone() for values in now)
        new = dataclasses.replace(state, position=x, velocity=v, density=rho)
        self._in_place(new, self._constants(state.scene.frame_interval, moving), driven, n)
        return new

    def _in_place(self, state: SphState, constants: Tensor, driven: dict[str, Tensor], n: int) -> None:
        """n substeps on Taichi. Both ways sum in the same order and give the same bits."""
        from . import _sph_kernels, _taichi

        _taichi.start(self.device)
        if self._by_scene(state):
            self._launch(_sph_kernels.substeps_by_scene, n, state, constants, driven)
        else:
            for k in range(n):
                self._launch(_sph_kernels.substep, k, state, constants, driven)

    @staticmethod
    def _launch(kernel: Any, k: int, state: SphState, constants: Tensor, driven: dict[str, Tensor]) -> None:
        from . import _taichi

        a = state.arrays
        _taichi.launch(
            kernel, state.scene.dim, k, constants, state.position, state.velocity, state.density,
            *(a[n] for n in _MATTER), *(a[n] for n in _SCENES), driven["box"], driven["box_slope"],
            *(a[n] for n in _OBSTACLES), driven["obstacle"], driven["obstacle_slope"], driven["node"],
            driven["node_slope"], *(a[n] for n in _SCRATCH),
        )  # fmt: skip

    def _constants(self, frame_interval: float, moving: bool) -> Tensor:
        s = self.settings
        values = [
            WATER_DENSITY, s.sound_speed, self.smoothing_length, frame_interval / s.substeps,
            s.artificial_viscosity, s.density_diffusion, s.background_pressure, float(moving),
            1.0 if moving else 1.0 - s.relaxation_damping,
        ]  # fmt: skip
        return torch.tensor(values, dtype=s.dtype, device=self.device)

    def driven(self, scene: Scene, script: Script) -> dict[str, Tensor]:
        """Where driven things stand at the frame's start, and their velocities over the frame."""
        out = {}
        for name, values in (
            ("box", script.box_offset),
            ("obstacle", script.obstacle_position),
            ("node", script.node_position),
        ):
            pair = _never_empty(values[:2].to(self.device, torch.float64), rows=1)
            out[name] = pair[0].to(self.settings.dtype)
            out[f"{name}_slope"] = ((pair[1] - pair[0]) / scene.frame_interval).to(self.settings.dtype)
        return out

    def _arrays(self, scene: Scene) -> dict[str, Tensor]:
        dtype, device, n = self.settings.dtype, self.device, scene.n_nodes
        extent = scene.bounds[:, 1] - scene.bounds[:, 0]
        number = (extent / (2.0 * self.smoothing_length)).floor().clamp(min=1)
        cells = torch.cat([torch.zeros(1, device=device), number.prod(-1).cumsum(0)])
        driven = torch.full((n,), -1, device=device)
        driven[scene.driven_nodes] = torch.arange(scene.driven_nodes.numel(), device=device)
        integers = {
            "scene": scene.node_scene, "driven": driven, "wall": scene.wall, "scene_ptr": scene.scene_ptr,
            "cell_number": number, "cell_offset": cells, "obstacle_ptr": scene.obstacle_ptr,
            "obstacle_kind": scene.obstacle_kind, "cell": torch.zeros(n, device=device),
            "order": torch.zeros(n, device=device), "count": torch.zeros(int(cells[-1]), device=device),
            "start": torch.zeros(int(cells[-1]) + 1, device=device),
        }  # fmt: skip
        reals = {
            "mass": scene.mass, "gravity": scene.gravity, "viscosity": self._viscosity(scene), "lower": scene.bounds[:, 0],
            "extent": extent, "cell_size": extent / number, "obstacle_size": scene.obstacle_size,
            "xs": scene.rest_position, "vs": scene.rest_position, "rs": scene.mass, "rs_new": scene.mass, "ms": scene.mass,
        }  # fmt: skip
        return {k: _never_empty(v.to(torch.int32)).contiguous() for k, v in integers.items()} | {
            k: _never_empty(v.to(dtype)).clone(memory_format=torch.contiguous_format) for k, v in reals.items()
        }

    @staticmethod
    def _viscosity(scene: Scene) -> Tensor:
        zero = torch.zeros(scene.n_scenes, device=scene.device)
        return scene.parameters.get("viscosity", zero)

    def _check(self, scene: Scene) -> None:
        s = self.settings
        if s.substeps < 1 or not s.spacing > 0:
            raise MisuseError(f"{s.substeps} substeps at spacing {s.spacing} m: both must be positive")
        h, dt = self.smoothing_length, scene.frame_interval / s.substeps
        if dt > 0.7 * h / s.sound_speed:
            raise MisuseError(
                f"time step {dt:.2e} s is too long for sound speed {s.sound_speed} m/s at smoothing length {h:.3g} m; "
                f"at most {0.7 * h / s.sound_speed:.2e} s is right"
            )
        viscosity = float(self._viscosity(scene).max())
        if not 0 <= viscosity <= 0.25 * h * h / dt:
            raise MisuseError(
                f"viscosity {viscosity:.3g} m²/s is outside 0 to {0.25 * h * h / dt:.3g} for this time step"
            )
        extent = scene.bounds[:, 1] - scene.bounds[:, 0]
        periodic = scene.wall[..., 0] == Wall.PERIODIC
        if bool((periodic & (extent < 6 * h)).any()):
            raise MisuseError(f"a periodic axis is shorter than three kernel supports ({6 * h:.3g} m)")


_MATTER = ("mass", "scene", "driven")
_SCENES = ("gravity", "viscosity", "lower", "extent", "wall", "scene_ptr", "cell_number", "cell_size", "cell_offset")
_OBSTACLES = ("obstacle_ptr", "obstacle_kind", "obstacle_size")
_SCRATCH = ("cell", "count", "start", "order", "xs", "vs", "rs", "rs_new", "ms")


def _never_empty(values: Tensor, rows: int = 0) -> Tensor:
    """Taichi takes no empty arrays; a row that no pointer reaches stands in for none. `rows` is their axis."""
    shape = list(values.shape)
    return values.contiguous() if shape[rows] else values.new_zeros([*shape[:rows], 1, *shape[rows + 1 :]])


def _held(script: Script) -> Script:
    """The script standing still at its first frame."""
    still: Any = script._map(lambda _, x: x[[0, 0]])
    assert isinstance(still, Script)
    return still
