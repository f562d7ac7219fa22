"""The kernels of a round of messages, in Triton: what `_fused` launches. Conventions of this file:

Capitals are known when a kernel is compiled. C columns lie in WIDTH, the next power of two: those beyond are masked, hold zeros and
are not stored. A program handles ROWS rows; the first product is taken COLUMNS of its outputs and INNER of its inputs at a time, so
that what is multiplied at once fits into registers and shared memory.

HALF rounds both factors of a product to bfloat16; sums are float32 always. PRECISION is Triton's `input_precision` of products of
float32: "ieee" multiplies in float32 outside of the tensor cores, "tf32x3" on them, each factor in two pieces of 11 bits and three
products, which is about as exact; "tf32" keeps the first piece alone, an error of 5e-4 of each factor, and is never used here.
INTERPRETED rounds by hand, as the hardware does: Triton's interpreter cuts off, cannot multiply in bfloat16, and knows no tf32.
"""

from __future__ import annotations

import triton  # noqa: TID253
import triton.language as tl  # noqa: TID253


@triton.jit
def rounded(x, INTERPRETED: tl.constexpr):
    """To bfloat16, to nearest and even; interpreted, in a float32 that holds the same number."""
    if INTERPRETED:
        bits = x.to(tl.float32).to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return bits.to(tl.float32, bitcast=True)
    return x.to(tl.bfloat16)


@triton.jit
def leading(x):
    """A float32 to the 11 bits of tf32, as the hardware's cvt.rna does; for the interpreter."""
    return ((x.to(tl.uint32, bitcast=True) + 0x1000) & 0xFFFFE000).to(tl.float32, bitcast=True)


@triton.jit
def in_pieces(a, b, total):
    """total + a b as "tf32x3" takes it: the product of the small pieces is left out; for the interpreter."""
    first, second = leading(a), leading(b)
    total = tl.dot(leading(a - first), second, total, input_precision="ieee")
    total = tl.dot(first, leading(b - second), total, input_precision="ieee")
    return tl.dot(first, second, total, input_precision="ieee")


@triton.jit
def product(a, b, total, HALF: tl.constexpr, PRECISION: tl.constexpr, INTERPRETED: tl.constexpr):
    """total + a b."""
    if HALF:
        a = rounded(a, INTERPRETED)
        b = rounded(b, INTERPRETED)
    elif INTERPRETED and PRECISION == "tf32x3":
        return in_pieces(a, b, total)
    return tl.dot(a, b, total, input_precision=PRECISION)


@triton.jit
def block(start, rows, columns, STRIDE: tl.constexpr, mask):
    """Rows and columns of a matrix, zero where masked."""
    return tl.load(start + rows[:, None] * STRIDE + columns[None, :], mask=mask, other=0.0)


@triton.jit
def relu(x):
    """As torch's: NaN stays NaN, which Triton's maximum would turn into 0 and so hide that a rollout has failed."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def normalised(x, scale_C, shift_C, eps, C: tl.constexpr, WIDTH: tl.constexpr):
    """LayerNorm of rows (rows, WIDTH) over their first C columns; the others must hold zeros."""
    column = tl.arange(0, WIDTH)
    exists = column < C
    mean = tl.sum(x, 1) / C
    centred = tl.where(exists[None, :], x - mean[:, None], 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / C + eps)
    scale = tl.load(scale_C + column, mask=exists, other=0.0)
    shift = tl.load(shift_C + column, mask=exists, other=0.0)
    return centred * inverse[:, None] * scale[None, :] + shift[None, :]


@triton.jit(do_not_specialize=["n_nodes", "n_edges"])
def edge_kernel(
    in_EF, out_EC, first_CF, bias_C, second_CC, second_bias_C, scale_C, shift_C,
    ends_NP, index_2E, ptr, n_nodes, n_edges, eps,
    F: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr, INPUTS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
    UPDATE: tl.constexpr, COUNTED: tl.constexpr, KEPT_HALF: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    """A perceptron over edges; in an UPDATE the ends' products (N, 2C) join the first layer, and the edge itself the answer.

    If COUNTED, edges beyond the end of the receivers' pointer are nobody's: tiles of them alone are left as they are.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_edges
    if COUNTED:  # noqa: SIM102 (read only where it is compiled)
        if tl.program_id(0) * ROWS >= tl.load(ptr + n_nodes):
            return
    column = tl.arange(0, WIDTH)
    if UPDATE:
        sender = tl.load(index_2E + row, mask=here, other=0).to(tl.int32)
        receiver = tl.load(index_2E + n_edges + row, mask=here, other=0).to(tl.int32)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for begin in range(0, WIDTH, COLUMNS):
        j = begin + tl.arange(0, COLUMNS)
        hidden = tl.zeros((ROWS, COLUMNS), tl.float32)
        for inner in range(0, INPUTS, INNER):
            k = inner + tl.arange(0, INNER)
            a = block(in_EF, row, k, F, here[:, None] & (k < F)[None, :]).to(tl.float32)
            w = tl.load(first_CF + j[None, :] * F + k[:, None], mask=(j < C)[None, :] & (k < F)[:, None], other=0.0)
            hidden = product(a, w, hidden, HALF, PRECISION, INTERPRETED)
        hidden += tl.load(bias_C + j, mask=j < C, other=0.0)[None, :]
        if UPDATE:
            gathered = here[:, None] & (j < C)[None, :]
            hidden += block(ends_NP, sender, j, 2 * C, gathered).to(tl.float32)
            hidden += block(ends_NP + C, receiver, j, 2 * C, gathered).to(tl.float32)
        w = tl.load(
            second_CC + column[None, :] * C + j[:, None], mask=(column < C)[None, :] & (j < C)[:, None], other=0.0
        )
        total = product(relu(hidden), w, total, HALF, PRECISION, INTERPRETED)
    total += tl.load(second_bias_C + column, mask=column < C, other=0.0)[None, :]
    answer = normalised(total, scale_C, shift_C, eps, C, WIDTH)
    stored = here[:, None] & (column < C)[None, :]
    if UPDATE:
        answer += block(in_EF, row, column, C, stored).to(tl.float32)
    if KEPT_HALF:
        answer = rounded(answer, INTERPRETED)
    tl.store(out_EC + row[:, None] * C + column[None, :], answer, mask=stored)


