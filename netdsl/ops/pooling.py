"""Maximum and average pooling, and their global forms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, brief, need_spatial, per_axis, written
from netdsl.ops.kept import INPUT, NOTHING, Kept, More
from netdsl.ops.sight import EVERYTHING, UNSURE, Sees, Sight, Taps, sliding, whole
from netdsl.ops.window import PAD_AFTER, PAD_BEFORE, Window, padded, resolved_padding
from netdsl.ops.worked import equation, product
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Formula, Size
from netdsl.types import TensorType

WINDOW = (
    Argument("kernel", "kernel", "extent", 2, aliases=("k",), doc="the window, 2x2 by default"),
    Argument(
        "stride", "stride", "extent", None, doc="the step; by default that of the window, so windows do not overlap"
    ),
    Argument("pad", "keyword", "pad", None, doc="padding on each side, at most half the window", excludes=("padding",)),
    PAD_BEFORE,
    PAD_AFTER,
    Argument(
        "padding",
        "word",
        default="valid",
        words=("same", "valid"),
        doc="`valid` (none, the default) or `same` (out = ceil(W/S))",
    ),
    Argument(
        "rounding",
        "word",
        default="exact",
        words=("exact", "floor", "ceil"),
        doc="`floor` drops the last rows, `ceil` keeps a partial window",
        excludes=("same",),
    ),
)


class Pool(Window):
    """One value for each window: H' = (H - k + 2p)/S + 1."""

    whole: ClassVar[str]
    """The pool over everything."""

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial(cls.spellings[0], x)
        rank = len(x.spatial)
        kernel = per_axis(given["kernel"], rank, "kernel")
        stride = per_axis(given["kernel"] if given["stride"] is None else given["stride"], rank, "stride")
        dilation = (1,) * rank
        padding, rounding = resolved_padding(given, kernel, dilation)
        for k, (before, after) in zip(kernel, padding):
            if max(before, after) > k / 2:
                raise ShapeFault(
                    "E0304",
                    f"a padding of {max(before, after)} is more than half the window of {k}",
                    notes=("a window could lie wholly in the padding, and have nothing to pool",),
                    helps=(f"`pad {k // 2}` is the most",),
                )
        more = cls.more(given)
        return cls(kernel=kernel, stride=stride, padding=padding, dilation=dilation, rounding=rounding, **more)

    @classmethod
    def more(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The attributes that are not the window's."""
        return {}

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels, *self.slide(x, prove, self.whole)))

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Taps(0), *sliding(self.kernel, self.stride, self.padding, self.dilation)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        even = all(before == after for before, after in self.padding)
        copies = () if even else (padded(inputs[0], self.padding),)
        return Kept((0,) if even else (), more=(*copies, *self.keeps_more(output)))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        return self.keeps(inputs, output).more

    def keeps_more(self, output: TensorType) -> tuple[More, ...]:
        return ()

    def describe(self) -> str:
        rounding = f" {self.rounding}" if self.rounding in ("floor", "ceil") else ""
        return f"{written(self.kernel)} /{brief(self.stride)}{rounding}"


class MaxPool(Pool):
    """Y = max over each window. Padding never wins."""

    name: ClassVar[str] = "maxpool"
    stem: ClassVar[str] = "pool"
    spellings: ClassVar[tuple[str, ...]] = ("MAXPOOL", "POOL", "MAX_POOL")
    arguments: ClassVar[tuple[Argument, ...]] = WINDOW
    whole: ClassVar[str] = "GMP"

    def keeps_more(self, output: TensorType) -> tuple[More, ...]:
        """Where in each window the largest value was."""
        return (More(output.elements, "index"),)


class AvgPool(Pool):
    """Y = mean over each window. Padding counts as zeros, as in PyTorch; `exclude_pad` leaves it out of the mean."""

    name: ClassVar[str] = "avgpool"
    stem: ClassVar[str] = "pool"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("AVGPOOL", "MEANPOOL", "AVG_POOL")
    arguments: ClassVar[tuple[Argument, ...]] = (
        *WINDOW,
        Argument(
            "count_pad",
            "word",
            default="include_pad",
            words=("include_pad", "exclude_pad"),
            doc="whether zeros of the padding count in the mean",
        ),
    )

    whole: ClassVar[str] = "GAP"

    count_pad: bool = True

    @classmethod
    def more(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"count_pad": given["count_pad"] == "include_pad"}


