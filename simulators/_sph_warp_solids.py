"""What solids do to a particle, as Warp functions: the scheme of `_sph_solids.py`; and what all functions of a step are told."""

from ._warp import wp

PERIODIC = wp.constant(1)
FREE_SLIP = wp.constant(2)
NO_SLIP = wp.constant(3)
BALL = wp.constant(0)


@wp.struct
class Numbers:
    """What holds for all scenes and substeps."""

    dim: wp.int32
    density: wp.float32
    sound_speed: wp.float32
    smoothing: wp.float32
    time_step: wp.float32
    artificial_viscosity: wp.float32
    diffusion: wp.float32
    background: wp.float32
    moving: wp.float32
    kept: wp.float32


@wp.struct
class Scenes:
    """What a scene knows, one entry a scene; obstacles and driven nodes have entries of their own."""

    gravity: wp.array(dtype=wp.vec3)
    viscosity: wp.array(dtype=wp.float32)
    lower: wp.array(dtype=wp.vec3)
    extent: wp.array(dtype=wp.vec3)
    low_wall: wp.array(dtype=wp.vec3i)
    high_wall: wp.array(dtype=wp.vec3i)
    cell_number: wp.array(dtype=wp.vec3i)
    cell_size: wp.array(dtype=wp.vec3)
    cell_offset: wp.array(dtype=wp.int32)
    box: wp.array(dtype=wp.vec3)
    box_slope: wp.array(dtype=wp.vec3)
    obstacle_ptr: wp.array(dtype=wp.int32)
    obstacle_kind: wp.array(dtype=wp.int32)
    obstacle_size: wp.array(dtype=wp.vec3)
    obstacle: wp.array(dtype=wp.vec3)
    obstacle_slope: wp.array(dtype=wp.vec3)
    node: wp.array(dtype=wp.vec3)
    node_slope: wp.array(dtype=wp.vec3)


@wp.struct
class Here:
    """What a particle sees of its scene."""

    x: wp.vec3
    v: wp.vec3
    g: wp.vec3
    extent: wp.vec3
    low: wp.vec3
    walls: wp.vec3i
    """Walls at the lower sides, which say what is periodic."""
    kind: wp.vec3i
    """Per axis: 0 or the kind of the solid side within reach."""
    plane: wp.vec3
    """Where those sides stand."""
    normal: wp.vec3
    at: wp.vec3
    """Nearest point of the nearest obstacle."""
    solid: wp.int32
    """Kind of that obstacle, its size and centre."""
    solid_size: wp.vec3
    solid_centre: wp.vec3
    box_velocity: wp.vec3
    solid_velocity: wp.vec3
    masks: wp.int32
    images: wp.int32
    looped: wp.int32


@wp.struct
class Seen:
    """A neighbour, or an image of it."""

    real: wp.int32
    d: wp.vec3
    rho: wp.float32
    v: wp.vec3
    felt: wp.vec3
    """Velocity that viscosity feels."""


@wp.func
def lower_corner(b: wp.int32, elapsed: wp.float32, s: Scenes):
    """Lower corner of the box of scene b, `elapsed` seconds into the frame."""
    return s.lower[b] + s.box[b] + s.box_slope[b] * elapsed


@wp.func
def shape_distance(offset: wp.vec3, kind: wp.int32, size: wp.vec3):
    """Signed distance and outward normal of a point at `offset` from a ball's or box's centre."""
    length = wp.length(offset) + 1.0e-12
    if kind == BALL:
        return length - size[0], offset / length
    beyond = wp.vec3(wp.abs(offset[0]) - size[0], wp.abs(offset[1]) - size[1], wp.abs(offset[2]) - size[2])
    deepest = wp.max(beyond[0], wp.max(beyond[1], beyond[2]))
    side = wp.vec3(wp.where(offset[0] >= 0.0, 1.0, -1.0), wp.where(offset[1] >= 0.0, 1.0, -1.0), 0.0)
    side[2] = wp.where(offset[2] >= 0.0, 1.0, -1.0)
    if deepest > 0.0:
        outside = wp.vec3(wp.max(beyond[0], 0.0), wp.max(beyond[1], 0.0), wp.max(beyond[2], 0.0))
        distance = wp.length(outside)
        return distance, wp.cw_mul(side, outside) / distance
    normal = wp.vec3(0.0, 0.0, side[2])
    if beyond[0] == deepest:
        normal = wp.vec3(side[0], 0.0, 0.0)
    elif beyond[1] == deepest:
        normal = wp.vec3(0.0, side[1], 0.0)
    return deepest, normal


@wp.func
def nearest_obstacle(x: wp.vec3, b: wp.int32, elapsed: wp.float32, s: Scenes):
    """Signed distance, outward normal and number of the nearest obstacle; number -1 when the scene has none."""
    best = wp.float32(1.0e6)
    normal = wp.vec3()
    number = wp.int32(-1)
    for o in range(s.obstacle_ptr[b], s.obstacle_ptr[b + 1]):
        at = s.obstacle[o] + s.obstacle_slope[o] * elapsed
        distance, direction = shape_distance(x - at, s.obstacle_kind[o], s.obstacle_size[o])
        if distance < best:
            best = distance
            normal = direction
            number = o
    return best, normal, number


