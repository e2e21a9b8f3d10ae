"""Ops with several inputs: sum, mean, product, gate, concatenation, crop, FractalNet's join.

Each is the op behind an operator, a call, or both: `a + b` and `add(a, b)`, `mean(a, b)`, `concat(a, b, axis=H)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, axis_index, brief, counted_axes, fits, need_share, per_axis, starts
from netdsl.ops.kept import NOTHING, Kept, More
from netdsl.ops.sight import EVERYTHING, UNSURE, Sees, Sight, Taps, cut, each_place, resized
from netdsl.ops.strides import Strides
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Size, floor_div
from netdsl.types import TensorType


class Join(Op):
    """Several tensors become one. The output of a join is that of its first input but for what it adds up."""

    call: ClassVar[str]
    """How it is called: `mean(a, b)`."""
    alone: ClassVar[bool] = False
    """Whether it takes two blocks, and one alone is enough: then the input itself is the first."""
    alike: ClassVar[bool] = False
    """Whether all inputs have one shape, so that `match` knows what to match."""
    merges: ClassVar[bool] = False
    """Whether a join in which one of its branches ends gives way to what that joins."""
    role: ClassVar[str] = ""
    """What its inputs are called in code, with a number, where they have no better name."""
    roles: ClassVar[tuple[str, ...]] = ()
    """The same, where each has a name of its own."""

    def agreeing(self, inputs: tuple[TensorType, ...]) -> Iterator[tuple[Size, Size]]:
        """The pairs of sizes that have to agree. They may do so for these numbers only."""
        for other in inputs[1:]:
            yield from zip(inputs[0].shape, other.shape)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return tuple([each_place(x) for x in inputs])

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING


class Alike(Join):
    """All inputs have one shape: nothing is broadcast."""

    alike: ClassVar[bool] = True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        first = inputs[0]
        what = "sum" if self.call == "add" else self.call
        for i, other in enumerate(inputs[1:], 1):
            same_rank(first, other, what, "E0302", i)
            axes = [axis for axis, a, b in zip(first.axes, first.shape, other.shape) if a != b]
            for a, b in zip(first.shape, other.shape):
                agree(a, b, "E0302", f"{what} inputs differ in {_words(axes)}", (0, i), prove)
        return first


class Sum(Alike):
    """Sums and products, one after the other: `(a + b) + c`."""

    divides: ClassVar[bool] = False
    """Whether the sum is divided then."""

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """What comes before the last."""
        return (More(output.elements),) if self.divides or len(inputs) > 2 else ()


class Add(Sum):
    """y = Σ x_i, all of one shape."""

    name: ClassVar[str] = "add"
    call: ClassVar[str] = "add"
    linear: ClassVar[bool] = True

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        return True


class Mean(Sum):
    """y = 1/n Σ x_i, all of one shape."""

    name: ClassVar[str] = "mean"
    call: ClassVar[str] = "mean"
    divides: ClassVar[bool] = True
    role: ClassVar[str] = "column"
    linear: ClassVar[bool] = True


class Product(Sum):
    """y = Π x_i, element by element, all of one shape."""

    serves: ClassVar[str] = "others"
    name: ClassVar[str] = "product"
    call: ClassVar[str] = "product"
    role: ClassVar[str] = "factor"

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        """All factors, and the products of the first two, three, …"""
        return Kept(tuple(range(len(inputs))), more=(More(output.elements),) * (len(inputs) - 2))


class FractalJoin(Sum):
    """y = 1/n Σ x_i, and drop-path in training (Larsson et al. 2016, eq. 3 and section 3.1).

    In half of the mini-batches each input is dropped with probability `drop`, but never all of them; the mean is that
    of the rest (local). In the other half one column of the whole network is kept (global): the k-th input of every
    join, counted from the last. Inference drops nothing.
    """

    name: ClassVar[str] = "join"
    call: ClassVar[str] = "join"
    divides: ClassVar[bool] = True
    merges: ClassVar[bool] = True
    role: ClassVar[str] = "column"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("drop", "keyword", "number", 0.15, doc="the probability that an input is dropped, 0.15 in the paper"),
    )

    drop: float = 0.15

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        return cls(need_share("`drop` of join", given["drop"]))

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(len(inputs), batch=False),))

    def describe(self) -> str:
        return f"drop={self.drop:g}"


class Gate(Join):
    """y = x · g, where g says one factor for all along some axes: each is spread over them (Hu et al. 2018, eq. 4).

    x is C x H x W; g is C or C x 1 x 1 (a factor for each channel), 1 x H x W (for each place), or anything that has on
    each axis the size of x or 1.
    """

    serves: ClassVar[str] = "others"
    name: ClassVar[str] = "gate"
    call: ClassVar[str] = "gate"
    alone: ClassVar[bool] = True
    roles: ClassVar[tuple[str, ...]] = ("y", "gate")

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        x, gate = inputs
        message = f"a gate of {gate} does not fit {x}"
        if gate.rank not in (1, x.rank):
            second = ("what is scaled comes first, its gate second: `gate(a, g)`",) if x.rank == 1 else ()
            raise JoinFault("E0302", message, (0, 1), helps=second or (f"a gate is C, or has {counted_axes(x.rank)}",))
        for axis, size, factor in zip(x.axes, x.shape, gate.shape):
            if factor != 1:
                said = f"{message}: {axis} is {factor}, neither {size} nor 1"
                inner = f"it needs {size} channels; `C` in a gate is what comes in there: a block's `c=C` keeps its own"
                agree(size, factor, "E0302", said, (0, 1), prove, (inner,) if axis == "C" else ())
        return x

    def agreeing(self, inputs: tuple[TensorType, ...]) -> Iterator[tuple[Size, Size]]:
        x, gate = inputs
        for size, factor in zip(x.shape, gate.shape):
            yield (factor, 1) if factor == 1 else (size, factor)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        x, gate = inputs
        return (each_place(x), tuple([EVERYTHING if n == 1 else Taps(axis) for axis, n in enumerate(gate.shape)]))

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The products that are summed for the gate."""
        return (More(output.elements),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept((0, 1))


class Concat(Join):
    """The inputs one after the other along an axis, the channels unless it is named; the other axes agree."""

    name: ClassVar[str] = "concat"
    call: ClassVar[str] = "concat"
    role: ClassVar[str] = "branch"
    linear: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("axis", "keyword", "axis", "C", doc="the axis that grows: C (the default), D, H or W"),
    )

    axis: str = "C"

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        return True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        first = inputs[0]
        along = axis_index(self.axis, first)
        total: Size = first.shape[along]
        for i, other in enumerate(inputs[1:], 1):
            same_rank(first, other, "concat", "E0301", i)
            sizes = [row for at, row in enumerate(zip(first.axes, first.shape, other.shape)) if at != along]
            axes = [axis for axis, a, b in sizes if a != b]
            for _, a, b in sizes:
                agree(a, b, "E0301", f"concat inputs differ in {_words(axes)}", (0, i), prove)
            total = total + other.shape[along]
        return TensorType((*first.shape[:along], total, *first.shape[along + 1 :]))

    def agreeing(self, inputs: tuple[TensorType, ...]) -> Iterator[tuple[Size, Size]]:
        for other in inputs[1:]:
            yield from (row[1:] for row in zip(inputs[0].axes, inputs[0].shape, other.shape) if row[0] != self.axis)

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        along = axis_index(self.axis, output)
        return [(self.axis, f"{' + '.join(str(x.shape[along]) for x in inputs)} = {output.shape[along]}")]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """Along the axis a row comes from one of the inputs: which, depends on the row."""
        along = axis_index(self.axis, output)
        mine: Sees = Taps(along) if len(inputs) == 1 else UNSURE
        row = (*each_place(output)[:along], mine, *each_place(output)[along + 1 :])
        return (row,) * len(inputs)

    def describe(self) -> str:
        return "" if self.axis == "C" else f"axis {self.axis}"


