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
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType


class Setting(Record):
    """For how many samples, in which type of number.

    item    bytes of a value
    mask    bytes of one value of a dropout mask
    """

    batch: int
    item: int
    mask: int = 1

    def bytes(self, type: TensorType) -> Size:
        """Of a tensor for the whole batch."""
        return type.plain().elements * (self.batch * self.item)

    def more(self, more: More) -> Size:
        each = {"value": self.item, "index": 8, "mask": self.mask, "statistic": max(4, self.item)}[more.kind]
        return more.count * (each * (self.batch if more.batch else 1))


class Pieces:
    """The pieces of memory of one body.

    which      the nodes that are run
    inner      for a node that applies bodies, each run of it with the pieces of its body
    roots      for each value, the value whose memory it is: its own, or that of what it views
    size       for each value, the bytes of that memory
    trained    for each value, whether a gradient of it is needed
    keeper     for each piece that is kept, the first node that does
    more       for each node, the bytes that it keeps beside inputs and output
    works      for each node, the bytes that it takes while it runs, beside its inputs and output
    learned    for each node, the bytes of its parameters that are trained
    """

    def __init__(self, body: Graph[TensorType], trained: tuple[bool, ...], which: tuple[int, ...]) -> None:
        first, n = len(body.inputs), len(body.nodes)
        self.body, self.which, self.first = body, which, first
        self.inner: dict[int, list[tuple[Run[TensorType], Pieces]]] = {}
        self.roots: list[int] = [*range(first), *(-1,) * n]
        self.size: list[Size] = [0] * (first + n)
        self.trained: list[bool] = [*trained, *(False,) * n]
        self.keeper: dict[int, int] = {}
        self.more: list[Size] = [0] * n
        self.works: list[Size] = [0] * n
        self.learned: list[int] = [0] * n

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
        """The node after which each piece is given free: the last of the statement in which it is read last.

        Elements that are written as one are one statement, `relu(bn(conv(x)))`, and so are a norm or a sum and the
        activation after it: what a statement reads has a name, which holds it until the statement is done. Paths are
        sequences of modules, which hold nothing but their input.
        """
        found = dict(self.last_use)
        if self.body.is_sequential:
            return found
        inner: set[int] = set()
        end = list(range(len(self.body.nodes) + 1))
        for i in reversed(self.which):
            user = self.only_reader(i)
            if user is not None and one_statement(self.body.nodes[i], self.body.nodes[user]):
                end[i] = end[user]
                inner.add(self.first + i)
        return {root: i if root in inner else end[i] for root, i in found.items()}

    def only_reader(self, i: int) -> int | None:
        readers = self.readers.get(self.first + i, [])
        return readers[0] if len(readers) == 1 else None

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """The nodes that read each value, and one beyond the last for an output."""
        found: dict[int, list[int]] = {}
        for i in self.which:
            for v in self.body.nodes[i].inputs:
                found.setdefault(v, []).append(i)
        for out in self.body.outputs:
            found.setdefault(out.value, []).extend([len(self.body.nodes)] * 2)
        return found

    def kept_of(self, i: int, handed_on: bool) -> Size:
        """The bytes kept of what a node makes; `handed_on`: somebody outside keeps what the body gives back."""
        value = self.first + i
        kept = self.roots[value] == value and self.is_kept(value, handed_on)
        return self.more[i] + self.size[value] if kept else self.more[i]

    def is_kept(self, value: int, handed_on: bool) -> bool:
        root = self.roots[value]
        return root in self.keeper or (handed_on and root == self.out)


def one_statement(node: Node[TensorType], reader: Node[TensorType]) -> bool:
    """Whether what reads a value alone is written around what makes it."""
    if not isinstance(node.op, Op) or not isinstance(reader.op, Op) or len(reader.inputs) > 1:
        return False
    if node.origin and node.origin == reader.origin:
        return True
    return reader.op.slot == "activation" and (node.op.slot == "norm" or node.op.name == "add")


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
        found.roots[value] = found.roots[node.inputs[0]] if op.views(self.training) else value
        found.size[value] = self.setting.bytes(node.type)
        learned = 0 if frozen else op.params(types)
        found.learned[i] = learned * self.setting.item
        found.trained[value] = bool(learned) or any(found.trained[v] for v in node.inputs)
        kept = op.keeps(types, node.type.plain()) if found.trained[value] and self.training else NOTHING
        for k in kept.inputs:
            found.keep(i, found.roots[node.inputs[k]])
        if kept.output:
            found.keep(i, found.roots[value])
        found.works[i] = op.works(types, node.type.plain()) * (self.setting.batch * self.setting.item)
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
        if self.root is None and self.kept:
            found.keep(self.i, value)
