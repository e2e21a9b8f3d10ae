"""What is a primitive?  Its attributes, how it is written, its shape rule, its parameters, its cost.

An op is one frozen class in one file of this folder. It says how it is written (`spellings`, `arguments`), which
shape comes out (`infer`), which tensors it learns (`weights`), what it costs (`macs`), and how all that is worked by
hand (`worked`). Nothing else in the core knows its formula. To add one: a class here, its name in `ops/__init__.py`,
one rule in each backend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from netdsl.ops.kept import Kept, More
from netdsl.ops.sight import UNSURE, Sight, each_place
from netdsl.ops.strides import Strides, alike, in_order
from netdsl.ops.worked import Worked, by_axis, equation, product
from netdsl.prove import Prover, ShapeFault, known
from netdsl.record import Record
from netdsl.size import Size, floor_div
from netdsl.types import TensorType

REQUIRED: Any = "required"
Extent = int | tuple[int, ...]
STARTS = ("init", "bias_init")
"""The attributes that say from what weights start."""


class Argument(Record):
    """One argument as people write it.

    form   `positional` (a bare number), `kernel` (3x3), `extent` (a bare number or a x b), `stride` (/2),
           `keyword` (`pad 2`, `pad=2`), or `word` (one of `words`, alone)
    kind   `count` (whole, at least 1), `whole` (at least 0), `number`, `extent` (whole, or one a x b per axis),
           `pad` (an extent, at least 0), `size` (whole, or a formula of open sizes), `sizes` (one or several of
           them, one of which may be `?`), `init` (one of `words`, or the standard deviation of a normal),
           `axis` (C, D, H or W)
    Any argument but a word can also be given by name: `stride=2`.
    scales whether the number shows in numbers of channels, or in a rate, alone: a class can take it as a parameter.
    """

    name: str
    form: str
    kind: str = "count"
    default: Any = REQUIRED
    words: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    doc: str = ""
    scales: bool = False
    excludes: tuple[str, ...] = ()
    """The arguments, and words of arguments, that contradict it."""
    unless: str = ""
    """The argument beside which it may be missing, though it has no default."""

    def contradicts(self, value: object, other: Argument, other_value: object) -> bool:
        """Whether the two cannot both be given."""
        mine, theirs = {self.name, value}, {other.name, other_value}
        return not (theirs.isdisjoint(self.excludes) and mine.isdisjoint(other.excludes))


class Weight(Record):
    """A tensor with a name. Buffers (running statistics) are not parameters."""

    name: str
    shape: tuple[int, ...]
    buffer: bool = False

    @property
    def size(self) -> int:
        return math.prod(map(int, self.shape))  # without the memory of how the sizes were computed


class Op(Record):
    """A primitive with its attributes resolved; the sizes of its inputs are not among them."""

    name: ClassVar[str]
    """The op's name in tables and in JSON: `conv`, `maxpool`, …"""
    stem: ClassVar[str] = ""
    """What an element without a label is called, where that is not its name: `pool1`, as the papers number theirs."""
    spellings: ClassVar[tuple[str, ...]] = ()
    """How it is written, in capitals. Case does not matter, nor do underscores: `BATCH_NORM` is also `BatchNorm`."""
    arguments: ClassVar[tuple[Argument, ...]] = ()
    flag: ClassVar[str] = ""
    """The lower-case word that adds this op after another: `CONV 64 bn relu`."""
    slot: ClassVar[str] = ""
    """What the flag replaces in a `default`: `norm` or `activation`."""
    takes_flags: ClassVar[bool] = False
    """Whether flags may follow this op: it learns weights."""
    learns: ClassVar[bool] = False
    """Whether it is a layer that learns, as against a norm or a scale that goes with one: a path is named after it."""
    example: ClassVar[str] = ""
    """Arguments for an example in the reference, where something has to be given and is not one number."""
    example_input: ClassVar[str] = ""
    """The input of that example, where it cannot be an image."""
    serves: ClassVar[str] = ""
    """For which gradients alone inputs are kept: `weights`, those of its weights; `others`, those of other inputs."""
    linear: ClassVar[bool] = False
    """Whether it is a linear function of its inputs, as far as a chain of such ops collapses into one layer."""

    @classmethod
    def expand(cls, given: dict[str, Any], x: TensorType) -> tuple[Op, ...]:
        """The primitives that one application stands for, in sequence."""
        return (cls.build(given, x),)

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        """The op on an input of type `x`. `given` has a value for every argument."""
        return cls(**given)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        """The type of the output. Raises ShapeFault."""
        raise NotImplementedError

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        """Parameters and buffers, named as PyTorch names them."""
        return ()

    def params(self, inputs: tuple[TensorType, ...]) -> int:
        """The number of learned values."""
        return sum(weight.size for weight in self.weights(inputs) if not weight.buffer)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        """Multiply-accumulates for one sample. Only sums of products count: those of weights, and attention."""
        return 0

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """For each input, what one place of the output sees of it, for receptive fields: by default, nobody knows."""
        return tuple([(UNSURE,) * x.rank for x in inputs])

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        """What training keeps for the backward pass: by default all inputs and the output."""
        return Kept(tuple(range(len(inputs))), output=True)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        """How the output of a view lies in memory, the batch first; None where values have to be moved: a copy.

        What is not a view lies in order, but for what says so itself. `strides` are those of the first input.
        """
        return in_order(output)

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """What it makes in inference beside its output, at one time: copies, partial sums, statistics."""
        return ()

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """What its backward pass makes beside the gradients of its inputs, at one time."""
        return ()

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        """Whether the gradient of an input is that of the output, seen in another way: it takes no memory."""
        return self.views(training=True) and output.elements == input.elements

    def views(self, training: bool) -> bool:
        """Whether the output is the first input, seen in another way: it takes no memory."""
        return False

    def describe(self) -> str:
        """The attributes that matter most in a few words, for drawings."""
        return ""

    def details(self, weights: bool = True) -> str:
        """`describe`, and all else that is not as by default: `x2 bilinear align_corners`.

        weights    also from what weights start, which tables have no room for
        """
        said = self.describe()
        words = [said] if said else []
        for name, default in self.optional.items():
            value = getattr(self, name)
            if name in STARTS and not weights:
                continue
            if value != default and self.replace(**{name: default}).describe() == said:
                words.append(self.worded(name, value))
        return " ".join(words)

    @classmethod
    def worded(cls, name: str, value: object) -> str:
        """An attribute that is not as by default, as people write it: `exclude_pad`, `bias_init=1`."""
        words = [a for a in cls.arguments if a.name == name and a.form == "word"]
        if isinstance(value, bool):
            others = [word for argument in words for word in argument.words if word != argument.default]
            return others[0] if others else name if value else f"no {name}"
        if words:
            return str(value)
        return f"{name}={value:g}" if isinstance(value, int | float) else f"{name}={value}"

    def worked(self, inputs: tuple[TensorType, ...], output: TensorType) -> Worked:
        """The formulas with the numbers of this input put in, as one works them by hand."""
        params, macs = self.params(inputs), self.macs(inputs, output)
        return Worked(
            by_axis(self.worked_axes(inputs, output)),
            equation(self.worked_params(inputs), params) if params else "",
            "" if macs == 0 else equation(self.worked_macs(inputs, output), macs),
            self.remarks(inputs, output),
        )

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        """Each axis that is computed, with its arithmetic: `("H", "(224 - 7 + 2*3)/2 + 1 = 112")`."""
        return ()

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        """The number of learned values as it comes about; by default the sizes of the tensors."""
        shapes = [weight.shape for weight in self.weights(inputs) if not weight.buffer]
        several = {shape: shapes.count(shape) for shape in shapes}
        return " + ".join(product((n, *shape) if n > 1 else shape) for shape, n in several.items())

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        """The multiply-accumulates as they come about. An op that has some says how."""
        raise NotImplementedError

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        """What the numbers stand for, where that is not plain."""
        return ()


