"""Activations."""

from __future__ import annotations

from netdsl_torch.code import rate
from netdsl_torch.rules.base import Rule, plain

RULES = {
    "relu": plain("nn.ReLU()", "F.relu"),
    "relu6": plain("nn.ReLU6()", "F.relu6"),
    "leaky_relu": Rule(lambda op, inputs: ("nn.LeakyReLU(", rate(op.slope, "negative_slope"), ")")),
    "elu": plain("nn.ELU()", "F.elu"),
    "gelu": plain("nn.GELU()", "F.gelu"),
    "silu": plain("nn.SiLU()", "F.silu"),
    "sigmoid": plain("nn.Sigmoid()", "torch.sigmoid"),
    "tanh": plain("nn.Tanh()", "torch.tanh"),
    "softmax": Rule(lambda op, inputs: ("nn.Softmax(1)",), lambda op, inputs, args: f"F.softmax({args[0]}, 1)"),
}
