"""One element by itself, as the generated source has it: for whoever runs the rest of a network in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netdsl.ops import Op
from netdsl_torch.code import rendered
from netdsl_torch.rules import brought_along, rule_of
from netdsl_torch.rules.base import Types


def function_of(op: Op, inputs: Types) -> Callable[..., Tensor]:
    """The op in inference, as a function of tensors N x …; an op with weights is a module of its own."""
    assert not op.weights(inputs), f"{op.name} has weights"
    rule = rule_of(op)
    args = [f"x{i}" for i in range(len(inputs))]
    if rule.function is not None:
        made: Callable[..., Tensor] = value_of(f"lambda {', '.join(args)}: {rule.function(op, inputs, args)}")
        return made
    assert rule.module is not None
    module: nn.Module = value_of(rendered(rule.module(op, inputs), lambda hole: repr(hole.value)))
    return module.eval()


def value_of(code: str) -> Any:
    """What an expression of generated source is."""
    namespace: dict[str, Any] = {"torch": torch, "F": F, "nn": nn}
    for source in brought_along(code):
        exec(source, namespace)
    return eval(code, namespace)
