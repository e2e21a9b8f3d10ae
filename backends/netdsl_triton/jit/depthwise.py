"""How is a depthwise convolution computed?  Channel by channel, without matrix instructions: it waits for memory."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.steps import apply_steps, hinted


@triton.jit
def depthwise(
    x, w, y, strips, channels, x_pitch, w_pitch, y_pitch,
    in_height, in_width, out_height, out_width, strips_across, top, left,
    PROLOGUE: tl.constexpr, prologue_vectors, prologue_pitch,
    STEPS: tl.constexpr, vectors, pitch, other1, pitch1, other2, pitch2,
    KH: tl.constexpr, KW: tl.constexpr, DOWN: tl.constexpr, RIGHT: tl.constexpr,
    DILATED_DOWN: tl.constexpr, DILATED_RIGHT: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, ACROSS: tl.constexpr,
    EVEN_C: tl.constexpr, X_UNIT: tl.constexpr, Y_UNIT: tl.constexpr,
):  # fmt: skip
    """y[b, h, v, c] = epilogue(Σ_ij prologue(x)[b, h·DOWN + i·DILATED_DOWN - top, v·RIGHT + j·DILATED_RIGHT - left, c]
    · w[i, j, c]), where prologue(x) is zero outside of x.

    A program computes BLOCK_P strips of ACROSS (1, 2 or 4) pixels side by side, for BLOCK_C channels: what they share
    of a row of x is loaded once, and what no tap reaches never, as nothing uses it. w is fp32, (KH·KW) x w_pitch.
    """
    x_pitch = hinted(x_pitch, X_UNIT)
    y_pitch = hinted(y_pitch, Y_UNIT)
    pitch1 = hinted(pitch1, Y_UNIT)
    pitch2 = hinted(pitch2, Y_UNIT)
    channels = hinted(channels, Y_UNIT)
    strip = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)[:, None]
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    if EVEN_C:
        known = strip < strips
    else:
        known = (strip < strips) & (c < channels)
    line = strip // strips_across
    v = strip % strips_across * ACROSS
    h = line % out_height
    b = line // out_height
    column0 = v * RIGHT - left
    x_map = x + (b.to(tl.int64) * (in_height * in_width)) * x_pitch + c
    y0 = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    y1 = y0
    y2 = y0
    y3 = y0
    for i in range(KH):
        row = h * DOWN - top + i * DILATED_DOWN
        known_row = known & (row >= 0) & (row < in_height)
        x_row = x_map + (row * in_width).to(tl.int64) * x_pitch
        for t in tl.static_range((ACROSS - 1) * RIGHT + (KW - 1) * DILATED_RIGHT + 1):
            column = column0 + t
            inside = known_row & (column >= 0) & (column < in_width)
            f = tl.load(x_row + column * x_pitch, mask=inside, other=0.0).to(tl.float32)
            if len(PROLOGUE) > 0:
                f = apply_steps(f, PROLOGUE, prologue_vectors, prologue_pitch, c, c, c, None, None, 0, None, 0)
                f = tl.where(inside, f, 0.0)
            y0 = tapped(y0, f, w, w_pitch, c, i, t, KW, DILATED_RIGHT)
            if ACROSS > 1:
                y1 = tapped(y1, f, w, w_pitch, c, i, t - RIGHT, KW, DILATED_RIGHT)
            if ACROSS > 2:
                y2 = tapped(y2, f, w, w_pitch, c, i, t - 2 * RIGHT, KW, DILATED_RIGHT)
                y3 = tapped(y3, f, w, w_pitch, c, i, t - 3 * RIGHT, KW, DILATED_RIGHT)

    for u in tl.static_range(ACROSS):
        if u == 0:
            sums = y0
        elif u == 1:
            sums = y1
        elif u == 2:
            sums = y2
        else:
            sums = y3
        pixel = line * out_width + v + u
        mask = known & (v + u < out_width)
        sums = apply_steps(sums, STEPS, vectors, pitch, pixel, b, c, mask, other1, pitch1, other2, pitch2)
        tl.store(y + pixel.to(tl.int64) * y_pitch + c, sums.to(y.dtype.element_ty), mask=mask)


@triton.jit
def tapped(sums, f, w, w_pitch, c, row, T: tl.constexpr, KW: tl.constexpr, DILATED: tl.constexpr):
    """sums + f·w[row, j] for the tap j that lies T columns from the first, if there is one."""
    if T >= 0 and T % DILATED == 0 and T // DILATED < KW:
        return sums + f * tl.load(w + (row * KW + T // DILATED) * w_pitch + c)
    else:
        return sums
