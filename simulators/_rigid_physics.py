"""The rigid-body solver against physics: closed forms, conserved quantities, a float64 reference, MuJoCo where it installs.

Every check runs the reference's own settings (time step 1 ms) on scenes of the domain's own kind, and returns PhysicsCheck rows.
Bands of 2 % are the issue's; where a band is wider than rounding the row says what sets it. The scheme finds a contact at the
end of a step, up to v dt early or late, so that whatever depends on the instant of an impact is right to that.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..contracts.curve import EXPECTED, Curve, line
from ..contracts.domain import PhysicsCheck
from ..contracts.rotation import conjugate, rotate
from ..contracts.scene import BodyShape, Obstacle, Wall
from ..contracts.trajectory import Trajectory, stack
from ._closed_forms import swing_angle
from ._rigid_bodies import mass_properties
from ._rigid_scenes import GRAVITY, Body, Draft, Solid, build
from ._rigid_settings import RigidSettings

Floats = NDArray[np.float64]
FRAME = 0.02
G = GRAVITY


def validate(full: bool = False) -> list[PhysicsCheck]:
    """All rows; `full` adds the tower's ten seconds and a body that turns over more often."""
    rows = [
        *free_fall(),
        *incline(),
        *stopping(),
        *bounce(),
        *oblique_bounce(),
        *inelastic(),
        *pushed(),
        *collision(),
        *rolling(),
        *pendulum(),
        *spinning(),
        *(spinning(0.3) if full else ()),
        *tower(10.0 if full else 4.0),
    ]
    if importlib.util.find_spec("mujoco") is not None:
        rows += [*before_contact_with_mujoco(), *rest_with_mujoco()]
    return rows


def reference_settings(frame: float = FRAME) -> RigidSettings:
    """The reference's settings for frames of another length, at the same time step."""
    from .rigid import reference_settings as of_domain

    usual = of_domain()
    return dataclasses.replace(usual, substeps=max(1, round(usual.substeps * frame / FRAME)))


def ball(radius: float = 0.1) -> list[Solid]:
    """A ball as a body."""
    return [(BodyShape.BALL, (radius, 0.0, 0.0), (0.0, 0.0, 0.0))]


def box(a: float = 0.1, b: float = 0.1, c: float = 0.1) -> list[Solid]:
    """A box of half extents a, b, c [m] as a body."""
    return [(BodyShape.BOX, (a, b, c), (0.0, 0.0, 0.0))]


def body(
    solids: list[Solid], at: tuple[float, float, float], velocity: tuple[float, ...] = (0, 0, 0), **more: Any
) -> Body:
    """A body at a place with a velocity."""
    return Body(solids, np.array(at, dtype=float), velocity=np.array(velocity, dtype=float), **more)


def start(
    bodies: list[Body], friction: float = 0.5, restitution: float = 0.0, tilt: float = 0.0, *,
    floor: bool = True, weight: bool = True, seconds: float = 1.0, frame: float = FRAME,
) -> Trajectory:  # fmt: skip
    """Frame 0 of a scene on a wide floor without sides, or of one in the void."""
    d = Draft(np.random.default_rng(0), 0.2, 1.0, False, 1.0, tilt=tilt, bodies=bodies)
    d.room = np.array([40.0, 40.0, 40.0])
    parameters = {"friction": friction, "restitution": restitution, "mass_ratio": 1.0}
    film = build("rigid", d, parameters, round(seconds / frame) + 2, frame)
    wall = torch.full((1, 3, 2), int(Wall.OPEN))
    if floor:
        wall[0, 2, 0] = Wall.NO_SLIP
    gravity = film.scene.gravity if weight else 0 * film.scene.gravity
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, wall=wall, gravity=gravity))


def run(starts: list[Trajectory], seconds: float, settings: RigidSettings | None = None) -> Trajectory:
    """The film of some scenes with its first frame, float64."""
    from .rigid import RigidSolver

    first = stack(starts)
    frame = first.scene.frame_interval
    solver = RigidSolver("newton", "reference", settings or reference_settings(frame))
    film = first.followed_by(solver.rollout(first, round(seconds / frame)))
    return film._map(lambda _, x: x.to(torch.float64))


def poses(film: Trajectory) -> Tensor:
    """Poses (T, P, 7), float64."""
    assert film.pose is not None
    return film.pose


