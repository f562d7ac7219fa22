"""Warp kernels of weakly compressible SPH: the scheme of `_sph_kernels.py`, in launches that a CUDA graph can hold.

One thread a particle, or a cell, of all scenes at once. Sums run in the same order as Taichi's (cells in order, particles inside
a cell by number), so that both agree to rounding. Vectors have three components; in 2D the last stays zero, behind open sides.
Scene numbers are arguments, or every new value would be compiled anew. Equations and their sources stand in `_sph.py`.
"""

from ._sph_warp_solids import (
    PERIODIC,
    Here,
    Numbers,
    Scenes,
    Seen,
    image_of,
    kept_inside,
    kept_outside,
    lower_corner,
    near_sides,
    nearest_obstacle,
)
from ._warp import wp

PI = wp.constant(3.14159265358979)


@wp.struct
class Particles:
    """State and what stays fixed of every particle, by number."""

    x: wp.array(dtype=wp.vec3)
    v: wp.array(dtype=wp.vec3)
    rho: wp.array(dtype=wp.float32)
    mass: wp.array(dtype=wp.float32)
    scene: wp.array(dtype=wp.int32)
    driven: wp.array(dtype=wp.int32)
    """Row among the driven nodes, or -1."""


@wp.struct
class Cells:
    """Particles sorted by cell: `count` is zero between sorts, `start` has one entry more than there are cells."""

    cell: wp.array(dtype=wp.int32)
    count: wp.array(dtype=wp.int32)
    start: wp.array(dtype=wp.int32)
    order: wp.array(dtype=wp.int32)
    x: wp.array(dtype=wp.vec3)
    v: wp.array(dtype=wp.vec3)
    rho: wp.array(dtype=wp.float32)
    after: wp.array(dtype=wp.float32)
    """Density after the step."""
    mass: wp.array(dtype=wp.float32)


@wp.func
def wendland_slope(h: wp.float32, dim: wp.int32):
    """The factor k in W'(r)/r = -k (1 - r/2h)³ of the Wendland C2 kernel, support 2h (Dehnen & Aly 2012, table 1)."""
    k = 35.0 / (4.0 * PI) / (h * h * h * h)
    if dim == 3:
        k = 105.0 / (16.0 * PI) / (h * h * h * h * h)
    return k


@wp.func
def pressure(rho: wp.float32, n: Numbers):
    """Linear equation of state, without tension: p = max(c₀² (ρ - ρ₀) + p_b, 0)."""
    return wp.max(n.sound_speed * n.sound_speed * (rho - n.density) + n.background, 0.0)


@wp.func
def cell_coordinate(offset: wp.float32, size: wp.float32, number: wp.int32):
    """Cell of a coordinate, clamped to the grid: what left the box stays findable, and NaN stays in bounds."""
    f = wp.min(wp.max(wp.floor(offset / size), -1.0), 1.0e6)
    return wp.min(wp.max(wp.int32(f), 0), number - 1)


@wp.func
def neighbour_cell(x: wp.vec3, low: wp.vec3, b: wp.int32, window: wp.int32, dim: wp.int32, s: Scenes):
    """Cell `window` of the 3^D around x, wrapped where the box is periodic; -1 where the grid ends."""
    number, size, walls = s.cell_number[b], s.cell_size[b], s.low_wall[b]
    flat, inside, rest = wp.int32(0), wp.int32(1), wp.int32(window)
    for k in range(3):
        if k < dim:
            c = cell_coordinate(x[k] - low[k], size[k], number[k]) + rest % 3 - 1
            rest = rest / 3
            if walls[k] == PERIODIC:
                c = (c + number[k]) % number[k]
            elif c < 0 or c >= number[k]:
                inside = 0
            flat = flat * number[k] + c
    if inside == 0:
        return -1
    return s.cell_offset[b] + flat


