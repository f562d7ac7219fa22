"""A frame of the rigid reference for 1, 16 and 256 worlds, and MuJoCo's C code on the same scenes at the same time step.

Scenes are the domain's own, past their first contacts. The floor is memory traffic, as bench/floors/rigid.py counts it. Contacts
are found and swept with much arithmetic and, on a CPU, by one thread, so the step is far above it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hedgefox.bench.floors._rates import copy_bandwidth, synchronise
from hedgefox.bench.floors.rigid import BYTES_PER_BODY, worlds
from hedgefox.contracts import BodyShape, Scene, Trajectory
from hedgefox.simulators._rigid_bodies import mass_properties, volume
from hedgefox.simulators.rigid import DOMAIN, reference_settings

from .test_loader import DEVICES

WORLDS = [1, 16, 256]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("number", WORLDS)
def test_rigid_frame(benchmark: Any, number: int, device: str) -> None:
    start = worlds(number, device)
    model = DOMAIN.reference(DOMAIN.recipe("s"), device)
    state, script = model.encode(start), start.scene.script

    def frame() -> Any:
        new = model.advance(state, script)
        synchronise(device)
        return new

    new = benchmark.pedantic(frame, rounds=7, warmup_rounds=2)
    assert bool(new.pose.isfinite().all())
    if benchmark.stats is None:
        return
    seconds, steps = benchmark.stats["median"], reference_settings().substeps
    floor = int(start.scene.body_ptr[-1]) * steps * BYTES_PER_BODY / copy_bandwidth(device)
    benchmark.extra_info |= {
        "world_steps_per_second": number * steps / seconds,
        "node_updates_per_second": start.scene.n_nodes * steps / seconds,
        "floor_seconds": floor,
        "times_the_floor": seconds / floor,
    }


@pytest.mark.parametrize("number", [1, 16])
def test_mujoco_frame(benchmark: Any, number: int) -> None:
    """The same worlds in MuJoCo, one after another on one core (it ignores restitution, and is not batched)."""
    mujoco = pytest.importorskip("mujoco")
    start = worlds(number)
    pairs = [mujoco_world(film) for film in start.split()]
    steps = reference_settings().substeps

    def frame() -> None:
        for model, data in pairs:
            mujoco.mj_step(model, data, nstep=steps)

    benchmark.pedantic(frame, rounds=7, warmup_rounds=1)
    assert all(abs(data.qpos).max() < 100 for _, data in pairs)
    if benchmark.stats is not None:
        seconds = benchmark.stats["median"]
        benchmark.extra_info |= {
            "world_steps_per_second": number * steps / seconds,
            "node_updates_per_second": start.scene.n_nodes * steps / seconds,
        }


def mujoco_world(film: Trajectory) -> tuple[Any, Any]:
    """A scene's model and state in MuJoCo: its bodies, floor and cushions, its gravity, friction and time step."""
    import mujoco

    scene = film.scene
    dt = scene.frame_interval / reference_settings().substeps
    gravity, friction = _numbers(scene.gravity[0]), float(scene.parameters["friction"][0])
    inside = _planes(scene) + "".join(_body(film, p) for p in range(int(scene.body_ptr[-1])))
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="{dt}" gravity="{gravity}"/><default><geom friction="{friction} 0 0"/></default>'
        f"<worldbody>{inside}</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    assert film.twist is not None
    # MuJoCo's angular velocity is in the body's frame.
    from hedgefox.contracts.rotation import conjugate, rotate

    assert film.pose is not None
    spin = rotate(conjugate(film.pose[0, :, 3:]), film.twist[0, :, 3:])
    data.qvel[:] = torch.cat([film.twist[0, :, :3], spin], -1).flatten().numpy()
    return model, data


def _body(film: Trajectory, p: int) -> str:
    assert film.pose is not None
    scene = film.scene
    own = torch.nonzero(scene.shape_body == p).flatten().tolist()
    share = volume(scene.shape_kind[own], scene.shape_size[own])
    masses = (float(mass_properties(scene)[0][p]) * share / share.sum()).tolist()
    names = {BodyShape.BALL: "sphere", BodyShape.BOX: "box", BodyShape.CAPSULE: "capsule"}
    geoms = "".join(
        f'<geom type="{names[BodyShape(int(scene.shape_kind[q]))]}" size="{_numbers(scene.shape_size[q].clamp(min=1e-6))}" '
        f'mass="{m}" {_place(scene.shape_pose[q])}/>'
        for q, m in zip(own, masses, strict=True)
    )
    return f"<body {_place(film.pose[0, p])}><freejoint/>{geoms}</body>"


def _planes(scene: Scene) -> str:
    planes = []
    for axis in range(3):
        for side in range(2):
            if bool(scene.solid[0, axis, side]):
                at, normal = torch.zeros(3), torch.zeros(3)
                at[axis], normal[axis] = float(scene.bounds[0, side, axis]), 1.0 - 2.0 * side
                planes.append(f'<geom type="plane" size="9 9 1" pos="{_numbers(at)}" zaxis="{_numbers(normal)}"/>')
    return "".join(planes)


def _place(pose: torch.Tensor) -> str:
    x, y, z, qx, qy, qz, qw = pose.tolist()
    return f'pos="{x} {y} {z}" quat="{qw} {qx} {qy} {qz}"'


def _numbers(values: torch.Tensor) -> str:
    return " ".join(str(x) for x in values.tolist())
