"""Normalisation."""

from __future__ import annotations

from typing import Any

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


def groupnorm(op: Any, inputs: Types) -> Code:
    channels = hole(inputs[0].channels, "num_channels")
    return ("nn.GroupNorm(", hole(op.groups, "num_groups"), ", ", channels, rate(op.eps, "eps", ", eps=", 1e-5), ")")


def instancenorm(op: Any, inputs: Types) -> Code:
    # nn.InstanceNorm2d is the same with a group for each channel, but refuses maps of one value.
    channels = hole(inputs[0].channels, "num_channels")
    affine = "" if op.affine else ", affine=False"
    return ("nn.GroupNorm(", channels, ", ", channels, rate(op.eps, "eps", ", eps=", 1e-5), f"{affine})")


RULES = {
    "layernorm": Rule(layernorm),
    "groupnorm": Rule(groupnorm),
    "instancenorm": Rule(instancenorm),
    "batchnorm": Rule(batchnorm),
    "lrn": Rule(lrn),
}