def twists(film: Trajectory) -> Tensor:
    """Twists (T, P, 6), float64."""
    assert film.twist is not None
    return film.twist


def free_fall() -> list[PhysicsCheck]:
    """A thrown box: the discrete parabola of symplectic Euler, x₀ + v₀t + g dt² n(n+1)/2, and the closed one it tends to."""
    film = run([start([body(box(), (5, 5, 10), (3, 1, 2))], floor=False)], 1.0)
    n, dt = reference_settings().substeps * 50, FRAME / reference_settings().substeps
    fallen = float(film.scene.rest_position[:, 2].mean()) + 2.0 - float(poses(film)[-1, 0, 2])
    way = math.dist(poses(film)[-1, 0, :2].tolist(), (5.0, 5.0))
    time = FRAME * np.arange(51)
    drawn = Curve("t [s]", "height above the start [m]", (
        line("thrown box", time, poses(film)[:, 0, 2] - poses(film)[0, 0, 2], joined=False),
        line("v₀ t - g t²/2", time, 2 * time - G * time**2 / 2, role=EXPECTED),
    ))  # fmt: skip
    return [
        PhysicsCheck("free fall: way / discrete formula", fallen / (G * dt * dt * n * (n + 1) / 2), 0.999, 1.001, "1",
                     "1", "g dt² n(n+1)/2, symplectic Euler"),
        PhysicsCheck("free fall: way / ½gt²", fallen / (0.5 * G), 0.998, 1.002, "1", "1", "closed form; the scheme adds dt/t",
                     drawn),
        PhysicsCheck("projectile: horizontal way / vt", way / math.hypot(3, 1), 0.999, 1.001, "1", "1", "closed form"),
    ]  # fmt: skip


def incline(friction: float = 0.5) -> list[PhysicsCheck]:
    """A block let go on a slope: held below tan θ = μ, above it sliding at g(sin θ - μ cos θ)."""
    shares = [0.96, 0.97, 0.98, 0.99, 1.01, 1.02, 1.03, 1.04, 1.4]
    angles = [math.atan(s * friction) for s in shares]
    film = run([start([body(box(), (2, 5, 0.1))], friction, 0.0, a) for a in angles], 1.0)
    speed = twists(film)[-1, :, 0]
    # 1 % too steep a slope slides at 0.04 m/s after a second.
    held = [s for s, v in zip(shares, speed.tolist(), strict=True) if v < 0.01]
    slid = [s for s, v in zip(shares, speed.tolist(), strict=True) if v >= 0.01]
    threshold = 0.5 * (max(held, default=0.0) + min(slid, default=math.inf))
    expected = G * (math.sin(angles[-1]) - friction * math.cos(angles[-1]))
    share = np.linspace(0.9, 1.45, 56)
    turned = np.arctan(share * friction)
    slide = G * np.maximum(np.sin(turned) - friction * np.cos(turned), 0)
    drawn = Curve("tan θ / μ", "speed after 1 s [m/s]", (
        line("block let go", shares, speed, joined=False),
        line("g (sin θ - μ cos θ) t, not below 0", share, slide, role=EXPECTED),
    ))  # fmt: skip
    return [
        PhysicsCheck("incline: tan θ at which a block lets go / μ", threshold, 0.98, 1.02, "1", "1", "Coulomb"),
        PhysicsCheck("incline: acceleration / g(sin θ - μ cos θ)", float(speed[-1]) / expected, 0.98, 1.02, "1", "1", "Coulomb",
                     drawn),
    ]  # fmt: skip


def stopping(friction: float = 0.2, speed: float = 2.0) -> list[PhysicsCheck]:
    """A block that slides to rest: v²/2μg."""
    film = run([start([body(box(), (2, 5, 0.1), (speed, 0, 0))], friction, seconds=1.5)], 1.5)
    way = poses(film)[:, 0, 0] - 2.0
    ratio, time = float(way[-1]) * 2 * friction * G / speed**2, FRAME * np.arange(len(way))
    slid = np.minimum(time, speed / (friction * G))
    drawn = Curve("t [s]", "way [m]", (
        line("sliding block", time, way, joined=False),
        line("v t - μ g t²/2 until it stops", time, speed * slid - friction * G * slid**2 / 2, role=EXPECTED),
    ))  # fmt: skip
    return [PhysicsCheck("stopping distance / v²/2μg", ratio, 0.98, 1.02, "1", "1", "Coulomb", drawn)]


