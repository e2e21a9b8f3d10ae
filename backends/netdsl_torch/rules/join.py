"""Ops with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.ops.base import axis_index
from netdsl_torch.code import rate
from netdsl_torch.rules.base import Rule, Types
from netdsl_torch.rules.resize import LINEAR


def mean_of(op: Any, inputs: Types, args: Sequence[str]) -> str:
    return f"({' + '.join(args)}) / {len(args)}"


def gate(op: Any, inputs: Types, args: Sequence[str]) -> str:
    """A gate of one factor for each channel gets the axes it lacks."""
    x, factors = inputs
    missing = x.rank - factors.rank
    return f"{args[0]} * {args[1]}" + (f"[:, :{', None' * missing}]" if missing else "")


def concat(op: Any, inputs: Types, args: Sequence[str]) -> str:
    return f"torch.cat([{', '.join(args)}], {1 + axis_index(op.axis, inputs[0])})"


def crop_to(op: Any, inputs: Types, args: Sequence[str]) -> str:
    offset = "" if op.offset is None else f", offset={op.offset}"
    return f"crop({args[0]}, {args[1]}.shape[2:]{offset})"


def resize_to(op: Any, inputs: Types, args: Sequence[str]) -> str:
    mode = f', mode="{LINEAR[len(inputs[0].spatial)]}"' if op.mode == "bilinear" else ""
    return f"F.interpolate({args[0]}, {args[1]}.shape[2:]{mode})"


RULES = {
    "add": Rule(None, lambda op, inputs, args: " + ".join(args)),
    "mean": Rule(None, mean_of),
    "product": Rule(None, lambda op, inputs, args: " * ".join(args)),
    "gate": Rule(None, gate),
    "concat": Rule(None, concat),
    "crop_to": Rule(None, crop_to),
    "resize_to": Rule(None, resize_to),
    "join": Rule(
        lambda op, inputs: (f"FractalJoin({len(inputs)}", rate(op.drop, "drop", ", drop=", 0.15), ")"),
        start="FractalJoin.draw(self)",
    ),
}
