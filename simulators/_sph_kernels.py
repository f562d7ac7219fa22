"""Taichi kernels of weakly compressible SPH: `substep` advances every scene of a batch by one substep, `substeps_by_scene`
by a whole frame. The equations and their sources stand in `_sph.py`.

Particles of all scenes lie concatenated; each knows its scene, each scene has its own grid of cells, and no loop ever
crosses from one scene to another. All sums are gathers in a fixed order (cells in order, particles inside a cell by
number), so a film is the same bit for bit however many threads run and whichever scenes share the batch.

Scene numbers are arguments, never constants: a constant would compile everything anew for each value. Kernels cannot take a
bundle of arrays, so the long lists of arguments stand in the function and in both kernels, in one order. Annotations are read
by Taichi, hence no `from __future__ import annotations` here.
"""

from ._sph_solids import (
    PERIODIC,
    image_allowed,
    kept_inside,
    kept_outside,
    lower_corner,
    mirrored,
    mirrored_velocity,
    near_sides,
    nearest_obstacle,
    no_slip_velocity,
    row,
    within,
)
from ._taichi import ti

Array = ti.types.ndarray()

# Columns of the array `constants`.
DENSITY, SOUND_SPEED, SMOOTHING, TIME_STEP, ARTIFICIAL_VISCOSITY, DIFFUSION, BACKGROUND, MOVING, KEPT = range(9)
PI = 3.14159265358979
TASK = 512
"""Taichi gives a CPU thread no fewer than 512 turns of a loop; a scene takes one of them and leaves the others empty."""


@ti.func
def wendland_slope(h, dim: ti.template()):
    """The factor k in W'(r)/r = -k (1 - r/2h)³ of the Wendland C2 kernel, support 2h (Dehnen & Aly 2012, table 1)."""
    k = 35.0 / (4.0 * PI) / (h * h * h * h)
    if ti.static(dim == 3):
        k = 105.0 / (16.0 * PI) / (h * h * h * h * h)
    return k


@ti.func
def cell_coordinate(offset, size, number):
    """Cell of a coordinate, clamped to the grid: what left the box stays findable, and NaN stays in bounds."""
    f = ti.min(ti.max(ti.floor(offset / size), -1.0), 1.0e6)
    return ti.min(ti.max(ti.cast(f, ti.i32), 0), number - 1)


@ti.func
def neighbour_cell(
    x, low, b, window, wall: ti.template(), number: ti.template(), size: ti.template(), offset: ti.template(),
    dim: ti.template(),
):  # fmt: skip
    """Cell `window` of the 3^D around x, wrapped where the box is periodic; -1 where the grid ends."""
    flat = 0
    inside = True
    rest = window
    for k in ti.static(range(dim)):
        c = cell_coordinate(x[k] - low[k], size[b, k], number[b, k]) + rest % 3 - 1
        rest //= 3
        if wall[b, k, 0] == PERIODIC:
            c = (c + number[b, k]) % number[b, k]
        elif c < 0 or c >= number[b, k]:
            inside = False
        flat = flat * number[b, k] + c
    return offset[b] + flat if inside else -1


@ti.func
def is_periodic(b, wall: ti.template(), dim: ti.template()):
    """Does the box of scene b wrap along any axis?"""
    found = False
    for k in ti.static(range(dim)):
        if wall[b, k, 0] == PERIODIC:
            found = True
    return found


@ti.func
def pressure(rho, constants: ti.template()):
    """Linear equation of state, without tension: p = max(c₀² (ρ - ρ₀) + p_b, 0)."""
    c0 = constants[SOUND_SPEED]
    return ti.max(c0 * c0 * (rho - constants[DENSITY]) + constants[BACKGROUND], 0.0)