class Elementwise(Op):
    """The output has the shape of the input. Each place sees itself alone, unless the op says otherwise."""

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        return inputs[0]

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return alike(strides, x)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (each_place(output),)


def per_axis(value: Extent, rank: int, what: str) -> tuple[int, ...]:
    """One number for each spatial axis: `3` is 3 everywhere, `1x7` is 1 high and 7 wide."""
    if not isinstance(value, tuple):
        return (value,) * rank
    if len(value) == rank:
        return value
    written = "x".join(map(str, value))
    helps = (f"write one number for each of H and W: `{'x'.join(map(str, value[:1] * rank))}`",) if rank else ()
    if (len(value), rank) == (2, 3):
        helps = ("an image is C x H x W: the batch axis is never written", *helps)
    raise ShapeFault(
        "E0307",
        f"{what} {written} has {counted_axes(len(value))}, the input has {rank}",
        f"{what} {written}",
        helps=helps,
    )


def counted_axes(n: int) -> str:
    return f"{n} {'axis' if n == 1 else 'axes'}"


def axis_index(axis: str, x: TensorType) -> int:
    """Which axis of `x` is called C, D, H or W."""
    if axis in x.axes:
        return x.axes.index(axis)
    raise ShapeFault("E0307", f"there is no axis {axis} in {x}", helps=(f"its axes are {', '.join(x.axes)}",))


