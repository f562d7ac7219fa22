"""Warp kernels of the cloth solver: one thread a vertex, face or block of faces, of all scenes at once.

Forces are gathered, never scattered as floats, so that a result does not depend on the order of threads; what self-contact
must hand to a triangle's corners is added as fixed-point integers, whose sum has no order. Scene numbers are arguments, or
every new value would be compiled anew. Equations stand in `_cloth.py`.
"""

from ._warp import wp

FIXED_POINT = wp.constant(wp.float64(2.0**36))
"""Steps of a newton in the integer sums of contact forces: 1.5e-11 N, up to 1.3e8 N."""
BLOCK = 16
"""Consecutive faces that share a bounding ball in the search for self-contact."""
SLOTS = 64
"""Faces that can be near one vertex."""
LEAST_STRETCH = wp.constant(0.2)
"""Stretch below which the shear force of a crushed triangle grows no more."""


@wp.struct
class Scenes:
    """What a scene knows; every array has one entry a scene."""

    substeps: wp.array(dtype=wp.int32)
    rebuild: wp.array(dtype=wp.int32)
    time_step: wp.array(dtype=wp.float32)
    stretch: wp.array(dtype=wp.float32)
    shear: wp.array(dtype=wp.float32)
    bend: wp.array(dtype=wp.float32)
    damping: wp.array(dtype=wp.float32)
    bend_damping: wp.array(dtype=wp.float32)
    friction: wp.array(dtype=wp.float32)
    thickness: wp.array(dtype=wp.float32)
    air: wp.array(dtype=wp.float32)
    wind: wp.array(dtype=wp.vec3)
    gravity: wp.array(dtype=wp.vec3)
    contact: wp.array(dtype=wp.float32)
    skin: wp.array(dtype=wp.float32)
    apart: wp.array(dtype=wp.float32)
    low: wp.array(dtype=wp.vec3)
    high: wp.array(dtype=wp.vec3)
    wall: wp.array2d(dtype=wp.int32)
    box: wp.array(dtype=wp.vec3)
    box_step: wp.array(dtype=wp.vec3)
    obstacle_ptr: wp.array(dtype=wp.int32)
    block_ptr: wp.array(dtype=wp.int32)
    face_ptr: wp.array(dtype=wp.int32)


@wp.struct
class Mesh:
    """What stays fixed of the vertices, faces and obstacles of all scenes."""

    vertex_scene: wp.array(dtype=wp.int32)
    face_scene: wp.array(dtype=wp.int32)
    mass: wp.array(dtype=wp.float32)
    rest: wp.array(dtype=wp.vec3)
    driven: wp.array(dtype=wp.int32)
    """Row of a vertex among the driven ones, or -1."""
    driven_at: wp.array(dtype=wp.vec3)
    driven_step: wp.array(dtype=wp.vec3)
    face: wp.array2d(dtype=wp.int32)
    centre: wp.array(dtype=wp.vec3)
    """Centre of a face at rest."""
    area: wp.array(dtype=wp.float32)
    inverse: wp.array(dtype=wp.mat22)
    """Inverse of the rest edges in the (warp, weft) plane."""
    corner_ptr: wp.array(dtype=wp.int32)
    corner: wp.array(dtype=wp.int32)
    """3·face + corner of the faces around each vertex."""
    bend_ptr: wp.array(dtype=wp.int32)
    bend_column: wp.array(dtype=wp.int32)
    bend_value: wp.array(dtype=wp.float32)
    obstacle_kind: wp.array(dtype=wp.int32)
    obstacle_size: wp.array(dtype=wp.vec3)
    obstacle_at: wp.array(dtype=wp.vec3)
    obstacle_step: wp.array(dtype=wp.vec3)


@wp.func
def pushed_out(
    distance: wp.float32,
    normal: wp.vec3,
    moving: wp.vec3,
    friction: wp.float32,
    step: wp.float32,
    x: wp.vec3,
    v: wp.vec3,
):
    """Position and velocity of a vertex at a signed distance of a solid: outside, not approaching, held back by friction.

    What friction takes of the velocity it takes of the drift that led here too, or a sheet at rest on a slope would creep.
    """
    if distance >= 0.0:
        return x, v
    relative = v - moving
    approach = -wp.dot(relative, normal)
    if approach > 0.0:
        along = relative + approach * normal
        slide = wp.length(along)
        held = (wp.min(friction * approach, slide) / wp.max(slide, 1.0e-12)) * along
        v = moving + along - held
        x = x - step * held
    return x - distance * normal, v


