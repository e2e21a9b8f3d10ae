"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
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


def flatten(op: Any, inputs: Types) -> Code:
    return ("nn.Flatten(2)" if op.axes == "spatial" else "nn.Flatten()",)


def flattened(op: Any, inputs: Types, args: Sequence[str]) -> str:
    return f"torch.flatten({args[0]}, {2 if op.axes == 'spatial' else 1})"


RULES = {
    "linear": Rule(linear),
    "flatten": Rule(flatten, flattened),
}
