"""Convolution and transposed convolution, for 1-, 2- and 3-d data."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, Weight, known_channels, need_spatial, per_axis, written
from netdsl.ops.window import Window, resolved_padding
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Size
from netdsl.types import TensorType

INIT = Argument("init", "keyword", "init", None, doc="he, xavier, lecun, torch, or the standard deviation of a normal")
BIAS_INIT = Argument("bias_init", "keyword", "number", None, doc="the value biases start from, 0 by default")
BIAS = Argument(
    "bias", "word", default=None, words=("bias", "nobias"), doc="a bias; by default there is one unless `bn` follows"
)


class Conv(Window):
    """Y[o] = b[o] + Σ_i K[o, i] ⋆ X[i], over the input channels i of o's group.

    C x H x W → out_channels x H' x W' with H' = (H - k + 2p)/S + 1 (Dumoulin & Visin 2016, §2).
    """

    name: ClassVar[str] = "conv"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("CONV", "CONVOLUTION")
    takes_flags: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("out_channels", "positional", scales=True, doc="the number of filters"),
        Argument("kernel", "kernel", "extent", 3, aliases=("k",), doc="the window, 3x3 by default"),
        Argument("stride", "stride", "extent", 1, doc="the step, 1 by default"),
        Argument("pad", "keyword", "pad", None, doc="zeros on each side, one number or one for each axis: `pad 0x3`"),
        Argument(
            "padding",
            "word",
            default="same",
            words=("same", "valid"),
            doc="`same` (out = ceil(W/S)) or `valid` (none); `same` by default",
        ),
        Argument(
            "rounding",
            "word",
            default="exact",
            words=("exact", "floor"),
            doc="`floor` drops the rows that do not fill a window",
        ),
        Argument("dilation", "keyword", "extent", 1, doc="the step inside the window"),
        Argument(
            "groups", "keyword", "count", 1, scales=True, doc="each group of filters sees its own share of the channels"
        ),
        BIAS,
        INIT,
        BIAS_INIT,
    )

    out_channels: int
    groups: int
    bias: bool
    init: str | None = None
    bias_init: float | None = None

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("CONV", x)
        kernel, stride, dilation = (
            per_axis(given[name], len(x.spatial), name) for name in ("kernel", "stride", "dilation")
        )
        padding, rounding = resolved_padding(given, kernel, dilation)
        same = {name: given[name] for name in ("out_channels", "groups", "bias", "init", "bias_init")}
        return cls(kernel=kernel, stride=stride, padding=padding, dilation=dilation, rounding=rounding, **same)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        check_groups(known_channels("CONV", x), self.out_channels, self.groups)
        return TensorType((self.out_channels, *self.slide(x, prove)))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = known_channels("CONV", inputs[0])
        weight = Weight("weight", (self.out_channels, channels // self.groups, *self.kernel))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        each = known_channels("CONV", inputs[0]) // self.groups * math.prod(self.kernel)
        return output.elements * each

    def describe(self) -> str:
        words = [written(self.kernel)]
        if set(self.stride) != {1}:
            words.append("/" + "x".join(map(str, self.stride if len(set(self.stride)) > 1 else self.stride[:1])))
        if set(self.dilation) != {1}:
            words.append(f"dilation {'x'.join(map(str, self.dilation))}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")
        return " ".join(words)


class ConvTranspose(Op):
    """The gradient of a convolution as a layer: H' = (H - 1)·S - 2p + k (Dumoulin & Visin 2016, §4)."""

    name: ClassVar[str] = "conv_transpose"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("DECONV", "UPCONV", "CONV_TRANSPOSE", "CONVTRANSPOSE")
    takes_flags: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("out_channels", "positional", scales=True, doc="the number of filters"),
        Argument("kernel", "kernel", "extent", 2, aliases=("k",), doc="the window, 2x2 by default"),
        Argument("stride", "stride", "extent", 2, doc="the factor by which it enlarges, 2 by default"),
        Argument("pad", "keyword", "pad", 0, doc="rows taken off each side"),
        Argument("groups", "keyword", "count", 1),
        BIAS,
        INIT,
        BIAS_INIT,
    )

    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    bias: bool
    init: str | None = None
    bias_init: float | None = None

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("DECONV", x)
        kernel, stride, padding = (per_axis(given[name], len(x.spatial), name) for name in ("kernel", "stride", "pad"))
        same = {name: given[name] for name in ("out_channels", "groups", "bias", "init", "bias_init")}
        return cls(kernel=kernel, stride=stride, padding=padding, **same)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        check_groups(known_channels("DECONV", x), self.out_channels, self.groups)
        spatial = []
        for size, k, s, p, axis in zip(x.spatial, self.kernel, self.stride, self.padding, x.axes[1:]):
            out = (size - 1) * s - 2 * p + k
            worked = f"{axis} = ({size} - 1)*{s} - 2*{p} + {k} = {out}"
            prove.at_least(
                out, 1, f"a transposed convolution must leave some {axis}", partial(nothing_left, axis, worked)
            )
            spatial.append(out)
        return TensorType((self.out_channels, *spatial))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = known_channels("DECONV", inputs[0])
        weight = Weight("weight", (channels, self.out_channels // self.groups, *self.kernel))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        return inputs[0].elements * (self.out_channels // self.groups * math.prod(self.kernel))

    def describe(self) -> str:
        return f"{written(self.kernel)} up {'x'.join(map(str, self.stride))}"


def nothing_left(axis: str, worked: str, limit: str) -> ShapeFault:
    notes = (worked, *filter(None, [limit]))
    return ShapeFault("E0304", f"nothing is left of {axis}: the padding takes off more than there is", notes=notes)


def check_groups(channels: int, out_channels: int, groups: int) -> None:
    if channels % groups == 0 and out_channels % groups == 0:
        return
    both = math.gcd(channels, out_channels)
    good = [g for g in range(1, both + 1) if both % g == 0] if both < 100_000 else [1]
    closest = sorted(good, key=lambda g: abs(g - groups))[:2]
    which = "input" if channels % groups else "output"
    count = channels if channels % groups else out_channels
    raise ShapeFault(
        "E0306",
        f"{groups} groups do not divide {count} {which} channels",
        f"{channels} in, {out_channels} out, {groups} groups",
        notes=(f"{count}/{groups} = {round(count / groups, 3)}",),
        helps=(f"groups that divide both {channels} and {out_channels}: {', '.join(map(str, sorted(closest)))}",),
    )
