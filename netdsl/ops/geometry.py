"""Ops that move values and compute nothing: cut, pad, reshape, transpose, shuffle."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Extent, Op, axis_index, divisible_by, fits, need_spatial, per_axis, starts
from netdsl.ops.kept import INPUT, NOTHING, Kept
from netdsl.ops.sight import Sight, Spread, Taps, cut, each_place
from netdsl.ops.strides import Strides, viewed
from netdsl.ops.worked import equation, product
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Formula, Size, floor_div
from netdsl.types import AXES, TensorType

MAX_RANK = max(AXES)


class Crop(Op):
    """Y[c, h, w] = X[c, h + p, w + q]: a window of the size that is said; in the middle, p = floor((H - h)/2).

    The cropping of U-Net (Ronneberger et al. 2015, fig. 1).
    """

    name: ClassVar[str] = "crop"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("CROP",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("size", "extent", "extent", doc="the height and width to keep, one number or one for each axis"),
        Argument(
            "offset", "keyword", "pad", None, doc="how many rows to leave out before; as many as after by default"
        ),
    )
    example: ClassVar[str] = "28"

    size: tuple[int, ...]
    offset: tuple[int, ...] | None = None
    """Where the window starts on each axis; None for the middle."""

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("CROP", x)
        rank = len(x.spatial)
        size, offset = per_axis(given["size"], rank, "size"), given["offset"]
        return cls(size, None if offset is None else per_axis(offset, rank, "offset"))

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        for axis, size, kept, before in zip(x.axes[1:], x.spatial, self.size, self.offset or (0,) * len(self.size)):
            fits(f"CROP to {axis} = {kept}", axis, size, kept, before, prove)
        return TensorType((x.channels, *self.size))

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        return zip(output.axes[1:], map(str, output.spatial))

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return starts(inputs[0], self.size) if self.offset is None else ()

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        (x,) = inputs
        middle = [floor_div(size - kept, 2) for size, kept in zip(x.spatial, self.size)]
        return ((Taps(0), *cut(self.offset or middle)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return strides

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return "x".join(map(str, self.size)) + (f" from {'x'.join(map(str, self.offset))}" if self.offset else "")


class Pad(Op):
    """Y[c, h + p, w + q] = X[c, h, w]; around it zeros, or the mirror image, or the nearest value."""

    name: ClassVar[str] = "pad"
    spellings: ClassVar[tuple[str, ...]] = ("PAD",)
    linear: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "size",
            "extent",
            "pad",
            None,
            doc="how many rows on both sides, one number or one for each axis; none by default",
        ),
        Argument("before", "keyword", "pad", None, doc="how many at the start; as on both sides by default"),
        Argument("after", "keyword", "pad", None, doc="how many at the end; as on both sides by default"),
        Argument(
            "mode",
            "word",
            default="zeros",
            words=("zeros", "reflect", "replicate"),
            doc="`zeros`; `reflect` (the mirror image, without the edge itself) or `replicate` (the edge again)",
        ),
        Argument(
            "channels",
            "keyword",
            "count",
            None,
            scales=True,
            doc="so many channels of zeros at the end, and no rows; none by default",
        ),
    )
    example: ClassVar[str] = "1"

    padding: tuple[tuple[int, int], ...]
    mode: str = "zeros"

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        rows = [name for name in ("size", "before", "after") if given[name] is not None]
        if given["channels"] is not None:
            if rows or given["mode"] != "zeros":
                raise ShapeFault(
                    "E0204",
                    "`channels` of PAD stands alone: they are zeros at the end",
                    helps=("pad rows in an element of its own: `PAD 1 -> PAD channels=16`",),
                )
            return PadChannels(given["channels"])
        if not rows:
            raise ShapeFault(
                "E0203", "PAD needs how much", helps=("`PAD 1` (on every side), `PAD after=1` or `PAD channels=16`",)
            )
        need_spatial("PAD", x)
        both = given["size"] if given["size"] is not None else 0
        before, after = (
            per_axis(
                both if given[name] is None else given[name], len(x.spatial), "size" if given[name] is None else name
            )
            for name in ("before", "after")
        )
        return cls(tuple(zip(before, after)), given["mode"])

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        if self.mode == "reflect":
            for axis, size, sides in zip(x.axes[1:], x.spatial, self.padding):
                self.mirror(axis, size, max(sides), prove)
        return TensorType((x.channels, *(size + sum(sides) for size, sides in zip(x.spatial, self.padding))))

    def mirror(self, axis: str, size: Size, most: int, prove: Prover) -> None:
        """A mirror image has at most W - 1 rows: the edge itself is not repeated."""
        prove.at_least(
            size,
            most + 1,
            f"a mirror image of {most} rows needs {axis} of at least {most + 1}",
            lambda limit: ShapeFault(
                "E0304",
                f"a mirror image of {most} rows is more than there is: {axis} = {size}",
                f"{axis} is {size}",
                notes=tuple(filter(None, ["the edge itself is not repeated", limit])),
                helps=(
                    *((f"`reflect` can add {size - 1} at most",) if isinstance(size, int) and size > 1 else ()),
                    "`replicate` repeats the edge as often as you like",
                ),
            ),
        )

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        for axis, size, (before, after), out in zip(output.axes[1:], inputs[0].spatial, self.padding, output.spatial):
            yield axis, f"{size} + {before} + {after} = {out}"

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Taps(0), *cut([-before for before, _ in self.padding])),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING if self.mode == "zeros" else INPUT

    def describe(self) -> str:
        sides = [f"{before}" if before == after else f"{before}+{after}" for before, after in self.padding]
        size = sides[0] if len(set(sides)) == 1 else "x".join(sides)
        return size + (f" {self.mode}" if self.mode != "zeros" else "")


class PadChannels(Op):
    """C x H x W → (C + n) x H x W: n channels of zeros at the end (He et al. 2015, §3.3, option A).

    `PAD channels=n` makes it, and `match_pad`.
    """

    name: ClassVar[str] = "pad_channels"
    linear: ClassVar[bool] = True

    channels: int

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels + self.channels, *x.spatial))

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        return [("C", f"{inputs[0].channels} + {self.channels} = {output.channels}")]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (each_place(output),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def describe(self) -> str:
        return f"+{self.channels}"


class Slice(Op):
    """Y[i] = X[start + i], up to but not including X[stop]; on the channels, or on the axis that is named."""

    name: ClassVar[str] = "slice"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("SLICE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("start", "positional", "whole", scales=True, doc="the first index to keep, from 0"),
        Argument("stop", "positional", "size", scales=True, doc="the index after the last to keep"),
        Argument("axis", "keyword", "axis", "C", doc="C, D, H or W"),
    )
    example: ClassVar[str] = "0 8"

    start: int
    stop: int | None
    """None where everything from `start` on is kept."""
    axis: str = "C"

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        start, stop, axis = given["start"], given["stop"], given["axis"]
        size = x.shape[axis_index(axis, x)]
        if isinstance(stop, Formula):
            if stop != size:
                raise ShapeFault(
                    "E0308",
                    f"stop of SLICE must be known, or the end of the axis, and it is {stop}",
                    f"{axis} is {size}",
                    helps=(_to_the_end(start, axis),),
                )
            return cls(start, None, axis)
        if start >= stop:
            raise ShapeFault(
                "E0202",
                f"SLICE from {start} up to {stop} is empty",
                helps=(f"the second number is the index after the last: `SLICE {start} {start + 1}` keeps one",),
            )
        return cls(start, stop, axis)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        at = axis_index(self.axis, x)
        size = x.shape[at]
        stop = size if self.stop is None else self.stop
        reach = self.start + 1 if self.stop is None else self.stop
        what = f"SLICE {self.start} {stop}"
        prove.at_least(
            size,
            reach,
            f"{what} needs {self.axis} of at least {reach}",
            lambda limit: ShapeFault(
                "E0304",
                f"{what} goes beyond the end: {self.axis} = {size}",
                f"{self.axis} is {size}",
                notes=tuple(filter(None, [limit])),
                helps=(_to_the_end(self.start, self.axis),),
            ),
        )
        return TensorType((*x.shape[:at], stop - self.start, *x.shape[at + 1 :]))

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        at = axis_index(self.axis, output)
        stop = inputs[0].shape[at] if self.stop is None else self.stop
        return [(self.axis, f"{stop} - {self.start} = {output.shape[at]}")]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        (x,) = inputs
        at = axis_index(self.axis, x)
        return (tuple([Taps(axis, *(self.start,) * 2) if axis == at else Taps(axis) for axis in range(x.rank)]),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return strides

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return f"{self.axis} {self.start}..{'' if self.stop is None else self.stop}"


def _to_the_end(start: int, axis: str) -> str:
    return f"`SLICE {start} {axis}{'' if axis == 'C' else f' axis={axis}'}` goes to the end"


class ChannelShuffle(Op):
    """Y[i·g + j] = X[j·n + i] for g groups of n channels: each group of Y has channels of all groups of X.

    Zhang et al. 2018 (ShuffleNet), §3.1.
    """

    name: ClassVar[str] = "channel_shuffle"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("CHANNEL_SHUFFLE", "SHUFFLE")
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("groups", "positional", scales=True, doc="the number of groups"),
    )

    groups: int

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        need_spatial("CHANNEL_SHUFFLE", x)
        prove.divisible(
            x.channels,
            self.groups,
            f"CHANNEL_SHUFFLE {self.groups} needs channels divisible by {self.groups}",
            lambda limit: ShapeFault(
                "E0306",
                f"{x.channels} channels do not make {self.groups} groups",
                f"input is {x}",
                notes=tuple(filter(None, [limit])),
                helps=divisible_by(x.channels, self.groups),
            ),
        )
        return x

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        channels = inputs[0].channels
        return (f"{self.groups} groups of {channels}/{self.groups} = {floor_div(channels, self.groups)} channels",)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Spread((0,)), *each_place(output)[1:]),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def describe(self) -> str:
        return f"groups {self.groups}"


class Reshape(Op):
    """The same values in the same order, the last axis fastest, in another shape."""

    name: ClassVar[str] = "reshape"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("RESHAPE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("shape", "extent", "sizes", scales=True, doc="the sizes; one may be `?`, which is what is left"),
    )
    example: ClassVar[str] = "16 x 1024"

    shape: tuple[Size | None, ...]
    """None for the size that follows from the others."""

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        shape = given["shape"] if isinstance(given["shape"], tuple) else (given["shape"],)
        if len(shape) > MAX_RANK:
            raise ShapeFault(
                "E0307",
                f"a tensor has one to {MAX_RANK} axes (C, D, H, W), not {len(shape)}",
                helps=("the batch axis is never written",),
            )
        if sum(size is None for size in shape) > 1:
            helps = (f"`RESHAPE {x.channels} x ?`",)
            raise ShapeFault("E0203", "one size of RESHAPE may be `?`, and the others are numbers", helps=helps)
        unknown = [size for size in shape if not isinstance(size, int)]
        if len(unknown) > 1:
            raise ShapeFault(
                "E0308",
                f"one size of RESHAPE may be open, and here are {len(unknown)}",
                helps=("`FLATTEN spatial` makes one axis of the spatial ones", "or give the input concrete sizes"),
            )
        known = math.prod(size for size in shape if isinstance(size, int))
        if unknown and isinstance(unknown[0], Formula) and x.elements == known * unknown[0]:
            shape = tuple([size if isinstance(size, int) else None for size in shape])  # it is what is left
        return cls(shape)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        rest: Size = 1
        for size in self.shape:
            rest = rest if size is None else rest * size
        if None not in self.shape:
            prove.equal(x.elements, rest, f"RESHAPE of {x} to {self}", lambda limit: self.mismatch(x, rest, limit))
            return TensorType(tuple(size for size in self.shape if size is not None))
        assert isinstance(rest, int)
        prove.divisible(x.elements, rest, f"RESHAPE of {x} to {self}", lambda limit: self.mismatch(x, rest, limit))
        left = floor_div(x.elements, rest)
        return TensorType(tuple(left if size is None else size for size in self.shape))

    def mismatch(self, x: TensorType, rest: Size, limit: str) -> ShapeFault:
        message = f"RESHAPE keeps all values: {x} has {x.elements}, and {self} "
        message += "takes multiples of " if None in self.shape else "has "
        return ShapeFault(
            "E0311", f"{message}{rest}", f"input is {x}", notes=tuple(filter(None, [limit])), helps=self.repairs(x)
        )

    def repairs(self, x: TensorType) -> tuple[str, ...]:
        """Another size for one of the axes, where that makes the product right."""
        known = [size for size in self.shape if isinstance(size, int)]
        if None in self.shape:
            return divisible_by(x.elements, math.prod(known))
        if not isinstance(x.elements, int) or len(known) < len(self.shape):
            return ("`?` for one of the sizes stands for what is left",)
        assert isinstance(x.channels, int)
        ways = []
        for i in range(len(known)):
            others = math.prod(size for k, size in enumerate(known) if k != i)
            if x.elements % others == 0:
                ways.append(" x ".join(str(x.elements // others if k == i else s) for k, s in enumerate(known)))
        if not ways:
            return (
                f"the product of the sizes must be {x.elements}, as in `{x.channels} x {x.elements // x.channels}`",
            )
        return (" or ".join(f"`RESHAPE {way}`" for way in ways),)

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        (x,) = inputs
        known = product(size for size in self.shape if size is not None)
        for axis, size, out in zip(output.axes, self.shape, output.shape):
            if size is None:
                yield axis, f"({product(x.shape)})/({known}) = {out}"

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return (f"{equation(product(inputs[0].shape), inputs[0].elements)} values, before and after",)

    def __str__(self) -> str:
        return " x ".join("?" if size is None else str(size) for size in self.shape)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """Axes that stay at the start and at the end keep their places; those between mix theirs."""
        (x,) = inputs
        shape, out = x.plain().shape, output.plain().shape
        fewer = min(len(shape), len(out))
        front = next((i for i in range(fewer) if shape[i] != out[i]), fewer)
        back = next((i for i in range(fewer - front) if shape[-1 - i] != out[-1 - i]), fewer - front)
        mixed = Spread(tuple(range(front, len(out) - back)))
        last = [Taps(len(out) - back + i) for i in range(back)]
        return ((*each_place(x)[:front], *(mixed,) * (len(shape) - front - back), *last),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return viewed(strides, x, output)

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return str(self)


class Transpose(Op):
    """Y[i, j] = X[j, i]; in general axis k of Y is axis order[k] of X."""

    name: ClassVar[str] = "transpose"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("TRANSPOSE", "PERMUTE")
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "order",
            "extent",
            "pad",
            None,
            doc="the axes of the input in their new order, from 0: `2x0x1`; the two of C x W swapped by default",
        ),
    )
    example: ClassVar[str] = "1x0x2"

    order: tuple[int, ...]

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        order: Extent | None = given["order"]
        if order is None:
            if x.rank != 2:
                raise ShapeFault(
                    "E0307",
                    f"TRANSPOSE swaps the two axes of C x W, and its input is {x}",
                    f"input is {x}",
                    helps=(f"say the order of the axes: `TRANSPOSE {'x'.join(map(str, (1, 0, *range(2, x.rank))))}`",)
                    if x.rank > 2
                    else (),
                )
            return cls((1, 0))
        order = order if isinstance(order, tuple) else (order,)
        if sorted(order) != list(range(x.rank)):
            numbered = ", ".join(f"{axis} is {i}" for i, axis in enumerate(x.axes))
            raise ShapeFault(
                "E0307",
                f"TRANSPOSE takes every axis once, and {'x'.join(map(str, order))} is no order of {x.rank} axes",
                f"input is {x}",
                helps=(f"the axes are numbered from 0: {numbered}",),
            )
        return cls(order)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType(tuple(x.shape[axis] for axis in self.order))

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        (x,) = inputs
        return (", ".join(f"{axis} was {x.axes[old]}" for axis, old in zip(output.axes, self.order)),)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (tuple([Taps(self.order.index(axis)) for axis in range(inputs[0].rank)]),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return (strides[0], *[strides[axis + 1] for axis in self.order])

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return "x".join(map(str, self.order))
