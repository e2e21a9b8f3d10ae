"""Normalisation."""

from __future__ import annotations

from typing import Any

from netdsl.size import Size
from netdsl.types import TensorType
from netdsl_torch.code import Code, hole, rate
from netdsl_torch.rules.base import Rule, Types


def batchnorm(op: Any, inputs: Types) -> Code:
    rank = {1: "1d", 2: "1d", 3: "2d", 4: "3d"}[inputs[0].rank]
    return (
        f"nn.BatchNorm{rank}(",
        hole(inputs[0].channels, "num_features"),
        rate(op.eps, "eps", ", eps=", 1e-5),
        rate(op.momentum, "momentum", ", momentum=", 0.1),
        ")",
    )


def lrn(op: Any, inputs: Types) -> Code:
    # PyTorch divides alpha by n, the paper does not.
    alpha, beta, k = rate(op.alpha * op.n, "alpha"), rate(op.beta, "beta"), rate(op.k, "k")
    return ("nn.LocalResponseNorm(", hole(op.n, "size"), ", alpha=", alpha, ", beta=", beta, ", k=", k, ")")


def layernorm(op: Any, inputs: Types) -> Code:
    # PyTorch's own takes the last axis.
    kind = "nn.LayerNorm(" if inputs[0].rank == 1 else "ChannelLayerNorm("
    return (kind, hole(inputs[0].channels, "channels"), rate(op.eps, "eps", ", eps=", 1e-5), ")")


def in_groups(groups: Size, op: Any, x: TensorType, affine: str = "") -> Code:
    single = groups == x.channels and all(size == 1 or not isinstance(size, int) for size in x.spatial)
    kind = "AnyGroupNorm(" if single else "nn.GroupNorm("
    eps = rate(op.eps, "eps", ", eps=", 1e-5)
    return (kind, hole(groups, "num_groups"), ", ", hole(x.channels, "num_channels"), eps, f"{affine})")


def groupnorm(op: Any, inputs: Types) -> Code:
    return in_groups(op.groups, op, inputs[0])


def instancenorm(op: Any, inputs: Types) -> Code:
    # nn.InstanceNorm2d is the same, but refuses maps of one value.
    return in_groups(inputs[0].channels, op, inputs[0], "" if op.affine else ", affine=False")


RULES = {
    "layernorm": Rule(layernorm),
    "groupnorm": Rule(groupnorm),
    "instancenorm": Rule(instancenorm),
    "batchnorm": Rule(batchnorm),
    "lrn": Rule(lrn),
}
