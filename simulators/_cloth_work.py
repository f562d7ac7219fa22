"""The arrays that the cloth kernels run on, and one frame of substeps captured as a graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..contracts._ragged import counts, group_of_row, pointer
from ..contracts.scene import Scene, Script
from . import _cloth_kernels as kernels
from ._cloth import CONTACT_SHARE, face_scene, rebuild_interval
from ._cloth_mesh import Sheet, corner_rows
from ._warp import wp

NEAR_BY_NATURE = 1.7
"""Edges, on the flat sheet, from a vertex to the centre of a face, within which they never touch: no bend is as tight."""


class Work:
    """One batch of sheets on a device: everything a frame of substeps touches."""

    def __init__(self, scene: Scene, sheet: Sheet, substeps: Tensor, softening: float, device: str) -> None:
        self.device, self.dt = device, float(scene.frame_interval)
        self.n_nodes, self.n_faces = scene.n_nodes, int(scene.faces.shape[0])
        self.most = int(substeps.max())
        self.kept: list[Any] = []
        self.still = self._scenes(scene, sheet, substeps, softening)
        self.mesh = self._mesh(scene, sheet)
        self.block_scene = self._ints(group_of_row(self._block_ptr(scene)))
        n = self.n_nodes
        self.x, self.v = [self._zeros(n) for _ in range(2)], [self._zeros(n) for _ in range(2)]
        self.force = self._zeros(3 * self.n_faces)
        self.ball = wp.zeros(self.n_faces, dtype=wp.vec4, device=device)
        self.block = wp.zeros(self.block_scene.shape[0], dtype=wp.vec4, device=device)
        self.count = wp.zeros(n, dtype=wp.int32, device=device)
        self.slot = wp.zeros((n, kernels.SLOTS), dtype=wp.int32, device=device)
        self.total = wp.zeros((n, 3), dtype=wp.int64, device=device)
        self.touches = bool((scene.parameters["thickness"] > 0).any())
        self.searches = self._searches(substeps)
        self.graph: Any = None

    # -- uploading -----------------------------------------------------------------------------------------------------

    def _zeros(self, n: int) -> Any:
        return wp.zeros(n, dtype=wp.vec3, device=self.device)

    def _hold(self, values: Tensor, torch_type: torch.dtype, warp_type: Any) -> Any:
        """A Warp array over a torch tensor of its own, which is kept alive beside it."""
        tensor = values.detach().to(self.device, torch_type).contiguous().clone()
        self.kept.append(tensor)
        if tensor.numel() == 0:
            shape = tensor.shape[:1] if warp_type in (wp.vec3, wp.mat22) else tensor.shape
            return wp.zeros(tuple(shape), dtype=warp_type, device=self.device)
        return wp.from_torch(tensor, dtype=warp_type)

    def _ints(self, values: Tensor) -> Any:
        return self._hold(values, torch.int32, wp.int32)

    def _floats(self, values: Tensor) -> Any:
        return self._hold(values, torch.float32, wp.float32)

    def _vectors(self, values: Tensor) -> Any:
        return self._hold(values, torch.float32, wp.vec3)

    def _block_ptr(self, scene: Scene) -> Tensor:
        return pointer(-(-counts(scene.face_ptr.cpu()) // kernels.BLOCK))

    def _scenes(self, scene: Scene, sheet: Sheet, substeps: Tensor, softening: float) -> Any:
        p = {k: v.cpu().to(torch.float64) for k, v in scene.parameters.items()}
        step = scene.frame_interval / substeps.to(torch.float64)
        owner = face_scene(scene).cpu()
        mean_area = torch.zeros_like(step).index_add(0, owner, sheet.area) / counts(scene.face_ptr.cpu())
        edge = (2 * mean_area).sqrt()
        skin = 0.5 * edge
        s = kernels.Scenes()
        s.substeps, s.rebuild = self._ints(substeps), self._ints(rebuild_interval(skin, step))
        s.time_step, s.skin = self._floats(step), self._floats(skin)
        s.stretch, s.shear = (self._floats(p[k] / softening) for k in ("stretch_stiffness", "shear_stiffness"))
        s.bend, s.damping = self._floats(p["bend_stiffness"]), self._floats(p["damping"])
        s.bend_damping = self._floats(p["bend_damping"])
        s.apart = self._floats(torch.maximum(2 * p["thickness"] + 0.5 * edge, NEAR_BY_NATURE * edge))
        s.friction, s.thickness = self._floats(p["friction"]), self._floats(p["thickness"])
        s.air, s.contact = self._floats(p["air_density"]), self._floats(CONTACT_SHARE / step**2)
        s.wind = self._vectors(torch.stack([p["wind_x"], p["wind_y"], p["wind_z"]], -1))
        s.gravity, s.wall = self._vectors(scene.gravity), self._ints(scene.wall.flatten(1))
        s.low, s.high = self._vectors(scene.bounds[:, 0]), self._vectors(scene.bounds[:, 1])
        s.obstacle_ptr, s.face_ptr = self._ints(scene.obstacle_ptr), self._ints(scene.face_ptr)
        s.block_ptr = self._ints(self._block_ptr(scene))
        s.box, s.box_step = self._zeros(scene.n_scenes), self._zeros(scene.n_scenes)
        return s

    def _mesh(self, scene: Scene, sheet: Sheet) -> Any:
        corner_ptr, corner = corner_rows(scene.faces, scene.n_nodes)
        driven = torch.full((scene.n_nodes,), -1)
        driven[scene.driven_nodes.cpu()] = torch.arange(scene.driven_nodes.numel())
        row, column = sheet.bend.indices()
        m = kernels.Mesh()
        m.vertex_scene, m.face_scene = self._ints(scene.node_scene), self._ints(face_scene(scene))
        m.mass, m.rest = self._floats(scene.mass), self._vectors(scene.rest_position)
        m.driven, m.face = self._ints(driven), self._ints(scene.faces)
        m.centre = self._vectors(scene.rest_position[scene.faces].mean(1))
        m.area, m.inverse = self._floats(sheet.area), self._hold(sheet.inverse, torch.float32, wp.mat22)
        m.corner_ptr, m.corner = self._ints(corner_ptr), self._ints(corner)
        m.bend_ptr = self._ints(pointer(torch.bincount(row, minlength=scene.n_nodes)))
        m.bend_column, m.bend_value = self._ints(column), self._floats(sheet.bend.values())
        m.obstacle_kind, m.obstacle_size = self._ints(scene.obstacle_kind), self._vectors(scene.obstacle_size)
        m.driven_at, m.driven_step = (self._zeros(scene.driven_nodes.numel()) for _ in range(2))
        m.obstacle_at, m.obstacle_step = (self._zeros(scene.obstacle_kind.numel()) for _ in range(2))
        return m

    def _searches(self, substeps: Tensor) -> set[int]:
        """Substeps before which some scene searches for contacts."""
        rebuild = self.still.rebuild.numpy().tolist()
        return {k for n, every in zip(substeps.tolist(), rebuild, strict=True) for k in range(0, n, every)}

    # -- a frame -------------------------------------------------------------------------------------------------------

    def frame(self, position: Tensor, velocity: Tensor, script: Script) -> tuple[Tensor, Tensor]:
        """Positions and velocities (N, 3) one frame later."""
        self._put(self.x[0], position)
        self._put(self.v[0], velocity)
        self._script(script)
        if self.graph is None:
            self._launch_all()  # compiles, and is undone by uploading again
            with wp.ScopedCapture(self.device) as capture:
                self._launch_all()
            self.graph = capture.graph
            self._put(self.x[0], position)
            self._put(self.v[0], velocity)
        wp.capture_launch(self.graph)
        last = self.most % 2
        return wp.to_torch(self.x[last]).clone(), wp.to_torch(self.v[last]).clone()

    def _put(self, array: Any, values: Tensor) -> None:
        if values.numel():
            wp.to_torch(array).copy_(values)

    def _script(self, script: Script) -> None:
        m, s = self.mesh, self.still
        for at, step, values in (
            (m.driven_at, m.driven_step, script.node_position),
            (m.obstacle_at, m.obstacle_step, script.obstacle_position),
            (s.box, s.box_step, script.box_offset),
        ):
            self._put(at, values[0])
            self._put(step, values[1] - values[0])

    def _launch_all(self) -> None:
        s, m, n, device = self.still, self.mesh, self.n_nodes, self.device
        wp.launch(kernels.begin, n, [self.dt, s, m, self.x[0], self.v[0]], device=device)
        for k in range(self.most):
            x, v = self.x[k % 2], self.v[k % 2]
            wp.launch(kernels.face_forces, self.n_faces, [k, s, m, x, v, self.force], device=device)
            if self.touches:
                if k in self.searches:
                    self._launch_search(k, x)
                contacts = [k, s, m, x, v, self.count, self.slot, self.total]
                wp.launch(kernels.contact_forces, n, contacts, device=device)
            after = (self.x[(k + 1) % 2], self.v[(k + 1) % 2])
            wp.launch(
                kernels.step, n, [k, self.dt, s, m, self.force, self.count, self.total, x, v, *after], device=device
            )

    def _launch_search(self, k: int, x: Any) -> None:
        s, m, device = self.still, self.mesh, self.device
        blocks = self.block_scene.shape[0]
        wp.launch(kernels.bound_faces, self.n_faces, [k, s, m, x, self.ball], device=device)
        wp.launch(kernels.bound_blocks, blocks, [k, s, self.block_scene, self.ball, self.block], device=device)
        search = [k, s, m, self.ball, self.block, x, self.count, self.slot]
        wp.launch(kernels.find_contacts, self.n_nodes, search, device=device)