class CropTo(Join):
    """The first input, cut to the height and width of the second (Long et al. 2015; Ronneberger et al. 2015, fig. 1).

    The cut starts floor((W - w)/2) from the edge, or `offset`.
    """

    name: ClassVar[str] = "crop_to"
    call: ClassVar[str] = "crop"
    alone: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("offset", "keyword", "pad", None, doc="where the cut starts, by default so that it is in the centre"),
    )

    offset: tuple[int, ...] | None = None

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        offset = given["offset"]
        return cls(None if offset is None else per_axis(offset, len(x.spatial), "offset"))

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        x, like = inputs
        same_rank(x, like, "crop", "E0302", 1)
        if x.rank == 1:
            raise JoinFault("E0307", f"crop cuts height and width, and {x} has none", (0, 1))
        for axis, size, kept, before in zip(x.axes[1:], x.spatial, like.spatial, self.offset or (0,) * len(x.spatial)):
            fits(f"a crop to {axis} = {kept}", axis, size, kept, before, prove, JoinFault.of_first)
        return TensorType((x.channels, *like.spatial))

    def agreeing(self, inputs: tuple[TensorType, ...]) -> Iterator[tuple[Size, Size]]:
        return iter(())

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        x, like = inputs
        if self.offset is not None:
            return ()
        return starts(x, like.spatial)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        x, like = inputs
        middle = tuple([floor_div(size - kept, 2) for size, kept in zip(x.spatial, like.spatial)])
        return ((Taps(0), *cut(self.offset or middle)), None)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return strides

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return f"offset {brief(self.offset)}" if self.offset else ""


