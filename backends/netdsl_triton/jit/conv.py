"""How is a convolution computed?  As a matrix product whose rows are gathered while it runs (implicit GEMM)."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.matmul import leave_part, sum_of_parts, tile_of
from netdsl_triton.jit.steps import apply_steps, hinted


@triton.jit
def conv(
    x, w, y, height, depth, x_pitch, w_pitch, y_pitch,
    in_height, in_width, out_width, pixels, top, left, tiles_n, tile_width, tile_shift, width,
    PROLOGUE: tl.constexpr, prologue_vectors, prologue_pitch,
    STEPS: tl.constexpr, vectors, pitch, other1, pitch1, other2, pitch2,
    partial, counters,
    KH: tl.constexpr, KW: tl.constexpr, DOWN: tl.constexpr, RIGHT: tl.constexpr,
    DILATED_DOWN: tl.constexpr, DILATED_RIGHT: tl.constexpr,
    CHANNELS: tl.constexpr, SPAN: tl.constexpr, FORM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr, SPLIT: tl.constexpr,
    EVEN_M: tl.constexpr, EVEN_N: tl.constexpr, EVEN_K: tl.constexpr, PADDED: tl.constexpr,
    X_UNIT: tl.constexpr, Y_UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[b, h, v, n] = epilogue(Σ_ijc prologue(x)[b, h·DOWN + i·DILATED_DOWN - top, v·RIGHT + j·DILATED_RIGHT - left, c]
    · w[n, i, j, c]), where prologue(x) is zero outside of x.

    Rows are pixels of the output over the batch, `pixels` for each sample. A tile has `tile_width` columns, and reads
    `depth` channels from its `tile_shift`·number on: all of them (shift 0), or for groups those of as many groups as
    fill it, w being block-diagonal. FORM is of the loop over i, j and blocks of c: `loop`, one loop, which can be
    pipelined from end to end; `nest`, loops in loops; `packed`, one over blocks of all (i, j, c), for few CHANNELS.
    There c runs over SPAN, which may be more, so that a pixel is read at once; what lies after its channels is dropped.
    """
    x_pitch = hinted(x_pitch, X_UNIT)
    depth = hinted(depth, X_UNIT)
    tile_shift = hinted(tile_shift, X_UNIT)
    y_pitch = hinted(y_pitch, Y_UNIT)
    pitch1 = hinted(pitch1, Y_UNIT)
    pitch2 = hinted(pitch2, Y_UNIT)
    tile_width = hinted(tile_width, Y_UNIT)
    width = hinted(width, Y_UNIT)
    tiles_m = tl.cdiv(height, BLOCK_M)
    tile_m, tile_n = tile_of(tl.program_id(0), tiles_m, tiles_n, GROUP)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]
    inner = tl.arange(0, BLOCK_K)
    if EVEN_M:
        source = rows
    else:
        source = tl.minimum(rows, height - 1)
    within = source % pixels
    h = (within // out_width) * DOWN - top
    v = (within % out_width) * RIGHT - left
    first_channel = tile_n * tile_shift
    corner = (source // pixels).to(tl.int64) * (in_height * in_width) + h * in_width + v
    x_block = x + corner * x_pitch + first_channel
    lines = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    w_block = w + lines.to(tl.int64)[None, :] * w_pitch + inner[:, None]
    sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)

    if FORM == "packed":
        steps = tl.cdiv(KH * KW * SPAN, BLOCK_K)
        blocks = steps
    else:
        blocks = tl.cdiv(depth, BLOCK_K)
        steps = KH * KW * blocks
    if SPLIT > 1:
        share = tl.cdiv(steps, SPLIT)
        first = tl.program_id(1) * share
        last = tl.minimum(first + share, steps)
    else:
        first = 0
        last = steps

    if FORM == "packed":
        for step in range(first, last):
            k = (step * BLOCK_K + inner)[None, :]
            i = k // (KW * SPAN)
            j = k // SPAN - i * KW  # so put, the compiler sees that it stays the same over SPAN
            c = k % SPAN
            a = gathered(
                x_block, h, v, i, j, c, k < KH * KW * SPAN, in_height, in_width, x_pitch, first_channel,
                PROLOGUE, prologue_vectors, prologue_pitch, DILATED_DOWN, DILATED_RIGHT, True,
            )  # fmt: skip
            if SPAN > CHANNELS:
                a = tl.where(c < CHANNELS, a, 0.0)
            sums = tl.dot(a, tl.load(w_block + step * BLOCK_K), sums, input_precision=PRECISION)
    elif FORM == "loop":
        for step in range(first, last):
            tap = step // blocks
            c = ((step % blocks) * BLOCK_K + inner)[None, :]
            a = gathered(
                x_block, h, v, tap // KW, tap % KW, c, None if EVEN_K else c < depth, in_height, in_width, x_pitch,
                first_channel, PROLOGUE, prologue_vectors, prologue_pitch, DILATED_DOWN, DILATED_RIGHT, PADDED,
            )  # fmt: skip
            sums = tl.dot(a, tl.load(w_block + step * BLOCK_K), sums, input_precision=PRECISION)
    else:
        for i in range(KH):
            for j in range(KW):
                w_tap = w_block + (i * KW + j) * (blocks * BLOCK_K)
                for block in range(blocks):
                    c = (block * BLOCK_K + inner)[None, :]
                    a = gathered(
                        x_block, h, v, i, j, c, None if EVEN_K else c < depth, in_height, in_width, x_pitch,
                        first_channel, PROLOGUE, prologue_vectors, prologue_pitch, DILATED_DOWN, DILATED_RIGHT, PADDED,
                    )  # fmt: skip
                    sums = tl.dot(a, tl.load(w_tap + block * BLOCK_K), sums, input_precision=PRECISION)

    if SPLIT > 1:
        tile = tile_m * tiles_n + tile_n
        arrived = leave_part(sums, partial, counters, tile, tiles_m * tiles_n, BLOCK_M, BLOCK_N)
        if arrived != SPLIT - 1:
            return
        sums = sum_of_parts(partial, counters, tile, tiles_m * tiles_n, SPLIT, BLOCK_M, BLOCK_N)

    inside = tl.arange(0, BLOCK_N)[None, :]
    columns = tile_n * tile_width + inside
    if EVEN_M and EVEN_N:
        mask = None
    else:
        mask = (rows < height) & (inside < tile_width) & (columns < width)
    sums = apply_steps(sums, STEPS, vectors, pitch, rows, rows // pixels, columns, mask, other1, pitch1, other2, pitch2)
    tl.store(y + rows.to(tl.int64) * y_pitch + columns, sums.to(y.dtype.element_ty), mask=mask)


@triton.jit
def gathered(
    x_block, h, v, i, j, c, known, in_height, in_width, x_pitch, first_channel,
    PROLOGUE: tl.constexpr, prologue_vectors, prologue_pitch,
    DILATED_DOWN: tl.constexpr, DILATED_RIGHT: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """prologue(x) at tap (i, j) and channels c: rows x channels, zero in the padding and where not `known`."""
    down, right = i * DILATED_DOWN, j * DILATED_RIGHT
    pointers = x_block + (down * in_width + right).to(tl.int64) * x_pitch + c
    if PADDED:
        row, column = h + down, v + right
        inside = (row >= 0) & (row < in_height) & (column >= 0) & (column < in_width)
        if known is not None:
            inside = inside & known
        a = tl.load(pointers, mask=inside, other=0.0)
    elif known is not None:
        inside = known
        a = tl.load(pointers, mask=inside, other=0.0)
    else:
        inside = None
        a = tl.load(pointers)
    if len(PROLOGUE) > 0:
        f = a.to(tl.float32)
        f = apply_steps(f, PROLOGUE, prologue_vectors, prologue_pitch, c, c, first_channel + c, None, None, 0, None, 0)
        if inside is not None:
            f = tl.where(inside, f, 0.0)
        a = f.to(a.dtype)
    return a


@triton.jit
def conv_descriptors(
    x, w, y, depth, in_height, in_width, out_height, out_width, batch, width, top, left,
    PROLOGUE: tl.constexpr, prologue_vectors, prologue_pitch,
    STEPS: tl.constexpr, vectors, pitch, other1, pitch1, other2, pitch2,
    KH: tl.constexpr, KW: tl.constexpr, DILATED_DOWN: tl.constexpr, DILATED_RIGHT: tl.constexpr,
    PATCH_B: tl.constexpr, PATCH_H: tl.constexpr, PATCH_W: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, EVEN: tl.constexpr, Y_UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[b, h, v, n] = epilogue(Σ_ijc prologue(x)[b, h + i·DILATED_DOWN - top, v + j·DILATED_RIGHT - left, c]
    · w[n, i, j, c]), where prologue(x) is zero outside of x; stride 1.

    x and y are tensor descriptors of maps (B, H, W, C), w of a matrix. The rows of a tile are a patch of PATCH_B
    samples, PATCH_H x PATCH_W pixels, so the input under a tap is a box, which the tensor memory accelerator fetches;
    beyond the edges it reads the zeros of the padding, and writes nothing.
    """
    pitch1 = hinted(pitch1, Y_UNIT)
    pitch2 = hinted(pitch2, Y_UNIT)
    BLOCK_M: tl.constexpr = PATCH_B * PATCH_H * PATCH_W
    tiles_n = tl.cdiv(width, BLOCK_N)
    across = tl.cdiv(out_width, PATCH_W)
    along = tl.cdiv(out_height, PATCH_H)
    tile = tl.program_id(0)
    n = tile % tiles_n * BLOCK_N
    patch = tile // tiles_n
    v = patch % across * PATCH_W
    h = patch // across % along * PATCH_H
    b = patch // (across * along) * PATCH_B
    place = tl.arange(0, BLOCK_M)[:, None]
    rows_v = v + place % PATCH_W
    rows_h = h + place // PATCH_W % PATCH_H
    rows_b = b + place // (PATCH_W * PATCH_H)

    blocks = tl.cdiv(depth, BLOCK_K)
    sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for step in range(KH * KW * blocks):
        tap = step // blocks
        down, right = tap // KW * DILATED_DOWN - top, tap % KW * DILATED_RIGHT - left
        c = step % blocks * BLOCK_K
        a = x.load([b, h + down, v + right, c]).reshape(BLOCK_M, BLOCK_K)
        if len(PROLOGUE) > 0:
            k = (c + tl.arange(0, BLOCK_K))[None, :]
            f = a.to(tl.float32)
            f = apply_steps(f, PROLOGUE, prologue_vectors, prologue_pitch, k, k, k, None, None, 0, None, 0)
            row, column = rows_h + down, rows_v + right
            inside = (row >= 0) & (row < in_height) & (column >= 0) & (column < in_width)
            a = tl.where(inside, f, 0.0).to(a.dtype)
        sums = tl.dot(a, w.load([n, step * BLOCK_K]).T, sums, input_precision=PRECISION)

    columns = n + tl.arange(0, BLOCK_N)[None, :]
    if EVEN:
        mask = None
    else:
        mask = (rows_b < batch) & (rows_h < out_height) & (rows_v < out_width) & (columns < width)
    rows = (rows_b * out_height + rows_h) * out_width + rows_v
    sums = apply_steps(sums, STEPS, vectors, pitch, rows, rows_b, columns, mask, other1, pitch1, other2, pitch2)
    y.store([b, h, v, n], sums.to(y.dtype).reshape(PATCH_B, PATCH_H, PATCH_W, BLOCK_N))
