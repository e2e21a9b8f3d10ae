"""Convolutions and linear layers: oneDNN's, with what follows as its post-ops and weights laid out beforehand.

Small matrix products go to BLAS, whose calls cost less; where there is no oneDNN, all go to PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netdsl.passes.fused import FusedConv, Head, Step, concrete
from netdsl_triton.cpu.bind import Bound, Make, Site, channels_last, has_onednn, shape_of
from netdsl_triton.cpu.steps import finished, in_place, written

SMALL = 5_000_000
"""Multiply-accumulates up to which a matrix product goes to BLAS: oneDNN's calls take some 20 µs longer."""

Attribute = tuple[str, list[float], str]
"""A post-op as PyTorch's oneDNN functions take it: its name, its numbers, its algorithm."""

ATTRIBUTES: dict[str, Attribute] = {
    "relu": ("relu", [], ""),
    "relu6": ("hardtanh", [0.0, 6.0], ""),
    "gelu": ("gelu", [], "none"),
    "silu": ("swish", [], ""),
    "hard_swish": ("hardswish", [], ""),
    "sigmoid": ("sigmoid", [], ""),
    "hard_sigmoid": ("hardsigmoid", [], ""),
    "tanh": ("tanh", [], ""),
}
LOSES_NAN = ("relu", "relu6", "hard_sigmoid")
NONE: Attribute = ("none", [], "")


def attribute(step: Step, exact: bool) -> Attribute | None:
    """The post-op that does a step; None if there is none."""
    if exact and step.kind in LOSES_NAN:
        return None
    if step.kind == "leaky_relu":
        return ("leaky_relu", [step.value], "")
    return ATTRIBUTES.get(step.kind)


def conv(site: Site) -> Bound:
    op = site.op
    assert isinstance(op, FusedConv)
    if not op.kernel or op.flat:
        return matrix_layer(site)
    if small_product(op, site):
        return product(site)
    if has_onednn() and len(op.kernel) == 2:
        return fused_conv(site)
    return plain_conv(site)


def small_product(op: FusedConv, site: Site) -> bool:
    """Whether it is a matrix product over pixels, perhaps over every second one, that does not take long."""
    if len(op.kernel) != 2 or set(op.kernel) != {1} or op.groups > 1 or any(map(any, op.padding)):
        return False
    macs = site.samples * concrete(op.macs(site.inputs, site.output))
    return macs <= SMALL and site.dtype == torch.float32


def product(site: Site) -> Bound:
    """y = x·Wᵀ + b over the pixels: rows of C values, of a slice of a wider buffer, too."""
    op = site.op
    assert isinstance(op, FusedConv)
    c, k = concrete(site.inputs[0].channels), op.out_channels
    weight = site.weights["weight"].reshape(k, c).t().contiguous()
    bias = site.weights.get("bias")
    down, right = op.stride

    def rows(x: Tensor) -> Tensor:
        if down > 1 or right > 1:
            x = x[:, :, ::down, ::right]
        return x.permute(0, 2, 3, 1).reshape(-1, c)

    def write(out: Tensor, x: Tensor, *others: Tensor) -> None:
        y = out.permute(0, 2, 3, 1).view(-1, k)
        if bias is None:
            torch.mm(rows(x), weight, out=y)
        else:
            torch.addmm(bias, rows(x), weight, out=y)

    steps = op.epilogue
    at = steps[0].input if steps and steps[0].kind == "add" else 0
    if bias is None and at in site.free - {0}:

        def into(*inputs: Tensor) -> Tensor:
            sums = inputs[at]
            sums.permute(0, 2, 3, 1).view(-1, k).addmm_(rows(inputs[0]), weight)
            return sums

        return Bound(make=finished(into, in_place(site, steps, 1)))
    return Bound(write=written(write, in_place(site, steps)))


def symmetric(op: FusedConv) -> bool:
    return all(before == after for before, after in op.padding)


def padded(op: FusedConv) -> Callable[[Tensor], Tensor]:
    """The input with the channels innermost, and with its zeros where those of the convolution are not symmetric."""
    if symmetric(op):
        return channels_last
    sides = [n for pair in reversed(op.padding) for n in pair]
    return lambda x: channels_last(F.pad(x, sides))


def plain_conv(site: Site) -> Bound:
    """PyTorch's convolution on folded weights, what follows in place."""
    op = site.op
    assert isinstance(op, FusedConv)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[len(op.kernel) - 1]
    weight, bias = channels_last(site.weights["weight"]), site.weights.get("bias")
    pad = padded(op)
    padding = [before for before, _ in op.padding] if symmetric(op) else [0] * len(op.kernel)

    def make(x: Tensor, *others: Tensor) -> Tensor:
        y: Tensor = function(pad(x), weight, bias, op.stride, padding, op.dilation, op.groups)
        return y

    return Bound(make=finished(make, in_place(site, op.epilogue)))


