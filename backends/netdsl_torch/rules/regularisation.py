"""Dropout, and what drops channels or branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl_torch.code import Code, rate
from netdsl_torch.rules.base import Rule, Types, dims


def dropping(constructor: str) -> Callable[[Any, Types], Code]:
    return lambda op, inputs: (f"{constructor}(", rate(op.p, "p"), ")")


def spatial_dropout(op: Any, inputs: Types) -> Code:
    return dropping(f"nn.Dropout{dims(inputs[0])}")(op, inputs)


RULES = {
    "dropout": Rule(dropping("nn.Dropout")),
    "spatial_dropout": Rule(spatial_dropout),
    "stochastic_depth": Rule(dropping("StochasticDepth")),
    "drop_path": Rule(dropping("DropPath")),
}