@wp.func
def box_distance(offset: wp.vec3, half: wp.vec3):
    """Signed distance and outward normal at an offset from the centre of an axis-aligned box."""
    beyond = wp.vec3(wp.abs(offset[0]) - half[0], wp.abs(offset[1]) - half[1], wp.abs(offset[2]) - half[2])
    side = wp.vec3(wp.sign(offset[0]), wp.sign(offset[1]), wp.sign(offset[2]))
    outside = wp.vec3(wp.max(beyond[0], 0.0), wp.max(beyond[1], 0.0), wp.max(beyond[2], 0.0))
    reach = wp.length(outside)
    if reach > 0.0:
        return reach, wp.cw_mul(side, outside) / reach
    nearest = wp.max(beyond[0], wp.max(beyond[1], beyond[2]))
    normal = wp.vec3(0.0, 0.0, side[2])
    if beyond[0] == nearest:
        normal = wp.vec3(side[0], 0.0, 0.0)
    elif beyond[1] == nearest:
        normal = wp.vec3(0.0, side[1], 0.0)
    return nearest, normal


@wp.func
def outside_solids(
    x: wp.vec3, v: wp.vec3, step: wp.float32, b: wp.int32, share: wp.float32, frame: wp.float32, s: Scenes, m: Mesh
):
    """Push a vertex out of obstacles and solid sides, where they stand at a share of the frame."""
    gap = 0.5 * s.thickness[b]
    mu = s.friction[b]
    for o in range(s.obstacle_ptr[b], s.obstacle_ptr[b + 1]):
        moving = m.obstacle_step[o] / frame
        offset = x - (m.obstacle_at[o] + share * m.obstacle_step[o])
        distance = wp.length(offset) - m.obstacle_size[o][0]
        normal = wp.normalize(offset)
        if m.obstacle_kind[o] == 1:
            distance, normal = box_distance(offset, m.obstacle_size[o])
        x, v = pushed_out(distance - gap, normal, moving, mu, step, x, v)
    shift = s.box[b] + share * s.box_step[b]
    moving = s.box_step[b] / frame
    for axis in range(3):
        for side in range(2):
            kind = s.wall[b, 2 * axis + side]
            if kind >= 2:
                inward = wp.vec3(0.0, 0.0, 0.0)
                inward[axis] = 1.0 - 2.0 * float(side)
                at = s.low[b][axis]
                if side == 1:
                    at = s.high[b][axis]
                distance = (x[axis] - at - shift[axis]) * inward[axis] - gap
                x, v = pushed_out(distance, inward, moving, wp.where(kind == 3, mu, 0.0), step, x, v)
    return x, v


@wp.func
def moved(
    i: wp.int32, x: wp.vec3, v: wp.vec3, step: wp.float32, share: wp.float32, frame: wp.float32, s: Scenes, m: Mesh
):
    """Drift a vertex, or put it where the script has it at a share of the frame."""
    d = m.driven[i]
    if d >= 0:
        return m.driven_at[d] + share * m.driven_step[d], m.driven_step[d] / frame
    return outside_solids(x + step * v, v, step, m.vertex_scene[i], share, frame, s, m)


@wp.kernel
def begin(frame: wp.float32, s: Scenes, m: Mesh, x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3)):
    """The first half drift of a frame."""
    i = wp.tid()
    b = m.vertex_scene[i]
    half = 0.5 * s.time_step[b]
    x_new, v_new = moved(i, x[i], v[i], half, half / frame, frame, s, m)
    x[i] = x_new
    v[i] = v_new


