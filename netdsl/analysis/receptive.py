"""What does one place of a tensor see of the input?  Receptive fields, without unrolling what repeats.

Along an axis, place i of a value sees the rows lo(i) to hi(i) of the input. A convolution or a pool sees

    lo(i) = i·S - p         hi(i) = i·S - p + d·(k - 1)         size = hi - lo + 1, jump = S, offset = -p

and such windows compose: (k1, s1, p1) before (k2, s2, p2) is (k1 + (k2 - 1)·s1, s1·s2, p1 + p2·s1) (Araujo et al. 2019,
"Computing receptive fields of convolutional neural networks", eq. 2 to 6). Where maps become larger, lo and hi are no
straight lines, but repeat with a period, and the jump is a fraction (`window.py`). Branches that meet
see the union of what each sees. A body is composed once, and n steps of a repeat by squaring.

What stands here counts rows of padding as rows: VGG-16's last pool sees 212 x 212, its first FC layer 404 x 404 of an
image of 224 x 224. It is what a place in the middle of a large input sees; at the border it sees no more than that.
Of channels nothing is said: a slice of channels sees what all of them see. Norms are those of inference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from netdsl.analysis.seen import Field, Fixed, Moving, Seen, Somewhere, composed, of_op, reaches, start
from netdsl.graph import Graph, Node, Repeat, Run, live, parts
from netdsl.ops.base import Op
from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.net import Net


class Receptive:
    """What the values of bodies see of the body's own inputs; each body is done once.

    `simplified` says what an open size is for all inputs that the network accepts, as `Net.shown` does.
    """

    def __init__(self, simplified: Callable[[Size], Size] = lambda size: size) -> None:
        self.simplified = simplified
        self.done: dict[int, tuple[Graph[TensorType], list[Field]]] = {}
        self.powers: dict[tuple[int, int], Field] = {}

    def fields(self, body: Graph[TensorType]) -> list[Field]:
        """For each value of a body, its inputs first."""
        if id(body) not in self.done:
            values = start(self.types(body, range(len(body.inputs))))
            self.done[id(body)] = body, values
            for node in body.nodes:
                values.append(self.after(node, [values[v] for v in node.inputs], self.types(body, node.inputs)))
        return self.done[id(body)][1]

    def types(self, body: Graph[TensorType], values: Iterable[int]) -> list[TensorType]:
        return [self.type(body.type_of(v)) for v in values]

    def type(self, type: TensorType) -> TensorType:
        return TensorType(tuple([self.simplified(size) for size in type.plain().shape]))

    def after(self, node: Node[TensorType], inputs: Sequence[Field], types: Sequence[TensorType]) -> Field:
        """What the value of a node sees, where its inputs see `inputs`."""
        if isinstance(node.op, Op):
            type = self.type(node.type)
            return composed(of_op(node.op, types, type), inputs, types, type)
        field = inputs[0]
        for run, (entry, arguments) in zip(parts(node.op), self.entries(node, inputs)):
            field = self.after_run(run, entry, arguments)
        return field

    def entries(self, node: Node[TensorType], inputs: Sequence[Field]) -> Iterator[tuple[Field, list[Field]]]:
        """For each run of a call or repeat: what the running tensor sees at its first step, and what the others see."""
        assert not isinstance(node.op, Op)
        field = inputs[0]
        for run in parts(node.op):
            others = [inputs[k] for k in run.captured] if isinstance(node.op, Repeat) else list(inputs[1:])
            yield field, others
            field = self.after_run(run, field, others)

    def after_run(self, run: Run[TensorType], entry: Field, others: Sequence[Field], steps: int | None = None) -> Field:
        """What the output of a run sees, or that of its first `steps` steps."""
        body, steps = run.call.body, run.count if steps is None else steps
        if steps == 0:
            return entry
        types, out = self.signature(body)
        return composed(self.power(body, steps), [entry, *others], types, out)

    def signature(self, body: Graph[TensorType]) -> tuple[list[TensorType], TensorType]:
        """The types of a body's inputs, and of its output."""
        return self.types(body, range(len(body.inputs))), self.type(body.type_of(body.outputs[0].value))

    def power(self, body: Graph[TensorType], steps: int) -> Field:
        """What the output of so many steps sees of the inputs of the first."""
        if steps == 1:
            return self.fields(body)[body.outputs[0].value]
        if (id(body), steps) not in self.powers:
            types, out = self.signature(body)
            others = start(types)[1:]
            half = self.power(body, steps // 2)
            found = composed(half, [half, *others], types, out)
            if steps % 2:
                found = composed(self.power(body, 1), [found, *others], types, out)
            self.powers[id(body), steps] = found
        return self.powers[id(body), steps]

    def inside(self, run: Run[TensorType], entry: Field, others: Sequence[Field], step: int) -> list[Field]:
        """What the values of a run's body see at one of its steps."""
        body = run.call.body
        arguments = [self.after_run(run, entry, others, step), *others]
        types, _ = self.signature(body)
        return [
            composed(field, arguments, types, self.type(body.type_of(v))) for v, field in enumerate(self.fields(body))
        ]


# --- what people ask -------------------------------------------------------------------------------------------------


class Reach(Record):
    """What one place of a value sees along one axis of one input.

    input, axis    whose, and which: C, D, H or W
    rows           how many there are
    seen           as above
    """

    input: str
    axis: str
    rows: Size
    seen: Seen

    @property
    def size(self) -> Size | None:
        """How many neighbouring rows a place sees, those of padding included; None where that is not known."""
        if isinstance(self.seen, Moving):
            return self.seen.window.size
        if isinstance(self.seen, Fixed):
            return None if self.seen.last is None else self.seen.last - self.seen.first + 1
        return self.seen.size if isinstance(self.seen, Somewhere) else None

    @property
    def jump(self) -> Fraction | None:
        """How many rows what is seen moves from one place to the next, on axis `along` of the value: its stride."""
        return self.seen.window.jump if isinstance(self.seen, Moving) else None

    @property
    def offset(self) -> int | None:
        """The first row that place 0 sees; below 0 in the padding."""
        return self.seen.window.first(0) if isinstance(self.seen, Moving) else None

    @property
    def along(self) -> int | None:
        """The axis of the value on which what is seen moves."""
        return self.seen.axis if isinstance(self.seen, Moving) else None

    @property
    def whole(self) -> bool:
        """Whether every place sees all rows there are."""
        return isinstance(self.seen, Fixed) and self.seen.first <= 0 and reaches(self.seen.last, self.rows - 1)

    def span(self, place: int) -> tuple[int, int] | None:
        """The first and the last row, from 0, that place `place` sees of the input; None where that is not known.

        Padding is cut off. `last < first` where nothing is seen: the place has padding alone.
        """
        last: Size | None
        if isinstance(self.seen, Moving):
            first, last = self.seen.window.first(place), self.seen.window.last(place)
        elif isinstance(self.seen, Fixed):
            first, last = self.seen.first, self.seen.last
        else:
            return None
        if not isinstance(last, int):
            return None
        return max(0, first), min(int(last), int(self.rows) - 1) if isinstance(self.rows, int) else int(last)


def reaches_of(net: Net, field: Field) -> tuple[Reach, ...]:
    """A field in terms of a net's inputs: their spatial axes, or the one of a vector. What is not seen is left out."""
    found = []
    for k, input in enumerate(net.graph.inputs):
        for axis in range(min(1, input.type.rank - 1), input.type.rank):
            if (k, axis) in field:
                rows = net.shown(input.type.plain().shape[axis])
                found.append(Reach(input.name, input.type.axes[axis], rows, field[k, axis]))
    return tuple(found)


def receptive_fields(net: Net) -> list[tuple[Reach, ...]]:
    """What each value of a net's own graph sees: its inputs first, then its nodes in order."""
    return [reaches_of(net, field) for field in Receptive(net.shown).fields(net.graph)]


def receptive_field(net: Net) -> tuple[Reach, ...]:
    """The receptive field of a network: that of the last map on the way to its outputs.

    A map has more than one place. So it is the field of the outputs of a network that labels pixels, and of a
    classifier what each place sees before the global pool, or the first FC layer, brings all of them together. () where
    there is no map, as in a network of vectors.
    """
    receptive = Receptive(net.shown)
    field = last_map(receptive, net.graph, receptive.fields(net.graph), live(net.graph))
    return reaches_of(net, field) if field is not None else ()


def widest(reaches: tuple[Reach, ...]) -> int | None:
    """How many rows are seen on the spatial axis on which that are most; None where it is not known of all."""
    sizes = [reach.size for reach in reaches if reach.axis != "C"]
    known = [int(size) for size in sizes if isinstance(size, int)]
    return max(known) if known and len(known) == len(sizes) else None


def last_map(
    receptive: Receptive, body: Graph[TensorType], fields: list[Field], which: Collection[int]
) -> Field | None:
    for i in sorted(which, reverse=True):
        node = body.nodes[i]
        if is_map(node.type):
            return fields[len(body.inputs) + i]
        if isinstance(node.op, Op):
            continue
        entries = list(receptive.entries(node, [fields[v] for v in node.inputs]))
        for run, (entry, others) in reversed(list(zip(parts(node.op), entries))):
            inner = run.call.body
            values = receptive.inside(run, entry, others, run.count - 1)
            found = last_map(receptive, inner, values, range(len(inner.nodes)))
            if found is not None:
                return found
    return None


def is_map(type: TensorType) -> bool:
    return type.rank > 1 and any(size != 1 for size in type.spatial)
