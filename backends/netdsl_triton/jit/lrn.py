"""Local response normalisation."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def lrn(
    x,
    y,
    rows,
    channels,
    x_pitch,
    y_pitch,
    K: tl.constexpr,
    ALPHA: tl.constexpr,
    BETA: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    UNIT: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """y[r, c] = x[r, c] / d^β, d = k + α·Σ_j x[r, j]², j from c - BEFORE to c + AFTER (Krizhevsky et al. 2012, §3.3)"""
    channels, x_pitch, y_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT, y_pitch // UNIT * UNIT
    r = tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)[:, None]
    c = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    inside = (r < rows) & (c < channels)
    a = tl.load(x + r * x_pitch + c, mask=inside, other=0.0).to(tl.float32)
    total = a * a
    for j in tl.static_range(-BEFORE, AFTER + 1):
        if j != 0:  # neighbours are in the first-level cache: the middle one has brought them
            there = (r < rows) & (c + j >= 0) & (c + j < channels)
            b = tl.load(x + r * x_pitch + (c + j), mask=there, other=0.0).to(tl.float32)
            total += b * b
    a *= power(K + ALPHA * total, BETA)
    tl.store(y + r * y_pitch + c, a.to(y.dtype.element_ty), mask=inside)


@triton.jit
def power(d, BETA: tl.constexpr):
    """d^-β for d > 0; for the β of the paper by roots: d^(-3/4) = d^(-1/2)·√(d^(-1/2))"""
    if BETA == 0.75:
        root = tl.rsqrt(d)
        p = root * tl.sqrt(root)
    elif BETA == 0.5:
        p = tl.rsqrt(d)
    else:
        p = tl.exp2(-BETA * tl.log2(d))
    return p
