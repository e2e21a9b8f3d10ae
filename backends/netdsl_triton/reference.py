"""Each fused element in plain PyTorch: what it means, step by step, slow and in the order of its definition.

The tests hold kernels and passes against it; it is also what runs where no kernel claims an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netdsl.graph import Graph
from netdsl.ops import MaxPool, Op
from netdsl.ops.pooling import AvgPool
from netdsl.ops.window import Window
from netdsl.passes.fused import Absorbing, Channels, FusedConv, FusedMean, FusedPool, Head, Pointwise, Steps
from netdsl.types import TensorType
from netdsl_torch.single import function_of
from netdsl_triton.fold import fold

Weights = Mapping[str, Tensor]

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
}


def run(op: Op, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    """What a fused element, or a primitive without weights, gives for inputs N x C x …; `weights` as `fold` gives them.

    It computes in the type of the inputs.
    """
    if isinstance(op, Absorbing | Channels):
        return RUN[type(op)](op, inputs, weights)
    return function_of(op, tuple([TensorType(tuple(x.shape[1:])) for x in inputs]))(*inputs)


def run_graph(graph: Graph[TensorType], module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of an optimised graph, element by element, in the type of the inputs.

    `module` is the network in PyTorch, in inference: it has the weights, and runs what has some and is not fused.
    """
    state, values = module.state_dict(), list(inputs)
    with torch.no_grad():
        for node in graph.nodes:
            taken = [values[v] for v in node.inputs]
            assert isinstance(node.op, Op), "an optimised graph is flat"
            if isinstance(node.op, Absorbing):
                values.append(run(node.op, taken, fold(node.op, state, inputs[0].dtype)))
            elif node.op.weights(tuple([graph.type_of(v) for v in node.inputs])):
                values.append(module.get_submodule(node.name)(*taken))
            else:
                values.append(run(node.op, taken, {}))
    return [values[out.value] for out in graph.outputs]


def apply_steps(x: Tensor, steps: Steps, inputs: Sequence[Tensor], weights: Weights, part: str) -> Tensor:
    """The steps one after the other; `part` is prologue or epilogue."""
    for i, step in enumerate(steps):
        vectors = [per_channel(weights[f"{part}.{i}.{k}"], x) for k in range(len(step.weights))]
        if step.kind == "affine":
            x = x * vectors[0] + vectors[1]
        elif step.kind == "prelu":
            (slope,) = vectors
            below = torch.where((slope == 0) & (x < 0), 0.0, x * slope)  # relu as a slope of zero: -∞ gives 0
            x = torch.where(x > 0, x, below)
        elif step.kind == "scale":
            x = x * step.value
        elif step.kind == "leaky_relu":
            x = F.leaky_relu(x, step.value)
        elif step.kind == "add":
            x = x + inputs[step.input]
        elif step.kind == "mul":
            x = x * inputs[step.input]
        elif step.kind == "gate":
            gate = inputs[step.input]
            x = x * gate.reshape(*gate.shape[:2], *[1] * (x.dim() - 2))
        else:
            x = FUNCTIONS[step.kind](x)
    return x


def per_channel(vector: Tensor, x: Tensor) -> Tensor:
    """A vector with one value for each channel, or one for all, to be spread over N x C x …"""
    return vector.reshape(1, -1, *[1] * (x.dim() - 2)).to(x.dtype)


def _conv(op: FusedConv, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    x = apply_steps(inputs[0], op.prologue, inputs, weights, "prologue")
    weight, bias = weights["weight"].to(x.dtype), weights.get("bias")
    bias = None if bias is None else bias.to(x.dtype)
    if not op.kernel:
        y = F.linear(x, weight, bias)
    else:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(op.kernel) - 1]
        padded = F.pad(x, [side for sides in reversed(op.padding) for side in sides])
        y = convolve(padded, weight, bias, op.stride, 0, op.dilation, op.groups)
    if op.flat:
        y = y.flatten(1)
    return apply_steps(y, op.epilogue, inputs, weights, "epilogue")


def _pool(op: FusedPool, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    x = apply_steps(inputs[0], op.prologue, inputs, weights, "prologue")
    y = pool_of(op, len(op.kernel))(x)
    return apply_steps(y, op.epilogue, inputs, weights, "epilogue")


@cache
def pool_of(op: FusedPool, axes: int) -> Callable[..., Tensor]:
    """The pool alone, as the PyTorch backend has it."""
    shared = {name: getattr(op, name) for name in Window.fields}
    primitive = MaxPool(**shared) if op.kind == "max" else AvgPool(**shared, count_pad=op.count_pad)
    return function_of(primitive, (TensorType((1,) * (1 + axes)),))


def _mean(op: FusedMean, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    x = apply_steps(inputs[0], op.prologue, inputs, weights, "prologue").flatten(2)
    y = x.mean(2) if op.kind == "avg" else x.amax(2)
    return apply_steps(y, op.epilogue, inputs, weights, "epilogue")


def _head(op: Head, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    x = apply_steps(inputs[0], op.prologue, inputs, weights, "prologue")
    bias = weights.get("bias")
    y = F.linear(x.flatten(2).mean(2), weights["weight"].to(x.dtype), None if bias is None else bias.to(x.dtype))
    return apply_steps(y, op.epilogue, inputs, weights, "epilogue")


def _pointwise(op: Pointwise, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    return apply_steps(inputs[0], op.epilogue, inputs, weights, "epilogue")


def _channels(op: Channels, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    return inputs[0][:, op.start : op.start + op.count]


RUN: dict[type[Op], Callable[[Any, Sequence[Tensor], Weights], Tensor]] = {
    FusedConv: _conv,
    FusedPool: _pool,
    FusedMean: _mean,
    Head: _head,
    Pointwise: _pointwise,
    Channels: _channels,
}