@wp.func
def looking_around(t: wp.int32, b: wp.int32, elapsed: wp.float32, n: Numbers, s: Scenes, c: Cells):
    """What the particle in place t sees of its scene b."""
    reach = 2.0 * n.smoothing
    here = Here()
    here.x = c.x[t]
    here.v = c.v[t]
    here.g = s.gravity[b]
    here.extent = s.extent[b]
    here.low = lower_corner(b, elapsed, s)
    here.walls = s.low_wall[b]
    kind, plane = near_sides(here, b, reach, s)
    here.kind = kind
    here.plane = plane
    gap, normal, o = nearest_obstacle(here.x, b, elapsed, s)
    here.normal = normal
    here.at = here.x - gap * normal
    here.box_velocity = s.box_slope[b]
    if o >= 0:
        here.solid_velocity = s.obstacle_slope[o]
        here.solid = s.obstacle_kind[o]
        here.solid_size = s.obstacle_size[o]
        here.solid_centre = s.obstacle[o] + s.obstacle_slope[o] * elapsed
    here.masks = 1
    if kind[0] + kind[1] + kind[2] > 0:
        here.masks = 1 << n.dim
    here.images = here.masks
    if gap < reach:
        here.images = 2 * here.masks
    here.looped = 0
    if here.walls[0] == PERIODIC or here.walls[1] == PERIODIC or here.walls[2] == PERIODIC:
        here.looped = 1
    return here


@wp.func
def offset_to(here: Here, xj: wp.vec3):
    """Offset from a neighbour, the shortest way round periodic axes."""
    d = here.x - xj
    if here.looped == 1:
        for k in range(3):
            if here.walls[k] == PERIODIC:
                d[k] = d[k] - here.extent[k] * wp.round(d[k] / here.extent[k])
    return d


@wp.func
def kernel_slope_at(r2: wp.float32, n: Numbers):
    """W'(r)/r."""
    u = 1.0 - 0.5 * (1.0 / n.smoothing) * wp.sqrt(r2)
    return -wendland_slope(n.smoothing, n.dim) * u * u * u


@wp.func
def softened(r2: wp.float32, n: Numbers):
    """1/(r² + 0.01 h²)."""
    return 1.0 / (r2 + 0.01 * n.smoothing * n.smoothing)


@wp.kernel
def count_cells(elapsed: wp.float32, dim: wp.int32, s: Scenes, p: Particles, c: Cells):
    """The cell of each particle, and how many each cell has."""
    i = wp.tid()
    b = p.scene[i]
    offset = p.x[i] - lower_corner(b, elapsed, s)
    number, size = s.cell_number[b], s.cell_size[b]
    flat = wp.int32(0)
    for k in range(3):
        if k < dim:
            flat = flat * number[k] + cell_coordinate(offset[k], size[k], number[k])
    c.cell[i] = s.cell_offset[b] + flat
    wp.atomic_add(c.count, c.cell[i], 1)


@wp.kernel
def place(c: Cells):
    """Each particle's number into its cell, in any order; brings the counts back to zero."""
    i = wp.tid()
    k = c.cell[i]
    c.order[c.start[k] + wp.atomic_sub(c.count, k, 1) - 1] = i


@wp.kernel
def sort_cells(p: Particles, c: Cells):
    """A cell's few members by number, which makes every later sum repeatable; copies of them in that order."""
    k = wp.tid()
    begin, end = c.start[k], c.start[k + 1]
    for s in range(begin + 1, end):
        i = c.order[s]
        t = int(s - 1)
        while t >= begin and c.order[t] > i:
            c.order[t + 1] = c.order[t]
            t = t - 1
        c.order[t + 1] = i
    for s in range(begin, end):
        i = c.order[s]
        c.x[s] = p.x[i]
        c.v[s] = p.v[i]
        c.rho[s] = p.rho[i]
        c.mass[s] = p.mass[i]


@wp.kernel
def densities(elapsed: wp.float32, windows: wp.int32, n: Numbers, s: Scenes, p: Particles, c: Cells):
    """The density's rate from the old velocities, and the new density."""
    spot = wp.tid()
    b = p.scene[c.order[spot]]
    here = looking_around(spot, b, elapsed, n, s, c)
    h, c0, ri = n.smoothing, n.sound_speed, c.rho[spot]
    reach2 = (2.0 * h) * (2.0 * h)
    stratification = n.density / (c0 * c0)
    compression, diffusion = wp.float32(0.0), wp.float32(0.0)
    for window in range(windows):
        k = neighbour_cell(here.x, here.low, b, window, n.dim, s)
        if k >= 0:
            for t in range(c.start[k], c.start[k + 1]):
                xj = c.x[t]
                own = Seen()
                own.d = offset_to(here, xj)
                # An image is never nearer than its original, so what is out of reach needs no images.
                if wp.dot(own.d, own.d) < reach2:
                    own.real = wp.where(t == spot, 0, 1)
                    own.rho = c.rho[t]
                    own.v = c.v[t]
                    for q in range(here.images):
                        one = own
                        if q > 0:
                            one = image_of(q, here, xj, own, n)
                        r2 = wp.dot(one.d, one.d)
                        if one.real == 1 and r2 < reach2:
                            weight = c.mass[t] * kernel_slope_at(r2, n) / one.rho
                            excess = one.rho - ri + stratification * wp.dot(here.g, one.d)
                            compression += weight * wp.dot(here.v - one.v, one.d)
                            diffusion -= weight * r2 * softened(r2, n) * excess
    c.after[spot] = ri + n.time_step * (ri * compression + 2.0 * n.diffusion * h * c0 * diffusion)


