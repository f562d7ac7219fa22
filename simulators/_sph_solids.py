"""What solids do to a particle of weakly compressible SPH, as Taichi functions: where sides and obstacles stand, which images of
the fluid fill them, and how what was thrown into them is put back.

Images push, putting back holds: a side or obstacle that only pushed would let through what hits it hard, or what its images
leave out. Annotations are read by Taichi, hence no `from __future__ import annotations` here.
"""

from ._taichi import ti

PERIODIC, FREE_SLIP, NO_SLIP = 1, 2, 3  # contracts.scene.Wall
BALL = 0  # contracts.scene.Obstacle


@ti.func
def row(values: ti.template(), i, dim: ti.template()):
    """Row i of an (n, D) array as a vector."""
    return ti.Vector([values[i, k] for k in ti.static(range(dim))])


@ti.func
def lower_corner(b, lower: ti.template(), box: ti.template(), slope: ti.template(), elapsed, dim: ti.template()):
    """Lower corner of the box of scene b, `elapsed` seconds into the frame."""
    return row(lower, b, dim) + row(box, b, dim) + row(slope, b, dim) * elapsed


@ti.func
def near_sides(x, low, extent, b, wall: ti.template(), reach, dim: ti.template()):
    """For each axis: 0 or the kind of the solid side within reach, and where that side stands."""
    kind = ti.Vector([0 for _ in ti.static(range(dim))])
    plane = low
    for k in ti.static(range(dim)):
        to_low = x[k] - low[k]
        to_high = low[k] + extent[k] - x[k]
        if wall[b, k, 0] >= FREE_SLIP and to_low < reach and to_low <= to_high:
            kind[k] = wall[b, k, 0]
        elif wall[b, k, 1] >= FREE_SLIP and to_high < reach:
            kind[k] = wall[b, k, 1]
            plane[k] = low[k] + extent[k]
    return kind, plane


@ti.func
def shape_distance(offset, kind, size, dim: ti.template()):
    """Signed distance and outward normal of a point at `offset` from a ball's or box's centre."""
    length = offset.norm() + 1.0e-12
    distance = length - size[0]
    normal = offset / length
    if kind != BALL:
        beyond = ti.abs(offset) - size
        deepest = beyond.max()
        if deepest > 0.0:
            outside = ti.max(beyond, 0.0)
            distance = outside.norm()
            normal = ti.math.sign(offset) * outside / distance
        else:
            distance = deepest
            done = 0
            for k in ti.static(range(dim)):
                normal[k] = 0.0
                if done == 0 and beyond[k] == deepest:
                    normal[k] = 1.0 if offset[k] >= 0.0 else -1.0
                    done = 1
    return distance, normal


@ti.func
def nearest_obstacle(
    x, b, ptr: ti.template(), kind: ti.template(), size: ti.template(), centre: ti.template(), slope: ti.template(),
    elapsed, dim: ti.template(),
):  # fmt: skip
    """Signed distance, outward normal and number of the nearest obstacle; number -1 when the scene has none."""
    best = 1.0e6 + 0.0 * x[0]
    normal = 0.0 * x
    number = -1
    for o in range(ptr[b], ptr[b + 1]):
        at = row(centre, o, dim) + row(slope, o, dim) * elapsed
        distance, direction = shape_distance(x - at, kind[o], row(size, o, dim), dim)
        if distance < best:
            best, normal, number = distance, direction, o
    return best, normal, number


@ti.func
def image_allowed(sides, by_obstacle, kind, normal, dim: ti.template()):
    """Is an image real? The bits of `sides` mirror at box sides near by; `by_obstacle`, at the obstacle as well.

    An obstacle and a side are mirrored together only where they meet at nearly a right angle; at other angles the second
    image would lie inside the fluid.
    """
    fine = True
    for k in ti.static(range(dim)):
        if (sides >> k) & 1 and (kind[k] == 0 or (by_obstacle and ti.abs(normal[k]) > 0.3)):
            fine = False
    return fine


@ti.func
def mirrored(x, sides, by_obstacle, plane, at, normal, dim: ti.template()):
    """Position x seen through an image: mirrored at box sides, and at the obstacle's tangent plane through `at`."""
    y = x
    for k in ti.static(range(dim)):
        if (sides >> k) & 1:
            y[k] = 2.0 * plane[k] - x[k]
    if by_obstacle:
        y -= 2.0 * (x - at).dot(normal) * normal
    return y


@ti.func
def mirrored_velocity(v, sides, by_obstacle, box_velocity, solid_velocity, normal, dim: ti.template()):
    """Velocity v seen through an image, free-slip: the component along each mirrored normal turns about the solid's own."""
    u = v
    for k in ti.static(range(dim)):
        if (sides >> k) & 1:
            u[k] = 2.0 * box_velocity[k] - v[k]
    if by_obstacle:
        u -= 2.0 * (v - solid_velocity).dot(normal) * normal
    return u


@ti.func
def no_slip_velocity(v, free_slip, sides, by_obstacle, kind, box_velocity, solid_velocity, dim: ti.template()):
    """Velocity that a ghost shows to viscosity: turned about the solid's velocity where the solid is no-slip."""
    u = free_slip
    for k in ti.static(range(dim)):
        if (sides >> k) & 1 and kind[k] == NO_SLIP:
            u = 2.0 * box_velocity - v
    if by_obstacle:
        u = 2.0 * solid_velocity - v
    return u


@ti.func
def kept_inside(x, v, low, extent, b, wall: ti.template(), box_velocity, dim: ti.template()):
    """Wrap at periodic sides; put back what a hard impact threw through a solid side, without its outward speed."""
    for k in ti.static(range(dim)):
        if wall[b, k, 0] == PERIODIC:
            x[k] -= extent[k] * ti.floor((x[k] - low[k]) / extent[k])
        if wall[b, k, 0] >= FREE_SLIP and x[k] < low[k]:
            x[k] = ti.min(2.0 * low[k] - x[k], low[k] + 0.5 * extent[k])
            v[k] = ti.max(v[k], box_velocity[k])
        high = low[k] + extent[k]
        if wall[b, k, 1] >= FREE_SLIP and x[k] > high:
            x[k] = ti.max(2.0 * high - x[k], low[k] + 0.5 * extent[k])
            v[k] = ti.min(v[k], box_velocity[k])
    return x, v


@ti.func
def kept_outside(
    x, v, b, ptr: ti.template(), kind: ti.template(), size: ti.template(), centre: ti.template(), slope: ti.template(),
    elapsed, dim: ti.template(),
):  # fmt: skip
    """Put back what a hard impact threw into an obstacle, as `kept_inside` does at sides: images push, this holds."""
    gap, normal, o = nearest_obstacle(x, b, ptr, kind, size, centre, slope, elapsed, dim)
    if gap < 0.0:
        x -= 2.0 * gap * normal
        v -= ti.min((v - row(slope, o, dim)).dot(normal), 0.0) * normal
    return x, v


@ti.func
def within(
    y,
    o,
    kind: ti.template(),
    size: ti.template(),
    centre: ti.template(),
    slope: ti.template(),
    elapsed,
    dim: ti.template(),
):
    """May obstacle o, alone, have an image at y? A box only inside: past its edges the tangent plane runs through fluid.

    Round a ball, what a plane leaves outside makes up for what it cannot put inside (docs/fluid.md, Obstacles).
    """
    fine = True
    if kind[o] != BALL:
        at = row(centre, o, dim) + row(slope, o, dim) * elapsed
        distance, _ = shape_distance(y - at, kind[o], row(size, o, dim), dim)
        fine = distance < 0.0
    return fine
