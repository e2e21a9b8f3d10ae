"""Shortcuts without parameters."""

from __future__ import annotations

from netdsl_torch.code import hole
from netdsl_torch.rules.base import Rule

RULES = {
    "pad_channels": Rule(lambda op, inputs: ("PadChannels(", hole(op.channels, "channels"), ")")),
}