@ti.func
def bin_scenes(
    first, last, dim: ti.template(), elapsed, x: ti.template(), v: ti.template(), scene: ti.template(),
    lower: ti.template(), scene_ptr: ti.template(), cell_number: ti.template(), cell_size: ti.template(),
    cell_offset: ti.template(), box: ti.template(), box_slope: ti.template(), cell: ti.template(),
    count: ti.template(), start: ti.template(), order: ti.template(), xs: ti.template(), vs: ti.template(),
):  # fmt: skip
    """Sort the particles of scenes first to last by cell, and within a cell by number; copy x and v in that order."""
    for c in range(cell_offset[first], cell_offset[last]):
        count[c] = 0

    for i in range(scene_ptr[first], scene_ptr[last]):
        b = scene[i]
        low = lower_corner(b, lower, box, box_slope, elapsed, dim)
        flat = 0
        for k in ti.static(range(dim)):
            flat = flat * cell_number[b, k] + cell_coordinate(x[i, k] - low[k], cell_size[b, k], cell_number[b, k])
        cell[i] = cell_offset[b] + flat
        ti.atomic_add(count[cell[i]], 1)

    for b in range(first, last):
        # A scene's particles are contiguous, so its cells start where the scene does.
        total = scene_ptr[b]
        for c in range(cell_offset[b], cell_offset[b + 1]):
            start[c] = total
            total += count[c]
            count[c] = 0

    for i in range(scene_ptr[first], scene_ptr[last]):
        order[start[cell[i]] + ti.atomic_add(count[cell[i]], 1)] = i

    # Atomics fill a cell in any order; sorting its few members by number makes every later sum repeatable.
    for c in range(cell_offset[first], cell_offset[last]):
        for s in range(start[c] + 1, start[c] + count[c]):
            i = order[s]
            t = s - 1
            while t >= start[c] and order[t] > i:
                order[t + 1] = order[t]
                t -= 1
            order[t + 1] = i

    for s in range(scene_ptr[first], scene_ptr[last]):
        i = order[s]
        for k in ti.static(range(dim)):
            xs[s, k] = x[i, k]
            vs[s, k] = v[i, k]


