"""Making feature maps larger."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code
from netdsl_torch.rules.base import Rule, Types, extent

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def upsample(op: Any, inputs: Types) -> Code:
    mode = f', mode="{LINEAR[len(op.factor)]}"' if op.mode == "bilinear" else ""
    corners = ", align_corners=True" if op.align_corners else ""
    return ("nn.Upsample(", *extent(op.factor, "scale_factor", "scale_factor="), f"{mode}{corners})")


RULES = {
    "upsample": Rule(upsample),
}