@triton.jit
def sum_kernel(rows_EC, ptr, out_NC, C: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """Sums of the rows of one receiver, ROWS at a time in order: no atomic additions, the same bits in every run."""
    node = tl.program_id(0)
    column = tl.arange(0, WIDTH)
    begin, end = tl.load(ptr + node).to(tl.int32), tl.load(ptr + node + 1).to(tl.int32)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    while begin < end:
        row = begin + tl.arange(0, ROWS)
        total += block(rows_EC, row, column, C, (row < end)[:, None] & (column < C)[None, :]).to(tl.float32)
        begin += ROWS
    tl.store(out_NC + node * C + column, tl.sum(total, 0), mask=column < C)


@triton.jit(do_not_specialize=["n_nodes"])
def node_kernel(
    x_NC, arriving_NC, out_NC, first_CP, bias_C, second_CC, second_bias_C, scale_C, shift_C,
    next_PC, ends_NP, n_nodes, eps,
    C: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
    NEXT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    """Nodes from themselves and what arrives, without their concatenation; NEXT also takes the next round's products of them."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < n_nodes
    column = tl.arange(0, WIDTH)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for begin in range(0, WIDTH, COLUMNS):
        j = begin + tl.arange(0, COLUMNS)
        hidden = tl.zeros((ROWS, COLUMNS), tl.float32)
        for inner in range(0, WIDTH, INNER):
            k = inner + tl.arange(0, INNER)
            known, weighed = here[:, None] & (k < C)[None, :], (j < C)[None, :] & (k < C)[:, None]
            w = tl.load(first_CP + j[None, :] * (2 * C) + k[:, None], mask=weighed, other=0.0)
            hidden = product(block(x_NC, row, k, C, known), w, hidden, HALF, PRECISION, INTERPRETED)
            w = tl.load(first_CP + C + j[None, :] * (2 * C) + k[:, None], mask=weighed, other=0.0)
            hidden = product(block(arriving_NC, row, k, C, known), w, hidden, HALF, PRECISION, INTERPRETED)
        hidden += tl.load(bias_C + j, mask=j < C, other=0.0)[None, :]
        w = tl.load(
            second_CC + column[None, :] * C + j[:, None], mask=(column < C)[None, :] & (j < C)[:, None], other=0.0
        )
        total = product(relu(hidden), w, total, HALF, PRECISION, INTERPRETED)
    total += tl.load(second_bias_C + column, mask=column < C, other=0.0)[None, :]
    stored = here[:, None] & (column < C)[None, :]
    answer = block(x_NC, row, column, C, stored) + normalised(total, scale_C, shift_C, eps, C, WIDTH)
    tl.store(out_NC + row[:, None] * C + column[None, :], answer, mask=stored)
    if NEXT:
        for begin in range(0, 2 * WIDTH, COLUMNS):
            # The products as sender and then as receiver, each in WIDTH columns of which C exist.
            j = begin % WIDTH + tl.arange(0, COLUMNS)
            place = begin // WIDTH * C + j
            w = tl.load(
                next_PC + place[None, :] * C + column[:, None], mask=(j < C)[None, :] & (column < C)[:, None], other=0.0
            )
            made = product(answer, w, tl.zeros((ROWS, COLUMNS), tl.float32), HALF, PRECISION, INTERPRETED)
            if HALF:
                made = rounded(made, INTERPRETED)
            tl.store(ends_NP + row[:, None] * (2 * C) + place[None, :], made, mask=here[:, None] & (j < C)[None, :])
