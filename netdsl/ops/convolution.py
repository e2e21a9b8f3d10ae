"""Convolution and transposed convolution, for 1-, 2- and 3-d data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from netdsl.ops.base import (
    Argument,
    Op,
    Weight,
    brief,
    known_channels,
    nearest_divisors,
    need_spatial,
    per_axis,
    written,
)
from netdsl.ops.initial import BIAS_INIT, INIT_ON_MAPS, check_bilinear
from netdsl.ops.kept import INPUT, Kept, More
from netdsl.ops.sight import EVERYTHING, UNSURE, Sees, Sight, Taps, sliding
from netdsl.ops.window import PAD_AFTER, PAD_BEFORE, Window, padded, resolved_padding
from netdsl.ops.worked import product
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Formula, Size
from netdsl.types import TensorType

BIAS = Argument(
    "bias", "word", default=None, words=("bias", "nobias"), doc="a bias; by default there is one unless `bn` follows"
)
FILTERS = Argument(
    "out_channels",
    "positional",
    doc="the number of filters",
    unless="grouping",
    scales=True,
)
GROUPS = (
    Argument(
        "groups",
        "keyword",
        "count",
        1,
        doc="each group of filters sees its own share of the channels",
        excludes=("grouping",),
        scales=True,
    ),
    Argument(
        "grouping",
        "word",
        default=None,
        words=("depthwise",),
        doc="a group for each channel, and as many filters unless a number says more",
    ),
)


class Conv(Window):
    """Y[o] = b[o] + Σ_i K[o, i] ⋆ X[i], over the input channels i of o's group.

    C x H x W → out_channels x H' x W' with H' = (H - k + 2p)/S + 1 (Dumoulin & Visin 2016, §2).
    """

    name: ClassVar[str] = "conv"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("CONV", "CONVOLUTION")
    takes_flags: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        FILTERS,
        Argument("kernel", "kernel", "extent", 3, aliases=("k",), doc="the window, 3x3 by default"),
        Argument("stride", "stride", "extent", 1, doc="the step, 1 by default"),
        Argument(
            "pad",
            "keyword",
            "pad",
            None,
            doc="zeros on each side, one number or one for each axis: `pad 0x3`",
            excludes=("padding",),
        ),
        PAD_BEFORE,
        PAD_AFTER,
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
            excludes=("same",),
        ),
        Argument("dilation", "keyword", "extent", 1, doc="the step inside the window"),
        *GROUPS,
        BIAS,
        INIT_ON_MAPS,
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
        filters = resolved_filters("CONV", given, x)
        return cls(kernel=kernel, stride=stride, padding=padding, dilation=dilation, rounding=rounding, **filters)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        check_groups(known_channels("CONV", x), self.out_channels, self.groups)
        check_bilinear(self.init, x, self.out_channels)
        return TensorType((self.out_channels, *self.slide(x, prove)))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = known_channels("CONV", inputs[0])
        weight = Weight("weight", (self.out_channels, channels // self.groups, *self.kernel))
        return (weight, Weight("bias", (self.out_channels,))) if self.bias else (weight,)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        each = known_channels("CONV", inputs[0]) // self.groups * math.prod(self.kernel)
        return output.elements * each

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        seen = known_channels("CONV", inputs[0]) // self.groups
        filter_ = product((*self.kernel, seen))
        return f"{self.out_channels}*({filter_}{' + 1' if self.bias else ''})"

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        seen = known_channels("CONV", inputs[0]) // self.groups
        return f"({product((*output.spatial, self.out_channels))})*({product((*self.kernel, seen))})"

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return (*super().remarks(inputs, output), *grouped(known_channels("CONV", inputs[0]), self.groups))

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        channels: Sees = EVERYTHING
        if self.groups > 1:
            channels = Taps(0) if self.groups == inputs[0].channels == self.out_channels else UNSURE
        return ((channels, *sliding(self.kernel, self.stride, self.padding, self.dilation)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        if all(before == after for before, after in self.padding):
            return INPUT
        return Kept(more=(padded(inputs[0], self.padding),))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        return self.keeps(inputs, output).more

    def describe(self) -> str:
        words = [written(self.kernel)]
        if set(self.stride) != {1}:
            words.append(f"/{brief(self.stride)}")
        if set(self.dilation) != {1}:
            words.append(f"dilation {'x'.join(map(str, self.dilation))}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")
        return " ".join(words)


class ConvTranspose(Op):
    """The gradient of a convolution as a layer: H' = (H - 1)·S - 2p + k (Dumoulin & Visin 2016, §4).

    k is d·(k - 1) + 1 where the window is dilated; `out_pad` adds rows at the end: a convolution with stride S takes
    several sizes to one, and this chooses among them.
    """

    name: ClassVar[str] = "conv_transpose"
    stem: ClassVar[str] = "deconv"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("DECONV", "UPCONV", "CONV_TRANSPOSE")
    takes_flags: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        FILTERS,
        Argument("kernel", "kernel", "extent", 2, aliases=("k",), doc="the window, 2x2 by default"),
        Argument("stride", "stride", "extent", 2, doc="the factor by which it enlarges, 2 by default"),
        Argument("pad", "keyword", "pad", 0, doc="rows taken off each side", excludes=("padding",)),
        Argument(
            "out_pad", "keyword", "pad", 0, doc="rows added at the end, fewer than the stride", excludes=("padding",)
        ),
        Argument("padding", "word", default=None, words=("same",), doc="`same`: the `pad` and `out_pad` for out = S·W"),
        Argument("dilation", "keyword", "extent", 1, doc="the step inside the window"),
        *GROUPS,
        BIAS,
        INIT_ON_MAPS,
        BIAS_INIT,
    )

    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    out_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    bias: bool
    init: str | None = None
    bias_init: float | None = None

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("DECONV", x)
        kernel, stride, dilation, padding, out_padding = (
            per_axis(given[name], len(x.spatial), name) for name in ("kernel", "stride", "dilation", "pad", "out_pad")
        )
        if given["padding"] == "same":
            reaches = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
            padding = tuple(max(0, -(-(reach - s) // 2)) for reach, s in zip(reaches, stride))
            out_padding = tuple(s - reach + 2 * p for reach, s, p in zip(reaches, stride, padding))
        for s, d, more in zip(stride, dilation, out_padding):
            if more >= max(s, d):
                raise _too_much_after(more, s, d, given["padding"] == "same")
        return cls(
            kernel=kernel,
            stride=stride,
            padding=padding,
            out_padding=out_padding,
            dilation=dilation,
            **resolved_filters("DECONV", given, x),
        )

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        check_groups(known_channels("DECONV", x), self.out_channels, self.groups)
        check_bilinear(self.init, x, self.out_channels)
        spatial = []
        moves = zip(self.kernel, self.dilation, self.stride, self.padding, self.out_padding)
        for size, axis, (k, d, s, p, more) in zip(x.spatial, x.axes[1:], moves):
            reach = d * (k - 1) + 1
            out = (size - 1) * s - 2 * p + reach + more
            worked = f"{axis} = {spread_out(size, reach, s, p, more)} = {out}"
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

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        moves = zip(self.kernel, self.dilation, self.stride, self.padding, self.out_padding)
        for axis, size, out, (k, d, s, p, more) in zip(inputs[0].axes[1:], inputs[0].spatial, output.spatial, moves):
            yield axis, f"{spread_out(size, d * (k - 1) + 1, s, p, more)} = {out}"

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        seen = known_channels("DECONV", inputs[0]) // self.groups
        return f"{self.out_channels}*({product((*self.kernel, seen))}{' + 1' if self.bias else ''})"

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        x, made = inputs[0], self.out_channels // self.groups
        return f"({product((*x.spatial, x.channels))})*({product((*self.kernel, made))})"

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return grouped(known_channels("DECONV", inputs[0]), self.groups)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """Row i lies in the windows m with i = m·S - p + t, t from 0 to d·(k - 1)."""
        moves = enumerate(zip(self.kernel, self.dilation, self.stride, self.padding), 1)
        rows = [Taps(axis, p - d * (k - 1), p, 1, s) for axis, (k, d, s, p) in moves]
        return ((EVERYTHING if self.groups == 1 else UNSURE, *rows),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return INPUT

    def describe(self) -> str:
        words = [written(self.kernel), f"up {'x'.join(map(str, self.stride))}"]
        if set(self.dilation) != {1}:
            words.append(f"dilation {'x'.join(map(str, self.dilation))}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")
        return " ".join(words)


def spread_out(size: Size, reach: int, stride: int, pad: int, more: int) -> str:
    """`(14 - 1)*2 - 2*1 + 4`: how far the windows of a transposed convolution reach."""
    shown = f"({size})" if isinstance(size, Formula) and len(size.terms) > 1 else str(size)
    return f"({shown} - 1)*{stride} - 2*{pad} + {reach}{f' + {more}' if more else ''}"


def grouped(channels: int, groups: int) -> tuple[str, ...]:
    """What one filter sees, where that is not all channels."""
    if groups == 1:
        return ()
    seen = channels // groups
    whole = f"{groups} groups: " if groups < channels else "depthwise: "
    return (f"{whole}each filter sees {channels}/{groups} = {seen} channel{'s' if seen > 1 else ''}",)


def resolved_filters(op: str, given: dict[str, Any], x: TensorType) -> dict[str, Any]:
    """The attributes that say what the filters are; `depthwise` means a group for each channel."""
    same = {name: given[name] for name in ("out_channels", "groups", "bias", "init", "bias_init")}
    if given["grouping"] != "depthwise":
        return same
    channels = known_channels(op, x)
    out = channels if given["out_channels"] is None else given["out_channels"]
    if out % channels:
        raise ShapeFault(
            "E0306",
            f"a depthwise {op} makes equally many channels of each of {channels}, so {out} are not possible",
            f"{channels} in, {out} out",
            notes=(f"{out}/{channels} = {round(out / channels, 3)}",),
            helps=(f"write a multiple of {channels}, or no number for {channels}",),
        )
    return {**same, "out_channels": out, "groups": channels}


def _too_much_after(more: int, stride: int, dilation: int, same: bool) -> ShapeFault:
    if same:
        return ShapeFault(
            "E0304",
            "an even window with stride 1 has no middle, so `same` would move everything by half a row",
            helps=("use an odd kernel", "or say what is taken off: `pad 1`"),
        )
    most = max(stride, dilation) - 1
    return ShapeFault(
        "E0304",
        f"an out_pad of {more} is not less than the stride of {stride}"
        + (f" or the dilation of {dilation}" if dilation > 1 else ""),
        notes=("rows beyond that are of no window, and hold the bias alone",),
        helps=(f"`out_pad {most}` is the most",) if most else ("leave `out_pad` out",),
    )


def nothing_left(axis: str, worked: str, limit: str) -> ShapeFault:
    notes = (worked, *filter(None, [limit]))
    return ShapeFault("E0304", f"nothing is left of {axis}: the padding takes off more than there is", notes=notes)


def check_groups(channels: int, out_channels: int, groups: int) -> None:
    if channels % groups == 0 and out_channels % groups == 0:
        return
    closest = nearest_divisors(math.gcd(channels, out_channels), groups)
    which = "input" if channels % groups else "output"
    count = channels if channels % groups else out_channels
    raise ShapeFault(
        "E0306",
        f"{groups} groups do not divide {count} {which} channels",
        f"{channels} in, {out_channels} out, {groups} groups",
        notes=(f"{count}/{groups} = {round(count / groups, 3)}",),
        helps=(f"groups that divide both {channels} and {out_channels}: {', '.join(map(str, sorted(closest)))}",),
    )