@wp.func
def near_sides(here: Here, b: wp.int32, reach: wp.float32, s: Scenes):
    """For each axis: 0 or the kind of the solid side within reach, and where that side stands."""
    low_wall, high_wall = s.low_wall[b], s.high_wall[b]
    kind = wp.vec3i()
    plane = here.low
    for k in range(3):
        to_low = here.x[k] - here.low[k]
        to_high = here.low[k] + here.extent[k] - here.x[k]
        if low_wall[k] >= FREE_SLIP and to_low < reach and to_low <= to_high:
            kind[k] = low_wall[k]
        elif high_wall[k] >= FREE_SLIP and to_high < reach:
            kind[k] = high_wall[k]
            plane[k] = here.low[k] + here.extent[k]
    return kind, plane


@wp.func
def image_allowed(sides: wp.int32, by_obstacle: wp.bool, here: Here, dim: wp.int32):
    """Is an image real? The bits of `sides` mirror at box sides near by; `by_obstacle`, at the obstacle as well.

    An obstacle and a side are mirrored together only where they meet at nearly a right angle.
    """
    fine = wp.int32(1)
    for k in range(3):
        askew = here.kind[k] == 0 or (by_obstacle and wp.abs(here.normal[k]) > 0.3)
        if k < dim and ((sides >> k) & 1) == 1 and askew:
            fine = 0
    return fine


@wp.func
def obstacle_has(here: Here, xj: wp.vec3):
    """Has the obstacle, alone, an image of xj? A box only inside: past its edges the tangent plane runs through fluid."""
    height = wp.dot(xj - here.at, here.normal)
    if height <= 0.0:
        return 0
    if here.solid == BALL:
        return 1
    alone = xj - 2.0 * height * here.normal
    distance, _ = shape_distance(alone - here.solid_centre, here.solid, here.solid_size)
    return wp.where(distance < 0.0, 1, 0)


@wp.func
def image_of(q: wp.int32, here: Here, xj: wp.vec3, one: Seen, n: Numbers):
    """Image q of a neighbour: mirrored at box sides, and at the obstacle's tangent plane."""
    # Bits of images: which sides, and above those the obstacle.
    sides = q & (here.masks - 1)
    by_obstacle = q >= here.masks
    y = xj
    u = one.v
    for k in range(3):
        if k < n.dim and ((sides >> k) & 1) == 1:
            y[k] = 2.0 * here.plane[k] - xj[k]
            u[k] = 2.0 * here.box_velocity[k] - one.v[k]
    if by_obstacle:
        y = y - 2.0 * wp.dot(xj - here.at, here.normal) * here.normal
        u = u - 2.0 * wp.dot(one.v - here.solid_velocity, here.normal) * here.normal
    felt = u
    for k in range(3):
        if k < n.dim and ((sides >> k) & 1) == 1 and here.kind[k] == NO_SLIP:
            felt = 2.0 * here.box_velocity - one.v
    if by_obstacle:
        felt = 2.0 * here.solid_velocity - one.v
    image = Seen()
    image.real = image_allowed(sides, by_obstacle, here, n.dim)
    if by_obstacle and image.real == 1:
        image.real = obstacle_has(here, xj)
    image.d = one.d + (xj - y)
    # A ghost lies deeper or higher than its original: hydrostatic density between them.
    image.rho = one.rho + n.density / (n.sound_speed * n.sound_speed) * wp.dot(y - xj, here.g)
    image.v = u
    image.felt = felt
    return image


@wp.func
def kept_inside(x: wp.vec3, v: wp.vec3, low: wp.vec3, b: wp.int32, box_velocity: wp.vec3, s: Scenes):
    """Wrap at periodic sides; put back what a hard impact threw through a solid side, without its outward speed."""
    extent, low_wall, high_wall = s.extent[b], s.low_wall[b], s.high_wall[b]
    for k in range(3):
        if low_wall[k] == PERIODIC:
            x[k] = x[k] - extent[k] * wp.floor((x[k] - low[k]) / extent[k])
        if low_wall[k] >= FREE_SLIP and x[k] < low[k]:
            x[k] = wp.min(2.0 * low[k] - x[k], low[k] + 0.5 * extent[k])
            v[k] = wp.max(v[k], box_velocity[k])
        high = low[k] + extent[k]
        if high_wall[k] >= FREE_SLIP and x[k] > high:
            x[k] = wp.max(2.0 * high - x[k], low[k] + 0.5 * extent[k])
            v[k] = wp.min(v[k], box_velocity[k])
    return x, v


@wp.func
def kept_outside(x: wp.vec3, v: wp.vec3, b: wp.int32, elapsed: wp.float32, s: Scenes):
    """Put back what a hard impact threw into an obstacle, as `kept_inside` does at sides: images push, this holds."""
    gap, normal, o = nearest_obstacle(x, b, elapsed, s)
    if gap < 0.0:
        x = x - 2.0 * gap * normal
        v = v - wp.min(wp.dot(v - s.obstacle_slope[o], normal), 0.0) * normal
    return x, v
