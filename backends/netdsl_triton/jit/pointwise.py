"""Steps that no other element has absorbed."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.steps import apply_steps


@triton.jit
def pointwise(
    x,
    y,
    rows,
    pixels,
    channels,
    x_pitch,
    y_pitch,
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
    """y[r, c] = f(x[r, c]), f the steps; gates have a row for each sample, which has so many `pixels`"""
    channels, x_pitch, y_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT, y_pitch // UNIT * UNIT
    pitch1, pitch2 = pitch1 // UNIT * UNIT, pitch2 // UNIT * UNIT
    r = tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)[:, None]
    c = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    inside = (r < rows) & (c < channels)
    a = tl.load(x + r * x_pitch + c, mask=inside, other=0.0).to(tl.float32)
    a = apply_steps(a, STEPS, vectors, pitch, r, r // pixels, c, inside, other1, pitch1, other2, pitch2)
    tl.store(y + r * y_pitch + c, a.to(y.dtype.element_ty), mask=inside)
