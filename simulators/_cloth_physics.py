"""The cloth solver against physics: closed forms, conserved quantities, an independent solver.

Each check is a function that runs the solver and returns PhysicsCheck rows; bands and their sources stand in the rows.
Equilibria are found by dynamic relaxation (velocities reduced every frame), which does not move them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..contracts.curve import EXPECTED, Curve, line
from ..contracts.domain import PhysicsCheck
from ..contracts.rotation import exponential, rotate
from ..contracts.scene import NodeType, Obstacle, Scene, Wall, single_scene
from ..contracts.trajectory import Trajectory
from ._closed_forms import swing_angle
from ._cloth import ClothSettings, ClothSolver, ClothState
from ._cloth_energy import total as total_energy
from ._cloth_sheet import edges_of, lattice_sheet, vertex_area

G = 9.81
FRAME = 0.02
BEAM_ROOT = 1.8751041
"""First root of cosh β cos β = -1."""
VACUUM = {
    "damping": 0.0,
    "bend_damping": 0.0,
    "air_density": 0.0,
    "thickness": 0.0,
    "wind_x": 0.0,
    "wind_y": 0.0,
    "wind_z": 0.0,
}
CLOTH = {
    "stretch_stiffness": 200.0,
    "shear_stiffness": 60.0,
    "bend_stiffness": 2e-4,
    "mass_per_area": 0.2,
    "friction": 0.3,
}


def validate(full: bool = False) -> list[PhysicsCheck]:
    """All rows; `full` runs the mesh and substep studies on more settings and lets the slow ones run longer."""
    rows = [
        *catenary(80 if full else 40),
        *hooke(full),
        *pendulum(),
        *bending_mode(),
        *elastica(32 if full else 16),
        *free_fall(),
        *no_energy_from_nothing(),
        *friction_on_a_slope(),
        *terminal_velocity(),
        *penetration(),
    ]
    return rows + against_style3d() if full else rows


def sheet_scene(
    cells: tuple[int, int], size: tuple[float, float], place: Callable[[Tensor], Tensor],
    hold: Callable[[Tensor], Tensor] | None = None, gravity: tuple[float, float, float] = (0.0, 0.0, -G),
    floor: bool = False, ball: tuple[float, float, float, float] | None = None, dtype: torch.dtype = torch.float32,
    **parameters: float,
) -> tuple[Scene, Tensor]:  # fmt: skip
    """One sheet: where `place` (rest → position) puts it, held where `hold` (rest → bool) says; scene and positions (N, 3)."""
    rest, faces = lattice_sheet(*cells, *size)
    p = {**CLOTH, **VACUUM, **parameters}
    x = place(rest).to(dtype)
    node_type = torch.full((len(rest),), int(NodeType.FREE))
    if hold is not None:
        node_type[hold(rest)] = int(NodeType.DRIVEN)
    scene = single_scene(
        domain="cloth",
        frame_interval=FRAME,
        rest_position=rest.to(dtype),
        mass=(vertex_area(rest, faces) * p["mass_per_area"]).to(dtype),
        bounds=torch.tensor([[-2.0, -2.0, 0.0 if floor else -9.0], [2.0, 2.0, 3.0]], dtype=dtype),
        wall=torch.tensor([[Wall.OPEN] * 2] * 2 + [[Wall.NO_SLIP if floor else Wall.OPEN, Wall.OPEN]]),
        gravity=gravity,
        node_type=node_type,
        parameters=p,
        edges=edges_of(faces),
        faces=faces,
        n_frames=2,
        node_position=x[node_type == NodeType.DRIVEN].expand(2, -1, -1).clone(),
        obstacle_kind=None if ball is None else torch.tensor([int(Obstacle.BALL)]),
        obstacle_size=None if ball is None else torch.full((1, 3), ball[3], dtype=dtype),
        obstacle_position=None if ball is None else torch.tensor([ball[:3]], dtype=dtype),
    )
    return scene, x


def run(scene: Scene, x: Tensor, v: Tensor, frames: int, settings: ClothSettings | None = None) -> Trajectory:
    """Frames 0 to `frames` under a script that stands still."""
    solver = ClothSolver(settings or ClothSettings())
    states = [solver.state(scene, x, v)]
    for _ in range(frames):
        states.append(solver.advance(states[-1], scene.script))
    return Trajectory(scene, torch.stack([s.position for s in states]), torch.stack([s.velocity for s in states]))


def settle(scene: Scene, x: Tensor, frames: int, settings: ClothSettings | None = None, keep: float = 0.8) -> Tensor:
    """Equilibrium positions (N, 3), by dynamic relaxation: each frame keeps a share of its velocities."""
    solver = ClothSolver(settings or ClothSettings())
    state = solver.state(scene, x, torch.zeros_like(x))
    for _ in range(frames):
        state = solver.advance(state, scene.script)
        state = ClothState(state.scene, state.position, keep * state.velocity, state.work)
    return state.position.to(torch.float64)


def _hanging(rest: Tensor) -> Tensor:
    """Sheets upright: warp sideways, weft upwards."""
    return torch.stack([rest[:, 0], torch.zeros_like(rest[:, 0]), rest[:, 1]], 1)


def catenary(n: int) -> list[PhysicsCheck]:
    """Sag of a narrow strip of length 1.5 m between two points 1 m apart, against y = a cosh(x/a), 2a sinh(1/2a) = 1.5."""
    low, high = 0.05, 5.0
    for _ in range(80):
        a = 0.5 * (low + high)
        low, high = (a, high) if 2 * a * math.sinh(0.5 / a) > 1.5 else (low, a)
    sag = a * (math.cosh(0.5 / a) - 1)

    def vee(rest: Tensor) -> Tensor:
        along = rest[:, 0] / 1.5
        return torch.stack([along, rest[:, 1], (along.abs() - 0.5) * 2 * math.sqrt(0.75**2 - 0.5**2)], 1)

    scene, x = sheet_scene((n, 1), (1.5, 1.5 / n), vee, lambda r: r[:, 0].abs() > 0.749, stretch_stiffness=3000.0,
                           shear_stiffness=300.0, bend_stiffness=0.0)  # fmt: skip
    found = settle(scene, x, 150, keep=0.93)
    error = float(-found[:, 2].min()) / sag - 1
    across, edge = torch.linspace(-0.5, 0.5, 61, dtype=torch.float64), scene.rest_position[:, 1] > 0
    drawn = Curve("x [m]", "z [m]", (
        line(f"strip of {n} segments", found[edge, 0], found[edge, 2], joined=False),
        line("a cosh(x/a)", across, a * (torch.cosh(across / a) - math.cosh(0.5 / a)), role=EXPECTED),
    ))  # fmt: skip
    return [PhysicsCheck(f"catenary: sag error, {n} segments", error, -0.01, 0.01, "1", "0", "y = a cosh(x/a)", drawn)]


def _stretched(cells: int, settings: ClothSettings) -> tuple[Tensor, Tensor]:
    """Distances below the held edge of the rows of a hanging strip 0.8 m long, and how far each has sunk [m]."""
    scene, x = sheet_scene((cells, 2 * cells), (0.4, 0.8), _hanging, lambda r: r[:, 1] > 0.399)
    found = settle(scene, x, 60, settings, keep=0.5)
    below, row = torch.unique(0.4 - scene.rest_position[:, 1].double(), return_inverse=True)
    sunk = scene.rest_position[:, 1].double() - found[:, 2]
    return below, torch.zeros_like(below).index_add(0, row, sunk) / torch.bincount(row)


def _tip_stretch(cells: int, settings: ClothSettings) -> float:
    return float(_stretched(cells, settings)[1][-1])


def hooke(full: bool) -> list[PhysicsCheck]:
    """A strip under its own weight grows by ρ g L²/2k, at the nodes exactly so for linear elements; whatever mesh and substep."""
    expected = 0.2 * G * 0.8**2 / (2 * 200.0)
    rows = {n: _stretched(n, ClothSettings()) for n in ((4, 8, 16) if full else (4, 8))}
    meshes = {n: float(sunk[-1]) / expected for n, (_, sunk) in rows.items()}
    steps = {c: _tip_stretch(4, ClothSettings(courant=c)) / expected for c in (0.25, 0.9)}
    found = [*meshes.values(), *steps.values()]
    below = torch.linspace(0, 0.8, 41)
    drawn = Curve("below the held edge, at rest [m]", "sunk [mm]", (
        *(line(f"{n} cells across", at, 1e3 * sunk, joined=False) for n, (at, sunk) in rows.items()),
        line("ρ g (L s - s²/2) / k", below, 1e3 * 0.2 * G * (0.8 * below - below**2 / 2) / 200.0, role=EXPECTED),
    ))  # fmt: skip
    return [
        PhysicsCheck("hanging strip: stretch / Hooke", meshes[8], 0.99, 1.01, "1", "1", "ρ g L²/2k", drawn),
        PhysicsCheck("… spread over meshes and substeps", max(found) - min(found), 0.0, 0.01, "1", "0", "one material"),
    ]


def pendulum() -> list[PhysicsCheck]:
    """A triangle hinged on two held vertices swings with T = 2π√(L/g) / AGM(1, cos θ₀/2), and keeps its energy for 8 s."""
    length, swing = 0.5, 0.1
    rest = torch.tensor([[-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, -length, 0.0]], dtype=torch.float64)
    x = rest[:, [0, 2, 1]].clone()
    x[2, 1], x[2, 2] = length * math.sin(swing), -length * math.cos(swing)
    p = {**CLOTH, **VACUUM, "stretch_stiffness": 3000.0}
    scene = single_scene(
        domain="cloth", frame_interval=FRAME, rest_position=rest.float(), mass=0.01,
        bounds=torch.tensor([[-1.0] * 3, [1.0] * 3]), wall=torch.full((3, 2), int(Wall.OPEN)), gravity=(0.0, 0.0, -G),
        node_type=torch.tensor([1, 1, 0]), parameters=p, faces=torch.tensor([[0, 1, 2]]),
        edges=edges_of(torch.tensor([[0, 1, 2]])), n_frames=2, node_position=x[:2].float().expand(2, -1, -1).clone(),
    )  # fmt: skip
    film = run(scene, x.float(), torch.zeros(3, 3), 400)
    agm = [1.0, math.cos(swing / 2)]
    for _ in range(6):
        agm = [0.5 * (agm[0] + agm[1]), math.sqrt(agm[0] * agm[1])]
    expected = 2 * math.pi * math.sqrt(length / G) / agm[0]
    period = _period(film.position[:, 2, 1]) * FRAME
    lowest = 0.01 * G * length
    total = total_energy(film)[:, 0] + lowest
    source = "2π√(L/g)/AGM(1, cos θ₀/2)"
    time, tip = FRAME * np.arange(101), film.position[:101, 2].double()
    drawn = Curve("t [s]", "angle [rad]", (
        line("triangle on a hinge", time, torch.atan2(tip[:, 1], -tip[:, 2]), joined=False),
        line("Jacobi's sn", time, swing_angle(time, swing, G / length), role=EXPECTED),
    ))  # fmt: skip
    return [
        PhysicsCheck("pendulum: period / T", period / expected, 0.998, 1.002, "1", "1", source, drawn),
        *_energy_rows("pendulum", total),
    ]


def _period(signal: Tensor) -> float:
    """Mean period in frames, from the upward crossings of zero."""
    s = signal.double().numpy()
    up = np.nonzero((s[:-1] < 0) & (s[1:] >= 0))[0]
    when = up - s[up] / (s[up + 1] - s[up])
    return float((when[-1] - when[0]) / (len(when) - 1))


def _energy_rows(name: str, total: Tensor) -> list[PhysicsCheck]:
    """At most 2 % of an undamped motion's energy is lost over 8 s; it never stands more than 0.5 % above the start."""
    share = total.double() / total[0].double()
    last = float(share[-50:].mean())
    source = "energy conservation"
    return [
        PhysicsCheck(f"{name}: energy after 8 s / at the start", last, 0.98, 1.005, "1", "1", source),
        PhysicsCheck(f"{name}: greatest energy / at the start", float(share.max()), 0.999, 1.005, "1", "1", source),
    ]


