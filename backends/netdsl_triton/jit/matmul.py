"""How is a matrix product over pixels computed?  1x1 convolutions and linear layers."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.steps import apply_steps, clamp_channels, hinted


@triton.jit
def tile_of(tile, tiles_m, tiles_n, GROUP: tl.constexpr):
    """Which block of rows and of columns: GROUP blocks of rows at a time, so that what they share stays in the cache.

    With GROUP = 1 the columns run fastest: all that is made from the same rows is computed at the same time.
    """
    group = tile // (GROUP * tiles_n)
    height = tl.minimum(tiles_m - group * GROUP, GROUP)
    inside = tile % (GROUP * tiles_n)
    return group * GROUP + inside % height, inside // height


@triton.jit
def leave_part(sums, partial, counters, tile, tiles, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Stores this program's part of a divided sum, and says how many programs have done so before.

    `partial` is parts x tiles x BLOCK_M x BLOCK_N, fp32; `counters`, one for each tile, are zero before and after.
    """
    place = tl.arange(0, BLOCK_M)[:, None] * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]
    tl.store(partial + (tl.program_id(1) * tiles + tile) * (BLOCK_M * BLOCK_N) + place, sums)
    tl.debug_barrier()
    return tl.atomic_add(counters + tile, 1, sem="acq_rel")