def bounce() -> list[PhysicsCheck]:
    """Balls dropped from half a metre: the n-th rebound rises to e²ⁿ of the drop."""
    frame, drop = 0.002, 0.5
    coefficients = (0.5, 0.7, 0.9)
    film = run([start([body(ball(), (5, 5, 0.1 + drop))], 0.5, e, frame=frame, seconds=2.2) for e in coefficients], 2.2)
    rows = []
    for k, e in enumerate(coefficients):
        apexes = _apexes(poses(film)[:, k, 2].numpy() - 0.1)[:2]
        worst = max((a / (drop * e ** (2 * n)) for n, a in enumerate(apexes, 1)), key=lambda r: abs(r - 1))
        rows.append(PhysicsCheck(f"bounce, e = {e:g}: worst of two rebound heights / e²ⁿ", worst, 0.95, 1.05, "1", "1",
                                 "Newton's restitution; an impact is seen up to v dt = 3 mm early",
                                 _bounces(poses(film)[:, k, 2] - 0.1, frame, drop, e)))  # fmt: skip
    return rows


def _bounces(height: Tensor, frame: float, drop: float, restitution: float) -> Curve:
    """A bouncing ball's height beside parabola after parabola."""
    time = frame * np.arange(len(height))
    expected, begun, speed = drop - G * time**2 / 2, math.sqrt(2 * drop / G), math.sqrt(2 * G * drop)
    while begun < time[-1] and restitution * speed > 1e-3:
        speed *= restitution
        since = np.maximum(time - begun, 0)
        expected = np.where(time >= begun, speed * since - G * since**2 / 2, expected)
        begun += 2 * speed / G
    expected = np.where(time > begun, 0.0, expected)
    seen = slice(0, None, 5)
    return Curve("t [s]", "height [m]", (
        line(f"ball, e = {restitution:g}", time[seen], height[seen], joined=False),
        line("parabolas", time, expected, role=EXPECTED),
    ))  # fmt: skip


def _apexes(height: Floats) -> list[float]:
    """Local maxima after the first impact."""
    inner = (height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])
    return [float(h) for h in height[1:-1][inner]]


def oblique_bounce(friction: float = 0.1, restitution: float = 0.5) -> list[PhysicsCheck]:
    """A ball thrown at the floor aslant, too fast to roll at once: it loses μ(1+e)v_n of its way along it, and spins.

    Sixteen heights spread the instant of impact over the step, on which the answer must not depend.
    """
    heights = [0.3 + 0.000313 * k for k in range(16)]
    film = run([start([body(ball(), (5, 5, h), (2, 0, -2))], friction, restitution) for h in heights], 0.16)
    normal = torch.tensor([math.sqrt(4 + 2 * G * (h - 0.1)) for h in heights], dtype=torch.float64)
    lost = (2.0 - twists(film)[-1, :, 0]) / (friction * (1 + restitution) * normal)
    spin = twists(film)[-1, :, 4] * 0.1 / (2.5 * friction * (1 + restitution) * normal)

    def worst(ratio: Tensor) -> float:
        return float(ratio[(ratio - 1).abs().argmax()])

    return [
        PhysicsCheck("oblique bounce: worst of 16 speeds lost / μ(1+e)v_n", worst(lost), 0.98, 1.02, "1", "1", "Coulomb impact"),
        PhysicsCheck("oblique bounce: worst of 16 spins / closed form", worst(spin), 0.98, 1.02, "1", "1", "5μ(1+e)v_n/2r"),
    ]  # fmt: skip


def inelastic() -> list[PhysicsCheck]:
    """Boxes and balls thrown at the floor with e = 0 stay there: pushing them out of it must not throw them up."""
    heights = [0.3 + 0.0005 * k for k in range(6)]
    film = run([start([body(solid, (5, 5, h), (0, 0, -2))], 0.3) for solid in (box(), ball()) for h in heights], 0.4)
    rebound = float(twists(film)[:, :, 2].max()) / math.sqrt(4 + 2 * G * 0.2)
    return [
        PhysicsCheck(
            "e = 0: fastest of 12 rebounds / speed of impact", rebound, -0.01, 0.01, "1", "0", "Newton's restitution"
        )
    ]


