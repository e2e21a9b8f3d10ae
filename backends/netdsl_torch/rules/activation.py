"""Activations."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, hole, rate
from netdsl_torch.rules.base import Rule, Types, plain


def prelu(op: Any, inputs: Types) -> Code:
    initial = rate(op.initial, "init", "init=", 0.25)
    if op.shared:
        return ("nn.PReLU(", initial, ")")
    return ("nn.PReLU(", hole(inputs[0].channels, "num_parameters"), initial.replace(prefix=", init="), ")")


RULES = {
    "relu": plain("nn.ReLU()", "F.relu"),
    "relu6": plain("nn.ReLU6()", "F.relu6"),
    "leaky_relu": Rule(lambda op, inputs: ("nn.LeakyReLU(", rate(op.slope, "negative_slope"), ")")),
    "prelu": Rule(prelu),
    "hard_swish": plain("nn.Hardswish()", "F.hardswish"),
    "hard_sigmoid": plain("nn.Hardsigmoid()", "F.hardsigmoid"),
    "mish": plain("nn.Mish()", "F.mish"),
    "softplus": plain("nn.Softplus()", "F.softplus"),
    "elu": plain("nn.ELU()", "F.elu"),
    "gelu": plain("nn.GELU()", "F.gelu"),
    "silu": plain("nn.SiLU()", "F.silu"),
    "sigmoid": plain("nn.Sigmoid()", "torch.sigmoid"),
    "tanh": plain("nn.Tanh()", "torch.tanh"),
    "softmax": Rule(lambda op, inputs: ("nn.Softmax(1)",), lambda op, inputs, args: f"F.softmax({args[0]}, 1)"),
}