@wp.kernel
def face_forces(
    k: wp.int32,
    s: Scenes,
    m: Mesh,
    x: wp.array(dtype=wp.vec3),
    v: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.vec3),
):
    """Stretch, shear, their damping, and the air, on the three corners of each face [N]."""
    f = wp.tid()
    b = m.face_scene[f]
    if k >= s.substeps[b]:
        return
    i0 = m.face[f, 0]
    i1 = m.face[f, 1]
    i2 = m.face[f, 2]
    e1 = x[i1] - x[i0]
    e2 = x[i2] - x[i0]
    r1 = v[i1] - v[i0]
    r2 = v[i2] - v[i0]
    q = m.inverse[f]
    warp = q[0, 0] * e1 + q[1, 0] * e2
    weft = q[0, 1] * e1 + q[1, 1] * e2
    warp_rate = q[0, 0] * r1 + q[1, 0] * r2
    weft_rate = q[0, 1] * r1 + q[1, 1] * r2
    lu = wp.length(warp)
    lv = wp.length(weft)
    nu = warp / wp.max(lu, 1.0e-9)
    nv = weft / wp.max(lv, 1.0e-9)
    lu_rate = wp.dot(nu, warp_rate)
    lv_rate = wp.dot(nv, weft_rate)
    du = wp.max(lu, LEAST_STRETCH)
    dv = wp.max(lv, LEAST_STRETCH)
    shear = wp.dot(nu, nv)
    across_u = (nv - shear * nu) / du
    across_v = (nu - shear * nv) / dv
    shear_rate = wp.dot(across_u, warp_rate) + wp.dot(across_v, weft_rate)
    tau = s.damping[b]
    tu = s.stretch[b] * (lu - 1.0 + tau * lu_rate)
    tv = s.stretch[b] * (lv - 1.0 + tau * lv_rate)
    ts = s.shear[b] * (shear + tau * shear_rate)
    pu = m.area[f] * (tu * nu + ts * across_u)
    pv = m.area[f] * (tv * nv + ts * across_v)
    f1 = -(q[0, 0] * pu + q[0, 1] * pv)
    f2 = -(q[1, 0] * pu + q[1, 1] * pv)
    area_normal = 0.5 * wp.cross(e1, e2)
    breeze = s.wind[b] - (v[i0] + v[i1] + v[i2]) / 3.0
    area = wp.length(area_normal)
    flow = wp.dot(breeze, area_normal) / wp.max(area, 1.0e-12)
    # A third of the drag of a plate across the stream to each corner; never more than stops the face within a substep.
    drag = s.air[b] * 0.5 * wp.abs(flow)
    most = (m.mass[i0] + m.mass[i1] + m.mass[i2]) / (6.0 * s.time_step[b] * wp.max(area, 1.0e-12))
    air = (wp.min(drag, most) * flow / 3.0) * area_normal
    out[3 * f] = air - f1 - f2
    out[3 * f + 1] = air + f1
    out[3 * f + 2] = air + f2


@wp.func
def nearest_on_triangle(p: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3):
    """Barycentric coordinates of the point of a triangle nearest to p (Ericson 2004, Real-Time Collision Detection, §5.1.5)."""
    ab = b - a
    ac = c - a
    ap = p - a
    d1 = wp.dot(ab, ap)
    d2 = wp.dot(ac, ap)
    if d1 <= 0.0 and d2 <= 0.0:
        return wp.vec3(1.0, 0.0, 0.0)
    bp = p - b
    d3 = wp.dot(ab, bp)
    d4 = wp.dot(ac, bp)
    if d3 >= 0.0 and d4 <= d3:
        return wp.vec3(0.0, 1.0, 0.0)
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        w = d1 / (d1 - d3)
        return wp.vec3(1.0 - w, w, 0.0)
    cp = p - c
    d5 = wp.dot(ab, cp)
    d6 = wp.dot(ac, cp)
    if d6 >= 0.0 and d5 <= d6:
        return wp.vec3(0.0, 0.0, 1.0)
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
        return wp.vec3(1.0 - w, 0.0, w)
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and (d4 - d3) >= 0.0 and (d5 - d6) >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return wp.vec3(0.0, 1.0 - w, w)
    total = va + vb + vc
    if total <= 0.0:
        return wp.vec3(1.0, 0.0, 0.0)
    return wp.vec3(va / total, vb / total, vc / total)


@wp.func
def searches(k: wp.int32, b: wp.int32, s: Scenes):
    """Whether a scene looks for contacts before substep k."""
    return k < s.substeps[b] and k % s.rebuild[b] == 0 and s.thickness[b] > 0.0


