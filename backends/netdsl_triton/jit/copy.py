"""Channels moved from one place to another.

Here and in the other kernels that only move memory: `UNIT` divides all pitches and numbers of channels, and
`n // UNIT * UNIT` tells the compiler, so that it reads and writes vectors.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def copy_channels(
    x, y, rows, channels, x_pitch, y_pitch, UNIT: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr
):
    """y[r, c] = x[r, c] for rows r and channels c, which lie pitches apart"""
    channels, x_pitch, y_pitch = channels // UNIT * UNIT, x_pitch // UNIT * UNIT, y_pitch // UNIT * UNIT
    r = tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)[:, None]
    c = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    inside = (r < rows) & (c < channels)
    tl.store(y + r * y_pitch + c, tl.load(x + r * x_pitch + c, mask=inside), mask=inside)
