"""What does a place see along an axis, when what it sees sees something in turn?  The algebra of receptive fields.

Moving       a window that moves with the place on one axis of the value
Fixed        the same rows from everywhere: after a global pool, attention, an FC layer
Somewhere    so many rows, whose place is not followed: after flattening
Unclear      it depends
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.analysis.window import HERE, Window, after, both, window
from netdsl.ops.base import Op
from netdsl.ops.sight import Everything, Sees, Spread, Taps
from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType


class Moving(Record):
    """What is seen moves with the place on axis `axis` of the value."""

    axis: int
    window: Window


class Fixed(Record):
    """Every place sees the rows `first` to `last`; None where an open size leaves it open."""

    first: int
    last: Size | None


class Somewhere(Record):
    """`size` neighbouring rows: which, the places on `axes` say together. All places see the rows of `total`."""

    size: int
    axes: tuple[int, ...]
    total: Fixed


class Unclear(Record):
    """Something, but this does not know what."""


UNCLEAR = Unclear()
Seen = Moving | Fixed | Somewhere | Unclear
Field = dict[tuple[int, int], Seen]
"""By number of the input, and axis of it: what one place of a value sees. What is not in it is not seen at all."""


def moving(axis: int, found: Window | None) -> Seen:
    return UNCLEAR if found is None else Moving(axis, found)


def last_row(rows: Window, i: Size | None) -> Size | None:
    if isinstance(i, int):
        return rows.last(int(i))
    return None if i is None or rows.period > 1 else i * rows.shift + rows.hi[0]


def range_of(seen: Moving | Somewhere, type: TensorType) -> Fixed:
    """What all places of a value of that type see together."""
    if isinstance(seen, Somewhere):
        return seen.total
    return Fixed(seen.window.first(0), last_row(seen.window, type.shape[seen.axis] - 1))


def through(seen: Seen, own: dict[int, Seen], type: TensorType) -> Seen:
    """What is seen of the input by what sees a value of that type through `own`; `seen` is what that value sees."""
    if isinstance(seen, Fixed | Unclear):
        return seen
    if isinstance(seen, Somewhere):
        return through_spread(seen, [own[axis] for axis in seen.axes], [type.shape[axis] for axis in seen.axes])
    rows, outer = seen.window, own[seen.axis]
    if isinstance(outer, Moving):
        return moving(outer.axis, after(rows, outer.window))
    if isinstance(outer, Fixed):
        return Fixed(rows.first(outer.first), last_row(rows, outer.last))
    if isinstance(outer, Somewhere):
        total = Fixed(rows.first(outer.total.first), last_row(rows, outer.total.last))
        return Somewhere(rows.span(outer.size), outer.axes, total)
    return UNCLEAR


def through_spread(seen: Somewhere, outer: Sequence[Seen], sizes: Sequence[Size]) -> Seen:
    if all(isinstance(x, Fixed) and x.first <= 0 and reaches(x.last, size - 1) for x, size in zip(outer, sizes)):
        return seen.total
    axes: set[int] = set()
    for x in outer:
        if isinstance(x, Moving) and x.window.is_point:
            axes.add(x.axis)
        elif isinstance(x, Somewhere) and x.size == 1:
            axes.update(x.axes)
        else:
            return UNCLEAR
    return Somewhere(seen.size, tuple(sorted(axes)), seen.total)


def reaches(row: Size | None, last: Size | None) -> bool:
    """Whether a row lies at or beyond the last one. With open sizes it counts as so where nothing is known."""
    if row is None or last is None:
        return True
    difference = row - last
    return difference >= 0 if isinstance(difference, int) else True


def union(a: Seen, b: Seen, type: TensorType) -> Seen:
    """What a place of a value of that type sees, which sees both."""
    if a == b:
        return a
    if isinstance(a, Unclear) or isinstance(b, Unclear):
        return UNCLEAR
    if isinstance(a, Fixed) and isinstance(b, Fixed):
        return Fixed(min(a.first, b.first), furthest(a.last, b.last))
    if isinstance(b, Fixed):
        a, b = b, a
    if isinstance(a, Fixed):
        assert not isinstance(b, Fixed)
        more = range_of(b, type)
        return a if a.first <= more.first and reaches(a.last, more.last) else UNCLEAR
    if isinstance(a, Moving) and isinstance(b, Moving) and a.axis == b.axis:
        return moving(a.axis, both(a.window, b.window))
    return UNCLEAR


def furthest(a: Size | None, b: Size | None) -> Size | None:
    if a is None or b is None:
        return None
    difference = a - b
    if isinstance(difference, int):
        return a if difference >= 0 else b
    return None


def composed(relation: Field, arguments: Sequence[Field], types: Sequence[TensorType], type: TensorType) -> Field:
    """What a value of that `type` sees, which sees values with these fields and types through `relation`."""
    found: Field = {}
    for k, (field, x) in enumerate(zip(arguments, types)):
        own = {axis: relation[k, axis] for axis in range(x.rank) if (k, axis) in relation}
        if len(own) < x.rank:
            continue
        for key, seen in field.items():
            new = through(seen, own, x)
            found[key] = union(found[key], new, type) if key in found else new
    return found


def start(types: Sequence[TensorType]) -> list[Field]:
    """Inputs see themselves."""
    return [{(k, axis): Moving(axis, HERE) for axis in range(type.rank)} for k, type in enumerate(types)]


def of_op(op: Op, types: Sequence[TensorType], type: TensorType) -> Field:
    """What a place of an op's output sees of its inputs."""
    found: Field = {}
    for k, (x, sight) in enumerate(zip(types, op.sees(tuple(types), type))):
        for axis, sees in enumerate(sight or ()):
            found[k, axis] = seen_of(sees, x.shape[axis])
    return found


def seen_of(sees: Sees, size: Size) -> Seen:
    whole = Fixed(0, size - 1)
    if isinstance(sees, Taps):
        return moving(sees.axis, window(sees))
    if isinstance(sees, Spread):
        return Somewhere(1, sees.axes, whole)
    return whole if isinstance(sees, Everything) else UNCLEAR
