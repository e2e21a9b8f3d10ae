"""Means and maxima over space."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.steps import apply_steps


@triton.jit
def mean(
    x,
    y,
    pixels,
    channels,
    x_pitch,
    y_pitch,
    KIND: tl.constexpr,
    PROLOGUE: tl.constexpr,
    prologue_vectors,
    prologue_pitch,
    STEPS: tl.constexpr,
    vectors,
    pitch,
    other1,
    pitch1,
    other2,
    pitch2,
    UNIT: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """y[n, c] = g(1/P Σ_p f(x[n, p, c])), or g(max_p …); f the prologue, g the steps (Lin et al. 2013, §3.2)"""
    channels, x_pitch, y_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT, y_pitch // UNIT * UNIT
    n = tl.program_id(0)
    c = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    a = reduced(
        x, n, pixels, c, channels, x_pitch, KIND, PROLOGUE, prologue_vectors, prologue_pitch, BLOCK_ROWS, BLOCK_CHANNELS
    )
    here = n + tl.zeros((1, 1), tl.int64)
    a = apply_steps(a, STEPS, vectors, pitch, here, here, c, c < channels, other1, pitch1, other2, pitch2)
    tl.store(y + here * y_pitch + c, a.to(y.dtype.element_ty), mask=c < channels)


@triton.jit
def reduced(
    x,
    n,
    pixels,
    c,
    channels,
    x_pitch,
    KIND: tl.constexpr,
    PROLOGUE: tl.constexpr,
    vectors,
    pitch,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """1/P Σ_p f(x[n, p, c]) or max_p f(x[n, p, c]), 1 x C in fp32; zeros outside the channels"""
    nothing: tl.constexpr = 0.0 if KIND == "avg" else float("-inf")
    found = tl.full((BLOCK_ROWS, BLOCK_CHANNELS), nothing, tl.float32)
    first = n.to(tl.int64) * pixels
    for start in range(0, pixels, BLOCK_ROWS):
        p = start + tl.arange(0, BLOCK_ROWS)[:, None]
        inside = (p < pixels) & (c < channels)
        a = tl.load(x + (first + p) * x_pitch + c, mask=inside, other=0.0).to(tl.float32)
        if len(PROLOGUE) > 0:
            a = apply_steps(a, PROLOGUE, vectors, pitch, p, p, c, None, None, 0, None, 0)
        a = tl.where(inside, a, nothing)
        found = found + a if KIND == "avg" else tl.maximum(found, a, propagate_nan=tl.PropagateNan.ALL)
    if KIND == "avg":
        whole = tl.sum(found, 0, keep_dims=True) / pixels
    else:
        whole = tl.reduce(found, 0, largest, keep_dims=True)
    return whole


@triton.jit
def largest(a, b):
    """max(a, b), NaN where one of them is"""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
