"""Which tensors are there, and when?  Body by body, each done once; what repeats is multiplied.

A tensor is a piece of memory: views share that of their input. Training keeps what the elements say (`Op.keeps`), each
piece once, from the element that makes it to the backward pass of the first element that keeps it. Before the first
parameter that is trained nothing is kept.
"""

from __future__ import annotations

from functools import cached_property

from netdsl.graph import Call, Graph, Node, Run, live, parts
from netdsl.ops.base import Op
from netdsl.ops.kept import NOTHING, More
from netdsl.ops.strides import Strides, in_order
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType
from netdsl.variables import Variables


class Setting(Record):
    """For how many samples, in which type of number.

    item    bytes of a value
    mask    bytes of one value of a dropout mask
    cpu     bytes of a value that a CPU alone has
    """

    batch: int
    item: int
    mask: int = 1
    cpu: int = 0

    def bytes(self, type: TensorType) -> Size:
        """Of a tensor for the whole batch."""
        return type.plain().elements * (self.batch * self.item)

    def more(self, more: More) -> Size:
        each = {"value": self.item, "index": 8, "mask": self.mask, "flag": 1, "cpu": self.cpu}
        size = each.get(more.kind, max(4, self.item))
        return more.count * (size * (self.batch if more.batch else 1))


class Pieces:
    """The pieces of memory of one body.

    which      the nodes that are run
    inner      for a node that applies bodies, each run of it with the pieces of its body
    roots      for each value, the value whose memory it is: its own, or that of what it views
    size       for each value, the bytes of that memory
    strides    for each value, how it lies in memory
    trained    for each value, whether a gradient of it is needed
    keeper     for each piece that is kept, the first node that does
    more       for each node, the bytes that it keeps beside inputs and output
    works      for each node, the bytes that it takes while it runs, beside its inputs and output
    back       for each node, the bytes that its backward pass takes, beside the gradients of inputs and output
    learned    for each node, the bytes of its parameters that are trained

    peak, peak_back    what memory.py found of its forward and backward pass, once it was asked
    """

    def __init__(self, body: Graph[TensorType], trained: tuple[bool, ...], which: tuple[int, ...]) -> None:
        first, n = len(body.inputs), len(body.nodes)
        self.body, self.which, self.first = body, which, first
        self.inner: dict[int, list[tuple[Run[TensorType], Pieces]]] = {}
        self.roots: list[int] = [*range(first), *(-1,) * n]
        self.size: list[Size] = [0] * (first + n)
        self.strides: list[Strides] = [*[in_order(input.type) for input in body.inputs], *((),) * n]
        self.trained: list[bool] = [*trained, *(False,) * n]
        self.keeper: dict[int, int] = {}
        self.more: list[Size] = [0] * n
        self.works: list[Size] = [0] * n
        self.back: list[Size] = [0] * n
        self.learned: list[int] = [0] * n
        self.peak: int | None = None
        self.peak_back: int | None = None

    def keep(self, i: int, root: int) -> None:
        self.keeper.setdefault(root, i)

    @property
    def out(self) -> int:
        """The piece that a body gives back."""
        return self.roots[self.body.outputs[0].value]

    def made(self, root: int) -> bool:
        """Whether it is not an input's."""
        return root >= self.first

    @property
    def keeps_output(self) -> bool:
        return self.made(self.out) and self.out in self.keeper

    @cached_property
    def inside(self) -> Size:
        """The bytes kept beside the inputs and the output, which are the caller's."""
        return total([*self.more, *[self.size[v] for v in self.keeper if self.made(v) and v != self.out]])

    @cached_property
    def last_use(self) -> dict[int, int]:
        """The last node that reads each piece; one that is given back is read beyond the end."""
        found = {self.roots[v]: i for i in self.which for v in self.body.nodes[i].inputs}
        found.update({self.roots[out.value]: len(self.body.nodes) for out in self.body.outputs})
        return found

    @cached_property
    def held_until(self) -> dict[int, int]:
        """The node after which each piece is given free; one that the caller still holds, beyond the end.

        What is written inside an expression lives until its reader is done; what has a variable until another value
        stands in it. Paths are sequences of modules, which hold nothing but their input.
        """
        if self.body.is_sequential:
            return self.last_use
        variables = Variables(self.body, self.which)
        for i in self.which:
            if not variables.is_inline(i):
                variables.assign(i)
        found: dict[int, int] = {}
        for i in self.which:
            value = self.first + i
            inline = value not in variables.name
            until = variables.uses[value][0] if inline else variables.until.get(value, len(self.body.nodes))
            found[self.roots[value]] = max(until, found.get(self.roots[value], 0))
        return found

    def kept_of(self, i: int, handed_on: bool) -> Size:
        """The bytes kept of what a node makes; `handed_on`: somebody outside keeps what the body gives back."""
        value = self.first + i
        kept = self.roots[value] == value and self.is_kept(value, handed_on)
        return self.more[i] + self.size[value] if kept else self.more[i]

    def is_kept(self, value: int, handed_on: bool) -> bool:
        root = self.roots[value]
        return root in self.keeper or (handed_on and root == self.out)