def pushed(speed: float = 0.8) -> list[PhysicsCheck]:
    """A box at rest on a smooth floor, in the way of a pusher: it leaves with the pusher's speed, its face at the pusher's."""
    first = start([body(box(), (5, 5, 0.1))], 0.0)
    scene, frames = first.scene, first.scene.script.n_frames
    way = torch.tensor([4.7, 5.0, 0.1]) + torch.tensor([speed * FRAME, 0.0, 0.0]) * torch.arange(frames)[:, None]
    driven = dataclasses.replace(
        scene,
        obstacle_kind=torch.tensor([int(Obstacle.BOX)]),
        obstacle_size=torch.full((1, 3), 0.1),
        obstacle_ptr=torch.tensor([0, 1]),
        script=dataclasses.replace(scene.script, obstacle_position=way.unsqueeze(1)),
    )
    film = run([dataclasses.replace(first, scene=driven)], 0.4)
    ahead, leaves = float(poses(film)[-1, 0, 0]) - 0.2 - float(way[20, 0]), float(twists(film)[-1, 0, 0])
    return [
        PhysicsCheck("pushed box: speed / pusher's", leaves / speed, 0.98, 1.02, "1", "1", "inelastic contact"),
        PhysicsCheck("pushed box: distance to the pusher", ahead, -0.002, 0.002, "m", "0", "inelastic contact; v dt = 0.8 mm"),
    ]  # fmt: skip


def collision() -> list[PhysicsCheck]:
    """Two balls in the void, elastic and smooth: equal masses swap, 1 : 2 part at -1/3 and 2/3, and a glancing blow conserves."""
    cases = [(1.0, 0.0), (2.0, 0.0), (1.0, 0.08)]
    starts = [
        start(
            [body(ball(), (5, 5, 5), (1, 0, 0)), body(ball(), (5.4, 5 + off, 5), heaviness=m)],
            0.0, 1.0, floor=False, weight=False,
        )
        for m, off in cases
    ]  # fmt: skip
    film = run(starts, 0.5)
    v, mass = twists(film)[-1, :, :3], mass_properties(film.scene)[0]
    expected = torch.tensor([0.0, 1.0, -1 / 3, 2 / 3], dtype=torch.float64)
    off = float((v[:4, 0] - expected).abs().max())
    energy = (mass * v.square().sum(-1)).view(3, 2).sum(1) / mass[::2]
    momentum = (mass[:, None] * v).view(3, 2, 3).sum(1) / mass[::2, None]
    momentum[:, 0] -= 1.0
    return [
        PhysicsCheck("head-on elastic collision: worst speed error", off, 0, 0.01, "m/s", "0", "equal masses swap; -1/3 and 2/3"),
        PhysicsCheck("elastic collisions: worst energy ratio", float(energy[(energy - 1).abs().argmax()]), 0.99, 1.01, "1", "1",
                     "e = 1"),
        PhysicsCheck("elastic collisions: momentum drift", float(momentum.abs().max()), 0, 1e-3, "1", "0", "Newton's third law"),
    ]  # fmt: skip


def rolling(angle: float = math.radians(15)) -> list[PhysicsCheck]:
    """A ball let go on a slope that it grips rolls at 5/7 g sin θ."""
    film = run([start([body(ball(), (2, 5, 0.1))], 0.5, 0.0, angle)], 1.0)
    speed, expected = twists(film)[:, 0, 0], 5 / 7 * G * math.sin(angle)
    drawn = Curve("t [s]", "speed [m/s]", (
        line("rolling ball", FRAME * np.arange(len(speed)), speed, joined=False),
        line("5/7 g sin θ t", (0.0, 1.0), (0.0, expected), role=EXPECTED),
    ))  # fmt: skip
    name = "rolling ball: acceleration / (5/7 g sin θ)"
    return [PhysicsCheck(name, float(speed[-1]) / expected, 0.98, 1.02, "1", "1", "I = 2/5 m r²", drawn)]


def tower(seconds: float = 10.0, number: int = 10) -> list[PhysicsCheck]:
    """Ten boxes on one another stand, sink by less than 1 %, and do not creep."""
    # Every other box stands a hair aside: nodes need places of their own.
    film = run(
        [start([body(box(), (5 + 5e-4 * (k % 2), 5, 0.1 + 0.2 * k)) for k in range(number)], seconds=seconds)], seconds
    )
    first, last = poses(film)[0], poses(film)[-1]
    name, height = f"tower of {number}, {seconds:g} s", float(last[-1, 2]) / float(first[-1, 2])
    return [
        PhysicsCheck(f"{name}: height of the top box / at the start", height, 0.99, 1.0, "1", "1",
                     "it stands; contacts sink by 5 g dt² and their load"),
        PhysicsCheck(f"{name}: farthest way sideways", float((last - first)[:, :2].abs().max()), 0, 0.005, "m", "0",
                     "it stands: a fortieth of a box's width"),
    ]  # fmt: skip