@wp.kernel
def bound_faces(k: wp.int32, s: Scenes, m: Mesh, x: wp.array(dtype=wp.vec3), ball: wp.array(dtype=wp.vec4)):
    """Centre of each face and distance of its farthest corner."""
    f = wp.tid()
    if searches(k, m.face_scene[f], s):
        a = x[m.face[f, 0]]
        b = x[m.face[f, 1]]
        c = x[m.face[f, 2]]
        centre = (a + b + c) / 3.0
        radius = wp.max(wp.length(a - centre), wp.max(wp.length(b - centre), wp.length(c - centre)))
        ball[f] = wp.vec4(centre[0], centre[1], centre[2], radius)


@wp.kernel
def bound_blocks(
    k: wp.int32, s: Scenes, block_scene: wp.array(dtype=wp.int32), ball: wp.array(dtype=wp.vec4),
    block: wp.array(dtype=wp.vec4),
):  # fmt: skip
    """A ball around those of each block of faces."""
    j = wp.tid()
    b = block_scene[j]
    if searches(k, b, s):
        first = s.face_ptr[b] + (j - s.block_ptr[b]) * wp.static(BLOCK)
        last = wp.min(first + wp.static(BLOCK), s.face_ptr[b + 1])
        centre = wp.vec3(0.0, 0.0, 0.0)
        for f in range(first, last):
            centre += wp.vec3(ball[f][0], ball[f][1], ball[f][2]) / float(last - first)
        radius = float(0.0)  # noqa: UP018
        for f in range(first, last):
            away = wp.length(wp.vec3(ball[f][0], ball[f][1], ball[f][2]) - centre)
            radius = wp.max(radius, away + ball[f][3])
        block[j] = wp.vec4(centre[0], centre[1], centre[2], radius)


@wp.func
def within(p: wp.vec3, ball: wp.vec4, reach: wp.float32):
    """Whether a point is within reach of a ball."""
    limit = ball[3] + reach
    return wp.length_sq(p - wp.vec3(ball[0], ball[1], ball[2])) <= limit * limit


@wp.kernel
def find_contacts(
    k: wp.int32, s: Scenes, m: Mesh, ball: wp.array(dtype=wp.vec4), block: wp.array(dtype=wp.vec4),
    x: wp.array(dtype=wp.vec3), count: wp.array(dtype=wp.int32), slot: wp.array2d(dtype=wp.int32),
):  # fmt: skip
    """Faces of the sheet itself that each vertex may touch before the next search.

    What is near on the flat sheet is near by nature, and left out.
    """
    i = wp.tid()
    b = m.vertex_scene[i]
    if not searches(k, b, s):
        return
    reach = s.thickness[b] + s.skin[b]
    apart = s.apart[b] * s.apart[b]
    p = x[i]
    found = int(0)  # noqa: RUF046, UP018 (a literal would be a constant to Warp)
    for j in range(s.block_ptr[b], s.block_ptr[b + 1]):
        if within(p, block[j], reach):
            first = s.face_ptr[b] + (j - s.block_ptr[b]) * wp.static(BLOCK)
            for f in range(first, wp.min(first + wp.static(BLOCK), s.face_ptr[b + 1])):
                if within(p, ball[f], reach) and wp.length_sq(m.rest[i] - m.centre[f]) > apart:
                    p0 = x[m.face[f, 0]]
                    p1 = x[m.face[f, 1]]
                    p2 = x[m.face[f, 2]]
                    w = nearest_on_triangle(p, p0, p1, p2)
                    if wp.length_sq(p - (w[0] * p0 + w[1] * p1 + w[2] * p2)) <= reach * reach:
                        if found < wp.static(SLOTS):
                            slot[i, found] = f
                        found += 1
    count[i] = found


@wp.func
def fixed(force: wp.float32):
    return wp.int64(wp.float64(force) * FIXED_POINT)


