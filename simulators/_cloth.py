"""Finite-element cloth: a triangle sheet that resists stretch, shear and bending, stepped explicitly, batched over scenes.

    m dv/dt = -∂(E_stretch + E_shear + E_bend)/∂x + damping + air + contact + m g

    E_stretch = Σ_f A_f k/2 [(|w_u| - 1)² + (|w_v| - 1)²]      w_u, w_v: images of the unit warp and weft vectors
    E_shear   = Σ_f A_f G/2 (ŵ_u·ŵ_v)²
    E_bend    = D/2 Σ_ij Q_ij x_i·x_j                          Q: bending form, ½ D ∫ |∇∇x|² dA

**Membrane.** Linear triangles; tension k (λ - 1) along warp and weft (the conditions of Baraff & Witkin 1998, as a continuum), so
that a stretched sheet is no stiffer against stretching than a resting one and the substep holds at any load; shear answers the
cosine of the angle between them. Poisson's ratio is zero.

**Bending.** Curvature of each face from its corners and the three vertices across its edges (Flores & Oñate 2005); with the rest
metric it is linear in x, and right for sheets that hardly stretch, at any deflection (Bergou et al. 2006).

**Damping** is Kelvin-Voigt: every stress answers strain + τ · strain rate, with a τ for the membrane and one for bending.

**Air** presses on faces with half its density times the square of the normal relative wind.

**Contact.** Vertices are kept half a thickness outside of obstacles and solid sides: they lose the approaching part of their
velocity, and friction takes up to μ times that part of the rest (Coulomb). A vertex and the triangle of the sheet nearest to it,
1.7 edges apart when flat, repel one another from one thickness on, with damping and friction.

**Scheme.** Drift, kick, drift (position Verlet): second order, symplectic but for damping and contact, starting from positions
and velocities alone, so a film's frame is a full state. The substep is a share (`courant`) of the stability limit, found from
the largest eigenvalues of membrane and bending at rest; each scene has its own. On a CPU and on CUDA a frame is one captured graph.

**Units** SI. **Good values**: k 50-500 N/m, G about k/3, D 1e-5-1e-2 N m, mass 0.1-0.5 kg/m², courant 0.5; undamped energies are
kept as long as they stand above the rounding of float32 positions (a strip 0.5 m long: 1e-6 J).

**Fails**: crushed triangles (warp under a fifth of its length) resist shear too little; edges crossing edges between vertices are
not seen; solids with corners sharper than the vertex spacing poke through between vertices; layers that meet faster than a
thickness a substep pass through one another. A vertex near more than 64 faces ends its scene: it diverges, and says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts._kept import kept
from ..contracts._ragged import counts, group_of_row
from ..contracts.card import ModelCard
from ..contracts.errors import MisuseError
from ..contracts.scene import Scene, Script
from ._cloth_mesh import Sheet, sheet_of, stiffest

PARAMETERS = {
    "stretch_stiffness": "N/m",
    "shear_stiffness": "N/m",
    "bend_stiffness": "N m",
    "mass_per_area": "kg/m²",
    "damping": "s",
    "bend_damping": "s",
    "friction": "1",
    "thickness": "m",
    "air_density": "kg/m³",
    "wind_x": "m/s",
    "wind_y": "m/s",
    "wind_z": "m/s",
}
"""What a cloth scene must state, and in which unit."""
MAX_SUBSTEPS = 5000
"""Substeps of a frame beyond which a scene is refused: it would seem to hang."""
MEETING_SPEED = 6.0
"""Relative speed [m/s] up to which no contact is missed between two searches."""
CONTACT_SHARE = 0.15
"""Contact stiffness of a vertex in units of its mass over the substep squared."""


@dataclass(frozen=True)
class ClothSettings:
    """What a run of the solver fixes, scenes apart."""

    courant: float = 0.5
    """Substep over the stability limit."""
    softening: float = 1.0
    """What stretch and shear stiffness are divided by: a softer sheet allows longer substeps."""
    least_substeps: int = 1
    """Substeps a frame never falls below."""


def solver_card(name: str, kind: str, cloth: ClothSettings, also: str = "") -> ModelCard:
    """The card of a contestant that is this solver at some settings; `also` goes behind its architecture."""
    return ModelCard(
        name=name,
        kind=kind,
        objective="none: equations of motion",
        learning_algorithm="none",
        architecture=f"explicit finite-element cloth, courant {cloth.courant:g}, softened {cloth.softening:g}×{also}",
        domains=("cloth",),
        source="Baraff & Witkin 1998; Flores & Oñate 2005",
    )


@dataclass(frozen=True)
class ClothState:
    """State of all vertices at one frame."""

    scene: Scene
    position: Tensor
    """[m], shape (N, 3), float32."""
    velocity: Tensor
    """[m/s], shape (N, 3), float32."""
    work: Any
    """The kernels' arrays and the captured frame, shared by all states of these scenes: a frame reads nothing of the one before."""


