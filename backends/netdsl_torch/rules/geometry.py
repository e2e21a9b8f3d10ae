"""Cutting, padding, reshaping, transposing, shuffling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.ops.base import axis_index
from netdsl_torch.code import Code, hole, joined
from netdsl_torch.rules.base import Rule, Types, dims, extent

PADS = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication"}


def crop(op: Any, inputs: Types) -> Code:
    sizes = joined([(hole(size, "size"),) for size in op.size])
    if op.offset is None:
        return ("Crop(", *sizes, ")")
    comma = "," if len(op.offset) == 1 else ""
    return ("Crop(", *sizes, ", offset=(", *joined([(hole(before, "offset"),) for before in op.offset]), f"{comma}))")


def pad(op: Any, inputs: Types) -> Code:
    around = tuple(side for sides in reversed(op.padding) for side in sides)
    return (f"nn.{PADS[op.mode]}Pad{dims(inputs[0])}(", *extent(around, "padding"), ")")


def slice_(op: Any, inputs: Types) -> Code:
    stop = "None" if op.stop is None else hole(op.stop, "stop")
    axis = 1 + axis_index(op.axis, inputs[0])
    return ("Slice(", hole(op.start, "start"), ", ", stop, "" if axis == 1 else f", axis={axis}", ")")


def reshape(op: Any, inputs: Types) -> Code:
    sizes: list[Code] = [(hole(size, "size"),) if isinstance(size, int) else ("-1",) for size in op.shape]
    return ("Reshape(", *joined(sizes), ")")


def transpose(op: Any, inputs: Types) -> Code:
    return (f"Transpose({', '.join(map(str, op.order))})",)


def permuted(op: Any, inputs: Types, args: Sequence[str]) -> str:
    if op.order == (1, 0):
        return f"{args[0]}.transpose(1, 2)"
    return f"{args[0]}.permute(0, {', '.join(str(axis + 1) for axis in op.order)})"


RULES = {
    "crop": Rule(crop),
    "pad": Rule(pad),
    "pad_channels": Rule(lambda op, inputs: ("PadChannels(", hole(op.channels, "channels"), ")")),
    "slice": Rule(slice_),
    "channel_shuffle": Rule(lambda op, inputs: ("nn.ChannelShuffle(", hole(op.groups, "groups"), ")")),
    "reshape": Rule(reshape),
    "transpose": Rule(transpose, permuted),
}