@ti.func
def advance_scenes(
    first, last, dim: ti.template(), elapsed_steps, constants: ti.template(),
    x: ti.template(), v: ti.template(), rho: ti.template(), mass: ti.template(), scene: ti.template(),
    driven: ti.template(), gravity: ti.template(), viscosity: ti.template(), lower: ti.template(),
    extent: ti.template(), wall: ti.template(), scene_ptr: ti.template(), cell_number: ti.template(),
    cell_size: ti.template(), cell_offset: ti.template(), box: ti.template(), box_slope: ti.template(),
    obstacle_ptr: ti.template(), obstacle_kind: ti.template(), obstacle_size: ti.template(), obstacle: ti.template(),
    obstacle_slope: ti.template(), node: ti.template(), node_slope: ti.template(), cell: ti.template(),
    count: ti.template(), start: ti.template(), order: ti.template(), xs: ti.template(), vs: ti.template(),
    rs: ti.template(), rs_new: ti.template(), ms: ti.template(),
):  # fmt: skip
    """One substep of scenes first to last: density, then forces from it, then velocities, then positions."""
    elapsed_now = ti.cast(elapsed_steps, ti.f32) * constants[TIME_STEP]
    bin_scenes(
        first, last, dim, elapsed_now, x, v, scene, lower, scene_ptr, cell_number, cell_size, cell_offset, box, box_slope,
        cell, count, start, order, xs, vs,
    )  # fmt: skip
    for s in range(scene_ptr[first], scene_ptr[last]):
        rs[s] = rho[order[s]]
        ms[s] = mass[order[s]]

    # Two passes of one gather: the density's rate from the old velocities, then the forces from the new density.
    for stage in ti.static(range(2)):
        for s in range(scene_ptr[first], scene_ptr[last]):
            i = order[s]
            b = scene[i]
            rest, c0, h, dt = constants[DENSITY], constants[SOUND_SPEED], constants[SMOOTHING], constants[TIME_STEP]
            elapsed = ti.cast(elapsed_steps, ti.f32) * dt
            reach = 2.0 * h
            xi, vi = row(xs, s, dim), row(vs, s, dim)
            ri = rs[s] if ti.static(stage == 0) else rs_new[s]
            pi = pressure(ri, constants)
            g, size = row(gravity, b, dim), row(extent, b, dim)
            low = lower_corner(b, lower, box, box_slope, elapsed, dim)
            kind, plane = near_sides(xi, low, size, b, wall, reach, dim)
            gap, normal, o = nearest_obstacle(
                xi, b, obstacle_ptr, obstacle_kind, obstacle_size, obstacle, obstacle_slope, elapsed, dim
            )
            at = xi - gap * normal
            box_velocity = row(box_slope, b, dim)
            solid_velocity = 0.0 * vi
            if o >= 0:
                solid_velocity = row(obstacle_slope, o, dim)
            n_masks = 1
            if kind.max() > 0:
                n_masks = 1 << dim
            n_images = n_masks
            if gap < reach:
                n_images = 2 * n_masks
            inverse_h, kernel_slope, stratification = 1.0 / h, wendland_slope(h, dim), rest / (c0 * c0)
            reach2, soft2 = reach * reach, 0.01 * h * h
            damping = constants[ARTIFICIAL_VISCOSITY] * h * c0 * rest
            shear = 2.0 * viscosity[b] * rest
            looped = is_periodic(b, wall, dim)
            compression, diffusion, a = 0.0 * ri, 0.0 * ri, 0.0 * vi
            for window in range(ti.static(3**dim)):
                c = neighbour_cell(xi, low, b, window, wall, cell_number, cell_size, cell_offset, dim)
                begin, end = 0, 0
                if c >= 0:
                    begin, end = start[c], start[c] + count[c]
                for t in range(begin, end):
                    xj = row(xs, t, dim)
                    direct = xi - xj
                    if looped:
                        for k in ti.static(range(dim)):
                            if wall[b, k, 0] == PERIODIC:
                                direct[k] -= size[k] * ti.round(direct[k] / size[k])
                    # An image is never nearer than its original, so what is out of reach needs no images.
                    if direct.dot(direct) < reach2:
                        vj = row(vs, t, dim)
                        rj_own = rs[t] if ti.static(stage == 0) else rs_new[t]
                        for q in range(n_images):
                            d, rj, seen, felt = direct, rj_own, vj, vj
                            real = t != s
                            if q > 0:
                                # Bits of images: which sides, and above those the obstacle.
                                sides, by_obstacle = q & (n_masks - 1), q >= n_masks
                                real = image_allowed(sides, by_obstacle, kind, normal, dim)
                                if real and by_obstacle:
                                    real = (xj - at).dot(normal) > 0.0 and within(
                                        mirrored(xj, 0, True, plane, at, normal, dim),
                                        o, obstacle_kind, obstacle_size, obstacle, obstacle_slope, elapsed, dim,
                                    )  # fmt: skip
                                y = mirrored(xj, sides, by_obstacle, plane, at, normal, dim)
                                d += xj - y
                                # A ghost lies deeper or higher than its original: hydrostatic density between them.
                                rj += stratification * (y - xj).dot(g)
                                seen = mirrored_velocity(
                                    vj, sides, by_obstacle, box_velocity, solid_velocity, normal, dim
                                )
                                felt = no_slip_velocity(
                                    vj, seen, sides, by_obstacle, kind, box_velocity, solid_velocity, dim
                                )
                            r2 = d.dot(d)
                            if real and r2 < reach2:
                                u = 1.0 - 0.5 * inverse_h * ti.sqrt(r2)
                                slope = -kernel_slope * u * u * u
                                softened = 1.0 / (r2 + soft2)
                                approach = (vi - seen).dot(d)
                                weight = ms[t] * slope / rj
                                if ti.static(stage == 0):
                                    compression += weight * approach
                                    excess = rj - ri + stratification * g.dot(d)
                                    diffusion -= weight * r2 * softened * excess
                                else:
                                    push = damping * approach * softened - pi - pressure(rj, constants)
                                    a += weight * (push * d + shear * r2 * softened * (vi - felt))
            a /= ri
            if ti.static(stage == 0):
                rs_new[s] = ri + dt * (ri * compression + 2.0 * constants[DIFFUSION] * h * c0 * diffusion)
            else:
                moving = constants[MOVING]
                step = driven[i]
                if step >= 0:
                    xi = row(node, step, dim) + row(node_slope, step, dim) * (elapsed + dt)
                    vi = row(node_slope, step, dim)
                else:
                    vi = (vi + dt * (a + g)) * constants[KEPT]
                    xi += dt * vi * moving
                    if gap < reach:
                        xi, vi = kept_outside(
                            xi, vi, b, obstacle_ptr, obstacle_kind, obstacle_size, obstacle, obstacle_slope,
                            elapsed + dt * moving, dim,
                        )  # fmt: skip
                    xi, vi = kept_inside(xi, vi, low + box_velocity * dt * moving, size, b, wall, box_velocity, dim)
                for k in ti.static(range(dim)):
                    x[i, k] = xi[k]
                    v[i, k] = vi[k]
                rho[i] = ri


