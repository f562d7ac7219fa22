"""The cloth solver on a coarser or finer mesh: restrict to a lattice over the sheet, step, and carry the given vertices along.

The coarse sheet is the lattice over the rest sheet's extent whose cells lie on it, with the same area, mass and stiffness.
Positions and velocities are taken from the fine sheet where the coarse vertices are, in barycentric coordinates of its faces; a
coarse vertex is driven where all of the fine vertices that it stands for are, and driven vertices that no coarse one stands for
move the nearest one to themselves. What comes back is the start of each fine vertex plus the coarse sheet's displacement since
then, interpolated: exact at the start, and for every affine motion of a flat sheet.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..contracts._kept import kept
from ..contracts.card import ModelCard
from ..contracts.model import Stepper, place_driven
from ..contracts.scene import NodeType, Scene, Script, stack_scenes
from ..contracts.trajectory import Frame, Trajectory
from ._cloth import ClothSettings, ClothSolver, ClothState, solver_card
from ._cloth_probes import barycentric
from ._cloth_sheet import edges_of, lattice_sheet, vertex_area


@dataclass(frozen=True)
class Link:
    """Rows as weighted sums of three others: how one mesh reads another."""

    index: Tensor
    """(n, 3)."""
    weight: Tensor
    """Barycentric, (n, 3); beyond the border they extrapolate."""

    def to(self, device: str) -> Link:
        """The same on a device."""
        return Link(self.index.to(device), self.weight.to(device))

    def shifted(self, offset: int) -> Link:
        """The same, reading rows that lie farther on."""
        return Link(self.index + offset, self.weight)

    def rows(self, chosen: Tensor) -> Link:
        """Only some of the rows."""
        return Link(self.index[chosen], self.weight[chosen])

    def __call__(self, values: Tensor) -> Tensor:
        """Rows (..., n, 3) from rows (..., m, 3)."""
        read = [values.index_select(-2, column) for column in self.index.unbind(1)]
        share = self.weight.to(values.dtype).unsqueeze(-1).unbind(1)
        return read[0] * share[0] + read[1] * share[1] + read[2] * share[2]


@dataclass(frozen=True)
class CoarseState:
    """The coarse sheet, and the fine one that it carries."""

    coarse: ClothState
    start: Tensor
    """Coarse positions at the start [m], (n, 3)."""
    scene: Scene
    fine: Frame
    """The fine sheet at the start."""
    prolong: Link
    paths: Link
    """The driven coarse vertices from the fine ones."""
    now: Frame


class CoarseFabric(Stepper[CoarseState]):
    """A contestant: the same solver on a mesh that is coarser by a factor, finer when that is below one."""

    def __init__(self, name: str, cloth: ClothSettings, factor: float, device: str = "cpu") -> None:
        self.solver, self.factor = ClothSolver(cloth, device), factor
        self._card = solver_card(name, "ladder", cloth, f", mesh {factor:g}× coarser")

    @property
    def card(self) -> ModelCard:
        """See ModelCard."""
        return self._card

    def encode(self, past: Trajectory) -> CoarseState:
        """Restrict the last frame."""
        now = past.frame(-1)
        key = ("cloth restricted", self.factor)
        scene, restrict, prolong = kept(past.scene, key, lambda: restricted(past.scene, self.factor))
        device = self.solver.device
        # Scripts are read through the fine sheet, frame by frame, so the coarse scene's own is empty.
        x, v = restrict(now.position.cpu()), restrict(now.velocity.cpu())
        coarse = self.solver.state(scene, x, v)
        fine = Frame(now.position.to(device), now.velocity.to(device))
        paths = restrict.rows(scene.driven_nodes)
        whole = past.scene.to(device)
        return CoarseState(coarse, coarse.position, whole, fine, prolong.to(device), paths.to(device), fine)

    def advance(self, state: CoarseState, script: Script) -> CoarseState:
        """Step the coarse sheet by one frame and let it carry the fine one."""
        whole = state.fine.position.new_zeros((2, state.scene.n_nodes, 3))
        whole[:, state.scene.driven_nodes] = script.node_position[:2].to(whole.dtype)
        own = dataclasses.replace(script, node_position=state.paths(whole))
        coarse = self.solver.advance(state.coarse, own)
        position = state.fine.position + state.prolong(coarse.position - state.start)
        moved = Frame(position, state.prolong(coarse.velocity))
        return dataclasses.replace(state, coarse=coarse, now=place_driven(moved, state.scene, script))

    def decode(self, state: CoarseState) -> Frame:
        """The fine sheet."""
        return state.now


def restricted(scene: Scene, factor: float) -> tuple[Scene, Link, Link]:
    """Coarse scenes, coarse rows from fine rows, and fine rows from coarse rows; all on the CPU."""
    parts = [_restrict_one(scene.select([b]).to("cpu"), factor) for b in range(scene.n_scenes)]
    coarse = stack_scenes([p[0] for p in parts])
    fine_at, coarse_at = scene.scene_ptr[:-1].tolist(), coarse.scene_ptr[:-1].tolist()
    down = _joined([p[1].shifted(o) for p, o in zip(parts, fine_at, strict=True)])
    up = _joined([p[2].shifted(o) for p, o in zip(parts, coarse_at, strict=True)])
    return coarse, down, up


def _joined(links: list[Link]) -> Link:
    return Link(torch.cat([link.index for link in links]), torch.cat([link.weight for link in links]))


def _restrict_one(scene: Scene, factor: float) -> tuple[Scene, Link, Link]:
    rest, faces = scene.rest_position.to(torch.float64), scene.faces
    low, high = rest.amin(0), rest.amax(0)
    extent = (high - low)[:2]
    area = vertex_area(rest, faces).sum()
    spacing = factor * float((2 * area / faces.shape[0]).sqrt())
    nx, ny = (max(2, round(float(e) / spacing)) for e in extent)

    def lies_on(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        at = low[:2] + torch.from_numpy(np.stack([u, v], 1)) * extent
        inside: np.ndarray = (barycentric(at, rest[faces][..., :2]).amin(-1).amax(1) > -1e-6).numpy()
        return inside | ~inside.any()

    local, coarse_faces = lattice_sheet(nx, ny, float(extent[0]), float(extent[1]), lies_on)
    local = local + 0.5 * (low + high)
    driven = scene.driven_nodes
    down = _linked(local, rest, faces)
    local, held = _held(local, down, rest, driven, spacing)
    down = _linked(local, rest, faces)
    up = _linked(rest, local, coarse_faces)
    mass = vertex_area(local, coarse_faces)
    mass = mass * (float(scene.mass.sum()) / float(mass.sum()))
    new = dataclasses.replace(
        scene,
        scene_ptr=torch.tensor([0, len(local)]),
        node_type=torch.where(held, int(NodeType.DRIVEN), int(NodeType.FREE)),
        mass=mass.to(scene.mass.dtype),
        rest_position=local.to(scene.rest_position.dtype),
        body_id=torch.full((len(local),), -1),
        edges=(edges := edges_of(coarse_faces)),
        edge_ptr=torch.tensor([0, len(edges)]),
        faces=coarse_faces,
        face_ptr=torch.tensor([0, len(coarse_faces)]),
        script=dataclasses.replace(
            scene.script,
            node_position=scene.script.node_position.new_zeros((scene.script.n_frames, int(held.sum()), 3)),
        ),
    )
    return new, down, up


def _held(local: Tensor, down: Link, rest: Tensor, driven: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """Coarse rest positions, moved onto driven vertices that none stands for, and which coarse vertices are driven."""
    is_driven = torch.zeros(len(rest), dtype=torch.bool)
    is_driven[driven] = True
    held = (is_driven[down.index] | (down.weight.abs() < 1e-6)).all(1)
    at, moved = local.numpy().copy(), held.numpy()
    for spot in rest[driven].numpy():
        apart = np.linalg.norm(at - spot, axis=1)
        # One that is held within three quarters of a coarse edge stands for it.
        if not moved.any() or apart[moved].min() > 0.75 * spacing:
            nearest = np.where(moved, np.inf, apart).argmin()
            at[nearest], moved[nearest] = spot, True
    return torch.from_numpy(at), torch.from_numpy(moved)


def _linked(points: Tensor, rest: Tensor, faces: Tensor) -> Link:
    """Where points (n, 3) lie in a mesh: in the face that contains them, or else extrapolated from the nearest one."""
    weights = barycentric(points[:, :2], rest[faces][..., :2])
    best = weights.amin(-1).argmax(1)
    return Link(faces[best], weights[torch.arange(len(points)), best])