@triton.jit
def sum_of_parts(partial, counters, tile, tiles, SPLIT: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Σ of all parts, in their order, so that it does not depend on who comes last."""
    tl.debug_barrier()
    place = tl.arange(0, BLOCK_M)[:, None] * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]
    sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for part in range(SPLIT):
        sums += tl.load(partial + (part * tiles + tile) * (BLOCK_M * BLOCK_N) + place, cache_modifier=".cg")
    tl.store(counters + tile, 0)
    return sums


@triton.jit
def matmul(
    x, w, y, height, width, depth, x_pitch, w_pitch, y_pitch, pixels,
    in_width, in_pixels, out_width, down, right,
    PROLOGUE: tl.constexpr, CLAMP: tl.constexpr, PACKED: tl.constexpr, prologue_vectors, prologue_pitch,
    gate1, gate_pitch1, gate2, gate_pitch2,
    STEPS: tl.constexpr, vectors, pitch, other1, pitch1, other2, pitch2,
    partial, counters,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr, SPLIT: tl.constexpr, STRIDED: tl.constexpr,
    EVEN_M: tl.constexpr, EVEN_N: tl.constexpr, EVEN_K: tl.constexpr,
    X_UNIT: tl.constexpr, Y_UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[m, n] = epilogue(Σ_k prologue(x[row(m), k]) · w[n, k])

    row(m) is m; if STRIDED, the pixel of the input under pixel m of the output. w is padded with zeros to whole blocks.
    Gates, the operands of the prologue, are samples x channels.
    With SPLIT > 1 the sum over k is divided among so many programs; each leaves its part, and the last one to come
    adds them up.
    """
    x_pitch = hinted(x_pitch, X_UNIT)
    y_pitch = hinted(y_pitch, Y_UNIT)
    pitch1 = hinted(pitch1, Y_UNIT)
    pitch2 = hinted(pitch2, Y_UNIT)
    depth = hinted(depth, X_UNIT)
    width = hinted(width, Y_UNIT)
    tiles_m = tl.cdiv(height, BLOCK_M)
    tiles_n = tl.cdiv(width, BLOCK_N)
    tile_m, tile_n = tile_of(tl.program_id(0), tiles_m, tiles_n, GROUP)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]
    columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)

    blocks = tl.cdiv(depth, BLOCK_K)
    if SPLIT > 1:
        share = tl.cdiv(blocks, SPLIT)
        first = tl.program_id(1) * share
        last = tl.minimum(first + share, blocks)
    else:
        first = 0
        last = blocks

    if EVEN_M:
        source = rows
    else:
        source = tl.minimum(rows, height - 1)
    samples = source // pixels
    if STRIDED:
        within = source % pixels
        source = (source // pixels) * in_pixels + (within // out_width) * down * in_width + (within % out_width) * right
    x_block = x + source.to(tl.int64) * x_pitch + inner[None, :]
    w_block = w + columns.to(tl.int64)[None, :] * w_pitch + inner[:, None]
    sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for block in range(first, last):
        k = block * BLOCK_K + inner
        if EVEN_K:
            a = tl.load(x_block + block * BLOCK_K)
        else:
            a = tl.load(x_block + block * BLOCK_K, mask=(k < depth)[None, :], other=0.0)
        if CLAMP:
            a = clamp_channels(a, prologue_vectors, prologue_pitch, k[None, :], PACKED)
        elif len(PROLOGUE) > 0:
            f = a.to(tl.float32)
            if EVEN_K:
                inside = None
            else:
                inside = (k < depth)[None, :]
            f = apply_steps(
                f, PROLOGUE, prologue_vectors, prologue_pitch, rows, samples, k[None, :], inside,
                gate1, gate_pitch1, gate2, gate_pitch2,
            )  # fmt: skip
            a = f.to(a.dtype)
        b = tl.load(w_block + block * BLOCK_K)
        sums = tl.dot(a, b, sums, input_precision=PRECISION)

    if SPLIT > 1:
        tile = tile_m * tiles_n + tile_n
        arrived = leave_part(sums, partial, counters, tile, tiles_m * tiles_n, BLOCK_M, BLOCK_N)
        if arrived != SPLIT - 1:
            return
        sums = sum_of_parts(partial, counters, tile, tiles_m * tiles_n, SPLIT, BLOCK_M, BLOCK_N)

    columns = columns[None, :]
    if EVEN_M and EVEN_N:
        mask = None
    else:
        mask = (rows < height) & (columns < width)
    sums = apply_steps(sums, STEPS, vectors, pitch, rows, rows // pixels, columns, mask, other1, pitch1, other2, pitch2)
    tl.store(y + rows.to(tl.int64) * y_pitch + columns, sums.to(y.dtype.element_ty), mask=mask)


@triton.jit
def matmul_descriptors(
    x, w, y, height, width, depth, pixels,
    PROLOGUE: tl.constexpr, CLAMP: tl.constexpr, PACKED: tl.constexpr, prologue_vectors, prologue_pitch,
    STEPS: tl.constexpr, vectors, pitch, other1, pitch1, other2, pitch2,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr, EVEN_M: tl.constexpr, EVEN_N: tl.constexpr, Y_UNIT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[m, n] = epilogue(Σ_k prologue(x[m, k]) · w[n, k])

    x, w and y are tensor descriptors: blocks travel through the tensor memory accelerator, which reads zeros and writes
    nothing beyond the edges. As many programs as multiprocessors take one tile after the other.
    """
    pitch1 = hinted(pitch1, Y_UNIT)
    pitch2 = hinted(pitch2, Y_UNIT)
    tiles_m = tl.cdiv(height, BLOCK_M)
    tiles_n = tl.cdiv(width, BLOCK_N)
    blocks = tl.cdiv(depth, BLOCK_K)
    for tile in tl.range(tl.program_id(0), tiles_m * tiles_n, tl.num_programs(0), flatten=True):
        tile_m, tile_n = tile_of(tile, tiles_m, tiles_n, GROUP)
        sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for block in range(blocks):
            a = x.load([tile_m * BLOCK_M, block * BLOCK_K])
            k = (block * BLOCK_K + tl.arange(0, BLOCK_K))[None, :]
            if CLAMP:
                a = clamp_channels(a, prologue_vectors, prologue_pitch, k, PACKED)
            elif len(PROLOGUE) > 0:
                f = apply_steps(
                    a.to(tl.float32), PROLOGUE, prologue_vectors, prologue_pitch, k, k, k, None, None, 0, None, 0
                )
                a = f.to(a.dtype)
            b = w.load([tile_n * BLOCK_N, block * BLOCK_K])
            sums = tl.dot(a, b.T, sums, input_precision=PRECISION)
        rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]
        columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]
        if EVEN_M and EVEN_N:
            mask = None
        else:
            mask = (rows < height) & (columns < width)
        sums = apply_steps(
            sums, STEPS, vectors, pitch, rows, rows // pixels, columns, mask, other1, pitch1, other2, pitch2
        )
        y.store([tile_m * BLOCK_M, tile_n * BLOCK_N], sums.to(y.dtype))
