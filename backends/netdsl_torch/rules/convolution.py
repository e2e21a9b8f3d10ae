"""Convolution and transposed convolution."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, Hole, hole, joined
from netdsl_torch.rules.base import Rule, Types, dims, extent, sides, symmetric


def conv(op: Any, inputs: Types) -> Code:
    x = inputs[0]
    even = symmetric(op.padding)
    code: list[str | Hole] = [f"nn.Conv{dims(x)}(" if even else f"UnevenConv{dims(x)}("]
    code += joined(
        [(hole(x.channels, "in_channels"),), (hole(op.out_channels, "out_channels"),), extent(op.kernel, "kernel_size")]
    )
    code += extent(op.stride, "stride", ", stride=", 1)
    if even:
        code += extent(tuple(before for before, _ in op.padding), "padding", ", padding=", 0)
    code += extent(op.dilation, "dilation", ", dilation=", 1)
    code.append(hole(op.groups, "groups", ", groups=", 1))
    code.append("" if op.bias else ", bias=False")
    code.append(")" if even else f", sides={sides(op.padding)})")
    return tuple(code)


def conv_transpose(op: Any, inputs: Types) -> Code:
    x = inputs[0]
    code: list[str | Hole] = [f"nn.ConvTranspose{dims(x)}("]
    code += joined(
        [(hole(x.channels, "in_channels"),), (hole(op.out_channels, "out_channels"),), extent(op.kernel, "kernel_size")]
    )
    code += extent(op.stride, "stride", ", stride=", 1)
    code += extent(op.padding, "padding", ", padding=", 0)
    code += extent(op.out_padding, "output_padding", ", output_padding=", 0)
    code += extent(op.dilation, "dilation", ", dilation=", 1)
    code.append(hole(op.groups, "groups", ", groups=", 1))
    code.append(")" if op.bias else ", bias=False)")
    return tuple(code)


RULES = {
    "conv": Rule(conv),
    "conv_transpose": Rule(conv_transpose),
}
