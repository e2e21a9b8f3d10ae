"""Fully connected layers."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, hole
from netdsl_torch.rules.base import Rule, Types


def linear(op: Any, inputs: Types) -> Code:
    return (
        "nn.Linear(",
        hole(inputs[0].channels, "in_features"),
        ", ",
        hole(op.out_features, "out_features"),
        ")" if op.bias else ", bias=False)",
    )


RULES = {
    "linear": Rule(linear),
    "flatten": Rule(lambda op, inputs: ("nn.Flatten()",), lambda op, inputs, args: f"torch.flatten({args[0]}, 1)"),
}