class Ledger:
    """The pieces of every body, for one setting, in training or inference."""

    def __init__(self, setting: Setting, training: bool) -> None:
        self.setting, self.training = setting, training
        self.done: dict[tuple[int, tuple[bool, ...], bool], Pieces] = {}

    def of_net(self, graph: Graph[TensorType]) -> Pieces:
        which = tuple(sorted(live(graph, self.training)))
        return self.pieces(graph, (False,) * len(graph.inputs), False, which)

    def pieces(
        self, body: Graph[TensorType], trained: tuple[bool, ...], frozen: bool, which: tuple[int, ...] | None = None
    ) -> Pieces:
        key = id(body), trained, frozen
        if key not in self.done:
            found = Pieces(body, trained, tuple(range(len(body.nodes))) if which is None else which)
            self.done[key] = found
            for v, input in enumerate(body.inputs):
                found.size[v] = self.setting.bytes(input.type)
            for i in found.which:
                node = body.nodes[i]
                if isinstance(node.op, Op):
                    self.primitive(found, i, node, node.op, frozen or node.frozen)
                else:
                    self.applied(found, i, node, frozen or node.frozen)
        return self.done[key]

    def primitive(self, found: Pieces, i: int, node: Node[TensorType], op: Op, frozen: bool) -> None:
        value = found.first + i
        types = tuple([found.body.type_of(v).plain() for v in node.inputs])
        first = node.inputs[0]
        strides = op.strided(found.strides[first], types[0], node.type.plain())
        found.roots[value] = found.roots[first] if op.views(self.training) and strides is not None else value
        found.strides[value] = in_order(node.type) if strides is None else strides
        found.size[value] = self.setting.bytes(node.type)
        learned = 0 if frozen else op.params(types)
        found.learned[i] = learned * self.setting.item
        found.trained[value] = bool(learned) or any(found.trained[v] for v in node.inputs)
        kept = op.keeps(types, node.type.plain()) if found.trained[value] and self.training else NOTHING
        for k in kept.inputs:
            others = [found.trained[v] for at, v in enumerate(node.inputs) if at != k]
            if (op.serves != "others" or any(others)) and not (op.serves == "weights" and frozen):
                found.keep(i, found.roots[node.inputs[k]])
        if kept.output:
            found.keep(i, found.roots[value])
        if found.trained[value] and not (op.serves == "weights" and frozen):
            found.back[i] = total([self.setting.more(more) for more in op.works_back(types, node.type.plain())])
        found.works[i] = total([self.setting.more(more) for more in op.works(types, node.type.plain())])
        found.more[i] = total([self.setting.more(more) for more in kept.more])

    def applied(self, found: Pieces, i: int, node: Node[TensorType], frozen: bool) -> None:
        """A call, or the steps of a repeat: what goes from one to the next is kept with the node itself."""
        chain = Chain(found, i, node.inputs[0])
        for run in parts(node.op):
            taken = list(node.inputs[1:]) if isinstance(node.op, Call) else [node.inputs[k] for k in run.captured]
            others, left = tuple([found.trained[v] for v in taken]), run.count
            while left:
                inner = self.pieces(run.call.body, (chain.trained, *others), frozen)
                given = inner.trained[inner.body.outputs[0].value]
                steps = left if given == chain.trained else 1  # the first that learns is unlike those after it
                found.inner.setdefault(i, []).append((run.replace(count=steps), inner))
                chain.apply(inner, steps, taken)
                left -= steps
        chain.end()


class Chain:
    """What goes through the steps of a repeat: a value of the body around it, then a piece of their own."""

    def __init__(self, found: Pieces, i: int, start: int) -> None:
        self.found, self.i = found, i
        self.root: int | None = found.roots[start]
        """None for a piece that a step made."""
        self.size, self.kept, self.trained = found.size[start], False, found.trained[start]

    def apply(self, inner: Pieces, steps: int, taken: list[int]) -> None:
        found, i = self.found, self.i
        found.more[i] = found.more[i] + steps * inner.inside
        found.learned[i] += steps * sum(inner.learned)
        for k, v in enumerate(taken, 1):
            if k in inner.keeper:
                found.keep(i, found.roots[v])
        if 0 in inner.keeper:
            self.keep()
        if inner.made(inner.out):
            self.leave()
            self.root, self.size, self.kept = None, inner.size[inner.out], inner.keeps_output
            if steps > 1 and (self.kept or 0 in inner.keeper):
                found.more[i] = found.more[i] + (steps - 1) * self.size
        elif inner.out > 0:
            self.leave()
            self.root = found.roots[taken[inner.out - 1]]
        self.trained = inner.trained[inner.body.outputs[0].value]

    def keep(self) -> None:
        if self.root is None:
            self.kept = True
        else:
            self.found.keep(self.i, self.root)

    def leave(self) -> None:
        """A piece between two steps belongs to the node."""
        if self.root is None and self.kept:
            self.found.more[self.i] = self.found.more[self.i] + self.size

    def end(self) -> None:
        found, value = self.found, self.found.first + self.i
        found.roots[value] = value if self.root is None else self.root
        found.size[value], found.trained[value] = self.size, self.trained
        found.strides[value] = in_order(found.body.nodes[self.i].type)
        if self.root is None and self.kept:
            found.keep(self.i, value)
