"""Activations, normalisation, dropout."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, hole, rate
from netdsl_torch.rules.base import Rule, Types, plain


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


RULES = {
    "batchnorm": Rule(batchnorm),
    "lrn": Rule(lrn),
    "relu": plain("nn.ReLU()", "F.relu"),
    "relu6": plain("nn.ReLU6()", "F.relu6"),
    "leaky_relu": Rule(lambda op, inputs: ("nn.LeakyReLU(", rate(op.slope, "negative_slope"), ")")),
    "elu": plain("nn.ELU()", "F.elu"),
    "gelu": plain("nn.GELU()", "F.gelu"),
    "silu": plain("nn.SiLU()", "F.silu"),
    "sigmoid": plain("nn.Sigmoid()", "torch.sigmoid"),
    "tanh": plain("nn.Tanh()", "torch.tanh"),
    "softmax": Rule(lambda op, inputs: ("nn.Softmax(1)",), lambda op, inputs, args: f"F.softmax({args[0]}, 1)"),
    "dropout": Rule(lambda op, inputs: ("nn.Dropout(", rate(op.p, "p"), ")")),
}
