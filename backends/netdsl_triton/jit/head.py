"""Global average pooling and the classifier behind it."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.mean import reduced
from netdsl_triton.jit.steps import apply_steps


@triton.jit
def head(
    x,
    weight,
    y,
    pixels,
    channels,
    features,
    x_pitch,
    y_pitch,
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
    BLOCK_FEATURES: tl.constexpr,
):
    """y[n, o] = g(Σ_c w[o, c]·(1/P Σ_p f(x[n, p, c]))); f the prologue, g the bias and the steps"""
    channels, x_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT
    n = tl.program_id(0)
    o = tl.program_id(1) * BLOCK_FEATURES + tl.arange(0, BLOCK_FEATURES)[:, None]
    found = tl.zeros((BLOCK_FEATURES, BLOCK_CHANNELS), tl.float32)
    for start in range(0, channels, BLOCK_CHANNELS):
        c = start + tl.arange(0, BLOCK_CHANNELS)[None, :]
        m = reduced(
            x,
            n,
            pixels,
            c,
            channels,
            x_pitch,
            "avg",
            PROLOGUE,
            prologue_vectors,
            prologue_pitch,
            BLOCK_ROWS,
            BLOCK_CHANNELS,
        )
        inside = (o < features) & (c < channels)
        found += tl.load(weight + o.to(tl.int64) * channels + c, mask=inside, other=0.0).to(tl.float32) * m
    o = tl.program_id(1) * BLOCK_FEATURES + tl.arange(0, BLOCK_FEATURES)
    a = tl.sum(found, 1)[None, :]
    here = n + tl.zeros((1, 1), tl.int64)
    a = apply_steps(
        a, STEPS, vectors, pitch, here, here, o[None, :], o[None, :] < features, other1, pitch1, other2, pitch2
    )
    tl.store(y + here * y_pitch + o[None, :], a.to(y.dtype.element_ty), mask=o[None, :] < features)