class GlobalPool(Op):
    """C x H x W → C: one value for each channel."""

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        need_spatial(self.spellings[0], x)
        return TensorType((x.channels,))

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        (x,) = inputs
        return (f"{equation(product(x.spatial), TensorType(x.spatial).elements)} values of each channel become one",)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (whole(inputs[0]),)


class GlobalAvgPool(GlobalPool):
    """y[c] = mean of X[c] (Lin et al. 2013, §3.2)."""

    name: ClassVar[str] = "globalavgpool"
    stem: ClassVar[str] = "gap"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("GAP", "GLOBAL_AVG_POOL")

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING


class GlobalMaxPool(GlobalPool):
    """y[c] = max of X[c]."""

    name: ClassVar[str] = "globalmaxpool"
    stem: ClassVar[str] = "gmp"
    spellings: ClassVar[tuple[str, ...]] = ("GMP", "GLOBAL_MAX_POOL")

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept((0,), output=True)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """Where the largest values are, how many, and the shares of the gradient."""
        return (More(inputs[0].elements, "flag"), More(output.elements, "index"), More(output.elements))


class AdaptivePool(Op):
    """C x H x W → C x n x m, whatever H and W are."""

    stem: ClassVar[str] = "pool"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "size",
            "extent",
            "sizes",
            doc="the height and width that come out, one number or one for each axis; `?` keeps that axis",
        ),
    )
    example: ClassVar[str] = "7x7"

    size: tuple[int | None, ...]
    """None for an axis that stays as it is."""

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial(cls.spellings[0], x)
        sizes: tuple[Size | None, ...] = per_axis(given["size"], len(x.spatial), "size")
        return cls(tuple([cls.kept(n, size, axis) for n, size, axis in zip(sizes, x.spatial, x.axes[1:])]))

    @classmethod
    def kept(cls, n: Size | None, size: Size, axis: str) -> int | None:
        """None where the axis keeps its size. Another open size is refused: windows would depend on it."""
        if n is None or (isinstance(n, Formula) and n == size):
            return None
        if isinstance(n, Formula):
            raise ShapeFault(
                "E0308",
                f"{axis} of {cls.spellings[0]} must be known, or stay as it is, and it is {n}",
                f"{axis} is {size}",
                helps=("`?` keeps an axis as it is, as in `1 x ?`", "`GAP` pools over whatever size there is"),
            )
        return n

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels, *self.sizes(x)))

    def sizes(self, x: TensorType) -> tuple[Size, ...]:
        """What comes out, along each axis."""
        return tuple([size if n is None else n for n, size in zip(self.size, x.spatial)])

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        return zip(output.axes[1:], map(str, output.spatial))

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return ("whatever the input is", "row i pools rows floor(i*H/n) to ceil((i + 1)*H/n) - 1, n rows come out")

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """Row i sees ⌊i·W/n⌋ to ⌈(i + 1)·W/n⌉ - 1."""
        rows: list[Sees] = []
        for axis, (size, n) in enumerate(zip(inputs[0].spatial, self.size), 1):
            if n is None:
                rows.append(Taps(axis))
            elif isinstance(size, int):
                rows.append(Taps(axis, 1 - n, int(size) - 1, int(size), n))
            else:
                rows.append(EVERYTHING if n == 1 else UNSURE)
        return ((Taps(0), *rows),)

    def describe(self) -> str:
        return f"to {'x'.join('?' if n is None else str(n) for n in self.size)}"


class AdaptiveAvgPool(AdaptivePool):
    """Y[c, i] = mean of X[c, floor(i·W/n)] … X[c, ceil((i + 1)·W/n) - 1], on each axis.

    The windows overlap where n does not divide W, and repeat values where n is larger (PyTorch's definition).
    """

    name: ClassVar[str] = "adaptive_avgpool"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("ADAPTIVE_AVGPOOL", "ADAPTIVE_AVG_POOL")

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return INPUT if any(size != 1 for size in output.spatial) else NOTHING  # then it is a mean


class AdaptiveMaxPool(AdaptivePool):
    """Y[c, i] = max of X[c, floor(i·W/n)] … X[c, ceil((i + 1)·W/n) - 1], on each axis."""

    name: ClassVar[str] = "adaptive_maxpool"
    spellings: ClassVar[tuple[str, ...]] = ("ADAPTIVE_MAXPOOL", "ADAPTIVE_MAX_POOL")

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept((0,), more=(More(output.elements, "index"),))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        return self.keeps(inputs, output).more
