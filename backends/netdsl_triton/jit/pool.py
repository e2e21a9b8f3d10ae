"""Pooling over windows."""

from __future__ import annotations

import triton
import triton.language as tl

from netdsl_triton.jit.steps import apply_steps


@triton.jit
def pool(
    x,
    y,
    rows,
    height,
    width,
    out_height,
    out_width,
    strips,
    channels,
    x_pitch,
    y_pitch,
    KIND: tl.constexpr,
    WINDOW: tl.constexpr,
    COUNTED: tl.constexpr,
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
    STRIP: tl.constexpr,
    UNIT: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """y[n, i, j, c] = g(max_{u, v} f(x[n, i·S - p + u·d, j·S - q + v·d, c])), or the mean; f the prologue, g the steps

    WINDOW is kernel, stride, padding before and after, dilation, each of height and width. A mean is over the places
    inside the map, and with COUNTED over those of the padding too. A program does STRIP rows of windows, one below the
    other: what is found along a row of x serves all windows that overlap there.
    """
    channels, x_pitch, y_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT, y_pitch // UNIT * UNIT
    KH: tl.constexpr = WINDOW[0]
    KW: tl.constexpr = WINDOW[1]
    SH: tl.constexpr = WINDOW[2]
    DH: tl.constexpr = WINDOW[8]
    r = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)[:, None]
    c = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    j = r % out_width
    i = (r // out_width) % strips * STRIP
    n = (r // (out_width * strips)).to(tl.int64)
    top = i * SH - WINDOW[4]
    left = j * WINDOW[3] - WINDOW[5]
    results = ()
    for s in tl.static_range(STRIP):
        if KIND == "avg":
            a = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
            taken = tl.zeros((BLOCK_ROWS, 1), tl.int32)
        else:
            a = tl.full((BLOCK_ROWS, BLOCK_CHANNELS), float("-inf"), tl.float32)
        for u in tl.static_range(KH):
            h = top + (s * SH + u * DH)
            line = along(
                x, n, h, left, height, width, (r < rows) & (c < channels), c, x_pitch,
                KIND, WINDOW, PROLOGUE, prologue_vectors, prologue_pitch, BLOCK_ROWS, BLOCK_CHANNELS,
            )  # fmt: skip
            if KIND == "avg":
                a += line
                taken += counted(h, height, WINDOW[6], COUNTED)
            else:
                a = tl.maximum(a, line, propagate_nan=tl.PropagateNan.ALL)
        if KIND == "avg":
            across = tl.zeros((BLOCK_ROWS, 1), tl.int32)
            for v in tl.static_range(KW):
                across += counted(left + v * WINDOW[9], width, WINDOW[7], COUNTED)
            a = a / (taken * across).to(tl.float32)
        results = results + (a,)  # noqa: RUF005
    for s in tl.static_range(STRIP):
        at = (n * out_height + i + s) * out_width + j
        inside = (r < rows) & (i + s < out_height) & (c < channels)
        a = apply_steps(results[s], STEPS, vectors, pitch, at, n, c, inside, other1, pitch1, other2, pitch2)
        tl.store(y + at * y_pitch + c, a.to(y.dtype.element_ty), mask=inside)


@triton.jit
def along(
    x, n, h, left, height, width, wanted, c, x_pitch,
    KIND: tl.constexpr, WINDOW: tl.constexpr, PROLOGUE: tl.constexpr, vectors, pitch,
    BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    """max_v f(x[n, h, left + v·d, c]), or the sum, over the places inside the map"""
    nothing: tl.constexpr = 0.0 if KIND == "avg" else float("-inf")
    found = tl.full((BLOCK_ROWS, BLOCK_CHANNELS), nothing, tl.float32)
    KW: tl.constexpr = WINDOW[1]
    for v in tl.static_range(KW):
        w = left + v * WINDOW[9]
        inside = wanted & (h >= 0) & (h < height) & (w >= 0) & (w < width)
        a = tl.load(x + ((n * height + h) * width + w) * x_pitch + c, mask=inside, other=nothing).to(tl.float32)
        if len(PROLOGUE) > 0:
            a = tl.where(inside, apply_steps(a, PROLOGUE, vectors, pitch, w, w, c, None, None, 0, None, 0), nothing)
        found = found + a if KIND == "avg" else tl.maximum(found, a, propagate_nan=tl.PropagateNan.ALL)
    return found


@triton.jit
def counted(place, size, AFTER: tl.constexpr, COUNTED: tl.constexpr):
    """1 where a place counts in the mean, else 0; what is rounded up reaches beyond the padding, and never counts"""
    if COUNTED:
        return (place < size + AFTER).to(tl.int32)
    else:
        return ((place >= 0) & (place < size)).to(tl.int32)
