"""What does one row of an output see of the rows of an input?  For receptive fields: an answer for each axis.

    Taps          the rows from ⌈(move·i + first)/over⌉ to ⌊(move·i + last)/over⌋, for row i of an axis of the output
    Spread        one row, which follows from the places on several axes together: flattening
    EVERYTHING    all rows: a global pool, the channels of a convolution
    UNSURE        it depends, or is not known

Rows of padding count as rows: those before 0 and after the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType


class Taps(Record):
    """A window that moves with row i of axis `axis` of the output: see above. A convolution: move S, from -p on."""

    axis: int
    first: int = 0
    last: int = 0
    move: int = 1
    over: int = 1


class Spread(Record):
    """One row; which, the places on these axes of the output say together."""

    axes: tuple[int, ...]


class Everything(Record):
    """All rows."""


class Unsure(Record):
    """It depends."""


EVERYTHING, UNSURE = Everything(), Unsure()

Sees = Taps | Spread | Everything | Unsure
Sight = tuple[Sees, ...] | None
"""For each axis of an input, channels included, what one row of the output sees; None where only its shape counts."""


def each_place(x: TensorType) -> tuple[Sees, ...]:
    """Every place sees itself."""
    return tuple([Taps(axis) for axis in range(x.rank)])


def mixed_channels(x: TensorType) -> tuple[Sees, ...]:
    """Every place sees all channels, and of the other axes itself."""
    return (EVERYTHING, *each_place(x)[1:])


def whole(x: TensorType) -> tuple[Sees, ...]:
    """Everything is seen from everywhere, but channels stay apart."""
    return (Taps(0), *(EVERYTHING,) * (x.rank - 1))


def all_of(x: TensorType) -> tuple[Sees, ...]:
    return (EVERYTHING,) * x.rank


def sliding(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[tuple[int, int], ...], dilation: tuple[int, ...]
) -> tuple[Sees, ...]:
    """A window on each spatial axis: i·S - p to i·S - p + d·(k - 1)."""
    moves = enumerate(zip(kernel, stride, padding, dilation), 1)
    return tuple([Taps(axis, -before, d * (k - 1) - before, s) for axis, (k, s, (before, _), d) in moves])


def cut(starts: Sequence[Size]) -> tuple[Sees, ...]:
    """Spatial axes from these rows on; before 0 where rows are added."""
    return tuple([Taps(axis, at, at) if isinstance(at, int) else UNSURE for axis, at in enumerate(starts, 1)])


def between(axis: int, move: int, over: int, offset: int = 0) -> Taps:
    """The two rows on either side of (move·i + offset)/over: linear interpolation. One where it falls on a row."""
    return Taps(axis, offset - over + 1, offset + over - 1, move, over)


def resized(axis: int, size: Size, out: Size, linear: bool, corners: bool = False) -> Sees:
    """An axis of `size` rows made one of `out` rows.

    The nearest: ⌊i·W/W'⌋. Linear: around (i + 1/2)·W/W' - 1/2, or i·(W - 1)/(W' - 1) where corners are aligned.
    """
    if not isinstance(size, int) or not isinstance(out, int):
        return UNSURE
    size, out = int(size), int(out)
    if size == out:
        return Taps(axis)
    if not linear:
        return Taps(axis, 1 - out, 0, size, out)
    if corners:
        return between(axis, size - 1, out - 1) if out > 1 else EVERYTHING
    return between(axis, 2 * size, 2 * out, size - out)