@wp.func
def moved(i: wp.int32, b: wp.int32, elapsed: wp.float32, a: wp.vec3, here: Here, n: Numbers, s: Scenes, p: Particles):
    """Position and velocity after the step."""
    x = here.x
    v = here.v
    dt = n.time_step
    step = p.driven[i]
    if step >= 0:
        v = s.node_slope[step]
        x = s.node[step] + v * (elapsed + dt)
        return x, v
    v = (v + dt * (a + here.g)) * n.kept
    x = x + dt * v * n.moving
    if here.images > here.masks:
        x, v = kept_outside(x, v, b, elapsed + dt * n.moving, s)
    x, v = kept_inside(x, v, here.low + here.box_velocity * dt * n.moving, b, here.box_velocity, s)
    return x, v


@wp.kernel
def forces(elapsed: wp.float32, windows: wp.int32, n: Numbers, s: Scenes, p: Particles, c: Cells):
    """Forces from the new density, then velocities, then positions."""
    spot = wp.tid()
    i = c.order[spot]
    b = p.scene[i]
    here = looking_around(spot, b, elapsed, n, s, c)
    h, c0, ri = n.smoothing, n.sound_speed, c.after[spot]
    pi = pressure(ri, n)
    reach2 = (2.0 * h) * (2.0 * h)
    damping = n.artificial_viscosity * h * c0 * n.density
    shear = 2.0 * s.viscosity[b] * n.density
    a = wp.vec3()
    for window in range(windows):
        k = neighbour_cell(here.x, here.low, b, window, n.dim, s)
        if k >= 0:
            for t in range(c.start[k], c.start[k + 1]):
                xj = c.x[t]
                own = Seen()
                own.d = offset_to(here, xj)
                if wp.dot(own.d, own.d) < reach2:
                    own.real = wp.where(t == spot, 0, 1)
                    own.rho = c.after[t]
                    own.v = c.v[t]
                    own.felt = own.v
                    for q in range(here.images):
                        one = own
                        if q > 0:
                            one = image_of(q, here, xj, own, n)
                        r2 = wp.dot(one.d, one.d)
                        if one.real == 1 and r2 < reach2:
                            weight = c.mass[t] * kernel_slope_at(r2, n) / one.rho
                            soft = softened(r2, n)
                            push = damping * wp.dot(here.v - one.v, one.d) * soft - pi - pressure(one.rho, n)
                            a += weight * (push * one.d + shear * r2 * soft * (here.v - one.felt))
    x, v = moved(i, b, elapsed, a / ri, here, n, s, p)
    p.x[i] = x
    p.v[i] = v
    p.rho[i] = ri


@wp.kernel
def carry(
    elapsed: wp.float32, h: wp.float32, windows: wp.int32, dim: wp.int32, s: Scenes, c: Cells,
    tracer: wp.array(dtype=wp.vec3), tracer_scene: wp.array(dtype=wp.int32), u: wp.array(dtype=wp.vec3),
):  # fmt: skip
    """Shepard mean, with the Wendland C2 kernel, of the particles' velocities at tracers; u stays where no particle is near."""
    i = wp.tid()
    b = tracer_scene[i]
    at = tracer[i]
    low = lower_corner(b, elapsed, s)
    weight, total = wp.float32(0.0), wp.vec3()
    for window in range(windows):
        k = neighbour_cell(at, low, b, window, dim, s)
        if k >= 0:
            for t in range(c.start[k], c.start[k + 1]):
                r = wp.length(at - c.x[t]) / h
                if r < 2.0:
                    f = 1.0 - 0.5 * r
                    w = f * f * f * f * (1.0 + 2.0 * r)
                    weight += w
                    total += w * c.v[t]
    if weight > 1.0e-6:
        u[i] = total / weight
