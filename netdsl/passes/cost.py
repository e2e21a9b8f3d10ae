"""What does one element cost?  The values that it moves and what it computes, from its types alone.

Passes weigh one form of a network against another with it, and floors are sums of it (`netdsl.roofline`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from netdsl.ops import linear
from netdsl.ops.base import Op
from netdsl.ops.join import Concat
from netdsl.passes.fused import Absorbing, Channels, FusedConv, FusedPool, Steps, concrete
from netdsl.record import Record
from netdsl.types import TensorType

EQUAL = 0.01
"""The share by which costs differ that count as equal: the model is no finer."""


class Cost(Record):
    """What elements cost. They are compared by their time, and where that is equal by their work.

    seconds    at least, with a launch for each
    work       the same without launches, which hide it in small elements
    """

    seconds: float = 0.0
    work: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.work + other.work)

    def __lt__(self, other: Cost) -> bool:
        if math.isclose(self.seconds, other.seconds, rel_tol=EQUAL):
            return self.work < other.work and not math.isclose(self.work, other.work, rel_tol=EQUAL)
        return self.seconds < other.seconds


VIEWS = (Concat, Channels, linear.Flatten)
"""These move nothing where kernels read and write slices: others write or read a part of a buffer."""
CHEAP = ("relu", "relu6", "leaky_relu", "prelu", "affine", "scale", "add", "mul", "gate")
"""Steps of one instruction or two; the others have an exponential."""
TILE = 256
"""The output channels of one block of a matrix product: for each block its inputs are read, and their steps done."""


def size(type: TensorType) -> int:
    return concrete(type.elements)


def weights(op: Op, types: Sequence[TensorType]) -> int:
    """How many values of weights it reads."""
    if isinstance(op, Absorbing):
        return sum(recipe.size for recipe in op.weight_recipes().values())
    return sum(weight.size for weight in op.weights(tuple(types)))


def pixels_needed(op: Op) -> float:
    """The share of the pixels that it reads: a window smaller than its stride leaves some out."""
    if not isinstance(op, FusedConv) or not op.kernel:
        return 1.0
    return math.prod(min(1.0, k / s) for k, s in zip(op.kernel, op.stride))


def moved(op: Op, inputs: Sequence[TensorType], output: TensorType, batch: int, slices: bool) -> float:
    """The values that it reads and writes, each once, for a batch; weights too."""
    if isinstance(op, VIEWS):
        return 0.0 if slices else 2.0 * batch * size(output)
    first = size(inputs[0]) * pixels_needed(op) if inputs else 0.0
    return batch * (first + sum(map(size, inputs[1:])) + size(output)) + weights(op, inputs)


def arithmetic(op: Op, inputs: Sequence[TensorType], output: TensorType) -> tuple[float, float]:
    """Multiply-accumulates, and the operations of its steps, for one sample.

    Steps of a prologue are done as often as a value is read: for each window, and for each block of output channels.
    """
    prologue = operations(getattr(op, "prologue", ())) * reads(op, inputs, output)
    epilogue = operations(getattr(op, "epilogue", ())) * size(output)
    return float(concrete(op.macs(tuple(inputs), output))), float(prologue + epilogue)


def operations(steps: Steps) -> int:
    """For each value. An affine step and a rectifier after it are one: max(x, -t/s), the rest goes into the weights."""
    cheap = sum(step.kind in CHEAP for step in steps)
    clamps = sum(a.kind == "affine" and b.kind == "relu" for a, b in pairwise(steps))
    return cheap - clamps + 8 * (len(steps) - cheap)


def reads(op: Op, inputs: Sequence[TensorType], output: TensorType) -> int:
    """How often a value of the first input comes into a kernel, summed over all values."""
    if not isinstance(op, FusedConv | FusedPool) or not op.kernel:
        return size(inputs[0]) if inputs else 0
    windows = size(output) // concrete(output.channels) * concrete(inputs[0].channels) * math.prod(op.kernel)
    return windows * (math.ceil(op.out_channels / op.groups / TILE) if isinstance(op, FusedConv) else 1)
