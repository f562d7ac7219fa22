"""The same sheets under Newton's Style3D solver: another code, another scheme (implicit Euler, projective dynamics).

Its membrane is Baraff & Witkin's, as ours is, so that equilibria should be the same. Bending differs in form and is made small.
Style3D is called as its documentation says, eagerly (it cannot be captured on a CPU) and without contact among cloth.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from torch import Tensor

from ..contracts.domain import PhysicsCheck
from ..contracts.scene import NodeType, Scene

STEP = 1 / 200
"""Substep of the referee [s]."""


def rows() -> list[PhysicsCheck]:
    """A hanging sheet's tip and a sheet draped over a ball, each against the referee."""
    from ._cloth_physics import settle, sheet_scene

    def upright(rest: Tensor) -> Tensor:
        return torch.stack([rest[:, 0], torch.zeros_like(rest[:, 0]), rest[:, 1] + 1.0], 1)

    scene, x = sheet_scene((10, 10), (0.6, 0.6), upright, lambda r: r[:, 1] > 0.299, stretch_stiffness=100.0,
                           shear_stiffness=30.0, bend_stiffness=1e-5)  # fmt: skip
    below = scene.rest_position[:, 1] < -0.299
    tip = [0.7 - float(found[below, 2].mean()) for found in (settle(scene, x, 60, keep=0.5), referee(scene, x, 300))]

    # Held at two corners: most of the sheet hangs in folds.
    scene, x = sheet_scene((12, 12), (0.8, 0.8), upright, lambda r: (r[:, 1] > 0.399) & (r[:, 0].abs() > 0.399),
                           stretch_stiffness=100.0, shear_stiffness=30.0, bend_stiffness=1e-5)  # fmt: skip
    weight = scene.mass.double() / scene.mass.double().sum()
    sag = [
        1.0 - float((weight * found[:, 2]).sum()) for found in (settle(scene, x, 150, keep=0.9), referee(scene, x, 600))
    ]

    above = (0.0, 0.0, 0.25, 0.2)
    scene, x = sheet_scene((12, 12), (0.7, 0.7), lambda r: r + torch.tensor([0.0, 0, 0.47], dtype=r.dtype), floor=False,
                           ball=above, stretch_stiffness=100.0, shear_stiffness=30.0, bend_stiffness=2e-4, friction=0.5,
                           thickness=0.02, damping=2e-4)  # fmt: skip
    weight = scene.mass.double() / scene.mass.double().sum()
    drape = [
        0.45 - float((weight * found[:, 2]).sum())
        for found in (settle(scene, x, 150, keep=0.9), referee(scene, x, 600))
    ]
    source = "Newton Style3D"
    return [
        PhysicsCheck("hanging sheet: tip stretch / Style3D", tip[0] / tip[1], 0.97, 1.03, "1", "1", source),
        PhysicsCheck(
            "sheet held at two corners: sag of its centre / Style3D", sag[0] / sag[1], 0.9, 1.1, "1", "1", source
        ),
        PhysicsCheck("drape over a ball: sag of its centre / Style3D", drape[0] / drape[1], 0.9, 1.1, "1", "1", source),
    ]


def referee(scene: Scene, x: Tensor, steps: int) -> Tensor:
    """Equilibrium (N, 3) of one scene's sheet under Style3D, by dynamic relaxation."""
    import newton

    from ._warp import wp

    model, solver = _model(scene, x)
    now, after, control = model.state(), model.state(), model.control()
    pipeline = newton.CollisionPipeline(model)
    contacts = pipeline.contacts()
    for _ in range(steps):
        now.clear_forces()
        pipeline.collide(now, contacts)
        solver.step(now, after, control, contacts, STEP)
        now, after = after, now
        wp.to_torch(now.particle_qd).mul_(0.97)
    found: Tensor = wp.to_torch(now.particle_q).to(torch.float64)
    return found


def _model(scene: Scene, x: Tensor) -> tuple[Any, Any]:
    import newton
    from newton.solvers import SolverStyle3D, style3d

    from ._warp import wp

    p = {name: float(values[0]) for name, values in scene.parameters.items()}
    builder = newton.ModelBuilder(up_axis=newton.Axis.Z)
    SolverStyle3D.register_custom_attributes(builder)
    style3d.add_cloth_mesh(
        builder,
        pos=wp.vec3(0.0, 0.0, 0.0),
        rot=wp.quat_identity(),
        vel=wp.vec3(0.0, 0.0, 0.0),
        vertices=x.tolist(),
        indices=scene.faces.flatten().tolist(),
        panel_verts=scene.rest_position[:, :2].tolist(),
        panel_indices=scene.faces.flatten().tolist(),
        density=p["mass_per_area"],
        particle_radius=max(0.5 * p["thickness"], 1e-3),
        tri_aniso_ke=wp.vec3(p["stretch_stiffness"], p["stretch_stiffness"], p["shear_stiffness"]),
        edge_aniso_ke=wp.vec3(p["bend_stiffness"], p["bend_stiffness"], p["bend_stiffness"]),
    )
    for o in range(scene.obstacle_kind.numel()):
        centre = wp.vec3(*scene.script.obstacle_position[0, o].tolist())
        at = wp.transform(centre, wp.quat_identity())
        builder.add_shape_sphere(body=-1, xform=at, radius=float(scene.obstacle_size[o, 0]))
    model = builder.finalize()
    assert model.particle_flags is not None
    flags = model.particle_flags.numpy()  # type: ignore[no-untyped-call]
    flags[(scene.node_type == NodeType.DRIVEN).numpy()] &= ~int(newton.ParticleFlags.ACTIVE)
    model.particle_flags = wp.array(flags, dtype=model.particle_flags.dtype)
    model.soft_contact_ke, model.soft_contact_kd, model.soft_contact_mu = 500.0, 1e-3, p["friction"]
    model.set_gravity(tuple(scene.gravity[0].tolist()))
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its timings there
        solver = SolverStyle3D(model=model, config=SolverStyle3D.Config(iterations=10))
    return model, solver