def spinning(nudge: float = 0.01, seconds: float = 12.0) -> list[PhysicsCheck]:
    """A free body spun about its middle axis turns over (Dzhanibekov): when, against Euler's equations in float64.

    The nudge [rad/s] about the other axes starts the turn. The smaller it is, the longer the body lingers, for a time that
    hangs on the logarithm of how far its energy is from that of the steady spin: so on the scheme's drift, turn after turn.
    """
    a, b, c = 0.15, 0.1, 0.05
    spin = np.array([nudge, 2.0, nudge])
    bodies = [Body(box(a, b, c), np.array([5.0, 5.0, 5.0]), spin=spin)]
    film = run([start(bodies, floor=False, weight=False, seconds=seconds)], seconds)
    inertia = mass_properties(film.scene)[1][0].diagonal()
    q, w = poses(film)[:, 0, 3:], twists(film)[:, 0, 3:]
    local = rotate(conjugate(q), w)
    energy = 0.5 * (inertia * local.square()).sum(-1)
    momentum = rotate(q, inertia * local)
    drift = float((momentum[-1] - momentum[0]).norm() / momentum[0].norm())
    reference = _euler(inertia.numpy(), spin, seconds)
    ours, true = _flips(local[:, 1].numpy()), _flips(reference)
    ratio = [x / y for x, y in zip(ours, true, strict=False)]
    name = f"body that turns over, nudge {nudge:g} rad/s"
    time = FRAME * np.arange(len(reference))
    drawn = Curve("t [s]", "spin about the middle axis [rad/s]", (
        line("box", time[::6], local[::6, 1], joined=False),
        line("Euler's equations, float64", time, reference, role=EXPECTED),
    ))  # fmt: skip
    worst = max(ratio, key=lambda r: abs(r - 1)) if len(ours) == len(true) else math.nan
    return [
        PhysicsCheck(f"{name}: worst of {len(true)} instants / reference", worst, 0.98, 1.02, "1", "1",
                     "Euler's equations, float64", drawn),
        PhysicsCheck(f"{name}, {seconds:g} s: energy drift", float(energy[-1] / energy[0] - 1), -0.02, 0.02, "1", "0",
                     "first order in dt: explicit gyroscopic torque"),
        PhysicsCheck(f"{name}, {seconds:g} s: angular momentum drift", drift, 0, 0.02, "1", "0", "no torque"),
    ]  # fmt: skip


def _euler(inertia: Floats, spin: Floats, seconds: float) -> Floats:
    """Spin about the middle axis at every frame: Euler's equations by an eighth-order Runge-Kutta method."""
    from scipy.integrate import solve_ivp

    def change(_: float, w: Floats) -> Floats:
        rate: Floats = -np.cross(w, inertia * w) / inertia
        return rate

    times = np.arange(round(seconds / FRAME) + 1) * FRAME
    middle: Floats = solve_ivp(change, (0, seconds), spin, "DOP853", times, rtol=1e-12, atol=1e-12).y[1]
    return middle


def _flips(spin: Floats) -> list[float]:
    """Instants at which the spin changes sign [s], linear between frames."""
    k = np.flatnonzero(spin[1:] * spin[:-1] < 0)
    return [float(x) for x in (k + spin[k] / (spin[k] - spin[k + 1])) * FRAME]