@ti.kernel
def substep(
    dim: ti.template(), elapsed_steps: ti.i32,
    constants: Array,  # see the columns above
    # state, (N, D), (N,): read and written
    x: Array, v: Array, rho: Array,
    # matter
    mass: Array, scene: Array, driven: Array,
    # scenes
    gravity: Array, viscosity: Array, lower: Array, extent: Array, wall: Array, scene_ptr: Array,
    cell_number: Array, cell_size: Array, cell_offset: Array,
    # what is driven, at the frame's start and its slope over the frame
    box: Array, box_slope: Array,
    obstacle_ptr: Array, obstacle_kind: Array, obstacle_size: Array, obstacle: Array, obstacle_slope: Array,
    node: Array, node_slope: Array,
    # scratch: cells, and the particles in cell order
    cell: Array, count: Array, start: Array, order: Array,
    xs: Array, vs: Array, rs: Array, rs_new: Array, ms: Array,
):  # fmt: skip
    """One substep of all scenes at once, parallel over particles: for a GPU, or one large scene."""
    advance_scenes(
        0, scene_ptr.shape[0] - 1,
        dim, elapsed_steps, constants, x, v, rho, mass, scene, driven, gravity, viscosity, lower, extent, wall, scene_ptr,
        cell_number, cell_size, cell_offset, box, box_slope, obstacle_ptr, obstacle_kind, obstacle_size, obstacle,
        obstacle_slope, node, node_slope, cell, count, start, order, xs, vs, rs, rs_new, ms,
    )  # fmt: skip


@ti.kernel
def substeps_by_scene(
    dim: ti.template(), n_steps: ti.i32,
    constants: Array,  # see the columns above
    # state, (N, D), (N,): read and written
    x: Array, v: Array, rho: Array,
    # matter
    mass: Array, scene: Array, driven: Array,
    # scenes
    gravity: Array, viscosity: Array, lower: Array, extent: Array, wall: Array, scene_ptr: Array,
    cell_number: Array, cell_size: Array, cell_offset: Array,
    # what is driven, at the frame's start and its slope over the frame
    box: Array, box_slope: Array,
    obstacle_ptr: Array, obstacle_kind: Array, obstacle_size: Array, obstacle: Array, obstacle_slope: Array,
    node: Array, node_slope: Array,
    # scratch: cells, and the particles in cell order
    cell: Array, count: Array, start: Array, order: Array,
    xs: Array, vs: Array, rs: Array, rs_new: Array, ms: Array,
):  # fmt: skip
    """All substeps of a frame, parallel over scenes: for a CPU, where waking threads costs more than a small scene's step."""
    for j in range((scene_ptr.shape[0] - 1) * TASK):
        b = j // TASK
        for elapsed_steps in range(n_steps if j % TASK == 0 else 0):
            advance_scenes(
                b, b + 1,
                dim, elapsed_steps, constants, x, v, rho, mass, scene, driven, gravity, viscosity, lower, extent, wall, scene_ptr,
                cell_number, cell_size, cell_offset, box, box_slope, obstacle_ptr, obstacle_kind, obstacle_size, obstacle,
                obstacle_slope, node, node_slope, cell, count, start, order, xs, vs, rs, rs_new, ms,
            )  # fmt: skip


