"""How are steps computed inside a kernel?  `apply_steps`, which a kernel calls on the block it holds in registers.

A kernel takes five arguments for its steps, which `netdsl_triton.kernels.common.step_arguments` makes:

    STEPS             constexpr: (kind, value, row, operand, kind, value, …), four for each step
    vectors, pitch    fp32, rows of `pitch` values: bias, scales, slopes … A step uses the rows from its `row` on. They
                      are padded to a multiple of 256, so that no block of channels reaches over the end
    other1, other2    the operands of add, mul and gate, of which a step uses number 1 or 2; None where there is none
    pitch1, pitch2    values from one row of the operand to the next

and calls, for a block x of rows x channels in fp32,

    x = apply_steps(x, STEPS, vectors, pitch, rows, samples, channels, mask, other1, pitch1, other2, pitch2)

where `rows` (R x 1) are the rows in operands of add and mul (pixels over the batch), `samples` (R x 1) the rows in
those of gate, `channels` (1 x C) the channels, and `mask` (R x C, or None) what may be read of the operands.
Every step hands NaN on, as PyTorch does.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def hinted(value, UNIT: tl.constexpr):
    """The value, which UNIT divides, so that the compiler knows it; multiples of 16 it has been told of anyway.

    `tl.multiple_of` says nothing of an argument: it marks the operation that computes a value.
    """
    if UNIT > 1 and UNIT < 16:
        return value // UNIT * UNIT
    else:
        return value


@triton.jit
def apply_steps(x, STEPS: tl.constexpr, vectors, pitch, rows, samples, channels, mask, other1, pitch1, other2, pitch2):
    """x ← f_n(… f_2(f_1(x)))"""
    for i in tl.static_range(0, len(STEPS), 4):
        vector = vectors + STEPS[i + 2] * pitch + channels
        if STEPS[i] == "add" or STEPS[i] == "mul":
            y = _operand(STEPS, i, rows, channels, mask, other1, pitch1, other2, pitch2)
        elif STEPS[i] == "gate":
            y = _operand(STEPS, i, samples, channels, mask, other1, pitch1, other2, pitch2)
        else:
            y = x
        x = _step(x, y, STEPS, i, vector, pitch)
    return x


@triton.jit
def _step(x, y, STEPS: tl.constexpr, AT: tl.constexpr, vector, pitch):
    """f(x), f(x, y), or f(x) with the vectors v_0 (at `vector`) and v_1 (a pitch further)"""
    if STEPS[AT] == "bias":
        z = x + tl.load(vector)
    elif STEPS[AT] == "affine":
        z = x * tl.load(vector) + tl.load(vector + pitch)
    elif STEPS[AT] == "prelu":
        slope = tl.load(vector)
        z = tl.where(x > 0.0, x, tl.where((slope == 0.0) & (x < 0.0), 0.0, x * slope))  # -∞·0 is 0, as relu has it
    elif STEPS[AT] == "scale":
        z = x * STEPS[AT + 1]
    elif STEPS[AT] == "leaky_relu":
        z = tl.where(x > 0.0, x, x * STEPS[AT + 1])
    elif STEPS[AT] == "add":
        z = x + y
    elif STEPS[AT] == "mul" or STEPS[AT] == "gate":
        z = x * y
    else:
        z = unary(x, STEPS, AT)
    return z


@triton.jit
def _operand(STEPS: tl.constexpr, AT: tl.constexpr, rows, channels, mask, other1, pitch1, other2, pitch2):
    """other[row, channel] in fp32, of operand 1 or 2."""
    tl.static_assert(STEPS[AT + 3] == 1 or STEPS[AT + 3] == 2)
    if STEPS[AT + 3] == 1:
        pointers = other1 + rows.to(tl.int64) * pitch1 + channels
    else:
        pointers = other2 + rows.to(tl.int64) * pitch2 + channels
    if mask is None:
        return tl.load(pointers).to(tl.float32)
    else:
        return tl.load(pointers, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def clamp(x, low, high):
    """min(max(x, low), high), NaN where x is NaN"""
    x = tl.maximum(x, low, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(x, high, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def clamp_channels(x, vectors, pitch, channels, PACKED: tl.constexpr):
    """min(max(x, low), high) with the bounds of each channel, in the type of x; PACKED: two bf16 at a time, on CUDA."""
    low = tl.load(vectors + channels).to(x.dtype)
    high = tl.load(vectors + pitch + channels).to(x.dtype)
    if PACKED:
        return tl.inline_asm_elementwise(
            "{ .reg .b32 t; max.NaN.bf16x2 t, $1, $2; min.NaN.bf16x2 $0, t, $3; }",
            "=r,r,r,r",
            [x, low, high],
            dtype=tl.bfloat16,
            is_pure=True,
            pack=2,
        )
    else:
        return clamp(x, low, high).to(x.dtype)


@triton.jit
def unary(x, STEPS: tl.constexpr, AT: tl.constexpr):
    """f(x) for a step without weights or operands, in fp32"""
    if STEPS[AT] == "relu":
        y = tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)
    elif STEPS[AT] == "relu6":
        y = clamp(x, 0.0, 6.0)
    elif STEPS[AT] == "elu":
        y = tl.where(x > 0.0, x, tl.exp(x) - 1.0)
    elif STEPS[AT] == "gelu":  # x·Φ(x)
        y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif STEPS[AT] == "silu":
        y = x * tl.sigmoid(x)
    elif STEPS[AT] == "hard_swish":
        y = x * clamp(x + 3.0, 0.0, 6.0) * (1 / 6)
    elif STEPS[AT] == "mish":  # tanh(ln(1 + e)) = e(e + 2)/(e(e + 2) + 2); from x = 20 on it is 1 in fp32
        e = tl.exp(tl.minimum(x, 20.0))
        n = e * (e + 2.0)
        y = x * (n / (n + 2.0))
    elif STEPS[AT] == "sigmoid":
        y = tl.sigmoid(x)
    elif STEPS[AT] == "hard_sigmoid":
        y = clamp(x + 3.0, 0.0, 6.0) * (1 / 6)
    elif STEPS[AT] == "tanh":
        y = 1.0 - 2.0 / (tl.exp(2.0 * x) + 1.0)
    elif STEPS[AT] == "softplus":  # max(x, 0) + ln(1 + exp(-|x|))
        y = tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL) + tl.log(1.0 + tl.exp(-tl.abs(x)))
    else:
        tl.static_assert(False, "no such step")
        y = x
    return y
