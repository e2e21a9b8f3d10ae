"""How many windows fit?  The formula of the lectures, once, for convolutions and pools.

out = (W - k + 2p)/S + 1        k: kernel, dilated (d·(k - 1) + 1); p: padding; S: stride
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netdsl.ops.base import Argument, Op, per_axis
from netdsl.ops.kept import More
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Formula, Size, floor_div
from netdsl.types import TensorType

Padding = tuple[tuple[int, int], ...]
"""Zeros before and after, for each spatial axis."""


PAD_BEFORE, PAD_AFTER = (
    Argument(name, "keyword", "pad", None, doc=f"padding {where} alone", excludes=("pad", "padding"))
    for name, where in (("pad_before", "above and to the left"), ("pad_after", "below and to the right"))
)


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Padding:
    """The padding for which out = ceil(W/S), whatever W is.

    (k - 1)/2 on both sides, one more after than before for an even kernel. It does not depend on the input, as in
    the published PyTorch networks; TensorFlow's SAME is another for strides above one, because it shifts with W.
    """
    return tuple((d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation))


def padded(x: TensorType, padding: Padding) -> More:
    """A copy of the input with its padding: PyTorch makes one where the two sides differ."""
    sizes = [size + before + after for size, (before, after) in zip(x.spatial, padding)]
    return More(TensorType((x.channels, *sizes)).elements)


def explicit_padding(pad: tuple[int, ...]) -> Padding:
    return tuple((p, p) for p in pad)


class Window(Op):
    """An op that slides a window over height and width. One number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    rounding: str

    def reach(self, axis: int) -> int:
        """Over how many rows a window reaches: d·(k - 1) + 1."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def slide(self, x: TensorType, prove: Prover, whole: str = "") -> tuple[Size, ...]:
        """The sizes that come out, for each spatial axis of `x`."""
        axes = zip(x.spatial, self.kernel, self.padding, self.stride, self.dilation, x.axes[1:])
        return tuple(windows(size, k, p, s, d, self.rounding, axis, prove, whole) for size, k, p, s, d, axis in axes)

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        (x,) = inputs
        for i, (axis, size, out) in enumerate(zip(x.axes[1:], x.spatial, output.spatial)):
            row = self.reach(i), self.padding[i], self.stride[i], self.rounding
            if isinstance(size, Formula):
                yield axis, f"{open_arithmetic(size, *row)} = {out}"
            else:
                yield axis, arithmetic(size, *row)

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        sides = [str(p) if p == q else f"{p}+{q}" for p, q in self.padding]
        numbers = (("k", self.kernel), ("p", sides), ("S", self.stride))
        said = ", ".join(
            f"{name} = {'x'.join(map(str, row if len(set(row)) > 1 else row[:1]))}" for name, row in numbers
        )
        found = [f"W' = (W - k + 2p)/S + 1, with {said}"]
        kinds = dict.fromkeys((k, d, d * (k - 1) + 1) for k, d in zip(self.kernel, self.dilation))
        found += [note for kind in kinds for note in _reach(*kind)]
        if self.rounding == "same" and set(self.stride) != {1}:
            found.append("`same`: so much padding that W/S comes out, rounded up")
        return tuple(found)


def resolved_padding(given: dict[str, Any], kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Padding, str]:
    """The padding that `pad`, its sides, `same` or `valid` stand for, and how the count is rounded."""
    if given["pad_before"] is not None or given["pad_after"] is not None:
        before, after = (per_axis(given[side] or 0, len(kernel), side) for side in ("pad_before", "pad_after"))
        return tuple(zip(before, after)), given["rounding"]
    if given["pad"] is not None:
        return explicit_padding(per_axis(given["pad"], len(kernel), "pad")), given["rounding"]
    if given["padding"] == "same":
        return same_padding(kernel, dilation), "same"
    return explicit_padding((0,) * len(kernel)), given["rounding"]


def count(size: Size, reach: int, padding: tuple[int, int], stride: int, rounding: str) -> Size:
    """How many windows there are: the formula, rounded down, or up for `ceil`."""
    before, after = padding
    span = size + (before + after - reach)
    if rounding == "ceil":
        # The last window starts at index i with i·S < W + p, hence the second bound.
        span = size + min(before + after - reach + stride - 1, before - 1)
    return floor_div(span, stride) + 1 if stride > 1 else span + 1


def windows(
    size: Size,
    kernel: int,
    padding: tuple[int, int],
    stride: int,
    dilation: int,
    rounding: str,
    axis: str,
    prove: Prover,
    whole: str = "",
) -> Size:
    """The number of windows along one axis.

    `rounding` says what happens when the stride does not divide: `exact` refuses, `floor` drops the last rows, `ceil`
    adds a partial window that still starts inside the input or its left padding (as Caffe and PyTorch have it),
    `same` is floor where the padding makes it ceil(W/S). `whole` is the pool over everything, for a pool.
    """
    before, after = padding
    reach = dilation * (kernel - 1) + 1
    span = size + before + after - reach
    if isinstance(span, int) and span >= 0 and (rounding != "exact" or span % stride == 0):
        return count(size, reach, padding, stride, rounding)  # it fits: there is nothing to prove nor to tell
    worked = arithmetic(size, reach, padding, stride)
    prove.at_least(
        span,
        0,
        f"a window of {reach} must fit {axis}",
        lambda limit: ShapeFault(
            "E0304",
            f"a window of {reach} does not fit an input of {axis} = {size}"
            + (f" with padding {_pad(padding)}" if before + after else ""),
            f"{axis} is {size}",
            notes=(f"{axis} = {worked}", *_reach(kernel, dilation, reach), *filter(None, [limit])),
            helps=_room(size, reach, dilation, whole),
        ),
    )
    if rounding == "exact" and stride > 1:
        prove.divisible(
            span,
            stride,
            f"(W - k + 2p) must be divisible by {stride}: {axis} = {worked}",
            lambda limit: _remainder(size, reach, padding, stride, axis, limit, bool(whole)),
        )
    return count(size, reach, padding, stride, rounding)


def divides(size: int, reach: int, pad: int, stride: int) -> bool:
    """Whether windows with this padding fill the input to its last row."""
    return size + 2 * pad >= reach and (size + 2 * pad - reach) % stride == 0


def arithmetic(size: Size, reach: int, padding: tuple[int, int], stride: int, rounding: str = "exact") -> str:
    """`(224 - 11 + 2*0)/4 + 1 = 54.25`, in the letters of W = (W - k + 2p)/S + 1."""
    shown = f"({size})" if isinstance(size, Formula) and len(size.terms) > 1 else str(size)
    quotient = f"({shown} - {reach} + {_pad(padding)})/{stride}"
    if not isinstance(size, int):
        return f"{quotient} + 1"
    total = size - reach + sum(padding) + stride
    if rounding != "exact" and total % stride:
        found = count(size, reach, padding, stride, rounding)
        return f"{'floor' if found == total // stride else 'ceil'}({quotient}) + 1 = {found}"
    return f"{quotient} + 1 = {total // stride if total % stride == 0 else round(total / stride, 3)}"


def open_arithmetic(size: Formula, reach: int, padding: tuple[int, int], stride: int, rounding: str) -> str:
    """The same for an open size, with the floor or ceil of `count`."""
    before, after = padding
    shown = f"({size})" if len(size.terms) > 1 else str(size)
    if rounding == "ceil" and after - reach + stride > 0:  # the last window may not start beyond the input
        return f"floor(({shown} + {before - 1})/{stride}) + 1" if before else f"floor(({shown} - 1)/{stride}) + 1"
    quotient = f"({shown} - {reach} + {_pad(padding)})/{stride}"
    if rounding == "exact" or stride == 1:
        return f"{quotient} + 1"
    return f"{'ceil' if rounding == 'ceil' else 'floor'}({quotient}) + 1"


def _pad(padding: tuple[int, int]) -> str:
    before, after = padding
    return f"2*{before}" if before == after else f"{before} + {after}"


def _reach(kernel: int, dilation: int, reach: int) -> list[str]:
    return [f"a kernel of {kernel} with dilation {dilation} reaches over {reach}"] if dilation > 1 else []


def _room(size: Size, reach: int, dilation: int, whole: str) -> tuple[str, ...]:
    """How a window can fit. A pool's padding is at most half its window."""
    over = (f"`{whole}` pools over whatever size there is",) if whole else ()
    if not isinstance(size, int):
        return over
    pad = -(-(reach - size) // 2)
    smaller = "a smaller dilation" if dilation > 1 else f"a kernel of at most {size}"
    return (*over, f"use {smaller}" if over else f"`pad {pad}` makes it fit, or use {smaller}")


def _remainder(
    size: Size, reach: int, padding: tuple[int, int], stride: int, axis: str, limit: str, pool: bool
) -> ShapeFault:
    helps = []
    if isinstance(size, int):
        span = size - reach + sum(padding)
        smaller, larger = size - span % stride, size + -span % stride
        helps.append(f"an input of {axis} = {larger}" + (f" or {smaller}" if smaller > 0 else "") + " divides evenly")
        pads = [
            p for p in range(reach // 2 + 1 if pool else reach) if (p, p) != padding and divides(size, reach, p, stride)
        ]
        if pads:
            helps.append(f"`pad {min(pads, key=lambda p: abs(p - padding[0]))}` divides evenly")
    helps.append(
        "write `floor` to drop the last rows, or `ceil` (pools) to keep a partial window"
        + ("" if sum(padding) else ", or `same`")
    )
    return ShapeFault(
        "E0303",
        f"the window does not divide its input evenly: {axis} = {size}, kernel {reach}, stride {stride}",
        f"{axis} is {size}",
        notes=(f"{axis} = {arithmetic(size, reach, padding, stride)}", *filter(None, [limit])),
        helps=tuple(helps),
    )