class ClothSolver:
    """Advances ClothStates on one device."""

    def __init__(self, settings: ClothSettings, device: str = "cpu") -> None:
        self.settings, self.device = settings, device

    def state(self, scene: Scene, position: Tensor, velocity: Tensor) -> ClothState:
        """A state ready to step.

        Raises MisuseError for a scene that is not 3D, lacks a parameter or has an impossible one, for a face without area, and
        for a sheet so stiff or fine that a frame would take more than MAX_SUBSTEPS substeps.
        """
        key = ("cloth work", self.settings, self.device)
        work = kept(scene, key, lambda: self._work(scene))
        x, v = (t.to(self.device, torch.float32).clone() for t in (position, velocity))
        return ClothState(kept(scene, ("cloth on", self.device), lambda: scene.to(self.device)), x, v, work)

    def _work(self, scene: Scene) -> Any:
        from ._cloth_work import Work

        check_scene(scene)
        sheet = sheet_of(scene)
        return Work(scene, sheet, self.substeps(scene, sheet), self.settings.softening, self.device)

    def advance(self, state: ClothState, script: Script) -> ClothState:
        """One frame forward, from script frame 0 to 1."""
        x, v = state.work.frame(state.position, state.velocity, script)
        return dataclasses.replace(state, position=x, velocity=v)

    def substeps(self, scene: Scene, sheet: Sheet) -> Tensor:
        """Substeps a frame of each scene, (B,): as many as its stiffness, mass and mesh ask for."""
        top = stiffest(scene, sheet)
        tau, bend_tau = (scene.parameters[n].cpu().to(torch.float64) for n in ("damping", "bend_damping"))
        membrane = top["membrane"] / self.settings.softening
        square = (membrane + top["bend"]).clamp(min=1e-24)
        rate = 0.5 * (tau * membrane + bend_tau * top["bend"])
        # Of a damped oscillator: the root of (ω dt/2)² + c dt/2 = 1.
        limit = 2 * ((rate**2 + square).sqrt() - rate) / square
        number = (scene.frame_interval / (self.settings.courant * limit)).ceil().clamp(min=self.settings.least_substeps)
        if bool((number > MAX_SUBSTEPS).any()):
            b = int(number.argmax())
            raise MisuseError(
                f"scene {b} needs {int(number[b])} substeps a frame for motions of {float(square[b].sqrt()):.3g} rad/s; "
                f"at most {MAX_SUBSTEPS} are taken"
            )
        return number.to(torch.int32)


def check_scene(scene: Scene) -> None:
    """Raise MisuseError for a scene that is no sheet of cloth."""
    if scene.dim != 3:
        raise MisuseError(f"cloth lives in 3 space axes; the scene has {scene.dim}")
    faceless = torch.nonzero(counts(scene.face_ptr) == 0).flatten()
    if faceless.numel():
        raise MisuseError(f"scene {int(faceless[0])} has no faces; a sheet of cloth needs at least 1")
    for name in PARAMETERS:
        if name not in scene.parameters:
            raise MisuseError(f"the scene has no parameter {name!r}; cloth needs {', '.join(PARAMETERS)}")
        values = scene.parameters[name]
        wrong = ~torch.isfinite(values)
        if not name.startswith("wind"):
            wrong |= values < 0
        if bool(wrong.any()):
            b = int(torch.nonzero(wrong)[0])
            raise MisuseError(f"{name} of scene {b} is {float(values[b]):g}; a finite number, 0 or more, is right")
    bare = torch.ones(scene.n_nodes, dtype=torch.bool, device=scene.device)
    bare[scene.faces.flatten()] = False
    if bool(bare.any()):
        raise MisuseError(f"vertex {int(torch.nonzero(bare)[0])} belongs to no face; every vertex of a sheet must")


def face_scene(scene: Scene) -> Tensor:
    """The scene of each face, (F,)."""
    return group_of_row(scene.face_ptr)


def rebuild_interval(skin: Tensor, time_step: Tensor) -> Tensor:
    """Substeps between two searches for self-contact, (B,)."""
    return (skin / (MEETING_SPEED * time_step)).floor().clamp(min=1).to(torch.int32)