class ResizeTo(Join):
    """The first input, made as high and wide as the second: nearest values, or what lies between them with `bilinear`.

    Row i of H' lies at row (i + 1/2)·H/H' - 1/2 of the input, at the border no further than the outermost one; the
    nearest is floor(i·H/H'). The pyramid pooling of Chen et al. 2017 and others spreads and fits maps so.
    """

    name: ClassVar[str] = "resize_to"
    call: ClassVar[str] = "resize"
    alone: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("mode", "word", default="nearest", words=("nearest", "bilinear"), doc="`bilinear` works on any axes"),
    )

    mode: str = "nearest"

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        x, like = inputs
        same_rank(x, like, "resize", "E0302", 1)
        if x.rank == 1:
            raise JoinFault("E0307", f"resize changes height and width, and {x} has none", (0, 1))
        return TensorType((x.channels, *like.spatial))

    def agreeing(self, inputs: tuple[TensorType, ...]) -> Iterator[tuple[Size, Size]]:
        return iter(())

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        x, like = inputs
        pairs = enumerate(zip(x.spatial, like.spatial), 1)
        return ((Taps(0), *[resized(axis, a, b, self.mode != "nearest") for axis, (a, b) in pairs]), None)

    def describe(self) -> str:
        return "" if self.mode == "nearest" else self.mode


class JoinFault(ShapeFault):
    """A fault between two inputs of a join, known by their positions."""

    def __init__(
        self,
        code: str,
        message: str,
        pair: tuple[int, int],
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message, notes=notes, helps=helps)
        self.pair = pair

    @classmethod
    def limited(
        cls, code: str, message: str, pair: tuple[int, int], limit: str, helps: tuple[str, ...] = ()
    ) -> JoinFault:
        """The fault where it holds for some sizes only, which `limit` says."""
        return cls(code, message, pair, (limit,) if limit else (), helps)

    @classmethod
    def of_first(cls, code: str, message: str, label: str, notes: tuple[str, ...], helps: tuple[str, ...]) -> JoinFault:
        """The fault of a cut: the first two inputs are shown with their shapes."""
        return cls(code, message, (0, 1), notes, helps)


def same_rank(first: TensorType, other: TensorType, what: str, code: str, i: int) -> None:
    if other.rank != first.rank:
        raise JoinFault(code, f"{what} inputs have different numbers of axes: {first} and {other}", (0, i))


def agree(
    a: Size, b: Size, code: str, message: str, pair: tuple[int, int], prove: Prover, helps: tuple[str, ...] = ()
) -> None:
    """Proves that two sizes are equal; where that limits an open size, the reason names both sides."""
    names = [prove.subjects[i] if i < len(prove.subjects) else f"input {i + 1}" for i in pair]
    prove.equal(
        a,
        b,
        f"`{names[0]}` is {a}, `{names[1]}` is {b}",
        partial(JoinFault.limited, code, message, pair, helps=helps),
    )


def _words(axes: list[str]) -> str:
    names = {"C": "channels", "H": "height", "W": "width", "D": "depth"}
    said = [names[axis] for axis in axes]
    return " and ".join(part for part in (", ".join(said[:-1]), *said[-1:]) if part)