def fused_conv(site: Site) -> Bound:
    """oneDNN's convolution with its post-ops: an activation, or a sum and perhaps a relu; the rest in place."""
    op = site.op
    assert isinstance(op, FusedConv)
    onednn = torch.ops.mkldnn
    pad = padded(op)
    padding = [before for before, _ in op.padding] if symmetric(op) else [0, 0]
    stride, dilation, groups = list(op.stride), list(op.dilation), op.groups
    c, h, w = shape_of(site.inputs[0])
    if not symmetric(op):
        h, w = h + sum(op.padding[0]), w + sum(op.padding[1])
    size = [site.samples, c, h, w]
    weight = onednn._reorder_convolution_weight(site.weights["weight"], padding, stride, dilation, groups, size)
    bias = site.weights.get("bias")
    where = (padding, stride, dilation, groups)
    steps = op.epilogue
    if steps and steps[0].kind == "add":
        sums = with_sum(steps, site, pad, weight, bias, where)
        done = 2 if len(steps) > 1 and steps[1].kind == "relu" and not site.exact else 1
        return Bound(make=finished(sums, in_place(site, steps, done)))
    post = attribute(steps[0], site.exact) if steps else None
    run = onednn._convolution_pointwise.default._op
    name, numbers, algorithm = post or NONE

    def make(x: Tensor, *others: Tensor) -> Tensor:
        y: Tensor = run(pad(x), weight, bias, *where, name, numbers, algorithm)
        return y

    return Bound(make=finished(make, in_place(site, steps, 1 if post else 0)))


def with_sum(
    steps: Sequence[Step], site: Site, pad: Callable[[Tensor], Tensor], weight: Tensor, bias: Tensor | None, where: Any
) -> Make:
    """conv(x) + other, and its relu if that follows; into `other` itself, where nothing reads that any more."""
    at = steps[0].input
    activation = "relu" if len(steps) > 1 and steps[1].kind == "relu" and not site.exact else None
    if at in site.free:
        change = torch.ops.mkldnn._convolution_pointwise_.binary._op

        def into(*inputs: Tensor) -> Tensor:
            y: Tensor = change(inputs[at], pad(inputs[0]), weight, bias, *where, "add", None, activation, [], None)
            return y

        return into
    run = torch.ops.mkldnn._convolution_pointwise.binary._op

    def make(*inputs: Tensor) -> Tensor:
        other = channels_last(inputs[at])
        y: Tensor = run(pad(inputs[0]), other, weight, bias, *where, "add", None, activation, [], None)
        return y

    return make


def matrix_layer(site: Site) -> Bound:
    """y = W·x + b for vectors; a map is read as it lies, with the channels innermost."""
    op = site.op
    assert isinstance(op, FusedConv)
    weight, bias = site.weights["weight"], site.weights.get("bias")
    if op.flat:
        weight = weight.movedim(1, -1)
    linear, done = linear_of(site, weight.reshape(op.out_channels, -1), bias)

    def make(x: Tensor, *others: Tensor) -> Tensor:
        return linear(x.movedim(1, -1).flatten(1) if op.flat else x)

    return Bound(make=finished(make, in_place(site, op.epilogue, done)))


def linear_of(site: Site, weight: Tensor, bias: Tensor | None) -> tuple[Callable[[Tensor], Tensor], int]:
    """A linear layer, and how many steps of the epilogue it does."""
    if not has_onednn() or weight.numel() * site.samples <= SMALL:
        return lambda x: F.linear(x, weight, bias), 0
    steps = getattr(site.op, "epilogue", ())
    post = attribute(steps[0], site.exact) if steps else None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, site.samples)
    run = torch.ops.mkldnn._linear_pointwise.default._op
    name, numbers, algorithm = post or NONE
    return lambda x: run(x, packed, bias, name, numbers, algorithm), 1 if post else 0


def head(site: Site) -> Bound:
    """y = W·mean(x) + b."""
    op = site.op
    assert isinstance(op, Head)
    axes = list(range(2, 1 + site.inputs[0].rank))
    linear, done = linear_of(site, site.weights["weight"], site.weights.get("bias"))
    return Bound(make=finished(lambda x, *others: linear(x.mean(axes)), in_place(site, op.epilogue, done)))