def pendulum(length: float = 0.5, angle: float = 1.0) -> list[PhysicsCheck]:
    """A ball on a massless rod, hung by a joint of Newton's in the same solver.

    Its period is 2π√(L'/g) / AGM(1, cos θ₀/2) with L' = L + 2r²/5L.
    """
    from ._newton import swing

    radius, dt, seconds = 0.05, 0.001, 8.0
    swept = swing(reference_settings(), length, radius, angle, dt, round(seconds / dt))
    down = np.flatnonzero((swept[1:] <= 0) & (swept[:-1] > 0))
    crossing = (down + swept[down] / (swept[down] - swept[down + 1])) * 2 * dt
    period = float(np.diff(crossing).mean())
    exact = 2 * math.pi * math.sqrt((length + 0.4 * radius**2 / length) / G) / _agm(1.0, math.cos(angle / 2))
    name, source = "pendulum, 1 rad: period / closed form", "2π√(L'/g)/AGM(1, cos θ₀/2)"
    # Two steps came before the first that was looked at, and every second one was.
    seen = slice(0, round(2 / (2 * dt)), 25)
    time = 2 * dt * (np.arange(len(swept)) + 2)[seen]
    drawn = Curve("t [s]", "angle [rad]", (
        line("ball on a rod", time, swept[seen], joined=False),
        line("Jacobi's sn", time, swing_angle(time, angle, G / (length + 0.4 * radius**2 / length)), role=EXPECTED),
    ))  # fmt: skip
    return [PhysicsCheck(name, period / exact, 0.99, 1.01, "1", "1", source, drawn)]


def _agm(a: float, b: float) -> float:
    while abs(a - b) > 1e-15:
        a, b = (a + b) / 2, math.sqrt(a * b)
    return a


def before_contact_with_mujoco(seconds: float = 0.5) -> list[PhysicsCheck]:
    """A thrown, tumbling box: the same way as MuJoCo's semi-implicit Euler at the same time step, until it lands."""
    spin = (2.0, -3.0, 1.5)
    thrown = Body(
        box(0.15, 0.1, 0.05), np.array([5.0, 5.0, 3.0]), velocity=np.array([1.0, 0.5, 2.0]), spin=np.array(spin)
    )
    film = run([start([thrown])], seconds)
    place, turn = _mujoco((0.15, 0.1, 0.05), thrown, seconds)
    ours = poses(film)[-1, 0].numpy()
    way, off = float(np.linalg.norm(place - thrown.position)), float(np.linalg.norm(ours[:3] - place))
    return [
        PhysicsCheck("MuJoCo, before contact: difference in place / way", off / way, 0, 0.001, "1", "0", "MuJoCo, Euler"),
        PhysicsCheck("MuJoCo, before contact: difference in orientation", _between(ours[3:], turn), 0, 0.01, "rad", "0",
                     "MuJoCo, Euler integrator; first order in dt on both sides"),
    ]  # fmt: skip


def rest_with_mujoco(seconds: float = 2.0) -> list[PhysicsCheck]:
    """A box dropped flat comes to rest where MuJoCo's does; MuJoCo's soft contact sinks by about half a millimetre itself."""
    dropped = Body(box(), np.array([5.0, 5.0, 0.2]))
    film = run([start([dropped], seconds=seconds)], seconds)
    place, turn = _mujoco((0.1, 0.1, 0.1), dropped, seconds)
    ours = poses(film)[-1, 0].numpy()
    return [
        PhysicsCheck("MuJoCo, at rest: difference in height / box height", abs(float(ours[2] - place[2])) / 0.2, 0, 0.01, "1", "0",
                     "MuJoCo, default contact softness"),
        PhysicsCheck("MuJoCo, at rest: difference in orientation", _between(ours[3:], turn), 0, 0.01, "rad", "0", "MuJoCo"),
    ]  # fmt: skip


def _between(a: Floats, b: Floats) -> float:
    """Angle [rad] between two orientations xyzw."""
    return float(2 * np.arccos(np.clip(abs(np.dot(a / np.linalg.norm(a), b / np.linalg.norm(b))), 0, 1)))


def _mujoco(half: tuple[float, float, float], thrown: Body, seconds: float) -> tuple[Floats, Floats]:
    """Centre [m] and orientation xyzw of the same box in MuJoCo after some time, at the reference's time step."""
    import mujoco

    dt = FRAME / reference_settings().substeps
    size = " ".join(str(x) for x in half)
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="{dt}" gravity="0 0 {-G}" integrator="Euler"/><worldbody><geom type="plane" size="50 50 1" '
        f'friction="0.5"/><body><freejoint/><geom type="box" size="{size}" density="500" friction="0.5"/></body></worldbody>'
        "</mujoco>"
    )
    data = mujoco.MjData(model)
    data.qpos[:3] = thrown.position
    data.qvel[:3], data.qvel[3:] = thrown.velocity, thrown.spin
    for _ in range(round(seconds / dt)):
        mujoco.mj_step(model, data)
    w, x, y, z = data.qpos[3:7]
    return np.array(data.qpos[:3]), np.array([x, y, z, w])