def need_spatial(op: str, x: TensorType) -> None:
    """Convolutions and pools work on C x W, C x H x W or C x D x H x W."""
    if not 2 <= x.rank <= 4:
        message = f"{op} needs channels and one to three spatial axes, its input is {x}"
        raise ShapeFault(
            "E0307",
            message,
            f"input is {x}",
            helps=("a vector has no height and width left: move this before GAP, FLATTEN or FC",)
            if x.rank == 1
            else (),
        )


def known_channels(op: str, x: TensorType) -> int:
    """The channels as a number: weights have a definite shape."""
    return known(
        x.channels,
        lambda: ShapeFault(
            "E0308",
            f"{op} needs a known number of channels, its input has {x.channels}",
            f"input is {x}",
            helps=("give the channels of the input as a number, and leave only H and W open",),
        ),
    )


def need_share(what: str, value: float, helps: tuple[str, ...] = ()) -> float:
    """The share that is dropped: not all."""
    if 0 <= value < 1:
        return value
    raise ShapeFault("E0202", f"{what} must be at least 0 and less than 1, not {value:g}", helps=helps)


def nearest_divisors(n: int, wanted: int) -> list[int]:
    """The two divisors of n that are closest to a number, the closest first; of a very large n, 1 alone."""
    found = [d for d in range(1, n + 1) if n % d == 0] if n < 100_000 else [1]
    return sorted(found, key=lambda d: abs(d - wanted))[:2]


def divisible_by(size: Size, wanted: int) -> tuple[str, ...]:
    """A help: the divisors of a size on both sides of a number that is none."""
    if not isinstance(size, int) or size > 10**6:
        return ()
    below = next(n for n in range(min(wanted, size), 0, -1) if size % n == 0)
    above = next((n for n in range(wanted, size + 1) if size % n == 0), below)
    return (f"{size} is divisible by {' and '.join(map(str, dict.fromkeys([below, above])))}",)


def starts(x: TensorType, kept: tuple[Size, ...]) -> tuple[str, ...]:
    """Where a cut in the middle starts on each axis."""
    rows = [
        (axis, f"floor(({size} - {left})/2) = {floor_div(size - left, 2)}")
        for axis, size, left in zip(x.axes[1:], x.spatial, kept)
    ]
    return tuple(f"the cut starts at {text}" for text in by_axis(rows))


def brief(extent: tuple[int, ...]) -> str:
    """`2x1`, and `2` where all axes agree."""
    return "x".join(map(str, extent if len(set(extent)) > 1 else extent[:1]))


def written(extent: tuple[int, ...]) -> str:
    """`3x3`, or `k=3` for one axis."""
    return "x".join(map(str, extent)) if len(extent) > 1 else f"k={extent[0]}"


def fits(
    what: str,
    axis: str,
    size: Size,
    kept: Size,
    start: int,
    prove: Prover,
    fault: Callable[[str, str, str, tuple[str, ...], tuple[str, ...]], ShapeFault] = ShapeFault,
) -> None:
    """Proves that an axis reaches as far as a cut of `kept` rows from `start` on needs it to."""
    from_ = f" from {start} on" if start else ""
    helps = []
    if isinstance(size, int) and size > start:
        helps.append(f"at most {size - start} fit{from_}")
    if isinstance(size, int):
        helps.append("`PAD` makes a tensor larger")
    prove.at_least(
        size - kept - start,
        0,
        f"{what}{from_} needs {axis} of at least {kept + start}",
        lambda limit: fault(
            "E0304",
            f"{what}{from_} is more than there is: {axis} = {size}",
            f"{axis} is {size}",
            (limit,) if limit else (),
            tuple(helps),
        ),
    )