@ti.func
def carry_scenes(
    first, last, dim: ti.template(), elapsed, h, x: ti.template(), v: ti.template(), scene: ti.template(),
    lower: ti.template(), wall: ti.template(), scene_ptr: ti.template(), cell_number: ti.template(),
    cell_size: ti.template(), cell_offset: ti.template(), box: ti.template(), box_slope: ti.template(),
    cell: ti.template(), count: ti.template(), start: ti.template(), order: ti.template(), xs: ti.template(),
    vs: ti.template(), tracer: ti.template(), tracer_scene: ti.template(), tracer_ptr: ti.template(), u: ti.template(),
):  # fmt: skip
    """Shepard mean, with the Wendland C2 kernel, of the particles' velocities at the tracers of scenes first to last."""
    bin_scenes(
        first, last, dim, elapsed, x, v, scene, lower, scene_ptr, cell_number, cell_size, cell_offset, box, box_slope,
        cell, count, start, order, xs, vs,
    )  # fmt: skip
    for i in range(tracer_ptr[first], tracer_ptr[last]):
        b = tracer_scene[i]
        at = row(tracer, i, dim)
        low = lower_corner(b, lower, box, box_slope, elapsed, dim)
        weight, total = 0.0 * at[0], 0.0 * at
        for window in range(ti.static(3**dim)):
            c = neighbour_cell(at, low, b, window, wall, cell_number, cell_size, cell_offset, dim)
            begin, end = 0, 0
            if c >= 0:
                begin, end = start[c], start[c] + count[c]
            for t in range(begin, end):
                r = (at - row(xs, t, dim)).norm() / h
                if r < 2.0:
                    w = (1.0 - 0.5 * r) ** 4 * (1.0 + 2.0 * r)
                    weight += w
                    total += w * row(vs, t, dim)
        if weight > 1.0e-6:
            for k in ti.static(range(dim)):
                u[i, k] = total[k] / weight


@ti.kernel
def carry(
    dim: ti.template(), by_scene: ti.template(), elapsed: ti.f32, h: ti.f32,
    x: Array, v: Array, scene: Array, lower: Array, wall: Array, scene_ptr: Array,
    cell_number: Array, cell_size: Array, cell_offset: Array, box: Array, box_slope: Array,
    cell: Array, count: Array, start: Array, order: Array, xs: Array, vs: Array,
    tracer: Array, tracer_scene: Array, tracer_ptr: Array,
    u: Array,  # (tracers, D): the velocity to keep where no particle is near; overwritten where one is
):  # fmt: skip
    """Velocities that particles (x, v) give to tracers, either parallel over scenes (CPU) or over particles (GPU)."""
    if ti.static(by_scene):
        for j in range((scene_ptr.shape[0] - 1) * TASK):
            b = j // TASK
            carry_scenes(
                b, b + (1 if j % TASK == 0 else 0),
                dim, elapsed, h, x, v, scene, lower, wall, scene_ptr, cell_number, cell_size, cell_offset,
                box, box_slope, cell, count, start, order, xs, vs, tracer, tracer_scene, tracer_ptr, u,
            )  # fmt: skip
    else:
        carry_scenes(
            0, scene_ptr.shape[0] - 1, dim, elapsed, h, x, v, scene, lower, wall, scene_ptr, cell_number, cell_size,
            cell_offset, box, box_slope, cell, count, start, order, xs, vs, tracer, tracer_scene, tracer_ptr, u,
        )  # fmt: skip
