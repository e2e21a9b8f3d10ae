"""Multiplication by a constant, or by a learned factor for each channel."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, hole, rate
from netdsl_torch.rules.base import Rule, Types


def layer_scale(op: Any, inputs: Types) -> Code:
    return ("LayerScale(", hole(inputs[0].channels, "channels"), ", ", rate(op.initial, "initial"), ")")


RULES = {
    "scale": Rule(lambda op, inputs: ("Scale(", rate(op.factor, "factor"), ")")),
    "layer_scale": Rule(layer_scale),
}
