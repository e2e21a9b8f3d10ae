"""Ops with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl_torch.rules.base import Rule, Types


def mean_of(op: Any, inputs: Types, args: Sequence[str]) -> str:
    return f"({' + '.join(args)}) / {len(args)}"


RULES = {
    "add": Rule(None, lambda op, inputs, args: " + ".join(args)),
    "mean": Rule(None, mean_of),
    "concat": Rule(None, lambda op, inputs, args: f"torch.cat([{', '.join(args)}], 1)"),
}