def _cantilever(n: int, gravity: float, bend_stiffness: float, damping: float = 0.0) -> tuple[Scene, Tensor, float]:
    """A strip 0.5 m long held by its first two columns; the length that is free ends midway between them."""
    scene, x = sheet_scene((n, max(n // 8, 1)), (0.5, 0.0625), lambda r: r.clone(), lambda r: r[:, 0] < -0.25 + 0.75 / n,
                           gravity=(0.0, 0.0, -gravity), bend_stiffness=bend_stiffness, bend_damping=damping)  # fmt: skip
    return scene, x, 0.5 - 0.25 / n


def bending_mode(n: int = 16) -> list[PhysicsCheck]:
    """First mode of a cantilever strip, ω = 1.8751² √(D/ρL⁴) (Euler & Bernoulli), its energy over 8 s, and its damping.

    With a bending damping τ (Kelvin-Voigt) the energy of a mode falls as exp(-τ ω² t).
    """
    expected, tau = BEAM_ROOT**2 * math.sqrt(0.05 / (0.2 * (0.5 - 0.25 / n) ** 4)), 0.01
    film, damped = _vibrating(n, 0.0), _vibrating(n, tau)
    tip = film.position[:, film.scene.rest_position[:, 0] > 0.2499, 2].mean(1)
    omega = 2 * math.pi / (_period(tip) * FRAME)
    log = total_energy(damped)[:, 0].log()
    time = torch.arange(len(log), dtype=torch.float64) * FRAME
    rate = -float(((time - time.mean()) * (log - log.mean())).sum() / (time - time.mean()).square().sum())
    source, energy = "ω = 1.8751² √(D/ρL⁴)", total_energy(film)[:, 0]
    tips = Curve("t [s]", "height of the tip [mm]", (
        line("strip", time[:101], 1e3 * tip[:101], joined=False),
        line("the beam's cos ωt", time[:101], 1e3 * float(tip[0]) * torch.cos(expected * time[:101]), role=EXPECTED),
    ))  # fmt: skip
    energies = Curve("t [s]", "energy / at the start", (
        line("undamped", time, energy / energy[0]),
        line("damped, τ = 10 ms", time, (log - log[0]).exp()),
        line("kept", (0.0, float(time[-1])), (1.0, 1.0), role=EXPECTED),
        line("exp(-τ ω² t)", time, torch.exp(-tau * expected**2 * time), role=EXPECTED),
    ), logarithmic=True)  # fmt: skip
    return [
        PhysicsCheck("first bending mode: frequency / beam", omega / expected, 0.98, 1.02, "1", "1", source, tips),
        *_energy_rows("first bending mode", energy),
        PhysicsCheck("first bending mode, damped: rate / τω²", rate / (tau * omega**2), 0.97, 1.03, "1", "1",
                     "Kelvin-Voigt", energies),
    ]  # fmt: skip


def _vibrating(n: int, damping: float) -> Trajectory:
    """Eight seconds of a cantilever strip let go in the shape of its first mode."""
    scene, x, length = _cantilever(n, 0.0, 0.05, damping)
    s = (x[:, 0].double() + 0.25 - 0.25 / n).clamp(min=0) / length
    beta = BEAM_ROOT
    ratio = (math.cosh(beta) + math.cos(beta)) / (math.sinh(beta) + math.sin(beta))
    mode = torch.cosh(beta * s) - torch.cos(beta * s) - ratio * (torch.sinh(beta * s) - torch.sin(beta * s))
    x = _bent(x, 0.03 * mode / mode.max(), scene.free)
    return run(scene, x, torch.zeros_like(x), 400)


def _bent(x: Tensor, lift: Tensor, free: Tensor) -> Tensor:
    """A strip along x lifted by `lift` (N,), its free vertices drawn in so that it is not stretched."""
    columns, which = torch.unique(x[:, 0].double(), return_inverse=True)
    height = torch.zeros_like(columns).index_copy(0, which, lift)
    run_in = torch.sqrt(columns.diff() ** 2 - height.diff() ** 2)
    along = torch.cat([columns[:1], columns[0] + run_in.cumsum(0)])[which]
    bent = torch.stack([along.float(), x[:, 1], lift.float()], 1)
    return torch.where(free.unsqueeze(-1), bent, x)


def elastica(n: int) -> list[PhysicsCheck]:
    """Sag of a heavy cantilever, against D θ'' = -ρ g (L - s) cos θ, θ(0) = 0, θ'(L) = 0, solved in float64."""
    from scipy.integrate import solve_bvp

    bend = 0.06
    scene, x, length = _cantilever(n, G, bend)

    def slope(s: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([y[1], -0.2 * G * (length - s) * np.cos(y[0]) / bend])

    grid = np.linspace(0, length, 200)
    solution = solve_bvp(slope, lambda a, b: np.array([a[0], b[1]]), grid, np.zeros((2, 200)) + 0.5, max_nodes=20000)
    theta = solution.sol(grid)[0]
    expected = float(np.trapezoid(np.sin(theta), grid))
    found = settle(scene, x, 300, keep=0.9)
    sag = -float(found[x[:, 0] > 0.2499, 2].mean())
    name = f"heavy cantilever: sag / elastica, {n} cells"
    drawn = Curve("x [m]", "z [m]", (
        line(f"strip of {n} cells", *found[x[:, 1] > 0.03][:, [0, 2]].T, joined=False),
        line("elastica", *_walked(theta, grid, 0.25 - length), role=EXPECTED),
    ))  # fmt: skip
    wanted = f"1 (sag {expected / length:.2f} L)"
    return [PhysicsCheck(name, sag / expected, 0.98, 1.02, "1", wanted, "Euler's elastica", drawn)]


def _walked(theta: np.ndarray, s: np.ndarray, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Places x and z of a line that begins at `start` and falls by the angle theta along its length s."""
    step = np.diff(s)
    way = [np.concatenate([[0.0], np.cumsum(step * (f[1:] + f[:-1]) / 2)]) for f in (np.cos(theta), np.sin(theta))]
    return start + way[0], -way[1]


def free_fall() -> list[PhysicsCheck]:
    """A crumpled, turning sheet in a vacuum: momentum M g t exactly, angular momentum about the centre kept, path g t²/2.

    Without friction: layers rub at a distance of one thickness, which is the lever of a small torque.
    """
    generator = torch.Generator().manual_seed(1)

    def crumpled(rest: Tensor) -> Tensor:
        wave = torch.stack([rest[:, 0], rest[:, 1], 0.1 * torch.sin(9 * rest[:, 0]) * torch.cos(7 * rest[:, 1])], 1)
        return rotate(exponential(torch.tensor([[0.3, 0.8, 0.2]], dtype=rest.dtype)), wave)

    scene, x = sheet_scene((10, 10), (0.6, 0.6), crumpled, thickness=0.02, friction=0.0)
    v = torch.randn(x.shape, generator=generator) * 0.5
    film = run(scene, x, v, 50)
    mass, time = scene.mass.double().unsqueeze(-1), 50 * FRAME
    momentum = (mass * film.velocity.double()).sum(1)
    gained = momentum[-1] - momentum[0] - mass.sum() * time * scene.gravity[0].double()
    centre = (mass * film.position.double()).sum(1, keepdim=True) / mass.sum()
    spin = torch.linalg.cross(film.position.double() - centre, mass * film.velocity.double()).sum(1)
    fall = (
        centre[-1, 0] - centre[0, 0] - momentum[0] / mass.sum() * time - 0.5 * G * time**2 * torch.tensor([0.0, 0, -1])
    )
    scale = float(mass.sum()) * G * time
    return [
        PhysicsCheck("free fall: momentum error / Mgt", float(gained.norm()) / scale, 0.0, 1e-5, "1", "0", "Newton's third law"),
        PhysicsCheck("free fall: path error / (g t²/2)", float(fall.norm()) / (0.5 * G * time**2), 0.0, 1e-4, "1", "0", "g t²/2"),
        PhysicsCheck("free fall: angular momentum drift", float((spin[-1] - spin[0]).norm() / spin[0].norm()), 0.0, 2e-3, "1",
                     "0", "no torque"),
    ]  # fmt: skip


def no_energy_from_nothing() -> list[PhysicsCheck]:
    """A damped sheet falls over a resting ball onto the floor: no input, so its energy only falls."""
    scene, x = sheet_scene((12, 12), (0.8, 0.8), lambda r: r + torch.tensor([0.05, 0.02, 0.5], dtype=r.dtype), floor=True,
                           ball=(0.0, 0.0, 0.25, 0.2), damping=2e-4, thickness=0.02, air_density=1.2)  # fmt: skip
    film = run(scene, x, torch.zeros_like(x), 100)
    total = total_energy(film)[:, 0]
    rise = float((total[1:] - total[:-1]).max()) / float(total[0] - total[-1])
    return [
        PhysicsCheck(
            "drape: greatest rise of energy in a frame / fall in all", rise, -1.0, 5e-3, "1", "≤ 0", "no input"
        )
    ]


def friction_on_a_slope() -> list[PhysicsCheck]:
    """A flat sheet on a slope holds below tan θ = μ and slides with g (sin θ - μ cos θ) above it."""
    rows = []
    for share, name in ((0.98, "held"), (1.5, "sliding")):
        angle = math.atan(0.3 * share)
        gravity = (G * math.sin(angle), 0.0, -G * math.cos(angle))
        scene, x = sheet_scene((6, 6), (0.4, 0.4), lambda r: r + torch.tensor([0.0, 0, 0.01], dtype=r.dtype),
                               gravity=gravity, floor=True, thickness=0.02)  # fmt: skip
        film = run(scene, x, torch.zeros_like(x), 25)
        moved = float((film.position[-1, :, 0] - film.position[0, :, 0]).mean())
        time = FRAME * np.arange(26)
        path = 0.5 * G * (math.sin(angle) - 0.3 * math.cos(angle)) * time**2
        way = (film.position[:, :, 0] - film.position[0, :, 0]).double().mean(1)
        if name == "held":
            rows.append(PhysicsCheck("slope at 0.98 μ: slip in 0.5 s", moved, -1e-3, 1e-3, "m", "0", "tan θ < μ"))
            held = line("tan θ = 0.98 μ", time, way, joined=False)
        else:
            slid = line("tan θ = 1.5 μ", time, way, joined=False)
            still = line("0", (0.0, 0.5), (0.0, 0.0), role=EXPECTED)
            drawn = Curve(
                "t [s]", "way [m]", (held, slid, still, line("g (sin θ - μ cos θ) t²/2", time, path, role=EXPECTED))
            )
            rows.append(PhysicsCheck("slope at 1.5 μ: slide / expected", moved / float(path[-1]), 0.98, 1.02, "1", "1",
                                     "Coulomb", drawn))  # fmt: skip
    return rows


def terminal_velocity() -> list[PhysicsCheck]:
    """A flat sheet falling flat reaches √(2 ρ_s g/ρ_air): weight against the pressure on its face."""
    scene, x = sheet_scene((6, 6), (0.4, 0.4), lambda r: r.clone(), air_density=1.2)
    film = run(scene, x, torch.zeros_like(x), 100)
    expected = math.sqrt(2 * 0.2 * G / 1.2)
    speed = -film.velocity[:, :, 2].double().mean(1)
    time = FRAME * np.arange(101)
    drawn = Curve("t [s]", "speed [m/s]", (
        line("sheet", time, speed, joined=False),
        line("v∞ tanh(g t / v∞)", time, expected * np.tanh(G * time / expected), role=EXPECTED),
    ))  # fmt: skip
    name, source = "flat fall in air: speed / terminal", "ρ_air v²/2 = ρ_s g"
    return [PhysicsCheck(name, float(speed[-1]) / expected, 0.98, 1.02, "1", "1", source, drawn)]


def penetration() -> list[PhysicsCheck]:
    """How deep faces sink into a ball they drape, and how near layers of a folded sheet come, in shares of the thickness."""
    scene, x = sheet_scene((14, 14), (1.0, 1.0), lambda r: r + torch.tensor([0.0, 0, 0.48], dtype=r.dtype), floor=True,
                           ball=(0.0, 0.0, 0.25, 0.2), damping=2e-4, thickness=0.02, air_density=1.2)  # fmt: skip
    film = run(scene, x, torch.zeros_like(x), 50)
    centre = torch.tensor([0.0, 0.0, 0.25])
    inside = 0.2 - torch.linalg.vector_norm(_face_points(film) - centre, dim=-1)

    def folded(rest: Tensor) -> Tensor:
        """Folded over a rounded crease, the upper half 6 cm above the lower."""
        radius, u = 0.03, rest[:, 0]
        turn = (u / radius).clamp(-math.pi / 2, math.pi / 2)
        straight = u.abs() - radius * math.pi / 2
        side = radius * torch.cos(turn) - straight.clamp(min=0)
        return torch.stack([side, rest[:, 1], 0.05 + radius + radius * torch.sin(turn)], 1)

    scene, x = sheet_scene((20, 10), (0.8, 0.4), folded, floor=True, damping=2e-4, thickness=0.02, air_density=1.2)
    film = run(scene, x, torch.zeros_like(x), 50)
    left, right = (
        film.position[:, side].double()
        for side in (scene.rest_position[:, 0] < -0.08, scene.rest_position[:, 0] > 0.08)
    )
    over = torch.stack([_layer_gap(a, b) for a, b in zip(left[::5], right[::5], strict=True)])
    return [
        PhysicsCheck("drape: depth of faces in the ball", float(inside.max()), -1.0, 0.0, "m", "≤ 0", "half a thickness holds"),
        PhysicsCheck("fold: least gap of layers / thickness", float(over.min()) / 0.02, 0.5, 10.0, "1", "≥ 0.5",
                     "contact stiffness, stated"),
    ]  # fmt: skip


def _face_points(film: Trajectory) -> Tensor:
    """Corners, centres and mid-edges of all faces, (T, n, 3)."""
    corner = film.position[:, film.scene.faces]
    weights = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [1 / 3] * 3])
    return torch.einsum("wk,tfkd->tfwd", weights, corner).flatten(1, 2)


def _layer_gap(lower: Tensor, upper: Tensor) -> Tensor:
    """Least distance of the vertices of two layers: vertices of equal meshes meet vertices, or nearly so."""
    return torch.cdist(lower, upper).min()


def against_style3d() -> list[PhysicsCheck]:
    """The same sheets under Newton's Style3D solver, see `_cloth_referee.py`."""
    from ._cloth_referee import rows

    return rows()
