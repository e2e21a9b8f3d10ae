"""Which elements do passes make?  A few wide ops, into which their neighbours' work is absorbed.

`lower` turns primitives into these; the other passes move steps from one into another. They are ops like all others
(types are inferred, `verify` checks them), but nobody writes them, and they hold for inference alone. Their weights
are recipes over the network's parameters (`recipe.py`).

| op           | what it computes                                                              |
|--------------|-------------------------------------------------------------------------------|
| `FusedConv`  | epilogue(conv(prologue(x); weight) + bias), linear layers too                  |
| `FusedPool`  | epilogue(pool(prologue(x)))                                                    |
| `FusedMean`  | epilogue(mean over space(prologue(x))), or its maximum                         |
| `Head`       | epilogue(W·mean over space(prologue(x)) + b): global pooling and classifier    |
| `Pointwise`  | steps(x)                                                                       |
| `Channels`   | a range of channels; nothing is computed                                       |

LRN, concatenations and whatever no pass knows stay what they were.
"""

from __future__ import annotations

import math
from typing import ClassVar

from netdsl.ops import Op
from netdsl.ops.base import Elementwise
from netdsl.ops.window import Window
from netdsl.passes.recipe import Recipe
from netdsl.prove import Prover
from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType

UNARY = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "hard_swish",
    "mish",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "softplus",
)
"""Steps without weights, each the primitive of that name; `value` is the slope of `leaky_relu`."""
BINARY = ("add", "mul", "gate")
"""Steps with another input: x + y and x·y, of one shape; x·g, one factor for each channel of each sample (g is C)."""
MAX_OPERANDS = 2
"""Other inputs that the steps of one element take: each is one more stream that a kernel reads."""


class Step(Record):
    """One step, element by element: x → f(x), or f(x, other).

    kind       one of UNARY or BINARY; `affine` (s·x + t), `scale` (value·x), or `prelu` (a slope for each channel)
    value      the slope, or the factor
    input      of which input of the element a binary step takes its other operand: 1, 2, …
    weights    affine: s and t; prelu: the slopes; one value for each channel
    """

    kind: str
    value: float = 0.0
    input: int = 0
    weights: tuple[Recipe, ...] = ()

    def __str__(self) -> str:
        if self.kind in BINARY:
            return f"{self.kind} #{self.input}"
        if self.weights:
            return f"{self.kind}({', '.join(map(str, self.weights))})"
        return f"{self.kind} {self.value:g}" if self.value else self.kind


Steps = tuple[Step, ...]


class Absorbing(Op):
    """An op with steps on its first input (`prologue`), and on what it computes (`epilogue`)."""

    def weight_recipes(self) -> dict[str, Recipe]:
        """Every tensor it needs, by name: `weight`, `bias`, `prologue.0.0`, `epilogue.2.1` (of step 2, the second)."""
        found: dict[str, Recipe] = {}
        for name in ("weight", "bias"):
            if isinstance(value := getattr(self, name, None), Recipe):
                found[name] = value
        for part in ("prologue", "epilogue"):
            for i, step in enumerate(getattr(self, part, ())):
                found.update({f"{part}.{i}.{k}": weight for k, weight in enumerate(step.weights)})
        return found


class FusedConv(Window, Absorbing):
    """epilogue(conv(prologue(x); weight) + bias).

    The weight is out_channels x in_channels/groups x kernel. The padding holds zeros *after* the prologue. Where
    `kernel` is empty it is a linear layer on a vector; with `flat`, the window is as large as the map, and the output
    is a vector.
    """

    name: ClassVar[str] = "fused_conv"

    out_channels: int
    groups: int
    weight: Recipe
    bias: Recipe | None = None
    prologue: Steps = ()
    epilogue: Steps = ()
    flat: bool = False

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        assert self.weight.dims == (self.out_channels, concrete(inputs[0].channels) // self.groups, *self.kernel)
        slid = self.slide(inputs[0], prove)
        assert not self.flat or all(size == 1 for size in slid)
        out = TensorType((self.out_channels, *(() if self.flat else slid)))
        check_operands(self.epilogue, inputs, out)
        return out

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        return output.elements * (concrete(inputs[0].channels) // self.groups) * math.prod(self.kernel)

    @property
    def is_gemm(self) -> bool:
        """Whether it is a matrix product over pixels: 1x1 with stride 1 and without padding, or on vectors."""
        plain = set(self.kernel) <= {1} and set(self.stride) <= {1} and not any(map(any, self.padding))
        return self.groups == 1 and (plain or self.flat)


class FusedPool(Window, Absorbing):
    """epilogue(pool(prologue(x))), `kind` max or avg. Zeros of the padding are of what the prologue gives."""

    name: ClassVar[str] = "fused_pool"

    kind: str
    count_pad: bool = True
    prologue: Steps = ()
    epilogue: Steps = ()

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        out = TensorType((inputs[0].channels, *self.slide(inputs[0], prove)))
        check_operands(self.epilogue, inputs, out)
        return out


class FusedMean(Absorbing):
    """epilogue(mean over space(prologue(x))), C x H x W → C; `kind` is avg or max."""

    name: ClassVar[str] = "fused_mean"

    kind: str
    prologue: Steps = ()
    epilogue: Steps = ()

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        out = TensorType((inputs[0].channels,))
        check_operands(self.epilogue, inputs, out)
        return out


class Head(Absorbing):
    """epilogue(weight · mean over space(prologue(x)) + bias), C x H x W → out_features; weight: out x C."""

    name: ClassVar[str] = "head"

    out_features: int
    weight: Recipe
    bias: Recipe | None = None
    prologue: Steps = ()
    epilogue: Steps = ()

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        assert self.weight.dims == (self.out_features, inputs[0].channels)
        out = TensorType((self.out_features,))
        check_operands(self.epilogue, inputs, out)
        return out

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        return self.out_features * inputs[0].channels


class Pointwise(Elementwise, Absorbing):
    """epilogue(x): steps that no other element has absorbed. It has no prologue."""

    name: ClassVar[str] = "pointwise"

    epilogue: Steps

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        check_operands(self.epilogue, inputs, inputs[0])
        return inputs[0]


class Channels(Op):
    """`count` channels of the input from `start` on: a view, where memory is laid out channels last."""

    name: ClassVar[str] = "channels"

    start: int
    count: int

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        assert self.start + self.count <= concrete(inputs[0].channels)
        return TensorType((self.count, *inputs[0].spatial))


def check_operands(steps: Steps, inputs: tuple[TensorType, ...], x: TensorType) -> None:
    """Asserts that the other operands of steps on `x` have the shapes that the steps ask for."""
    for step in steps:
        assert all(weight.size in (1, x.channels) for weight in step.weights), step
        if step.kind in ("add", "mul"):
            assert inputs[step.input] == x, step
        if step.kind == "gate":
            assert inputs[step.input].elements == inputs[step.input].channels == x.channels, step


def operands(steps: Steps) -> tuple[int, ...]:
    """The inputs that the steps take, in order."""
    return tuple(step.input for step in steps if step.kind in BINARY)


def moved(steps: Steps, by: dict[int, int]) -> Steps:
    """The steps with their operands at other inputs."""
    return tuple(step.replace(input=by[step.input]) if step.kind in BINARY else step for step in steps)


def concrete(size: Size) -> int:
    """A size in a graph for definite inputs."""
    assert isinstance(size, int), size
    return int(size)