@wp.kernel
def contact_forces(
    k: wp.int32, s: Scenes, m: Mesh, x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3),
    count: wp.array(dtype=wp.int32), slot: wp.array2d(dtype=wp.int32), total: wp.array2d(dtype=wp.int64),
):  # fmt: skip
    """Repulsion, damping and friction between each vertex and the face nearest to it, added to all four vertices."""
    i = wp.tid()
    b = m.vertex_scene[i]
    if k >= s.substeps[b] or count[i] == 0:
        return
    thickness = s.thickness[b]
    # The nearest alone: a vertex over an edge or a vertex of the other layer would feel all faces around it.
    nearest = thickness
    face = int(-1)  # noqa: RUF046, UP018
    at = wp.vec3(0.0, 0.0, 0.0)
    for c in range(wp.min(count[i], wp.static(SLOTS))):
        f = slot[i, c]
        p0 = x[m.face[f, 0]]
        p1 = x[m.face[f, 1]]
        p2 = x[m.face[f, 2]]
        w = nearest_on_triangle(x[i], p0, p1, p2)
        distance = wp.length(x[i] - (w[0] * p0 + w[1] * p1 + w[2] * p2))
        if distance < nearest:
            nearest = distance
            face = f
            at = w
    if face < 0 or nearest < 1.0e-9:
        return
    i0 = m.face[face, 0]
    i1 = m.face[face, 1]
    i2 = m.face[face, 2]
    n = (x[i] - (at[0] * x[i0] + at[1] * x[i1] + at[2] * x[i2])) / nearest
    relative = v[i] - (at[0] * v[i0] + at[1] * v[i1] + at[2] * v[i2])
    speed = wp.dot(relative, n)
    # Damped by half its critical value, so that layers that meet do not bounce.
    damper = wp.sqrt(s.contact[b]) * m.mass[i]
    push = wp.max(s.contact[b] * m.mass[i] * (thickness - nearest) - damper * speed, 0.0)
    along = relative - speed * n
    slide = wp.length(along)
    held = wp.min(s.friction[b] * push, damper * slide)
    force = push * n - (held / wp.max(slide, 1.0e-9)) * along
    for axis in range(3):
        wp.atomic_add(total, i, axis, fixed(force[axis]))
        wp.atomic_add(total, i0, axis, fixed(-at[0] * force[axis]))
        wp.atomic_add(total, i1, axis, fixed(-at[1] * force[axis]))
        wp.atomic_add(total, i2, axis, fixed(-at[2] * force[axis]))


@wp.kernel
def step(
    k: wp.int32, frame: wp.float32, s: Scenes, m: Mesh, force: wp.array(dtype=wp.vec3),
    count: wp.array(dtype=wp.int32), total: wp.array2d(dtype=wp.int64),
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), x_out: wp.array(dtype=wp.vec3), v_out: wp.array(dtype=wp.vec3),
):  # fmt: skip
    """Kick with all forces, drift by a whole substep, or by half of the last one."""
    i = wp.tid()
    b = m.vertex_scene[i]
    n = s.substeps[b]
    x_new = x[i]
    v_new = v[i]
    if k < n:
        dt = s.time_step[b]
        share = (float(k) + 1.5) / float(n)
        drift = dt
        if k == n - 1:
            share = 1.0
            drift = 0.5 * dt
        if m.driven[i] < 0:
            f = wp.vec3(0.0, 0.0, 0.0)
            for c in range(m.corner_ptr[i], m.corner_ptr[i + 1]):
                f += force[m.corner[c]]
            bent = wp.vec3(0.0, 0.0, 0.0)
            tau = s.bend_damping[b]
            for c in range(m.bend_ptr[i], m.bend_ptr[i + 1]):
                j = m.bend_column[c]
                # Rows sum to zero: differences keep what float32 would lose.
                bent += m.bend_value[c] * (x[j] - x[i] + tau * (v[j] - v[i]))
            f -= s.bend[b] * bent
            if s.thickness[b] > 0.0:
                f += wp.vec3(
                    float(wp.float64(total[i, 0]) / FIXED_POINT),
                    float(wp.float64(total[i, 1]) / FIXED_POINT),
                    float(wp.float64(total[i, 2]) / FIXED_POINT),
                )
                for axis in range(3):
                    total[i, axis] = wp.int64(0)
                if count[i] > wp.static(SLOTS):
                    # More faces than slots: the scene is lost, and says so.
                    f = f * wp.nan
            v_new = v_new + dt * (s.gravity[b] + f / m.mass[i])
        else:
            for axis in range(3):
                total[i, axis] = wp.int64(0)
        x_new, v_new = moved(i, x_new, v_new, drift, share, frame, s, m)
    x_out[i] = x_new
    v_out[i] = v_new
