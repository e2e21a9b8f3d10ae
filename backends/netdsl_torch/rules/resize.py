"""Making feature maps larger."""

from __future__ import annotations

from netdsl_torch.code import hole
from netdsl_torch.rules.base import Rule

RULES = {
    "upsample": Rule(lambda op, inputs: ("nn.Upsample(scale_factor=", hole(op.factor, "scale_factor"), ")")),
}
